// SPDX-License-Identifier: MIT
/*
 * H43-H45: BARs that move while requests are in flight, that are laid over RAM and over devices,
 * and that are half written. RAM and what is there first win: such a BAR is not decoded.
 */
#include "kit/hostile.h"
#include "kit/memory.h"
#include "kit/tap.h"
#include "kit/text.h"

#define QUIET_NS   UINT64_C(20000000)
#define MOVES	   12 /* param moves= */
#define PATTERN	   0x5a
#define UNDECODED  0xff
#define TRIES	   5 /* a worker may look at the ring for a while after its last kick */
#define PLACES_MAX 3

/* Where to, and how: with decoding off meanwhile, or not. */
static void move(struct virtio_device *device, uint64_t base, bool off)
{
	struct pci_function *function = device->function;
	unsigned offset = PCI_BASE_ADDRESS_0 + device->common->bar * 4;

	if (off)
		pci_command(function, 0, PCI_COMMAND_MEMORY);
	pci_write32(function, offset, (uint32_t)base);
	if (function->bars[device->common->bar].is_64bit)
		pci_write32(function, offset + 4, (uint32_t)(base >> 32));
	if (off)
		pci_command(function, PCI_COMMAND_MEMORY, 0);
}

/* From now on the driver looks for everything there. */
static void follow(struct virtio_device *device, uint64_t base)
{
	struct pci_bar *bar = &device->function->bars[device->common->bar];
	uint64_t by = base - bar->base;

	for (unsigned i = 0; i < device->capability_count; i++)
		if (device->capabilities[i].gpa)
			device->capabilities[i].gpa += by;
	for (unsigned i = 0; i < device->queue_count; i++)
		device->queues[i].notify_gpa += by;
	device->msix.table_gpa += by;
	device->msix.pending_gpa += by;
	bar->base = base;
	arch_map(base, bar->bytes);
}

static bool request_survives(struct virtio_device *device, uint64_t base, bool off)
{
	static struct request request;
	struct virtqueue *queue = subject_queue(device);
	struct used used;

	request_add(&request, device, 0);
	virtqueue_notify(queue);
	move(device, base, off);
	follow(device, base);
	return virtqueue_wait(queue, &used, REQUEST_NS) && request_check(&request, device, &used) &&
	       subject_works(device);
}

/* Kicks where the doorbell was reach nobody; a worker that still looks by itself is no kick. */
static bool kick_is_lost(struct virtio_device *device, uint64_t old_base)
{
	static struct request request;
	struct virtqueue *queue = subject_queue(device);
	uint64_t by = old_base - device->function->bars[device->common->bar].base;
	struct used used;
	bool quiet;

	hostile_wait(QUIET_NS);
	request_add(&request, device, 0);
	virtqueue_publish(queue);
	mmio_write16(queue->notify_gpa + by, queue->index);
	hostile_wait(QUIET_NS);
	quiet = !virtqueue_has_used(queue);
	virtqueue_notify(queue);
	return virtqueue_wait(queue, &used, REQUEST_NS) && quiet;
}

static bool old_place_is_silent(struct virtio_device *device, uint64_t old_base)
{
	uint64_t by = old_base - device->function->bars[device->common->bar].base;
	bool lost = false;

	for (unsigned i = 0; i < TRIES && !lost; i++)
		lost = kick_is_lost(device, old_base);
	return lost && mmio_read8(device->common->gpa + by + VIRTIO_PCI_COMMON_STATUS) == UNDECODED;
}

static void h43_moves(struct virtio_device *device)
{
	const struct pci_bar *bar = &device->function->bars[device->common->bar];
	unsigned moves = hostile_count("moves", MOVES), count = 1;
	uint64_t places[PLACES_MAX] = { bar->base };

	places[count] = pci_window_get(bar->bytes, false);
	count += places[count] != 0;
	places[count] = bar->is_64bit ? pci_window_get(bar->bytes, true) : 0;
	count += places[count] != 0;
	virtio_start(device, virtio_usual_features(device));
	for (unsigned off = 0; off < 2; off++) {
		unsigned good = 0;

		for (unsigned i = 1; i <= moves; i++)
			good += request_survives(device, places[i % count], off);
		ok(good == moves,
		   "H43 %s: moved %u times %s with a request in flight: none is lost", device->name,
		   moves, off ? "with decoding off meanwhile," : "while decoded,");
	}
	move(device, places[1 % count], false);
	follow(device, places[1 % count]);
	ok(count < 2 || old_place_is_silent(device, places[0]),
	   "H43 %s: nothing is decoded at the old place, no doorbell either", device->name);
	move(device, places[0], true);
	follow(device, places[0]);
	ok(subject_works(device), "H43 %s: back at home it works", device->name);
}

/* At home nobody answers; back there, all is as it was. */
static void h44_one(struct virtio_device *device, const char *name, uint64_t base)
{
	const struct pci_bar *bar = &device->function->bars[device->common->bar];
	uint8_t undecoded = 0;

	for (unsigned off = 0; off < 2; off++) {
		move(device, base, off);
		undecoded += virtio_status(device) == UNDECODED;
		move(device, bar->base, off);
	}
	ok(undecoded == 2 && subject_works(device),
	   "H44 %s: a BAR over %s (%lx) is not decoded; put back, it works", device->name, name,
	   base);
}

