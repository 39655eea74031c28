// SPDX-License-Identifier: MIT
/*
 * What a driver reads and writes of a device, whatever the transport, and the
 * machine's reset, pause and resume. vCPU and control threads, under
 * device->lock. A queue is handed to its worker as a goal and nothing waits for
 * it: what a finished reset changes is done by whoever looks next.
 */
#include "virtio/registers.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"

#define STATUS_BITS                                                                                \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |      \
	 VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FAILED)

/* ---- Reset ---- */

static void queue_clear(struct virtqueue *queue)
{
	queue->size = queue->max_size;
	queue->enabled = false;
	queue->resetting = false;
	queue->desc_gpa = queue->avail_gpa = queue->used_gpa = 0;
	queue->next_avail = queue->next_used = 0;
	event_fd_drain(queue->kick_fd);
}

static void device_clear(struct virtio_device *device)
{
	for (unsigned i = 0; i < device->queue_count; i++) {
		queue_clear(&device->queues[i]);
		device->queues[i].was_reset = false;
	}
	if (device->type->reset)
		device->type->reset(device);
	device->negotiated = 0;
	device->resetting = false;
	device->status = 0;
}

/* Finishes what has drained meanwhile. Every register access begins with it; lock held. */
static void settle(struct virtio_device *device)
{
	bool drained = true;

	for (unsigned i = 0; i < device->queue_count; i++) {
		struct virtqueue *queue = &device->queues[i];

		if (!device->resetting && !queue->resetting)
			continue;
		if (!virtqueue_drained(queue)) {
			drained = false;
		} else if (queue->resetting) {
			queue_clear(queue);
			queue->was_reset = true;
		}
	}
	if (device->resetting && drained)
		device_clear(device);
}

static void lock_settled(struct virtio_device *device)
{
	pthread_mutex_lock(&device->lock);
	settle(device);
}

static void begin_reset(struct virtio_device *device)
{
	device->resetting = true;
	/* No more interrupts for configuration changes. */
	atomic_fetch_and(&device->status, (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK);
	for (unsigned i = 0; i < device->queue_count; i++)
		virtqueue_set_goal(&device->queues[i], VIRTQUEUE_STOP);
	settle(device);
}

/* ---- Status and features ---- */

static bool features_acceptable(struct virtio_device *device)
{
	const struct virtio_type *type = device->type;
	uint64_t wanted = device->negotiated;
	uint64_t missing = type->features_missing ? type->features_missing(wanted) : 0;

	if (!(wanted & BIT64(VIRTIO_F_VERSION_1)))
		missing |= BIT64(VIRTIO_F_VERSION_1);
	if (!(wanted & ~device->offered) && !missing)
		return true;
	log_limited(&device->log_limit, "%s: features refused: not offered %#llx, missing %#llx",
		    device->deps.name, (unsigned long long)(wanted & ~device->offered),
		    (unsigned long long)missing);
	return false;
}

static void start_queue(struct virtqueue *queue)
{
	if (!virtqueue_rings_valid(queue)) {
		virtio_fail(queue->device, "queue %u: rings misaligned or outside of memory",
			    queue->index);
		return;
	}
	virtqueue_rewind(queue);
	virtqueue_set_goal(queue, VIRTQUEUE_RUN);
}

/* With the features that were taken; until then the driver may look at all. */
static bool has_queue(const struct virtio_device *device, unsigned index)
{
	const struct virtio_type *type = device->type;

	return !type->has_queue || !(device->status & VIRTIO_CONFIG_S_FEATURES_OK) ||
	       type->has_queue(device, index);
}

static void go_live(struct virtio_device *device)
{
	const struct virtio_type *type = device->type;

	if (type->ready && type->ready(device) < 0) {
		virtio_fail(device, "the host refused what was negotiated");
		return;
	}
	/* One that is not there may have been enabled before that was settled. */
	for (unsigned i = 0; i < device->queue_count; i++)
		if (device->queues[i].enabled && has_queue(device, i) && !virtio_silenced(device))
			start_queue(&device->queues[i]);
}

/* Bits are only ever added; which of them take effect is for the device to say. */
static void add_status(struct virtio_device *device, uint8_t wanted)
{
	uint8_t have = device->status;
	uint8_t added = wanted & ~have & STATUS_BITS;

	if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && !features_acceptable(device))
		added &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!(have & VIRTIO_CONFIG_S_FEATURES_OK))
		added &= ~VIRTIO_CONFIG_S_DRIVER_OK;
	atomic_fetch_or(&device->status, added);
	if (added & VIRTIO_CONFIG_S_FAILED)
		virtqueue_silence(device);
	if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && device->type->features_ok)
		device->type->features_ok(device);
	if ((added & VIRTIO_CONFIG_S_DRIVER_OK) && !virtio_silenced(device)) {
		boot_trace_mark(device->deps.trace, BOOT_DRIVER);
		go_live(device);
	}
}

