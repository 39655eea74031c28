// SPDX-License-Identifier: MIT
/*
 * A disk. Operations: randread, randwrite, randrw (7 of 10 read), read, write (one behind the
 * other) and flush. Each request is an indirect chain that is made once and offered again and
 * again.
 */
#include "bench/bench.h"
#include "kit/memory.h"
#include "kit/tap.h"
#include "kit/text.h"

#include <linux/virtio_blk.h>

#define SECTOR_BYTES 512
#define CHAIN_PARTS  3

struct blk_request {
	struct vring_desc table[CHAIN_PARTS];
	struct virtio_blk_outhdr header;
	struct part data;
	uint8_t status;
	uint64_t start_ns;
} __attribute__((aligned(64)));

static struct blk_request *requests;
static uint64_t blocks, next_block;
static unsigned read_of_10;
static bool is_random, is_flush;

static void blk_start(struct virtio_device *device)
{
	bench_start(device, BIT64(VIRTIO_RING_F_EVENT_IDX) | BIT64(VIRTIO_RING_F_INDIRECT_DESC) |
				    BIT64(VIRTIO_BLK_F_FLUSH) | BIT64(VIRTIO_BLK_F_SEG_MAX));
	if (!(device->negotiated & BIT64(VIRTIO_RING_F_INDIRECT_DESC)))
		bail_out("%s offers no indirect descriptors", device->name);
}

static bool choose(const struct bench_test *test)
{
	static const struct {
		const char *name;
		unsigned read_of_10;
		bool is_random, is_flush;
	} operations[] = {
		{ "randread", 10, true, false }, { "randwrite", 0, true, false },
		{ "randrw", 7, true, false },	 { "read", 10, false, false },
		{ "write", 0, false, false },	 { "flush", 0, false, true },
	};

	for (unsigned i = 0; i < ARRAY_COUNT(operations); i++) {
		if (strcmp(operations[i].name, test->operation))
			continue;
		read_of_10 = operations[i].read_of_10;
		is_random = operations[i].is_random;
		is_flush = operations[i].is_flush;
		return true;
	}
	return false;
}

static void prepare_request(struct virtqueue *queue, uint16_t head, uint32_t bytes)
{
	struct blk_request *request = &requests[head];
	const struct part header = { &request->header, sizeof(request->header), false };
	const struct part status = { &request->status, 1, true };
	unsigned last = is_flush ? 1 : 2;

	request->data = (struct part){ is_flush ? NULL : bench_buffer(bytes), bytes, false };
	request->table[0] = virtqueue_table_entry(queue, &header, 0, false);
	request->table[last] = virtqueue_table_entry(queue, &status, last, true);
	request->header = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_FLUSH };
	virtqueue_write(queue, head,
			(struct vring_desc){ (uint64_t)request->table,
					     (is_flush ? 2 : 3) * sizeof(request->table[0]),
					     VRING_DESC_F_INDIRECT, 0 });
}

static bool blk_prepare(struct virtio_device *device, const struct bench_test *test)
{
	struct virtqueue *queue = &device->queues[0];

	if (!choose(test) || !test->depth || test->depth > queue->size)
		return false;
	if (!is_flush && (!test->bytes || test->bytes % SECTOR_BYTES))
		return false;
	blocks = is_flush ? 1 : virtio_config_read64(device, 0) * SECTOR_BYTES / test->bytes;
	next_block = 0;
	if (!blocks)
		return false;
	requests = memory_get(test->depth * sizeof(*requests), 64);
	for (uint16_t head = 0; head < test->depth; head++)
		prepare_request(queue, head, test->bytes);
	return true;
}

static void aim(const struct virtqueue *queue, struct blk_request *request, uint32_t bytes)
{
	bool read = read_of_10 == 10 || (read_of_10 && bench_random() % 10 < read_of_10);
	uint64_t block = is_random ? bench_random() % blocks : next_block;

	next_block = next_block + 1 == blocks ? 0 : next_block + 1;
	request->header.type = read ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT;
	request->header.sector = block * (bytes / SECTOR_BYTES);
	request->data.writable = read;
	request->table[1] = virtqueue_table_entry(queue, &request->data, 1, false);
}

static bool offer(struct bench_run *run, struct virtqueue *queue, uint16_t head, uint64_t now_ns)
{
	struct blk_request *request = &requests[head];

	if (!bench_begin(run, now_ns))
		return false;
	if (!is_flush)
		aim(queue, request, run->test->bytes);
	request->status = 0xff;
	request->start_ns = now_ns;
	virtqueue_offer(queue, head);
	return true;
}

/* Takes back what is done and offers it again; true if there was any. */
static bool blk_round(struct bench_run *run, struct virtqueue *queue)
{
	uint64_t now_ns = arch_now_ns();
	struct used used;
	bool any = false;

	while (virtqueue_poll(queue, &used)) {
		struct blk_request *request = &requests[used.head];

		if (request->status != VIRTIO_BLK_S_OK)
			bail_out("head %u came back with status %u", used.head, request->status);
		bench_done(run, request->start_ns, now_ns, is_flush ? 0 : run->test->bytes);
		offer(run, queue, used.head, now_ns);
		any = true;
	}
	return any;
}

static void blk_run(struct virtio_device *device, struct bench_run *run)
{
	struct virtqueue *queue = &device->queues[0];

	virtqueue_interrupt_never(queue);
	for (uint16_t head = 0; head < run->test->depth; head++)
		offer(run, queue, head, run->begun_ns);
	bench_kick(run, queue);
	while (run->done < run->begun) {
		if (!blk_round(run, queue)) {
			bench_idle(run, queue);
			continue;
		}
		if (queue->next_avail != queue->kicked_avail)
			bench_kick(run, queue);
	}
}

static struct virtqueue *blk_queue(struct virtio_device *device, const struct bench_test *test)
{
	(void)test;
	return &device->queues[0];
}

const struct bench_device bench_blk = {
	.name = "blk",
	.type = VIRTIO_ID_BLOCK,
	.start = blk_start,
	.prepare = blk_prepare,
	.run = blk_run,
	.queue = blk_queue,
};
