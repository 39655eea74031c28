// SPDX-License-Identifier: MIT
/*
 * Configuration space and BARs: reads and writes of any width by ECAM and by
 * ports, BARs moved onto each other and out of their windows, resets. A model
 * of the bytes says what each read gives. A BAR is on the bus exactly if its
 * registers ask for a place in a window that nothing else has, who was there
 * first keeps it, and an access finds that BAR and the offset in it. Two of the
 * functions have the slots 1 and 2, and two share these with them, as the
 * others are taken.
 */
#include <linux/pci.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "hw/pci_host.h"
#include "tests/fuzz/fuzz.h"

#define ECAM_GPA 0xe0000000
#define BUSES 2
#define MEMORY32_GPA 0xc0000000
#define MEMORY32_BYTES 0x00100000
#define MEMORY64_GPA UINT64_C(0x8000000000)
#define MEMORY64_BYTES (16 * MIB)
#define FIXED_GPA (MEMORY32_GPA + 0x80000) /* somebody's, in the middle of a window */
#define FIXED_BYTES 0x1000
#define FUNCTIONS 4
#define NEIGHBOURS 29 /* in slots of their own; nothing is known of them */
#define BARS 2
#define BAR_COUNT (FUNCTIONS * BARS)
#define CAPABILITY_BYTES 8
#define ADDRESS_PORT 0xcf8
#define ADDRESS_CHOICES 6

/* The guest sees a BAR by what its bytes read as. */
struct subject_bar {
	struct region region;
	unsigned number, index; /* of all; in its function */
	bool wide;
	bool decoded, told; /* before the last access; by bar_moved() */
	uint64_t gpa;	    /* when it was decoded */
};

struct subject {
	struct pci_function function;
	struct subject_bar bars[BARS];
	unsigned capability;
	uint8_t config[PCI_CONFIG_BYTES], initial[PCI_CONFIG_BYTES]; /* the model */
	uint8_t writable[PCI_CONFIG_BYTES], clears[PCI_CONFIG_BYTES];
};

static struct bus mmio, ports;
static struct pci_host host;
static struct subject subjects[FUNCTIONS];
static struct pci_function neighbours[NEIGHBOURS];
static uint32_t port_address; /* the model of CF8 */

/* ---- The devices ---- */

static uint64_t bar_byte(unsigned number, uint64_t offset)
{
	return (number * 29 + offset * 3 + offset / 256 + 1) & 0x7f;
}

static uint64_t bar_value(unsigned number, uint64_t offset, unsigned length)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < length; i++)
		value |= bar_byte(number, offset + i) << (8 * i);
	return value;
}

static uint64_t bar_read(struct region *region, uint64_t offset, unsigned length)
{
	struct subject_bar *bar = container_of(region, struct subject_bar, region);

	fuzz_check(range_within(offset, length, region->size));
	return bar_value(bar->number, offset, length);
}

static const struct region_ops bar_ops = { bar_read, NULL };
static const struct region_ops fixed_ops = { 0 };
static struct region fixed = { &fixed_ops, "fixed", FIXED_GPA, FIXED_BYTES };

static struct subject *subject_of(struct pci_function *function)
{
	return container_of(function, struct subject, function);
}

static void config_seen(struct pci_function *function, unsigned offset, unsigned length)
{
	(void)function;
	fuzz_check(range_within(offset, length, PCI_CONFIG_BYTES));
	fuzz_check(length <= 4 && is_aligned(offset, length));
}

static void bar_moved(struct pci_function *function, unsigned index)
{
	struct subject *subject = subject_of(function);
	struct subject_bar *bar = &subject->bars[index != subject->bars[0].index];
	uint8_t byte = 0xff;

	fuzz_check(bar->told != function->bars[index].decoded);
	bar->told = function->bars[index].decoded;
	/* At either time it is on the bus. */
	fuzz_check(bus_access(&mmio, bar->region.base, &byte, 1, false));
	fuzz_check(byte == bar_byte(bar->number, 0));
}

static const struct pci_ops subject_ops = {
	.config_reading = config_seen,
	.config_written = config_seen,
	.bar_moved = bar_moved,
};

/* ---- The model ---- */

static uint64_t model_bar_gpa(const struct subject *subject, const struct subject_bar *bar)
{
	const uint8_t *bytes = &subject->config[PCI_BASE_ADDRESS_0 + 4 * bar->index];

	return load_le(bytes, bar->wide ? 8 : 4) & ~UINT64_C(0xf);
}

static bool within(uint64_t gpa, uint64_t size, uint64_t base, uint64_t bytes)
{
	return gpa >= base && gpa - base <= bytes && size <= bytes - (gpa - base);
}

