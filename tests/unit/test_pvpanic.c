// SPDX-License-Identifier: MIT
/* pvpanic, on a bus. */
#include "tests/unit/unit.h"

#include "hw/pvpanic.h"
#include "tests/unit/boot_files.h"

#define BASE 0x505

static struct bus bus;
static struct request_line requests;
static struct pvpanic pvpanic;

static int setup(void **state)
{
	(void)state;
	assert_int_equal(bus_init(&bus), 0);
	assert_int_equal(request_line_init(&requests), 0);
	return pvpanic_init(&pvpanic, &bus, BASE, &requests);
}

static int teardown(void **state)
{
	(void)state;
	pvpanic_destroy(&pvpanic);
	assert_int_equal(bus.count, 0);
	request_line_destroy(&requests);
	bus_destroy(&bus);
	return 0;
}

static enum request after_write(uint8_t value)
{
	assert_true(bus_access(&bus, BASE, &value, 1, true));
	return request_take(&requests);
}

static void test_events(void **state)
{
	uint8_t offered = 0;

	(void)state;
	/* Only what we take is offered. */
	assert_true(bus_access(&bus, BASE, &offered, 1, false));
	assert_int_equal(offered, 1);
	assert_int_equal(after_write(2), REQUEST_NONE);
	assert_int_equal(after_write(0), REQUEST_NONE);
	assert_int_equal(after_write(1), REQUEST_PANIC);
	assert_int_equal(after_write(3), REQUEST_PANIC);
}

static void test_wide_access(void **state)
{
	uint32_t value = 1;

	(void)state;
	/* It is one byte: what runs past its end is not for it. */
	assert_false(bus_access(&bus, BASE, &value, 4, true));
	assert_int_equal(request_take(&requests), REQUEST_NONE);
	assert_false(bus_access(&bus, BASE, &value, 4, false));
	assert_int_equal(value, UINT32_MAX);
}

static void test_taken_address(void **state)
{
	struct pvpanic second;

	(void)state;
	message_begin();
	assert_true(pvpanic_init(&second, &bus, BASE, &requests) < 0);
	assert_true(message_end("pvpanic: address 0x505 is taken"));
	assert_int_equal(bus.count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wide_access, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_address, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
