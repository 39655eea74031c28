// SPDX-License-Identifier: MIT
/*
 * The queue layer: a driver, honest until the input makes it hostile, against a
 * device that holds chains, ends them in any order, gives them back, is paused
 * and reset. Honest: chains come in order, whole and unchanged, each ends once
 * with what it was ended with, no kick and no interrupt is lost and none comes
 * unasked. Hostile: a device that has failed or was reset touches nothing, and
 * a reset brings it back.
 */
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "tests/fuzz/guest.h"
#include "tests/fuzz/played_ring.h"

#define QUEUES 2
#define ORDER 256 /* more than can be on their way */
#define DATA_BYTES (GUEST_DATA_BYTES / QUEUES)

struct held {
	struct chain chain;
	unsigned number;
};

struct subject_queue {
	struct virtqueue *queue;
	struct guest_queue *guest;
	struct held held[GUEST_HEADS_MAX];
	unsigned held_count;
	uint16_t heads[ORDER]; /* by number: in the order they were made available */
	unsigned added, published, popped; /* numbers */
	uint16_t seen_used;
	bool draining; /* paused with chains in flight: pops again when these have ended */
};

struct subject {
	struct virtio_device device;
	struct virtqueue virtqueues[QUEUES];
	struct subject_queue queues[QUEUES];
	bool hold, paused;
};

static struct guest guest;
static struct worker worker;
static struct subject subject;

/* ---- The device ---- */

static struct subject_queue *queue_of(struct virtqueue *queue)
{
	return &subject.queues[queue->index];
}

static uint8_t pattern(unsigned number, uint64_t i)
{
	return (uint8_t)(number * 37 + i * 11 + i / 256 + 1);
}

static void check_readable(struct chain *chain, unsigned number)
{
	uint8_t bytes[48];
	uint64_t at = 0;

	while (chain->readable_bytes) {
		size_t step = (size_t)min_u64(chain->readable_bytes, sizeof(bytes));

		fuzz_check(chain_pull(chain, bytes, step));
		for (size_t i = 0; i < step && !guest.hostile; i++)
			fuzz_check(bytes[i] == pattern(number, at + i));
		at += step;
	}
	fuzz_check(!chain->readable_count && !chain_skip_readable(chain, 1));
}

/* The end of a chain: `wanted` bytes, or as many as there is room for. */
static void answer(struct subject_queue *own, struct held *held, uint64_t wanted)
{
	uint32_t bytes = (uint32_t)min_u64(wanted, held->chain.writable_bytes);
	struct chain *chain = &held->chain;

	check_readable(chain, held->number);
	for (uint32_t i = 0; i < bytes; i++) {
		uint8_t byte = pattern(held->number + 1, i);

		fuzz_check(chain_put(chain, &byte, 1));
	}
	if (!guest.hostile)
		own->guest->chains[chain->head].tag = (uint64_t)held->number << 32 | bytes;
	virtqueue_push(own->queue, chain->head, bytes);
}

static void check_popped(struct subject_queue *own, const struct chain *chain)
{
	const struct guest_chain *given = &own->guest->chains[chain->head];

	fuzz_check(own->popped != own->published);
	fuzz_check(chain->head == own->heads[own->popped % ORDER]);
	fuzz_check(given->offered);
	fuzz_check(chain->readable_bytes == guest_chain_bytes(given, false));
	fuzz_check(chain->writable_bytes == guest_chain_bytes(given, true));
}

static void subject_kick(struct virtqueue *queue)
{
	struct subject_queue *own = queue_of(queue);
	struct held held = { 0 };

	while (virtqueue_pop(queue, &held.chain)) {
		if (!guest.hostile)
			check_popped(own, &held.chain);
		held.number = own->popped++;
		if (!subject.hold)
			answer(own, &held, held.number % 97);
		else
			own->held[own->held_count++] = held;
		fuzz_check(own->held_count <= own->guest->size);
		fuzz_check(virtqueue_in_flight(queue) == own->held_count);
	}
}

static const struct virtio_type subject_type = {
	.name = "subject",
	.id = 0x3f,
	.kick = subject_kick,
};

static void subject_create(void)
{
	static struct worker *workers[] = { &worker };
	static uint8_t config[8];
	struct virtio_deps deps = {
		.name = "subject",
		.memory = &guest.memory,
		.workers = workers,
		.worker_count = 1,
	};
	struct virtio_device_config device_config = {
		.type = &subject_type,
		.deps = &deps,
		.config = config,
		.config_size = sizeof(config),
		.queues = subject.virtqueues,
		.queue_count = QUEUES,
	};

	fuzz_check(!virtio_device_init(&subject.device, &device_config));
	for (unsigned i = 0; i < QUEUES; i++)
		fuzz_check(!virtqueue_init(&subject.virtqueues[i], &subject.device, (uint16_t)i,
					   GUEST_HEADS_MAX, &worker));
}

