// SPDX-License-Identifier: MIT
/*
 * Taking chains from the guest and giving them back, whatever the format of the
 * ring, which virtqueue_split.c and virtqueue_packed.c know. All of it runs on
 * the queue's worker and takes no lock. Starting and draining a queue is in
 * virtqueue_run.c; what a descriptor may say, in descriptor.c.
 */
#include "virtio/virtqueue.h"

#include <assert.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "core/fetch.h"
#include "virtio/virtio.h"
#include "virtio/virtqueue_run.h"

bool virtqueue_running(const struct virtqueue *queue)
{
	return queue->run && !queue->run->stopping && !virtio_silenced(queue->device);
}

bool virtqueue_wanted(const struct virtqueue *queue)
{
	return queue->run && !queue->run->drop && !virtio_silenced(queue->device);
}

unsigned virtqueue_in_flight(const struct virtqueue *queue)
{
	return queue->run ? queue->run->in_flight : 0;
}

void virtqueue_again(struct virtqueue *queue)
{
	if (virtqueue_running(queue))
		worker_ready(queue->worker, &queue->kick_job);
}

void virtqueue_spend(struct virtqueue *queue, unsigned chains)
{
	struct virtqueue_run *run = queue->run;

	run->pass_chains -= (unsigned)min_u64(run->pass_chains, chains);
}

static bool virtqueue_available(struct virtqueue *queue)
{
	const struct virtqueue_ring *ring = queue->run->ring;

	fetch_open();
	if (ring->look(queue))
		return true;
	fetch_close();
	if (virtio_silenced(queue->device))
		return false;
	if (worker_polls(queue->worker)) {
		worker_poll_add(queue->worker, &queue->run->poll);
		return false;
	}
	ring->want_kicks(queue, true);
	fetch_open(); /* on purpose anew: the driver may not have seen our wish */
	if (ring->look(queue))
		return true;
	fetch_close();
	return false;
}

/* The worker looks at a ring that was empty. */
bool virtqueue_poll_look(struct worker_poll *poll)
{
	struct virtqueue *queue = container_of(poll, struct virtqueue_run, poll)->queue;

	fetch_close(); /* of another queue's chain, maybe: this look is for no pop */
	if (virtio_silenced(queue->device) || !queue->run->ring->look(queue))
		return false;
	worker_ready(queue->worker, &queue->kick_job);
	return true;
}

bool virtqueue_poll_rest(struct worker_poll *poll)
{
	struct virtqueue *queue = container_of(poll, struct virtqueue_run, poll)->queue;

	if (virtio_silenced(queue->device))
		return false;
	queue->run->ring->want_kicks(queue, true);
	return virtqueue_poll_look(poll);
}

/* Most chains are short and keep their parts beside the head; a long one keeps the whole row. */
static struct iovec *virtqueue_keep_parts(struct virtqueue_run *run, struct virtqueue_head *head,
					  unsigned count)
{
	struct virtqueue_row *fresh;

	if (count <= VIRTQUEUE_SHORT) {
		for (unsigned i = 0; i < count; i++)
			head->parts[i] = run->scratch->parts[i];
		return head->parts;
	}
	fresh = virtqueue_row_take(run);
	if (!fresh)
		return NULL;
	head->is_long = true;
	head->row = run->scratch;
	run->scratch = fresh;
	return head->row->parts;
}

static void virtqueue_slot_free(struct virtqueue_run *run, uint16_t slot)
{
	if (run->ring->slot_free)
		run->ring->slot_free(run, slot);
}

/* In flight from here on, in a slot that is free. False: no memory. */
static bool virtqueue_keep(struct virtqueue *queue, struct virtqueue_head *head,
			   const struct descriptor_parts *parts, struct chain *chain)
{
	struct virtqueue_run *run = queue->run;
	struct iovec *iov = virtqueue_keep_parts(run, head,
						 parts->readable_count + parts->writable_count);

	if (!iov)
		return false;
	head->busy = true;
	run->in_flight++;
	*chain = (struct chain){
		.head = (uint16_t)(head - run->heads),
		.readable_count = parts->readable_count,
		.writable_count = parts->writable_count,
		.readable = iov,
		.writable = iov + parts->readable_count,
		.readable_bytes = parts->readable_bytes,
		.writable_bytes = parts->writable_bytes,
		.window = fetch_window(),
	};
	return true;
}

