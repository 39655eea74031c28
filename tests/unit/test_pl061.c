// SPDX-License-Identifier: MIT
/* The GPIO as a driver sees it, through the bus; its interrupt is an eventfd that counts edges. */
#include "tests/unit/unit.h"

#include "base/bytes.h"
#include "base/fd.h"
#include "hw/pl061.h"
#include "hw/primecell.h"
#include "tests/unit/boot_files.h"
#include "tests/unit/chip_rig.h"

#define BASE UINT64_C(0x1020000)
#define LINE 3
#define BIT (1u << LINE)
#define DATA(lines) (PL061_DATA + ((uint64_t)(lines) << 2))
#define TIMEOUT_MS 20000

static struct chip_rig rig;
static struct pl061 pl061;

static uint8_t in(uint64_t reg)
{
	uint8_t value = 0;

	assert_true(bus_access(&rig.bus, BASE + reg, &value, 1, false));
	return value;
}

static void out(uint64_t reg, uint8_t value)
{
	assert_true(bus_access(&rig.bus, BASE + reg, &value, 1, true));
}

static void press(struct worker_task *task)
{
	(void)task;
	pl061_press_button(&pl061);
}

static void reset(struct worker_task *task)
{
	(void)task;
	pl061_reset(&pl061);
}

static int setup(void **state)
{
	(void)state;
	chip_rig_create(&rig);
	assert_int_equal(pl061_init(&pl061, &(struct pl061_config){
		.bus = &rig.bus, .base = BASE, .irq_event_fd = rig.irq_fd, .worker = &rig.worker,
		.button_line = LINE,
	}), 0);
	return worker_start(&rig.worker);
}

static void destroy(struct worker_task *task)
{
	(void)task;
	pl061_destroy(&pl061);
}

static int teardown(void **state)
{
	(void)state;
	chip_rig_destroy(&rig, destroy);
	return 0;
}

/* As Linux's gpio-keys does: both edges. */
static void test_button(void **state)
{
	(void)state;
	assert_int_equal(in(DATA(BIT)), 0);
	out(PL061_BOTH_EDGES, BIT);
	out(PL061_MASK, BIT);
	chip_rig_call(&rig, press);
	assert_true(chip_rig_edge(&rig, 0));
	assert_int_equal(in(PL061_STATUS), BIT);
	out(PL061_CLEAR, BIT);
	assert_int_equal(in(PL061_STATUS), 0);
	/* Pressed again, it is still down: no edge. Nobody has looked: it stays down. */
	chip_rig_call(&rig, press);
	assert_false(chip_rig_edge(&rig, 500));
	assert_int_equal(in(DATA(0xff & ~BIT)), 0);
	assert_false(chip_rig_edge(&rig, 300));
	assert_int_equal(in(DATA(BIT)), BIT);
	assert_true(chip_rig_edge(&rig, TIMEOUT_MS));
	assert_int_equal(in(DATA(BIT)), 0);
	assert_int_equal(in(PL061_STATUS), BIT);
	out(PL061_CLEAR, 0xff);
	/* And once more. */
	chip_rig_call(&rig, press);
	assert_true(chip_rig_edge(&rig, 0));
	out(PL061_CLEAR, BIT);
	assert_int_equal(in(DATA(0xff)), BIT);
	assert_true(chip_rig_edge(&rig, TIMEOUT_MS));
}

static void test_one_edge(void **state)
{
	(void)state;
	out(PL061_MASK, BIT);
	out(PL061_EVENT, BIT);
	chip_rig_call(&rig, press);
	assert_true(chip_rig_edge(&rig, 0));
	out(PL061_CLEAR, BIT);
	in(DATA(BIT));
	assert_false(chip_rig_edge(&rig, 1000));
	assert_int_equal(in(DATA(BIT)), 0);
	out(PL061_EVENT, 0);
	chip_rig_call(&rig, press);
	assert_false(chip_rig_edge(&rig, 0));
	in(DATA(BIT));
	assert_true(chip_rig_edge(&rig, TIMEOUT_MS));
}