/* ---- The driver ---- */

static bool dead(void)
{
	return subject.device.status & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* From reset to DRIVER_OK; features, sizes, and perhaps bad addresses by the input. */
static void begin(struct fuzz_input *input)
{
	struct virtio_device *device = &subject.device;
	uint8_t choice = fuzz_u8(input);
	uint64_t features = BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_RING_RESET);

	if (choice & 1)
		features |= BIT64(VIRTIO_RING_F_EVENT_IDX);
	if (choice & 2)
		features |= BIT64(VIRTIO_RING_F_INDIRECT_DESC);
	guest_begin(&guest);
	subject.hold = choice & 4;
	subject.paused = false;
	fuzz_check(guest_negotiate(device, features));
	for (unsigned i = 0; i < QUEUES; i++) {
		struct subject_queue *own = &subject.queues[i];
		uint16_t size = (uint16_t)(1u << fuzz_below(input, 7));

		*own = (struct subject_queue){ .queue = &subject.virtqueues[i] };
		own->guest = guest_queue_lay_out(&guest, own->queue, size, DATA_BYTES);
		event_fd_drain(own->queue->call_fd);
		guest_queue_set_up(own->guest);
		fuzz_check(virtio_queue_enabled(device, i));
	}
	virtio_set_status(device, 0xf);
	fuzz_check(!dead());
}

static void run(void)
{
	played_ring_run(&worker);
}

/* Of an honest guest: all that was published was popped, all that ended was told. */
static void check_signals(void)
{
	for (unsigned i = 0; i < QUEUES && !guest.hostile; i++) {
		struct subject_queue *own = &subject.queues[i];
		struct guest_queue *queue = own->guest;
		uint16_t idx = (uint16_t)guest_load_le(&guest, queue->used_gpa + 2, 2);
		bool told = event_fd_drain(own->queue->call_fd);
		bool wanted = queue->event_idx ?
				      vring_need_event(queue->asked_used, idx, own->seen_used) :
				      idx != own->seen_used;

		fuzz_check(told == wanted);
		own->seen_used = idx;
		own->draining &= own->held_count > 0;
		fuzz_check(subject.paused || own->draining || own->popped == own->published);
	}
	fuzz_check(guest.hostile || !dead());
}

static void add(struct fuzz_input *input, struct subject_queue *own)
{
	struct guest_queue *queue = own->guest;
	struct guest_part parts[GUEST_PARTS_MAX];
	uint8_t choice = fuzz_u8(input);
	unsigned count = 1 + choice % (GUEST_PARTS_MAX - 1);
	unsigned readable = fuzz_below(input, count + 1);
	bool indirect = queue->indirect && (choice & 0x80);
	uint64_t gpa, end, position = 0;
	uint16_t head;

	if (own->added - own->popped == ORDER ||
	    !guest_queue_next(queue, indirect ? 1 : count, &head))
		return;
	gpa = guest_slot(queue, head);
	end = gpa + queue->slot_bytes;
	for (unsigned i = 0; i < count; i++) {
		uint64_t room = (end - gpa - 16 * GUEST_PARTS_MAX) / (count - i);

		parts[i].gpa = gpa;
		parts[i].bytes = (uint32_t)min_u64(fuzz_u8(input), room);
		parts[i].writable = i >= readable;
		for (uint32_t j = 0; j < parts[i].bytes && !parts[i].writable; j++)
			guest_store_le(&guest, gpa + j, pattern(own->added, position++), 1);
		gpa += parts[i].bytes;
	}
	guest_queue_add(queue, parts, count, indirect ? gpa : 0);
	own->heads[own->added++ % ORDER] = head;
}

static void check_taken(const struct guest_chain *chain, uint32_t bytes)
{
	unsigned number = (unsigned)(chain->tag >> 32);
	uint32_t position = 0;

	fuzz_check(bytes == (uint32_t)chain->tag);
	for (unsigned i = 0; i < chain->count; i++) {
		const struct guest_part *part = &chain->parts[i];
		const uint8_t *host = guest_at(&guest, part->gpa, part->bytes);

		if (!part->writable)
			continue;
		for (uint32_t j = 0; j < part->bytes && position < bytes; j++, position++)
			fuzz_check(host[j] == pattern(number + 1, position));
	}
}

