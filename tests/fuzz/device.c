// SPDX-License-Identifier: MIT
#include "tests/fuzz/device.h"

#include <string.h>

#include "base/fd.h"
#include "tests/fuzz/subject.h"

/* ---- Life ---- */

void fuzz_device_create(struct fuzz_device *subject, const struct virtio_type *type,
			const void *options)
{
	guest_init(&subject->guest);
	played_ring_worker(&subject->worker);
	fuzz_check(!type->create(options, subject_deps(&subject->worker, &subject->guest.memory),
				 &subject->device));
}

void fuzz_device_begin(struct fuzz_device *subject, struct fuzz_input *input, uint64_t features,
		       const struct fuzz_queue *queues, unsigned count)
{
	static const uint64_t ring_features[] = {
		BIT64(VIRTIO_RING_F_EVENT_IDX),
		BIT64(VIRTIO_RING_F_INDIRECT_DESC),
		BIT64(VIRTIO_F_RING_PACKED),
	};
	struct virtio_device *device = subject->device;
	uint8_t choice = fuzz_u8(input);

	features |= BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_RING_RESET);
	for (unsigned i = 0; i < ARRAY_SIZE(ring_features); i++)
		features |= choice & 1u << i ? ring_features[i] : 0;
	guest_begin(&subject->guest);
	subject->paused = false;
	fuzz_check(guest_negotiate(device, features & device->offered));
	for (unsigned i = 0; i < count; i++) {
		struct virtqueue *queue = &device->queues[queues[i].index];
		unsigned any = fuzz_u8(input), most = queues[i].size;
		unsigned size = choice & 4 ? 1 + any % most :
					     1u << any % ((unsigned)__builtin_ctz(most) + 1);

		event_fd_drain(queue->call_fd);
		guest_queue_set_up(guest_queue_lay_out(&subject->guest, queue, (uint16_t)size,
						       queues[i].data_bytes));
		fuzz_check(virtio_queue_enabled(device, queues[i].index));
		subject->seen[i] = 0;
	}
	virtio_set_status(device, 0xf);
	fuzz_device_run(subject);
}

void fuzz_device_play(const struct fuzz_driver *driver, struct fuzz_input *input)
{
	driver->begin(input);
	while (fuzz_more(input))
		driver->step(input);
	driver->settle(input);
	driver->reset(input);
}

void fuzz_device_run(struct fuzz_device *subject)
{
	played_ring_run(&subject->worker);
	fuzz_check(!(subject->device->status & VIRTIO_CONFIG_S_NEEDS_RESET));
	for (unsigned i = 0; i < subject->guest.queue_count; i++) {
		struct guest_queue *queue = &subject->guest.queues[i];
		uint16_t used = guest_queue_used(queue);
		bool told = event_fd_drain(queue->queue->call_fd);

		fuzz_check(told == guest_queue_wants_call(queue, subject->seen[i], used));
		subject->seen[i] = used;
	}
}

static void run(struct fuzz_device *subject)
{
	played_ring_run(&subject->worker);
}

void fuzz_device_reset(struct fuzz_device *subject, struct fuzz_input *input)
{
	guest_audit(&subject->guest);
	virtio_set_status(subject->device, 0);
	run(subject);
	while (virtio_get_status(subject->device)) {
		/* In flight, or the reset would have ended. */
		if (played_ring_held())
			played_ring_finish(fuzz_below(input, played_ring_held()), UINT64_MAX);
		else
			fuzz_check(subject->end_more && subject->end_more(subject));
		run(subject);
	}
	guest_audit(&subject->guest);
	guest_freeze(&subject->guest);
	while (played_ring_held()) {
		played_ring_finish(0, UINT64_MAX);
		run(subject);
	}
	for (unsigned i = 0; i < subject->guest.queue_count; i++)
		event_fd_signal(subject->guest.queues[i].queue->kick_fd);
	run(subject);
	guest_still(&subject->guest);
	fuzz_check(!virtio_get_status(subject->device));
	subject->guest.queue_count = 0;
}

void fuzz_device_pause(struct fuzz_device *subject)
{
	if (subject->paused)
		virtio_device_resume(subject->device);
	else
		virtio_device_pause(subject->device, 0);
	subject->paused = !subject->paused;
	fuzz_device_run(subject);
}

/* ---- Requests of the device to the host ---- */

