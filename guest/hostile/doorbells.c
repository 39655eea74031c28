// SPDX-License-Identifier: MIT
/*
 * H36-H38: kicks where there is no queue, of queues that are off or dead, and without end by both
 * CPUs; resets with the ring full of requests (virtio 1.2, 4.1.4.4, 2.4).
 */
#include "kit/canary.h"
#include "kit/hostile.h"
#include "kit/memory.h"
#include "kit/tap.h"
#include "kit/text.h"

#define QUIET_NS    UINT64_C(20000000)
#define FATAL_NS    UINT64_C(20000000000)
#define BAD_HEAD    0xfff0
#define TRIES	    5 /* a worker may look at the ring for a while after its last kick */
#define DEAD_KICKS  200
#define STORM_MS    200 /* param storm_ms= */
#define RESETS	    4	/* param resets= */
#define IN_FLIGHT   256
#define LARGE_BYTES 0x100000
#define PAGE_BYTES  0x1000
#define PATTERN	    0x5a5a5a5a

static struct request request;

static void offer(struct virtio_device *device)
{
	request_add(&request, device, 0);
	virtqueue_publish(subject_queue(device));
}

static bool takes(struct virtio_device *device)
{
	struct used used;

	return virtqueue_wait(subject_queue(device), &used, REQUEST_NS) &&
	       request_check(&request, device, &used);
}

/* All of the page but the doorbells themselves, and those not by what they are aligned to. */
static void kick_nobody(const struct virtio_device *device)
{
	uint64_t page = device->notify->gpa, bells = device->notify->bytes;

	for (uint64_t at = 1; at < bells; at++)
		if (at % device->notify_multiplier)
			mmio_write8(page + at, 0xff);
	for (uint64_t at = 2; at < bells; at += device->notify_multiplier)
		mmio_write16(page + at, 0);
	for (uint64_t at = bells; at < PAGE_BYTES; at += at < bells + 64 ? 4 : 124) {
		mmio_write8(page + at, 0);
		mmio_write16(page + at, 0xffff);
		mmio_write32(page + at, 0);
	}
	mmio_write64(page + PAGE_BYTES - 8, 0);
}

static void h36_nobody(struct virtio_device *device)
{
	bool quiet = false, taken = true;

	virtio_start(device, virtio_usual_features(device));
	for (unsigned i = 0; i < TRIES && taken && !quiet; i++) {
		hostile_wait(QUIET_NS);
		offer(device);
		kick_nobody(device);
		hostile_wait(QUIET_NS);
		quiet = !virtqueue_has_used(subject_queue(device));
		virtqueue_notify(subject_queue(device));
		taken = takes(device);
	}
	ok(taken && quiet && virtio_status(device) == VIRTIO_STATUS_LIVE,
	   "H36 %s: kicks beside the doorbells reach nobody", device->name);
}

static void h36_widths(struct virtio_device *device)
{
	const struct virtqueue *queue = subject_queue(device);
	unsigned good = 0;

	virtio_start(device, virtio_usual_features(device));
	for (unsigned i = 0; i < 3; i++) {
		offer(device);
		if (i == 0)
			mmio_write8(queue->notify_gpa, 0xff);
		else if (i == 1)
			mmio_write16(queue->notify_gpa, 0xffff);
		else
			mmio_write32(queue->notify_gpa, UINT32_MAX);
		good += takes(device);
	}
	ok(good == 3 && !mmio_read32(queue->notify_gpa),
	   "H36 %s: a doorbell is rung by any width and value, and reads 0", device->name);
}

static void h36_disabled(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);

	virtio_prepare(device, virtio_usual_features(device), queue, 16);
	virtio_driver_ok(device);
	offer(device);
	for (unsigned i = 0; i < DEAD_KICKS; i++)
		mmio_write16(queue->notify_gpa, queue->index);
	hostile_wait(QUIET_NS);
	ok(!virtqueue_has_used(queue) && virtio_status(device) == VIRTIO_STATUS_LIVE,
	   "H36 %s: kicks of a queue that is off reach nobody", device->name);
}

