// SPDX-License-Identifier: MIT
/*
 * H54: requests to a disk that no driver makes (virtio 1.2, 5.2.6). Each ends by itself, with a
 * status if there is room for one, and the next is served. What is not scaled down here takes
 * full=1.
 */
#include "kit/hostile.h"
#include "kit/memory.h"
#include "kit/tap.h"
#include "kit/text.h"

#include <linux/virtio_blk.h>

#define SECTOR	    512
#define LARGE	    (1 << 20)
#define POISON	    0xa5
#define NO_STATUS   0x100 /* there is no byte for it */
#define RANGES_MAX  33
#define HUGE_PART   0x4000000 /* 64 of these are 2^32 bytes */
#define HUGE_PARTS  63
#define CAPACITY_AT offsetof(struct virtio_blk_config, capacity)

static struct victim *victim;
static uint64_t capacity;
static uint8_t *buffer; /* LARGE */
static struct virtio_blk_outhdr header;
static uint8_t status;
static struct used used;

/* The head comes back with this status and length; the device is well. */
static bool ends(const struct part *parts, unsigned count, unsigned expected, uint32_t written)
{
	uint16_t head;

	status = POISON;
	head = virtqueue_add(victim->queue, parts, count);
	victim_send(victim);
	if (!victim_take(victim, &used)) {
		note("%s: no answer, status %x", victim->name, virtio_status(victim->device));
		victim_recovers(victim);
		return false;
	}
	if (used.head == head && used.written == written &&
	    (expected == NO_STATUS || status == expected) &&
	    !virtio_needs_reset(victim->device))
		return true;
	note("%s: head %u came for %u, %u bytes, status %x", victim->name, used.head, head,
	     used.written, status);
	return false;
}

/* A header, some data, a status: IOERR unless told otherwise. */
static bool fails(uint32_t type, uint64_t sector, struct part data, uint8_t expected)
{
	struct part parts[3] = { { &header, sizeof(header), false } };
	unsigned count = 1;

	header = (struct virtio_blk_outhdr){ type, 0, sector };
	if (data.bytes)
		parts[count++] = data;
	parts[count++] = (struct part){ &status, 1, true };
	return ends(parts, count, expected, data.bytes && data.writable ? 0 : 1);
}

static struct part in(uint32_t bytes)
{
	return (struct part){ buffer, bytes, true };
}

static struct part out(uint32_t bytes)
{
	return (struct part){ buffer, bytes, false };
}

static void say(bool good, const char *what)
{
	ok(victim_serves(victim) && good, "H54 %s: %s", victim->name, what);
}

static void types(void)
{
	static const uint32_t unknown[] = {
		2, 3, 5, 7, 9, 10, 12, 14, 15, 0x7777, 0x80000000, 0xffffffff
	};
	bool good = true;

	for (unsigned i = 0; i < ARRAY_COUNT(unknown); i++)
		good = good && fails(unknown[i], 0, in(SECTOR), VIRTIO_BLK_S_UNSUPP) &&
		       fails(unknown[i], 0, out(SECTOR), VIRTIO_BLK_S_UNSUPP);
	say(good, "unknown types");
}

static void headers(void)
{
	struct part short_header[] = { { &header, 15, false }, { &status, 1, true } };
	struct part alone[] = { { &header, sizeof(header), false } };
	struct part data_only[] = { { buffer, LARGE, false } };
	struct part status_only[] = { { &status, 1, true } };
	struct part bytewise[18];

	header = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_FLUSH };
	say(ends(short_header, 2, VIRTIO_BLK_S_IOERR, 1), "a header of 15 bytes");
	say(ends(alone, 1, NO_STATUS, 0), "a header and nothing else");
	say(ends(data_only, 1, NO_STATUS, 0), "1 MiB to read and no status");
	say(ends(status_only, 1, VIRTIO_BLK_S_IOERR, 1), "a status and nothing else");
	for (unsigned i = 0; i < 16; i++)
		bytewise[i] = (struct part){ (uint8_t *)&header + i, 1, false };
	bytewise[16] = (struct part){ &status, 1, true };
	say(ends(bytewise, 17, VIRTIO_BLK_S_OK, 1), "a header of 16 parts is one like any other");
}

