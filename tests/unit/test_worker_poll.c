// SPDX-License-Identifier: MIT
/* A worker that looks for work before it sleeps: what it finds, and when it gives up. */
#include "tests/unit/unit.h"

#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "base/bytes.h"
#include "core/worker.h"

#define FOR_EVER_NS UINT64_C(3600000000000)

struct ring {
	struct worker_task task;
	struct worker_poll poll;
	struct worker_job job;
	struct worker *worker;
	atomic_bool work, late_work;
	atomic_uint looks, rests, runs, rests_before_run;
	sem_t ran, rested;
};

static void wait_for(sem_t *semaphore)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	assert_int_equal(sem_timedwait(semaphore, &until), 0);
}

static bool ring_look(struct worker_poll *poll)
{
	struct ring *ring = container_of(poll, struct ring, poll);

	ring->looks++;
	if (!ring->work)
		return false;
	worker_ready(ring->worker, &ring->job);
	return true;
}

static bool ring_rest(struct worker_poll *poll)
{
	struct ring *ring = container_of(poll, struct ring, poll);
	bool found = ring->late_work;

	ring->rests++;
	if (found)
		worker_ready(ring->worker, &ring->job);
	sem_post(&ring->rested);
	return found;
}

/* Takes the work; the ring is empty then, and is polled again. */
static void ring_run(struct worker_job *job)
{
	struct ring *ring = container_of(job, struct ring, job);

	ring->work = ring->late_work = false;
	ring->rests_before_run = ring->rests;
	ring->runs++;
	worker_poll_add(ring->worker, &ring->poll);
	worker_poll_add(ring->worker, &ring->poll); /* listed once only */
	sem_post(&ring->ran);
}

static void ring_add(struct worker_task *task)
{
	struct ring *ring = container_of(task, struct ring, task);

	worker_poll_add(ring->worker, &ring->poll);
}

static void ring_remove(struct worker_task *task)
{
	struct ring *ring = container_of(task, struct ring, task);

	worker_poll_remove(ring->worker, &ring->poll);
	worker_poll_remove(ring->worker, &ring->poll);
}

/* With `work` in the ring, or none. It is polled from the first pass on. */
static void begin(struct worker *worker, struct ring *ring, uint64_t poll_ns, bool work)
{
	const struct worker_config config = {
		.name = "io-test", .entries = 32, .files = 8, .poll_ns = poll_ns,
	};

	*ring = (struct ring){
		.poll = { ring_look, ring_rest, NULL, false }, .job.run = ring_run,
		.worker = worker,
		.work = work,
	};
	sem_init(&ring->ran, 0, 0);
	sem_init(&ring->rested, 0, 0);
	assert_int_equal(worker_create(worker, &config), 0);
	worker_poll_add(worker, &ring->poll);
	assert_int_equal(worker_start(worker), 0);
}

static void call(struct ring *ring, void (*run)(struct worker_task *task))
{
	ring->task.run = run;
	worker_call(ring->worker, &ring->task);
}

static void end(struct worker *worker)
{
	worker_stop(worker);
	worker_destroy(worker);
}

/* The first look of all lasts as long as it may. */
static void test_work_is_found_while_looking(void **state)
{
	struct worker worker;
	struct ring ring;

	(void)state;
	begin(&worker, &ring, FOR_EVER_NS, false);
	assert_true(worker_polls(&worker));
	while (ring.looks < 10)
		sched_yield();
	assert_int_equal(ring.runs, 0);
	ring.work = true;
	wait_for(&ring.ran);
	assert_int_equal(ring.rests_before_run, 0);
	end(&worker);
}

static void test_mail_is_heard_while_looking(void **state)
{
	struct worker worker;
	struct ring ring;

	(void)state;
	begin(&worker, &ring, FOR_EVER_NS, false);
	call(&ring, ring_remove);
	assert_int_equal(ring.rests, 0);
	end(&worker);
}

