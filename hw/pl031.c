// SPDX-License-Identifier: MIT
/*
 * The clock's registers, on vCPU threads, and its alarm, on the worker. The
 * alarm is a timerfd on the host's wall clock: it comes at the right time even
 * if that is set meanwhile, and any thread may move it.
 */
#include "hw/pl031.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "hw/primecell.h"

static int64_t host_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec;
}

static uint32_t guest_seconds(const struct pl031 *pl031)
{
	return (uint32_t)host_seconds() + pl031->offset;
}

/* After a change that can raise the condition; lock. */
static void interrupt_update(struct pl031 *pl031, bool was_raised)
{
	if (pl031->alarm_due && pl031->enabled && !was_raised)
		event_fd_signal(pl031->config.irq_event_fd);
}

static void alarm_due(struct pl031 *pl031)
{
	bool was_raised = pl031->alarm_due && pl031->enabled;

	pl031->alarm_waits = false;
	pl031->alarm_due = true;
	interrupt_update(pl031, was_raised);
}

static void alarm_stop(struct pl031 *pl031)
{
	pl031->alarm_waits = false;
	timerfd_settime(pl031->timer_fd, 0, &(struct itimerspec){ 0 }, NULL);
}

static void alarm_wait(struct pl031 *pl031)
{
	struct itimerspec time = { .it_value.tv_sec = pl031->alarm_s };

	pl031->alarm_waits = true;
	timerfd_settime(pl031->timer_fd, TFD_TIMER_ABSTIME, &time, NULL);
}

/*
 * The match is where the counter gets next: a time that has passed is most of
 * its 136 years away. lock.
 */
static void alarm_start(struct pl031 *pl031)
{
	int64_t now = host_seconds();
	uint32_t delay = pl031->match - ((uint32_t)now + pl031->offset);

	pl031->alarm_s = now + delay;
	alarm_wait(pl031);
}

/* Worker thread. An alarm that has been moved meanwhile has not expired. */
static void alarm_expired(struct fd_watch *watch)
{
	struct pl031 *pl031 = container_of(watch, struct pl031, timer_watch);
	uint64_t expirations;

	pthread_mutex_lock(&pl031->lock);
	if (read(pl031->timer_fd, &expirations, sizeof(expirations)) == sizeof(expirations) &&
	    pl031->alarm_waits) {
		if (host_seconds() < pl031->alarm_s)
			alarm_wait(pl031); /* the host's clock was set back just now */
		else
			alarm_due(pl031);
	}
	pthread_mutex_unlock(&pl031->lock);
}

static uint32_t register_read(const struct pl031 *pl031, uint64_t offset)
{
	switch (offset) {
	case PL031_DATA:
		return guest_seconds(pl031);
	case PL031_MATCH:
		return pl031->match;
	case PL031_LOAD:
		return pl031->load;
	case PL031_CONTROL:
		return 1;
	case PL031_MASK:
		return pl031->enabled ? PL031_ALARM : 0;
	case PL031_RAW_STATUS:
		return pl031->alarm_due ? PL031_ALARM : 0;
	case PL031_STATUS:
		return pl031->alarm_due && pl031->enabled ? PL031_ALARM : 0;
	default:
		return offset >= PRIMECELL_ID ? primecell_id(PL031_PART, offset) : 0;
	}
}

static void register_write(struct pl031 *pl031, uint64_t offset, uint32_t value)
{
	bool was_raised = pl031->alarm_due && pl031->enabled;

	switch (offset) {
	case PL031_MATCH:
		pl031->match = value;
		alarm_start(pl031);
		break;
	case PL031_LOAD:
		pl031->load = value;
		pl031->offset = value - (uint32_t)host_seconds();
		if (pl031->alarm_waits)
			alarm_start(pl031);
		break;
	case PL031_MASK:
		pl031->enabled = value & PL031_ALARM;
		interrupt_update(pl031, was_raised);
		break;
	case PL031_CLEAR:
		if (value & PL031_ALARM)
			pl031->alarm_due = false;
		break;
	default: /* read only, or nothing */
		break;
	}
}

/* A narrow read gets its part of the register; a wide one, the first of them. */
static uint64_t pl031_read(struct region *region, uint64_t offset, unsigned length)
{
	struct pl031 *pl031 = container_of(region, struct pl031, region);
	uint32_t value;

	pthread_mutex_lock(&pl031->lock);
	value = register_read(pl031, align_down(offset, 4));
	pthread_mutex_unlock(&pl031->lock);
	return value >> offset % 4 * 8 & all_ones(length);
}

static void pl031_write(struct region *region, uint64_t offset, unsigned length, uint64_t value)
{
	struct pl031 *pl031 = container_of(region, struct pl031, region);

	if (length != 4 || !is_aligned(offset, 4))
		return;
	pthread_mutex_lock(&pl031->lock);
	register_write(pl031, offset, (uint32_t)value);
	pthread_mutex_unlock(&pl031->lock);
}

static const struct region_ops pl031_ops = {
	.read = pl031_read,
	.write = pl031_write,
};

/* ---- Life ---- */

static int alarm_open(struct pl031 *pl031)
{
	struct worker *worker = pl031->config.worker;
	int error;

	pl031->timer_watch.ready = alarm_expired;
	pl031->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (pl031->timer_fd < 0)
		return fail_host(errno, "clock: timerfd: %s; raise the limit of open files "
				 "(ulimit -n)", strerror(errno));
	pl031->timer_slot = worker_add_file(worker, pl031->timer_fd);
	error = pl031->timer_slot < 0 ? pl031->timer_slot : 0;
	if (!error)
		error = worker_watch(worker, &pl031->timer_watch, pl031->timer_slot);
	if (!error)
		return 0;
	if (pl031->timer_slot >= 0)
		worker_remove_file(worker, pl031->timer_slot);
	fd_close(&pl031->timer_fd);
	return fail_host(-error, "clock: alarm: %s", strerror(-error));
}

static void alarm_close(struct pl031 *pl031)
{
	worker_unwatch(pl031->config.worker, &pl031->timer_watch);
	worker_remove_file(pl031->config.worker, pl031->timer_slot);
	fd_close(&pl031->timer_fd);
}

int pl031_init(struct pl031 *pl031, const struct pl031_config *config)
{
	int error;

	*pl031 = (struct pl031){
		.config = *config,
		.region = {
			.ops = &pl031_ops, .name = "clock",
			.base = config->base, .size = PRIMECELL_BYTES,
		},
	};
	error = pthread_mutex_init(&pl031->lock, NULL);
	if (error)
		return fail_host(error, "clock: mutex: %s", strerror(error));
	error = alarm_open(pl031);
	if (error)
		goto no_alarm;
	error = bus_add(config->bus, &pl031->region);
	if (!error)
		return 0;
	error = fail(-error, "clock: address 0x%llx is taken", (unsigned long long)config->base);
	alarm_close(pl031);
no_alarm:
	pthread_mutex_destroy(&pl031->lock);
	return error;
}

void pl031_destroy(struct pl031 *pl031)
{
	bus_remove(pl031->config.bus, &pl031->region);
	alarm_close(pl031);
	pthread_mutex_destroy(&pl031->lock);
}

void pl031_reset(struct pl031 *pl031)
{
	pthread_mutex_lock(&pl031->lock);
	alarm_stop(pl031);
	pl031->match = 0;
	pl031->alarm_due = false;
	pl031->enabled = false;
	pthread_mutex_unlock(&pl031->lock);
}
