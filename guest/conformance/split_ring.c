// SPDX-License-Identifier: MIT
/*
 * C66-C71 and C76-C78: descriptors, chains and indirect tables of the split ring (virtio 1.2, 2.7).
 * Requests are flattened and cut anew: a device may not care where one descriptor ends.
 */
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"

#define FLAT_BYTES  640
#define PIECES_MAX  600
#define INTERESTING 20
#define FATAL_NS    UINT64_C(5000000000)
#define QUIET_NS    UINT64_C(50000000)
#define SMALL_SIZE  16

/* A request whose readable and writable bytes lie each in one run, and its cutting into pieces. */
static struct {
	struct request request;
	uint8_t readable[FLAT_BYTES], writable[FLAT_BYTES];
	struct part pieces[PIECES_MAX];
	unsigned count;
} flat;
static struct vring_desc table[PIECES_MAX] __attribute__((aligned(16)));

static void flatten(struct virtio_device *device, unsigned number)
{
	size_t at = 0;

	request_init(&flat.request, device, number);
	for (unsigned i = 0; i < flat.request.count; i++) {
		const struct part *part = &flat.request.parts[i];

		if (part->writable)
			continue;
		memcpy(flat.readable + at, part->data, part->bytes);
		at += part->bytes;
	}
	memset(flat.writable, 0xa5, sizeof(flat.writable));
	flat.count = 0;
}

/* Puts what the device wrote where request_check() looks for it. */
static bool check_flat(struct virtio_device *device, const struct used *used)
{
	size_t at = 0;

	for (unsigned i = 0; i < flat.request.count; i++) {
		const struct part *part = &flat.request.parts[i];

		if (!part->writable)
			continue;
		memcpy(part->data, flat.writable + at, part->bytes);
		at += part->bytes;
	}
	return request_check(&flat.request, device, used);
}

static void piece(bool writable, uint32_t from, uint32_t bytes)
{
	if (bytes)
		flat.pieces[flat.count++] =
			(struct part){ (writable ? flat.writable : flat.readable) + from, bytes,
				       writable };
}

/* A run with one cut, or none at 0. */
static void cut_once(bool writable, uint32_t bytes, uint32_t at)
{
	piece(writable, 0, at);
	piece(writable, at, bytes - at);
}

/* A run of which the first `ones` bytes are pieces of their own. */
static void cut_ones(bool writable, uint32_t bytes, uint32_t ones)
{
	uint32_t at = 0;

	for (; at < ones && at < bytes; at++)
		piece(writable, at, 1);
	piece(writable, at, bytes - at);
}

static bool complete(struct virtio_device *device, uint16_t head)
{
	struct virtqueue *queue = subject_queue(device);
	struct used used;

	if (head == VIRTQUEUE_FULL) {
		note("%s: no room for %u pieces", device->name, flat.count);
		return false;
	}
	virtqueue_notify(queue);
	if (!virtqueue_wait(queue, &used, REQUEST_NS)) {
		note("%s: no answer to %u pieces, status %x", device->name, flat.count,
		     virtio_status(device));
		return false;
	}
	return used.head == head && check_flat(device, &used);
}

static bool send_pieces(struct virtio_device *device)
{
	return complete(device, virtqueue_add(subject_queue(device), flat.pieces, flat.count));
}

static void c66_framing(struct virtio_device *device)
{
	uint32_t readable, writable;
	unsigned good = 0, tried = 0;

	virtio_start(device, virtio_usual_features(device));
	flatten(device, 0);
	readable = flat.request.readable_bytes;
	writable = flat.request.writable_bytes;
	cut_once(false, readable, 0);
	cut_once(true, writable, 0);
	ok(send_pieces(device), "C66 %s: a request in one piece each way", device->name);
	flatten(device, 1);
	cut_ones(false, readable, INTERESTING);
	cut_ones(true, writable, INTERESTING);
	ok(send_pieces(device), "C66 %s: its first %u bytes each way in pieces of one",
	   device->name, INTERESTING);
	for (uint32_t i = 1; i < INTERESTING; i++, tried++) {
		flatten(device, i);
		cut_once(false, readable, i < readable ? i : 0);
		cut_once(true, writable, i < writable ? writable - i : 0);
		good += send_pieces(device);
	}
	ok(good == tried, "C66 %s: cut in two at every one of %u places", device->name, tried);
	virtio_reset(device);
}

