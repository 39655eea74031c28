// SPDX-License-Identifier: MIT
/*
 * The life of a queue on its worker: registers set a goal, one task brings it
 * to the worker, and the worker follows it in its own time. Nobody waits; that
 * a queue is no longer live tells the registers that it has drained. The lock
 * guards goal and live only and is never taken per chain.
 */
#include "virtio/virtqueue_run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "virtio/virtio.h"

/* ---- Memory for the iovecs of long chains ---- */

struct virtqueue_row *virtqueue_row_take(struct virtqueue_run *run)
{
	struct virtqueue_row *row = run->spare;

	if (!row)
		return malloc(sizeof(*row));
	run->spare = row->next;
	run->spare_count--;
	return row;
}

void virtqueue_row_give(struct virtqueue_run *run, struct virtqueue_row *row)
{
	if (run->spare_count == VIRTQUEUE_ROWS_KEPT) {
		free(row);
		return;
	}
	row->next = run->spare;
	run->spare = row;
	run->spare_count++;
}

/* ---- Rings ---- */

void *virtqueue_area(const struct virtqueue *queue, uint64_t gpa, uint64_t alignment,
		     uint64_t bytes)
{
	return is_aligned(gpa, alignment) ?
		       guest_memory_at(queue->device->deps.memory, gpa, bytes) : NULL;
}

static const struct virtqueue_ring *virtqueue_ring(const struct virtqueue *queue)
{
	return virtio_has(queue->device, VIRTIO_F_RING_PACKED) ? &virtqueue_packed :
								 &virtqueue_split;
}

bool virtqueue_rings_valid(const struct virtqueue *queue)
{
	struct virtqueue_run run;

	return virtqueue_ring(queue)->map(queue, &run);
}

int virtqueue_split_areas(const struct virtqueue *queue, struct virtqueue_areas *areas)
{
	struct virtqueue_run run;

	if (!virtqueue_split.map(queue, &run))
		return -EFAULT;
	*areas = (struct virtqueue_areas){
		.desc = run.table.entries, .avail = run.split.avail, .used = run.split.used
	};
	return 0;
}

void virtqueue_rewind(struct virtqueue *queue)
{
	queue->next_avail = queue->next_used = virtqueue_ring(queue)->first_place;
}

/* ---- Start ---- */

static void virtqueue_run_destroy(struct virtqueue *queue)
{
	struct virtqueue_run *run = queue->run;

	worker_forget(queue->worker, &queue->kick_job);
	worker_forget(queue->worker, &queue->publish_job);
	worker_poll_remove(queue->worker, &run->poll);
	while (run->spare) {
		struct virtqueue_row *row = run->spare;

		run->spare = row->next;
		free(row);
	}
	free(run->scratch);
	free(run);
	queue->run = NULL;
}

static struct virtqueue_run *virtqueue_run_create(struct virtqueue *queue)
{
	const struct virtio_device *device = queue->device;
	struct virtqueue_run *run;

	run = calloc(1, sizeof(*run) + queue->size * sizeof(run->heads[0]));
	if (!run)
		return NULL;
	run->queue = queue;
	run->poll.look = virtqueue_poll_look;
	run->poll.rest = virtqueue_poll_rest;
	run->scratch = malloc(sizeof(*run->scratch));
	run->ring = virtqueue_ring(queue);
	if (!run->scratch || !run->ring->map(queue, run)) {
		free(run->scratch);
		free(run);
		return NULL;
	}
	run->table.memory = device->deps.memory;
	run->table.size = queue->size;
	run->table.indirect = virtio_has(device, VIRTIO_RING_F_INDIRECT_DESC);
	run->event_idx = virtio_has(device, VIRTIO_RING_F_EVENT_IDX);
	run->kicks_wanted = true;
	run->pass_chains = VIRTQUEUE_PASS_CHAINS;
	return run;
}

