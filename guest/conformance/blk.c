// SPDX-License-Identifier: MIT
/*
 * C86-C97: the block device (virtio 1.2, 5.2), on each that is there. A read-only disk gets the
 * tests of refusal, others those that write. Params: sectors=N, the capacity to be found. What
 * survives the host (C90, C91) can't be seen from inside.
 */
#include "kit/memory.h"
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"

#define SECTOR	      512
#define LARGE	      (1 << 20)
#define POISON	      0xa5
#define SPARE_SECTORS 16 /* beyond what the subject's requests read */

#define CONFIG(field) offsetof(struct virtio_blk_config, field)

struct command {
	uint32_t type;
	uint64_t sector;
	void *data;
	uint32_t bytes;
	bool writable;
};

static struct virtio_device *device;
static uint64_t capacity;
static uint8_t *buffer, *other; /* LARGE each */

static struct {
	struct virtio_blk_outhdr header;
	uint8_t status;
	struct used used;
} last;

/* The status, or POISON if there was no answer. */
static uint8_t run_on(struct virtqueue *queue, const struct command *command)
{
	struct part parts[3] = { { &last.header, sizeof(last.header), false } };
	unsigned count = 1;

	last.header = (struct virtio_blk_outhdr){ command->type, 0, command->sector };
	last.status = POISON;
	if (command->bytes)
		parts[count++] = (struct part){ command->data, command->bytes, command->writable };
	parts[count++] = (struct part){ &last.status, 1, true };
	virtqueue_add(queue, parts, count);
	virtqueue_notify(queue);
	if (!virtqueue_wait(queue, &last.used, REQUEST_NS))
		note("%s: no answer to type %u at sector %lx", device->name, command->type,
		     command->sector);
	return last.status;
}

static uint8_t run(const struct command *command)
{
	return run_on(&device->queues[0], command);
}

static uint8_t read_sectors(uint64_t sector, void *data, uint32_t bytes)
{
	return run(&(struct command){ VIRTIO_BLK_T_IN, sector, data, bytes, true });
}

static uint8_t write_sectors(uint64_t sector, void *data, uint32_t bytes)
{
	return run(&(struct command){ VIRTIO_BLK_T_OUT, sector, data, bytes, false });
}

static uint8_t run_ranges(uint32_t type, const struct virtio_blk_discard_write_zeroes *ranges,
			  uint32_t count)
{
	return run(&(struct command){ type, 0, (void *)ranges, count * (uint32_t)sizeof(*ranges),
				      false });
}

/* A word at each end of each sector tells which it is. */
static void mark(uint8_t *data, uint32_t bytes, uint64_t seed)
{
	for (uint32_t at = 0; at < bytes; at += SECTOR) {
		*(uint64_t *)(data + at) = seed + at;
		*(uint64_t *)(data + at + SECTOR - 8) = ~(seed + at);
	}
}

static bool is_marked(const uint8_t *data, uint32_t bytes, uint64_t seed)
{
	for (uint32_t at = 0; at < bytes; at += SECTOR)
		if (*(const uint64_t *)(data + at) != seed + at ||
		    *(const uint64_t *)(data + at + SECTOR - 8) != ~(seed + at))
			return false;
	return true;
}

static void c86_config(void)
{
	uint64_t expected = param_number("sectors", capacity);

	ok(device->offered & BIT64(VIRTIO_BLK_F_FLUSH) ||
		   !(device->offered & BIT64(VIRTIO_BLK_F_CONFIG_WCE)),
	   "C86 %s: CONFIG_WCE comes with FLUSH", device->name);
	ok(capacity == expected, "C86 %s: capacity is %lu sectors, %lu expected", device->name,
	   capacity, expected);
	if (device->offered & BIT64(VIRTIO_BLK_F_WRITE_ZEROES))
		ok(!virtio_config_read8(device, CONFIG(unused)) &&
			   !virtio_config_read8(device, CONFIG(unused1)) &&
			   !virtio_config_read8(device, CONFIG(unused1) + 1) &&
			   !virtio_config_read8(device, CONFIG(unused1) + 2),
		   "C86 %s: unused bytes are 0", device->name);
	if (device->offered & BIT64(VIRTIO_BLK_F_BLK_SIZE)) {
		uint32_t size = virtio_config_read32(device, CONFIG(blk_size));

		ok(size >= SECTOR && !(size & (size - 1)), "C86 %s: blk_size %u", device->name,
		   size);
	}
	if (device->offered & BIT64(VIRTIO_BLK_F_SEG_MAX))
		ok(virtio_config_read32(device, CONFIG(seg_max)) + 2 <= virtio_queue_max(device, 0),
		   "C86 %s: seg_max %u and two more fit into a queue", device->name,
		   virtio_config_read32(device, CONFIG(seg_max)));
}