static void take(struct fuzz_input *input, struct subject_queue *own)
{
	struct guest_chain *chain;
	uint32_t bytes;

	while ((chain = guest_queue_take(own->guest, &bytes)))
		check_taken(chain, bytes);
	guest_queue_ask(own->guest, fuzz_u8(input) % 8);
}

static void publish(struct subject_queue *own)
{
	own->published = own->added;
	guest_queue_publish(own->guest);
	guest_queue_kick(own->guest);
}

/* ---- What happens to the device ---- */

static void end_held(struct subject_queue *own, unsigned which, uint64_t bytes)
{
	struct held held = own->held[which];

	own->held_count--;
	memmove(&own->held[which], &own->held[which + 1],
		(own->held_count - which) * sizeof(held));
	answer(own, &held, bytes);
}

static void end_some(struct fuzz_input *input, struct subject_queue *own)
{
	for (unsigned left = fuzz_below(input, 8); left && own->held_count; left--)
		end_held(own, fuzz_below(input, own->held_count), fuzz_number(input, 2));
}

/* The last one goes back for good; one before it whose successor did not, with length 0. */
static void unpop_last(struct subject_queue *own)
{
	struct held *held;

	if (!own->held_count)
		return;
	held = &own->held[--own->held_count];
	if (!guest.hostile)
		own->guest->chains[held->chain.head].tag = 0;
	if (held->number + 1 == own->popped)
		own->popped--;
	virtqueue_unpop(own->queue, held->chain.head);
	/* Else it is popped at the next kick only. */
	virtqueue_again(own->queue);
}

static void drop_held(struct subject_queue *own)
{
	while (own->held_count)
		virtqueue_push(own->queue, own->held[--own->held_count].chain.head, 1);
}

/* Once asked for, a reset must come to an end, and nothing be written after it. */
static void reset(void)
{
	bool waits = false;

	guest_audit(&guest);
	guest_freeze(&guest);
	for (unsigned i = 0; i < QUEUES; i++)
		waits |= subject.queues[i].held_count;
	virtio_set_status(&subject.device, 0);
	run();
	fuzz_check(!waits == !virtio_get_status(&subject.device));
	for (unsigned i = 0; i < QUEUES; i++)
		drop_held(&subject.queues[i]);
	run();
	fuzz_check(!virtio_get_status(&subject.device));
	for (unsigned i = 0; i < QUEUES; i++)
		event_fd_signal(subject.virtqueues[i].kick_fd);
	run();
	guest_still(&guest);
}

static void reset_queue(struct fuzz_input *input, struct subject_queue *own)
{
	struct virtio_device *device = &subject.device;
	unsigned index = own->queue->index;

	virtio_queue_reset(device, index);
	run();
	drop_held(own);
	run();
	fuzz_check(!virtio_queue_resetting(device, index) && !virtio_queue_enabled(device, index));
	/* Its memory is not given out anew, so there is an end to this. */
	if (fuzz_u8(input) & 1 || guest.hostile || subject.paused)
		guest.hostile = true;
	else
		guest_audit(&guest);
	if (guest.hostile)
		return;
	*own = (struct subject_queue){ .queue = own->queue, .guest = own->guest };
	event_fd_drain(own->queue->call_fd);
	own->guest->avail_idx = own->guest->kicked_idx = own->guest->last_used = 0;
	own->guest->free = own->guest->size;
	own->guest->asked_used = 0;
	memset(own->guest->busy, 0, sizeof(own->guest->busy));
	memset(own->guest->chains, 0, sizeof(own->guest->chains));
	for (uint64_t gpa = own->guest->avail_gpa; gpa < own->guest->avail_gpa + 6 +
	     2u * own->guest->size; gpa += 2)
		guest_store_le(&guest, gpa, 0, 2);
	for (uint64_t gpa = own->guest->used_gpa; gpa < own->guest->used_gpa + 6 +
	     8u * own->guest->size; gpa += 2)
		guest_store_le(&guest, gpa, 0, 2);
	guest_queue_set_up(own->guest);
	fuzz_check(virtio_queue_enabled(device, index));
}

static void pause_device(void)
{
	if (subject.paused)
		virtio_device_resume(&subject.device);
	else
		virtio_device_pause(&subject.device, 0);
	for (unsigned i = 0; i < QUEUES && !subject.paused; i++)
		subject.queues[i].draining = subject.queues[i].held_count;
	subject.paused = !subject.paused;
	run();
	check_signals();
	for (unsigned i = 0; i < QUEUES && subject.paused; i++)
		fuzz_check(subject.queues[i].held_count ||
			   virtqueue_drained(&subject.virtqueues[i]));
}