/* Each poll is let go once, and asked once more. */
static void test_rest_is_called_before_sleep(void **state)
{
	struct worker worker;
	struct ring ring;

	(void)state;
	begin(&worker, &ring, 1, false);
	wait_for(&ring.rested);
	assert_int_equal(ring.rests, 1);
	ring.late_work = true;
	call(&ring, ring_add);
	wait_for(&ring.ran);
	wait_for(&ring.rested);
	wait_for(&ring.rested); /* the empty ring, after the work */
	assert_int_equal(ring.runs, 1);
	assert_int_equal(ring.rests, 3);
	end(&worker);
}

static void test_worker_without_window_does_not_look(void **state)
{
	struct worker worker;
	struct ring ring;

	(void)state;
	begin(&worker, &ring, 0, true);
	assert_false(worker_polls(&worker));
	wait_for(&ring.rested);
	assert_int_equal(ring.looks, 0);
	assert_int_equal(ring.rests, 1);
	end(&worker);
}

/* Looks that find nothing are tried ever more seldom. */
static void test_useless_looks_end(void **state)
{
	struct worker worker;
	struct ring ring;

	(void)state;
	begin(&worker, &ring, 1, false);
	for (unsigned i = 0; i < 5000; i++) {
		wait_for(&ring.rested);
		call(&ring, ring_add);
	}
	assert_in_range(ring.looks, 1, 500);
	end(&worker);
}

/* ---- A neighbour that leaves the worker no rest ---- */

struct neighbour {
	struct worker_task task;
	struct worker_job job;
	struct ring_op op;
	struct worker *worker;
	atomic_uint runs;
	atomic_bool stop;
};

static void neighbour_works(struct worker_job *job)
{
	struct neighbour *neighbour = container_of(job, struct neighbour, job);

	neighbour->runs++;
	if (!neighbour->stop)
		worker_ready(neighbour->worker, job);
}

static void neighbour_begins_working(struct worker_task *task)
{
	neighbour_works(&container_of(task, struct neighbour, task)->job);
}

static void neighbour_submits(struct neighbour *neighbour)
{
	struct io_uring_sqe *sqe = worker_sqe(neighbour->worker);

	io_uring_prep_nop(sqe);
	worker_arm(sqe, &neighbour->op);
}

/* A transfer that is over as soon as it is submitted, and then the next. */
static void neighbour_transfers(struct ring_op *op, int result, uint32_t flags)
{
	struct neighbour *neighbour = container_of(op, struct neighbour, op);

	(void)result;
	(void)flags;
	neighbour->runs++;
	if (!neighbour->stop)
		neighbour_submits(neighbour);
}

static void neighbour_begins_transferring(struct worker_task *task)
{
	neighbour_submits(container_of(task, struct neighbour, task));
}

/* Work that comes to a ring on the list is found, however busy the worker is. */
static void work_is_found_beside(void (*begin_neighbour)(struct worker_task *task))
{
	struct worker worker;
	struct ring ring;
	struct neighbour neighbour = {
		.task.run = begin_neighbour,
		.job.run = neighbour_works,
		.op.done = neighbour_transfers,
		.worker = &worker,
	};
	unsigned runs;

	begin(&worker, &ring, FOR_EVER_NS, false);
	worker_call(&worker, &neighbour.task);
	runs = neighbour.runs;
	while (neighbour.runs < runs + 1000)
		sched_yield();
	assert_int_equal(ring.runs, 0);
	assert_int_equal(ring.rests, 0); /* so nobody would say that there is work */
	ring.work = true;
	wait_for(&ring.ran);
	runs = neighbour.runs;
	while (neighbour.runs < runs + 1000)
		sched_yield();
	neighbour.stop = true;
	end(&worker);
}

static void test_work_is_found_beside_a_busy_job(void **state)
{
	(void)state;
	work_is_found_beside(neighbour_begins_working);
}

static void test_work_is_found_beside_transfers(void **state)
{
	(void)state;
	work_is_found_beside(neighbour_begins_transferring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_work_is_found_while_looking),
		cmocka_unit_test(test_mail_is_heard_while_looking),
		cmocka_unit_test(test_rest_is_called_before_sleep),
		cmocka_unit_test(test_worker_without_window_does_not_look),
		cmocka_unit_test(test_useless_looks_end),
		cmocka_unit_test(test_work_is_found_beside_a_busy_job),
		cmocka_unit_test(test_work_is_found_beside_transfers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
