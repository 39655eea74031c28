// SPDX-License-Identifier: MIT
/*
 * H04-H07, H24-H27: the available ring of the split format, and rings of either format in places
 * where none can be.
 */
#include "kit/hostile.h"
#include "kit/memory.h"
#include "kit/tap.h"
#include "kit/text.h"

#define SIZE	   16
#define DATA_BYTES 512
#define SEGMENTS   64
#define POISON	   0xa5

static struct victim *victim;
static unsigned case_number; /* of those that are shared out */

static bool wanted(void)
{
	return hostile_wants(victim, case_number++);
}

/* A buffer that any device takes, and that none can do harm with. */
static void sound_descriptors(void)
{
	static uint8_t data[SIZE][DATA_BYTES];

	for (uint16_t i = 0; i < SIZE; i++)
		virtqueue_write(victim->queue, i,
				(struct vring_desc){ (uint64_t)data[i], DATA_BYTES,
						     victim->writes ? VRING_DESC_F_WRITE : 0, 0 });
}

/* From a reset, so that indices are at 0, or wherever so many requests bring them. */
static void begin(unsigned requests)
{
	victim->is_well = false;
	victim_start(victim, 0);
	for (unsigned i = 0; i < requests; i++)
		victim_serves(victim);
	sound_descriptors();
}

/* ---- The available ring ---- */

static void bad_head(uint16_t head, const char *what)
{
	if (!wanted())
		return;
	begin(0);
	victim->queue->avail->ring[victim->queue->next_avail++ % victim->queue->size] = head;
	victim_send(victim);
	ok(victim_is_dead(victim), "H04 %s: %s", victim->name, what);
}

static void bad_index(unsigned requests, int by, const char *line, const char *what)
{
	if (!wanted())
		return;
	begin(requests);
	for (uint16_t i = 0; i < victim->queue->size; i++)
		victim->queue->avail->ring[i] = i % SIZE;
	victim->queue->next_avail = (uint16_t)(victim->queue->next_avail + by);
	victim_send(victim);
	ok(victim_is_dead(victim), "%s %s: %s", line, victim->name, what);
}

/* A read, of slots 3, 4 and 5: one that is out for a while. */
static void disk_read_at_3(void)
{
	static struct request request;

	request_init(&request, victim->device, 0);
	for (uint16_t i = 0; i < request.count; i++)
		virtqueue_write(victim->queue, (uint16_t)(3 + i),
				virtqueue_table_entry(victim->queue, &request.parts[i], 3u + i,
						      i + 1u == request.count));
}

/* Made available again at once: that is found while the first is out, or after it was used. */
static void head_again(unsigned copies)
{
	uint64_t end;
	bool good = true, dead;
	unsigned used_count = 0;
	struct used used;

	if (!wanted())
		return;
	begin(0);
	if (victim->device->type == VIRTIO_ID_BLOCK)
		disk_read_at_3();
	for (unsigned i = 0; i < copies; i++)
		virtqueue_offer(victim->queue, 3);
	victim_send(victim);
	end = arch_now_ns() + REQUEST_NS;
	do {
		while (virtqueue_poll(victim->queue, &used)) {
			good = good && used.head == 3;
			used_count++;
		}
		dead = virtio_needs_reset(victim->device);
		hostile_wait(1000000);
	} while (!dead && used_count < copies && !victim->receives && arch_now_ns() < end);
	good = good && used_count <= copies && (dead || victim->receives || used_count == copies);
	note("%s: %s", victim->name, dead ? "dead" : "served one after the other");
	ok(victim_recovers(victim) && good, "H07 %s: a head made available %u times", victim->name,
	   copies);
}

static void available_ring(void)
{
	bad_head(victim->queue->size, "a head past the queue's size");
	bad_head(0xffff, "head 0xffff");
	bad_index(0, victim->queue->size + 1, "H05", "one more available than there are");
	bad_index(3, victim->queue->size + 1, "H05", "the same, after some were served");
	bad_index(0, 0x8000, "H05", "32768 available");
	bad_index(0, -1, "H05", "65535 available");
	bad_index(5, -1, "H06", "the index goes back by one");
	bad_index(5, -5, "H06", "the index goes back to the start");
	head_again(2);
	head_again(victim->queue->size);
}

/* ---- Rings in bad places ---- */

enum area { DESC, DRIVER, DEVICE, AREAS };

static const unsigned registers[AREAS] = {
	[DESC] = VIRTIO_PCI_COMMON_Q_DESCLO,
	[DRIVER] = VIRTIO_PCI_COMMON_Q_AVAILLO,
	[DEVICE] = VIRTIO_PCI_COMMON_Q_USEDLO,
};
static const char *const names[AREAS] = { "descriptors", "driver area", "device area" };

static void put_area(enum area area, uint64_t gpa)
{
	virtio_select(victim->device, victim->queue->index);
	common_write32(victim->device, registers[area], (uint32_t)gpa);
	common_write32(victim->device, registers[area] + 4, (uint32_t)(gpa >> 32));
}

