// SPDX-License-Identifier: MIT
/*
 * C69 and C72-C75: running indexes, and the suppression of interrupts and kicks (virtio 1.2, 2.7.7,
 * 2.7.8, 2.7.10). Most rounds offer a ring that was filled once: the work is the device's, not that
 * of a CPU that may be emulated. Counts are scaled from 10^5 and 10^6 for the same reason; those of
 * C74 and C75 are `requests` and `kicks`.
 */
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"

#define RING	     256
#define ROUNDS	     70000
#define SMALL_ROUNDS 600
#define KICKS	     20000
#define RULE_ROUNDS  2000
#define QUIET_NS     UINT64_C(50000000)
#define ARRIVAL_NS   UINT64_C(10000000000)

static struct request requests[RING];
static struct vring_desc tables[RING][REQUEST_PARTS] __attribute__((aligned(16)));

/* Slot i of the ring holds head i, an indirect request, for good. */
static void fill_ring(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);

	for (uint16_t i = 0; i < queue->size; i++) {
		request_init(&requests[i], device, i);
		for (unsigned j = 0; j < requests[i].count; j++)
			tables[i][j] = virtqueue_table_entry(queue, &requests[i].parts[j], j,
							     j + 1 == requests[i].count);
		virtqueue_write(queue, i,
				(struct vring_desc){
					(uint64_t)tables[i],
					(uint32_t)(requests[i].count * sizeof(tables[0][0])),
					VRING_DESC_F_INDIRECT, 0 });
		queue->avail->ring[i] = i;
	}
}

/* Offers `count` slots, and waits for all of them. */
static bool run_ring(struct virtqueue *queue, uint16_t count)
{
	uint64_t end = arch_now_ns() + ARRIVAL_NS;

	queue->next_avail = (uint16_t)(queue->next_avail + count);
	virtqueue_notify(queue);
	while (queue->used->idx != queue->next_avail) {
		if (arch_now_ns() > end)
			return false;
		arch_wait_ns(100000);
	}
	queue->next_used = queue->next_avail;
	return true;
}

static bool run_many(struct virtqueue *queue, unsigned total, uint16_t batch)
{
	virtqueue_interrupt_never(queue);
	for (unsigned done = 0; done < total; done += batch)
		if (!run_ring(queue, batch)) {
			note("queue %u stops after %u requests, avail %u, used %u", queue->index,
			     done, queue->next_avail, queue->used->idx);
			return false;
		}
	return true;
}

static void c69_running_index(struct virtio_device *device)
{
	static const uint16_t sizes[] = { 1, 2, RING };
	struct virtqueue *queue = subject_queue(device);
	uint16_t max = virtio_queue_max(device, queue->index);

	for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
		uint16_t size = sizes[i] < max ? sizes[i] : max;
		unsigned rounds = size < 16 ? SMALL_ROUNDS : ROUNDS;

		virtio_start_sized(device, virtio_usual_features(device), queue, size);
		fill_ring(device);
		ok(run_many(queue, rounds, size > 1 ? size / 2 : 1),
		   "C69 %s: %u requests through a ring of %u", device->name, rounds, size);
		if (rounds > 65536)
			ok(queue->used->idx ==
				   (uint16_t)((rounds + size / 2 - 1) / (size / 2) * (size / 2)),
			   "C69 %s: the used index ran over 65536", device->name);
	}
	virtio_reset(device);
}

/* One request with interrupts as they are set: how many came? */
static uint64_t interrupts_of_one(struct virtio_device *device)
{
	unsigned line = subject_queue(device)->line;
	uint64_t before = arch_line_count(line);

	if (!subject_works(device))
		return UINT64_MAX;
	wait_ns(QUIET_NS);
	return arch_line_count(line) - before;
}