static void lengths(void)
{
	static const uint32_t odd[] = { 1, 511, 513, LARGE - 1 };
	bool good = true;

	for (unsigned i = 0; i < ARRAY_COUNT(odd); i++)
		good = good && fails(VIRTIO_BLK_T_IN, 0, in(odd[i]), VIRTIO_BLK_S_IOERR) &&
		       fails(VIRTIO_BLK_T_OUT, 0, out(odd[i]), VIRTIO_BLK_S_IOERR);
	say(good, "data of 1, 511, 513 bytes");
	/* It leaves RAM, so nothing of the request is looked at. */
	good = fails(VIRTIO_BLK_T_IN, 0, in(0xfffffe00), POISON) &&
	       ends((struct part[]){ { &header, sizeof(header), false },
				     { buffer, 0xfffffe00, false },
				     { &status, 1, true } },
		    3, POISON, 0);
	say(good, "data of 0xfffffe00 bytes");
}

static void sectors(void)
{
	const uint64_t beyond[] = {
		capacity, capacity - 1, UINT64_C(1) << 55, UINT64_MAX / SECTOR, UINT64_MAX
	};
	bool good = true;

	memset(buffer, POISON, 2 * SECTOR);
	for (unsigned i = 0; i < ARRAY_COUNT(beyond); i++) {
		good = good &&
		       fails(VIRTIO_BLK_T_IN, beyond[i], in(2 * SECTOR), VIRTIO_BLK_S_IOERR) &&
		       fails(VIRTIO_BLK_T_OUT, beyond[i], out(2 * SECTOR), VIRTIO_BLK_S_IOERR);
		good = good && buffer[0] == POISON && buffer[2 * SECTOR - 1] == POISON;
	}
	say(good, "sectors at and past the capacity, 2^55, 2^64-1: nothing is moved");
}

static bool ranges_fail(uint32_t type, const struct virtio_blk_discard_write_zeroes *ranges,
			uint32_t bytes, uint8_t expected)
{
	return fails(type, 0, (struct part){ (void *)ranges, bytes, false }, expected);
}

static void ranges(uint32_t type, const char *what)
{
	static struct virtio_blk_discard_write_zeroes list[RANGES_MAX];
	const struct virtio_blk_discard_write_zeroes bad[] = {
		{ UINT64_MAX - 7, 16, 0 }, { UINT64_C(1) << 55, 8, 0 }, { capacity, 8, 0 },
		{ capacity - 8, 16, 0 },   { 0, 0xffffffff, 0 },
	};
	bool good;

	good = ranges_fail(type, list, 0, VIRTIO_BLK_S_IOERR) &&
	       ranges_fail(type, list, RANGES_MAX * sizeof(*list), VIRTIO_BLK_S_IOERR) &&
	       ranges_fail(type, list, 1, VIRTIO_BLK_S_IOERR) &&
	       ranges_fail(type, list, sizeof(*list) + 1, VIRTIO_BLK_S_IOERR) &&
	       fails(type, 0, out(LARGE), VIRTIO_BLK_S_IOERR) &&
	       fails(type, 0, in(sizeof(*list)), VIRTIO_BLK_S_IOERR);
	ok(good, "H54 %s: %s of 0, 33, 65536 ranges, with a tail, and writable", victim->name,
	   what);
	good = true;
	for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
		/* The first one is sound, and must not be begun with. */
		list[0] = (struct virtio_blk_discard_write_zeroes){ 0, 8, 0 };
		list[1] = bad[i];
		good = good && ranges_fail(type, list, 2 * sizeof(*list), VIRTIO_BLK_S_IOERR);
	}
	list[1] = (struct virtio_blk_discard_write_zeroes){ 0, 8, 0xffffffff };
	good = good && ranges_fail(type, list, 2 * sizeof(*list), VIRTIO_BLK_S_UNSUPP);
	ok(victim_serves(victim) && good,
	   "H54 %s: %s of ranges that wrap, lie beyond, have flags 0xffffffff: no part is done",
	   victim->name, what);
}

