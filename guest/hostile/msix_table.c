// SPDX-License-Identifier: MIT
/*
 * H50-H53: MSI-X tables written as no driver writes them, messages that are no interrupts, vectors
 * mapped anew without end, and masks against completions (PCI 3.0, 6.8.2). CPU 1 moves the masks,
 * if there is one.
 */
#include "kit/hostile.h"
#include "kit/memory.h"
#include "kit/tap.h"
#include "kit/text.h"

#define QUIET_NS      UINT64_C(20000000)
#define ARRIVAL_NS    UINT64_C(10000000000)
#define PAGE_BYTES    0x1000
#define PATTERN	      0x5a
#define MODE_RESERVED 0x300
#define REMAPS	      100  /* messages; param remaps= */
#define ROUTES	      4500 /* more than the 4096 GSIs that KVM has; param routes= */
#define RACE_REQUESTS 60   /* param races= */

/* One request; did `line` count one more for it? */
static bool interrupts_on(struct virtio_device *device, unsigned line)
{
	uint64_t before = arch_line_count(line);

	virtqueue_interrupt_after(subject_queue(device), 1);
	return subject_works(device) && line_wait(line, before + 1, ARRIVAL_NS);
}

static void read_table(const struct msix *msix, uint32_t *words)
{
	for (unsigned i = 0; i < msix->count * PCI_MSIX_ENTRY_SIZE / 4; i++)
		words[i] = mmio_read32(msix->table_gpa + i * 4);
}

/* All but aligned words and double words. */
static void write_odd(uint64_t gpa, uint64_t bytes)
{
	unsigned step = arch_mmio_unaligned() ? 1 : 2;

	for (uint64_t at = 0; at + 8 <= bytes; at += step) {
		mmio_write8(gpa + at, 0xff);
		mmio_write16(gpa + at, 0xffff);
		if (!arch_mmio_unaligned())
			continue;
		if (at & 3)
			mmio_write32(gpa + at, UINT32_MAX);
		if (at & 7)
			mmio_write64(gpa + at, UINT64_MAX);
	}
}

static void h50_table(struct virtio_device *device)
{
	static uint32_t before[4 * VIRTIO_LINES_MAX], after[4 * VIRTIO_LINES_MAX];
	const struct msix *msix = &device->msix;
	uint64_t end = msix->table_gpa + msix->count * PCI_MSIX_ENTRY_SIZE;
	uint64_t words = msix->count * PCI_MSIX_ENTRY_SIZE;
	bool zero = true;

	virtio_start(device, virtio_usual_features(device));
	read_table(msix, before);
	write_odd(msix->table_gpa, words);
	read_table(msix, after);
	ok(!memcmp(before, after, words),
	   "H50 %s: writes of 1 and 2 bytes, or not aligned, leave the table", device->name);
	for (uint64_t gpa = end; gpa < end + 256; gpa += 4) {
		mmio_write32(gpa, UINT32_MAX);
		zero = zero && !mmio_read32(gpa);
	}
	mmio_write64((end & ~(PAGE_BYTES - 1ul)) + PAGE_BYTES - 8, UINT64_MAX);
	read_table(msix, after);
	ok(zero && !memcmp(before, after, words),
	   "H50 %s: behind the last entry there is nothing to write", device->name);
	for (uint64_t gpa = msix->pending_gpa; gpa < msix->pending_gpa + 32; gpa += 8) {
		mmio_write64(gpa, UINT64_MAX);
		mmio_write8(gpa, 0xff);
		zero = zero && !mmio_read64(gpa);
	}
	ok(zero, "H50 %s: pending bits are not written", device->name);
	ok(interrupts_on(device, subject_queue(device)->line), "H50 %s: and interrupts come",
	   device->name);
}

/* The entry is masked meanwhile, as drivers do it; or not, as they must not. */
static void set_message(struct virtio_device *device, struct message message, bool masked)
{
	unsigned entry = subject_queue(device)->entry;

	if (masked)
		msix_mask(&device->msix, entry, true);
	msix_set(&device->msix, entry, message);
}

static void h51_one(struct virtio_device *device, const char *name, struct message bad)
{
	struct virtqueue *queue = subject_queue(device);
	uint64_t before = arch_line_count(queue->line);
	bool quiet;

	set_message(device, bad, true);
	virtqueue_interrupt_after(queue, 1);
	quiet = subject_works(device);
	hostile_wait(QUIET_NS);
	quiet = quiet && arch_line_count(queue->line) == before;
	set_message(device, arch_line_message(queue->line, 0), true);
	ok(quiet && line_wait(queue->line, before + 1, ARRIVAL_NS) &&
		   interrupts_on(device, queue->line),
	   "H51 %s: a message to %s (%lx) is not sent; the next address gets it", device->name,
	   name, bad.address);
}

