// SPDX-License-Identifier: MIT
/*
 * H01-H23: descriptors, chains and indirect tables that no driver makes. A case is built by hand in
 * the first descriptors of a ring, and is the same for each device: what is wrong with it shows
 * before anybody looks into the request. Loops are for the split ring; packed.c has what
 * comes near them in a packed one.
 */
#include "kit/hostile.h"
#include "kit/memory.h"
#include "kit/tap.h"
#include "kit/text.h"

#define NEXT	   VRING_DESC_F_NEXT
#define WRITE	   VRING_DESC_F_WRITE
#define INDIRECT   VRING_DESC_F_INDIRECT
#define ENTRIES	   1100 /* more than any queue */
#define DATA_BYTES 4096
#define POISON	   0xa5
#define PARTS	   100
#define LINKS	   2

static struct vring_desc table[ENTRIES] __attribute__((aligned(16)));
static uint8_t data[DATA_BYTES] __attribute__((aligned(4096)));
static struct victim *victim;

static void set(uint16_t slot, uint64_t gpa, uint32_t bytes, uint16_t flags, uint16_t next)
{
	virtqueue_write(victim->queue, slot, (struct vring_desc){ gpa, bytes, flags, next });
}

/* A packed ring's table has an id where the flags of a split one's are, and flags last. */
static void entry(unsigned index, uint64_t gpa, uint32_t bytes, uint16_t flags, uint16_t next)
{
	if (victim->queue->is_packed)
		table[index] = (struct vring_desc){ gpa, bytes, next, flags };
	else
		table[index] = (struct vring_desc){ gpa, bytes, flags, next };
}

static uint64_t gpa_of(const volatile void *place)
{
	return (uint64_t)place;
}

/* ---- Cases of many descriptors, or that depend on the queue ---- */

static void next_past_the_end(void)
{
	set(0, gpa_of(data), 16, NEXT, victim->queue->size);
}

static void too_many_parts(void)
{
	set(0, gpa_of(table), ENTRIES * 16, INDIRECT, 0);
	for (unsigned i = 0; i < ENTRIES; i++)
		entry(i, gpa_of(data), 1, i + 1 < ENTRIES ? NEXT : 0, (uint16_t)(i + 1));
}

/* 64 times all of what lies from the data to 64 MiB on. */
static void more_than_4_gib(void)
{
	for (unsigned i = 0; i < 65; i++)
		entry(i, gpa_of(data), 0x4000000, i < 64 ? NEXT : 0, (uint16_t)(i + 1));
	set(0, gpa_of(table), 65 * 16, INDIRECT, 0);
}

static void more_than_4_gib_by_lengths(void)
{
	for (uint16_t i = 0; i < 8; i++)
		set(i, gpa_of(data), 0x20000000, i < 7 ? NEXT : 0, (uint16_t)(i + 1));
}

/* ---- All cases ---- */

/* Where a descriptor points to; REGISTERS to MSIX_TABLE are the device's own. */
enum place {
	ADDRESS,
	DATA,
	TABLE,
	RING,
	REGISTERS,
	DOORBELL,
	MSIX_TABLE,
	MESSAGES,
	ECAM,
	RAM_END,
	BANK_END, /* of RAM with the data in it */
};

#define NOWHERE (INT64_C(1) << 45)

/* The range of RAM that a place is in; of no bytes if it is in none. */
static struct range ram_of(uint64_t gpa)
{
	for (unsigned i = 0; i < platform.ram_count; i++)
		if (gpa - platform.ram[i].base < platform.ram[i].bytes)
			return platform.ram[i];
	return (struct range){ 0, 0 };
}

static uint64_t place_gpa(enum place place)
{
	switch (place) {
	case DATA:
		return gpa_of(data);
	case TABLE:
		return gpa_of(table);
	case RING:
		return gpa_of(virtqueue_areas(victim->queue).desc);
	case REGISTERS:
		return victim->device->common->gpa;
	case DOORBELL:
		return victim->queue->notify_gpa;
	case MSIX_TABLE:
		return victim->device->msix.table_gpa;
	case MESSAGES:
		return arch_line_message(victim->queue->line, 0).address & ~UINT64_C(15);
	case ECAM:
		return platform.ecam_gpa;
	case RAM_END:
		return memory_end();
	case BANK_END:
		return ram_of(gpa_of(data)).base + ram_of(gpa_of(data)).bytes;
	default:
		return 0;
	}
}

