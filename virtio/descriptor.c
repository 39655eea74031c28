// SPDX-License-Identifier: MIT
/*
 * The walk over a descriptor chain. Every number in it is the guest's and may
 * change while we look, so each descriptor is copied once and only the copy is
 * used. The walk is bounded by the table it is in: a longer chain is a loop.
 */
#include "virtio/descriptor.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "core/fetch.h"

/* Where the walk is: the queue's own table first, then at most one indirect one. */
struct walk {
	const uint8_t *entries;
	uint32_t count, steps;
	bool indirect;
};

/*
 * An indirect table need not be aligned, hence memcpy; the empty asm keeps the
 * compiler from going back to guest memory for a field that it has read.
 */
static struct vring_desc descriptor_copy(const struct walk *walk, uint16_t index)
{
	struct vring_desc copy;

	fetch_note(walk->indirect ? FETCH_TABLE : FETCH_DESCRIPTOR, walk->steps * sizeof(copy),
		   sizeof(copy));
	memcpy(&copy, walk->entries + index * sizeof(copy), sizeof(copy));
	__asm__ volatile("" : "+m"(copy));
	return (struct vring_desc){
		.addr = le64toh(copy.addr),
		.len = le32toh(copy.len),
		.flags = le16toh(copy.flags),
		.next = le16toh(copy.next),
	};
}

/* The table that an indirect descriptor points to, in either format. */
static enum descriptor_verdict descriptor_enter(const struct descriptor_table *table,
						const struct vring_desc *descriptor,
						struct walk *walk,
						struct descriptor_parts *parts)
{
	if (!table->indirect)
		return descriptor_corrupt(parts, "indirect descriptor was not negotiated");
	if (walk->indirect)
		return descriptor_corrupt(parts, "indirect table within an indirect table");
	if (descriptor->flags & VRING_DESC_F_NEXT)
		return descriptor_corrupt(parts, "indirect descriptor with a next one");
	if (!descriptor->len || descriptor->len % sizeof(struct vring_desc))
		return descriptor_corrupt(parts, "indirect table of a bad length");
	walk->entries = guest_memory_at(table->memory, descriptor->addr, descriptor->len);
	if (!walk->entries)
		return descriptor_corrupt(parts, "indirect table outside of memory");
	walk->count = descriptor->len / sizeof(struct vring_desc);
	if (walk->count > parts->capacity)
		return descriptor_malformed(parts, "indirect table of too many entries");
	walk->steps = 0;
	walk->indirect = true;
	return DESCRIPTOR_OK;
}

static enum descriptor_verdict descriptor_add(const struct descriptor_table *table,
					      const struct vring_desc *descriptor,
					      struct descriptor_parts *parts)
{
	bool writable = descriptor->flags & VRING_DESC_F_WRITE;
	unsigned count = parts->readable_count + parts->writable_count;
	void *host;

	if (!descriptor->len)
		return DESCRIPTOR_OK;
	if (!writable && parts->writable_count)
		return descriptor_malformed(parts, "readable part after a writable one");
	if (count == parts->capacity)
		return descriptor_malformed(parts, "too many parts");
	host = guest_memory_at(table->memory, descriptor->addr, descriptor->len);
	if (!host)
		return descriptor_malformed(parts, "buffer outside of memory");

	parts->iov[count] = (struct iovec){ .iov_base = host, .iov_len = descriptor->len };
	if (writable) {
		parts->writable_count++;
		parts->writable_bytes += descriptor->len;
	} else {
		parts->readable_count++;
		parts->readable_bytes += descriptor->len;
	}
	/* 2.7.5: no chain is longer than 2^32 bytes; sums in 64 bits can't wrap before. */
	if (parts->readable_bytes + parts->writable_bytes > UINT32_MAX)
		return descriptor_malformed(parts, "more than 2^32 bytes");
	return DESCRIPTOR_OK;
}

/*
 * A malformed part does not end the walk: what follows may show that the ring
 * itself is corrupt, which is worse.
 */
enum descriptor_verdict descriptor_walk(const struct descriptor_table *table, uint16_t head,
					struct descriptor_parts *parts)
{
	struct walk walk = { .entries = table->entries, .count = table->size };
	enum descriptor_verdict verdict = DESCRIPTOR_OK;
	struct vring_desc descriptor = { .next = head };

