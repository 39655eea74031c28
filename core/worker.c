// SPDX-License-Identifier: MIT
/*
 * The ring loop. The worker's thread alone touches the ring, its jobs and its
 * files; other threads leave tasks in the mailbox and write mail_fd. Before the
 * thread runs the ring is disabled: the creating thread may already prepare
 * SQEs and register files, which then go in with the first pass.
 */
#include "core/worker.h"

#include <assert.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/ring.h"
#include "core/thread.h"

#define REAP_BATCH 64

static void job_list_init(struct job_list *list)
{
	list->first = NULL;
	list->last = &list->first;
	list->count = 0;
}

static void job_list_add(struct job_list *list, struct worker_job *job)
{
	if (job->queued)
		return;
	job->queued = true;
	job->next = NULL;
	*list->last = job;
	list->last = &job->next;
	list->count++;
}

static void job_list_remove(struct job_list *list, struct worker_job *job)
{
	struct worker_job **link = &list->first;

	while (*link && *link != job)
		link = &(*link)->next;
	if (!*link)
		return;
	*link = job->next;
	if (list->last == &job->next)
		list->last = link;
	list->count--;
	job->queued = false;
}

/* Runs as many as are on the list now: what a job adds stays for the next time. */
static void job_list_run(struct job_list *list)
{
	for (unsigned left = list->count; left && list->first; left--) {
		struct worker_job *job = list->first;

		job_list_remove(list, job);
		job->run(job);
	}
}

void worker_ready(struct worker *worker, struct worker_job *job)
{
	job_list_add(&worker->ready, job);
}

void worker_publish(struct worker *worker, struct worker_job *job)
{
	job_list_add(&worker->publish, job);
}

void worker_forget(struct worker *worker, struct worker_job *job)
{
	job_list_remove(&worker->ready, job);
	job_list_remove(&worker->publish, job);
}

struct io_uring_sqe *worker_sqe(struct worker *worker)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&worker->ring))) {
		int error = io_uring_submit(&worker->ring);

		/* Transient: out of request memory, or a signal. All else is a bug of ours. */
		if (error < 0 && error != -EAGAIN && error != -EINTR && error != -EBUSY) {
			fail(-error, "%s: io_uring_enter: %s", worker->name, strerror(-error));
			abort();
		}
	}
	return sqe;
}

void worker_arm(struct io_uring_sqe *sqe, struct ring_op *op)
{
	io_uring_sqe_set_data(sqe, op);
	sqe->flags |= IOSQE_FIXED_FILE;
	if (!op)
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
}

void worker_cancel(struct worker *worker, struct ring_op *op)
{
	struct io_uring_sqe *sqe = worker_sqe(worker);

	io_uring_prep_cancel(sqe, op, 0);
	worker_arm(sqe, NULL);
}

void worker_signal(struct worker *worker, int slot)
{
	static const uint64_t one = 1;
	struct io_uring_sqe *sqe = worker_sqe(worker);

	io_uring_prep_write(sqe, slot, &one, sizeof(one), 0);
	worker_arm(sqe, NULL);
}

int worker_add_file(struct worker *worker, int fd)
{
	unsigned slot = 0;
	int error;

	while (slot < worker->file_count && worker->files[slot] >= 0)
		slot++;
	if (slot == worker->file_count)
		return -ENFILE;
	error = io_uring_register_files_update(&worker->ring, slot, &fd, 1);
	if (error < 0)
		return error;
	worker->files[slot] = fd;
	return (int)slot;
}

int worker_keep_file(struct worker *worker, int *slot, int fd)
{
	if (*slot < 0)
		*slot = worker_add_file(worker, fd);
	return *slot < 0 ? *slot : 0;
}

/*
 * Up to Linux 6.12 each removal makes a node, which holds the file, and nodes are
 * freed in their order, each when the requests have ended that were made before
 * it. The mailbox's poll never does: node and file stay as long as the ring.
 */
void worker_remove_file(struct worker *worker, int slot)
{
	int none = -1;
	int error = io_uring_register_files_update(&worker->ring, (unsigned)slot, &none, 1);

	if (error < 0)
		log_warning("%s: release file slot %d: %s", worker->name, slot, strerror(-error));
	worker->files[slot] = -1;
}

/* Completions are copied out first: done() may prepare SQEs and even submit. */
static unsigned reap_batch(struct worker *worker)
{
	struct io_uring_cqe *cqes[REAP_BATCH];
	struct {
		struct ring_op *op;
		int result;
		uint32_t flags;
	} batch[REAP_BATCH];
	unsigned count = io_uring_peek_batch_cqe(&worker->ring, cqes, REAP_BATCH);

	for (unsigned i = 0; i < count; i++) {
		batch[i].op = io_uring_cqe_get_data(cqes[i]);
		batch[i].result = cqes[i]->res;
		batch[i].flags = cqes[i]->flags;
	}
	io_uring_cq_advance(&worker->ring, count);
	for (unsigned i = 0; i < count; i++) {
		if (batch[i].op)
			batch[i].op->done(batch[i].op, batch[i].result, batch[i].flags);
		else if (batch[i].result != -ENOENT && batch[i].result != -EALREADY)
			log_warning("%s: signal: %s", worker->name, strerror(-batch[i].result));
	}
	return count;
}