/* What comes of it; and what a case wants. */
#define DEAD	    0x1
#define ENDED	    0x2
#define SPLIT_ONLY  0x4
#define NO_INDIRECT 0x8	 /* it is not negotiated */
#define NO_RAM	    0x10 /* for machines without RAM at the first one's address */
#define RAM_ENDS    0x20 /* instead of DEAD, where a range of RAM has all of the first one */

struct link {
	enum place place;
	int64_t offset;
	uint32_t bytes;
	uint16_t flags, next;
};

/* The first descriptors of the ring, and those of the table. */
static const struct {
	const char *line, *what;
	unsigned flags;
	struct link ring[LINKS], table[LINKS];
	void (*make)(void);
} cases[] = {
	{ "H01", "a descriptor that is its own next", DEAD | SPLIT_ONLY,
	  .ring = { { DATA, 0, 16, NEXT, 0 } } },
	{ "H01", "the same, writable", DEAD | SPLIT_ONLY,
	  .ring = { { DATA, 0, 16, NEXT | WRITE, 0 } } },
	{ "H01", "the same, empty", DEAD | SPLIT_ONLY, .ring = { { ADDRESS, 0, 0, NEXT, 0 } } },
	{ "H01", "the same, of 64 MiB", DEAD | SPLIT_ONLY,
	  .ring = { { DATA, 0, 0x4000000, NEXT, 0 } } },
	{ "H02", "a loop of two", DEAD | SPLIT_ONLY,
	  .ring = { { DATA, 0, 16, NEXT, 1 }, { DATA, 0, 16, NEXT | WRITE, 0 } } },
	{ "H02", "a loop in a table", DEAD | SPLIT_ONLY,
	  .ring = { { TABLE, 0, 4 * 16, INDIRECT, 0 } },
	  .table = { { DATA, 0, 16, NEXT, 1 }, { DATA, 0, 16, NEXT, 0 } } },
	{ "H03", "next past the queue's size", DEAD | SPLIT_ONLY, .make = next_past_the_end },
	{ "H03", "next is 0xffff", DEAD | SPLIT_ONLY, .ring = { { DATA, 0, 16, NEXT, 0xffff } } },
	{ "H03", "a bad buffer, then a bad next", DEAD | SPLIT_ONLY,
	  .ring = { { ADDRESS, 0, 16, NEXT, 1 }, { DATA, 0, 16, NEXT, 0xffff } } },
	{ "H08", "more parts than a request may have", ENDED, .make = too_many_parts },
	{ "H09", "more than 4 GiB in 65 parts", ENDED, .make = more_than_4_gib },
	{ "H09", "8 lengths of 512 MiB", ENDED, .make = more_than_4_gib_by_lengths },
	{ "H10", "a buffer that wraps", ENDED, .ring = { { ADDRESS, -8, 16, WRITE, 0 } } },
	{ "H10", "a table that wraps", DEAD, .ring = { { ADDRESS, -16, 32, INDIRECT, 0 } } },
	{ "H11", "a buffer where nothing is", ENDED,
	  .ring = { { ADDRESS, NOWHERE, 512, WRITE, 0 } } },
	{ "H11", "a buffer in the device's registers", ENDED,
	  .ring = { { REGISTERS, 0, 16, WRITE, 0 } } },
	{ "H11", "a read of the device's registers", ENDED,
	  .ring = { { REGISTERS, 0, 16, 0, 0 } } },
	{ "H11", "a buffer in the doorbell", ENDED, .ring = { { DOORBELL, 0, 2, WRITE, 0 } } },
	{ "H11", "a buffer in the MSI-X table", ENDED,
	  .ring = { { MSIX_TABLE, 0, 16, WRITE, 0 } } },
	{ "H11", "a buffer where interrupts go", ENDED, .ring = { { MESSAGES, 0, 16, WRITE, 0 } } },
	{ "H11", "a buffer in configuration space", ENDED, .ring = { { ECAM, 0, 64, WRITE, 0 } } },
	{ "H11", "a buffer in x86's IOAPIC", ENDED | NO_RAM,
	  .ring = { { ADDRESS, 0xfec00000, 32, WRITE, 0 } } },
	{ "H11", "a read of x86's IOAPIC", ENDED | NO_RAM,
	  .ring = { { ADDRESS, 0xfec00000, 32, 0, 0 } } },
	{ "H11", "a buffer where x86's firmware would be", ENDED | NO_RAM,
	  .ring = { { ADDRESS, 0xfffff000, 4096, WRITE, 0 } } },
	{ "H11", "a buffer where arm64's firmware would be", ENDED | NO_RAM,
	  .ring = { { ADDRESS, 0, 4096, WRITE, 0 } } },
	{ "H11", "a table in the device's registers", DEAD,
	  .ring = { { REGISTERS, 0, 32, INDIRECT, 0 } } },
	{ "H11", "a good buffer, then a bad one", ENDED,
	  .ring = { { DATA, 0, 16, NEXT | WRITE, 1 }, { ADDRESS, NOWHERE, 16, WRITE, 0 } } },
	{ "H12", "a buffer that ends a byte past RAM", ENDED,
	  .ring = { { RAM_END, -8, 9, WRITE, 0 } } },
	{ "H12", "a buffer behind the end of RAM", ENDED, .ring = { { RAM_END, 0, 1, WRITE, 0 } } },
	{ "H12", "a read that ends a byte past RAM", ENDED,
	  .ring = { { RAM_END, -512, 513, 0, 0 } } },
	{ "H12", "a table that ends past RAM", DEAD,
	  .ring = { { RAM_END, -16, 32, INDIRECT, 0 } } },
	{ "H12", "a buffer over the end of its bank", ENDED,
	  .ring = { { BANK_END, -8, 9, WRITE, 0 } } },
	{ "H12", "a read over the end of its bank", ENDED,
	  .ring = { { BANK_END, -512, 513, 0, 0 } } },
	/* From RAM across a hole into the next bank, where there is one. */
	{ "H13", "a buffer of 4 GiB over all banks", ENDED,
	  .ring = { { DATA, 0, 0xfffff000, WRITE, 0 } } },
	{ "H15", "writable before readable", ENDED,
	  .ring = { { DATA, 0, 16, NEXT | WRITE, 1 }, { DATA, 0, 16, 0, 0 } } },
	{ "H17", "a table that was not negotiated", DEAD | NO_INDIRECT,
	  .ring = { { TABLE, 0, 16, INDIRECT, 0 } }, .table = { { DATA, 0, 16, 0, 0 } } },
	{ "H18", "a table in a table", DEAD | SPLIT_ONLY, .ring = { { TABLE, 0, 16, INDIRECT, 0 } },
	  .table = { { TABLE, 0, 16, INDIRECT, 0 } } },
	{ "H19", "a table of 0 bytes", DEAD, .ring = { { TABLE, 0, 0, INDIRECT, 0 } } },
	{ "H19", "a table of 1 byte", DEAD, .ring = { { TABLE, 0, 1, INDIRECT, 0 } } },
	{ "H19", "a table of 15 bytes", DEAD, .ring = { { TABLE, 0, 15, INDIRECT, 0 } } },
	{ "H19", "a table of 17 bytes", DEAD, .ring = { { TABLE, 0, 17, INDIRECT, 0 } },
	  .table = { { DATA, 0, 16, 0, 0 } } },
	{ "H20", "a table of 4 GiB", DEAD | RAM_ENDS,
	  .ring = { { TABLE, 0, 0xfffffff0, INDIRECT, 0 } } },
	/* Within RAM, so that only its size is wrong. */
	{ "H20", "a table of 32 MiB, all of it in RAM", ENDED,
	  .ring = { { TABLE, 0, 0x2000000, INDIRECT, 0 } } },
	{ "H21", "a table and a next one", DEAD,
	  .ring = { { TABLE, 0, 16, INDIRECT | NEXT, 1 }, { DATA, 0, 16, 0, 0 } },
	  .table = { { DATA, 0, 16, 0, 0 } } },
	{ "H22", "next past a table's end", DEAD | SPLIT_ONLY,
	  .ring = { { TABLE, 0, 2 * 16, INDIRECT, 0 } }, .table = { { DATA, 0, 16, NEXT, 2 } } },
	{ "H23", "the ring as its own table", DEAD | SPLIT_ONLY,
	  .ring = { { RING, 0, 16, INDIRECT, 0 } } },
};

