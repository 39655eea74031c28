// SPDX-License-Identifier: MIT
/*
 * vhost=on: what the kernel is told and when, and what it says back. The calls of
 * /dev/vhost-net are played here.
 */
#include "tests/unit/file_updates.h"
#include "tests/unit/net_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"

#define ITS_FEATURES                                                                               \
	(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_RING_F_EVENT_IDX) |                              \
	 BIT64(VIRTIO_RING_F_INDIRECT_DESC) | BIT64(VIRTIO_NET_F_MRG_RXBUF))

/* What the kernel knows of a ring. The test reads it once `backend` says that all is there. */
struct fake_ring {
	unsigned size, base;
	struct vhost_vring_addr address;
	int kick_fd, call_fd, error_fd;
	_Atomic int backend;
};

static struct fake {
	int open_error;
	_Atomic unsigned long fail_request;
	_Atomic unsigned long fail_transmit; /* of the second ring alone */
	uint64_t features, set_features;
	bool owned;
	struct vhost_memory_region region;
	unsigned region_count;
	unsigned stopped_at; /* where a ring is said to have stopped */
	struct fake_ring rings[2];
} fake;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_open(const char *path, int flags, ...)
{
	if (strcmp(path, "/dev/vhost-net"))
		return __real_open(path, flags, 0);
	errno = fake.open_error;
	return errno ? -1 : eventfd(0, EFD_CLOEXEC);
}

static int set_memory(const struct vhost_memory *memory)
{
	fake.region_count = memory->nregions;
	fake.region = memory->regions[0];
	return 0;
}

/* Calls whose argument begins with the ring's number. */
static int ring_call(unsigned long request, void *argument)
{
	struct vhost_vring_state *state = argument;
	struct vhost_vring_file *file = argument;
	struct fake_ring *ring = &fake.rings[state->index];

	assert_in_range(state->index, 0, 1);
	if (request == fake.fail_transmit && state->index == VHOST_NET_TRANSMIT) {
		errno = EINVAL;
		return -1;
	}
	switch (request) {
	case VHOST_SET_VRING_NUM:
		ring->size = state->num;
		break;
	case VHOST_SET_VRING_BASE:
		ring->base = state->num;
		break;
	case VHOST_GET_VRING_BASE:
		assert_int_equal(ring->backend, -1);
		state->num = fake.stopped_at;
		break;
	case VHOST_SET_VRING_ADDR:
		ring->address = *(struct vhost_vring_addr *)argument;
		break;
	case VHOST_SET_VRING_KICK:
		ring->kick_fd = file->fd;
		break;
	case VHOST_SET_VRING_CALL:
		ring->call_fd = file->fd;
		break;
	case VHOST_SET_VRING_ERR:
		ring->error_fd = file->fd;
		break;
	case VHOST_NET_SET_BACKEND:
		ring->backend = file->fd;
		break;
	default:
		fail_msg("ioctl %#lx", request);
	}
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *argument;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	(void)fd;
	if (request == fake.fail_request) {
		errno = EINVAL;
		return -1;
	}
	switch (request) {
	case VHOST_SET_OWNER:
		fake.owned = true;
		return 0;
	case VHOST_GET_FEATURES:
		assert_true(fake.owned);
		*(uint64_t *)argument = fake.features;
		return 0;
	case VHOST_SET_FEATURES:
		fake.set_features = *(uint64_t *)argument;
		return 0;
	case VHOST_SET_MEM_TABLE:
		assert_true(fake.owned);
		return set_memory(argument);
	default:
		return ring_call(request, argument);
	}
}

static int setup(void **state)
{
	(void)state;
	fake = (struct fake){ .features = ITS_FEATURES | BIT64(VHOST_NET_F_VIRTIO_NET_HDR) |
					  BIT64(VHOST_F_LOG_ALL) };
	fake.rings[0].backend = fake.rings[1].backend = -1;
	return 0;
}

static void wait_backends(bool served)
{
	uint64_t end_us = rig_now_us() + RIG_TIMEOUT_MS * 1000;

	while ((fake.rings[0].backend >= 0) != served || (fake.rings[1].backend >= 0) != served) {
		assert_true(rig_now_us() < end_us);
		rig_nap_ms(1);
	}
}

static void test_opening(void **state)
{
	static const unsigned long calls[] = {
		VHOST_SET_OWNER, VHOST_GET_FEATURES, VHOST_SET_MEM_TABLE
	};
	static const int errors[] = { ENOENT, ENODEV, EACCES, EPERM };
	const struct guest_memory memory = { .count = 1 };
	struct vhost_net vhost;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		fake.open_error = errors[i];
		assert_true(fail_is_host(vhost_net_open(&vhost, "net0", &memory)));
	}
	fake.open_error = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
		fake.fail_request = calls[i];
		assert_true(fail_is_host(vhost_net_open(&vhost, "net0", &memory)));
		assert_int_equal(vhost.fd, -1);
	}
}

