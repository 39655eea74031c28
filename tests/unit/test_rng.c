// SPDX-License-Identifier: MIT
/* The entropy device, driven through its queue. */
#include "tests/unit/unit.h"
#include "tests/unit/driver.h"

#include <string.h>

#include "virtio/rng.h"

static int set_up(void **state)
{
	struct driver_config config = { .type = &virtio_rng };

	*state = driver_create(&config);
	driver_begin(*state);
	return 0;
}

static int tear_down(void **state)
{
	driver_destroy(*state);
	return 0;
}

static void fills_a_buffer(void **state)
{
	static const uint8_t zeros[64];
	struct driver *driver = *state;
	struct driver_part first = driver_in(driver, 64), second = driver_in(driver, 64);

	assert_int_equal(driver_request(&driver->queues[0], &first, 1), 64);
	assert_int_equal(driver_request(&driver->queues[0], &second, 1), 64);
	assert_memory_not_equal(driver_at(driver, first.gpa), zeros, 64);
	assert_memory_not_equal(driver_at(driver, first.gpa), driver_at(driver, second.gpa), 64);
}

static void writes_no_byte_more(void **state)
{
	struct driver *driver = *state;
	struct driver_part part = driver_in(driver, 64);
	uint8_t *bytes = driver_at(driver, part.gpa);

	part.bytes = 1;
	assert_int_equal(driver_request(&driver->queues[0], &part, 1), 1);
	for (unsigned i = 1; i < 64; i++)
		assert_int_equal(bytes[i], 0);
}

static void fills_every_part(void **state)
{
	static const uint8_t zeros[64];
	struct driver *driver = *state;
	struct driver_part parts[] = { driver_in(driver, 64), driver_in(driver, 64),
				       driver_in(driver, 8192) };
	const uint8_t *last = driver_at(driver, parts[2].gpa);

	parts[0].bytes = 1;
	assert_int_equal(driver_request(&driver->queues[0], parts, 3), 4096);
	assert_memory_not_equal(driver_at(driver, parts[1].gpa), zeros, 64);
	assert_memory_not_equal(last, zeros, 64);
	assert_memory_not_equal(last + 4096 - 65 - 64, zeros, 64);
	for (unsigned i = 4096 - 65; i < 8192; i++)
		assert_int_equal(last[i], 0);
}

static void bounds_a_request(void **state)
{
	struct driver *driver = *state;
	struct driver_part part = driver_in(driver, 1 << 20);
	uint32_t written = driver_request(&driver->queues[0], &part, 1);

	assert_in_range(written, 1, 64 * 1024);
}

/* The host may have to zero a page for each. */
static void writes_to_few_parts(void **state)
{
	struct driver *driver = *state;
	struct driver_part parts[6];

	for (unsigned i = 0; i < 6; i++) {
		parts[i] = driver_in(driver, 64);
		parts[i].bytes = 1;
	}
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(driver_request(&driver->queues[0], parts, 6), 4);
	for (unsigned i = 4; i < 6; i++)
		assert_int_equal(*(uint8_t *)driver_at(driver, parts[i].gpa), 0);
}

static void returns_a_buffer_that_it_may_not_write(void **state)
{
	struct driver *driver = *state;
	struct driver_part readable = driver_out(driver, "seed", 4), part = driver_in(driver, 8);

	assert_int_equal(driver_request(&driver->queues[0], &readable, 1), 0);
	assert_memory_equal(driver_at(driver, readable.gpa), "seed", 4);
	assert_int_equal(driver_request(&driver->queues[0], &part, 1), 8);
}

static void serves_again_after_resets(void **state)
{
	struct driver *driver = *state;

	for (unsigned i = 0; i < 50; i++) {
		uint64_t mark = driver_mark(driver);
		struct driver_part part = driver_in(driver, 16);

		assert_int_equal(driver_request(&driver->queues[0], &part, 1), 16);
		driver_reset(driver);
		driver_rewind(driver, mark);
		driver_begin(driver);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(fills_a_buffer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(writes_no_byte_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(fills_every_part, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bounds_a_request, set_up, tear_down),
		cmocka_unit_test_setup_teardown(writes_to_few_parts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(returns_a_buffer_that_it_may_not_write, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(serves_again_after_resets, set_up, tear_down),
	};

	return driver_run_on_both_rings(tests, NULL, NULL);
}