/* All queues set up, but the victim's not enabled yet. */
static void prepare(void)
{
	struct virtio_device *device = victim->device;

	victim->is_well = false;
	virtio_prepare(device, virtio_usual_features(device), victim->queue, SIZE);
	victim->config_interrupts = arch_line_count(device->lines[0]);
}

static void start_prepared(void)
{
	virtio_queue_enable(victim->device, victim->queue->index);
	virtio_driver_ok(victim->device);
}

static void refused(enum area area, uint64_t gpa, const char *line, const char *where)
{
	bool good;

	if (!wanted())
		return;
	prepare();
	put_area(area, gpa);
	start_prepared();
	/* At DRIVER_OK, before any kick. */
	good = virtio_needs_reset(victim->device);
	sound_descriptors();
	virtqueue_offer(victim->queue, 0);
	virtqueue_notify(victim->queue);
	ok(victim_is_dead(victim) && good, "%s %s: %s %s", line, victim->name, names[area], where);
}

static void bad_places(void)
{
	for (enum area area = DESC; area < AREAS; area++) {
		/* No area is as short as this in a ring of 16; packed event areas are of 4 bytes.
		 */
		uint64_t tail = victim->queue->is_packed && area != DESC ? 0 : 16;

		refused(area, victim->device->common->gpa, "H25", "in the device's registers");
		refused(area, platform.ecam_gpa, "H25", "in configuration space");
		refused(area, UINT64_C(1) << 45, "H25", "where nothing is");
		refused(area, UINT64_MAX - 15, "H25", "at the end of all addresses");
		refused(area, memory_end() - tail, "H26", "over the end of RAM");
		refused(area, (uint64_t)victim->queue->memory + (area == DESC ? 8 : 1), "H27",
			"misaligned");
	}
}

/* ---- Areas on top of each other and of buffers ---- */

static void overlap(enum area area, uint64_t gpa, const char *what)
{
	static struct request request;

	if (!wanted())
		return;
	prepare();
	put_area(area, gpa);
	start_prepared();
	request_init(&request, victim->device, 0);
	for (unsigned i = 0; i < 4; i++) {
		virtqueue_add(victim->queue, request.parts, request.count);
		victim_send(victim);
		hostile_wait(1000000);
	}
	ok(victim_recovers(victim), "H24 %s: %s", victim->name, what);
}

/* What the device writes lands on what it reads next. */
static void buffers_over_rings(void)
{
	struct virtqueue_areas areas;

	prepare();
	start_prepared();
	areas = virtqueue_areas(victim->queue);
	for (uint16_t i = 0; i < SIZE; i++) {
		volatile void *place = i % 3 == 0   ? areas.desc
				       : i % 3 == 1 ? areas.driver
						    : areas.device;

		virtqueue_write(victim->queue, i,
				(struct vring_desc){ (uint64_t)place, SEGMENTS,
						     victim->writes ? VRING_DESC_F_WRITE : 0, 0 });
	}
	for (uint16_t i = 0; i < SIZE; i++)
		virtqueue_offer(victim->queue, i);
	victim_send(victim);
	hostile_wait(5000000);
	ok(victim_recovers(victim), "H24 %s: buffers on top of the rings", victim->name);
}

/* A disk reads what the sector says into its own rings. */
static void disk_over_rings(void)
{
	static struct virtio_blk_outhdr header;
	static uint8_t status;
	struct virtqueue_areas areas;

	prepare();
	start_prepared();
	header = (struct virtio_blk_outhdr){ .type = VIRTIO_BLK_T_IN };
	areas = virtqueue_areas(victim->queue);
	for (unsigned i = 0; i < 4; i++) {
		struct part parts[] = { { &header, sizeof(header), false },
					{ (void *)areas.desc, DATA_BYTES, true },
					{ &status, 1, true } };

		virtqueue_add(victim->queue, parts, ARRAY_COUNT(parts));
	}
	victim_send(victim);
	hostile_wait(5000000);
	ok(victim_recovers(victim), "H24 %s: a sector read over the rings", victim->name);
}

static void overlaps(void)
{
	struct virtqueue_areas areas;

	prepare();
	areas = virtqueue_areas(victim->queue);
	overlap(DRIVER, (uint64_t)areas.desc, "driver area on the descriptors");
	overlap(DEVICE, (uint64_t)areas.desc, "device area on the descriptors");
	overlap(DEVICE, (uint64_t)areas.driver & ~UINT64_C(3), "device area on the driver's");
	if (victim->device->type == VIRTIO_ID_BLOCK)
		disk_over_rings();
	else
		buffers_over_rings();
}

static void test(struct victim *next)
{
	victim = next;
	case_number = 0;
	victim_start(victim, 0);
	if (!victim->queue->is_packed)
		available_ring();
	bad_places();
	overlaps();
}

void guest_main(void)
{
	hostile_run(test);
}