static void test_offers_what_both_can(void **state)
{
	const uint64_t ours = BIT64(VIRTIO_NET_F_CTRL_VQ) | BIT64(VIRTIO_NET_F_CTRL_RX) |
			      BIT64(VIRTIO_NET_F_CTRL_RX_EXTRA) | BIT64(VIRTIO_F_RING_PACKED) |
			      BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR) | BIT64(VIRTIO_NET_F_MQ);
	struct rig *rig = rig_create(&(struct rig_config){ .vhost = true });
	uint64_t offered = rig->net->device.offered;

	(void)state;
	assert_int_equal(offered & ours, 0);
	assert_int_equal(offered & ITS_FEATURES, ITS_FEATURES);
	/* 5.1.2: and then there is no control queue. */
	assert_int_equal(rig->net->device.queue_count, 2);
	/* Checksums and segments are between the driver and the tap. */
	assert_true(offered & BIT64(VIRTIO_NET_F_HOST_TSO4));
	rig_destroy(rig);
	fake.features = BIT64(VIRTIO_F_VERSION_1);
	rig = rig_create(&(struct rig_config){ .vhost = true });
	assert_int_equal(rig->net->device.offered & ITS_FEATURES, BIT64(VIRTIO_F_VERSION_1));
	rig_destroy(rig);
}

/* For buffers that were there before the kernel was: it comes after the ring has its backend. */
static void wait_kick(const struct virtqueue *queue)
{
	struct pollfd kick = { .fd = queue->kick_fd, .events = POLLIN };

	assert_int_equal(poll(&kick, 1, RIG_TIMEOUT_MS), 1);
	event_fd_drain(queue->kick_fd);
}

static void check_ring(struct rig *rig, unsigned index)
{
	const struct virtqueue *queue = &rig->net->queues[index];
	const struct fake_ring *ring = &fake.rings[index];

	assert_int_equal(ring->size, queue->size);
	assert_int_equal(ring->base, 0);
	assert_int_equal(ring->kick_fd, queue->kick_fd);
	assert_int_equal(ring->call_fd, queue->call_fd);
	assert_int_equal(ring->backend, rig->net->link->ops->vhost_fd(rig->net->pairs[0].link));
	assert_int_equal(ring->address.desc_user_addr,
			 (uintptr_t)driver_at(rig->driver, queue->desc_gpa));
	assert_int_equal(ring->address.avail_user_addr,
			 (uintptr_t)driver_at(rig->driver, queue->avail_gpa));
	assert_int_equal(ring->address.used_user_addr,
			 (uintptr_t)driver_at(rig->driver, queue->used_gpa));
	wait_kick(queue);
}

static void test_hands_over_and_takes_back(void **state)
{
	struct rig *rig = rig_create(&(struct rig_config){ .vhost = true });

	(void)state;
	assert_int_equal(fake.region_count, 1);
	assert_int_equal(fake.region.guest_phys_addr, DRIVER_MEMORY_GPA);
	assert_int_equal(fake.region.memory_size, DRIVER_MEMORY_BYTES);
	assert_int_equal(fake.region.userspace_addr,
			 (uintptr_t)driver_at(rig->driver, DRIVER_MEMORY_GPA));
	for (unsigned i = 0; i < 3; i++) {
		driver_begin(rig->driver);
		wait_backends(true);
		/* None of those that vhost has of its own, which would change the header. */
		assert_int_equal(fake.set_features, ITS_FEATURES);
		check_ring(rig, 0);
		check_ring(rig, 1);
		driver_reset(rig->driver);
		/* The status read 0: by then nobody touches guest memory. */
		assert_int_equal(fake.rings[0].backend, -1);
		assert_int_equal(fake.rings[1].backend, -1);
	}
	rig_destroy(rig);
}

static void test_resets_leave_the_file_table_alone(void **state)
{
	struct rig *rig = rig_create(&(struct rig_config){ .vhost = true });
	uint64_t mark = driver_mark(rig->driver);
	unsigned before = 0;

	(void)state;
	for (unsigned i = 0; i <= file_updates_rounds(); i++) {
		driver_rewind(rig->driver, mark);
		driver_begin(rig->driver);
		while (fake.rings[0].backend < 0 || fake.rings[1].backend < 0)
			sched_yield();
		if (!i)
			before = file_updates();
		driver_reset(rig->driver);
	}
	assert_int_equal(file_updates(), before);
	rig_destroy(rig);
}

static void test_tap_without_headers(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ .vhost = true, .bare = true });

	(void)state;
	wait_backends(true);
	assert_int_equal(fake.set_features, ITS_FEATURES | BIT64(VHOST_NET_F_VIRTIO_NET_HDR));
	rig_destroy(rig);
}

