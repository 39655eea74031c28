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
static unsigned case_number;

static bool wanted(void)
{
	return hostile_wants(victim, case_number++);
}

/* From a reset, with a ring of SIZE: slots are written from 0 on. */
static void begin(void)
{
	struct virtio_device *device = victim->device;

	victim->is_well = false;
	virtio_start_sized(device, virtio_usual_features(device), victim->queue, SIZE);
	victim->config_interrupts = arch_line_count(device->lines[0]);
}

static bool takes_writable(void)
{
	return victim->receives || victim->device->type == VIRTIO_ID_RNG;
}

/* A descriptor that any device takes. */
static void put(uint16_t id, uint16_t flags)
{
	virtqueue_packed_write(victim->queue,
			       (struct vring_packed_desc){ (uint64_t)data, DATA_BYTES, id, flags });
}

static void expect_dead(const char *line, const char *what)
{
	victim_send(victim);
	ok(victim_is_dead(victim), "%s %s: %s", line, victim->name, what);
}

static void endless_list(uint16_t flags, const char *what)
{
	if (!wanted())
		return;
	begin();
	for (uint16_t i = 0; i < SIZE; i++)
		put(i, NEXT | flags);
	expect_dead("H31", what);
}

static void empty_endless_list(void)
{
	if (!wanted())
		return;
	begin();
	for (uint16_t i = 0; i < SIZE; i++)
		virtqueue_packed_write(victim->queue, (struct vring_packed_desc){ 0, 0, i, NEXT });
	expect_dead("H31", "NEXT on each, all of them empty");
}

static void list_into_nothing(void)
{
	if (!wanted())
		return;
	begin();
	put(0, NEXT);
	put(1, NEXT);
	expect_dead("H31", "a list that goes on where none is available");
}

/* Its second descriptor is marked as that of the lap before would be. */
static void wrong_lap_within(void)
{
	if (!wanted())
		return;
	begin();
	put(0, NEXT);
	put(0, 0 ^ (AVAIL | USED));
	expect_dead("H31", "a list with a descriptor of another lap");
}

static void table_in_a_list(uint16_t flags, const char *what)
{
	if (!wanted())
		return;
	begin();
	table[0] = (struct vring_desc){ (uint64_t)data, DATA_BYTES, 0, 0 };
	if (!flags)
		put(0, NEXT);
	virtqueue_packed_write(victim->queue,
			       (struct vring_packed_desc){ (uint64_t)table, sizeof(table[0]), 0,
							   (uint16_t)(INDIRECT | flags) });
	expect_dead("H31", what);
}

/* A head that is available in the wrong lap is not available: nothing happens, at any cost. */
static void wrong_lap(void)
{
	bool good;

	if (!wanted())
		return;
	begin();
	put(0, AVAIL | USED | (takes_writable() ? WRITE : 0));
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

	if (!wanted())
		return;
	begin();
	for (unsigned i = 0; i < ARRAY_COUNT(values); i++)
		put(values[i], takes_writable() ? WRITE : 0);
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

	if (!wanted())
		return;
	begin();
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

	if (!wanted())
		return;
	begin();
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
	volatile struct vring_packed_desc *ring;

	if (!wanted())
		return;
	begin();
	ring = victim->queue->packed.ring;
	for (unsigned lap = 0; lap < 4; lap++) {
		for (uint16_t i = 0; i < SIZE; i++) {
			ring[i].addr = (uint64_t)data;
			ring[i].len = DATA_BYTES;
			ring[i].id = 0;
			ring[i].flags = (uint16_t)((lap % 2 ? USED : AVAIL) |
						   (takes_writable() ? WRITE : 0));
		}
		mmio_write16(victim->queue->notify_gpa, victim->queue->index);
		hostile_wait(500000);
	}
	ok(victim_recovers(victim), "H31 %s: wrap counters flipped under it", victim->name);
}

static void test(struct victim *next)
{
	victim = next;
	case_number = 0;
	if (!(victim->device->offered & BIT64(VIRTIO_F_RING_PACKED)))
		bail_out("the packed ring is not offered");
	endless_list(0, "NEXT on each");
	endless_list(WRITE, "NEXT on each, all of them writable");
	empty_endless_list();
	list_into_nothing();
	wrong_lap_within();
	table_in_a_list(0, "a table as the second of a list");
	table_in_a_list(NEXT, "a table that has a next one");
	wrong_lap();
	ids();
	events();
	device_area();
	whole_ring_again();
}

void guest_main(void)
{
	hostile_run(test);
}
