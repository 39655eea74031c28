// SPDX-License-Identifier: MIT
/* Power registers and the keyboard controller's reset, on a bus. */
#include "tests/unit/unit.h"

#include "base/bytes.h"
#include "base/fd.h"
#include "hw/i8042.h"
#include "hw/power.h"
#include "tests/unit/boot_files.h"

#define BASE  0x600
#define I8042 0x64

static struct bus bus;
static struct request_line requests;
static struct power power;
static struct i8042 i8042;
static int event_fd;

static int setup(void **state)
{
	(void)state;
	event_fd = event_fd_create();
	assert_true(event_fd >= 0);
	assert_int_equal(bus_init(&bus), 0);
	assert_int_equal(request_line_init(&requests), 0);
	assert_int_equal(power_init(&power, &(struct power_config){
		.bus = &bus, .base = BASE, .requests = &requests,
		.event_fd = event_fd,
	}), 0);
	return i8042_init(&i8042, &bus, I8042, &requests);
}

static int teardown(void **state)
{
	(void)state;
	i8042_destroy(&i8042);
	power_destroy(&power);
	assert_int_equal(bus.count, 0);
	request_line_destroy(&requests);
	bus_destroy(&bus);
	fd_close(&event_fd);
	return 0;
}

static enum request after_write(uint64_t port, unsigned length, uint32_t value)
{
	assert_true(bus_access(&bus, port, &value, length, true));
	return request_take(&requests);
}

static uint32_t read_port(uint64_t port, unsigned length)
{
	uint32_t value = 0;

	assert_true(bus_access(&bus, port, &value, length, false));
	return value;
}

static void test_sleep(void **state)
{
	uint32_t off = POWER_SLEEP_TYPE_OFF << 2 | 0x20;

	(void)state;
	assert_int_equal(after_write(BASE + POWER_SLEEP_CONTROL, 1, off), REQUEST_POWER_OFF);
	/* Without SLP_EN, with another type, or too wide: nothing. */
	assert_int_equal(after_write(BASE + POWER_SLEEP_CONTROL, 1, off & ~0x20u), REQUEST_NONE);
	assert_int_equal(after_write(BASE + POWER_SLEEP_CONTROL, 1, 3 << 2 | 0x20), REQUEST_NONE);
	assert_int_equal(after_write(BASE + POWER_SLEEP_CONTROL, 2, off), REQUEST_NONE);
	/* WAK_STS is cleared by writing it; it is never set. */
	assert_int_equal(after_write(BASE + POWER_SLEEP_STATUS, 1, 0x80), REQUEST_NONE);
	assert_int_equal(read_port(BASE + POWER_SLEEP_STATUS, 1), 0);
}

static void test_reset(void **state)
{
	(void)state;
	assert_int_equal(after_write(BASE + POWER_RESET, 1, POWER_RESET_VALUE), REQUEST_RESET);
	assert_int_equal(after_write(BASE + POWER_RESET, 1, 0xff), REQUEST_NONE);
	assert_int_equal(after_write(I8042, 1, 0xfe), REQUEST_RESET);
	assert_int_equal(after_write(I8042, 1, 0xd1), REQUEST_NONE);
	assert_int_equal(read_port(I8042, 1), 0);
}

static void test_button(void **state)
{
	(void)state;
	assert_int_equal(read_port(BASE + POWER_EVENTS, 4), 0);
	power_press_button(&power);
	power_press_button(&power);
	assert_int_equal(event_fd_drain(event_fd), 2);
	assert_int_equal(read_port(BASE + POWER_EVENTS, 4), POWER_EVENT_BUTTON);
	assert_int_equal(read_port(BASE + POWER_EVENTS, 4), 0);
	power_press_button(&power);
	power_reset(&power);
	assert_int_equal(read_port(BASE + POWER_EVENTS, 1), 0);
}

static void test_taken_addresses(void **state)
{
	struct power_config config = { .bus = &bus, .base = BASE + 4 };
	struct power other;
	struct i8042 second;
	unsigned count = bus.count;

	(void)state;
	message_begin();
	assert_true(power_init(&other, &config) < 0);
	assert_true(message_end("power: registers"));
	message_begin();
	assert_true(i8042_init(&second, &bus, I8042, &requests) < 0);
	assert_true(message_end("port 0x64 is taken"));
	assert_int_equal(bus.count, count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sleep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_button, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_addresses, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
