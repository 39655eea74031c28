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

#define NEXT	 VRING_DESC_F_NEXT
#define WRITE	 VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT
#define ENTRIES	 1100 /* more than any queue */
#define DATA	 4096
#define POISON	 0xa5
#define PARTS	 100

static struct vring_desc table[ENTRIES] __attribute__((aligned(16)));
static uint8_t data[DATA] __attribute__((aligned(4096)));
static struct victim *victim;

/* One past the RAM that lies highest below 4 GiB, or of all. */
static uint64_t ram_end(void)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < platform.ram_count; i++)
		if (platform.ram[i].base + platform.ram[i].bytes > end)
			end = platform.ram[i].base + platform.ram[i].bytes;
	return end;
}

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

/* ---- DEAD: loops and indices ---- */

static void self_loop(void)
{
	set(0, gpa_of(data), 16, NEXT, 0);
}

static void writable_self_loop(void)
{
	set(0, gpa_of(data), 16, NEXT | WRITE, 0);
}

static void empty_self_loop(void)
{
	set(0, 0, 0, NEXT, 0);
}

static void huge_self_loop(void)
{
	set(0, gpa_of(data), 0x4000000, NEXT, 0);
}

static void loop_of_two(void)
{
	set(0, gpa_of(data), 16, NEXT, 1);
	set(1, gpa_of(data), 16, NEXT | WRITE, 0);
}

static void loop_in_a_table(void)
{
	set(0, gpa_of(table), 4 * 16, INDIRECT, 0);
	entry(0, gpa_of(data), 16, NEXT, 1);
	entry(1, gpa_of(data), 16, NEXT, 0);
}

static void next_past_the_end(void)
{
	set(0, gpa_of(data), 16, NEXT, victim->queue->size);
}

static void next_far_past_the_end(void)
{
	set(0, gpa_of(data), 16, NEXT, 0xffff);
}

static void bad_buffer_then_bad_next(void)
{
	set(0, 0, 16, NEXT, 1);
	set(1, gpa_of(data), 16, NEXT, 0xffff);
}

/* ---- REQ: sizes and places ---- */

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

static void buffer_that_wraps(void)
{
	set(0, UINT64_MAX - 7, 16, WRITE, 0);
}

static void table_that_wraps(void)
{
	set(0, UINT64_MAX - 15, 32, INDIRECT, 0);
}

static void buffer_nowhere(void)
{
	set(0, UINT64_C(1) << 45, 512, WRITE, 0);
}

static void buffer_in_own_registers(void)
{
	set(0, victim->device->common->gpa, 16, WRITE, 0);
}

static void read_of_own_registers(void)
{
	set(0, victim->device->common->gpa, 16, 0, 0);
}

static void buffer_in_own_doorbell(void)
{
	set(0, victim->queue->notify_gpa, 2, WRITE, 0);
}

static void buffer_in_own_msix_table(void)
{
	set(0, victim->device->msix.table_gpa, 16, WRITE, 0);
}

static void buffer_where_interrupts_go(void)
{
	set(0, arch_line_message(victim->queue->line, 0).address & ~UINT64_C(15), 16, WRITE, 0);
}

static void buffer_in_configuration_space(void)
{
	set(0, platform.ecam_gpa, 64, WRITE, 0);
}

static void table_in_own_registers(void)
{
	set(0, victim->device->common->gpa, 32, INDIRECT, 0);
}

static void good_buffer_then_bad_one(void)
{
	set(0, gpa_of(data), 16, NEXT | WRITE, 1);
	set(1, UINT64_C(1) << 45, 16, WRITE, 0);
}

static void buffer_past_the_end(void)
{
	set(0, ram_end() - 8, 9, WRITE, 0);
}

static void buffer_behind_the_end(void)
{
	set(0, ram_end(), 1, WRITE, 0);
}

static void read_past_the_end(void)
{
	set(0, ram_end() - 512, 513, 0, 0);
}

static void table_past_the_end(void)
{
	set(0, ram_end() - 16, 32, INDIRECT, 0);
}

/* From RAM across a hole into the next bank, where there are two; else as far as it goes. */
static void buffer_over_two_banks(void)
{
	set(0, gpa_of(data), 0xfffff000, WRITE, 0);
}

static void writable_before_readable(void)
{
	set(0, gpa_of(data), 16, NEXT | WRITE, 1);
	set(1, gpa_of(data), 16, 0, 0);
}

/* ---- Indirect tables ---- */

static void sound_table(void)
{
	set(0, gpa_of(table), 16, INDIRECT, 0);
	entry(0, gpa_of(data), 16, 0, 0);
}

static void table_in_a_table(void)
{
	set(0, gpa_of(table), 16, INDIRECT, 0);
	entry(0, gpa_of(table), 16, INDIRECT, 0);
}

static void empty_table(void)
{
	set(0, gpa_of(table), 0, INDIRECT, 0);
}

static void table_of_a_byte(void)
{
	set(0, gpa_of(table), 1, INDIRECT, 0);
}

static void table_short_of_a_byte(void)
{
	set(0, gpa_of(table), 15, INDIRECT, 0);
}

static void table_and_a_byte(void)
{
	entry(0, gpa_of(data), 16, 0, 0);
	set(0, gpa_of(table), 17, INDIRECT, 0);
}

static void table_of_4_gib(void)
{
	set(0, gpa_of(table), 0xfffffff0, INDIRECT, 0);
}

