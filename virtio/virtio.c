// SPDX-License-Identifier: MIT
/*
 * What a device author calls: set-up, failure, configuration changes. Any
 * thread, as the header says of each; the registers that the driver sees of it
 * are in registers.c.
 */
#include "virtio/virtio.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"

/* What the queue layer and every transport can do, whatever the device. */
#define VIRTIO_COMMON_FEATURES                                                                     \
	(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_RING_RESET) |                                  \
	 BIT64(VIRTIO_RING_F_INDIRECT_DESC) | BIT64(VIRTIO_RING_F_EVENT_IDX))

static void virtio_locks_init(struct virtio_device *device)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&device->lock, NULL);
	pthread_mutex_init(&device->queue_lock, NULL);
	pthread_mutex_init(&device->config_lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&device->queue_drained, &attributes);
	pthread_condattr_destroy(&attributes);
}

static void virtio_locks_destroy(struct virtio_device *device)
{
	pthread_cond_destroy(&device->queue_drained);
	pthread_mutex_destroy(&device->config_lock);
	pthread_mutex_destroy(&device->queue_lock);
	pthread_mutex_destroy(&device->lock);
}

int virtio_device_init(struct virtio_device *device, const struct virtio_device_config *config)
{
	*device = (struct virtio_device){
		.type = config->type,
		.deps = *config->deps,
		.offered = config->features | VIRTIO_COMMON_FEATURES |
			   (config->deps->packed_ring ? BIT64(VIRTIO_F_RING_PACKED) : 0),
		.queues = config->queues,
		.queue_count = config->queue_count,
		.config = config->config,
		.config_size = config->config_size,
		.config_writable = config->config_writable,
		.config_fd = event_fd_create(),
	};
	/* So that destroying the device is right before all queues are made, too. */
	for (unsigned i = 0; i < device->queue_count; i++)
		device->queues[i] = (struct virtqueue){ .kick_fd = -1, .call_fd = -1 };
	if (device->config_fd < 0)
		return fail_host(-device->config_fd, "%s: eventfd: %s; raise the limit of open "
				 "files (ulimit -n)", device->deps.name,
				 strerror(-device->config_fd));
	virtio_locks_init(device);
	return 0;
}

void virtio_device_destroy(struct virtio_device *device)
{
	for (unsigned i = 0; i < device->queue_count; i++)
		virtqueue_destroy(&device->queues[i]);
	fd_close(&device->config_fd);
	virtio_locks_destroy(device);
}

static void signal_config(struct virtio_device *device)
{
	device->config_signals++;
	event_fd_signal(device->config_fd);
}

void virtio_fail(struct virtio_device *device, const char *format, ...)
{
	char reason[160];
	uint8_t status;
	va_list args;

	status = atomic_fetch_or(&device->status, VIRTIO_CONFIG_S_NEEDS_RESET);
	if (status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	virtqueue_silence(device);
	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	log_limited(&device->log_limit, "%s: %s; stopped until the driver resets it",
		    device->deps.name, reason);
	if (status & VIRTIO_CONFIG_S_DRIVER_OK)
		signal_config(device);
}

void virtio_config_update(struct virtio_device *device, size_t offset, const void *bytes,
			  size_t length)
{
	pthread_mutex_lock(&device->config_lock);
	memcpy(device->config + offset, bytes, length);
	device->config_changed = true;
	pthread_mutex_unlock(&device->config_lock);
	if (device->status & VIRTIO_CONFIG_S_DRIVER_OK)
		signal_config(device);
}
