// SPDX-License-Identifier: MIT
/* A host without memory or file descriptors, as the queue layer meets it. */
#include "tests/unit/unit.h"
#include "tests/unit/probe.h"

#include <errno.h>

#include "base/fd.h"
#include "virtio/rng.h"
#include "virtio/virtqueue_run.h"

/* The linker puts these in front (--wrap); each fails once its count has run out. */
static _Atomic int event_fds_left = -1, rows_left = -1, callocs_left = -1;

int __real_event_fd_create(void);
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
int __wrap_event_fd_create(void);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);

static bool exhausted(_Atomic int *left)
{
	return *left >= 0 && (*left)-- == 0;
}

int __wrap_event_fd_create(void)
{
	return exhausted(&event_fds_left) ? -EMFILE : __real_event_fd_create();
}

void *__wrap_malloc(size_t bytes)
{
	if (bytes == sizeof(struct virtqueue_row) && exhausted(&rows_left))
		return NULL;
	return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return exhausted(&callocs_left) ? NULL : __real_calloc(count, bytes);
}

static struct driver *create(void)
{
	struct driver_config config = { .type = &virtio_probe, .queue_size = 16 };

	return driver_create(&config);
}

static void expect_service(struct driver *driver)
{
	struct driver_part part = driver_in(driver, 8);

	assert_int_equal(driver_request(&driver->queues[0], &part, 1), 8);
}

/* Either the run itself or its first row: the guest sees a device that needs a reset. */
static void no_memory_to_start(void **state)
{
	struct driver *driver = create();

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_true(driver_negotiate(driver, driver->device->offered));
		driver_set_up_queue(driver, 0, 16);
		callocs_left = i ? -1 : 0;
		rows_left = i ? 0 : -1;
		virtio_set_status(driver->device, 0xf);
		driver_wait_status(driver, VIRTIO_CONFIG_S_NEEDS_RESET);
		assert_int_equal(probe_of(driver)->counts.start, 0);
		driver_reset(driver);
	}
	driver_begin(driver);
	expect_service(driver);
	driver_destroy(driver);
}

static void no_memory_for_a_long_chain(void **state)
{
	struct driver *driver = create();
	struct driver_part parts[VIRTQUEUE_SHORT + 1];

	(void)state;
	driver_begin(driver);
	expect_service(driver);
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
		parts[i] = driver_in(driver, 8);
	for (unsigned i = 0; i < PROBE_QUEUES; i++)
		probe_held(driver, i); /* each has begun, with a row of its own */
	rows_left = 0;
	assert_int_equal(driver_request(&driver->queues[0], parts, ARRAY_SIZE(parts)), 0);
	assert_int_equal(driver_request(&driver->queues[0], parts, ARRAY_SIZE(parts)), 8);
	driver_destroy(driver);
}

static void no_file_descriptor_to_create(void **state)
{
	struct driver *driver = create();
	struct virtio_deps deps = driver->device->deps;
	struct virtio_device *device = NULL;

	(void)state;
	for (int left = 0; left < 3; left++) { /* config, kick, call */
		int failure;

		event_fds_left = left;
		failure = virtio_rng.create(NULL, &deps, &device);
		assert_true(failure < 0);
		assert_int_equal(fail_error(failure), EMFILE);
		assert_true(fail_is_host(failure));
		assert_null(device);
	}
	callocs_left = 0;
	assert_int_equal(fail_error(virtio_rng.create(NULL, &deps, &device)), ENOMEM);
	driver_destroy(driver);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_memory_to_start),
		cmocka_unit_test(no_memory_for_a_long_chain),
		cmocka_unit_test(no_file_descriptor_to_create),
	};

	return driver_run_on_both_rings(tests, NULL, NULL);
}
