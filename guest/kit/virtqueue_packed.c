// SPDX-License-Identifier: MIT
/* The driver's side of a packed virtqueue. A buffer's id is its head in queue->desc. */
#include "kit/virtqueue_packed.h"
#include "kit/arch.h"

#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED  (1u << VRING_PACKED_DESC_F_USED)
#define WRAP  (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

size_t virtqueue_packed_bytes(uint16_t size)
{
	return size * sizeof(struct vring_packed_desc) + 2 * sizeof(struct vring_packed_desc_event);
}

void virtqueue_packed_init(struct virtqueue *queue, void *memory)
{
	struct packed *packed = &queue->packed;

	packed->ring = memory;
	packed->driver_event = (void *)(packed->ring + queue->size);
	packed->device_event = packed->driver_event + 1;
	packed->avail_slot = packed->used_slot = 0;
	packed->avail_wrap = packed->used_wrap = true;
	packed->first = NULL;
}

static void step(const struct virtqueue *queue, uint16_t *slot, bool *wrap, unsigned count)
{
	*slot = (uint16_t)(*slot + count);
	if (*slot < queue->size)
		return;
	*slot = (uint16_t)(*slot - queue->size);
	*wrap = !*wrap;
}

void virtqueue_packed_write(struct virtqueue *queue, struct vring_packed_desc desc)
{
	struct packed *packed = &queue->packed;
	volatile struct vring_packed_desc *slot = &packed->ring[packed->avail_slot];
	uint16_t flags = desc.flags ^ (packed->avail_wrap ? AVAIL : USED);

	slot->addr = desc.addr;
	slot->len = desc.len;
	slot->id = desc.id;
	if (packed->first) {
		slot->flags = flags;
	} else {
		packed->first = slot;
		packed->first_flags = flags;
	}
	step(queue, &packed->avail_slot, &packed->avail_wrap, 1);
	queue->next_avail++;
}

void virtqueue_packed_offer(struct virtqueue *queue, uint16_t head)
{
	struct vring_packed_desc wrong = {
		.flags = VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT,
	};
	uint16_t index = head, count = 0, flags;

	if (head >= queue->size) {
		virtqueue_packed_write(queue, wrong);
		return;
	}
	do {
		volatile const struct vring_desc *desc = &queue->desc[index];

		flags = desc->flags;
		virtqueue_packed_write(queue, (struct vring_packed_desc){ desc->addr, desc->len,
									  head, flags });
		index = desc->next;
		count++;
	} while (flags & VRING_DESC_F_NEXT);
	queue->packed.count[head] = count;
}

void virtqueue_packed_publish(struct virtqueue *queue)
{
	struct packed *packed = &queue->packed;

	if (!packed->first)
		return;
	/* All else before the first flags; pairs with the device's acquire of them. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	packed->first->flags = packed->first_flags;
	packed->first = NULL;
}

bool virtqueue_packed_kick_wanted(struct virtqueue *queue, uint16_t count)
{
	const struct packed *packed = &queue->packed;
	uint16_t flags = packed->device_event->flags;
	uint16_t off_wrap = packed->device_event->off_wrap;
	int event = off_wrap & (WRAP - 1), new = packed->avail_slot;

	if (flags != VRING_PACKED_EVENT_FLAG_DESC)
		return flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	if (!(off_wrap & WRAP) != !packed->avail_wrap)
		event -= queue->size;
	return event < new && event >= new - count;
}

bool virtqueue_packed_has_used(const struct virtqueue *queue)
{
	const struct packed *packed = &queue->packed;

	return (packed->ring[packed->used_slot].flags & (AVAIL | USED)) ==
	       (packed->used_wrap ? AVAIL | USED : 0);
}

struct used virtqueue_packed_take(struct virtqueue *queue)
{
	struct packed *packed = &queue->packed;
	volatile const struct vring_packed_desc *slot = &packed->ring[packed->used_slot];
	struct used used = { slot->id, slot->flags & VRING_DESC_F_WRITE ? slot->len : 0 };
	uint16_t count = used.head < queue->size ? packed->count[used.head] : 1;

	step(queue, &packed->used_slot, &packed->used_wrap, count);
	queue->next_used = (uint16_t)(queue->next_used + count);
	return used;
}

void virtqueue_packed_interrupt(struct virtqueue *queue, uint16_t flags, uint16_t count)
{
	struct packed *packed = &queue->packed;
	uint16_t slot = packed->used_slot;
	bool wrap = packed->used_wrap;
	union {
		struct vring_packed_desc_event event;
		uint32_t word;
	} area;

	step(queue, &slot, &wrap, count);
	area.event.off_wrap = (uint16_t)(slot | (wrap ? WRAP : 0));
	area.event.flags = flags;
	/* In one store: no other place with these flags, and the other way round. */
	*(volatile uint32_t *)packed->driver_event = area.word;
}
