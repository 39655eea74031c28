// SPDX-License-Identifier: MIT
/* Every virtio device starts with all that it offers and answers a request. */
#include "kit/arch.h"
#include "kit/subject.h"
#include "kit/tap.h"

void guest_main(void)
{
	struct virtio_device *devices;
	unsigned count = virtio_scan(&devices);

	for (unsigned i = 0; i < count; i++) {
		struct virtio_device *device = &devices[i];

		note("%s: %u:%u, %u queues, %u vectors, features %lx", device->name,
		     device->function->bus, device->function->device, device->queue_count,
		     device->msix.count, device->offered);
		virtio_start(device, virtio_usual_features(device));
	}
	/* All of them live now: they may share a worker. */
	for (unsigned i = 0; i < count; i++) {
		struct virtio_device *device = &devices[i];
		uint64_t start_ns = arch_now_ns();

		ok(subject_works(device), "%s answers", device->name);
		note("%s: in %lu us", device->name, (arch_now_ns() - start_ns) / 1000);
		ok(line_wait(subject_queue(device)->line, 1, REQUEST_NS), "%s interrupts",
		   device->name);
	}
	for (unsigned i = 0; i < count; i++)
		ok(virtio_reset(&devices[i]), "%s resets", devices[i].name);
}