static bool wanted(const struct subject *subject, const struct subject_bar *bar)
{
	uint64_t gpa = model_bar_gpa(subject, bar), size = bar->region.size;

	return (subject->config[PCI_COMMAND] & PCI_COMMAND_MEMORY) &&
	       (within(gpa, size, MEMORY32_GPA, MEMORY32_BYTES) ||
		within(gpa, size, MEMORY64_GPA, MEMORY64_BYTES));
}

static struct subject_bar *bar_numbered(unsigned number)
{
	return &subjects[number / BARS].bars[number % BARS];
}

static bool is_decoded(const struct subject_bar *bar)
{
	return subjects[bar->number / BARS].function.bars[bar->index].decoded;
}

/* Whether something else on the bus has a byte of that place. */
static bool taken(uint64_t gpa, uint64_t size, const struct subject_bar *own)
{
	for (unsigned i = 0; i < BAR_COUNT; i++) {
		const struct subject_bar *bar = bar_numbered(i);

		if (bar != own && is_decoded(bar) &&
		    ranges_overlap(gpa, size, bar->region.base, bar->region.size))
			return true;
	}
	return ranges_overlap(gpa, size, FIXED_GPA, FIXED_BYTES);
}

static void check_bar(struct subject *subject, struct subject_bar *bar)
{
	uint64_t gpa = model_bar_gpa(subject, bar), value = 0, last = bar->region.size - 4;
	bool decoded = is_decoded(bar), want = wanted(subject, bar);

	fuzz_check(pci_bar_gpa(&subject->function, bar->index) == gpa);
	fuzz_check(bar->told == decoded);
	fuzz_check(!decoded || (want && bar->region.base == gpa));
	if (want)
		fuzz_check(decoded == !taken(gpa, bar->region.size, bar));
	/* Who is there and does not move stays. */
	if (bar->decoded && want && gpa == bar->gpa)
		fuzz_check(decoded);
	if (decoded) {
		fuzz_check(bus_access(&mmio, gpa + last, &value, 4, false));
		fuzz_check(value == bar_value(bar->number, last, 4));
	}
	bar->decoded = decoded;
	bar->gpa = gpa;
}

static void check_all(void)
{
	unsigned decoded = 0;

	for (unsigned i = 0; i < BAR_COUNT; i++) {
		check_bar(&subjects[i / BARS], bar_numbered(i));
		decoded += is_decoded(bar_numbered(i));
	}
	fuzz_check(mmio.count == decoded + 2); /* ECAM and the fixed one */
	for (unsigned i = 0; i < FUNCTIONS; i++)
		fuzz_check(!memcmp(subjects[i].function.config, subjects[i].config,
				   PCI_CONFIG_BYTES));
}

static struct subject *subject_at(uint32_t address)
{
	for (unsigned i = 0; i < FUNCTIONS; i++)
		if (subjects[i].function.address == address)
			return &subjects[i];
	return NULL;
}

/* Each slot of the first bus has one, the bridge in slot 0. */
static bool is_function_0(uint32_t address)
{
	return address < PCI_HOST_FUNCTIONS && PCI_FUNC(address) == 0;
}

static bool model_access(uint32_t address, unsigned offset, unsigned length, bool write,
			 uint64_t *value)
{
	struct subject *subject = subject_at(address);

	if (length > 4 || offset % length || (!subject && !is_function_0(address))) {
		*value = all_ones(length);
		return true;
	}
	if (!subject)
		return false; /* the bridge and the neighbours, of which only this is known */
	if (!range_within(offset, length, PCI_CONFIG_BYTES)) {
		*value = 0;
		return true;
	}
	for (unsigned i = offset; write && i < offset + length; i++) {
		uint8_t byte = (uint8_t)(*value >> (8 * (i - offset)));

		subject->config[i] = (uint8_t)((subject->config[i] & ~subject->writable[i]) |
					       (byte & subject->writable[i]));
		subject->config[i] &= (uint8_t)~(byte & subject->clears[i]);
	}
	*value = load_le(&subject->config[offset], length);
	return true;
}

/* ---- The guest ---- */

static unsigned any_length(struct fuzz_input *input)
{
	return 1u << fuzz_below(input, 4);
}

/* The bridge, a subject, and in a slot that is shared, where nothing is. */
static uint32_t address_chosen(unsigned choice)
{
	if (choice == 0)
		return host.bridge.address;
	return choice <= FUNCTIONS ? subjects[choice - 1].function.address : PCI_DEVFN(1, 2);
}

static void access_ecam(struct fuzz_input *input, bool write)
{
	uint8_t choice = fuzz_u8(input);
	unsigned length = any_length(input);
	uint32_t address = choice % 8 < ADDRESS_CHOICES ?
				   address_chosen(choice % 8) :
				   (uint32_t)fuzz_number(input, 2) % (BUSES << 8);
	unsigned offset = choice & 0x80 ? (unsigned)fuzz_number(input, 2) % 4096 : fuzz_u8(input);
	uint64_t value = write ? fuzz_number(input, length) : 0, expected = value;
	bool known, inside = offset + length <= 4096;

	if (!inside)
		return;
	known = model_access(address, offset, length, write, &expected);
	bus_access(&mmio, ECAM_GPA + ((uint64_t)address << 12) + offset, &value, length, write);
	if (!write && known)
		fuzz_check(value == expected);
}