/* Within RAM, so that only its size is wrong. */
static void table_of_32_mib(void)
{
	set(0, gpa_of(table), 0x2000000, INDIRECT, 0);
}

static void table_with_a_next(void)
{
	entry(0, gpa_of(data), 16, 0, 0);
	set(0, gpa_of(table), 16, INDIRECT | NEXT, 1);
	set(1, gpa_of(data), 16, 0, 0);
}

static void next_past_the_table(void)
{
	set(0, gpa_of(table), 2 * 16, INDIRECT, 0);
	entry(0, gpa_of(data), 16, NEXT, 2);
}

static void ring_as_a_table(void)
{
	set(0, gpa_of(virtqueue_areas(victim->queue).desc), 16, INDIRECT, 0);
}

/* What comes of it; and what a case wants. */
#define DEAD	    0x1
#define ENDED	    0x2
#define SPLIT_ONLY  0x4
#define NO_INDIRECT 0x8 /* it is not negotiated */

static const struct {
	const char *line, *what;
	void (*make)(void);
	unsigned flags;
} cases[] = {
	{ "H01", "a descriptor that is its own next", self_loop, DEAD | SPLIT_ONLY },
	{ "H01", "the same, writable", writable_self_loop, DEAD | SPLIT_ONLY },
	{ "H01", "the same, empty", empty_self_loop, DEAD | SPLIT_ONLY },
	{ "H01", "the same, of 64 MiB", huge_self_loop, DEAD | SPLIT_ONLY },
	{ "H02", "a loop of two", loop_of_two, DEAD | SPLIT_ONLY },
	{ "H02", "a loop in a table", loop_in_a_table, DEAD | SPLIT_ONLY },
	{ "H03", "next past the queue's size", next_past_the_end, DEAD | SPLIT_ONLY },
	{ "H03", "next is 0xffff", next_far_past_the_end, DEAD | SPLIT_ONLY },
	{ "H03", "a bad buffer, then a bad next", bad_buffer_then_bad_next, DEAD | SPLIT_ONLY },
	{ "H08", "more parts than a request may have", too_many_parts, ENDED },
	{ "H09", "more than 4 GiB in 65 parts", more_than_4_gib, ENDED },
	{ "H09", "8 lengths of 512 MiB", more_than_4_gib_by_lengths, ENDED },
	{ "H10", "a buffer that wraps", buffer_that_wraps, ENDED },
	{ "H10", "a table that wraps", table_that_wraps, DEAD },
	{ "H11", "a buffer where nothing is", buffer_nowhere, ENDED },
	{ "H11", "a buffer in the device's registers", buffer_in_own_registers, ENDED },
	{ "H11", "a read of the device's registers", read_of_own_registers, ENDED },
	{ "H11", "a buffer in the doorbell", buffer_in_own_doorbell, ENDED },
	{ "H11", "a buffer in the MSI-X table", buffer_in_own_msix_table, ENDED },
	{ "H11", "a buffer where interrupts go", buffer_where_interrupts_go, ENDED },
	{ "H11", "a buffer in configuration space", buffer_in_configuration_space, ENDED },
	{ "H11", "a table in the device's registers", table_in_own_registers, DEAD },
	{ "H11", "a good buffer, then a bad one", good_buffer_then_bad_one, ENDED },
	{ "H12", "a buffer that ends a byte past RAM", buffer_past_the_end, ENDED },
	{ "H12", "a buffer behind the end of RAM", buffer_behind_the_end, ENDED },
	{ "H12", "a read that ends a byte past RAM", read_past_the_end, ENDED },
	{ "H12", "a table that ends past RAM", table_past_the_end, DEAD },
	{ "H13", "a buffer of 4 GiB over all banks", buffer_over_two_banks, ENDED },
	{ "H15", "writable before readable", writable_before_readable, ENDED },
	{ "H17", "a table that was not negotiated", sound_table, DEAD | NO_INDIRECT },
	{ "H18", "a table in a table", table_in_a_table, DEAD | SPLIT_ONLY },
	{ "H19", "a table of 0 bytes", empty_table, DEAD },
	{ "H19", "a table of 1 byte", table_of_a_byte, DEAD },
	{ "H19", "a table of 15 bytes", table_short_of_a_byte, DEAD },
	{ "H19", "a table of 17 bytes", table_and_a_byte, DEAD },
	{ "H20", "a table of 4 GiB", table_of_4_gib, DEAD },
	{ "H20", "a table of 32 MiB, all of it in RAM", table_of_32_mib, ENDED },
	{ "H21", "a table and a next one", table_with_a_next, DEAD },
	{ "H22", "next past a table's end", next_past_the_table, DEAD | SPLIT_ONLY },
	{ "H23", "the ring as its own table", ring_as_a_table, DEAD | SPLIT_ONLY },
};

static void try_case(unsigned number)
{
	unsigned flags = cases[number].flags;
	bool good;

	if ((flags & SPLIT_ONLY && victim->queue->is_packed) || !hostile_wants(victim, number))
		return;
	victim_start(victim, flags & NO_INDIRECT ? BIT64(VIRTIO_RING_F_INDIRECT_DESC) : 0);
	memset(data, POISON, sizeof(data));
	cases[number].make();
	virtqueue_offer(victim->queue, 0);
	victim_send(victim);
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
