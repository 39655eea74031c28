// SPDX-License-Identifier: MIT
/* The worker's loop, mailbox, watches, timers, and what its ring refuses. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "core/worker.h"

static struct worker worker;

static int setup(void **state)
{
	(void)state;
	assert_int_equal(worker_create(&worker, &(struct worker_config){ "io-test", 32, 8 }), 0);
	assert_int_equal(worker_start(&worker), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	worker_stop(&worker);
	worker_destroy(&worker);
	return 0;
}

struct step {
	struct worker_task task;
	struct worker_job job;
	struct fd_watch watch;
	struct worker_timer timer;
	struct ring_op op;
	int fd, slot, count, limit, result;
	sem_t done;
};

static struct step *step_of_task(struct worker_task *task)
{
	return container_of(task, struct step, task);
}

static void run(struct step *step, void (*function)(struct worker_task *task))
{
	step->task.run = function;
	worker_call(&worker, &step->task);
}

static void wait_for(sem_t *semaphore)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	assert_int_equal(sem_timedwait(semaphore, &until), 0);
}

static unsigned thread_count(void)
{
	DIR *directory = opendir("/proc/self/task");
	unsigned count = 0;

	while (readdir(directory))
		count++;
	closedir(directory);
	return count - 2;
}

static void count_up(struct worker_task *task)
{
	struct step *step = step_of_task(task);

	assert_true(worker_is_current(&worker));
	step->count++;
}

static void test_call_runs_on_the_worker(void **state)
{
	struct step step = { 0 };

	(void)state;
	assert_false(worker_is_current(&worker));
	for (int i = 0; i < 1000; i++)
		run(&step, count_up);
	assert_int_equal(step.count, 1000);
}

static void mask_check(struct worker_task *task)
{
	struct step *step = step_of_task(task);
	sigset_t mask;

	pthread_sigmask(SIG_BLOCK, NULL, &mask);
	step->count = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGWINCH) &&
		      !sigismember(&mask, SIGSEGV) && !sigismember(&mask, SIGBUS) &&
		      !sigismember(&mask, SIGABRT);
}

/* A blocked fault would end the process past the handler that restores the terminal. */
static void test_worker_hears_faults_only(void **state)
{
	struct step step = { 0 };

	(void)state;
	run(&step, mask_check);
	assert_int_equal(step.count, 1);
}

struct poster {
	pthread_t thread;
	struct step steps[500];
};

static void *post_all(void *argument)
{
	struct poster *poster = argument;

	for (size_t i = 0; i < ARRAY_SIZE(poster->steps); i++) {
		poster->steps[i].task.run = count_up;
		worker_post(&worker, &poster->steps[i].task);
	}
	return NULL;
}

static void test_posts_of_many_threads_all_arrive(void **state)
{
	static struct poster posters[4];
	struct step last = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(posters); i++)
		pthread_create(&posters[i].thread, NULL, post_all, &posters[i]);
	for (size_t i = 0; i < ARRAY_SIZE(posters); i++)
		pthread_join(posters[i].thread, NULL);
	run(&last, count_up);
	for (size_t i = 0; i < ARRAY_SIZE(posters); i++)
		for (size_t j = 0; j < ARRAY_SIZE(posters[i].steps); j++)
			assert_int_equal(posters[i].steps[j].count, 1);
}

static void job_again(struct worker_job *job)
{
	struct step *step = container_of(job, struct step, job);

	if (++step->count < step->limit)
		worker_ready(&worker, job);
	else
		sem_post(&step->done);
}

static void job_start(struct worker_task *task)
{
	struct step *step = step_of_task(task);

	step->job.run = job_again;
	worker_ready(&worker, &step->job);
	worker_ready(&worker, &step->job); /* queued once only */
}