static void h36_dead(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);
	bool dead;

	virtio_start(device, virtio_usual_features(device));
	virtqueue_offer(queue, BAD_HEAD);
	virtqueue_notify(queue);
	virtio_needs_reset_within(device, FATAL_NS);
	offer(device);
	for (unsigned i = 0; i < DEAD_KICKS; i++)
		for (uint16_t j = 0; j < device->queue_count; j++)
			mmio_write16(device->notify->gpa + (uint64_t)device->notify_multiplier * j,
				     j);
	hostile_wait(QUIET_NS);
	dead = !virtqueue_has_used(queue) && virtio_needs_reset(device);
	virtio_reset(device);
	mmio_write16(queue->notify_gpa, queue->index);
	hostile_wait(QUIET_NS);
	ok(dead && !virtio_status(device),
	   "H36 %s: kicks of a dead device, and of one that was reset, reach nobody", device->name);
	ok(subject_restarts(device), "H36 %s: started, it works", device->name);
}

/* ---- The storm ---- */

static struct virtio_device *volatile stormed[VIRTIO_DEVICES_MAX];
static volatile unsigned stormed_count;
static volatile bool storm_on;
static volatile uint64_t storm_kicks;

/* Every queue of every device so far, once. */
static unsigned kick_all(void)
{
	unsigned kicks = 0;

	for (unsigned i = 0; i < stormed_count; i++)
		for (uint16_t j = 0; j < stormed[i]->queue_count; j++, kicks++)
			mmio_write16(stormed[i]->notify->gpa +
					     (uint64_t)stormed[i]->notify_multiplier * j,
				     j);
	return kicks;
}

static void storm(unsigned cpu)
{
	(void)cpu;
	for (;;) {
		while (!storm_on)
			arch_cpu_pause();
		storm_kicks += kick_all();
	}
}

static void h37_storm(struct virtio_device *device)
{
	unsigned ms = hostile_count("storm_ms", STORM_MS);
	uint64_t end, kicks = 0;
	bool works = true;

	virtio_start(device, virtio_usual_features(device));
	stormed[stormed_count] = device;
	stormed_count++;
	if (platform.cpu_count > 1)
		second_cpu_start(storm);
	storm_kicks = 0;
	storm_on = true;
	if (platform.cpu_count > 1)
		arch_cpu_interrupt(1, arch_intx_line());
	end = arch_now_ns() + ms * UINT64_C(1000000);
	while (works && arch_now_ns() < end) {
		for (unsigned i = 0; i < 16; i++) {
			kicks += kick_all();
			canary_poll();
		}
		works = subject_works(device);
	}
	storm_on = false;
	hostile_wait(QUIET_NS);
	note("%s: %lu and %lu kicks by the two CPUs", device->name, kicks, storm_kicks);
	ok(works && subject_works(device) && storm_kicks + kicks,
	   "H37 %s: kicks by both CPUs on all queues of %u devices for %u ms (scaled from 10 s)",
	   device->name, stormed_count, ms);
}

/* ---- Resets ---- */

static struct vring_desc tables[IN_FLIGHT][REQUEST_PARTS] __attribute__((aligned(16)));
static struct request many[IN_FLIGHT];

/* A disk's read 1 MiB each, or bytes=, all into the same place. */
static void make_many(const struct virtio_device *device, void *large)
{
	uint32_t bytes = (uint32_t)param_number("bytes", LARGE_BYTES);

	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		request_init(&many[i], device, i);
		if (device->type != VIRTIO_ID_BLOCK)
			continue;
		many[i].header.blk.sector = 0;
		many[i].parts[1] = (struct part){ large, bytes, true };
	}
}

