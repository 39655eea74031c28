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
static struct vring_desc descriptor_copy(const uint8_t *source)
{
	struct vring_desc copy;

	memcpy(&copy, source, sizeof(copy));
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
		if (walk.steps++ == walk.count)
			return descriptor_corrupt(parts, "loop in a descriptor chain");
		descriptor = descriptor_copy(walk.entries + descriptor.next * sizeof(descriptor));

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

/* As a split one, with the buffer id for `next`. */
static struct vring_desc packed_copy(const uint8_t *source)
{
	struct vring_packed_desc copy;

	static_assert(sizeof(copy) == sizeof(struct vring_desc), "both are 16 bytes");
	memcpy(&copy, source, sizeof(copy));
	__asm__ volatile("" : "+m"(copy));
	return (struct vring_desc){
		.addr = le64toh(copy.addr),
		.len = le32toh(copy.len),
		.flags = le16toh(copy.flags),
		.next = le16toh(copy.id),
	};
}

/* 2.8.7: one entry after the other; of their flags only WRITE means anything. */
static enum descriptor_verdict packed_table(const struct descriptor_table *table,
					    const struct vring_desc *descriptor,
					    struct descriptor_parts *parts)
{
	struct walk walk = { 0 };
	enum descriptor_verdict verdict = descriptor_enter(table, descriptor, &walk, parts);

	for (; verdict == DESCRIPTOR_OK && walk.steps < walk.count; walk.steps++) {
		struct vring_desc entry = packed_copy(walk.entries + walk.steps * sizeof(entry));

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
	const uint8_t *entries = table->entries;
	enum descriptor_verdict verdict = DESCRIPTOR_OK;
	uint16_t place = list->place;
	struct vring_desc descriptor;

	list->count = 0;
	do {
		if (list->count == list->room)
			return descriptor_corrupt(parts, "more descriptors than the ring has");
		descriptor = packed_copy(entries + packed_offset(place) * sizeof(descriptor));
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
