// SPDX-License-Identifier: MIT
/*
 * C79-C85: order, wrap counters, lists, event areas, indirect tables and sizes of the packed ring
 * (virtio 1.2, 2.8).
 */
#include "kit/memory.h"
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"
#include "kit/virtqueue_packed.h"

#define QUIET_NS UINT64_C(50000000)
#define SIZE	 16
#define FLAGS	 (1u << VRING_PACKED_DESC_F_AVAIL | 1u << VRING_PACKED_DESC_F_USED)

static struct request requests[SIZE];

static uint16_t add(struct virtio_device *device, unsigned number)
{
	struct request *request = &requests[number % SIZE];

	request_init(request, device, number);
	return virtqueue_add(subject_queue(device), request->parts, request->count);
}

static bool complete(struct virtio_device *device, uint16_t head, unsigned number)
{
	struct used used;

	return virtqueue_wait(subject_queue(device), &used, REQUEST_NS) && used.head == head &&
	       request_check(&requests[number % SIZE], device, &used);
}

/* One at a time, so that the order of completion is that of the ring. */
static void c79_marks(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);
	unsigned good = 0;

	virtio_start_sized(device, virtio_usual_features(device), queue, SIZE);
	for (unsigned i = 0; i < 2 * SIZE; i++) {
		volatile struct vring_packed_desc *slot =
			&queue->packed.ring[queue->packed.used_slot];
		bool wrap = queue->packed.used_wrap;
		uint16_t head = add(device, i);

		virtqueue_notify(queue);
		good += complete(device, head, i) && (slot->flags & FLAGS) == (wrap ? FLAGS : 0);
	}
	ok(good == 2 * SIZE, "C79 %s: used in order, marked with the lap's wrap counter",
	   device->name);
	virtio_reset(device);
}

static void c80_available(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);
	volatile struct vring_packed_desc *slot;
	struct vring_packed_desc after;
	uint16_t head;

	virtio_start_sized(device, virtio_usual_features(device), queue, SIZE);
	slot = queue->packed.ring;
	head = add(device, 0); /* all is there but the first one's flags */
	mmio_write16(queue->notify_gpa, queue->index);
	arch_wait_ns(QUIET_NS);
	ok(!virtqueue_has_used(queue) && !slot->flags,
	   "C80 %s: nothing is used before it is available", device->name);
	virtqueue_notify(queue);
	ok(complete(device, head, 0), "C80 %s: and then it is", device->name);
	memcpy(&after, (const void *)slot, sizeof(after));
	ok(subject_works(device) && !memcmp(&after, (const void *)slot, sizeof(after)),
	   "C80 %s: a used descriptor is not changed again", device->name);
	virtio_reset(device);
}

static void c81_sizes(struct virtio_device *device)
{
	static const uint16_t sizes[] = { 3, 5, 255 };
	uint16_t max = virtio_queue_max(device, subject_queue(device)->index);

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		unsigned count = 3u * sizes[i] + 2, good = 0;

		if (sizes[i] > max) {
			skip("the queue is smaller", "C81 %s: %u entries", device->name, sizes[i]);
			continue;
		}
		virtio_start_sized(device, virtio_usual_features(device), subject_queue(device),
				   sizes[i]);
		for (unsigned j = 0; j < count; j++)
			good += subject_works(device);
		ok(good == count, "C81 %s: %u entries, %u requests", device->name, sizes[i], count);
	}
	virtio_reset(device);
}

/* The list ends in the next lap: the ring is first gone through to two before its end. */
static void c82_list(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);
	struct vring_packed_desc before[SIZE];
	unsigned others = 0, count;
	uint16_t head, first;

	virtio_start_sized(device, virtio_usual_features(device), queue, SIZE);
	do {
		head = add(device, 0);
		count = requests[0].count;
		virtqueue_notify(queue);
		if (!complete(device, head, 0))
			break;
	} while (queue->packed.avail_slot + count < SIZE);
	first = queue->packed.avail_slot;
	head = add(device, 1);
	virtqueue_packed_publish(queue);
	memcpy(before, (const void *)queue->packed.ring, sizeof(before));
	virtqueue_notify(queue);
	ok(complete(device, head, 1), "C82 %s: a list of %u ends with its id", device->name, count);
	for (uint16_t i = 0; i < SIZE; i++)
		others += i != first &&
			  memcmp(&before[i], (const void *)&queue->packed.ring[i],
				 sizeof(before[i]));
	ok(!others, "C82 %s: only its first descriptor is written", device->name);
	ok(subject_works(device) && subject_works(device),
	   "C82 %s: what comes next is used behind it", device->name);
	virtio_reset(device);
}