static void test_job_that_returns_to_the_list_lets_others_run(void **state)
{
	struct step step = { .limit = 10000 }, other = { 0 };

	(void)state;
	sem_init(&step.done, 0, 0);
	run(&step, job_start);
	run(&other, count_up);
	assert_int_equal(other.count, 1);
	wait_for(&step.done);
	assert_int_equal(step.count, 10000);
}

static void job_forget(struct worker_task *task)
{
	struct step *step = step_of_task(task);

	job_start(task);
	worker_forget(&worker, &step->job);
	worker_publish(&worker, &step->job);
	worker_forget(&worker, &step->job);
}

static void test_forgotten_job_does_not_run(void **state)
{
	struct step step = { .limit = 1 };

	(void)state;
	sem_init(&step.done, 0, 0);
	run(&step, job_forget);
	run(&(struct step){ 0 }, count_up);
	assert_int_equal(step.count, 0);
}

static void watch_ready(struct fd_watch *watch)
{
	struct step *step = container_of(watch, struct step, watch);

	step->count++;
	sem_post(&step->done);
}

static void watch_start(struct worker_task *task)
{
	struct step *step = step_of_task(task);

	step->watch.ready = watch_ready;
	step->slot = worker_add_file(&worker, step->fd);
	assert_true(step->slot >= 0);
	assert_int_equal(worker_watch(&worker, &step->watch, step->slot), 0);
}

static void watch_stop(struct worker_task *task)
{
	struct step *step = step_of_task(task);

	worker_unwatch(&worker, &step->watch);
	worker_unwatch(&worker, &step->watch);
	worker_remove_file(&worker, step->slot);
}

static void test_watch_sees_every_wake_of_an_eventfd_never_read(void **state)
{
	struct step step = { .fd = event_fd_create() };

	(void)state;
	sem_init(&step.done, 0, 0);
	run(&step, watch_start);
	for (int i = 0; i < 1000; i++) {
		event_fd_signal(step.fd);
		wait_for(&step.done);
	}
	assert_int_equal(step.count, 1000);
	run(&step, watch_stop);
	event_fd_signal(step.fd);
	run(&(struct step){ 0 }, count_up);
	run(&(struct step){ 0 }, count_up);
	assert_int_equal(step.count, 1000);
	run(&step, watch_start); /* readable from the start */
	wait_for(&step.done);
	run(&step, watch_stop);
	close(step.fd);
}

static void signal_often(struct worker_task *task)
{
	struct step *step = step_of_task(task);

	if (!step->count++)
		step->slot = worker_add_file(&worker, step->fd);
	for (int i = 0; i < 100; i++) /* more than the submission queue has */
		worker_signal(&worker, step->slot);
}

/* A blocking eventfd would send every signal to a helper thread of the kernel. */
static void test_signals_take_no_thread(void **state)
{
	struct step step = { .fd = event_fd_create() };
	unsigned threads;
	uint64_t sum = 0;

	(void)state;
	run(&step, signal_often);
	threads = thread_count();
	for (int i = 1; i < 1000; i++)
		run(&step, signal_often);
	run(&(struct step){ 0 }, count_up);
	assert_int_equal(thread_count(), threads);
	for (int i = 0; i < 1000 && sum < 100000; i++) {
		sum += event_fd_drain(step.fd);
		usleep(1000);
	}
	assert_int_equal(sum, 100000);
	close(step.fd);
}

static void timer_expired(struct worker_timer *timer)
{
	struct step *step = container_of(timer, struct step, timer);

	step->count++;
	sem_post(&step->done);
}

static void timer_start(struct worker_task *task)
{
	struct step *step = step_of_task(task);

	step->timer.expired = timer_expired;
	assert_int_equal(worker_timer_start(&worker, &step->timer, UINT64_C(60000000000)), 0);
	assert_int_equal(worker_timer_start(&worker, &step->timer, 1000000), 0);
}

static void timer_stop(struct worker_task *task)
{
	struct step *step = step_of_task(task);

	timer_start(task);
	worker_timer_stop(&worker, &step->timer);
	worker_timer_stop(&worker, &step->timer);
}

