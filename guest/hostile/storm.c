// SPDX-License-Identifier: MIT
/*
 * Never ends: the first CPU breaks one device after the other, resets and breaks them again, the
 * others kick every queue as fast as they can. For what is asked of a VMM meanwhile: to stop.
 */
#include "kit/hostile.h"
#include "kit/tap.h"

#define LIVES_NS UINT64_C(1000000000) /* which it should not */

static struct virtio_device *devices;
static unsigned device_count;

static void kick_all(unsigned cpu)
{
	(void)cpu;
	for (;;)
		for (unsigned i = 0; i < device_count; i++)
			for (unsigned j = 0; j < devices[i].queue_count; j++)
				if (devices[i].queues[j].notify_gpa)
					mmio_write16(devices[i].queues[j].notify_gpa, (uint16_t)j);
}

static void break_it(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);
	uint64_t end = arch_now_ns() + LIVES_NS;

	virtio_start(device, virtio_usual_features(device));
	virtqueue_write(queue, 0, (struct vring_desc){ 0, 1, VRING_DESC_F_INDIRECT, 0 });
	virtqueue_offer(queue, 0);
	virtqueue_notify(queue);
	while (!virtio_needs_reset(device) && arch_now_ns() < end)
		;
}

void guest_main(void)
{
	device_count = virtio_scan(&devices);
	for (unsigned i = 0; i < device_count; i++)
		virtio_start(&devices[i], virtio_usual_features(&devices[i]));
	for (unsigned cpu = 1; cpu < platform.cpu_count; cpu++)
		arch_cpu_start(cpu, kick_all);
	for (unsigned i = 0;; i++)
		break_it(&devices[i % device_count]);
}