/* Requests, each waited for by polling; how many interrupts they made. */
static uint64_t interrupts_of(struct virtio_device *device, unsigned count)
{
	struct virtqueue *queue = subject_queue(device);
	uint64_t before = arch_line_count(queue->line);

	for (unsigned i = 0; i < count; i++)
		if (!subject_works(device))
			return UINT64_MAX;
	arch_wait_ns(QUIET_NS);
	return arch_line_count(queue->line) - before;
}

static void c83_events(struct virtio_device *device)
{
	uint64_t features = virtio_usual_features(device);
	struct virtqueue *queue = subject_queue(device);
	unsigned count;

	virtio_start_sized(device, features & ~BIT64(VIRTIO_RING_F_EVENT_IDX), queue, SIZE);
	virtqueue_packed_interrupt(queue, VRING_PACKED_EVENT_FLAG_DISABLE, 0);
	ok(!interrupts_of(device, 3), "C83 %s: disabled, there is no interrupt", device->name);
	virtqueue_packed_interrupt(queue, VRING_PACKED_EVENT_FLAG_ENABLE, 0);
	ok(interrupts_of(device, 1) == 1, "C83 %s: enabled, there is", device->name);
	virtqueue_packed_interrupt(queue, 3, 0);
	ok(interrupts_of(device, 1) == 1, "C83 %s: the value that is reserved enables",
	   device->name);

	virtio_start_sized(device, features, queue, SIZE);
	request_init(&requests[0], device, 0);
	count = requests[0].count;
	for (unsigned lap = 0; lap < 3; lap++) {
		virtqueue_packed_interrupt(queue, VRING_PACKED_EVENT_FLAG_DESC,
					   (uint16_t)(2 * count));
		ok(!interrupts_of(device, 2),
		   "C83 %s: EVENT_IDX, round %u: none before the place", device->name, lap);
		ok(interrupts_of(device, 1) == 1, "C83 %s: EVENT_IDX, round %u: one at it",
		   device->name, lap);
		ok(!interrupts_of(device, 2), "C83 %s: EVENT_IDX, round %u: none behind it",
		   device->name, lap);
	}
	virtio_reset(device);
}

static void c84_indirect(struct virtio_device *device)
{
	static struct vring_packed_desc table[REQUEST_PARTS] __attribute__((aligned(16)));
	struct virtqueue *queue = subject_queue(device);
	struct request *request = &requests[0];

	if (!(device->offered & BIT64(VIRTIO_RING_F_INDIRECT_DESC))) {
		skip("INDIRECT_DESC is not offered", "C84 %s: indirect tables", device->name);
		return;
	}
	virtio_start_sized(device, virtio_usual_features(device), queue, SIZE);
	request_init(request, device, 0);
	for (unsigned i = 0; i < request->count; i++) {
		const struct part *part = &request->parts[i];

		table[i] = (struct vring_packed_desc){
			(uint64_t)part->data, part->bytes, 0xffff,
			(uint16_t)(part->writable ?
					   VRING_DESC_F_WRITE | VRING_DESC_F_INDIRECT :
					   VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT) };
	}
	queue->packed.count[7] = 1;
	virtqueue_packed_write(queue, (struct vring_packed_desc){
		(uint64_t)table, (uint32_t)(request->count * sizeof(table[0])), 7,
		VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE });
	virtqueue_notify(queue);
	ok(complete(device, 7, 0), "C84 %s: of a table's flags only WRITE counts, and no id",
	   device->name);
	virtio_reset(device);
}

static uint16_t size_after(struct virtio_device *device, uint64_t features, uint16_t size)
{
	virtio_negotiate(device, features);
	virtio_select(device, subject_queue(device)->index);
	common_write16(device, VIRTIO_PCI_COMMON_Q_SIZE, size);
	return common_read16(device, VIRTIO_PCI_COMMON_Q_SIZE);
}

static void c85_any_size(struct virtio_device *device)
{
	uint64_t features = virtio_usual_features(device);

	ok(size_after(device, features, 3) == 3, "C85 %s: 3 entries are taken", device->name);
	ok(size_after(device, features & ~BIT64(VIRTIO_F_RING_PACKED), 3) != 3,
	   "C85 %s: but not for a split ring", device->name);
	virtio_reset(device);
	virtio_start(device, features & ~BIT64(VIRTIO_F_RING_PACKED));
	ok(subject_works(device), "C85 %s: which works where packed is offered", device->name);
	virtio_reset(device);
}

static void test(struct virtio_device *device)
{
	if (!(device->offered & BIT64(VIRTIO_F_RING_PACKED))) {
		skip("it is not offered", "C79 %s: packed ring", device->name);
		return;
	}
	c79_marks(device);
	c80_available(device);
	c81_sizes(device);
	c82_list(device);
	c83_events(device);
	c84_indirect(device);
	c85_any_size(device);
}

void guest_main(void)
{
	for_each_device(test);
}