static void access_ports(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);
	unsigned length = any_length(input), offset = choice % 8;
	bool write = choice & 0x80, known = false;
	uint64_t value = write ? fuzz_number(input, length) : 0, expected = value;

	if (offset + length <= 4) {
		known = true;
		if (length == 4 && write)
			port_address = (uint32_t)value & 0x80fffffc;
		expected = length == 4 ? port_address : all_ones(length);
	} else if (offset >= 4 && offset + length <= 8) {
		known = true;
		expected = write ? value : all_ones(length);
		if (port_address >> 31)
			known = model_access(port_address >> 8 & 0xffff,
					     (port_address & 0xff) + offset - 4, length, write,
					     &expected);
	}
	bus_access(&ports, ADDRESS_PORT + offset, &value, length, write);
	if (!write && known)
		fuzz_check(value == expected);
}

static void select_by_port(struct fuzz_input *input)
{
	uint32_t address = address_chosen(fuzz_below(input, ADDRESS_CHOICES));
	uint32_t value = htole32(0x80000000u | address << 8 | (fuzz_u8(input) & 0xfc));

	port_address = le32toh(value) & 0x80fffffc;
	bus_access(&ports, ADDRESS_PORT, &value, 4, true);
}

/* Where BARs are, next to it, across the ends of windows, and elsewhere. */
static uint64_t any_place(struct fuzz_input *input)
{
	uint64_t offset = (uint64_t)fuzz_u8(input) << 12;

	switch (fuzz_below(input, 6)) {
	case 0:
		return MEMORY32_GPA + offset;
	case 1:
		return MEMORY64_GPA + offset;
	case 2:
		return MEMORY32_GPA - (offset & 0xffff);
	case 3:
		return MEMORY64_GPA + MEMORY64_BYTES - (offset & 0xffff);
	case 4:
		return bar_numbered(fuzz_below(input, BAR_COUNT))->region.base;
	default:
		return fuzz_number(input, 8);
	}
}

static void write_config(struct subject *subject, unsigned offset, unsigned length, uint64_t value)
{
	uint64_t expected = value;

	model_access(subject->function.address, offset, length, true, &expected);
	bus_access(&mmio, ECAM_GPA + ((uint64_t)subject->function.address << 12) + offset, &value,
		   length, true);
	check_all();
}

