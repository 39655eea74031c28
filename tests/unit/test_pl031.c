// SPDX-License-Identifier: MIT
/* The clock as a driver sees it, through the bus; its interrupt is an eventfd that counts edges. */
#include "tests/unit/unit.h"

#include <time.h>

#include "base/bytes.h"
#include "hw/pl031.h"
#include "hw/primecell.h"
#include "tests/unit/boot_files.h"
#include "tests/unit/chip_rig.h"

#define BASE UINT64_C(0x1010000)
#define TIMEOUT_MS 20000
#define DAY 86400

static struct chip_rig rig;
static struct pl031 pl031;

static uint32_t in(uint64_t reg)
{
	uint32_t value = 0;

	assert_true(bus_access(&rig.bus, BASE + reg, &value, 4, false));
	return value;
}

static void out(uint64_t reg, uint32_t value)
{
	assert_true(bus_access(&rig.bus, BASE + reg, &value, 4, true));
}

/* Until the clock has come to this second. */
static void wait_second(uint32_t second)
{
	while ((int32_t)(in(PL031_DATA) - second) < 0)
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
}

static int setup(void **state)
{
	(void)state;
	chip_rig_create(&rig);
	assert_int_equal(pl031_init(&pl031, &(struct pl031_config){
		.bus = &rig.bus, .base = BASE, .irq_event_fd = rig.irq_fd, .worker = &rig.worker,
	}), 0);
	return worker_start(&rig.worker);
}

static void destroy(struct worker_task *task)
{
	(void)task;
	pl031_destroy(&pl031);
}

static int teardown(void **state)
{
	(void)state;
	chip_rig_destroy(&rig, destroy);
	return 0;
}

static void test_time(void **state)
{
	uint32_t before = (uint32_t)time(NULL), now = in(PL031_DATA);

	(void)state;
	assert_in_range(now, before, (uint32_t)time(NULL));
	assert_int_equal(in(PL031_CONTROL), 1);
	out(PL031_CONTROL, 0);
	assert_int_equal(in(PL031_CONTROL), 1);
	/* Set, it goes on from there; a reset does not lose the time. */
	out(PL031_LOAD, 1000);
	assert_int_equal(in(PL031_LOAD), 1000);
	assert_in_range(in(PL031_DATA), 1000, 1020);
	pl031_reset(&pl031);
	assert_in_range(in(PL031_DATA), 1000, 1020);
	wait_second(1001);
	out(PL031_LOAD, UINT32_MAX);
	wait_second(0); /* it wraps */
}

static void test_alarm(void **state)
{
	uint32_t due = in(PL031_DATA) + 2;

	(void)state;
	out(PL031_CLEAR, PL031_ALARM);
	out(PL031_MATCH, due);
	out(PL031_MASK, PL031_ALARM);
	assert_int_equal(in(PL031_MATCH), due);
	assert_int_equal(in(PL031_RAW_STATUS), 0);
	assert_true(chip_rig_edge(&rig, TIMEOUT_MS));
	assert_true(in(PL031_DATA) >= due);
	assert_int_equal(in(PL031_STATUS), PL031_ALARM);
	out(PL031_CLEAR, 0);
	assert_int_equal(in(PL031_STATUS), PL031_ALARM);
	out(PL031_CLEAR, PL031_ALARM);
	assert_int_equal(in(PL031_STATUS), 0);
	assert_int_equal(in(PL031_RAW_STATUS), 0);
	assert_false(chip_rig_edge(&rig, 0));
}

/* Masked, it is remembered; the interrupt comes with the mask. */
static void test_masked_alarm(void **state)
{
	(void)state;
	out(PL031_MATCH, in(PL031_DATA)); /* now */
	while (!in(PL031_RAW_STATUS))
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	assert_int_equal(in(PL031_STATUS), 0);
	assert_false(chip_rig_edge(&rig, 0));
	out(PL031_MASK, PL031_ALARM);
	assert_true(chip_rig_edge(&rig, 0));
	out(PL031_MASK, PL031_ALARM); /* no second edge */
	assert_false(chip_rig_edge(&rig, 0));
}

