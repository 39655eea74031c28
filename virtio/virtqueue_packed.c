// SPDX-License-Identifier: MIT
/*
 * The packed ring (virtio 1.2, 2.8): one ring of descriptors that the driver
 * makes available and the device overwrites as used, of any size, and an area
 * for each side to say what it wants to be told. A buffer's id is the driver's
 * own: it is given back and is never an index, so any number will do, also one
 * that is in flight. Worker thread, no lock.
 *
 * Descriptors between next_used and next_avail are those of chains in flight,
 * in whatever order these end: never more than the ring has.
 */
#include "virtio/virtqueue_run.h"

#include <assert.h>

#include "base/bytes.h"
#include "core/fetch.h"
#include "virtio/virtio.h"

static_assert(VIRTQUEUE_MAX < PACKED_WRAP, "an offset fits below the wrap counter");
static_assert(sizeof(struct vring_packed_desc_event) == sizeof(uint32_t), "read in one piece");

static bool packed_map(const struct virtqueue *queue, struct virtqueue_run *run)
{
	struct packed_ring *packed = &run->packed;

	packed->ring = virtqueue_area(queue, queue->desc_gpa, sizeof(*packed->ring),
				      queue->size * sizeof(*packed->ring));
	packed->driver_event = virtqueue_area(queue, queue->avail_gpa, sizeof(uint32_t),
					      sizeof(struct vring_packed_desc_event));
	packed->device_event = virtqueue_area(queue, queue->used_gpa, sizeof(uint32_t),
					      sizeof(struct vring_packed_desc_event));
	run->table.entries = packed->ring;
	return packed->ring && packed->driver_event && packed->device_event;
}

static void packed_store_flags(struct virtqueue_run *run, uint16_t flags)
{
	__atomic_store_n(&run->packed.device_event->flags, htole16(flags), __ATOMIC_RELAXED);
}

/* Nothing is in flight, and the driver knows of all that was used. */
static void packed_start(struct virtqueue *queue)
{
	struct virtqueue_run *run = queue->run;

	run->packed.burst = 0;
	run->packed.free_slot = 0;
	for (uint16_t i = 0; i < run->table.size; i++)
		run->heads[i].next_free = i + 1;
	__atomic_store_n(&run->packed.device_event->off_wrap, htole16(queue->next_avail),
			 __ATOMIC_RELAXED);
	packed_store_flags(run, run->event_idx ? VRING_PACKED_EVENT_FLAG_DESC :
						 VRING_PACKED_EVENT_FLAG_ENABLE);
}

/* With EVENT_IDX a place that is left behind asks for no kick; without, the flags do. */
static void packed_want_kicks(struct virtqueue *queue, bool wanted)
{
	struct virtqueue_run *run = queue->run;

	if (run->event_idx) {
		__atomic_store_n(&run->packed.device_event->off_wrap, htole16(queue->next_avail),
				 __ATOMIC_RELAXED);
	} else if (run->kicks_wanted != wanted) {
		run->kicks_wanted = wanted;
		packed_store_flags(run, wanted ? VRING_PACKED_EVENT_FLAG_ENABLE :
						 VRING_PACKED_EVENT_FLAG_DISABLE);
	}
	if (!wanted)
		return;
	fetch_stored();
	/*
	 * Pairs with the driver's full fence between its store of a head's flags and
	 * its load of the device event area: one of us sees the other's store.
	 */
	fetch_fence();
}

static bool packed_look(struct virtqueue *queue)
{
	struct packed_ring *packed = &queue->run->packed;
	uint16_t offset = packed_offset(queue->next_avail);

	fetch_note(FETCH_DESCRIPTOR, offsetof(struct vring_packed_desc, flags),
		   sizeof(packed->ring->flags));
	/* Pairs with the driver's release of the first flags: the whole list is there. */
	packed->head_flags =
		le16toh(__atomic_load_n(&packed->ring[offset].flags, __ATOMIC_ACQUIRE));
	return packed_is_available(packed->head_flags, queue->next_avail);
}

/* Descriptors of chains in flight. */
static uint16_t packed_outstanding(const struct virtqueue *queue)
{
	bool same_lap = !((queue->next_avail ^ queue->next_used) & PACKED_WRAP);

	return (uint16_t)(packed_offset(queue->next_avail) - packed_offset(queue->next_used) +
			  (same_lap ? 0 : queue->run->table.size));
}