/*
 * Kick and call fds into the worker's fixed files, where they stay until its ring
 * goes: a guest starts and resets its queues at any pace. 0 or -errno.
 */
static int virtqueue_attach(struct virtqueue *queue)
{
	int error = worker_keep_file(queue->worker, &queue->call_slot, queue->call_fd);

	if (!error)
		error = worker_keep_file(queue->worker, &queue->kick_slot, queue->kick_fd);
	return error ? error :
		       worker_watch(queue->worker, &queue->kick_watch, queue->kick_slot);
}

static void virtqueue_begin_outside(struct virtqueue *queue)
{
	int error = queue->outside->begin(queue);

	queue->is_outside = !error;
	if (error)
		virtio_fail(queue->device, "queue %u: the kernel does not serve it: %s",
			    queue->index, strerror(-error));
}

/* A host that can't serve the queue looks to the guest like a device that broke. */
static void virtqueue_begin(struct virtqueue *queue)
{
	const struct virtio_type *type = queue->device->type;
	int error;

	/* It has drained only now, or was enabled since: it stays as it is until the reset. */
	if (virtio_silenced(queue->device))
		return;
	if (queue->outside) {
		virtqueue_begin_outside(queue);
		return;
	}
	queue->run = virtqueue_run_create(queue);
	if (!queue->run) {
		virtio_fail(queue->device, "queue %u: no memory to start it", queue->index);
		return;
	}
	error = virtqueue_attach(queue);
	if (error < 0) {
		virtio_fail(queue->device, "queue %u: can't be watched: %s", queue->index,
			    strerror(-error));
		virtqueue_run_destroy(queue);
		return;
	}
	queue->run->ring->start(queue);
	if (type->start)
		type->start(queue);
	/* Kicks may have come before we watched. */
	worker_ready(queue->worker, &queue->kick_job);
}

/* ---- Stop ---- */

/*
 * The worker has let go of the queue: says so, unless it is wanted again
 * already, or its task is on the way, which then comes here. After the unlock
 * the queue may be freed.
 */
static void virtqueue_let_go(struct virtqueue *queue)
{
	struct virtio_device *device = queue->device;
	bool again;

	pthread_mutex_lock(&device->queue_lock);
	again = queue->goal == VIRTQUEUE_RUN;
	if (!again && !queue->posted) {
		queue->live = false;
		pthread_cond_broadcast(&device->queue_drained);
	}
	pthread_mutex_unlock(&device->queue_lock);
	if (again)
		virtqueue_begin(queue);
}

static void virtqueue_stop(struct virtqueue *queue, bool drop)
{
	const struct virtio_type *type = queue->device->type;
	struct virtqueue_run *run = queue->run;

	run->drop |= drop;
	if (!run->stopping) {
		run->stopping = true;
		worker_unwatch(queue->worker, &queue->kick_watch);
		worker_poll_remove(queue->worker, &run->poll);
		if (type->stop)
			type->stop(queue);
	}
	worker_publish(queue->worker, &queue->publish_job);
}

/* Runs at the worker's next convenience after the goal was changed, however often. */
static void virtqueue_follow(struct worker_task *task)
{
	struct virtqueue *queue = container_of(task, struct virtqueue, task);
	struct virtio_device *device = queue->device;
	enum virtqueue_goal goal;

	pthread_mutex_lock(&device->queue_lock);
	goal = queue->goal;
	queue->posted = false;
	pthread_mutex_unlock(&device->queue_lock);

	if (queue->is_outside && (goal != VIRTQUEUE_RUN || virtio_silenced(device))) {
		queue->is_outside = false;
		queue->outside->end(queue);
	}
	if (goal != VIRTQUEUE_RUN && queue->run)
		virtqueue_stop(queue, goal == VIRTQUEUE_STOP);
	else if (goal != VIRTQUEUE_RUN)
		virtqueue_let_go(queue);
	else if (!queue->run && !queue->is_outside)
		virtqueue_begin(queue);
	/* Else it was paused and still drains: it begins again when it has. */
}

