// SPDX-License-Identifier: MIT
/*
 * The small devices of both boards side by side: power, keyboard controller's
 * reset, pvpanic, PL061 with the power button, PL031. Accesses of any width at
 * any offset. The machine is asked to end or reset by just what says so, and
 * nothing else; GPIO lines, edges and interrupts go as a model has them; the
 * clock shows what it was set to and runs from there.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/request.h"
#include "hw/i8042.h"
#include "hw/pl031.h"
#include "hw/pl061.h"
#include "hw/power.h"
#include "hw/primecell.h"
#include "hw/pvpanic.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/played_ring.h"

#define KEYBOARD_PORT 0x64
#define PANIC_PORT 0x505
#define POWER_PORT 0x600
#define GPIO_GPA 0x10000
#define CLOCK_GPA 0x20000
#define BUTTON 3
#define CLOCK_SLACK_S 30 /* of a slow machine */

static struct bus bus;
static struct worker worker;
static struct request_line requests;
static struct i8042 i8042;
static struct pvpanic pvpanic;
static struct power power;
static struct pl061 gpio;
static struct pl031 clock_chip;
static int power_fd, gpio_fd, clock_fd;

static struct {
	uint8_t outputs, direction, sense, both, event, mask, function, edges;
	bool button, was_pressed;
} model;

/* ---- GPIO ---- */

static uint8_t model_lines(void)
{
	uint8_t inputs = model.button ? BIT64(BUTTON) : 0;

	return (uint8_t)((model.direction & model.outputs) | (~model.direction & inputs));
}

static uint8_t model_raw(void)
{
	uint8_t raw = 0;

	for (unsigned line = 0; line < PL061_LINES; line++) {
		uint8_t bit = (uint8_t)BIT64(line);
		bool level = !(model_lines() & bit) == !(model.event & bit);

		if (model.sense & bit ? level && !(model.direction & bit) : model.edges & bit)
			raw |= bit;
	}
	return raw;
}

/* From how the lines were: edges of inputs, both or the one that is wanted. */
static void model_edges(uint8_t before)
{
	uint8_t after = model_lines();

	for (unsigned line = 0; line < PL061_LINES; line++) {
		uint8_t bit = (uint8_t)BIT64(line);
		bool rising = after & bit;

		if (((before ^ after) & bit) && !((model.sense | model.direction) & bit) &&
		    ((model.both & bit) || rising == !!(model.event & bit)))
			model.edges |= bit;
	}
}

static uint8_t *model_register(uint64_t offset)
{
	switch (offset) {
	case PL061_DIRECTION:
		return &model.direction;
	case PL061_SENSE:
		return &model.sense;
	case PL061_BOTH_EDGES:
		return &model.both;
	case PL061_EVENT:
		return &model.event;
	case PL061_MASK:
		return &model.mask;
	case PL061_FUNCTION:
		return &model.function;
	default:
		return NULL;
	}
}

static void model_write(uint64_t offset, uint8_t value)
{
	uint8_t before = model_lines(), wanted = (uint8_t)(offset / 4);

	if (offset < PL061_DIRECTION)
		model.outputs = (uint8_t)((model.outputs & ~wanted) | (value & wanted));
	else if (model_register(offset))
		*model_register(offset) = value;
	else if (offset == PL061_CLEAR)
		model.edges &= (uint8_t)~value;
	model_edges(before);
}

static uint64_t model_read(uint64_t offset)
{
	if (offset < PL061_DIRECTION)
		return model_lines() & (offset / 4);
	if (model_register(offset))
		return *model_register(offset);
	if (offset == PL061_RAW_STATUS)
		return model_raw();
	if (offset == PL061_STATUS)
		return model_raw() & model.mask;
	return offset >= PRIMECELL_ID ? primecell_id(PL061_PART, offset) : 0;
}

static void access_gpio(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input), status = model_raw() & model.mask;
	uint64_t offset = choice & 1 ? 0x400 + fuzz_u8(input) % 10 * 4u :
				       fuzz_number(input, 2) % PRIMECELL_BYTES;
	unsigned length = 1u << fuzz_below(input, 4);
	uint64_t value = fuzz_u8(input);

	if (offset + length > PRIMECELL_BYTES)
		return;
	event_fd_drain(gpio_fd);
	if (choice & 2) {
		bus_access(&bus, GPIO_GPA + offset, &value, length, true);
		if (offset % 4 == 0)
			model_write(offset, (uint8_t)value);
		if (model_raw() & model.mask & ~status)
			fuzz_check(event_fd_pending(gpio_fd));
		if (!(model_raw() & model.mask))
			fuzz_check(!event_fd_pending(gpio_fd));
		return;
	}
	bus_access(&bus, GPIO_GPA + offset, &value, length, false);
	fuzz_check(value == (offset % 4 ? 0 : model_read(offset)));
}

static void press_button(bool time_passes)
{
	uint8_t before = model_lines();

	if (!time_passes) {
		pl061_press_button(&gpio);
		model.button = true;
	} else {
		uint64_t seen;

		/* Down until the guest has looked, and for a while then; it is up at the end. */
		pl061_press_button(&gpio);
		bus_access(&bus, GPIO_GPA + PL061_DIRECTION - 4, &seen, 4, false);
		played_ring_let_time_pass(true);
		played_ring_run(&worker);
		played_ring_let_time_pass(false);
		fuzz_check(!(gpio.inputs & BIT64(BUTTON)));
		model.button = false;
	}
	model_edges(before);
	/* How often it went up and down meanwhile is not looked at. */
	model.edges = time_passes ? gpio.edges : model.edges;
	played_ring_run(&worker);
}

