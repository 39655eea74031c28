// SPDX-License-Identifier: MIT
#include "tests/fuzz/guest.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "tests/fuzz/guest_packed.h"

/* ---- Memory ---- */

void guest_init(struct guest *guest)
{
	*guest = (struct guest){ 0 };
	fuzz_check(!guest_memory_add(&guest->memory, GUEST_GPA, GUEST_RING_BYTES));
	fuzz_check(!guest_memory_add(&guest->memory, GUEST_DATA_GPA, GUEST_DATA_BYTES));
	for (unsigned i = 0; i < guest->memory.count; i++) {
		guest->copies[i] = malloc(guest->memory.regions[i].size_bytes);
		fuzz_check(guest->copies[i]);
	}
	guest_begin(guest);
}

void guest_begin(struct guest *guest)
{
	for (unsigned i = 0; i < guest->memory.count; i++) {
		memset(guest->memory.regions[i].host, 0, guest->memory.regions[i].size_bytes);
		memset(guest->copies[i], 0, guest->memory.regions[i].size_bytes);
	}
	guest->next_ring_gpa = GUEST_GPA;
	guest->next_data_gpa = GUEST_DATA_GPA;
	guest->queue_count = 0;
	guest->hostile = false;
}

void *guest_at(struct guest *guest, uint64_t gpa, uint64_t bytes)
{
	void *host = guest_memory_at(&guest->memory, gpa, bytes);

	fuzz_check(host);
	return host;
}

static uint8_t *copy_at(struct guest *guest, uint64_t gpa)
{
	return gpa < GUEST_DATA_GPA ? guest->copies[0] + (gpa - GUEST_GPA) :
				      guest->copies[1] + (gpa - GUEST_DATA_GPA);
}

void guest_store(struct guest *guest, uint64_t gpa, const void *data, uint64_t bytes)
{
	memcpy(guest_at(guest, gpa, bytes), data, bytes);
	memcpy(copy_at(guest, gpa), data, bytes);
}

void guest_store_le(struct guest *guest, uint64_t gpa, uint64_t value, unsigned bytes)
{
	uint8_t data[8];

	store_le(data, value, bytes);
	guest_store(guest, gpa, data, bytes);
}

uint64_t guest_load_le(struct guest *guest, uint64_t gpa, unsigned bytes)
{
	return load_le(guest_at(guest, gpa, bytes), bytes);
}

static uint64_t space(uint64_t *next, uint64_t end, uint64_t bytes)
{
	uint64_t gpa = *next;

	if (bytes > end - gpa)
		return 0;
	*next = align_up(gpa + bytes, 64);
	return gpa;
}

uint64_t guest_ring_space(struct guest *guest, uint64_t bytes)
{
	return space(&guest->next_ring_gpa, GUEST_GPA + GUEST_RING_BYTES, bytes);
}

uint64_t guest_data_space(struct guest *guest, uint64_t bytes)
{
	return space(&guest->next_data_gpa, GUEST_DATA_GPA + GUEST_DATA_BYTES, bytes);
}

/* ---- What the device may have changed ---- */

static void allow(struct guest *guest, uint64_t gpa, uint64_t bytes)
{
	memcpy(copy_at(guest, gpa), guest_at(guest, gpa, bytes), bytes);
}

static void allow_chain(struct guest *guest, const struct guest_chain *chain)
{
	for (unsigned i = 0; i < chain->count; i++)
		if (chain->parts[i].writable)
			allow(guest, chain->parts[i].gpa, chain->parts[i].bytes);
}

static uint64_t used_bytes(const struct guest_queue *queue)
{
	if (queue->packed)
		return sizeof(struct vring_packed_desc_event);
	return sizeof(uint16_t) * 3 + sizeof(struct vring_used_elem) * queue->size;
}

void guest_still(struct guest *guest)
{
	for (unsigned i = 0; i < guest->memory.count; i++)
		fuzz_check(!memcmp(guest->memory.regions[i].host, guest->copies[i],
				   guest->memory.regions[i].size_bytes));
}

void guest_freeze(struct guest *guest)
{
	for (unsigned i = 0; i < guest->memory.count; i++)
		memcpy(guest->copies[i], guest->memory.regions[i].host,
		       guest->memory.regions[i].size_bytes);
}