static void test_timer(void **state)
{
	struct step step = { 0 };

	(void)state;
	sem_init(&step.done, 0, 0);
	run(&step, timer_start);
	wait_for(&step.done);
	assert_int_equal(step.count, 1);
	run(&step, timer_stop);
	usleep(20000);
	run(&(struct step){ 0 }, count_up);
	assert_int_equal(step.count, 1);
}

static void op_done(struct ring_op *op, int result, uint32_t cqe_flags)
{
	struct step *step = container_of(op, struct step, op);

	(void)cqe_flags;
	step->result = result;
	sem_post(&step->done);
}

static void read_start(struct worker_task *task)
{
	static char byte;
	struct step *step = step_of_task(task);
	struct io_uring_sqe *sqe = worker_sqe(&worker);

	step->op.done = op_done;
	step->slot = worker_add_file(&worker, step->fd);
	io_uring_prep_read(sqe, step->slot, &byte, 1, 0);
	worker_arm(sqe, &step->op);
}

static void read_cancel(struct worker_task *task)
{
	worker_cancel(&worker, &step_of_task(task)->op);
}

static void test_cancelled_operation_ends_once(void **state)
{
	struct step step = { 0 };
	int ends[2];

	(void)state;
	sem_init(&step.done, 0, 0);
	assert_int_equal(pipe(ends), 0);
	step.fd = ends[0];
	run(&step, read_start);
	run(&step, read_cancel);
	wait_for(&step.done);
	assert_true(step.result == -ECANCELED || step.result == -EINTR);
	assert_int_equal(sem_trywait(&step.done), -1);
	close(ends[0]);
	close(ends[1]);
}

static void open_start(struct worker_task *task)
{
	struct step *step = step_of_task(task);
	struct io_uring_sqe *sqe = worker_sqe(&worker);

	step->op.done = op_done;
	io_uring_prep_openat(sqe, AT_FDCWD, "/dev/null", O_RDONLY, 0);
	worker_arm(sqe, &step->op);
}

static void plain_fd_start(struct worker_task *task)
{
	static char byte;
	struct step *step = step_of_task(task);
	struct io_uring_sqe *sqe = worker_sqe(&worker);

	step->op.done = op_done;
	io_uring_prep_read(sqe, 0, &byte, 1, 0);
	io_uring_sqe_set_data(sqe, &step->op); /* without the fixed-file flag */
}

static void test_ring_refuses_what_a_data_path_does_not_need(void **state)
{
	struct step step = { 0 };

	(void)state;
	sem_init(&step.done, 0, 0);
	run(&step, open_start);
	wait_for(&step.done);
	assert_int_equal(step.result, -EACCES);
	run(&step, plain_fd_start);
	wait_for(&step.done);
	assert_int_equal(step.result, -EACCES);
}

static void allocate_start(struct worker_task *task)
{
	struct step *step = step_of_task(task);
	struct io_uring_sqe *sqe = worker_sqe(&worker);

	step->op.done = op_done;
	step->slot = worker_add_file(&worker, step->fd);
	io_uring_prep_fallocate(sqe, step->slot, 0, 0, 4096);
	worker_arm(sqe, &step->op);
}