static enum descriptor_verdict packed_take(struct virtqueue *queue,
					   struct virtqueue_buffer *buffer,
					   struct descriptor_parts *parts)
{
	const struct descriptor_table *table = &queue->run->table;
	struct packed_list list = {
		.place = queue->next_avail,
		.room = table->size - packed_outstanding(queue),
		.head_flags = queue->run->packed.head_flags,
	};
	enum descriptor_verdict verdict = descriptor_walk_packed(table, &list, parts);

	if (verdict != DESCRIPTOR_CORRUPT) {
		*buffer = (struct virtqueue_buffer){ .id = list.id, .descriptors = list.count };
		queue->next_avail = packed_advance(list.place, list.count, table->size);
	}
	return verdict;
}

/* There is one: each chain in flight has a descriptor of the ring at least. */
static uint16_t packed_slot(struct virtqueue_run *run)
{
	uint16_t slot = run->packed.free_slot;

	assert(slot < run->table.size);
	run->packed.free_slot = run->heads[slot].next_free;
	return slot;
}

/* The last one freed is the next one taken: its memory is warm, and so is the device's. */
static void packed_slot_free(struct virtqueue_run *run, uint16_t slot)
{
	run->heads[slot].next_free = run->packed.free_slot;
	run->packed.free_slot = slot;
}

/*
 * The driver looks at used descriptors one by one, in order: as long as the flags
 * of a burst's first one are held back it sees none of them.
 */
static void packed_use(struct virtqueue *queue, const struct virtqueue_buffer *buffer,
		       uint32_t written_bytes)
{
	struct virtqueue_run *run = queue->run;
	struct packed_ring *packed = &run->packed;
	struct vring_packed_desc *used = &packed->ring[packed_offset(queue->next_used)];
	uint16_t flags = written_bytes ? VRING_DESC_F_WRITE : 0;

	if (queue->next_used & PACKED_WRAP)
		flags |= 1u << VRING_PACKED_DESC_F_AVAIL | 1u << VRING_PACKED_DESC_F_USED;
	__atomic_store_n(&used->id, htole16(buffer->id), __ATOMIC_RELAXED);
	__atomic_store_n(&used->len, htole32(written_bytes), __ATOMIC_RELAXED);
	if (packed->burst) {
		__atomic_store_n(&used->flags, htole16(flags), __ATOMIC_RELAXED);
	} else {
		packed->burst_place = queue->next_used;
		packed->burst_flags = flags;
	}
	packed->burst += buffer->descriptors;
	queue->next_used = packed_advance(queue->next_used, buffer->descriptors, run->table.size);
}

/* `count` descriptors before `end` were used. */
static bool packed_wants_interrupt(const struct virtqueue_run *run, uint16_t end, uint16_t count)
{
	uint16_t place, flags, event, new;
	uint32_t area;

	fetch_look();
	area = le32toh(__atomic_load_n(run->packed.driver_event, __ATOMIC_RELAXED));
	place = (uint16_t)area;
	flags = area >> 16 & 3;
	if (flags == VRING_PACKED_EVENT_FLAG_DISABLE)
		return false;
	/* What is reserved, or was not negotiated, must not make the driver wait for ever. */
	if (flags != VRING_PACKED_EVENT_FLAG_DESC || !run->event_idx)
		return true;
	new = packed_offset(end);
	event = packed_offset(place);
	if ((place ^ end) & PACKED_WRAP) /* in the lap before */
		event -= run->table.size;
	return vring_need_event(event, new, new - count);
}

static bool packed_publish(struct virtqueue *queue)
{
	struct virtqueue_run *run = queue->run;
	struct packed_ring *packed = &run->packed;
	struct vring_packed_desc *first = &packed->ring[packed_offset(packed->burst_place)];
	uint16_t count = (uint16_t)min_u64(packed->burst, run->table.size);

	if (!count)
		return false;
	packed->burst = 0;
	/* Pairs with the driver's acquire of these flags: it finds the whole burst and the data. */
	__atomic_store_n(&first->flags, htole16(packed->burst_flags), __ATOMIC_RELEASE);
	fetch_stored();
	/*
	 * Pairs with the driver's full fence between its store of the driver event
	 * area and its load of the flags: it sees them, or we its wish.
	 */
	fetch_fence();
	return packed_wants_interrupt(run, queue->next_used, count);
}

const struct virtqueue_ring virtqueue_packed = {
	.first_place = PACKED_WRAP, /* 2.8.1: the wrap counters begin with 1 */
	.map = packed_map,
	.start = packed_start,
	.look = packed_look,
	.want_kicks = packed_want_kicks,
	.take = packed_take,
	.slot = packed_slot,
	.slot_free = packed_slot_free,
	.use = packed_use,
	.publish = packed_publish,
};
