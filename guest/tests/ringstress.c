// SPDX-License-Identifier: MIT
/*
 * No wake-up is lost between driver and device, as often as they may meet: requests that the
 * device ends at once, offered a random few at a time, kicked only when the event index asks for
 * it, and waited for, halted, till the interrupt at a random one of those in flight. Who is not
 * woken within LOST_NS was forgotten, by the other side or by an order of memory that let it.
 * Params: requests=N, seed=S.
 */
#include "kit/memory.h"
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"

#define DEPTH	 16
#define PARTS	 3
#define ID_BYTES 20
#define LOST_NS	 UINT64_C(20000000000)

struct stress_request {
	struct virtio_blk_outhdr header;
	uint8_t id[ID_BYTES];
	uint8_t status;
};

static struct stress_request requests[DEPTH];
static struct stress_request *owner[VIRTQUEUE_SIZE_MAX]; /* by head */
static struct stress_request *idle[DEPTH];
static unsigned idle_count;
static uint64_t random_state;

/* 1 to `most`. */
static unsigned some(unsigned most)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(random_state >> 33) % most + 1;
}

static void offer(struct virtqueue *queue)
{
	struct stress_request *request = idle[--idle_count];
	struct part parts[PARTS] = { { &request->header, sizeof(request->header), false },
				     { request->id, ID_BYTES, true },
				     { &request->status, 1, true } };
	uint16_t head;

	request->header.type = VIRTIO_BLK_T_GET_ID;
	request->status = 0xff;
	head = virtqueue_add(queue, parts, PARTS);
	if (head == VIRTQUEUE_FULL)
		bail_out("the queue is full with %u requests", DEPTH - idle_count);
	owner[head] = request;
}

static uint64_t take(struct virtqueue *queue)
{
	struct used used;
	uint64_t taken = 0;

	while (virtqueue_poll(queue, &used)) {
		struct stress_request *request = owner[used.head];

		if (!request || request->status != VIRTIO_BLK_S_OK || used.written != ID_BYTES + 1)
			bail_out("head %u came back wrongly", used.head);
		owner[used.head] = NULL;
		idle[idle_count++] = request;
		taken++;
	}
	return taken;
}

/* Halted till the interrupt that was asked for; false if it does not come. */
static bool woken(struct virtqueue *queue, uint64_t interrupts)
{
	uint64_t start = arch_now_ns();

	while (arch_line_count(queue->line) == interrupts) {
		arch_wait_ns(LOST_NS / 20);
		if (arch_now_ns() - start > LOST_NS)
			return false;
	}
	return true;
}

void guest_main(void)
{
	uint64_t count = param_number("requests", 1000), offered = 0, done = 0, kicks = 0;
	struct virtio_device *device = virtio_find(VIRTIO_ID_BLOCK);
	struct virtqueue *queue = &device->queues[0];

	random_state = param_number("seed", 1);
	virtio_start(device, BIT64(VIRTIO_RING_F_EVENT_IDX) |
			     (device->offered & BIT64(VIRTIO_F_RING_PACKED)));
	for (unsigned i = 0; i < DEPTH; i++)
		idle[idle_count++] = &requests[i];
	while (done < count) {
		uint64_t interrupts = arch_line_count(queue->line);
		unsigned in_flight;

		for (unsigned few = some(DEPTH); few && idle_count && offered < count; few--) {
			offer(queue);
			offered++;
		}
		in_flight = DEPTH - idle_count;
		kicks += virtqueue_kick(queue);
		/* Of a packed ring the event counts descriptors: of a whole number of chains. */
		virtqueue_interrupt_after(queue, (uint16_t)(some(in_flight) *
							    (queue->is_packed ? PARTS : 1)));
		if (virtqueue_has_used(queue)) {
			/* The event may lie behind us already: none may come for it. */
			done += take(queue);
			continue;
		}
		if (!woken(queue, interrupts)) {
			note("%lu of %lu done, %u in flight, used ones there: %u", done, count,
			     in_flight, virtqueue_has_used(queue));
			bail_out("a wake-up was lost");
		}
		done += take(queue);
	}
	note("%lu requests, %lu kicks, %lu interrupts", count, kicks, arch_line_count(queue->line));
	ok(kicks <= count, "%lu requests end, and each side wakes the other", count);
}