void guest_audit(struct guest *guest)
{
	for (unsigned i = 0; i < guest->memory.count; i++)
		fuzz_check_stored(guest->memory.regions[i].host,
				  guest->memory.regions[i].size_bytes);
	if (guest->hostile)
		return;
	for (unsigned i = 0; i < guest->queue_count; i++) {
		struct guest_queue *queue = &guest->queues[i];

		allow(guest, queue->used_gpa, used_bytes(queue));
		if (queue->packed)
			allow(guest, queue->desc_gpa, queue->size * sizeof(struct vring_desc));
		for (unsigned head = 0; head < queue->size; head++)
			if (queue->chains[head].offered)
				allow_chain(guest, &queue->chains[head]);
	}
	guest_still(guest);
}

/* ---- Set-up ---- */

bool guest_negotiate(struct virtio_device *device, uint64_t features)
{
	uint8_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	virtio_set_status(device, status);
	virtio_set_driver_features(device, 0, (uint32_t)features);
	virtio_set_driver_features(device, 1, (uint32_t)(features >> 32));
	virtio_set_status(device, status | VIRTIO_CONFIG_S_FEATURES_OK);
	return virtio_get_status(device) & VIRTIO_CONFIG_S_FEATURES_OK;
}

struct guest_queue *guest_queue_lay_out(struct guest *guest, struct virtqueue *queue,
					uint16_t size, uint64_t data_bytes)
{
	struct guest_queue *own = &guest->queues[guest->queue_count++];
	struct virtio_device *device = queue->device;

	fuzz_check(guest->queue_count <= GUEST_QUEUES_MAX && size <= GUEST_HEADS_MAX);
	*own = (struct guest_queue){
		.guest = guest,
		.queue = queue,
		.size = size,
		.event_idx = virtio_has(device, VIRTIO_RING_F_EVENT_IDX),
		.indirect = virtio_has(device, VIRTIO_RING_F_INDIRECT_DESC),
		.packed = virtio_has(device, VIRTIO_F_RING_PACKED),
		.desc_gpa = guest_ring_space(guest, size * sizeof(struct vring_desc)),
		.avail_gpa = guest_ring_space(guest, sizeof(uint16_t) * (3u + size)),
		.slots_gpa = guest_data_space(guest, data_bytes),
		.slot_bytes = data_bytes / size / 16 * 16,
		.free = size,
	};
	own->used_gpa = guest_ring_space(guest, used_bytes(own));
	fuzz_check(own->desc_gpa && own->avail_gpa && own->used_gpa && own->slots_gpa);
	if (own->packed)
		guest_packed_begin(own);
	return own;
}

static void clear(struct guest *guest, uint64_t gpa, uint64_t bytes)
{
	memset(guest_at(guest, gpa, bytes), 0, bytes);
	memset(copy_at(guest, gpa), 0, bytes);
}

void guest_queue_rewind(struct guest_queue *queue)
{
	queue->avail_idx = queue->kicked_idx = queue->last_used = queue->asked_used = 0;
	queue->free = queue->size;
	queue->quiet = false;
	memset(queue->busy, 0, sizeof(queue->busy));
	memset(queue->chains, 0, sizeof(queue->chains));
	clear(queue->guest, queue->desc_gpa, queue->size * sizeof(struct vring_desc));
	clear(queue->guest, queue->avail_gpa, sizeof(uint16_t) * (3u + queue->size));
	clear(queue->guest, queue->used_gpa, used_bytes(queue));
	if (queue->packed)
		guest_packed_begin(queue);
}

void guest_queue_set_up(struct guest_queue *queue)
{
	struct virtio_device *device = queue->queue->device;
	unsigned index = queue->queue->index;

	virtio_queue_set_size(device, index, queue->size);
	virtio_queue_set_address(device, index, VIRTIO_RING_DESC, queue->desc_gpa);
	virtio_queue_set_address(device, index, VIRTIO_RING_AVAIL, queue->avail_gpa);
	virtio_queue_set_address(device, index, VIRTIO_RING_USED, queue->used_gpa);
	virtio_queue_enable(device, index);
}

/* ---- Chains ---- */

uint64_t guest_slot(const struct guest_queue *queue, uint16_t head)
{
	return queue->slots_gpa + head * queue->slot_bytes;
}

