// SPDX-License-Identifier: MIT
/*
 * A place is an offset into the ring, with the wrap counter of its lap in bit
 * 15, as the event areas have it. The flags of the first descriptor since the
 * last publishing are held back, so that the device sees all or nothing.
 */
#include "tests/fuzz/guest_packed.h"

#define WRAP (1u << VRING_PACKED_EVENT_F_WRAP_CTR)
#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED (1u << VRING_PACKED_DESC_F_USED)

static uint16_t advance(const struct guest_queue *queue, uint16_t place, uint16_t count)
{
	for (; count; count--)
		place = (place & ~WRAP) + 1u == queue->size ? (place & WRAP) ^ WRAP : place + 1u;
	return place;
}

static uint64_t descriptor_gpa(const struct guest_queue *queue, uint16_t place)
{
	return queue->desc_gpa + (place & ~WRAP) * sizeof(struct vring_packed_desc);
}

static uint16_t available_flags(uint16_t place)
{
	return place & WRAP ? AVAIL : USED;
}

/* ---- Towards the device ---- */

void guest_packed_begin(struct guest_queue *queue)
{
	queue->avail_place = queue->used_place = queue->first_place = WRAP;
	queue->first_flags = 0;
	guest_packed_ask(queue, 0);
}

static void store(struct guest_queue *queue, const struct vring_packed_desc *desc)
{
	uint64_t gpa = descriptor_gpa(queue, queue->avail_place);
	uint16_t flags = le16toh(desc->flags) | available_flags(queue->avail_place);

	guest_store(queue->guest, gpa, desc, offsetof(struct vring_packed_desc, flags));
	if (queue->first_flags) {
		guest_store_le(queue->guest, gpa + offsetof(struct vring_packed_desc, flags),
			       flags, 2);
	} else {
		queue->first_place = queue->avail_place;
		queue->first_flags = flags;
	}
	queue->avail_place = advance(queue, queue->avail_place, 1);
	queue->avail_idx++;
}

/* Only the last id of a list counts. */
static struct vring_packed_desc descriptor(const struct guest_chain *chain, unsigned index,
					   uint16_t id)
{
	const struct guest_part *part = &chain->parts[index];
	bool last = index + 1 == chain->count;

	return (struct vring_packed_desc){
		.addr = htole64(part->gpa),
		.len = htole32(part->bytes),
		.id = htole16(last ? id : 0xffff),
		.flags = htole16((part->writable ? VRING_DESC_F_WRITE : 0) |
				 (last ? 0 : VRING_DESC_F_NEXT)),
	};
}

/* In a table neither ids nor NEXT mean anything (2.8.8). */
static void add_table(struct guest_queue *queue, uint16_t id, const struct guest_chain *chain,
		      uint64_t table_gpa)
{
	struct vring_packed_desc desc = {
		.addr = htole64(table_gpa),
		.len = htole32((uint32_t)(chain->count * sizeof(desc))),
		.id = htole16(id),
		.flags = htole16(VRING_DESC_F_INDIRECT),
	};

	for (unsigned i = 0; i < chain->count; i++) {
		struct vring_packed_desc part = descriptor(chain, i, id);

		part.flags &= htole16(VRING_DESC_F_WRITE);
		guest_store(queue->guest, table_gpa + i * sizeof(part), &part, sizeof(part));
	}
	store(queue, &desc);
}

void guest_packed_add(struct guest_queue *queue, uint16_t id, const struct guest_chain *chain,
		      uint64_t table_gpa)
{
	if (table_gpa) {
		add_table(queue, id, chain, table_gpa);
		return;
	}
	for (unsigned i = 0; i < chain->count; i++) {
		struct vring_packed_desc desc = descriptor(chain, i, id);

		store(queue, &desc);
	}
}

void guest_packed_publish(struct guest_queue *queue)
{
	if (queue->first_flags)
		guest_store_le(queue->guest, descriptor_gpa(queue, queue->first_place) +
			       offsetof(struct vring_packed_desc, flags), queue->first_flags, 2);
	queue->first_flags = 0;
}