	do {
		if (descriptor.next >= walk.count)
			return descriptor_corrupt(parts, "next descriptor out of range");
		if (walk.steps == walk.count)
			return descriptor_corrupt(parts, "loop in a descriptor chain");
		descriptor = descriptor_copy(&walk, descriptor.next);
		walk.steps++;

		if (descriptor.flags & VRING_DESC_F_INDIRECT) {
			enum descriptor_verdict entered =
				descriptor_enter(table, &descriptor, &walk, parts);

			if (entered != DESCRIPTOR_OK)
				return entered;
			/* On with the first descriptor of the table. */
			descriptor = (struct vring_desc){ .flags = VRING_DESC_F_NEXT };
		} else if (verdict == DESCRIPTOR_OK) {
			verdict = descriptor_add(table, &descriptor, parts);
		}
	} while (descriptor.flags & VRING_DESC_F_NEXT);
	return verdict;
}

/*
 * As a split one, with the buffer id for `next`. The head's flags, which come
 * last, were read to see that it is there, and are not read again.
 */
static struct vring_desc packed_copy(const uint8_t *source, const uint16_t *head_flags)
{
	struct vring_packed_desc copy;

	static_assert(sizeof(copy) == sizeof(struct vring_desc), "both are 16 bytes");
	static_assert(offsetof(struct vring_packed_desc, flags) == 14, "flags come last");
	if (head_flags) {
		copy.flags = htole16(*head_flags);
		memcpy(&copy, source, offsetof(struct vring_packed_desc, flags));
	} else {
		memcpy(&copy, source, sizeof(copy));
	}
	__asm__ volatile("" : "+m"(copy));
	return (struct vring_desc){
		.addr = le64toh(copy.addr),
		.len = le32toh(copy.len),
		.flags = le16toh(copy.flags),
		.next = le16toh(copy.id),
	};
}

static struct vring_desc packed_entry(const struct walk *walk)
{
	const uint64_t place = walk->steps * sizeof(struct vring_desc);

	fetch_note(FETCH_TABLE, place, sizeof(struct vring_desc));
	return packed_copy(walk->entries + place, NULL);
}

static struct vring_desc packed_descriptor(const struct descriptor_table *table,
					   const struct packed_list *list, uint16_t place)
{
	const uint8_t *source = (const uint8_t *)table->entries +
				packed_offset(place) * sizeof(struct vring_desc);
	const bool is_head = !list->count;

	fetch_note(FETCH_DESCRIPTOR, list->count * sizeof(struct vring_desc),
		   is_head ? offsetof(struct vring_packed_desc, flags) : sizeof(struct vring_desc));
	return packed_copy(source, is_head ? &list->head_flags : NULL);
}

/* 2.8.7: one entry after the other; of their flags only WRITE means anything. */
static enum descriptor_verdict packed_table(const struct descriptor_table *table,
					    const struct vring_desc *descriptor,
					    struct descriptor_parts *parts)
{
	struct walk walk = { 0 };
	enum descriptor_verdict verdict = descriptor_enter(table, descriptor, &walk, parts);

	for (; verdict == DESCRIPTOR_OK && walk.steps < walk.count; walk.steps++) {
		struct vring_desc entry = packed_entry(&walk);

		verdict = descriptor_add(table, &entry, parts);
	}
	return verdict;
}

/*
 * Every descriptor of a list must be available when its first one is (2.8.6), so
 * a list that runs into others, or into the past, shows.
 */
enum descriptor_verdict descriptor_walk_packed(const struct descriptor_table *table,
					       struct packed_list *list,
					       struct descriptor_parts *parts)
{
	enum descriptor_verdict verdict = DESCRIPTOR_OK;
	uint16_t place = list->place;
	struct vring_desc descriptor;

	list->count = 0;
	do {
		if (list->count == list->room)
			return descriptor_corrupt(parts, "more descriptors than the ring has");
		descriptor = packed_descriptor(table, list, place);
		if (!packed_is_available(descriptor.flags, place))
			return descriptor_corrupt(parts, "list goes on where none is available");
		place = packed_advance(place, 1, table->size);

		if (!(descriptor.flags & VRING_DESC_F_INDIRECT)) {
			if (verdict == DESCRIPTOR_OK)
				verdict = descriptor_add(table, &descriptor, parts);
		} else if (list->count) {
			return descriptor_corrupt(parts, "indirect descriptor in a list");
		} else {
			verdict = packed_table(table, &descriptor, parts);
		}
		list->count++;
	} while (verdict != DESCRIPTOR_CORRUPT && descriptor.flags & VRING_DESC_F_NEXT);
	list->id = descriptor.next;
	return verdict;
}