bool guest_queue_next(const struct guest_queue *queue, unsigned descriptors, uint16_t *head)
{
	if (descriptors > queue->free)
		return false;
	for (*head = 0; queue->busy[*head]; ++*head)
		;
	return true;
}

static void store_descriptor(struct guest *guest, uint64_t gpa, const struct guest_part *part,
			     int next)
{
	struct vring_desc desc = {
		.addr = htole64(part->gpa),
		.len = htole32(part->bytes),
		.flags = htole16((part->writable ? VRING_DESC_F_WRITE : 0) |
				 (next >= 0 ? VRING_DESC_F_NEXT : 0)),
		.next = htole16((uint16_t)(next >= 0 ? next : 0)),
	};

	guest_store(guest, gpa, &desc, sizeof(desc));
}

static void store_table(struct guest_queue *queue, uint16_t head, const struct guest_chain *chain,
			uint64_t table_gpa)
{
	struct vring_desc desc = {
		.addr = htole64(table_gpa),
		.len = htole32((uint32_t)(chain->count * sizeof(desc))),
		.flags = htole16(VRING_DESC_F_INDIRECT),
	};

	for (unsigned i = 0; i < chain->count; i++)
		store_descriptor(queue->guest, table_gpa + i * sizeof(desc), &chain->parts[i],
				 i + 1 < chain->count ? (int)i + 1 : -1);
	guest_store(queue->guest, queue->desc_gpa + head * sizeof(desc), &desc, sizeof(desc));
}

static void store_chain(struct guest_queue *queue, uint16_t head, const struct guest_chain *chain)
{
	uint16_t index = head;

	for (unsigned i = 0; i < chain->count; i++) {
		uint16_t next = index;

		queue->busy[index] = true;
		if (i + 1 < chain->count)
			while (queue->busy[next])
				next++;
		store_descriptor(queue->guest, queue->desc_gpa + index * sizeof(struct vring_desc),
				 &chain->parts[i], i + 1 < chain->count ? next : -1);
		index = next;
	}
}

void guest_queue_add(struct guest_queue *queue, const struct guest_part *parts, unsigned count,
		     uint64_t table_gpa)
{
	struct guest_chain *chain;
	uint16_t head;

	fuzz_check(count && count <= GUEST_PARTS_MAX);
	fuzz_check(guest_queue_next(queue, table_gpa ? 1 : count, &head));
	chain = &queue->chains[head];
	*chain = (struct guest_chain){
		.count = count,
		.offered = true,
		.descriptors = (uint16_t)(table_gpa ? 1 : count),
	};
	memcpy(chain->parts, parts, count * sizeof(*parts));
	queue->busy[head] = true;
	queue->free -= chain->descriptors;
	if (queue->packed) {
		guest_packed_add(queue, head, chain, table_gpa);
		return;
	}
	if (table_gpa)
		store_table(queue, head, chain, table_gpa);
	else
		store_chain(queue, head, chain);
	guest_queue_add_head(queue, head);
}

void guest_queue_store_any(struct guest_queue *queue, uint16_t index,
			   const struct vring_desc *desc)
{
	if (queue->packed)
		guest_packed_store_any(queue, index, desc);
	else
		guest_store(queue->guest, queue->desc_gpa + index * sizeof(*desc), desc,
			    sizeof(*desc));
}

void guest_queue_add_head(struct guest_queue *queue, uint16_t head)
{
	if (queue->packed) {
		guest_packed_add_head(queue);
		return;
	}
	guest_store_le(queue->guest, queue->avail_gpa + offsetof(struct vring_avail, ring) +
		       (queue->avail_idx++ & (queue->size - 1u)) * sizeof(uint16_t), head, 2);
}

void guest_queue_publish(struct guest_queue *queue)
{
	if (queue->packed) {
		guest_packed_publish(queue);
		return;
	}
	guest_store_le(queue->guest, queue->avail_gpa + offsetof(struct vring_avail, idx),
		       queue->avail_idx, 2);
}