static void c67_c68_untouched(struct virtio_device *device)
{
	static uint8_t readable[FLAT_BYTES];
	static struct vring_desc before[SMALL_SIZE * 4];
	struct virtqueue *queue = subject_queue(device);
	struct used used;
	uint16_t head;

	virtio_start(device, virtio_usual_features(device));
	flatten(device, 2);
	cut_ones(false, flat.request.readable_bytes, 3);
	cut_ones(true, flat.request.writable_bytes, 3);
	head = virtqueue_add(queue, flat.pieces, flat.count);
	memcpy(readable, flat.readable, sizeof(readable));
	memcpy(before, (const void *)queue->desc, sizeof(before));
	virtqueue_notify(queue);
	ok(virtqueue_wait(queue, &used, REQUEST_NS) &&
		   !memcmp(before, (const void *)queue->desc, sizeof(before)) &&
		   !memcmp(readable, flat.readable, sizeof(readable)),
	   "C67 %s: descriptors and readable buffers are not written", device->name);
	ok(used.head == head && used.written <= flat.request.writable_bytes &&
		   check_flat(device, &used),
	   "C68 %s: used head and length are right", device->name);
	virtio_reset(device);
}

/* Exactly `count` pieces: what one-byte pieces do not take is left to the last of each run. */
static void cut_to(uint32_t readable, uint32_t writable, unsigned count)
{
	unsigned first = writable ? count / 2 : count;

	if (!readable)
		first = 0;
	else if (first > readable)
		first = readable;
	if (first)
		cut_ones(false, readable, first - 1);
	if (writable)
		cut_ones(true, writable, count - first - 1);
}

static void long_chain(struct virtio_device *device, uint16_t size)
{
	uint32_t most;

	virtio_start_sized(device, virtio_usual_features(device), subject_queue(device), size);
	flatten(device, 3);
	most = flat.request.readable_bytes + flat.request.writable_bytes;
	if (size > most) {
		skip("the request has fewer bytes", "C70 %s: a chain of %u", device->name, size);
		return;
	}
	cut_to(flat.request.readable_bytes, flat.request.writable_bytes, size);
	ok(flat.count == size && send_pieces(device) && subject_works(device),
	   "C70 %s: a chain of %u descriptors, all that there are", device->name, size);
	virtio_reset(device);
}

static void c70_whole_ring(struct virtio_device *device)
{
	uint16_t max = virtio_queue_max(device, subject_queue(device)->index);

	long_chain(device, SMALL_SIZE);
	long_chain(device, max > PIECES_MAX ? 512 : max);
}

static bool send_indirect(struct virtio_device *device, struct vring_desc *entries)
{
	return complete(device, virtqueue_add_indirect(subject_queue(device), entries, flat.pieces,
						       flat.count));
}

static void whole_request(struct virtio_device *device, unsigned number)
{
	flatten(device, number);
	cut_once(false, flat.request.readable_bytes, 0);
	cut_once(true, flat.request.writable_bytes, 0);
}

static void c71_one_entry(struct virtio_device *device)
{
	unsigned good = 0;

	virtio_start_sized(device, virtio_usual_features(device), subject_queue(device), 1);
	for (unsigned i = 0; i < 5; i++) {
		whole_request(device, i);
		good += send_indirect(device, table);
	}
	ok(good == 5, "C71 %s: a queue of one entry works", device->name);
	virtio_reset(device);
}