static void h51_addresses(struct virtio_device *device)
{
	struct message good = arch_line_message(subject_queue(device)->line, 0);
	uint8_t *page = memory_get(PAGE_BYTES, PAGE_BYTES);
	const struct {
		const char *name;
		uint64_t address;
	} places[] = {
		{ "guest RAM", (uint64_t)page },
		{ "address 0", 0 },
		{ "configuration space", platform.ecam_gpa },
		{ "its own BAR", device->common->gpa },
		{ "4 GiB above", good.address + BIT64(32) },
		{ "1 MiB above", good.address + 0x100000 },
		{ "1 MiB below", good.address - 0x100000 },
		{ "the last address", UINT64_MAX & ~UINT64_C(3) },
	};
	bool kept = true;

	memset(page, PATTERN, PAGE_BYTES);
	virtio_start(device, virtio_usual_features(device));
	for (unsigned i = 0; i < ARRAY_COUNT(places); i++)
		h51_one(device, places[i].name, (struct message){ places[i].address, good.data });
	for (unsigned i = 0; i < PAGE_BYTES; i++)
		kept = kept && page[i] == PATTERN;
	ok(kept, "H51 %s: nothing was written to RAM", device->name);
}

/* Right address, wrong data: lost, or dead until there is a better message. */
static void h51_data(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);
	struct message good = arch_line_message(queue->line, 0);
	const uint32_t bad[] = { good.data | MODE_RESERVED, UINT32_MAX };
	bool works = true;

	virtio_start(device, virtio_usual_features(device));
	for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
		set_message(device, (struct message){ good.address, bad[i] }, false);
		virtqueue_interrupt_after(queue, 1);
		works = works && subject_works(device);
		set_message(device, good, false);
		works = works && interrupts_on(device, queue->line);
	}
	ok(works, "H51 %s: data that is no interrupt harms nobody", device->name);
}

static void h51_storm(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);
	struct message good = arch_line_message(queue->line, 0);

	virtio_start(device, virtio_usual_features(device));
	for (unsigned i = 0; i < 200; i++) {
		set_message(device, (struct message){ i * 4096ul, i }, false);
		set_message(device, good, false);
	}
	ok(interrupts_on(device, queue->line), "H51 %s: 200 dead messages and good ones in turn",
	   device->name);
}

static void h52_messages(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);
	unsigned count = hostile_count("remaps", REMAPS);
	unsigned other = device->lines[0], good = 0;

	virtio_start(device, virtio_usual_features(device));
	for (unsigned i = 0; i < count; i++) {
		unsigned line = i & 1 ? queue->line : other;

		set_message(device, arch_line_message(line, 0), true);
		if (i % 32 < 2)
			good += interrupts_on(device, line);
		else
			good++;
	}
	ok(good == count, "H52 %s: %u messages (scaled from 10^5), tried now and then",
	   device->name, count);
}

/* A vector gets a route when a queue is given it, and gives it back at the device's reset. */
static void h52_routes(struct virtio_device *device)
{
	unsigned wanted = hostile_count("routes", ROUTES), made = 0;
	bool mapped = true;

	virtio_reset(device);
	while (made < wanted) {
		virtio_set_status(device, 0);
		mapped = mapped && !virtio_status(device);
		for (uint16_t i = 0; i < device->queue_count; i++) {
			uint16_t entry = (uint16_t)(i + 1u < device->line_count ? i + 1 : i);

			virtio_select(device, i);
			common_write16(device, VIRTIO_PCI_COMMON_Q_MSIX, entry);
			made++;
		}
		mapped = mapped &&
			 common_read16(device, VIRTIO_PCI_COMMON_Q_MSIX) != VIRTIO_MSI_NO_VECTOR;
	}
	virtio_start(device, virtio_usual_features(device));
	ok(mapped && interrupts_on(device, subject_queue(device)->line),
	   "H52 %s: %u routes taken and given back (scaled from 10^5), more than KVM has",
	   device->name, made);
}

static struct virtio_device *race_device;
static volatile bool race_on;

static void move_masks(unsigned cpu)
{
	(void)cpu;
	for (;;) {
		const struct msix *msix = &race_device->msix;
		unsigned entry = subject_queue(race_device)->entry;

		while (!race_on)
			arch_cpu_pause();
		msix_mask(msix, entry, true);
		msix_mask(msix, entry, false);
		msix_mask_function(msix, true);
		msix_mask_function(msix, false);
	}
}

static void h53_race(struct virtio_device *device)
{
	unsigned all = hostile_count("races", RACE_REQUESTS), good = 0;
	unsigned count = device->type == VIRTIO_ID_BLOCK ? all : all / 4;

	if (platform.cpu_count < 2) {
		skip("one CPU", "H53 %s: masks against completions", device->name);
		return;
	}
	virtio_start(device, virtio_usual_features(device));
	race_device = device;
	second_cpu_start(move_masks);
	race_on = true;
	arch_cpu_interrupt(1, arch_intx_line());
	while (good < count && interrupts_on(device, subject_queue(device)->line))
		good++;
	race_on = false;
	hostile_wait(QUIET_NS);
	ok(good == count,
	   "H53 %s: %u requests (scaled from 10^5) while CPU 1 masks and unmasks: each interrupts",
	   device->name, count);
	virtio_reset(device);
}

static void test(struct victim *victim)
{
	static void (*const lines[])(struct virtio_device * device) = {
		h50_table, h51_addresses, h51_data, h53_race, h51_storm,
	};

	if (!victim->device->line_count) {
		skip("no MSI-X", "H50 %s: MSI-X", victim->device->name);
		return;
	}
	hostile_lines(victim, lines, ARRAY_COUNT(lines));
	if (!victim->number) {
		h52_messages(victim->device);
		h52_routes(victim->device);
	}
	virtio_reset(victim->device);
}

void guest_main(void)
{
	hostile_run(test);
}
