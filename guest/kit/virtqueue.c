// SPDX-License-Identifier: MIT
/*
 * The driver's side of a virtqueue: the split one, and what is the same for both. One CPU; the
 * device is the only one to race with.
 */
#include "kit/virtqueue.h"
#include "kit/virtqueue_packed.h"
#include "kit/arch.h"
#include "kit/memory.h"
#include "kit/text.h"

#define WAIT_STEP_NS 300000

static size_t used_offset(uint16_t size)
{
	return (sizeof(struct vring_desc) * size + sizeof(uint16_t) * (3u + size) + 3) & ~(size_t)3;
}

static size_t split_bytes(uint16_t size)
{
	return used_offset(size) + sizeof(uint16_t) * 3 + sizeof(struct vring_used_elem) * size;
}

/* Of either format, the packed ring behind the table that its chains are made in. */
static size_t ring_bytes(uint16_t size)
{
	return split_bytes(size) + 16 + virtqueue_packed_bytes(size);
}

static void *packed_place(const struct virtqueue *queue)
{
	return (char *)queue->memory + ((split_bytes(queue->size) + 15) & ~(size_t)15);
}

void virtqueue_init(struct virtqueue *queue, uint16_t size)
{
	if (!queue->memory)
		queue->memory = memory_get_raw(ring_bytes(VIRTQUEUE_SIZE_MAX), 4096);
	memset(queue->memory, 0, ring_bytes(size));
	queue->size = size;
	queue->desc = queue->memory;
	queue->avail = (void *)(queue->desc + size);
	queue->used = (void *)((char *)queue->memory + used_offset(size));
	if (queue->is_packed)
		virtqueue_packed_init(queue, packed_place(queue));
	queue->next_avail = 0;
	queue->kicked_avail = 0;
	queue->next_used = 0;
	queue->free_count = size;
	queue->free_head = 0;
	for (uint16_t i = 0; i < size; i++) {
		queue->free_next[i] = (uint16_t)(i + 1);
		queue->chain_count[i] = 0;
	}
}

struct virtqueue_areas virtqueue_areas(const struct virtqueue *queue)
{
	const struct packed *packed = &queue->packed;

	if (queue->is_packed)
		return (struct virtqueue_areas){ packed->ring, packed->driver_event,
						 packed->device_event };
	return (struct virtqueue_areas){ queue->desc, queue->avail, queue->used };
}

void virtqueue_write(struct virtqueue *queue, uint16_t slot, struct vring_desc desc)
{
	queue->desc[slot].addr = desc.addr;
	queue->desc[slot].len = desc.len;
	queue->desc[slot].flags = desc.flags;
	queue->desc[slot].next = desc.next;
}

void virtqueue_offer(struct virtqueue *queue, uint16_t head)
{
	if (queue->is_packed)
		virtqueue_packed_offer(queue, head);
	else
		queue->avail->ring[queue->next_avail++ % queue->size] = head;
}

static uint16_t flags_of(const struct part *part, bool last)
{
	return (uint16_t)((part->writable ? VRING_DESC_F_WRITE : 0) |
			  (last ? 0 : VRING_DESC_F_NEXT));
}

/* Not offered yet. */
static uint16_t add(struct virtqueue *queue, const struct part *parts, unsigned count)
{
	uint16_t head = queue->free_head;
	uint16_t slot = head;

	if (!count || count > queue->free_count)
		return VIRTQUEUE_FULL;
	for (unsigned i = 0; i < count; i++) {
		uint16_t next = queue->free_next[slot];
		bool last = i + 1 == count;

		virtqueue_write(queue, slot,
				(struct vring_desc){ (uint64_t)parts[i].data, parts[i].bytes,
						     flags_of(&parts[i], last), last ? 0 : next });
		slot = next;
	}
	queue->free_head = slot;
	queue->free_count = (uint16_t)(queue->free_count - count);
	queue->chain_count[head] = (uint16_t)count;
	return head;
}

uint16_t virtqueue_add(struct virtqueue *queue, const struct part *parts, unsigned count)
{
	uint16_t head = add(queue, parts, count);

	if (head != VIRTQUEUE_FULL)
		virtqueue_offer(queue, head);
	return head;
}

struct vring_desc virtqueue_table_entry(const struct virtqueue *queue, const struct part *part,
					unsigned index, bool last)
{
	uint16_t flags = flags_of(part, last);

	/* A packed table's entry has its flags last, and before them an id that means nothing. */
	if (queue->is_packed)
		return (struct vring_desc){ (uint64_t)part->data, part->bytes, 0,
					    flags & VRING_DESC_F_WRITE };
	return (struct vring_desc){ (uint64_t)part->data, part->bytes, flags,
				    last ? 0 : (uint16_t)(index + 1) };
}