/* `direct` descriptors, then one that points to a table with the rest. */
static bool send_mixed(struct virtio_device *device, unsigned direct)
{
	struct virtqueue *queue = subject_queue(device);
	unsigned rest = flat.count - direct;

	for (uint16_t i = 0; i < rest; i++) {
		const struct part *part = &flat.pieces[direct + i];

		table[i] =
			(struct vring_desc){ (uint64_t)part->data, part->bytes,
					     (uint16_t)((part->writable ? VRING_DESC_F_WRITE : 0) |
							(i + 1u < rest ? VRING_DESC_F_NEXT : 0)),
					     (uint16_t)(i + 1) };
	}
	for (uint16_t i = 0; i < direct; i++) {
		const struct part *part = &flat.pieces[i];

		virtqueue_write(queue, i,
				(struct vring_desc){
					(uint64_t)part->data, part->bytes,
					(uint16_t)((part->writable ? VRING_DESC_F_WRITE : 0) |
						   VRING_DESC_F_NEXT),
					(uint16_t)(i + 1) });
	}
	/* The WRITE flag beside INDIRECT means nothing, and must be ignored. */
	virtqueue_write(queue, (uint16_t)direct,
			(struct vring_desc){ (uint64_t)table, (uint32_t)(rest * sizeof(*table)),
					     VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE, 0 });
	virtqueue_offer(queue, 0);
	return complete(device, 0);
}

static void c76_indirect(struct virtio_device *device)
{
	static uint8_t odd[sizeof(table) + 16] __attribute__((aligned(16)));
	uint16_t max = virtio_queue_max(device, subject_queue(device)->index);
	unsigned size = max > 256 ? 256 : max;
	uint32_t readable, writable, most;

	for (unsigned direct = 0; direct < 3; direct++) {
		virtio_start(device, virtio_usual_features(device));
		flatten(device, direct);
		cut_ones(false, flat.request.readable_bytes, 3);
		cut_ones(true, flat.request.writable_bytes, 3);
		if (flat.count <= direct)
			continue; /* too few bytes to cut */
		ok(send_mixed(device, direct), "C76 %s: %u direct, then one indirect with WRITE",
		   device->name, direct);
	}
	virtio_start_sized(device, virtio_usual_features(device), subject_queue(device),
			   (uint16_t)size);
	flatten(device, 4);
	readable = flat.request.readable_bytes;
	writable = flat.request.writable_bytes;
	most = readable + writable;
	cut_to(readable, writable, most < size ? most : size);
	ok(send_indirect(device, table), "C76 %s: a table of %u entries", device->name, flat.count);
	whole_request(device, 5);
	ok(send_indirect(device, (struct vring_desc *)(odd + 8)),
	   "C76 %s: a table that is not aligned", device->name);
	virtio_reset(device);
}

static void c77_not_negotiated(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);
	struct used used;

	virtio_start(device, virtio_usual_features(device) & ~BIT64(VIRTIO_RING_F_INDIRECT_DESC));
	whole_request(device, 0);
	virtqueue_add_indirect(queue, table, flat.pieces, flat.count);
	virtqueue_notify(queue);
	ok(virtio_needs_reset_within(device, FATAL_NS) && !virtqueue_poll(queue, &used),
	   "C77 %s: an indirect descriptor that was not negotiated stops the device", device->name);
	virtio_reset(device);
}

static void test(struct virtio_device *device)
{
	c66_framing(device);
	c67_c68_untouched(device);
	c70_whole_ring(device);
	if (device->offered & BIT64(VIRTIO_RING_F_INDIRECT_DESC)) {
		c71_one_entry(device);
		c76_indirect(device);
		c77_not_negotiated(device);
	} else {
		skip("INDIRECT_DESC is not offered", "C76 %s: indirect tables", device->name);
	}
	ok(!(device->offered & BIT64(VIRTIO_F_IN_ORDER)), "C78 %s: IN_ORDER is not offered",
	   device->name);
}

void guest_main(void)
{
	for_each_device(test);
}
