// SPDX-License-Identifier: MIT
/*
 * The in-memory driver's packed ring (virtio 1.2, 2.8): the halves of what
 * driver.c does on a split one. Places are (offset, wrap counter), as in the
 * specification. Barriers are the other halves of those in
 * virtio/virtqueue_packed.c.
 */
#include "tests/unit/unit.h"
#include "tests/unit/driver_packed.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED (1u << VRING_PACKED_DESC_F_USED)

static void step(const struct driver_queue *queue, struct driver_place *place, unsigned count)
{
	for (; count; count--)
		if (++place->offset == queue->size)
			*place = (struct driver_place){ .wrap = !place->wrap };
}

static uint16_t wire(struct driver_place place)
{
	return place.offset | (uint16_t)(place.wrap << VRING_PACKED_EVENT_F_WRAP_CTR);
}

static void store_event(struct driver_queue *queue, uint16_t off_wrap, uint16_t flags)
{
	__atomic_store_n((uint32_t *)queue->packed.driver_event,
			 htole32((uint32_t)flags << 16 | off_wrap), __ATOMIC_RELAXED);
}

void driver_packed_set_up(struct driver_queue *queue, struct driver_rings *rings)
{
	struct driver_packed *packed = &queue->packed;
	struct driver *driver = queue->driver;
	size_t bytes = queue->size * sizeof(*packed->ring);

	rings->desc = driver_alloc(driver, bytes);
	rings->avail = driver_alloc(driver, sizeof(*packed->driver_event));
	rings->used = driver_alloc(driver, sizeof(*packed->device_event));
	*packed = (struct driver_packed){
		.ring = driver_at(driver, rings->desc),
		.driver_event = driver_at(driver, rings->avail),
		.device_event = driver_at(driver, rings->used),
		.next_avail.wrap = true,
		.next_used.wrap = true,
		.ids = calloc(queue->size, sizeof(*packed->ids)),
	};
	assert_non_null(packed->ids);
	memset(packed->ring, 0, bytes);
	memset(packed->driver_event, 0, sizeof(*packed->driver_event));
	memset(packed->device_event, 0, sizeof(*packed->device_event));
	for (uint16_t i = 0; i < queue->size; i++)
		packed->ids[i] = queue->size - 1 - i;
	packed->free_ids = queue->size;
	if (queue->event_idx)
		store_event(queue, wire(packed->next_used), VRING_PACKED_EVENT_FLAG_DESC);
}

void driver_packed_write(struct driver_queue *queue, const struct vring_packed_desc *desc)
{
	struct driver_packed *packed = &queue->packed;
	struct vring_packed_desc *slot = &packed->ring[packed->next_avail.offset];
	uint16_t flags = desc->flags ^ (packed->next_avail.wrap ? AVAIL : USED);

	slot->addr = htole64(desc->addr);
	slot->len = htole32(desc->len);
	slot->id = htole16(desc->id);
	if (packed->hidden) {
		__atomic_store_n(&slot->flags, htole16(flags), __ATOMIC_RELAXED);
	} else {
		packed->first = slot;
		packed->first_flags = flags;
	}
	packed->hidden++;
	step(queue, &packed->next_avail, 1);
}

static uint64_t make_table(struct driver_queue *queue, uint16_t id,
			   const struct driver_part *parts, unsigned count)
{
	struct driver_table *table = &queue->tables[id];
	struct vring_packed_desc *desc;

	if (table->capacity < count) {
		table->gpa = driver_alloc(queue->driver, count * sizeof(*desc));
		table->capacity = count;
	}
	desc = driver_at(queue->driver, table->gpa);
	for (unsigned i = 0; i < count; i++)
		desc[i] = (struct vring_packed_desc){
			.addr = htole64(parts[i].gpa),
			.len = htole32(parts[i].bytes),
			.id = htole16(0xdead), /* reserved, as are other flags */
			.flags = htole16(parts[i].writable ? VRING_DESC_F_WRITE :
							     VRING_DESC_F_NEXT),
		};
	return table->gpa;
}