/* As many as the queue has room for. */
static unsigned fill(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);
	unsigned count = 0;

	while (count < IN_FLIGHT && virtqueue_add_indirect(queue, tables[count], many[count].parts,
							   many[count].count) != VIRTQUEUE_FULL)
		count++;
	virtqueue_notify(queue);
	return count;
}

/* What the device wrote, and might write. */
static void set_pattern(uint32_t *large)
{
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		many[i].status = (uint8_t)PATTERN;
		memset(many[i].data, (uint8_t)PATTERN, 8);
	}
	for (unsigned i = 0; i < LARGE_BYTES / 4; i += PAGE_BYTES / 4)
		large[i] = PATTERN;
}

static bool has_pattern(const uint32_t *large)
{
	bool kept = true;

	for (unsigned i = 0; i < IN_FLIGHT; i++)
		kept = kept && many[i].status == (uint8_t)PATTERN &&
		       many[i].data[0] == (uint8_t)PATTERN;
	for (unsigned i = 0; i < LARGE_BYTES / 4; i += PAGE_BYTES / 4)
		kept = kept && large[i] == PATTERN;
	return kept;
}

/* With late_ms=, by which the disk's host answers late: the reset waits for it, and for no more. */
static void judge_times(const struct virtio_device *device, unsigned count, unsigned waited,
			uint64_t longest_ns)
{
	uint64_t late_ms = param_number("late_ms", 0), longest_ms = longest_ns / 1000000;

	if (!late_ms)
		return;
	note("%s: %u resets had to wait, the longest for %lu ms", device->name, waited, longest_ms);
	ok(waited >= count / 4, "H38 %s: a disk that is %lu ms late is waited for", device->name,
	   late_ms);
	ok(longest_ms <= 2 * late_ms, "H38 %s: by no reset for more than %lu ms", device->name,
	   2 * late_ms);
}

static void h38_resets(struct virtio_device *device)
{
	unsigned count = hostile_count("resets", RESETS);
	uint64_t late_ns = param_number("late_ms", 0) * UINT64_C(1000000), longest_ns = 0;
	static uint32_t *large;
	unsigned good = 0, kept = 0, in_flight = 0, waited = 0;

	if (!(device->offered & BIT64(VIRTIO_RING_F_INDIRECT_DESC))) {
		skip("no indirect descriptors", "H38 %s: resets", device->name);
		return;
	}
	if (!large)
		large = memory_get_raw(LARGE_BYTES, PAGE_BYTES);
	make_many(device, large);
	for (unsigned i = 0; i < count; i++) {
		uint64_t begun, took_ns;

		virtio_start_sized(device, virtio_usual_features(device), subject_queue(device),
				   IN_FLIGHT);
		in_flight = fill(device);
		/* Now at once, now when some have been done. */
		if (i & 1)
			hostile_wait(1000000);
		begun = arch_now_ns();
		if (!virtio_reset(device))
			break;
		took_ns = arch_now_ns() - begun;
		waited += took_ns > late_ns / 2;
		longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
		set_pattern(large);
		good += subject_restarts(device);
		kept += has_pattern(large);
		canary_poll();
	}
	ok(good == count, "H38 %s: %u resets (scaled from 1000) with %u requests in flight: works",
	   device->name, count, in_flight);
	ok(kept == count, "H38 %s: once status reads 0, no buffer is written", device->name);
	judge_times(device, count, waited, longest_ns);
}

static void test(struct victim *victim)
{
	static void (*const lines[])(struct virtio_device * device) = {
		h36_nobody, h36_widths, h36_disabled, h36_dead, h38_resets,
	};

	if (param_is_set("late_ms")) { /* the other lines would last */
		h38_resets(victim->device);
		virtio_reset(victim->device);
		return;
	}
	hostile_lines(victim, lines, ARRAY_COUNT(lines));
	h37_storm(victim->device);
}

void guest_main(void)
{
	hostile_run(test);
}