static void c87_read_only(void)
{
	struct virtio_blk_discard_write_zeroes range = { 8, 8, 0 };

	read_sectors(8, buffer, SECTOR);
	memset(other, 0, SECTOR);
	ok(write_sectors(8, other, SECTOR) == VIRTIO_BLK_S_IOERR, "C87 %s: read-only: OUT is IOERR",
	   device->name);
	ok(run_ranges(VIRTIO_BLK_T_DISCARD, &range, 1) != VIRTIO_BLK_S_OK &&
		   run_ranges(VIRTIO_BLK_T_WRITE_ZEROES, &range, 1) != VIRTIO_BLK_S_OK,
	   "C87 %s: DISCARD and WRITE_ZEROES fail", device->name);
	ok(read_sectors(8, other, SECTOR) == VIRTIO_BLK_S_OK && !memcmp(buffer, other, SECTOR),
	   "C87 %s: the data is what it was", device->name);
}

static void c88_sizes(void)
{
	static const struct {
		const char *what;
		uint32_t bytes;
	} sizes[] = { { "one sector", SECTOR }, { "1 MiB", LARGE } };

	for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
		uint32_t bytes = sizes[i].bytes;
		uint64_t sector = capacity - bytes / SECTOR;

		mark(buffer, bytes, i + 1);
		ok(write_sectors(sector, buffer, bytes) == VIRTIO_BLK_S_OK &&
			   last.used.written == 1,
		   "C88 %s: OUT of %s at the end", device->name, sizes[i].what);
		mark(other, bytes, 99);
		ok(read_sectors(sector, other, bytes) == VIRTIO_BLK_S_OK &&
			   is_marked(other, bytes, i + 1) && last.used.written == bytes + 1,
		   "C88 %s: IN of it is what was written", device->name);
	}
}

static void c88_beyond(void)
{
	const uint64_t sectors[] = {
		capacity,	   capacity - 1,	capacity + 1,
		UINT64_C(1) << 55, UINT64_MAX / SECTOR, UINT64_MAX / SECTOR + 1,
		UINT64_MAX
	};
	bool refused = true;

	read_sectors(capacity - 1, buffer, SECTOR);
	for (unsigned i = 0; i < ARRAY_COUNT(sectors); i++) {
		memset(other, POISON, 2 * SECTOR);
		refused = refused &&
			  read_sectors(sectors[i], other, 2 * SECTOR) == VIRTIO_BLK_S_IOERR &&
			  other[SECTOR] == POISON && other[2 * SECTOR - 1] == POISON &&
			  write_sectors(sectors[i], other, 2 * SECTOR) == VIRTIO_BLK_S_IOERR;
		if (!refused) {
			note("sector %lx: status %x", sectors[i], last.status);
			break;
		}
	}
	ok(refused, "C88 %s: beyond the capacity: IOERR, and the end of the buffer is left",
	   device->name);
	read_sectors(capacity - 1, other, SECTOR);
	ok(!memcmp(buffer, other, SECTOR), "C88 %s: and so is the last sector", device->name);
}

static void c89_odd_lengths(void)
{
	static const uint32_t lengths[] = { 1, 511, 513, 1023 };
	bool refused = true;

	for (unsigned i = 0; i < ARRAY_COUNT(lengths); i++)
		refused = refused && read_sectors(0, other, lengths[i]) == VIRTIO_BLK_S_IOERR &&
			  write_sectors(SPARE_SECTORS, other, lengths[i]) == VIRTIO_BLK_S_IOERR;
	ok(refused, "C89 %s: lengths that are not whole sectors are IOERR", device->name);
}

static void c90_flush(void)
{
	ok(run(&(struct command){ .type = VIRTIO_BLK_T_FLUSH }) == VIRTIO_BLK_S_OK &&
		   last.used.written == 1,
	   "C90 %s: FLUSH ends well", device->name);
}