int driver_packed_add(struct driver_queue *queue, const struct driver_part *parts, unsigned count)
{
	struct driver_packed *packed = &queue->packed;
	bool indirect = queue->indirect && count > 1;
	unsigned taken = indirect ? 1 : count;
	uint16_t id;

	if (taken > queue->free_count)
		return -1;
	assert_true(packed->free_ids);
	id = packed->ids[--packed->free_ids];
	queue->free_count -= taken;
	queue->tables[id].count = (uint16_t)taken;
	queue->avail_idx++;
	if (indirect) {
		driver_packed_write(queue, &(struct vring_packed_desc){
			make_table(queue, id, parts, count), count * sizeof(*packed->ring), id,
			VRING_DESC_F_INDIRECT });
		return id;
	}
	for (unsigned i = 0; i < count; i++)
		driver_packed_write(queue, &(struct vring_packed_desc){
			parts[i].gpa, parts[i].bytes, i + 1 < count ? 0xbeef : id,
			(parts[i].writable ? VRING_DESC_F_WRITE : 0) |
				(i + 1 < count ? VRING_DESC_F_NEXT : 0) });
	return id;
}

void driver_packed_publish(struct driver_queue *queue)
{
	struct driver_packed *packed = &queue->packed;

	if (packed->hidden)
		__atomic_store_n(&packed->first->flags, htole16(packed->first_flags),
				 __ATOMIC_RELEASE);
	packed->shown += packed->hidden;
	packed->hidden = 0;
}

bool driver_packed_kick_wanted(struct driver_queue *queue)
{
	struct driver_packed *packed = &queue->packed;
	uint16_t flags = le16toh(__atomic_load_n(&packed->device_event->flags, __ATOMIC_RELAXED));
	uint16_t off_wrap = le16toh(__atomic_load_n(&packed->device_event->off_wrap,
						    __ATOMIC_RELAXED));
	int event = off_wrap & 0x7fff, new = packed->next_avail.offset;
	unsigned shown = packed->shown;

	packed->shown = 0;
	if (flags != VRING_PACKED_EVENT_FLAG_DESC) {
		assert_in_range(flags, VRING_PACKED_EVENT_FLAG_ENABLE,
				VRING_PACKED_EVENT_FLAG_DISABLE);
		return flags == VRING_PACKED_EVENT_FLAG_ENABLE;
	}
	assert_true(queue->event_idx);
	assert_in_range(event, 0, queue->size - 1);
	if (off_wrap >> 15 != packed->next_avail.wrap)
		event -= queue->size;
	return event < new && event >= new - (int)shown;
}

bool driver_packed_has_used(const struct driver_queue *queue)
{
	const struct driver_packed *packed = &queue->packed;
	uint16_t bits = packed->next_used.wrap ? AVAIL | USED : 0;
	uint16_t flags = le16toh(__atomic_load_n(&packed->ring[packed->next_used.offset].flags,
						 __ATOMIC_ACQUIRE));

	return (flags & (AVAIL | USED)) == bits;
}

bool driver_packed_take(struct driver_queue *queue, uint16_t *id, uint32_t *bytes)
{
	struct driver_packed *packed = &queue->packed;
	const struct vring_packed_desc *desc = &packed->ring[packed->next_used.offset];
	uint16_t count;

	if (!driver_packed_has_used(queue))
		return false;
	*id = le16toh(__atomic_load_n(&desc->id, __ATOMIC_RELAXED));
	*bytes = le16toh(__atomic_load_n(&desc->flags, __ATOMIC_RELAXED)) & VRING_DESC_F_WRITE ?
			 le32toh(__atomic_load_n(&desc->len, __ATOMIC_RELAXED)) : 0;
	if (queue->by_hand) {
		step(queue, &packed->next_used, 1);
		return true;
	}
	assert_in_range(*id, 0, queue->size - 1);
	count = queue->tables[*id].count;
	assert_int_not_equal(count, 0); /* was in flight */
	queue->tables[*id].count = 0;
	queue->free_count += count;
	packed->ids[packed->free_ids++] = *id;
	step(queue, &packed->next_used, count);
	return true;
}

void driver_packed_interrupt_after(struct driver_queue *queue, uint16_t count)
{
	struct driver_place place = queue->packed.next_used;

	step(queue, &place, count);
	store_event(queue, wire(place), VRING_PACKED_EVENT_FLAG_DESC);
}

void driver_packed_interrupts(struct driver_queue *queue, bool wanted)
{
	store_event(queue, 0, wanted ? VRING_PACKED_EVENT_FLAG_ENABLE :
				       VRING_PACKED_EVENT_FLAG_DISABLE);
}
