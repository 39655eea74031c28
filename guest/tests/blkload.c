// SPDX-License-Identifier: MIT
/*
 * A steady load on the first disk, with few instructions a request: for tests/figures, which counts
 * what it costs the host. Each request is an indirect chain made once; a round takes what has come
 * back, offers as many again, kicks once and halts till the next interrupt, as a Linux driver does.
 * Params: requests=N, depth=D (at most 64), write=1, hold: halt at the end instead of powering off.
 */
#include "kit/memory.h"
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"

#define BLOCK_BYTES   4096
#define BLOCK_SECTORS (BLOCK_BYTES / 512)
#define DEPTH_MAX     64
#define CHAIN_PARTS   3

struct load_request {
	struct vring_desc table[CHAIN_PARTS];
	struct virtio_blk_outhdr header;
	uint8_t status;
};

static struct load_request *requests;
static uint64_t blocks, next_block;

static void prepare(struct virtqueue *queue, uint16_t head, bool write)
{
	struct load_request *request = &requests[head];
	const struct part parts[] = {
		{ &request->header, sizeof(request->header), false },
		{ memory_get_raw(BLOCK_BYTES, BLOCK_BYTES), BLOCK_BYTES, !write },
		{ &request->status, 1, true },
	};

	request->header.type = write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN;
	for (unsigned i = 0; i < 3; i++)
		request->table[i] = virtqueue_table_entry(queue, &parts[i], i, i == 2);
	virtqueue_write(queue, head,
			(struct vring_desc){ (uint64_t)request->table, sizeof(request->table),
					     VRING_DESC_F_INDIRECT, 0 });
}

static void offer(struct virtqueue *queue, uint16_t head)
{
	requests[head].header.sector = next_block * BLOCK_SECTORS;
	next_block = next_block + 1 == blocks ? 0 : next_block + 1;
	virtqueue_offer(queue, head);
}

/* Takes what is back and offers as many anew while `left` lasts; returns how many were back. */
static uint64_t round(struct virtqueue *queue, uint64_t *left)
{
	struct used used;
	uint64_t back = 0;

	while (virtqueue_poll(queue, &used)) {
		if (used.head >= DEPTH_MAX || requests[used.head].status != VIRTIO_BLK_S_OK)
			bail_out("head %u came back with status %u", used.head,
				 used.head < DEPTH_MAX ? requests[used.head].status : 0);
		back++;
		if (*left) {
			--*left;
			offer(queue, used.head);
		}
	}
	return back;
}

void guest_main(void)
{
	uint64_t count = param_number("requests", 1000), done = 0, left, kicks = 0, start;
	uint64_t depth = param_number("depth", 1);
	struct virtio_device *device = virtio_find(VIRTIO_ID_BLOCK);
	struct virtqueue *queue = &device->queues[0];

	if (!depth || depth > DEPTH_MAX || depth > count)
		bail_out("depth=%lu: 1 to %u, and no more than requests", depth, DEPTH_MAX);
	virtio_start(device, BIT64(VIRTIO_RING_F_EVENT_IDX) | BIT64(VIRTIO_RING_F_INDIRECT_DESC) |
			     (device->offered & BIT64(VIRTIO_F_RING_PACKED)));
	blocks = virtio_config_read64(device, 0) / BLOCK_SECTORS;
	requests = memory_get(DEPTH_MAX * sizeof(*requests), 64);
	for (uint16_t head = 0; head < depth; head++) {
		prepare(queue, head, param_number("write", 0));
		offer(queue, head);
	}
	left = count - depth;
	start = arch_now_ns();
	while (done < count) {
		virtqueue_interrupt_after(queue, 1);
		kicks += virtqueue_kick(queue);
		while (!virtqueue_has_used(queue))
			arch_cpu_pause();
		done += round(queue, &left);
	}
	note("load: requests %lu kicks %lu interrupts %lu us %lu", count, kicks,
	     arch_line_count(queue->line), (arch_now_ns() - start) / 1000);
	ok(true, "%lu requests end", count);
	while (param_is_set("hold"))
		arch_cpu_pause();
}
