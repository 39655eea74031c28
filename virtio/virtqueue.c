// SPDX-License-Identifier: MIT
/*
 * The split ring: taking chains from the guest and giving them back. All of it
 * runs on the queue's worker and takes no lock. Starting and draining a queue
 * is in virtio/virtqueue_run.c; what a descriptor may say, in descriptor.c.
 */
#include "virtio/virtqueue.h"

#include <assert.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "virtio/virtio.h"
#include "virtio/virtqueue_run.h"

bool virtqueue_running(const struct virtqueue *queue)
{
	return queue->run && !queue->run->stopping && !virtio_silenced(queue->device);
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

static void virtqueue_set_kicks(struct virtqueue_run *run, bool wanted)
{
	uint16_t flags = wanted ? 0 : VRING_USED_F_NO_NOTIFY;

	if (run->kicks_wanted == wanted)
		return;
	run->kicks_wanted = wanted;
	__atomic_store_n(&run->used->flags, htole16(flags), __ATOMIC_RELAXED);
}

/*
 * With EVENT_IDX an avail event that is left behind asks for no kick, and
 * writing the present index asks for one; without, a flag does either.
 */
static void virtqueue_ask_for_kick(struct virtqueue *queue)
{
	struct virtqueue_run *run = queue->run;

	if (run->event_idx)
		__atomic_store_n(run->avail_event, htole16(queue->next_avail), __ATOMIC_RELAXED);
	else
		virtqueue_set_kicks(run, true);
	/*
	 * Pairs with the driver's full fence between its store of avail->idx and
	 * its load of the avail event or flags: one of us sees the other's store.
	 */
	__sync_synchronize();
}

/* Whether there is a head to take, as far as avail->idx can be trusted. */
static bool virtqueue_look(struct virtqueue *queue)
{
	struct virtqueue_run *run = queue->run;
	uint16_t available;

	/* Pairs with the driver's release of avail->idx: ring entries and descriptors are there. */
	run->avail_idx = le16toh(__atomic_load_n(&run->avail->idx, __ATOMIC_ACQUIRE));
	available = (uint16_t)(run->avail_idx - queue->next_avail);
	if (available > run->table.size) {
		virtio_fail(queue->device, "queue %u: %u chains made available, the ring holds %u",
			    queue->index, available, run->table.size);
		return false;
	}
	return available;
}

static bool virtqueue_available(struct virtqueue *queue)
{
	if (queue->run->avail_idx != queue->next_avail || virtqueue_look(queue))
		return true;
	if (virtio_silenced(queue->device))
		return false;
	virtqueue_ask_for_kick(queue);
	return virtqueue_look(queue);
}

/* The head at next_avail, checked; false if the device has failed. */
static bool virtqueue_next_head(struct virtqueue *queue, uint16_t *head)
{
	struct virtqueue_run *run = queue->run;
	uint16_t slot = queue->next_avail & (run->table.size - 1);

	*head = le16toh(__atomic_load_n(&run->avail->ring[slot], __ATOMIC_RELAXED));
	if (*head >= run->table.size) {
		virtio_fail(queue->device, "queue %u: head %u out of range", queue->index, *head);
		return false;
	}
	if (run->heads[*head].busy) {
		virtio_fail(queue->device, "queue %u: head %u is still in flight", queue->index,
			    *head);
		return false;
	}
	return true;
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
	head->row = run->scratch;
	run->scratch = fresh;
	return head->row->parts;
}

static enum descriptor_verdict virtqueue_take(struct virtqueue *queue, uint16_t index,
					      struct chain *chain)
{
	struct virtqueue_run *run = queue->run;
	struct virtqueue_head *head = &run->heads[index];
	struct descriptor_parts parts = {
		.iov = run->scratch->parts,
		.capacity = VIRTQUEUE_MAX,
	};
	enum descriptor_verdict verdict = descriptor_walk(&run->table, index, &parts);
	struct iovec *iov = NULL;

	if (verdict == DESCRIPTOR_OK) {
		iov = virtqueue_keep_parts(run, head, parts.readable_count + parts.writable_count);
		if (!iov) {
			parts.fault = "out of memory for a long chain";
			verdict = DESCRIPTOR_MALFORMED;
		}
	}
	if (verdict == DESCRIPTOR_CORRUPT)
		virtio_fail(queue->device, "queue %u: %s", queue->index, parts.fault);
	else if (verdict == DESCRIPTOR_MALFORMED)
		log_limited(&queue->device->log_limit, "%s: queue %u: request ended: %s",
			    queue->device->deps.name, queue->index, parts.fault);
	if (verdict != DESCRIPTOR_OK)
		return verdict;

	head->busy = true;
	head->position = queue->next_avail - 1;
	run->in_flight++;
	*chain = (struct chain){
		.head = index,
		.readable_count = parts.readable_count,
		.writable_count = parts.writable_count,
		.readable = iov,
		.writable = iov + parts.readable_count,
		.readable_bytes = parts.readable_bytes,
		.writable_bytes = parts.writable_bytes,
	};
	return DESCRIPTOR_OK;
}

/* Writes the next used element; publishing makes the guest look at it. */
static void virtqueue_use(struct virtqueue *queue, uint16_t head, uint32_t written_bytes)
{
	struct virtqueue_run *run = queue->run;
	struct vring_used_elem *element;

	if (run->drop || virtio_silenced(queue->device))
		return;
	element = &run->used->ring[queue->next_used & (run->table.size - 1)];
	__atomic_store_n(&element->id, htole32(head), __ATOMIC_RELAXED);
	__atomic_store_n(&element->len, htole32(written_bytes), __ATOMIC_RELAXED);
	queue->next_used++;
	worker_publish(queue->worker, &queue->publish_job);
}

bool virtqueue_pop(struct virtqueue *queue, struct chain *chain)
{
	while (virtqueue_running(queue) && virtqueue_available(queue)) {
		struct virtqueue_run *run = queue->run;
		enum descriptor_verdict verdict;
		uint16_t head;

		if (!run->pass_chains) {
			worker_ready(queue->worker, &queue->kick_job);
			return false;
		}
		if (!virtqueue_next_head(queue, &head))
			return false;
		run->pass_chains--;
		queue->next_avail++;
		if (!run->event_idx)
			virtqueue_set_kicks(run, false);

		verdict = virtqueue_take(queue, head, chain);
		if (verdict == DESCRIPTOR_OK)
			return true;
		if (verdict == DESCRIPTOR_MALFORMED)
			virtqueue_use(queue, head, 0);
	}
	return false;
}

/* The head is the guest's again, or will be. */
static struct virtqueue_head *virtqueue_release(struct virtqueue *queue, uint16_t index)
{
	struct virtqueue_run *run = queue->run;
	struct virtqueue_head *head = &run->heads[index];

	assert(index < run->table.size && head->busy);
	head->busy = false;
	run->in_flight--;
	if (head->row) {
		virtqueue_row_give(run, head->row);
		head->row = NULL;
	}
	/* The publish job also finds out that a stopping queue has drained. */
	if (run->stopping)
		worker_publish(queue->worker, &queue->publish_job);
	return head;
}

void virtqueue_push(struct virtqueue *queue, uint16_t head, uint32_t written_bytes)
{
	virtqueue_release(queue, head);
	virtqueue_use(queue, head, written_bytes);
}

void virtqueue_unpop(struct virtqueue *queue, uint16_t head)
{
	uint16_t position = virtqueue_release(queue, head)->position;

	if (position == (uint16_t)(queue->next_avail - 1))
		queue->next_avail = position;
	else
		virtqueue_use(queue, head, 0);
}

static bool virtqueue_wants_interrupt(const struct virtqueue_run *run, uint16_t old, uint16_t new)
{
	if (run->event_idx) {
		uint16_t event = __atomic_load_n(run->used_event, __ATOMIC_RELAXED);

		return vring_need_event(le16toh(event), new, old);
	}
	return !(le16toh(__atomic_load_n(&run->avail->flags, __ATOMIC_RELAXED)) &
		 VRING_AVAIL_F_NO_INTERRUPT);
}

void virtqueue_publish(struct virtqueue *queue)
{
	struct virtqueue_run *run = queue->run;
	uint16_t old = run->published;

	if (old == queue->next_used || run->drop || virtio_silenced(queue->device))
		return;
	/* Pairs with the driver's acquire of used->idx: it finds the elements and the data. */
	__atomic_store_n(&run->used->idx, htole16(queue->next_used), __ATOMIC_RELEASE);
	run->published = queue->next_used;
	/*
	 * Pairs with the driver's full fence between its store of the used event or
	 * flags and its load of used->idx: it sees our index, or we its wish.
	 */
	__sync_synchronize();
	if (!virtqueue_wants_interrupt(run, old, run->published))
		return;
	/* A stopping queue may let go of its slots before the ring is entered again. */
	if (run->stopping)
		event_fd_signal(queue->call_fd);
	else
		worker_signal(queue->worker, run->call_slot);
}