static void c92_cache(void)
{
	uint64_t wce = BIT64(VIRTIO_BLK_F_CONFIG_WCE);

	if (!(device->offered & wce)) {
		skip("CONFIG_WCE is not offered", "C92 %s: cache mode", device->name);
		return;
	}
	mmio_write8(device->config->gpa + CONFIG(wce), 0);
	mark(buffer, SECTOR, 7);
	ok(virtio_config_read8(device, CONFIG(wce)) == 0 &&
		   write_sectors(SPARE_SECTORS, buffer, SECTOR) == VIRTIO_BLK_S_OK,
	   "C92 %s: writethrough can be had", device->name);
	mmio_write8(device->config->gpa + CONFIG(wce), 1);
	ok(virtio_config_read8(device, CONFIG(wce)) == 1 &&
		   write_sectors(SPARE_SECTORS, buffer, SECTOR) == VIRTIO_BLK_S_OK,
	   "C92 %s: and writeback", device->name);
	/* What a field of the device's own keeps when it is written. */
	mmio_write32(device->config->gpa + CONFIG(seg_max), 0);
	mmio_write32(device->config->gpa + CONFIG(capacity), 1);
	ok(virtio_config_read64(device, 0) == capacity, "C92 %s: capacity can't be written",
	   device->name);
}

static void c93_discard(void)
{
	uint32_t max_sectors = virtio_config_read32(device, CONFIG(max_discard_sectors));
	uint32_t max_ranges = virtio_config_read32(device, CONFIG(max_discard_seg));
	static struct virtio_blk_discard_write_zeroes ranges[64];
	struct virtio_blk_discard_write_zeroes range = { SPARE_SECTORS, 8, 0 };

	if (!(device->offered & BIT64(VIRTIO_BLK_F_DISCARD))) {
		skip("DISCARD is not offered", "C93 %s: discard", device->name);
		return;
	}
	ok(run_ranges(VIRTIO_BLK_T_DISCARD, &range, 1) == VIRTIO_BLK_S_OK,
	   "C93 %s: DISCARD ends well", device->name);
	range.flags = 1;
	ok(run_ranges(VIRTIO_BLK_T_DISCARD, &range, 1) == VIRTIO_BLK_S_UNSUPP,
	   "C93 %s: DISCARD with the unmap flag is UNSUPP", device->name);
	range.flags = 0x80;
	ok(run_ranges(VIRTIO_BLK_T_DISCARD, &range, 1) == VIRTIO_BLK_S_UNSUPP,
	   "C93 %s: with an unknown one too", device->name);
	range = (struct virtio_blk_discard_write_zeroes){ capacity - 8, 16, 0 };
	ok(run_ranges(VIRTIO_BLK_T_DISCARD, &range, 1) == VIRTIO_BLK_S_IOERR,
	   "C93 %s: past the capacity it is IOERR", device->name);
	range = (struct virtio_blk_discard_write_zeroes){ UINT64_MAX - 7, 16, 0 };
	ok(run_ranges(VIRTIO_BLK_T_DISCARD, &range, 1) == VIRTIO_BLK_S_IOERR,
	   "C93 %s: so it is when the sum overflows", device->name);
	if (max_sectors < UINT32_MAX) {
		range = (struct virtio_blk_discard_write_zeroes){ 0, max_sectors + 1, 0 };
		ok(run_ranges(VIRTIO_BLK_T_DISCARD, &range, 1) == VIRTIO_BLK_S_IOERR,
		   "C93 %s: more than max_discard_sectors is IOERR", device->name);
	}
	for (unsigned i = 0; i < ARRAY_COUNT(ranges); i++)
		ranges[i] = (struct virtio_blk_discard_write_zeroes){ SPARE_SECTORS, 8, 0 };
	if (max_ranges < ARRAY_COUNT(ranges))
		ok(run_ranges(VIRTIO_BLK_T_DISCARD, ranges, max_ranges + 1) != VIRTIO_BLK_S_OK,
		   "C93 %s: more than max_discard_seg segments fail", device->name);
}

/* 24 sectors, of which the middle 8 are zeroed: they alone read back as zeroes. */
static bool zeroes(uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes range = { SPARE_SECTORS + 8, 8, flags };
	uint32_t third = 8 * SECTOR;

	mark(buffer, 3 * third, 5);
	if (write_sectors(SPARE_SECTORS, buffer, 3 * third) != VIRTIO_BLK_S_OK ||
	    run_ranges(VIRTIO_BLK_T_WRITE_ZEROES, &range, 1) != VIRTIO_BLK_S_OK)
		return false;
	memset(other, POISON, 3 * third);
	if (read_sectors(SPARE_SECTORS, other, 3 * third) != VIRTIO_BLK_S_OK)
		return false;
	memset(buffer, 0, third);
	return is_marked(other, third, 5) && is_marked(other + 2 * third, third, 5 + 2 * third) &&
	       !memcmp(other + third, buffer, third);
}