static void identities(void)
{
	static const uint32_t sizes[] = { 0, 1, 19, 21, LARGE };
	bool good = true;

	for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
		memset(buffer, POISON, 64);
		good = good && fails(VIRTIO_BLK_T_GET_ID, 0, in(sizes[i]), VIRTIO_BLK_S_IOERR) &&
		       buffer[0] == POISON && buffer[20] == POISON;
	}
	say(good, "GET_ID into 0, 1, 19, 21 bytes and 1 MiB");
}

/* ---- Many at once ---- */

#define MANY 256

static struct {
	struct virtio_blk_outhdr header;
	uint8_t status;
} many[MANY];

static struct vring_desc (*tables)[HUGE_PARTS + 2];

/* Fills the ring with requests in tables, and counts those that end so. */
static unsigned run_many(const struct virtio_blk_outhdr *what, const struct part *data,
			 unsigned data_count, uint8_t expected)
{
	struct part parts[HUGE_PARTS + 2];
	unsigned added, good = 0;

	for (added = 0; added < victim->queue->size && added < MANY; added++) {
		many[added].header = *what;
		many[added].status = POISON;
		parts[0] = (struct part){ &many[added].header, sizeof(*what), false };
		for (unsigned i = 0; i < data_count; i++)
			parts[1 + i] = data[i];
		parts[1 + data_count] = (struct part){ &many[added].status, 1, true };
		virtqueue_add_indirect(victim->queue, tables[added], parts, data_count + 2);
	}
	victim_send(victim);
	for (unsigned i = 0; i < added; i++)
		if (!victim_take(victim, &used))
			return 0;
	for (unsigned i = 0; i < added; i++)
		good += many[i].status == expected;
	return good == added ? added : 0;
}

static void floods(void)
{
	const unsigned rounds = param_is_set("full") ? 16 : 2;
	struct virtio_blk_outhdr flush = { .type = VIRTIO_BLK_T_FLUSH };
	struct virtio_blk_outhdr write = { .type = VIRTIO_BLK_T_OUT };
	struct virtio_blk_outhdr read = { .type = VIRTIO_BLK_T_IN };
	struct part huge[HUGE_PARTS];
	struct part whole = { buffer, LARGE / (param_is_set("full") ? 1 : 8), true };
	uint8_t *room = memory_get_raw(HUGE_PART, 4096);
	unsigned ended = 0;

	virtio_start_sized(victim->device, virtio_usual_features(victim->device), victim->queue,
			   VIRTQUEUE_SIZE_MAX);
	for (unsigned i = 0; i < rounds; i++)
		ended += run_many(&flush, NULL, 0, VIRTIO_BLK_S_OK);
	ok(ended == rounds * victim->queue->size, "H54 %s: %u flushes (of 4096), %u at once",
	   victim->name, ended, victim->queue->size);
	for (unsigned i = 0; i < HUGE_PARTS; i++)
		huge[i] = (struct part){ room, HUGE_PART, false };
	ended = run_many(&write, huge, HUGE_PARTS, VIRTIO_BLK_S_IOERR);
	ok(ended == victim->queue->size, "H54 %s: %u writes of 3.9 GiB each at once", victim->name,
	   ended);
	ended = run_many(&read, &whole, 1, VIRTIO_BLK_S_OK);
	ok(ended == victim->queue->size, "H54 %s: %u reads of %u KiB at once",
	   victim->name, ended, whole.bytes / 1024);
	victim->is_well = false;
	say(victim_recovers(victim), "and it goes on");
}

static void test(struct victim *next)
{
	victim = next;
	if (victim->device->type != VIRTIO_ID_BLOCK)
		return;
	capacity = virtio_config_read64(victim->device, CAPACITY_AT);
	victim_start(victim, 0);
	types();
	headers();
	lengths();
	sectors();
	if (victim->device->offered & BIT64(VIRTIO_BLK_F_DISCARD))
		ranges(VIRTIO_BLK_T_DISCARD, "DISCARD");
	ranges(VIRTIO_BLK_T_WRITE_ZEROES, "WRITE_ZEROES");
	identities();
	floods();
}

void guest_main(void)
{
	buffer = memory_get_raw(LARGE, 4096);
	tables = memory_get_raw(MANY * sizeof(*tables), 16);
	hostile_run(test);
}