/*
 * What is there, and once more what has come in meanwhile: a wait ends with the
 * first completion of many, and from Linux 6.13 on hands over 20 at most. What
 * is reaped together is published together: the second look costs a call, as a
 * pass of its own would, and saves the guest an interrupt and a kick.
 */
static void reap(struct worker *worker)
{
	unsigned count = reap_batch(worker);

	if (!count || count >= REAP_BATCH)
		return;
	if (!(IO_URING_READ_ONCE(*worker->ring.sq.kflags) & IORING_SQ_TASKRUN))
		return;
	if (io_uring_get_events(&worker->ring) >= 0)
		reap_batch(worker);
}

/* Whether the kernel has anything to do for us: to take SQEs, or to hand over completions. */
static bool ring_has_work(const struct worker *worker)
{
	return io_uring_sq_ready(&worker->ring) ||
	       IO_URING_READ_ONCE(*worker->ring.sq.kflags) &
		       (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

static void enter(struct worker *worker, bool wait)
{
	int error;

	if (!wait && !ring_has_work(worker))
		return;
	error = wait ? io_uring_submit_and_wait(&worker->ring, 1) :
			   io_uring_submit_and_get_events(&worker->ring);
	if (error < 0 && error != -EINTR && error != -EAGAIN && error != -EBUSY) {
		fail(-error, "%s: io_uring_enter: %s", worker->name, strerror(-error));
		abort();
	}
}

static void mail_ready(struct fd_watch *watch)
{
	struct worker *worker = container_of(watch, struct worker, mail_watch);
	struct worker_task *task;

	pthread_mutex_lock(&worker->mail_lock);
	task = worker->mail;
	worker->mail = NULL;
	worker->mail_last = &worker->mail;
	pthread_mutex_unlock(&worker->mail_lock);
	while (task) {
		struct worker_task *next = task->next;

		task->run(task);
		task = next;
	}
}

void worker_post(struct worker *worker, struct worker_task *task)
{
	bool was_empty;

	task->next = NULL;
	pthread_mutex_lock(&worker->mail_lock);
	was_empty = !worker->mail;
	*worker->mail_last = task;
	worker->mail_last = &task->next;
	pthread_mutex_unlock(&worker->mail_lock);
	if (was_empty)
		event_fd_signal(worker->mail_fd);
}

struct waited_call {
	struct worker_task task;
	struct worker_task *inner;
	sem_t ended;
};

static void waited_call_run(struct worker_task *task)
{
	struct waited_call *call = container_of(task, struct waited_call, task);

	call->inner->run(call->inner);
	sem_post(&call->ended); /* the last touch: the caller's stack goes */
}

bool worker_is_current(const struct worker *worker)
{
	return worker->thread_id == gettid();
}

void worker_call(struct worker *worker, struct worker_task *task)
{
	struct waited_call call = { { waited_call_run }, task };

	if (!worker->running || worker_is_current(worker)) {
		task->run(task);
		return;
	}
	sem_init(&call.ended, 0, 0);
	worker_post(worker, &call.task);
	while (sem_wait(&call.ended) < 0 && errno == EINTR)
		;
	sem_destroy(&call.ended);
}

int worker_claim(struct worker *worker)
{
	int error = worker->owner ? 0 : ring_enable(&worker->ring);

	assert(!worker->owner || worker->owner == gettid());
	if (error < 0)
		return fail_host(-error, "%s: enable io_uring: %s", worker->name,
				 strerror(-error));
	worker->owner = gettid();
	if (worker->processor)
		ring_set_processor(&worker->ring, *worker->processor);
	return 0;
}

/*
 * Submits what this pass has prepared and comes back when there is more to do:
 * found by looking, if that pays, or by sleeping until the ring has something.
 */
static void submit_and_wait(struct worker *worker)
{
	bool idle = !worker->ready.first && !worker->quit;

	if (!idle) {
		enter(worker, false);
		worker_look(worker);
		return;
	}
	if (worker_spin_due(worker)) {
		enter(worker, false);
		if (io_uring_cq_ready(&worker->ring)) {
			worker_look(worker);
			return;
		}
		if (worker_spin(worker))
			return;
	}
	enter(worker, !worker_rest(worker));
}

static void loop(struct worker *worker)
{
	while (!worker->quit) {
		reap(worker);
		job_list_run(&worker->publish);
		job_list_run(&worker->ready);
		while (worker->publish.first)
			job_list_run(&worker->publish);
		submit_and_wait(worker);
	}
	io_uring_unregister_ring_fd(&worker->ring);
}

static int thread_prepare(void *argument)
{
	struct worker *worker = argument;

	worker->thread_id = gettid();
	return worker_claim(worker);
}

static void *thread_main(void *argument)
{
	loop(argument);
	return NULL;
}

static int thread_refused(const struct worker *worker, int error)
{
	if (error == EINVAL && worker->processor)
		return fail_host(error, "%s: ringvm may not run on processor %u; name others with "
				 "--io-affinity", worker->name, *worker->processor);
	return fail_host(error, "%s: start thread: %s", worker->name, strerror(error));
}

/* `error` is positive, of the thread, or negative and logged. */
static int not_started(struct worker *worker, int error)
{
	worker->running = false;
	worker->threaded = false;
	worker->thread_id = 0;
	return error > 0 ? thread_refused(worker, error) : error;
}

int worker_begin(struct worker *worker)
{
	const struct thread_config config = {
		.name = worker->name,
		.prepare = thread_prepare,
		.run = thread_main,
		.argument = worker,
		.filter = worker->filter,
		.processor = worker->processor,
	};
	int error;

	worker->running = true;
	worker->threaded = true;
	error = thread_begin(&worker->thread, &config);
	return error ? not_started(worker, error) : 0;
}

int worker_await(struct worker *worker)
{
	int error = thread_await(&worker->thread);

	return error ? not_started(worker, error) : 0;
}

int worker_start(struct worker *worker)
{
	int error = worker_begin(worker);

	return error ? error : worker_await(worker);
}

void worker_run(struct worker *worker)
{
	if (worker_claim(worker))
		abort(); /* who can do better claims it before */
	worker->thread_id = gettid();
	worker->running = true;
	worker->quit = false;
	loop(worker);
	worker->running = false;
	worker->thread_id = 0;
}

bool worker_can_run_again(const struct worker *worker)
{
	return !worker->running && worker->owner == gettid();
}

void worker_quit(struct worker *worker)
{
	worker->quit = true;
}

struct quit_task {
	struct worker_task task;
	struct worker *worker;
};

static void quit_run(struct worker_task *task)
{
	worker_quit(container_of(task, struct quit_task, task)->worker);
}

void worker_stop(struct worker *worker)
{
	struct quit_task quit = { { quit_run }, worker };

	if (!worker->threaded)
		return;
	worker_post(worker, &quit.task);
	pthread_join(worker->thread.id, NULL);
	worker->threaded = false;
	worker->running = false;
	worker->thread_id = 0;
}

/* The kernel refuses a table for more files than the process may open. */
static unsigned table_size(unsigned wanted)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) ? wanted :
						  (unsigned)min_u64(wanted, limit.rlim_cur);
}