static void h44_places(struct virtio_device *device)
{
	uint64_t bytes = device->function->bars[device->common->bar].bytes;
	const struct {
		const char *name;
		uint64_t base;
	} places[] = {
		{ "address 0", 0 },
		{ "configuration space", platform.ecam_gpa },
		{ "x86's local APICs", 0xfee00000 },
		{ "x86's IOAPIC", 0xfec00000 },
		{ "KVM's own pages", 0xfeffc000 & -bytes },
		{ "arm64's serial port", 0x01000000 },
		{ "arm64's interrupt controller", 0x08000000 },
		{ "the end of the window", platform.window32.base + platform.window32.bytes },
		{ "the last below 4 GiB", UINT64_C(0x100000000) - bytes },
		{ "2^63", BIT64(63) },
		{ "2^64 - size", -bytes },
	};

	virtio_start(device, virtio_usual_features(device));
	for (unsigned i = 0; i < ARRAY_COUNT(places); i++)
		h44_one(device, places[i].name, places[i].base);
}

/* RAM stays RAM: what is written there are no registers. */
static void h44_ram(struct virtio_device *device)
{
	const struct pci_bar *bar = &device->function->bars[device->common->bar];
	uint64_t mark = memory_mark();
	volatile uint8_t *ram = memory_get_raw(bar->bytes, bar->bytes);
	uint64_t status = device->common->gpa - bar->base + VIRTIO_PCI_COMMON_STATUS;
	bool is_ram;

	virtio_start(device, virtio_usual_features(device));
	ram[status] = PATTERN;
	ram[bar->bytes - 1] = PATTERN;
	move(device, (uint64_t)ram, true);
	is_ram = ram[status] == PATTERN && ram[bar->bytes - 1] == PATTERN;
	ram[status] = 0;
	is_ram = is_ram && !ram[status] && virtio_status(device) == UNDECODED;
	move(device, bar->base, true);
	ok(is_ram && virtio_status(device) && subject_works(device),
	   "H44 %s: a BAR over RAM leaves it RAM; put back, it works", device->name);
	memory_release(mark);
}

/* Over the BAR of a function that was there first. */
static void h44_other(struct virtio_device *device)
{
	static struct virtio_device *first;
	const struct pci_bar *bar = &device->function->bars[device->common->bar];
	uint16_t queues;

	virtio_start(device, virtio_usual_features(device));
	if (!first) {
		first = device;
		return;
	}
	queues = common_read16(first, VIRTIO_PCI_COMMON_NUMQ);
	move(device, first->function->bars[first->common->bar].base, false);
	ok(common_read16(first, VIRTIO_PCI_COMMON_NUMQ) == queues &&
		   virtio_status(device) == UNDECODED,
	   "H44 %s: over the BAR of %s, that one stays", device->name, first->name);
	/* The place becomes free: the one that waits for it gets it. */
	pci_command(first->function, 0, PCI_COMMAND_MEMORY);
	ok(mmio_read8(first->common->gpa + VIRTIO_PCI_COMMON_STATUS) != UNDECODED,
	   "H44 %s: when that one leaves, it is there", device->name);
	move(device, bar->base, false);
	pci_command(first->function, PCI_COMMAND_MEMORY, 0);
	ok(common_read16(first, VIRTIO_PCI_COMMON_NUMQ) == queues && subject_works(device),
	   "H44 %s: both put back, both are there", device->name);
}

static void h45_halves(struct virtio_device *device)
{
	const struct pci_bar *bar = &device->function->bars[device->common->bar];
	unsigned offset = PCI_BASE_ADDRESS_0 + device->common->bar * 4;
	bool gone = true, works = true;

	virtio_start(device, virtio_usual_features(device));
	if (!bar->is_64bit) {
		skip("a 32-bit BAR", "H45 %s: half-written", device->name);
		return;
	}
	for (unsigned bit = 0; bit < 32; bit += 3) {
		pci_write32(device->function, offset + 4, 1u << bit);
		gone = gone && virtio_status(device) == UNDECODED;
		pci_write32(device->function, offset + 4, (uint32_t)(bar->base >> 32));
		works = works && virtio_status(device) != UNDECODED;
	}
	ok(gone && works && subject_works(device),
	   "H45 %s: half of its address written: it is gone; the other half: it is back",
	   device->name);
}

static void h45_sizing(struct virtio_device *device)
{
	const struct pci_bar *bar = &device->function->bars[device->common->bar];
	unsigned offset = PCI_BASE_ADDRESS_0 + device->common->bar * 4;
	bool good = true;

	virtio_start(device, virtio_usual_features(device));
	for (unsigned i = 0; i < 4; i++) {
		uint32_t low = pci_read32(device->function, offset);

		pci_write32(device->function, offset, UINT32_MAX);
		good = good &&
		       (pci_read32(device->function, offset) & ~0xfu) == (uint32_t)-bar->bytes;
		pci_write32(device->function, offset, low);
		if (bar->is_64bit) {
			pci_write32(device->function, offset + 4, UINT32_MAX);
			good = good && pci_read32(device->function, offset + 4) == UINT32_MAX;
			pci_write32(device->function, offset + 4, (uint32_t)(bar->base >> 32));
		}
		good = good && subject_works(device);
	}
	ok(good, "H45 %s: sized while decoded, with queues live", device->name);
}

static void test(struct victim *victim)
{
	static void (*const lines[])(struct virtio_device * device) = {
		h43_moves, h44_places, h44_ram, h44_other, h45_halves, h45_sizing,
	};

	hostile_lines(victim, lines, ARRAY_COUNT(lines));
}

void guest_main(void)
{
	hostile_run(test);
}