/* Setting the clock moves the alarm, forward and back. */
static void test_alarm_moves(void **state)
{
	(void)state;
	out(PL031_MASK, PL031_ALARM);
	out(PL031_MATCH, in(PL031_DATA) + DAY);
	assert_false(chip_rig_edge(&rig, 100));
	out(PL031_LOAD, in(PL031_MATCH) - 1);
	assert_true(chip_rig_edge(&rig, TIMEOUT_MS));
	out(PL031_CLEAR, PL031_ALARM);
	/* One that is over does not come back because the clock is set. */
	out(PL031_LOAD, in(PL031_MATCH));
	assert_false(chip_rig_edge(&rig, 1100));
	/* A time that has passed is as good as never. */
	out(PL031_MATCH, in(PL031_DATA) - 10);
	assert_false(chip_rig_edge(&rig, 1100));
	out(PL031_MATCH, in(PL031_DATA) + 1);
	pl031_reset(&pl031);
	assert_false(chip_rig_edge(&rig, 2100));
	assert_int_equal(in(PL031_MASK), 0);
	assert_int_equal(in(PL031_MATCH), 0);
	assert_int_equal(in(PL031_RAW_STATUS), 0);
}

static void test_identity(void **state)
{
	uint32_t id = 0, cell = 0;
	uint8_t byte = 0;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		id |= in(PRIMECELL_ID + 4 * i) << (8 * i);
		cell |= in(PRIMECELL_ID + 16 + 4 * i) << (8 * i);
	}
	assert_int_equal(id, 0x00041031);
	assert_int_equal(cell, 0xb105f00d);
	assert_true(bus_access(&rig.bus, BASE + PRIMECELL_ID, &byte, 1, false));
	assert_int_equal(byte, 0x31);
}

static void test_odd_accesses(void **state)
{
	uint64_t wide = UINT64_MAX;
	uint16_t half = 0x1234;
	uint8_t byte = 1;

	(void)state;
	out(PL031_MATCH, 0xaabbccdd);
	assert_true(bus_access(&rig.bus, BASE + PL031_MATCH + 1, &byte, 1, false));
	assert_int_equal(byte, 0xcc);
	assert_true(bus_access(&rig.bus, BASE + PL031_MATCH + 2, &half, 2, false));
	assert_int_equal(half, 0xaabb);
	assert_true(bus_access(&rig.bus, BASE + PL031_MATCH, &wide, 8, false));
	assert_int_equal(wide, 0xaabbccdd);
	/* Only whole registers are written. */
	assert_true(bus_access(&rig.bus, BASE + PL031_MATCH, &half, 2, true));
	assert_true(bus_access(&rig.bus, BASE + PL031_MATCH, &wide, 8, true));
	assert_true(bus_access(&rig.bus, BASE + PL031_MATCH + 2, &half, 2, true));
	assert_int_equal(in(PL031_MATCH), 0xaabbccdd);
	for (uint64_t reg = 0; reg < PRIMECELL_BYTES; reg += 4) {
		in(reg);
		if (reg != PL031_MATCH && reg != PL031_LOAD && reg != PL031_MASK)
			out(reg, UINT32_MAX);
	}
	assert_int_equal(in(0x20), 0);
	assert_int_equal(in(PL031_RAW_STATUS), 0);
	assert_false(chip_rig_edge(&rig, 0));
}

static void test_taken_address(void **state)
{
	struct pl031_config config = { .bus = &rig.bus, .base = BASE + 0x800 };
	struct worker other;
	struct pl031 second;

	(void)state;
	assert_int_equal(worker_create(&other, &(struct worker_config){ "io-other", 8, 1 }), 0);
	config.worker = &other;
	message_begin();
	assert_true(pl031_init(&second, &config) < 0);
	assert_true(message_end("clock: address 0x1010800 is taken"));
	/* The file slot is free again, or this would say so. */
	message_begin();
	assert_true(pl031_init(&second, &config) < 0);
	assert_true(message_end("is taken"));
	worker_destroy(&other);
	assert_int_equal(rig.bus.count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_alarm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_masked_alarm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_alarm_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_accesses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_address, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