uint16_t virtqueue_add_indirect(struct virtqueue *queue, struct vring_desc *table,
				const struct part *parts, unsigned count)
{
	struct part whole = { table, (uint32_t)(count * sizeof(*table)), false };
	uint16_t head = queue->free_head;

	for (unsigned i = 0; i < count; i++)
		table[i] = virtqueue_table_entry(queue, &parts[i], i, i + 1 == count);
	if (add(queue, &whole, 1) == VIRTQUEUE_FULL)
		return VIRTQUEUE_FULL;
	queue->desc[head].flags = VRING_DESC_F_INDIRECT;
	virtqueue_offer(queue, head);
	return head;
}

void virtqueue_publish(struct virtqueue *queue)
{
	if (queue->is_packed) {
		virtqueue_packed_publish(queue);
		return;
	}
	/* The ring entries before the index; pairs with the device's acquire of it. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	queue->avail->idx = queue->next_avail;
}

void virtqueue_notify(struct virtqueue *queue)
{
	virtqueue_publish(queue);
	queue->kicked_avail = queue->next_avail;
	arch_full_barrier();
	mmio_write16(queue->notify_gpa, queue->index);
}

static volatile uint16_t *avail_event(struct virtqueue *queue)
{
	return (volatile uint16_t *)&queue->used->ring[queue->size];
}

bool virtqueue_kick(struct virtqueue *queue)
{
	uint16_t before = queue->kicked_avail;
	bool wanted;

	virtqueue_publish(queue);
	queue->kicked_avail = queue->next_avail;
	/* Our index before its event: pairs with the device's, the other way round. */
	arch_full_barrier();
	if (queue->is_packed)
		wanted = virtqueue_packed_kick_wanted(queue,
						      (uint16_t)(queue->next_avail - before));
	else if (queue->event_idx)
		wanted = vring_need_event(*avail_event(queue), queue->next_avail, before);
	else
		wanted = !(queue->used->flags & VRING_USED_F_NO_NOTIFY);
	if (wanted)
		mmio_write16(queue->notify_gpa, queue->index);
	return wanted;
}

static void chain_free(struct virtqueue *queue, uint16_t head)
{
	uint16_t last = head;

	for (unsigned i = 1; i < queue->chain_count[head]; i++)
		last = queue->free_next[last];
	queue->free_count = (uint16_t)(queue->free_count + queue->chain_count[head]);
	queue->free_next[last] = queue->free_head;
	queue->free_head = head;
	queue->chain_count[head] = 0;
}

bool virtqueue_has_used(const struct virtqueue *queue)
{
	return queue->is_packed ? virtqueue_packed_has_used(queue) :
				  queue->used->idx != queue->next_used;
}

static struct used take_split(struct virtqueue *queue)
{
	volatile const struct vring_used_elem *element =
		&queue->used->ring[queue->next_used++ % queue->size];

	return (struct used){ (uint16_t)element->id, element->len };
}

bool virtqueue_poll(struct virtqueue *queue, struct used *used)
{
	if (!virtqueue_has_used(queue))
		return false;
	/* The element after the index or flags; pairs with the device's release of them. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	*used = queue->is_packed ? virtqueue_packed_take(queue) : take_split(queue);
	if (used->head < queue->size && queue->chain_count[used->head])
		chain_free(queue, used->head);
	return true;
}

bool virtqueue_wait(struct virtqueue *queue, struct used *used, uint64_t ns)
{
	uint64_t end = arch_now_ns() + ns;

	while (!virtqueue_poll(queue, used)) {
		if (arch_now_ns() >= end)
			return virtqueue_poll(queue, used);
		wait_step(WAIT_STEP_NS);
	}
	return true;
}

void virtqueue_interrupt_after(struct virtqueue *queue, uint16_t count)
{
	if (queue->is_packed) {
		virtqueue_packed_interrupt(queue,
					   queue->event_idx ? VRING_PACKED_EVENT_FLAG_DESC :
							      VRING_PACKED_EVENT_FLAG_ENABLE,
					   (uint16_t)(count - 1));
	} else {
		queue->avail->flags = 0;
		queue->avail->ring[queue->size] = (uint16_t)(queue->next_used + count - 1);
	}
	arch_full_barrier();
}

void virtqueue_interrupt_never(struct virtqueue *queue)
{
	if (queue->is_packed) {
		virtqueue_packed_interrupt(queue, VRING_PACKED_EVENT_FLAG_DISABLE, 0);
	} else {
		queue->avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
		queue->avail->ring[queue->size] = (uint16_t)(queue->next_used - 1);
	}
	arch_full_barrier();
}