static void test_pause_goes_on_where_it_was(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ .vhost = true });

	(void)state;
	wait_backends(true);
	fake.stopped_at = 65535;
	assert_int_equal(virtio_device_pause(rig->driver->device, RIG_TIMEOUT_MS), 0);
	assert_int_equal(fake.rings[0].backend, -1);
	assert_int_equal(fake.rings[1].backend, -1);
	virtio_device_resume(rig->driver->device);
	wait_backends(true);
	assert_int_equal(fake.rings[0].base, 65535);
	assert_int_equal(fake.rings[1].base, 65535);
	rig_destroy(rig);
}

/* DRIVER_OK, for a device that may break before its status can be read. */
static void begin_to_break(struct driver *driver)
{
	struct virtio_device *device = driver->device;

	assert_true(driver_negotiate(driver, device->offered));
	for (unsigned i = 0; i < device->queue_count; i++)
		driver_set_up_queue(driver, i, 0);
	virtio_set_status(device, virtio_get_status(device) | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void test_refusal_breaks_the_device(void **state)
{
	static const unsigned long calls[] = {
		VHOST_SET_FEATURES,   VHOST_SET_VRING_NUM,  VHOST_SET_VRING_BASE,
		VHOST_SET_VRING_ADDR, VHOST_SET_VRING_ERR,  VHOST_SET_VRING_CALL,
		VHOST_SET_VRING_KICK, VHOST_NET_SET_BACKEND,
	};
	struct rig *rig = rig_create(&(struct rig_config){ .vhost = true });

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
		fake.fail_request = calls[i];
		begin_to_break(rig->driver);
		driver_wait_status(rig->driver, VIRTIO_CONFIG_S_NEEDS_RESET);
		assert_int_equal(fake.rings[0].backend, -1);
		fake.fail_request = 0;
		driver_reset(rig->driver);
	}
	driver_begin(rig->driver);
	wait_backends(true);
	rig_destroy(rig);
}

/* A device that has failed does nothing, with neither of its queues. */
static void test_refusal_of_one_ring_takes_back_the_other(void **state)
{
	struct rig *rig = rig_create(&(struct rig_config){ .vhost = true });

	(void)state;
	fake.fail_transmit = VHOST_SET_VRING_KICK;
	begin_to_break(rig->driver);
	driver_wait_status(rig->driver, VIRTIO_CONFIG_S_NEEDS_RESET);
	wait_backends(false);
	fake.fail_transmit = 0;
	driver_reset(rig->driver);
	driver_begin(rig->driver);
	wait_backends(true);
	rig_destroy(rig);
}

/* Nor does one that its driver has given up. */
static void test_failed_by_its_driver(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ .vhost = true });
	struct virtio_device *device = rig->driver->device;

	(void)state;
	wait_backends(true);
	virtio_set_status(device, virtio_get_status(device) | VIRTIO_CONFIG_S_FAILED);
	wait_backends(false);
	driver_reset(rig->driver);
	driver_begin(rig->driver);
	wait_backends(true);
	rig_destroy(rig);
}

static void test_kernel_gives_up_on_a_ring(void **state)
{
	struct rig *rig = rig_begin(&(struct rig_config){ .vhost = true });

	(void)state;
	wait_backends(true);
	event_fd_signal(fake.rings[1].error_fd);
	driver_wait_status(rig->driver, VIRTIO_CONFIG_S_NEEDS_RESET);
	wait_backends(false);
	/* Nor does it begin anew before it is reset. */
	assert_int_equal(virtio_device_pause(rig->driver->device, RIG_TIMEOUT_MS), 0);
	virtio_device_resume(rig->driver->device);
	assert_int_equal(virtio_device_pause(rig->driver->device, RIG_TIMEOUT_MS), 0);
	assert_int_equal(fake.rings[0].backend, -1);
	assert_int_equal(fake.rings[1].backend, -1);
	driver_reset(rig->driver);
	driver_begin(rig->driver);
	wait_backends(true);
	assert_int_equal(virtio_get_status(rig->driver->device) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	rig_destroy(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_opening, setup),
		cmocka_unit_test_setup(test_offers_what_both_can, setup),
		cmocka_unit_test_setup(test_hands_over_and_takes_back, setup),
		cmocka_unit_test_setup(test_resets_leave_the_file_table_alone, setup),
		cmocka_unit_test_setup(test_tap_without_headers, setup),
		cmocka_unit_test_setup(test_pause_goes_on_where_it_was, setup),
		cmocka_unit_test_setup(test_refusal_breaks_the_device, setup),
		cmocka_unit_test_setup(test_refusal_of_one_ring_takes_back_the_other, setup),
		cmocka_unit_test_setup(test_failed_by_its_driver, setup),
		cmocka_unit_test_setup(test_kernel_gives_up_on_a_ring, setup),
	};

	return driver_run_on_both_rings(tests, NULL, NULL);
}