static void test_level(void **state)
{
	(void)state;
	out(PL061_SENSE, BIT);
	out(PL061_EVENT, BIT);
	out(PL061_MASK, BIT);
	assert_false(chip_rig_edge(&rig, 0));
	chip_rig_call(&rig, press);
	assert_true(chip_rig_edge(&rig, 0));
	/* It is not cleared while the level lasts: the interrupt is repeated. */
	out(PL061_CLEAR, BIT);
	assert_int_equal(in(PL061_STATUS), BIT);
	assert_true(chip_rig_edge(&rig, 0));
	out(PL061_MASK, 0);
	assert_int_equal(in(PL061_STATUS), 0);
	assert_int_equal(in(PL061_RAW_STATUS), BIT);
	out(PL061_MASK, BIT);
	assert_true(chip_rig_edge(&rig, 0));
	/* Low level, on lines that nothing is connected to. */
	out(PL061_EVENT, 0);
	out(PL061_SENSE, 0x80);
	out(PL061_MASK, 0x80);
	assert_true(chip_rig_edge(&rig, 0));
	assert_int_equal(in(PL061_STATUS), 0x80);
}

static void test_outputs(void **state)
{
	(void)state;
	out(PL061_DIRECTION, 0xf0);
	out(DATA(0xff), 0xa5);
	assert_int_equal(in(DATA(0xff)), 0xa0);
	out(DATA(0x10), 0xff);
	out(DATA(0x80), 0);
	assert_int_equal(in(DATA(0xff)), 0x30);
	assert_int_equal(in(DATA(0x20)), 0x20);
	assert_int_equal(in(PL061_DIRECTION), 0xf0);
	/* What is written to an input shows once it is an output. */
	out(PL061_DIRECTION, 0xff);
	assert_int_equal(in(DATA(0xff)), 0x35);
	/* Outputs don't interrupt. */
	out(PL061_BOTH_EDGES, 0xff);
	out(PL061_MASK, 0xff);
	out(DATA(0xff), 0);
	assert_false(chip_rig_edge(&rig, 0));
	/* An output has no button. */
	chip_rig_call(&rig, press);
	assert_int_equal(in(DATA(0xff)), 0);
	assert_false(chip_rig_edge(&rig, 0));
}

static void test_reset(void **state)
{
	static const uint64_t stored[] = {
		PL061_DIRECTION, PL061_SENSE, PL061_BOTH_EDGES, PL061_EVENT, PL061_MASK,
		PL061_FUNCTION,
	};

	(void)state;
	chip_rig_call(&rig, press);
	for (size_t i = 0; i < ARRAY_SIZE(stored); i++) {
		out(stored[i], 0x5a);
		assert_int_equal(in(stored[i]), 0x5a);
	}
	event_fd_drain(rig.irq_fd);
	chip_rig_call(&rig, reset);
	for (size_t i = 0; i < ARRAY_SIZE(stored); i++)
		assert_int_equal(in(stored[i]), 0);
	assert_int_equal(in(DATA(0xff)), 0);
	assert_int_equal(in(PL061_RAW_STATUS), 0);
	/* The button works again, and the old press does not end it. */
	out(PL061_MASK, BIT);
	out(PL061_EVENT, BIT);
	chip_rig_call(&rig, press);
	assert_true(chip_rig_edge(&rig, 0));
	assert_int_equal(in(PL061_STATUS), BIT);
}

static void test_identity_and_odd_accesses(void **state)
{
	uint32_t id = 0, word = UINT32_MAX;
	uint8_t byte = 0xff;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		id |= (uint32_t)in(PRIMECELL_ID + 4 * i) << (8 * i);
	assert_int_equal(id, 0x00041061);
	assert_int_equal(in(PRIMECELL_ID + 28), 0xb1);
	/* A register is the low byte of its word. */
	assert_true(bus_access(&rig.bus, BASE + PL061_DIRECTION, &word, 4, true));
	assert_true(bus_access(&rig.bus, BASE + PL061_DIRECTION, &word, 4, false));
	assert_int_equal(word, 0xff);
	assert_true(bus_access(&rig.bus, BASE + PL061_SENSE + 1, &byte, 1, true));
	assert_int_equal(in(PL061_SENSE), 0);
	assert_true(bus_access(&rig.bus, BASE + PL061_DIRECTION + 1, &byte, 1, false));
	assert_int_equal(byte, 0);
	for (uint64_t reg = PL061_RAW_STATUS; reg < PRIMECELL_BYTES; reg += 4) {
		if (reg != PL061_FUNCTION)
			out(reg, 0xff);
		in(reg);
	}
	assert_int_equal(in(PL061_STATUS), 0);
	assert_false(chip_rig_edge(&rig, 0));
}

static void test_taken_address(void **state)
{
	struct pl061 second;

	(void)state;
	message_begin();
	assert_true(pl061_init(&second, &(struct pl061_config){ .bus = &rig.bus, .base = BASE }) < 0);
	assert_true(message_end("GPIO: address 0x1020000 is taken"));
	assert_int_equal(rig.bus.count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_button, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_edge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_level, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outputs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_identity_and_odd_accesses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_address, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