/* As a driver does it; halves of a wide one in either order, decoding or not. */
static void move_bar(struct fuzz_input *input)
{
	struct subject_bar *bar = bar_numbered(fuzz_below(input, BAR_COUNT));
	struct subject *subject = &subjects[bar->number / BARS];
	unsigned offset = PCI_BASE_ADDRESS_0 + 4 * bar->index;
	uint64_t gpa = any_place(input);
	uint8_t choice = fuzz_u8(input);

	if (choice & 1)
		write_config(subject, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	if (bar->wide && (choice & 2))
		write_config(subject, offset + 4, 4, gpa >> 32);
	write_config(subject, offset, 4, gpa & UINT32_MAX);
	if (bar->wide && !(choice & 2))
		write_config(subject, offset + 4, 4, gpa >> 32);
	write_config(subject, PCI_COMMAND, 2, PCI_COMMAND_MASTER | (choice & 4 ? 0 : 2));
}

static void access_anywhere(struct fuzz_input *input)
{
	uint64_t gpa = any_place(input) + fuzz_u8(input), value = 0;
	unsigned length = any_length(input);
	bool found = false;

	if (within(gpa, length, ECAM_GPA, (uint64_t)BUSES << 20))
		return;
	bus_access(&mmio, gpa, &value, length, false);
	for (unsigned i = 0; i < BAR_COUNT; i++) {
		const struct subject_bar *bar = bar_numbered(i);

		if (!is_decoded(bar) || !within(gpa, length, bar->gpa, bar->region.size))
			continue;
		found = true;
		fuzz_check(value == bar_value(i, gpa - bar->gpa, length));
	}
	if (!found)
		fuzz_check(value == all_ones(length));
}

static void reset(void)
{
	pci_host_reset(&host);
	port_address = 0;
	for (unsigned i = 0; i < FUNCTIONS; i++)
		memcpy(subjects[i].config, subjects[i].initial, PCI_CONFIG_BYTES);
	check_all();
}

static void check_window(struct fuzz_input *input)
{
	uint64_t above = fuzz_number(input, 8) >> fuzz_below(input, 64);
	unsigned bits = 32 + fuzz_below(input, 33);
	struct pci_window window;

	if (!pci_window64(above, bits, &window))
		return;
	fuzz_check(window.base >= above && window.size >= GIB);
	fuzz_check(range_within(window.base, window.size, BIT64(bits > 52 ? 52 : bits)));
}

static void step(struct fuzz_input *input)
{
	switch (fuzz_u8(input) % 12) {
	case 0:
	case 1:
		access_ecam(input, false);
		break;
	case 2:
	case 3:
		access_ecam(input, true);
		break;
	case 4:
		select_by_port(input);
		break;
	case 5:
	case 6:
		access_ports(input);
		break;
	case 7:
	case 8:
		move_bar(input);
		break;
	case 9:
		access_anywhere(input);
		break;
	case 10:
		check_window(input);
		break;
	default:
		reset();
		break;
	}
	check_all();
}

/* ---- Set-up ---- */

static void bar_init(struct subject *subject, unsigned which, unsigned index, uint64_t size)
{
	struct subject_bar *bar = &subject->bars[which];
	unsigned offset = PCI_BASE_ADDRESS_0 + 4 * index;

	*bar = (struct subject_bar){
		.region = { &bar_ops, "bar", 0, size },
		.number = (unsigned)(subject - subjects) * BARS + which,
		.index = index,
		.wide = index % 2 == 0,
	};
	pci_add_bar(&subject->function, index, &bar->region,
		    bar->wide ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0);
	store_le(&subject->writable[offset], -size, bar->wide ? 8 : 4);
}

static const struct pci_identity identity = {
	.vendor = 0x1234, .device = 0x5678, .class_code = 0x0880, .revision = 3,
	.subsystem_vendor = 0x9abc, .subsystem = 0xdef0,
};

/* What may be written is said here anew, not taken from the function. */
static void subject_add(struct subject *subject, uint64_t size)
{
	pci_function_init(&subject->function, "subject", &subject_ops, &identity);
	bar_init(subject, 0, 2, size);
	bar_init(subject, 1, 5, size > 64 * KIB ? 16 : size * 2);
	subject->capability = pci_add_capability(&subject->function, PCI_CAP_ID_VNDR,
						 CAPABILITY_BYTES);
	pci_add_capability(&subject->function, PCI_CAP_ID_VNDR, CAPABILITY_BYTES);
	subject->function.writable[subject->capability + 4] = 0x0f;
	subject->function.config[subject->capability + 5] = 0xff;
	subject->function.write_clears[subject->capability + 5] = 0xf0;
	pci_add_pin(&subject->function);
	subject->writable[PCI_COMMAND] = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	subject->writable[PCI_COMMAND + 1] = PCI_COMMAND_INTX_DISABLE >> 8;
	subject->writable[PCI_CACHE_LINE_SIZE] = subject->writable[PCI_INTERRUPT_LINE] = 0xff;
	subject->writable[subject->capability + 4] = 0x0f;
	subject->clears[subject->capability + 5] = 0xf0;
	fuzz_check(!pci_host_add(&host, &subject->function));
	memcpy(subject->initial, subject->function.config, PCI_CONFIG_BYTES);
}

static void neighbour_add(struct pci_function *function)
{
	static const struct pci_ops ops = { 0 };

	pci_function_init(function, "neighbour", &ops, &identity);
	fuzz_check(!pci_host_add(&host, function));
}

/* The subject joins another in its slot, which says from now on that it is not alone. */
static void subject_add_to(struct subject *first, struct subject *subject, uint64_t size)
{
	subject_add(subject, size);
	fuzz_check(subject->function.address == (first->function.address | 1u));
	first->initial[PCI_HEADER_TYPE] = 0x80;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct pci_host_config config = {
		.mmio = &mmio,
		.ports = &ports,
		.ecam_base = ECAM_GPA,
		.bus_count = BUSES,
		.memory32 = { MEMORY32_GPA, MEMORY32_BYTES },
		.memory64 = { MEMORY64_GPA, MEMORY64_BYTES },
	};

	(void)argc;
	(void)argv;
	log_set_level(LOG_LEVEL_ERROR);
	fuzz_check(!bus_init(&mmio) && !bus_init(&ports));
	fuzz_check(!pci_host_init(&host, &config));
	fuzz_check(!bus_add(&mmio, &fixed));
	subject_add(&subjects[0], 16);
	subject_add(&subjects[1], 4 * KIB);
	for (unsigned i = 0; i < NEIGHBOURS; i++)
		neighbour_add(&neighbours[i]);
	subject_add_to(&subjects[0], &subjects[2], 64 * KIB);
	subject_add_to(&subjects[1], &subjects[3], 128 * KIB);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = fuzz_input(data, size);

	reset();
	while (fuzz_more(&input))
		step(&input);
	return 0;
}
