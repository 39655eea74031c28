// SPDX-License-Identifier: MIT
/*
 * The split ring (virtio 1.2, 2.7): descriptor table, available ring, used
 * ring. Heads in flight are known by their number, which no two of them share.
 * next_avail and next_used run freely over 16 bits. Worker thread, no lock.
 */
#include "virtio/virtqueue_run.h"

#include "base/bytes.h"
#include "core/fetch.h"
#include "virtio/virtio.h"

struct ring_layout {
	uint64_t desc_bytes, avail_bytes, used_bytes;
};

/* 2.7: with the two event fields at the end, which a driver must leave room for in any case. */
static struct ring_layout ring_layout(uint64_t size)
{
	return (struct ring_layout){
		.desc_bytes = size * sizeof(struct vring_desc),
		.avail_bytes = sizeof(struct vring_avail) + (size + 1) * sizeof(uint16_t),
		.used_bytes = sizeof(struct vring_used) + size * sizeof(struct vring_used_elem) +
			      sizeof(uint16_t),
	};
}

static bool split_map(const struct virtqueue *queue, struct virtqueue_run *run)
{
	struct ring_layout layout = ring_layout(queue->size);
	struct split_ring *split = &run->split;

	if (!is_power_of_two(queue->size))
		return false;
	run->table.entries = virtqueue_area(queue, queue->desc_gpa, VRING_DESC_ALIGN_SIZE,
					    layout.desc_bytes);
	split->avail = virtqueue_area(queue, queue->avail_gpa, VRING_AVAIL_ALIGN_SIZE,
				      layout.avail_bytes);
	split->used = virtqueue_area(queue, queue->used_gpa, VRING_USED_ALIGN_SIZE,
				     layout.used_bytes);
	if (!run->table.entries || !split->avail || !split->used)
		return false;
	split->used_event = &split->avail->ring[queue->size];
	split->avail_event = (uint16_t *)&split->used->ring[queue->size];
	return true;
}

static void split_start(struct virtqueue *queue)
{
	struct virtqueue_run *run = queue->run;

	run->split.avail_idx = queue->next_avail;
	run->split.published = queue->next_used;
	/* A pause may have come before the flag that says otherwise was taken back. */
	if (!run->event_idx)
		__atomic_store_n(&run->split.used->flags, 0, __ATOMIC_RELAXED);
}

/*
 * With EVENT_IDX an avail event that is left behind asks for no kick, and
 * writing the present index asks for one; without, a flag does either.
 */
static void split_want_kicks(struct virtqueue *queue, bool wanted)
{
	struct virtqueue_run *run = queue->run;
	uint16_t flags = wanted ? 0 : VRING_USED_F_NO_NOTIFY;

	if (run->event_idx) {
		__atomic_store_n(run->split.avail_event, htole16(queue->next_avail),
				 __ATOMIC_RELAXED);
	} else if (run->kicks_wanted != wanted) {
		run->kicks_wanted = wanted;
		__atomic_store_n(&run->split.used->flags, htole16(flags), __ATOMIC_RELAXED);
	}
	if (!wanted)
		return;
	fetch_stored();
	/*
	 * Pairs with the driver's full fence between its store of avail->idx and
	 * its load of the avail event or flags: one of us sees the other's store.
	 */
	fetch_fence();
}

/* As far as avail->idx can be trusted. */
static bool split_look(struct virtqueue *queue)
{
	struct virtqueue_run *run = queue->run;
	struct split_ring *split = &run->split;
	uint16_t available;

	if (split->avail_idx != queue->next_avail)
		return true;
	/* Pairs with the driver's release of avail->idx: ring entries and descriptors are there. */
	fetch_note(FETCH_INDEX, 0, sizeof(split->avail->idx));
	split->avail_idx = le16toh(__atomic_load_n(&split->avail->idx, __ATOMIC_ACQUIRE));
	available = (uint16_t)(split->avail_idx - queue->next_avail);
	if (available > run->table.size) {
		virtio_fail(queue->device, "queue %u: %u chains made available, the ring holds %u",
			    queue->index, available, run->table.size);
		return false;
	}
	return available;
}

static enum descriptor_verdict split_take(struct virtqueue *queue, struct virtqueue_buffer *buffer,
					  struct descriptor_parts *parts)
{
	struct virtqueue_run *run = queue->run;
	uint16_t place = queue->next_avail & (run->table.size - 1);
	uint16_t head = le16toh(__atomic_load_n(&run->split.avail->ring[place], __ATOMIC_RELAXED));

	fetch_note(FETCH_HEAD, 0, sizeof(head));
	if (head >= run->table.size)
		return descriptor_corrupt(parts, "head out of range");
	if (run->heads[head].busy)
		return descriptor_corrupt(parts, "head is still in flight");
	queue->next_avail++;
	*buffer = (struct virtqueue_buffer){ .id = head };
	return descriptor_walk(&run->table, head, parts);
}

static void split_use(struct virtqueue *queue, const struct virtqueue_buffer *buffer,
		      uint32_t written_bytes)
{
	struct virtqueue_run *run = queue->run;
	uint16_t place = queue->next_used & (run->table.size - 1);
	struct vring_used_elem *element = &run->split.used->ring[place];

	__atomic_store_n(&element->id, htole32(buffer->id), __ATOMIC_RELAXED);
	__atomic_store_n(&element->len, htole32(written_bytes), __ATOMIC_RELAXED);
	queue->next_used++;
}

static bool split_wants_interrupt(const struct virtqueue_run *run, uint16_t old, uint16_t new)
{
	const struct split_ring *split = &run->split;

	fetch_look();
	if (run->event_idx) {
		uint16_t event = __atomic_load_n(split->used_event, __ATOMIC_RELAXED);

		return vring_need_event(le16toh(event), new, old);
	}
	return !(le16toh(__atomic_load_n(&split->avail->flags, __ATOMIC_RELAXED)) &
		 VRING_AVAIL_F_NO_INTERRUPT);
}

static bool split_publish(struct virtqueue *queue)
{
	struct split_ring *split = &queue->run->split;
	uint16_t old = split->published;

	if (old == queue->next_used)
		return false;
	/* Pairs with the driver's acquire of used->idx: it finds the elements and the data. */
	__atomic_store_n(&split->used->idx, htole16(queue->next_used), __ATOMIC_RELEASE);
	split->published = queue->next_used;
	fetch_stored();
	/*
	 * Pairs with the driver's full fence between its store of the used event or
	 * flags and its load of used->idx: it sees our index, or we its wish.
	 */
	fetch_fence();
	return split_wants_interrupt(queue->run, old, split->published);
}

const struct virtqueue_ring virtqueue_split = {
	.map = split_map,
	.start = split_start,
	.look = split_look,
	.want_kicks = split_want_kicks,
	.take = split_take,
	.use = split_use,
	.publish = split_publish,
};