static void make_case(unsigned number)
{
	for (uint16_t i = 0; i < LINKS; i++) {
		const struct link *ring = &cases[number].ring[i], *in = &cases[number].table[i];

		set(i, place_gpa(ring->place) + (uint64_t)ring->offset, ring->bytes, ring->flags,
		    ring->next);
		entry(i, place_gpa(in->place) + (uint64_t)in->offset, in->bytes, in->flags,
		      in->next);
	}
	if (cases[number].make)
		cases[number].make();
}

/* What the first descriptor says is there. */
static bool first_in_ram(unsigned number)
{
	const struct link *link = &cases[number].ring[0];
	uint64_t gpa = place_gpa(link->place) + (uint64_t)link->offset;
	struct range ram = ram_of(gpa);

	return ram.bytes && link->bytes <= ram.base + ram.bytes - gpa;
}

static void try_case(unsigned number)
{
	unsigned flags = cases[number].flags;
	bool good;

	if ((flags & SPLIT_ONLY && victim->queue->is_packed) || !hostile_wants(victim, number))
		return;
	if (flags & NO_RAM && ram_of((uint64_t)cases[number].ring[0].offset).bytes)
		return;
	victim_start(victim, flags & NO_INDIRECT ? BIT64(VIRTIO_RING_F_INDIRECT_DESC) : 0);
	memset(data, POISON, sizeof(data));
	make_case(number);
	virtqueue_offer(victim->queue, 0);
	victim_send(victim);
	if (flags & RAM_ENDS && first_in_ram(number))
		flags ^= DEAD | ENDED;
	good = flags & DEAD ? victim_is_dead(victim) : victim_ended(victim, 0);
	for (unsigned i = 0; i < sizeof(data); i++) {
		if (data[i] == POISON)
			continue;
		note("%s: byte %u of the buffer was written", victim->name, i);
		good = false;
		break;
	}
	ok(good, "%s %s: %s", cases[number].line, victim->name, cases[number].what);
}