void virtio_set_status(struct virtio_device *device, uint8_t status)
{
	lock_settled(device);
	if (!status)
		begin_reset(device);
	else if (!device->resetting)
		add_status(device, status);
	pthread_mutex_unlock(&device->lock);
}

uint8_t virtio_get_status(struct virtio_device *device)
{
	uint8_t status;

	lock_settled(device);
	/* A device that had to be drained has FEATURES_OK set until it is. */
	status = device->status;
	pthread_mutex_unlock(&device->lock);
	return status;
}

void virtio_set_driver_features(struct virtio_device *device, unsigned select, uint32_t bits)
{
	lock_settled(device);
	if (select < 2 && !device->resetting && !(device->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
		unsigned shift = select * 32;

		device->negotiated &= ~((uint64_t)UINT32_MAX << shift);
		device->negotiated |= (uint64_t)bits << shift;
	}
	pthread_mutex_unlock(&device->lock);
}

uint32_t virtio_get_driver_features(struct virtio_device *device, unsigned select)
{
	uint32_t bits;

	lock_settled(device);
	bits = select < 2 ? (uint32_t)(device->negotiated >> (select * 32)) : 0;
	pthread_mutex_unlock(&device->lock);
	return bits;
}

/* ---- Configuration space ---- */

uint64_t virtio_config_read(struct virtio_device *device, size_t offset, unsigned length)
{
	uint64_t value = 0;

	pthread_mutex_lock(&device->config_lock);
	if (offset < device->config_size)
		value = load_le(device->config + offset,
				min_u64(length, device->config_size - offset));
	pthread_mutex_unlock(&device->config_lock);
	return value;
}

/* Returns whether any writable bit was touched; lock held. */
static bool config_store(struct virtio_device *device, size_t offset, size_t length,
			 uint64_t value)
{
	bool touched = false;

	pthread_mutex_lock(&device->config_lock);
	for (size_t i = offset; i < offset + length; i++, value >>= 8) {
		uint8_t mask = device->config_writable[i];

		device->config[i] = (device->config[i] & ~mask) | (value & mask);
		touched |= mask;
	}
	pthread_mutex_unlock(&device->config_lock);
	return touched;
}

void virtio_config_write(struct virtio_device *device, size_t offset, unsigned length,
			 uint64_t value)
{
	size_t within;

	if (!device->config_writable || offset >= device->config_size)
		return;
	within = (size_t)min_u64(length, device->config_size - offset);
	lock_settled(device);
	if (config_store(device, offset, within, value) && device->type->config_written)
		device->type->config_written(device, offset, within);
	pthread_mutex_unlock(&device->lock);
}

uint32_t virtio_config_generation(struct virtio_device *device)
{
	uint32_t generation;

	pthread_mutex_lock(&device->config_lock);
	if (device->config_changed)
		device->config_generation++;
	device->config_changed = false;
	generation = device->config_generation;
	pthread_mutex_unlock(&device->config_lock);
	return generation;
}

/* ---- Queues ---- */

static void queue_unlock(struct virtqueue *queue)
{
	pthread_mutex_unlock(&queue->device->lock);
}

/* NULL if it is not there, or a queue of a device that is locked and settled; then unlock. */
static struct virtqueue *queue_locked(struct virtio_device *device, unsigned index)
{
	struct virtqueue *queue;

	if (index >= device->queue_count)
		return NULL;
	queue = &device->queues[index];
	lock_settled(device);
	if (has_queue(device, index))
		return queue;
	queue_unlock(queue);
	return NULL;
}

/* Not while it is in use, and on a live device only after a reset of its own. */
static bool queue_changeable(const struct virtqueue *queue)
{
	const struct virtio_device *device = queue->device;

	return !device->resetting && !queue->enabled &&
	       (queue->was_reset || !(device->status & VIRTIO_CONFIG_S_DRIVER_OK));
}

uint16_t virtio_queue_size(struct virtio_device *device, unsigned index)
{
	struct virtqueue *queue = queue_locked(device, index);
	uint16_t size;

	if (!queue)
		return 0;
	size = queue->size;
	queue_unlock(queue);
	return size;
}

/* Only a packed ring may have a size that is no power of two (2.8). */
static bool queue_size_possible(const struct virtqueue *queue, uint16_t size)
{
	return size && size <= queue->max_size &&
	       (is_power_of_two(size) || virtio_has(queue->device, VIRTIO_F_RING_PACKED));
}

void virtio_queue_set_size(struct virtio_device *device, unsigned index, uint16_t size)
{
	struct virtqueue *queue = queue_locked(device, index);

	if (!queue)
		return;
	if (queue_changeable(queue) && queue_size_possible(queue, size))
		queue->size = size;
	queue_unlock(queue);
}

static uint64_t *queue_address(struct virtqueue *queue, enum virtio_ring_part part)
{
	return part == VIRTIO_RING_DESC	   ? &queue->desc_gpa
	       : part == VIRTIO_RING_AVAIL ? &queue->avail_gpa
					   : &queue->used_gpa;
}

uint64_t virtio_queue_address(struct virtio_device *device, unsigned index,
			      enum virtio_ring_part part)
{
	struct virtqueue *queue = queue_locked(device, index);
	uint64_t gpa;

	if (!queue)
		return 0;
	gpa = *queue_address(queue, part);
	queue_unlock(queue);
	return gpa;
}

void virtio_queue_set_address(struct virtio_device *device, unsigned index,
			      enum virtio_ring_part part, uint64_t gpa)
{
	struct virtqueue *queue = queue_locked(device, index);

	if (!queue)
		return;
	if (queue_changeable(queue))
		*queue_address(queue, part) = gpa;
	queue_unlock(queue);
}

bool virtio_queue_enabled(struct virtio_device *device, unsigned index)
{
	struct virtqueue *queue = queue_locked(device, index);
	bool enabled;

	if (!queue)
		return false;
	enabled = queue->enabled;
	queue_unlock(queue);
	return enabled;
}

void virtio_queue_enable(struct virtio_device *device, unsigned index)
{
	struct virtqueue *queue = queue_locked(device, index);

	if (!queue)
		return;
	if (queue_changeable(queue)) {
		queue->enabled = true;
		if ((device->status & VIRTIO_CONFIG_S_DRIVER_OK) && !virtio_silenced(device))
			start_queue(queue);
	}
	queue_unlock(queue);
}

void virtio_queue_reset(struct virtio_device *device, unsigned index)
{
	struct virtqueue *queue = queue_locked(device, index);

	if (!queue)
		return;
	if (virtio_has(device, VIRTIO_F_RING_RESET) && queue->enabled && !device->resetting) {
		queue->resetting = true;
		virtqueue_set_goal(queue, VIRTQUEUE_STOP);
		settle(device);
	}
	queue_unlock(queue);
}

bool virtio_queue_resetting(struct virtio_device *device, unsigned index)
{
	struct virtqueue *queue = queue_locked(device, index);
	bool resetting;

	if (!queue)
		return false;
	resetting = queue->resetting;
	queue_unlock(queue);
	return resetting;
}

/* ---- For the machine ---- */

static bool any_live(const struct virtio_device *device)
{
	for (unsigned i = 0; i < device->queue_count; i++)
		if (device->queues[i].live)
			return true;
	return false;
}

/* No queue's goal is to run. 0 or -ETIMEDOUT. */
static int wait_drained(struct virtio_device *device, unsigned timeout_ms)
{
	struct timespec deadline;
	int error = 0;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += timeout_ms / 1000;
	deadline.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (deadline.tv_nsec >= 1000000000) {
		deadline.tv_nsec -= 1000000000;
		deadline.tv_sec++;
	}
	pthread_mutex_lock(&device->queue_lock);
	while (any_live(device) && !error)
		error = pthread_cond_timedwait(&device->queue_drained, &device->queue_lock,
					       &deadline);
	error = any_live(device) ? -ETIMEDOUT : 0;
	pthread_mutex_unlock(&device->queue_lock);
	return error;
}

int virtio_device_quiesce(struct virtio_device *device, unsigned timeout_ms)
{
	int error;

	lock_settled(device);
	begin_reset(device);
	pthread_mutex_unlock(&device->lock);
	error = wait_drained(device, timeout_ms);
	lock_settled(device);
	pthread_mutex_unlock(&device->lock);
	return error;
}

int virtio_device_close(struct virtio_device *device, bool wait)
{
	return device->type->close ? device->type->close(device, wait) : 0;
}

static void change_goals(struct virtio_device *device, enum virtqueue_goal from,
			 enum virtqueue_goal to)
{
	lock_settled(device);
	for (unsigned i = 0; i < device->queue_count; i++)
		if (device->queues[i].goal == from)
			virtqueue_set_goal(&device->queues[i], to);
	pthread_mutex_unlock(&device->lock);
}

int virtio_device_pause(struct virtio_device *device, unsigned timeout_ms)
{
	change_goals(device, VIRTQUEUE_RUN, VIRTQUEUE_PAUSE);
	return wait_drained(device, timeout_ms);
}

void virtio_device_resume(struct virtio_device *device)
{
	change_goals(device, VIRTQUEUE_PAUSE, VIRTQUEUE_RUN);
}
