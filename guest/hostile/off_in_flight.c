// SPDX-License-Identifier: MIT
/*
 * H58: the machine is powered off with requests on their way on every queue of a disk. Nothing is
 * told after that: how ringvm ends is what is looked at.
 */
#include "kit/memory.h"
#include "kit/subject.h"
#include "kit/tap.h"

#define BYTES (64 * 1024)

static struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_IN };
static uint8_t status;

static void fill(struct virtqueue *queue, uint8_t *buffer)
{
	struct part parts[] = { { &header, sizeof(header), false },
				{ buffer, BYTES, true },
				{ &status, 1, true } };

	while (virtqueue_add(queue, parts, 3) != VIRTQUEUE_FULL)
		;
	virtqueue_notify(queue);
}

void guest_main(void)
{
	struct virtio_device *device = virtio_find(VIRTIO_ID_BLOCK);
	uint8_t *buffer = memory_get_raw(BYTES, 4096);

	virtio_start(device, virtio_usual_features(device));
	note("H58 %s: power-off with requests in flight", device->name);
	for (uint16_t i = 0; i < device->queue_count; i++)
		fill(&device->queues[i], buffer);
	arch_power_off();
}