unsigned fuzz_device_end_some(struct fuzz_device *subject, struct fuzz_input *input,
			      const struct fuzz_ends *ends)
{
	unsigned faults = 0;

	for (unsigned left = 1 + fuzz_below(input, ends->most); left && played_ring_held(); left--) {
		unsigned which = fuzz_below(input, played_ring_held());
		uint8_t choice = fuzz_u8(input);

		if (choice < ends->short_from) {
			played_ring_finish(which, UINT64_MAX);
		} else if (choice < 240) {
			played_ring_finish(which,
					   ends->block_bytes * (choice - ends->short_from + 1u));
		} else {
			played_ring_refuse(which, ends->errors[choice % ends->error_count]);
			faults++;
		}
		fuzz_device_run(subject);
	}
	return faults;
}

void fuzz_device_end_all(struct fuzz_device *subject, struct fuzz_input *input)
{
	while (played_ring_held()) {
		played_ring_finish(fuzz_below(input, played_ring_held()), UINT64_MAX);
		fuzz_device_run(subject);
	}
}

/* ---- Chains ---- */

/* One direction: up to four parts, some of them perhaps empty, with gaps between them. */
static unsigned cut(struct fuzz_input *input, unsigned parts, struct guest_part *part,
		    uint32_t bytes)
{
	unsigned count = 0;

	while (bytes || count < parts) {
		uint32_t step = count + 1 >= parts ? bytes :
						     (uint32_t)fuzz_number(input, 2) % (bytes + 1);

		part[count++].bytes = step;
		bytes -= step;
	}
	return count;
}

static unsigned place(uint64_t *gpa, struct guest_part *part, unsigned count, bool writable)
{
	for (unsigned i = 0; i < count; i++) {
		part[i].writable = writable;
		part[i].gpa = *gpa;
		*gpa += part[i].bytes + (i & 1) * 3;
	}
	return count;
}

int fuzz_chain_add(struct guest_queue *queue, struct fuzz_input *input, const void *readable,
		   uint32_t readable_bytes, uint32_t writable_bytes)
{
	const uint64_t overhead = GUEST_PARTS_MAX * (3 + sizeof(struct vring_desc));
	uint8_t choice = fuzz_u8(input);
	bool indirect = queue->indirect && choice & 0x80;
	struct guest_part parts[GUEST_PARTS_MAX];
	unsigned out, in;
	uint16_t head;
	uint64_t gpa;

	out = cut(input, readable_bytes ? 1 + choice % 4 : 0, parts, readable_bytes);
	in = cut(input, writable_bytes ? 1 + choice / 4 % 4 : 0, parts + out, writable_bytes);
	if (!(out + in) || !guest_queue_next(queue, indirect ? 1 : out + in, &head) ||
	    readable_bytes + writable_bytes + overhead > queue->slot_bytes)
		return -1;
	/* `choice` decides on the alignment too: direct I/O has its own ways. */
	gpa = guest_slot(queue, head) + (choice & 0x40 ? 1 : 0);
	place(&gpa, parts, out, false);
	place(&gpa, parts + out, in, true);
	for (unsigned i = 0; i < out; i++) {
		guest_store(queue->guest, parts[i].gpa, readable, parts[i].bytes);
		readable = (const uint8_t *)readable + parts[i].bytes;
	}
	for (unsigned i = out; i < out + in; i++)
		memset(guest_at(queue->guest, parts[i].gpa, parts[i].bytes), 0xee, parts[i].bytes);
	guest_queue_add(queue, parts, out + in, indirect ? align_up(gpa, 16) : 0);
	return head;
}

void fuzz_chain_load(struct guest *guest, const struct guest_chain *chain, uint64_t offset,
		     void *data, uint64_t bytes)
{
	uint8_t *cursor = data;

	for (unsigned i = 0; i < chain->count && bytes; i++) {
		const struct guest_part *part = &chain->parts[i];
		uint64_t step;

		if (!part->writable)
			continue;
		if (offset >= part->bytes) {
			offset -= part->bytes;
			continue;
		}
		step = min_u64(part->bytes - offset, bytes);
		memcpy(cursor, (uint8_t *)guest_at(guest, part->gpa, part->bytes) + offset, step);
		cursor += step;
		bytes -= step;
		offset = 0;
	}
	fuzz_check(!bytes);
}

void fuzz_queue_publish(struct guest_queue *queue)
{
	guest_queue_publish(queue);
	guest_queue_kick(queue);
}