/* ---- What wakes the worker for a queue ---- */

static void virtqueue_kicked(struct fd_watch *watch)
{
	struct virtqueue *queue = container_of(watch, struct virtqueue, kick_watch);

	/* A guest that goes on kicking a broken device shall not cost a wake-up each time. */
	if (virtio_silenced(queue->device))
		worker_unwatch(queue->worker, watch);
	else
		worker_ready(queue->worker, &queue->kick_job);
}

static void virtqueue_run_kick(struct worker_job *job)
{
	struct virtqueue *queue = container_of(job, struct virtqueue, kick_job);
	const struct virtio_type *type = queue->device->type;

	queue->run->pass_chains = VIRTQUEUE_PASS_CHAINS;
	if (type->kick && virtqueue_running(queue))
		type->kick(queue);
}

static void virtqueue_run_publish(struct worker_job *job)
{
	struct virtqueue *queue = container_of(job, struct virtqueue, publish_job);

	virtqueue_publish(queue);
	if (queue->run->stopping && !queue->run->in_flight) {
		virtqueue_run_destroy(queue);
		virtqueue_let_go(queue);
	}
}

/* ---- Other threads ---- */

int virtqueue_init(struct virtqueue *queue, struct virtio_device *device, uint16_t index,
		   uint16_t max_size, struct worker *worker)
{
	int error;

	*queue = (struct virtqueue){
		.device = device,
		.worker = worker,
		.index = index,
		.max_size = max_size,
		.size = max_size,
		.kick_fd = event_fd_create(),
		.call_fd = event_fd_create(),
		.kick_slot = -1,
		.call_slot = -1,
		.task.run = virtqueue_follow,
		.kick_job.run = virtqueue_run_kick,
		.publish_job.run = virtqueue_run_publish,
		.kick_watch.ready = virtqueue_kicked,
	};
	error = queue->kick_fd < 0 ? -queue->kick_fd : queue->call_fd < 0 ? -queue->call_fd : 0;
	if (!error)
		return 0;
	virtqueue_destroy(queue);
	return fail_host(error, "%s: queue %u: eventfd: %s; raise the limit of open files "
			 "(ulimit -n)", device->deps.name, index, strerror(error));
}

void virtqueue_destroy(struct virtqueue *queue)
{
	fd_close(&queue->kick_fd);
	fd_close(&queue->call_fd);
}

/* Unlocks the device's queues; virtqueue_follow() runs if `changed`, once however often. */
static void virtqueue_unlock_and_post(struct virtqueue *queue, bool changed)
{
	bool post = changed && queue->live && !queue->posted;

	queue->posted |= post;
	pthread_mutex_unlock(&queue->device->queue_lock);
	if (post)
		worker_post(queue->worker, &queue->task);
}

void virtqueue_set_goal(struct virtqueue *queue, enum virtqueue_goal goal)
{
	bool changed;

	pthread_mutex_lock(&queue->device->queue_lock);
	if (goal == VIRTQUEUE_RUN)
		queue->live = true;
	changed = queue->goal != goal;
	queue->goal = goal;
	virtqueue_unlock_and_post(queue, changed);
}

void virtqueue_silence(struct virtio_device *device)
{
	for (unsigned i = 0; i < device->queue_count; i++) {
		struct virtqueue *queue = &device->queues[i];

		if (!queue->outside)
			continue;
		pthread_mutex_lock(&device->queue_lock);
		virtqueue_unlock_and_post(queue, true);
	}
}

bool virtqueue_drained(struct virtqueue *queue)
{
	struct virtio_device *device = queue->device;
	bool drained;

	pthread_mutex_lock(&device->queue_lock);
	drained = !queue->live;
	pthread_mutex_unlock(&device->queue_lock);
	return drained;
}