bool guest_queue_kick(struct guest_queue *queue)
{
	uint16_t old = queue->kicked_idx;
	bool wanted;

	if (queue->packed)
		wanted = guest_packed_wants_kick(queue);
	else if (queue->event_idx)
		wanted = vring_need_event((uint16_t)guest_load_le(queue->guest, queue->used_gpa +
								  used_bytes(queue) - 2, 2),
					  queue->avail_idx, old);
	else
		wanted = !(guest_load_le(queue->guest, queue->used_gpa, 2) & VRING_USED_F_NO_NOTIFY);
	queue->kicked_idx = queue->avail_idx;
	if (wanted)
		event_fd_signal(queue->queue->kick_fd);
	return wanted;
}

void guest_queue_ask(struct guest_queue *queue, uint16_t later, bool quiet)
{
	if (queue->packed)
		later %= queue->size; /* what a place can say */
	queue->asked_used = (uint16_t)(queue->last_used + later);
	queue->quiet = quiet && !queue->event_idx;
	if (queue->packed)
		guest_packed_ask(queue, later);
	else if (queue->event_idx)
		guest_store_le(queue->guest, queue->avail_gpa + sizeof(uint16_t) *
			       (2u + queue->size), queue->asked_used, 2);
	else
		guest_store_le(queue->guest, queue->avail_gpa,
			       queue->quiet ? VRING_AVAIL_F_NO_INTERRUPT : 0, 2);
}

uint16_t guest_queue_used(const struct guest_queue *queue)
{
	if (queue->packed)
		return guest_packed_used(queue);
	return (uint16_t)guest_load_le(queue->guest, queue->used_gpa +
				       offsetof(struct vring_used, idx), 2);
}

bool guest_queue_returned(const struct guest_queue *queue)
{
	return guest_queue_used(queue) == queue->kicked_idx;
}

bool guest_queue_wants_call(const struct guest_queue *queue, uint16_t old, uint16_t used)
{
	int ahead = (int16_t)(queue->asked_used - old), laps = 2 * queue->size;

	if (!queue->event_idx)
		return used != old && !queue->quiet;
	if (!queue->packed)
		return vring_need_event(queue->asked_used, used, old);
	/* A place and its wrap counter come again two laps later, and ask again. */
	return (ahead % laps + laps) % laps < (uint16_t)(used - old);
}

/* ---- What comes back ---- */

uint64_t guest_chain_bytes(const struct guest_chain *chain, bool writable)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < chain->count; i++)
		if (chain->parts[i].writable == writable)
			bytes += chain->parts[i].bytes;
	return bytes;
}

static void free_descriptors(struct guest_queue *queue, uint16_t head,
			     const struct guest_chain *chain)
{
	uint16_t index = head;

	for (unsigned i = 0; i < chain->descriptors; i++) {
		queue->busy[index] = false;
		index = (uint16_t)guest_load_le(queue->guest, queue->desc_gpa +
						index * sizeof(struct vring_desc) +
						offsetof(struct vring_desc, next), 2);
	}
	queue->free += chain->descriptors;
}

/* The next used element; false: none. */
static bool split_take(const struct guest_queue *queue, uint32_t *head, uint32_t *bytes)
{
	uint64_t element = queue->used_gpa + offsetof(struct vring_used, ring) +
			   (queue->last_used & (queue->size - 1u)) * sizeof(struct vring_used_elem);
	uint16_t idx = guest_queue_used(queue);

	if (idx == queue->last_used)
		return false;
	fuzz_check((uint16_t)(idx - queue->last_used) <= queue->size);
	*head = (uint32_t)guest_load_le(queue->guest, element, 4);
	*bytes = (uint32_t)guest_load_le(queue->guest, element + 4, 4);
	return true;
}

struct guest_chain *guest_queue_take(struct guest_queue *queue, uint32_t *bytes)
{
	struct guest *guest = queue->guest;
	struct guest_chain *chain;
	uint32_t head;

	if (guest->hostile || !(queue->packed ? guest_packed_take(queue, &head, bytes) :
						split_take(queue, &head, bytes)))
		return NULL;
	fuzz_check(head < queue->size);
	chain = &queue->chains[head];
	fuzz_check(chain->offered); /* each head comes back once */
	fuzz_check(*bytes <= guest_chain_bytes(chain, true));
	chain->offered = false;
	allow_chain(guest, chain);
	if (queue->packed) {
		guest_packed_free(queue, (uint16_t)head, chain);
		return chain;
	}
	queue->last_used++;
	free_descriptors(queue, (uint16_t)head, chain);
	return chain;
}