/* ---- Hostility ---- */

static uint64_t any_gpa(struct fuzz_input *input)
{
	uint64_t gpa = fuzz_number(input, 3);

	switch (fuzz_below(input, 4)) {
	case 0:
		return GUEST_GPA + gpa % GUEST_RING_BYTES;
	case 1:
		return GUEST_DATA_GPA + gpa % GUEST_DATA_BYTES;
	case 2:
		return gpa;
	default:
		return UINT64_MAX - gpa % 65536;
	}
}

static void store_any_descriptor(struct fuzz_input *input, struct subject_queue *own)
{
	unsigned index = fuzz_below(input, own->guest->size);
	struct vring_desc desc = {
		.addr = htole64(any_gpa(input)),
		.len = htole32((uint32_t)fuzz_number(input, 1 + fuzz_below(input, 4))),
		.flags = htole16(fuzz_u8(input) & 7),
		.next = htole16(fuzz_u8(input)),
	};

	if (desc.flags & htole16(VRING_DESC_F_INDIRECT))
		desc.len = htole32(le32toh(desc.len) * 16);
	guest_store(&guest, own->guest->desc_gpa + index * sizeof(desc), &desc, sizeof(desc));
}

static void be_hostile(struct fuzz_input *input, struct subject_queue *own)
{
	uint64_t gpa;

	guest_audit(&guest);
	guest.hostile = true;
	switch (fuzz_below(input, 4)) {
	case 0:
		store_any_descriptor(input, own);
		break;
	case 1:
		guest_queue_add_head(own->guest, fuzz_u8(input));
		break;
	case 2:
		own->guest->avail_idx += (uint16_t)fuzz_number(input, 2);
		break;
	default:
		gpa = any_gpa(input);
		if (guest_memory_at(&guest.memory, gpa, 4))
			guest_store_le(&guest, gpa, fuzz_number(input, 4), 4);
		break;
	}
	guest_queue_publish(own->guest);
	event_fd_signal(own->queue->kick_fd);
}

/* Rings anywhere: refused, or served from there. */
static void begin_anywhere(struct fuzz_input *input)
{
	struct virtio_device *device = &subject.device;
	unsigned index = fuzz_below(input, QUEUES);

	guest.hostile = true;
	fuzz_check(guest_negotiate(device, device->offered & ~BIT64(VIRTIO_F_RING_PACKED)));
	virtio_queue_set_size(device, index, (uint16_t)fuzz_number(input, 2));
	for (unsigned part = VIRTIO_RING_DESC; part <= VIRTIO_RING_USED; part++)
		virtio_queue_set_address(device, index, part, any_gpa(input) & ~UINT64_C(1));
	virtio_queue_enable(device, index);
	virtio_set_status(device, 0xf);
	event_fd_signal(subject.virtqueues[index].kick_fd);
	run();
	reset();
	begin(input);
}

static void step(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);
	struct subject_queue *own = &subject.queues[choice & 1];

	switch ((choice >> 1) % 20) {
	case 0 ... 4:
		add(input, own);
		break;
	case 5 ... 7:
		publish(own);
		run();
		check_signals();
		break;
	case 8:
		publish(own);
		break;
	case 9 ... 10:
		end_some(input, own);
		run();
		check_signals();
		break;
	case 11 ... 12:
		take(input, own);
		break;
	case 13:
		unpop_last(own);
		run();
		check_signals();
		break;
	case 14:
		subject.hold = !subject.hold;
		break;
	case 15:
		pause_device();
		break;
	case 16:
		reset_queue(input, own);
		break;
	case 17:
		reset();
		begin(input);
		break;
	case 18:
		be_hostile(input, own);
		break;
	default:
		reset();
		begin_anywhere(input);
		break;
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct worker_config config = { .name = "fuzz", .entries = 256, .files = 64 };

	(void)argc;
	(void)argv;
	guest_init(&guest);
	fuzz_check(!worker_create(&worker, &config));
	subject_create();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = fuzz_input(data, size);

	begin(&input);
	run();
	while (fuzz_more(&input)) {
		step(&input);
		if (!dead())
			continue;
		/* Silent until it is reset, whatever is done to it. */
		run();
		guest_freeze(&guest);
		for (unsigned i = 0; i < QUEUES; i++) {
			drop_held(&subject.queues[i]);
			event_fd_signal(subject.virtqueues[i].kick_fd);
		}
		run();
		guest_still(&guest);
		reset();
		begin(&input);
	}
	reset();
	return 0;
}