bool guest_packed_wants_kick(const struct guest_queue *queue)
{
	uint16_t place = (uint16_t)guest_load_le(queue->guest, queue->used_gpa, 2);
	uint16_t flags = (uint16_t)guest_load_le(queue->guest, queue->used_gpa + 2, 2);
	uint16_t new = queue->avail_place & ~WRAP, event = place & ~WRAP;

	if (flags != VRING_PACKED_EVENT_FLAG_DESC)
		return flags == VRING_PACKED_EVENT_FLAG_ENABLE;
	if ((place ^ queue->avail_place) & WRAP)
		event -= queue->size;
	return vring_need_event(event, new, new - (queue->avail_idx - queue->kicked_idx));
}

void guest_packed_ask(struct guest_queue *queue, uint16_t later)
{
	uint16_t flags = queue->event_idx ? VRING_PACKED_EVENT_FLAG_DESC :
			 queue->quiet	  ? VRING_PACKED_EVENT_FLAG_DISABLE :
					    VRING_PACKED_EVENT_FLAG_ENABLE;

	guest_store_le(queue->guest, queue->avail_gpa, advance(queue, queue->used_place, later), 2);
	guest_store_le(queue->guest, queue->avail_gpa + 2, flags, 2);
}

/* ---- From the device ---- */

static bool is_used(const struct guest_queue *queue, uint16_t place)
{
	uint16_t flags = (uint16_t)guest_load_le(queue->guest, descriptor_gpa(queue, place) +
						 offsetof(struct vring_packed_desc, flags), 2);

	return (flags & (AVAIL | USED)) == (place & WRAP ? AVAIL | USED : 0);
}

static uint16_t used_id(const struct guest_queue *queue, uint16_t place)
{
	return (uint16_t)guest_load_le(queue->guest, descriptor_gpa(queue, place) +
				       offsetof(struct vring_packed_desc, id), 2);
}

uint16_t guest_packed_used(const struct guest_queue *queue)
{
	uint16_t place = queue->used_place, used = queue->last_used;

	while (is_used(queue, place)) {
		uint16_t id = used_id(queue, place);

		fuzz_check(id < queue->size && queue->chains[id].offered);
		used += queue->chains[id].descriptors;
		fuzz_check((uint16_t)(used - queue->last_used) <= queue->size);
		place = advance(queue, place, queue->chains[id].descriptors);
	}
	return used;
}

bool guest_packed_take(const struct guest_queue *queue, uint32_t *id, uint32_t *bytes)
{
	uint64_t gpa = descriptor_gpa(queue, queue->used_place);

	if (!is_used(queue, queue->used_place))
		return false;
	*id = used_id(queue, queue->used_place);
	*bytes = (uint32_t)guest_load_le(queue->guest, gpa +
					 offsetof(struct vring_packed_desc, len), 4);
	/* 2.8.4: whether anything was written. */
	fuzz_check(!*bytes == !(guest_load_le(queue->guest, gpa +
					      offsetof(struct vring_packed_desc, flags), 2) &
				VRING_DESC_F_WRITE));
	return true;
}

void guest_packed_free(struct guest_queue *queue, uint16_t id, const struct guest_chain *chain)
{
	queue->busy[id] = false;
	queue->free += chain->descriptors;
	queue->last_used += chain->descriptors;
	queue->used_place = advance(queue, queue->used_place, chain->descriptors);
}

/* ---- Hostility ---- */

void guest_packed_add_head(struct guest_queue *queue)
{
	uint64_t gpa = descriptor_gpa(queue, queue->avail_place) +
		       offsetof(struct vring_packed_desc, flags);
	uint16_t flags = (uint16_t)guest_load_le(queue->guest, gpa, 2);

	guest_store_le(queue->guest, gpa, (flags & ~(AVAIL | USED)) |
		       available_flags(queue->avail_place), 2);
	queue->avail_place = advance(queue, queue->avail_place, 1);
}

void guest_packed_store_any(struct guest_queue *queue, uint16_t index,
			    const struct vring_desc *desc)
{
	struct vring_packed_desc packed = {
		.addr = desc->addr,
		.len = desc->len,
		.id = desc->next,
		.flags = desc->flags | htole16(available_flags(queue->avail_place)),
	};

	guest_store(queue->guest, descriptor_gpa(queue, index), &packed, sizeof(packed));
}
