// SPDX-License-Identifier: MIT
/*
 * A driver that publishes without waiting, on one processor, against a device
 * that goes to sleep and wakes up again, on another: no chain stays behind with
 * nobody told. What is missing between a store and a load shows here only, and
 * only where the two do run at the same time.
 */
#include "tests/unit/unit.h"

#include <time.h>

#include "tests/unit/probe.h"

#define CHAINS 60000
#define UNDER_WAY 4
#define QUEUE_SIZE 64
#define PAUSE_STEPS 97 /* prime: all lengths of pause meet all places in the ring */

static int set_up(void **state)
{
	struct driver_config config = { .type = &virtio_probe, .queue_size = QUEUE_SIZE };

	*state = driver_create(&config);
	driver_begin(*state);
	return 0;
}

static int tear_down(void **state)
{
	driver_destroy(*state);
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Takes what has been used until no more than `limit` chains are under way. */
static unsigned take_down_to(struct driver_queue *queue, unsigned under_way, unsigned limit)
{
	uint64_t deadline = now_ms() + DRIVER_TIMEOUT_MS;
	uint16_t head;
	uint32_t bytes;

	while (under_way > limit) {
		if (driver_take(queue, &head, &bytes))
			under_way--;
		else
			assert_true(now_ms() < deadline); /* else it sleeps for ever */
	}
	return under_way;
}

static void pause_a_while(unsigned steps)
{
	while (steps--)
		__asm__ volatile("" ::: "memory");
}

static void run_race(struct driver_queue *queue)
{
	struct driver_part part = driver_in(queue->driver, 8);
	unsigned chains = unit_rounds(CHAINS), under_way = 0;

	for (unsigned i = 0; i < chains; i++) {
		assert_true(driver_add(queue, &part, 1) >= 0);
		driver_publish(queue);
		driver_kick(queue);
		pause_a_while(i % PAUSE_STEPS * 8);
		under_way = take_down_to(queue, under_way + 1, i % UNDER_WAY);
	}
	take_down_to(queue, under_way, 0);
}

static void test_no_kick_is_missed(void **state)
{
	struct driver *driver = *state;

	assert_true(driver->queues[0].event_idx);
	run_race(&driver->queues[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_kick_is_missed, set_up, tear_down),
	};

	return driver_run_on_both_rings(tests, NULL, NULL);
}
