// SPDX-License-Identifier: MIT
/* The GPIO's registers, on vCPU threads, and its button, on the worker. */
#include "hw/pl061.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "hw/primecell.h"

/* Longer than drivers debounce (5 ms in Linux), shorter than any "long press". */
#define BUTTON_NS UINT64_C(100000000)

static uint8_t button_bit(const struct pl061 *pl061)
{
	return (uint8_t)(1u << pl061->config.button_line);
}

static uint8_t lines(const struct pl061 *pl061)
{
	return (uint8_t)((pl061->outputs & pl061->direction) |
			 (pl061->inputs & ~pl061->direction));
}

static uint8_t raw_status(const struct pl061 *pl061)
{
	uint8_t levels = (uint8_t)~(lines(pl061) ^ pl061->event) & ~pl061->direction;

	return (pl061->sense & levels) | (~pl061->sense & pl061->edges);
}

static uint8_t status(const struct pl061 *pl061)
{
	return raw_status(pl061) & pl061->mask;
}

/*
 * The lines were `before`. Whatever is pending that was not gets an edge of the
 * interrupt: the condition may never have gone away between two causes.
 */
static void lines_update(struct pl061 *pl061, uint8_t before, uint8_t status_before)
{
	uint8_t after = lines(pl061), changed = before ^ after;
	uint8_t wanted = (uint8_t)~(after ^ pl061->event) | pl061->both_edges;

	pl061->edges |= changed & wanted & ~pl061->sense & ~pl061->direction;
	if (status(pl061) & ~status_before)
		event_fd_signal(pl061->config.irq_event_fd);
}

static uint8_t register_read(struct pl061 *pl061, uint64_t offset)
{
	if (offset < PL061_DIRECTION) {
		uint8_t wanted = (uint8_t)(offset >> 2);

		pl061->button_seen |= wanted & pl061->inputs & button_bit(pl061);
		return lines(pl061) & wanted;
	}
	switch (offset) {
	case PL061_DIRECTION:
		return pl061->direction;
	case PL061_SENSE:
		return pl061->sense;
	case PL061_BOTH_EDGES:
		return pl061->both_edges;
	case PL061_EVENT:
		return pl061->event;
	case PL061_MASK:
		return pl061->mask;
	case PL061_RAW_STATUS:
		return raw_status(pl061);
	case PL061_STATUS:
		return status(pl061);
	case PL061_FUNCTION:
		return pl061->function;
	default:
		return offset >= PRIMECELL_ID ? (uint8_t)primecell_id(PL061_PART, offset) : 0;
	}
}

static void register_write(struct pl061 *pl061, uint64_t offset, uint8_t value)
{
	uint8_t before = lines(pl061), status_before = status(pl061);
	uint8_t wanted = (uint8_t)(offset >> 2);

	if (offset < PL061_DIRECTION) {
		pl061->outputs = (pl061->outputs & ~wanted) | (value & wanted);
		lines_update(pl061, before, status_before);
		return;
	}
	switch (offset) {
	case PL061_DIRECTION:
		pl061->direction = value;
		break;
	case PL061_SENSE:
		pl061->sense = value;
		break;
	case PL061_BOTH_EDGES:
		pl061->both_edges = value;
		break;
	case PL061_EVENT:
		pl061->event = value;
		break;
	case PL061_MASK:
		pl061->mask = value;
		break;
	case PL061_CLEAR:
		pl061->edges &= ~value;
		status_before = 0; /* for who leaves with others still pending */
		break;
	case PL061_FUNCTION:
		pl061->function = value;
		break;
	default: /* read only, or nothing */
		return;
	}
	lines_update(pl061, before, status_before);
}

static uint64_t pl061_read(struct region *region, uint64_t offset, unsigned length)
{
	struct pl061 *pl061 = container_of(region, struct pl061, region);
	uint8_t value;

	(void)length;
	if (!is_aligned(offset, 4))
		return 0;
	pthread_mutex_lock(&pl061->lock);
	value = register_read(pl061, offset);
	pthread_mutex_unlock(&pl061->lock);
	return value;
}

/* Of any width: a register has no more than its low byte. */
static void pl061_write(struct region *region, uint64_t offset, unsigned length, uint64_t value)
{
	struct pl061 *pl061 = container_of(region, struct pl061, region);

	(void)length;
	if (!is_aligned(offset, 4))
		return;
	pthread_mutex_lock(&pl061->lock);
	register_write(pl061, offset, (uint8_t)value);
	pthread_mutex_unlock(&pl061->lock);
}

static const struct region_ops pl061_ops = {
	.read = pl061_read,
	.write = pl061_write,
};

/* ---- The button: worker thread ---- */

static void button_set(struct pl061 *pl061, bool down)
{
	uint8_t before = lines(pl061), status_before = status(pl061), bit = button_bit(pl061);

	pl061->inputs = down ? pl061->inputs | bit : pl061->inputs & ~bit;
	lines_update(pl061, before, status_before);
}

/* Down for another while if the guest has not looked yet, or only in this one. */
static void button_expired(struct worker_timer *timer)
{
	struct pl061 *pl061 = container_of(timer, struct pl061, button_timer);
	bool over = pl061->button_ending;

	pthread_mutex_lock(&pl061->lock);
	if (over)
		button_set(pl061, false);
	pl061->button_ending = pl061->button_seen;
	pthread_mutex_unlock(&pl061->lock);
	if (!over && worker_timer_start(pl061->config.worker, timer, BUTTON_NS))
		log_warning("power button: out of memory; it stays pressed");
}

void pl061_press_button(struct pl061 *pl061)
{
	if (pl061->button_timer.wait)
		return;
	if (worker_timer_start(pl061->config.worker, &pl061->button_timer, BUTTON_NS)) {
		log_warning("power button: out of memory; it was not pressed");
		return;
	}
	pthread_mutex_lock(&pl061->lock);
	pl061->button_seen = pl061->button_ending = false;
	button_set(pl061, true);
	pthread_mutex_unlock(&pl061->lock);
}

/* ---- Life ---- */

int pl061_init(struct pl061 *pl061, const struct pl061_config *config)
{
	int error;

	assert(config->button_line < PL061_LINES);
	*pl061 = (struct pl061){
		.config = *config,
		.region = {
			.ops = &pl061_ops, .name = "GPIO",
			.base = config->base, .size = PRIMECELL_BYTES,
		},
		.button_timer.expired = button_expired,
	};
	error = pthread_mutex_init(&pl061->lock, NULL);
	if (error)
		return fail_host(error, "GPIO: mutex: %s", strerror(error));
	error = bus_add(config->bus, &pl061->region);
	if (error) {
		pthread_mutex_destroy(&pl061->lock);
		return fail(-error, "GPIO: address 0x%llx is taken",
			    (unsigned long long)config->base);
	}
	return 0;
}

void pl061_destroy(struct pl061 *pl061)
{
	worker_timer_stop(pl061->config.worker, &pl061->button_timer);
	bus_remove(pl061->config.bus, &pl061->region);
	pthread_mutex_destroy(&pl061->lock);
}

void pl061_reset(struct pl061 *pl061)
{
	worker_timer_stop(pl061->config.worker, &pl061->button_timer);
	pthread_mutex_lock(&pl061->lock);
	pl061->inputs = pl061->outputs = pl061->direction = 0;
	pl061->sense = pl061->both_edges = pl061->event = pl061->mask = pl061->function = 0;
	pl061->edges = 0;
	pthread_mutex_unlock(&pl061->lock);
}