static void c94_write_zeroes(void)
{
	struct virtio_blk_discard_write_zeroes range = { SPARE_SECTORS, 8, 2 };

	if (!(device->offered & BIT64(VIRTIO_BLK_F_WRITE_ZEROES))) {
		skip("WRITE_ZEROES is not offered", "C94 %s: write zeroes", device->name);
		return;
	}
	ok(zeroes(0), "C94 %s: WRITE_ZEROES reads back as zeroes, neighbours stay", device->name);
	ok(zeroes(VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP), "C94 %s: with unmap too", device->name);
	ok(run_ranges(VIRTIO_BLK_T_WRITE_ZEROES, &range, 1) == VIRTIO_BLK_S_UNSUPP,
	   "C94 %s: an unknown flag is UNSUPP", device->name);
}

static void c95_c96_others(void)
{
	struct command id = { VIRTIO_BLK_T_GET_ID, 0, other, VIRTIO_BLK_ID_BYTES, true };
	bool padded = true, ended = false;
	uint8_t status;

	memset(other, POISON, 64);
	status = run(&id);
	for (unsigned i = 0; i < VIRTIO_BLK_ID_BYTES; i++) {
		padded = padded && (!ended || !other[i]);
		ended = ended || !other[i];
	}
	ok(status == VIRTIO_BLK_S_OK && last.used.written == VIRTIO_BLK_ID_BYTES + 1 && padded &&
		   other[VIRTIO_BLK_ID_BYTES] == POISON,
	   "C95 %s: GET_ID gives 20 bytes, padded", device->name);
	id.bytes = VIRTIO_BLK_ID_BYTES - 1;
	run(&id);
	ok(other[VIRTIO_BLK_ID_BYTES] == POISON && last.status != POISON,
	   "C95 %s: GET_ID into 19 bytes ends with status %u", device->name, last.status);
	ok(run(&(struct command){ .type = 0x7777 }) == VIRTIO_BLK_S_UNSUPP &&
		   last.used.written == 1,
	   "C96 %s: an unknown type is UNSUPP", device->name);
	ok(subject_works(device), "C96 %s: and the next request works", device->name);
}

static void c97_queues(void)
{
	unsigned good = 0;

	for (uint16_t i = 0; i < device->queue_count; i++) {
		virtio_negotiate(device, virtio_usual_features(device));
		virtio_interrupts_setup(device);
		virtio_queue_setup(device, i, 0);
		virtio_driver_ok(device);
		good += run_on(&device->queues[i],
			       &(struct command){ VIRTIO_BLK_T_IN, 0, buffer, SECTOR, true }) ==
			VIRTIO_BLK_S_OK;
	}
	ok(good == device->queue_count, "C97 %s: each of %u queues works alone", device->name,
	   device->queue_count);
}

static void c92_without_flush(void)
{
	if (!(device->offered & BIT64(VIRTIO_BLK_F_CONFIG_WCE)))
		return;
	/* Refused is as good: 5.2.5.2 rules what a device shows that accepts it. */
	if (virtio_negotiate(device, BIT64(VIRTIO_BLK_F_CONFIG_WCE)))
		ok(virtio_config_read8(device, CONFIG(wce)) == 0,
		   "C92 %s: CONFIG_WCE without FLUSH: writethrough", device->name);
	else
		ok(true, "C92 %s: CONFIG_WCE without FLUSH is refused", device->name);
}

static void test(struct virtio_device *found)
{
	device = found;
	if (device->type != VIRTIO_ID_BLOCK)
		return;
	capacity = virtio_config_read64(device, 0);
	virtio_reset(device);
	c86_config();
	virtio_start(device, virtio_usual_features(device));
	if (device->offered & BIT64(VIRTIO_BLK_F_RO)) {
		c87_read_only();
	} else {
		c88_sizes();
		c88_beyond();
		c89_odd_lengths();
		c92_cache();
		c93_discard();
		c94_write_zeroes();
	}
	c90_flush();
	c95_c96_others();
	c92_without_flush();
	c97_queues();
	virtio_reset(device);
}

void guest_main(void)
{
	buffer = memory_get_raw(LARGE, 4096);
	other = memory_get_raw(LARGE, 4096);
	for_each_device(test);
}