/* Writes the next used entry; publishing makes the guest look at it. */
static void virtqueue_use(struct virtqueue *queue, const struct virtqueue_buffer *buffer,
			  uint32_t written_bytes)
{
	if (!virtqueue_wanted(queue))
		return;
	queue->run->ring->use(queue, buffer, written_bytes);
	worker_publish(queue->worker, &queue->publish_job);
}

static enum descriptor_verdict virtqueue_take(struct virtqueue *queue, struct chain *chain)
{
	struct virtqueue_run *run = queue->run;
	struct descriptor_parts parts = {
		.iov = run->scratch->parts,
		.capacity = VIRTQUEUE_MAX,
	};
	uint16_t next_avail = queue->next_avail;
	struct virtqueue_buffer buffer;
	enum descriptor_verdict verdict = run->ring->take(queue, &buffer, &parts);

	run->position++;
	if (verdict == DESCRIPTOR_OK) {
		uint16_t slot = run->ring->slot ? run->ring->slot(run) : buffer.id;
		struct virtqueue_head *head = &run->heads[slot];

		head->buffer = buffer;
		head->next_avail = next_avail;
		head->position = run->position;
		if (virtqueue_keep(queue, head, &parts, chain))
			return DESCRIPTOR_OK;
		virtqueue_slot_free(run, slot);
		parts.fault = "out of memory for a long chain";
		verdict = DESCRIPTOR_MALFORMED;
	}
	if (verdict == DESCRIPTOR_CORRUPT) {
		virtio_fail(queue->device, "queue %u: %s", queue->index, parts.fault);
		return verdict;
	}
	log_limited(&queue->device->log_limit, "%s: queue %u: request ended: %s",
		    queue->device->deps.name, queue->index, parts.fault);
	virtqueue_use(queue, &buffer, 0);
	return verdict;
}

bool virtqueue_pop(struct virtqueue *queue, struct chain *chain)
{
	while (virtqueue_running(queue) && virtqueue_available(queue)) {
		struct virtqueue_run *run = queue->run;

		if (!run->pass_chains) {
			worker_ready(queue->worker, &queue->kick_job);
			return false;
		}
		worker_poll_remove(queue->worker, &run->poll);
		run->pass_chains--;
		if (!run->event_idx)
			run->ring->want_kicks(queue, false);
		if (virtqueue_take(queue, chain) == DESCRIPTOR_OK)
			return true;
	}
	return false;
}

/* The chain is the guest's again, or will be. */
static struct virtqueue_head *virtqueue_release(struct virtqueue *queue, uint16_t index)
{
	struct virtqueue_run *run = queue->run;
	struct virtqueue_head *head = &run->heads[index];

	assert(index < run->table.size && head->busy);
	head->busy = false;
	run->in_flight--;
	virtqueue_slot_free(run, index);
	if (head->is_long) {
		virtqueue_row_give(run, head->row);
		head->is_long = false;
	}
	/* The publish job also finds out that a stopping queue has drained. */
	if (run->stopping)
		worker_publish(queue->worker, &queue->publish_job);
	return head;
}

void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written_bytes)
{
	virtqueue_use(queue, &virtqueue_release(queue, head)->buffer, written_bytes);
}

void virtqueue_unpop(struct virtqueue *queue, uint16_t index)
{
	uint16_t next_avail = queue->run->heads[index].next_avail; /* release may overwrite it */
	const struct virtqueue_head *head = virtqueue_release(queue, index);

	if (head->position == queue->run->position) {
		queue->run->position--;
		queue->next_avail = next_avail;
	} else {
		virtqueue_use(queue, &head->buffer, 0);
	}
}

void virtqueue_publish(struct virtqueue *queue)
{
	struct virtqueue_run *run = queue->run;

	if (run->drop || virtio_silenced(queue->device) || !run->ring->publish(queue))
		return;
	/* A stopping queue may say that it has drained before the ring is entered again. */
	if (run->stopping)
		event_fd_signal(queue->call_fd);
	else
		worker_signal(queue->worker, queue->call_slot);
}