/* ---- Requests ---- */

static enum request wanted(uint64_t port, unsigned length, uint64_t value)
{
	if (port == KEYBOARD_PORT && length == 1 && value == 0xfe)
		return REQUEST_RESET;
	if (port == PANIC_PORT && length == 1 && (value & 1))
		return REQUEST_PANIC;
	if (port == POWER_PORT + POWER_RESET && length == 1 && value == POWER_RESET_VALUE)
		return REQUEST_RESET;
	if (port == POWER_PORT + POWER_SLEEP_CONTROL && length == 1 && (value & 0x3c) == 0x34)
		return REQUEST_POWER_OFF;
	return REQUEST_NONE;
}

static void write_port(struct fuzz_input *input)
{
	static const uint16_t ports[] = { KEYBOARD_PORT, PANIC_PORT, POWER_PORT, POWER_PORT + 1,
					  POWER_PORT + POWER_RESET, POWER_PORT + POWER_EVENTS };
	static const uint8_t values[] = { 0xfe, 0x5a, 0x34, 0x01 };
	uint64_t port = ports[fuzz_below(input, ARRAY_SIZE(ports))];
	uint8_t choice = fuzz_u8(input);
	unsigned length = 1u << (choice & 3);
	uint64_t value = choice & 0x80 ? values[choice >> 2 & 3] : fuzz_number(input, length);

	bus_access(&bus, port, &value, length, true);
	fuzz_check(request_take(&requests) == wanted(port, length, value));
}

static void read_ports(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);
	uint64_t value = 0;

	if (choice & 1)
		power_press_button(&power);
	bus_access(&bus, POWER_PORT + POWER_EVENTS, &value, 4, false);
	fuzz_check(value == ((choice & 1) || model.was_pressed ? POWER_EVENT_BUTTON : 0));
	fuzz_check(event_fd_drain(power_fd) == (choice & 1));
	model.was_pressed = false;
	/* Which of the panics it would hear of; the others have nothing to tell. */
	bus_access(&bus, PANIC_PORT, &value, 1, false);
	fuzz_check((uint8_t)value == 1);
	bus_access(&bus, KEYBOARD_PORT, &value, 1, false);
	fuzz_check(!(uint8_t)value);
	bus_access(&bus, POWER_PORT + choice / 2 % POWER_EVENTS, &value, 1, false);
	fuzz_check(!(uint8_t)value && request_take(&requests) == REQUEST_NONE);
}

/* ---- Clock ---- */

static uint32_t clock_read(uint64_t offset)
{
	uint32_t value = 0;

	bus_access(&bus, CLOCK_GPA + offset, &value, 4, false);
	return le32toh(value);
}

static void access_clock(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);
	uint64_t offset = choice & 1 ? choice / 4 % 8 * 4u :
				       fuzz_number(input, 2) % (PRIMECELL_BYTES - 8);
	unsigned length = 1u << (choice & 2 ? 2 : fuzz_below(input, 4));
	uint64_t value = fuzz_number(input, length);

	bus_access(&bus, CLOCK_GPA + offset, &value, length, choice & 0x80);
	played_ring_run(&worker);
	if (!(choice & 0x80) || length != 4)
		return;
	if (offset == PL031_LOAD)
		fuzz_check(clock_read(PL031_DATA) - (uint32_t)value < CLOCK_SLACK_S);
	else if (offset == PL031_MATCH)
		fuzz_check(clock_read(PL031_MATCH) == (uint32_t)value);
	else if (offset == PL031_MASK)
		fuzz_check(clock_read(PL031_MASK) == (value & PL031_ALARM));
	fuzz_check(clock_read(PL031_CONTROL) == 1);
	fuzz_check(!(clock_read(PL031_STATUS) & ~clock_read(PL031_MASK)));
}

static void step(struct fuzz_input *input)
{
	switch (fuzz_u8(input) % 8) {
	case 0 ... 3:
		access_gpio(input);
		break;
	case 4:
		press_button(fuzz_u8(input) % 4 == 0);
		break;
	case 5:
		write_port(input);
		break;
	case 6:
		read_ports(input);
		break;
	default:
		access_clock(input);
		break;
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_level(LOG_LEVEL_ERROR);
	power_fd = event_fd_create();
	gpio_fd = event_fd_create();
	clock_fd = event_fd_create();
	fuzz_check(!bus_init(&bus) && !request_line_init(&requests));
	played_ring_worker(&worker);
	fuzz_check(!i8042_init(&i8042, &bus, KEYBOARD_PORT, &requests));
	fuzz_check(!pvpanic_init(&pvpanic, &bus, PANIC_PORT, &requests));
	fuzz_check(!power_init(&power, &(struct power_config){
		.bus = &bus, .base = POWER_PORT, .requests = &requests, .event_fd = power_fd }));
	fuzz_check(!pl061_init(&gpio, &(struct pl061_config){
		.bus = &bus, .base = GPIO_GPA, .irq_event_fd = gpio_fd, .worker = &worker,
		.button_line = BUTTON }));
	fuzz_check(!pl031_init(&clock_chip, &(struct pl031_config){
		.bus = &bus, .base = CLOCK_GPA, .irq_event_fd = clock_fd, .worker = &worker }));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = fuzz_input(data, size);

	played_ring_run(&worker);
	pl061_reset(&gpio);
	pl031_reset(&clock_chip);
	power_reset(&power);
	event_fd_drain(power_fd);
	memset(&model, 0, sizeof(model));
	while (fuzz_more(&input))
		step(&input);
	return 0;
}