/* The last processor that the process may run on. */
static unsigned last_processor(void)
{
	unsigned last = 0;
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	for (unsigned i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			last = i;
	return last;
}

/* How many threads run nowhere else. */
static unsigned threads_on(unsigned processor)
{
	DIR *directory = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned count = 0;
	cpu_set_t set;

	while ((entry = readdir(directory)))
		if (atoi(entry->d_name) &&
		    !sched_getaffinity(atoi(entry->d_name), sizeof(set), &set))
			count += CPU_COUNT(&set) == 1 && CPU_ISSET(processor, &set);
	closedir(directory);
	return count;
}

/* An allocation is what the kernel takes a thread of its own for. */
static void test_worker_and_its_helpers_stay_on_a_processor(void **state)
{
	const unsigned processor = last_processor(), none = CPU_SETSIZE - 1;
	struct worker_config config = { "io-test", 32, 8, .processor = &processor };
	struct step step = { 0 };
	char path[] = "/tmp/ringvm-worker-XXXXXX";
	unsigned before = threads_on(processor);

	(void)state;
	sem_init(&step.done, 0, 0);
	step.fd = mkstemp(path);
	assert_true(step.fd >= 0);
	unlink(path);
	assert_int_equal(worker_create(&worker, &config), 0);
	assert_int_equal(worker_start(&worker), 0);
	run(&step, allocate_start);
	wait_for(&step.done);
	/* Where the process has one processor, this thread was among them, too. */
	assert_int_equal(threads_on(processor), before + 2);
	worker_stop(&worker);
	worker_destroy(&worker);
	config.processor = &none;
	assert_int_equal(worker_create(&worker, &config), 0);
	assert_true(fail_is_host(worker_start(&worker)));
	worker_destroy(&worker);
	close(step.fd);
}

static void files_fill(struct worker_task *task)
{
	struct step *step = step_of_task(task);
	int slots[8], kept = -1;

	for (int i = 0; i < 8; i++) {
		slots[i] = worker_add_file(&worker, step->fd);
		assert_true(slots[i] >= 0);
	}
	assert_int_equal(worker_add_file(&worker, step->fd), -ENFILE);
	assert_int_equal(worker_keep_file(&worker, &kept, step->fd), -ENFILE);
	worker_remove_file(&worker, slots[3]);
	for (int i = 0; i < 2; i++) { /* although it failed; then because it has one */
		assert_int_equal(worker_keep_file(&worker, &kept, step->fd), 0);
		assert_int_equal(kept, slots[3]);
	}
	worker_remove_file(&worker, slots[3]);
	assert_int_equal(worker_add_file(&worker, 9999), -EBADF);
}

static void test_file_slots(void **state)
{
	struct step step = { .fd = event_fd_create() };

	(void)state;
	run(&step, files_fill);
	close(step.fd);
}

static void quit_at_once(struct worker_timer *timer)
{
	(void)timer;
	worker_quit(&worker);
}

/* The control thread's way: prepared before the loop, run on the calling thread. */
static void test_run_on_the_calling_thread(void **state)
{
	struct worker_timer timer = { quit_at_once };

	(void)state;
	assert_int_equal(worker_create(&worker, &(struct worker_config){ "control", 8, 4 }), 0);
	assert_int_equal(worker_timer_start(&worker, &timer, 1000000), 0);
	worker_run(&worker);
	worker_destroy(&worker);
}

/* The kernel takes no larger table than the process may open files. */
static void test_few_files_may_be_open(void **state)
{
	struct rlimit old, few;
	int added = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = min_u64(old.rlim_cur, 100);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(worker_create(&worker, &(struct worker_config){ "io-test", 32, 256 }), 0);
	while (worker_add_file(&worker, worker.mail_fd) >= 0)
		added++;
	assert_int_equal(added, (int)few.rlim_cur - 1);
	worker_destroy(&worker);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: no thread of another ring is about to end. */
		cmocka_unit_test(test_worker_and_its_helpers_stay_on_a_processor),
		cmocka_unit_test(test_few_files_may_be_open),
		cmocka_unit_test_setup_teardown(test_call_runs_on_the_worker, setup, teardown),
		cmocka_unit_test_setup_teardown(test_worker_hears_faults_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_posts_of_many_threads_all_arrive, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_job_that_returns_to_the_list_lets_others_run, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forgotten_job_does_not_run, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_watch_sees_every_wake_of_an_eventfd_never_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signals_take_no_thread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancelled_operation_ends_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_ring_refuses_what_a_data_path_does_not_need, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_slots, setup, teardown),
		cmocka_unit_test(test_run_on_the_calling_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