static void c72_flags(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);

	virtio_start(device, virtio_usual_features(device) & ~BIT64(VIRTIO_RING_F_EVENT_IDX));
	queue->avail->ring[queue->size] = 0x7777;
	queue->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	ok(interrupts_of_one(device) == 0, "C72 %s: no EVENT_IDX, flag 1: no interrupt",
	   device->name);
	queue->avail->flags = 0;
	ok(interrupts_of_one(device) == 1,
	   "C72 %s: no EVENT_IDX, flag 0: an interrupt, used_event "
	   "is ignored",
	   device->name);
	ok(queue->used->flags <= 1, "C74 %s: no EVENT_IDX: used.flags is 0 or 1", device->name);
	virtio_reset(device);
}

static void c73_event(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);
	uint16_t max = virtio_queue_max(device, queue->index);
	uint16_t size = max < RING ? max : RING;
	uint64_t before;

	virtio_start_sized(device, virtio_usual_features(device), queue, size);
	queue->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	queue->avail->ring[queue->size] = 2;
	before = interrupts_of_one(device);
	before += interrupts_of_one(device);
	if (before)
		note("%s: %lu interrupts of two requests", device->name, before);
	ok(before == 0, "C73 %s: no interrupt before used_event", device->name);
	ok(interrupts_of_one(device) == 1, "C73 %s: one at used_event, flags are ignored",
	   device->name);
	ok(interrupts_of_one(device) == 0, "C73 %s: none after", device->name);
	ok(queue->used->flags == 0, "C74 %s: with EVENT_IDX used.flags is 0", device->name);
	virtio_reset(device);
	virtio_start_sized(device, virtio_usual_features(device), queue, size);
	fill_ring(device);
	run_many(queue, 65536u - size / 2, size / 2);
	run_many(queue, size / 2 - 2u, (uint16_t)(size / 2 - 2));
	before = arch_line_count(queue->line);
	queue->avail->ring[queue->size] = 0;
	arch_full_barrier();
	run_ring(queue, 2);
	wait_ns(QUIET_NS);
	ok(arch_line_count(queue->line) == before && run_ring(queue, 1) &&
		   line_wait(queue->line, before + 1, ARRIVAL_NS),
	   "C73 %s: used_event 0 is passed at the wrap, not before", device->name);
	virtio_reset(device);
}

static void c74_rule(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);
	unsigned rounds = (unsigned)param_number("requests", RULE_ROUNDS);
	unsigned kicks = 0, done = 0;
	struct used used;

	virtio_start(device, virtio_usual_features(device));
	virtqueue_interrupt_after(queue, 1);
	for (; done < rounds; done++) {
		struct request *request = &requests[done % 4];

		request_init(request, device, done);
		virtqueue_add(queue, request->parts, request->count);
		kicks += virtqueue_kick(queue);
		if (done >= 3 && !virtqueue_wait(queue, &used, ARRIVAL_NS))
			break;
	}
	ok(done == rounds, "C74 %s: %u requests, kicked only if the device asks, %u times",
	   device->name, rounds, kicks);
	virtio_reset(device);
}

static void c75_spurious(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);
	unsigned kicks = (unsigned)param_number("kicks", KICKS);

	virtio_start(device, virtio_usual_features(device));
	for (unsigned i = 0; i < kicks; i++)
		mmio_write16(queue->notify_gpa, queue->index);
	ok(subject_works(device), "C75 %s: %u kicks for nothing do no harm", device->name, kicks);
	virtio_reset(device);
}

static void test(struct virtio_device *device)
{
	uint64_t ring = BIT64(VIRTIO_RING_F_EVENT_IDX) | BIT64(VIRTIO_RING_F_INDIRECT_DESC);

	c72_flags(device);
	c75_spurious(device);
	if (!ok((device->offered & ring) == ring, "C73 %s: EVENT_IDX and INDIRECT_DESC are offered",
		device->name))
		return;
	c73_event(device);
	c74_rule(device);
	c69_running_index(device);
}

void guest_main(void)
{
	for_each_device(test);
}