int worker_create(struct worker *worker, const struct worker_config *config)
{
	int error;

	memset(worker, 0, sizeof(*worker));
	snprintf(worker->name, sizeof(worker->name), "%s", config->name);
	worker->filter = config->filter;
	worker->processor = config->processor;
	job_list_init(&worker->ready);
	job_list_init(&worker->publish);
	worker->spin.window_ns = config->poll_ns;
	worker->mail_last = &worker->mail;
	worker->mail_watch.ready = mail_ready;
	worker->file_count = table_size(config->files + 1); /* and mail_fd */
	worker->files = malloc(worker->file_count * sizeof(*worker->files));
	worker->mail_fd = event_fd_create();
	if (!worker->files || worker->mail_fd < 0) {
		error = fail_host(worker->files ? -worker->mail_fd : ENOMEM,
				  "%s: no memory or file descriptor left; raise 'ulimit -n'",
				  worker->name);
		goto no_ring;
	}
	memset(worker->files, -1, worker->file_count * sizeof(*worker->files));
	error = ring_create(&worker->ring, worker->name, config->entries, worker->file_count);
	if (error)
		goto no_ring;
	pthread_mutex_init(&worker->mail_lock, NULL);
	error = worker_add_file(worker, worker->mail_fd);
	if (error >= 0)
		error = worker_watch(worker, &worker->mail_watch, error);
	if (error) {
		error = fail_host(-error, "%s: mailbox: %s", worker->name, strerror(-error));
		worker_destroy(worker);
	}
	return error;
no_ring:
	fd_close(&worker->mail_fd);
	free(worker->files);
	return error;
}

void worker_destroy(struct worker *worker)
{
	assert(!worker->running);
	io_uring_queue_exit(&worker->ring);
	worker_forget_waits(worker);
	fd_close(&worker->mail_fd);
	free(worker->files);
	pthread_mutex_destroy(&worker->mail_lock);
}