/* ---- H14 and H16: what is served, and what is for disks ---- */

/* Parts of no length and no place before, between and behind those of a request. */
static void empty_parts(void)
{
	static struct part parts[PARTS + REQUEST_PARTS];
	static struct request request;
	struct used used;
	unsigned count = 0;
	uint16_t head;
	bool good;

	if (victim->receives)
		return;
	victim_start(victim, 0);
	request_init(&request, victim->device, 0);
	for (unsigned i = 0; i < request.count; i++) {
		struct part empty = { (void *)UINT64_MAX, 0, request.parts[i].writable };

		for (unsigned j = 0; j < PARTS / (2 * REQUEST_PARTS); j++)
			parts[count++] = empty;
		parts[count++] = request.parts[i];
		for (unsigned j = 0; j < PARTS / (2 * REQUEST_PARTS); j++)
			parts[count++] = empty;
	}
	head = virtqueue_add_indirect(victim->queue, table, parts, count);
	victim_send(victim);
	good = victim_take(victim, &used) && used.head == head &&
	       request_check(&request, victim->device, &used);
	ok(good && victim_recovers(victim), "H14 %s: %u empty parts around those of a request",
	   victim->name, count - request.count);

	victim_start(victim, 0);
	for (uint16_t i = 0; i < 8; i++)
		set(i, UINT64_MAX, 0, i < 7 ? NEXT : 0, (uint16_t)(i + 1));
	virtqueue_offer(victim->queue, 0);
	victim_send(victim);
	ok(victim_ended(victim, 0), "H14 %s: nothing but empty parts", victim->name);
}

/* Answers a disk's request made by hand in slots from 0; -1 if it does not come back. */
static int64_t written_of(void)
{
	struct used used;

	virtqueue_offer(victim->queue, 0);
	victim_send(victim);
	return victim_take(victim, &used) && !used.head ? (int64_t)used.written : -1;
}

static void disk_directions(void)
{
	static struct virtio_blk_outhdr header;
	static uint8_t status;

	victim_start(victim, 0);
	header = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_IN };
	memset(data, POISON, sizeof(data));
	status = POISON;
	set(0, gpa_of(&header), sizeof(header), NEXT | WRITE, 1);
	set(1, gpa_of(data), 512, NEXT | WRITE, 2);
	set(2, gpa_of(&status), 1, WRITE, 0);
	ok(written_of() == 0 && status == VIRTIO_BLK_S_IOERR && data[0] == POISON && !header.type &&
		   victim_serves(victim),
	   "H16 %s: a header in a writable part", victim->name);

	victim_start(victim, 0);
	status = POISON;
	set(0, gpa_of(&header), sizeof(header), NEXT, 1);
	set(1, gpa_of(data), 512, NEXT, 2);
	set(2, gpa_of(&status), 1, 0, 0);
	ok(written_of() == 0 && status == POISON && victim_serves(victim),
	   "H16 %s: a status in a readable part", victim->name);
	victim_recovers(victim);
}

static void test(struct victim *next)
{
	victim = next;
	victim_start(victim, 0); /* says which format the ring has */
	for (unsigned i = 0; i < ARRAY_COUNT(cases); i++)
		try_case(i);
	empty_parts();
	if (victim->device->type == VIRTIO_ID_BLOCK)
		disk_directions();
}

void guest_main(void)
{
	hostile_run(test);
}
