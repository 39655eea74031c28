// SPDX-License-Identifier: MIT
/* H01-H07 as they are in a packed ring, and H31: lists, flags, ids, wrap counters, event areas. */
#include "kit/hostile.h"
#include "kit/memory.h"
#include "kit/tap.h"
#include "kit/text.h"
#include "kit/virtqueue_packed.h"

#define NEXT	   VRING_DESC_F_NEXT
#define WRITE	   VRING_DESC_F_WRITE
#define INDIRECT   VRING_DESC_F_INDIRECT
#define AVAIL	   (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED	   (1u << VRING_PACKED_DESC_F_USED)
#define SIZE	   16
#define DATA_BYTES 512

static struct victim *victim;
static uint8_t data[DATA_BYTES];
static struct vring_desc table[SIZE] __attribute__((aligned(16)));

/* From a reset, with a ring of SIZE: slots are written from 0 on. */
static void begin(void)
{
	struct virtio_device *device = victim->device;

	victim->is_well = false;
	virtio_start_sized(device, virtio_usual_features(device), victim->queue, SIZE);
	victim->config_interrupts = arch_line_count(device->lines[0]);
}

/* A descriptor that any device takes. */
static void put(uint16_t id, uint16_t flags)
{
	virtqueue_packed_write(victim->queue,
			       (struct vring_packed_desc){ (uint64_t)data, DATA_BYTES, id, flags });
}

/* ---- Lists that are the end of the device; `flags` as the table below says ---- */

static void endless_list(uint16_t flags)
{
	for (uint16_t i = 0; i < SIZE; i++)
		put(i, flags);
}

static void empty_endless_list(uint16_t flags)
{
	for (uint16_t i = 0; i < SIZE; i++)
		virtqueue_packed_write(victim->queue, (struct vring_packed_desc){ 0, 0, i, flags });
}

static void list_of_two(uint16_t flags)
{
	put(0, NEXT);
	put(1, flags);
}

static void table_in_a_list(uint16_t flags)
{
	table[0] = (struct vring_desc){ (uint64_t)data, DATA_BYTES, 0, 0 };
	if (!(flags & NEXT))
		put(0, NEXT);
	virtqueue_packed_write(victim->queue,
			       (struct vring_packed_desc){ (uint64_t)table, sizeof(table[0]), 0,
							   flags });
}

static const struct {
	void (*put)(uint16_t flags);
	uint16_t flags;
	const char *what;
} lists[] = {
	{ endless_list, NEXT, "NEXT on each" },
	{ endless_list, NEXT | WRITE, "NEXT on each, all of them writable" },
	{ empty_endless_list, NEXT, "NEXT on each, all of them empty" },
	{ list_of_two, NEXT, "a list that goes on where none is available" },
	/* Marked as that of the lap before would be. */
	{ list_of_two, AVAIL | USED, "a list with a descriptor of another lap" },
	{ table_in_a_list, INDIRECT, "a table as the second of a list" },
	{ table_in_a_list, INDIRECT | NEXT, "a table that has a next one" },
};

static void try_list(unsigned number)
{
	begin();
	lists[number].put(lists[number].flags);
	victim_send(victim);
	ok(victim_is_dead(victim), "H31 %s: %s", victim->name, lists[number].what);
}

/* ---- What a device lives with ---- */

/* A head that is available in the wrong lap is not available: nothing happens, at any cost. */
static void wrong_lap(void)
{
	bool good;

	put(0, AVAIL | USED | (victim->writes ? WRITE : 0));
	victim_send(victim);
	hostile_wait(5000000);
	good = !virtio_needs_reset(victim->device) && !virtqueue_has_used(victim->queue);
	ok(victim_recovers(victim) && good, "H31 %s: a head of the wrong lap is not seen",
	   victim->name);
}

/* An id is the driver's own affair. */
static void ids(void)
{
	static const uint16_t values[] = { 0xffff, SIZE, 7, 7 };
	unsigned good = 0;
	struct used used;

	for (unsigned i = 0; i < ARRAY_COUNT(values); i++)
		put(values[i], victim->writes ? WRITE : 0);
	victim->queue->packed.count[7] = 1;
	victim_send(victim);
	for (unsigned i = 0; i < ARRAY_COUNT(values); i++) {
		/* Those of a disk come to nothing: each comes back, in whatever order. */
		if (!victim_take(victim, &used))
			break;
		good += used.head == 0xffff || used.head == SIZE || used.head == 7;
	}
	ok(victim_recovers(victim) && good == ARRAY_COUNT(values),
	   "H31 %s: ids out of range, and one twice, come back", victim->name);
}

/* What the driver's event area says matters to nobody but the driver. */
static void events(void)
{
	static const struct {
		uint16_t flags, off_wrap;
	} values[] = { { 3, 0 },      { 0xffff, 0xffff }, { 2, SIZE },
		       { 2, 0x7fff }, { 2, 0xffff },	  { 0x8002, 0x8000 } };
	unsigned good = 0;

	for (unsigned i = 0; i < ARRAY_COUNT(values); i++) {
		victim->queue->packed.driver_event->off_wrap = values[i].off_wrap;
		victim->queue->packed.driver_event->flags = values[i].flags;
		good += victim_serves(victim);
	}
	ok(victim_recovers(victim) && good == ARRAY_COUNT(values),
	   "H31 %s: event areas with flags 3 and places that are none", victim->name);
}

/* The device's area is the device's: what the driver writes there is not read. */
static void device_area(void)
{
	unsigned good = 0;

	for (unsigned i = 0; i < SIZE; i++) {
		victim->queue->packed.device_event->off_wrap = (uint16_t)(0xffff - i);
		victim->queue->packed.device_event->flags = (uint16_t)i;
		good += victim_serves(victim);
	}
	ok(victim_recovers(victim) && good == SIZE,
	   "H30 %s: the device's event area is scribbled on", victim->name);
}

/* Descriptors in flight are made available again by their flags, without a free slot. */
static void whole_ring_again(void)
{
	volatile struct vring_packed_desc *ring = victim->queue->packed.ring;

	for (unsigned lap = 0; lap < 4; lap++) {
		for (uint16_t i = 0; i < SIZE; i++) {
			ring[i].addr = (uint64_t)data;
			ring[i].len = DATA_BYTES;
			ring[i].id = 0;
			ring[i].flags =
				(uint16_t)((lap % 2 ? USED : AVAIL) | (victim->writes ? WRITE : 0));
		}
		mmio_write16(victim->queue->notify_gpa, victim->queue->index);
		hostile_wait(500000);
	}
	ok(victim_recovers(victim), "H31 %s: wrap counters flipped under it", victim->name);
}

static void test(struct victim *next)
{
	static void (*const others[])(void) = {
		wrong_lap, ids, events, device_area, whole_ring_again,
	};

	victim = next;
	if (!(victim->device->offered & BIT64(VIRTIO_F_RING_PACKED)))
		bail_out("the packed ring is not offered");
	for (unsigned i = 0; i < ARRAY_COUNT(lists); i++)
		if (hostile_wants(victim, i))
			try_list(i);
	for (unsigned i = 0; i < ARRAY_COUNT(others); i++) {
		if (!hostile_wants(victim, ARRAY_COUNT(lists) + i))
			continue;
		begin();
		others[i]();
	}
}

void guest_main(void)
{
	hostile_run(test);
}
