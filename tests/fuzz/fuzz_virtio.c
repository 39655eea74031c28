// SPDX-License-Identifier: MIT
/*
 * The registers of a virtio device by its BAR, wherever that is, and by the
 * window in configuration space: accesses of any width at any offset against a
 * model of what the driver set and of the status machine. What is not a field
 * changes nothing; queues keep their registers from DRIVER_OK or their own
 * enabling on until a reset; the last one is there only with a feature; rings
 * that can't be served stop the device; a kick reaches the queue whose doorbell
 * it is, and no other.
 */
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/played_ring.h"
#include "tests/fuzz/subject.h"
#include "tests/unit/bus_guest.h"
#include "tests/unit/fake_kvm.h"
#include "virtio/virtio_pci.h"

#define ECAM_GPA 0xe0000000
#define FUNCTION_GPA (ECAM_GPA + (1 << 15))
#define WINDOW_GPA 0xc0000000
#define WINDOW_BYTES 0x01000000
#define BAR_BYTES 0x8000
#define PAGE_BYTES 0x1000
#define DEVICE_OFFSET 0x2000
#define NOTIFY_OFFSET 0x3000
#define COMMON_BYTES 64
#define RAM_GPA MIB
#define RAM_BYTES (256 * KIB)
#define RING_BYTES (4 * KIB)
#define QUEUES 3
#define QUEUE_MAX 64
#define VECTORS (QUEUES + 1)
#define CONFIG_BYTES 10
#define WRITABLE_BYTE 8
#define WRITABLE_MASK 0x0f
#define FEATURE_OF_LAST 3 /* without it there is no last queue */
#define OWN_FEATURES (BIT64(FEATURE_OF_LAST) | BIT64(37))
#define OFFERED                                                                                    \
	(OWN_FEATURES | BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_RING_RESET) |                   \
	 BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_RING_F_INDIRECT_DESC) |                        \
	 BIT64(VIRTIO_RING_F_EVENT_IDX))

struct model_queue {
	uint16_t size, vector;
	bool absent, enabled, was_reset, live;
	uint64_t addresses[3];
};

static struct {
	uint32_t device_select, driver_select;
	uint64_t negotiated;
	uint8_t status;
	uint16_t config_vector, queue_select;
	bool changed, wild; /* config, since the generation was read; rings may lie on another */
	uint8_t generation;
	uint8_t config[CONFIG_BYTES];
	struct model_queue queues[QUEUES];
} model;

static struct bus mmio;
static struct irq_router irqs;
static struct pci_host host;
static struct guest_memory memory;
static struct worker worker;
static struct virtio_device device;
static struct virtqueue queues[QUEUES];
static uint8_t config[CONFIG_BYTES];
static struct virtio_pci *transport;
static uint64_t bar_gpa;
static unsigned window, msix; /* offsets of their capabilities */
static unsigned kicks[QUEUES];

/* ---- The device ---- */

static uint8_t initial_byte(unsigned i)
{
	return (uint8_t)(0x10 + i);
}

static void subject_kick(struct virtqueue *queue)
{
	struct chain chain;

	kicks[queue->index]++;
	while (virtqueue_pop(queue, &chain))
		virtqueue_push(queue, chain.head, 0);
}

static void subject_reset(struct virtio_device *own)
{
	(void)own;
	config[WRITABLE_BYTE] = initial_byte(WRITABLE_BYTE);
}

static bool subject_has_queue(const struct virtio_device *own, unsigned index)
{
	return index < QUEUES - 1 || virtio_has(own, FEATURE_OF_LAST);
}

static const struct virtio_type subject_type = {
	.name = "subject",
	.id = 0x1e,
	.has_queue = subject_has_queue,
	.reset = subject_reset,
	.kick = subject_kick,
};

/* ---- The model: what changes ---- */

static uint64_t ring_gpa(unsigned queue, unsigned part)
{
	return RAM_GPA + (queue * 4 + part) * RING_BYTES;
}

static bool has(unsigned feature)
{
	return model.negotiated & BIT64(feature);
}

static bool silenced(void)
{
	return model.status & (VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED);
}

static bool area_valid(uint64_t gpa, uint64_t alignment, uint64_t bytes)
{
	return gpa % alignment == 0 && gpa >= RAM_GPA &&
	       range_within(gpa - RAM_GPA, bytes, RAM_BYTES);
}

static bool rings_valid(const struct model_queue *queue)
{
	uint64_t size = queue->size;

	if (!area_valid(queue->addresses[0], 16, 16 * size))
		return false;
	if (has(VIRTIO_F_RING_PACKED))
		return area_valid(queue->addresses[1], 4, 4) &&
		       area_valid(queue->addresses[2], 4, 4);
	return is_power_of_two(size) && area_valid(queue->addresses[1], 2, 6 + 2 * size) &&
	       area_valid(queue->addresses[2], 4, 6 + 8 * size);
}

static void model_start(struct model_queue *queue)
{
	if (!rings_valid(queue)) {
		model.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		return;
	}
	queue->live = true;
	for (unsigned part = 0; part < 3; part++)
		if (queue->addresses[part] != ring_gpa((unsigned)(queue - model.queues), part))
			model.wild = true;
}

static struct model_queue power_on_queue(void)
{
	return (struct model_queue){ .size = QUEUE_MAX, .vector = VIRTIO_MSI_NO_VECTOR };
}

static void model_reset(void)
{
	for (unsigned i = 0; i < QUEUES; i++)
		model.queues[i] = power_on_queue();
	model.device_select = model.driver_select = model.queue_select = 0;
	model.negotiated = model.status = 0;
	model.config_vector = VIRTIO_MSI_NO_VECTOR;
	model.config[WRITABLE_BYTE] = initial_byte(WRITABLE_BYTE);
	model.wild = false;
}

/* Whatever was made of it, nothing is left but what is the transport's. */
static void model_take_away(struct model_queue *queue)
{
	*queue = (struct model_queue){ .absent = true, .vector = queue->vector };
}

static void model_set_status(uint8_t wanted)
{
	uint8_t have = model.status, added = wanted & ~have & 0x8f;

	if (!wanted) {
		model_reset();
		return;
	}
	if ((model.negotiated & ~OFFERED) || !has(VIRTIO_F_VERSION_1))
		added &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	if (!(have & VIRTIO_CONFIG_S_FEATURES_OK))
		added &= ~VIRTIO_CONFIG_S_DRIVER_OK;
	model.status |= added;
	if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && !has(FEATURE_OF_LAST))
		model_take_away(&model.queues[QUEUES - 1]);
	for (unsigned i = 0; (added & VIRTIO_CONFIG_S_DRIVER_OK) && i < QUEUES; i++)
		if (model.queues[i].enabled && !silenced())
			model_start(&model.queues[i]);
}

static uint16_t model_vector(uint64_t value)
{
	return value < VECTORS ? (uint16_t)value : VIRTIO_MSI_NO_VECTOR;
}

static bool changeable(const struct model_queue *queue)
{
	return !queue->absent && !queue->enabled &&
	       (queue->was_reset || !(model.status & VIRTIO_CONFIG_S_DRIVER_OK));
}

static void model_write_queue(struct model_queue *queue, uint64_t offset, uint64_t value)
{
	switch (offset) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		if (changeable(queue) && value && value <= QUEUE_MAX &&
		    (is_power_of_two(value) || has(VIRTIO_F_RING_PACKED)))
			queue->size = (uint16_t)value;
		break;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		queue->vector = model_vector(value);
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (value != 1 || !changeable(queue))
			break;
		queue->enabled = true;
		if ((model.status & VIRTIO_CONFIG_S_DRIVER_OK) && !silenced())
			model_start(queue);
		break;
	case VIRTIO_PCI_COMMON_Q_RESET:
		if (value != 1 || !has(VIRTIO_F_RING_RESET))
			break;
		queue->vector = VIRTIO_MSI_NO_VECTOR;
		if (!queue->enabled)
			break;
		*queue = power_on_queue();
		queue->was_reset = true;
		break;
	}
}

static void model_write_address(struct model_queue *queue, uint64_t offset, unsigned length,
				uint64_t value)
{
	uint64_t position = offset - VIRTIO_PCI_COMMON_Q_DESCLO;

	if (length >= 4 && position % length == 0 && changeable(queue))
		store_le((uint8_t *)queue->addresses + position, value, length);
}

static void model_write_selected(uint64_t offset, unsigned length, uint64_t value)
{
	struct model_queue *queue;

	if (model.queue_select >= QUEUES)
		return;
	queue = &model.queues[model.queue_select];
	if (offset >= VIRTIO_PCI_COMMON_Q_DESCLO && offset < VIRTIO_PCI_COMMON_Q_NDATA)
		model_write_address(queue, offset, length, value);
	else if (length == 2)
		model_write_queue(queue, offset, value);
}

static void model_write_features(uint64_t value)
{
	unsigned shift = model.driver_select * 32;

	if (model.driver_select > 1 || (model.status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	model.negotiated &= ~((uint64_t)UINT32_MAX << shift);
	model.negotiated |= value << shift;
}

static void model_write_common(uint64_t offset, unsigned length, uint64_t value)
{
	if (offset == VIRTIO_PCI_COMMON_DFSELECT && length == 4)
		model.device_select = (uint32_t)value;
	else if (offset == VIRTIO_PCI_COMMON_GFSELECT && length == 4)
		model.driver_select = (uint32_t)value;
	else if (offset == VIRTIO_PCI_COMMON_GF && length == 4)
		model_write_features(value);
	else if (offset == VIRTIO_PCI_COMMON_MSIX && length == 2)
		model.config_vector = model_vector(value);
	else if (offset == VIRTIO_PCI_COMMON_STATUS && length == 1)
		model_set_status((uint8_t)value);
	else if (offset == VIRTIO_PCI_COMMON_Q_SELECT && length == 2)
		model.queue_select = (uint16_t)value;
	else
		model_write_selected(offset, length, value);
}

static void model_write(uint64_t offset, unsigned length, uint64_t value)
{
	uint64_t at = offset % PAGE_BYTES;

	if (at + length > PAGE_BYTES)
		return;
	if (offset < PAGE_BYTES)
		model_write_common(offset, length, value);
	else if (offset / PAGE_BYTES == DEVICE_OFFSET / PAGE_BYTES && at <= WRITABLE_BYTE &&
		 at + length > WRITABLE_BYTE)
		model.config[WRITABLE_BYTE] = (uint8_t)((initial_byte(WRITABLE_BYTE) & ~0x0f) |
			(value >> (8 * (WRITABLE_BYTE - at)) & WRITABLE_MASK));
}

/* ---- The model: what is read ---- */

static void fill_queue(uint8_t *bytes, const struct model_queue *queue)
{
	store_le16(bytes + VIRTIO_PCI_COMMON_Q_SIZE, queue->size);
	store_le16(bytes + VIRTIO_PCI_COMMON_Q_MSIX, queue->vector);
	store_le16(bytes + VIRTIO_PCI_COMMON_Q_ENABLE, queue->enabled);
	store_le16(bytes + VIRTIO_PCI_COMMON_Q_NOFF, model.queue_select);
	for (unsigned part = 0; part < 3; part++)
		store_le64(bytes + VIRTIO_PCI_COMMON_Q_DESCLO + 8 * part, queue->addresses[part]);
}

static void model_common(uint8_t *bytes)
{
	memset(bytes, 0, COMMON_BYTES + 8);
	store_le32(bytes + VIRTIO_PCI_COMMON_DFSELECT, model.device_select);
	if (model.device_select < 2)
		store_le32(bytes + VIRTIO_PCI_COMMON_DF,
			   (uint32_t)(OFFERED >> (32 * model.device_select)));
	store_le32(bytes + VIRTIO_PCI_COMMON_GFSELECT, model.driver_select);
	if (model.driver_select < 2)
		store_le32(bytes + VIRTIO_PCI_COMMON_GF,
			   (uint32_t)(model.negotiated >> (32 * model.driver_select)));
	store_le16(bytes + VIRTIO_PCI_COMMON_MSIX, model.config_vector);
	store_le16(bytes + VIRTIO_PCI_COMMON_NUMQ, QUEUES);
	bytes[VIRTIO_PCI_COMMON_STATUS] = model.status;
	bytes[VIRTIO_PCI_COMMON_CFGGENERATION] = model.generation;
	store_le16(bytes + VIRTIO_PCI_COMMON_Q_SELECT, model.queue_select);
	store_le16(bytes + VIRTIO_PCI_COMMON_Q_MSIX, VIRTIO_MSI_NO_VECTOR);
	if (model.queue_select < QUEUES)
		fill_queue(bytes, &model.queues[model.queue_select]);
}

/* False where the model does not know: interrupt status and MSI-X. */
static bool model_read(uint64_t offset, unsigned length, uint64_t *value)
{
	uint64_t page = offset / PAGE_BYTES * PAGE_BYTES, at = offset % PAGE_BYTES;
	uint8_t bytes[COMMON_BYTES + 8] = { 0 };

	*value = 0;
	if (at + length > PAGE_BYTES || page == NOTIFY_OFFSET || page >= 0x6000)
		return true;
	if (page && page != DEVICE_OFFSET)
		return false;
	if (!page)
		model_common(bytes);
	else
		memcpy(bytes, model.config, CONFIG_BYTES);
	if (at < COMMON_BYTES)
		*value = load_le(bytes + at, length);
	return true;
}

/* ---- The guest's accesses ---- */

/* A read of the generation is its own mark; so that of the model comes first. */
static void settle(void)
{
	uint8_t generation;

	played_ring_run(&worker);
	generation = (uint8_t)bus_read(&mmio, bar_gpa + VIRTIO_PCI_COMMON_CFGGENERATION, 1);
	fuzz_check((generation != model.generation) == model.changed);
	model.generation = generation;
	model.changed = false;
	if (model.wild)
		model.status |= device.status & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static void check_all(void)
{
	uint64_t expected;

	settle();
	for (unsigned offset = 0; offset < COMMON_BYTES; offset += 8) {
		model_read(offset, 8, &expected);
		fuzz_check(bus_read(&mmio, bar_gpa + offset, 8) == expected);
	}
	fuzz_check((bus_read(&mmio, FUNCTION_GPA + PCI_STATUS, 2) & ~PCI_STATUS_INTERRUPT) ==
		   PCI_STATUS_CAP_LIST);
	for (unsigned i = 0; i < QUEUES; i++) {
		const struct model_queue *queue = &model.queues[i];

		fuzz_check(virtio_queue_size(&device, i) == queue->size);
		fuzz_check(virtio_queue_enabled(&device, i) == queue->enabled);
		for (unsigned part = 0; part < 3; part++)
			fuzz_check(virtio_queue_address(&device, i, part) ==
				   queue->addresses[part]);
	}
	fuzz_check(!memcmp(config, model.config, CONFIG_BYTES));
}

static void set(unsigned offset, unsigned length, uint64_t value)
{
	bus_write(&mmio, bar_gpa + offset, length, value);
	model_write(offset, length, value);
	settle();
}

static uint64_t any_offset(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);

	if (choice < 200)
		return choice % (COMMON_BYTES + 8);
	if (choice < 230)
		return DEVICE_OFFSET + choice % 16;
	return fuzz_number(input, 2) % (BAR_BYTES - 8);
}

static void access_bar(struct fuzz_input *input, bool write)
{
	uint64_t offset = any_offset(input), value, expected;
	unsigned length = 1u << fuzz_below(input, 4);

	if (write) {
		value = fuzz_number(input, length);
		bus_write(&mmio, bar_gpa + offset, length, value);
		model_write(offset, length, value);
	} else {
		value = bus_read(&mmio, bar_gpa + offset, length);
		if (model_read(offset, length, &expected))
			fuzz_check(value == expected);
	}
}

static void access_window(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input), bar = fuzz_u8(input) % 8 ? 0 : choice;
	uint32_t offset = choice & 1 ? (uint32_t)any_offset(input) :
				       (uint32_t)fuzz_number(input, 4);
	uint32_t length = choice & 2 ? 1u << fuzz_below(input, 3) :
				       (uint32_t)fuzz_number(input, 4);
	uint64_t at = FUNCTION_GPA + window, data = at + sizeof(struct virtio_pci_cap);
	bool valid = bar == 0 && (length == 1 || length == 2 || length == 4) &&
		     offset % length == 0 && range_within(offset, length, BAR_BYTES);
	uint32_t value = (uint32_t)fuzz_number(input, 4), mask;
	uint64_t expected;

	bus_write(&mmio, at + VIRTIO_PCI_CAP_BAR, 1, bar);
	bus_write(&mmio, at + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	bus_write(&mmio, at + VIRTIO_PCI_CAP_LENGTH, 4, length);
	mask = valid ? (uint32_t)all_ones(length) : 0;
	if (choice & 4) {
		bus_write(&mmio, data, 4, value);
		if (valid)
			model_write(offset, length, value & mask);
	} else if (!valid) {
		fuzz_check(bus_read(&mmio, data, 4) == bus_read(&mmio, data, 4));
	} else if (model_read(offset, length, &expected)) {
		fuzz_check((bus_read(&mmio, data, 4) & mask) == expected);
	}
}

static void move_bar(struct fuzz_input *input)
{
	uint64_t gpa = WINDOW_GPA + (uint64_t)fuzz_u8(input) * BAR_BYTES;

	bus_write(&mmio, FUNCTION_GPA + PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	fuzz_check(bus_read(&mmio, bar_gpa, 8) == UINT64_MAX && !fake_kvm.doorbell_count);
	bus_write(&mmio, bar_gpa + VIRTIO_PCI_COMMON_STATUS, 1, 0);
	bus_write(&mmio, FUNCTION_GPA + PCI_BASE_ADDRESS_0, 4, gpa);
	bus_write(&mmio, FUNCTION_GPA + PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	bar_gpa = gpa;
	fuzz_check(fake_kvm.doorbell_count == QUEUES);
	for (unsigned i = 0; i < QUEUES; i++)
		fuzz_check(fake_kvm.doorbells[i].addr == gpa + NOTIFY_OFFSET + 4 * i &&
			   fake_kvm.doorbells[i].fd == queues[i].kick_fd);
}

/* By its doorbell or the long way. */
static void kick(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);
	unsigned queue = choice % 4, before[QUEUES];
	uint64_t gpa = bar_gpa + NOTIFY_OFFSET + 4 * queue;

	memcpy(before, kicks, sizeof(before));
	if (!(choice & 0x80) || !fake_kvm_ring(gpa, 2))
		bus_write(&mmio, gpa, 1u << (choice / 4 % 4), queue);
	played_ring_run(&worker);
	for (unsigned i = 0; i < QUEUES && !silenced() && !model.wild; i++)
		fuzz_check((kicks[i] != before[i]) == (i == queue && model.queues[i].live));
}

static void change_config(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input), byte = fuzz_u8(input);
	unsigned at = choice % WRITABLE_BYTE;

	if (choice >= 0xf0) { /* from now on it is told by MSI-X, or by INTx */
		bus_write(&mmio, FUNCTION_GPA + msix + PCI_MSIX_FLAGS, 2,
			  byte & 1 ? PCI_MSIX_FLAGS_ENABLE : 0);
		return;
	}
	virtio_config_update(&device, at, &byte, 1);
	model.config[at] = byte;
	model.changed = true;
}

/* As a driver's manual has it, up to some point. */
static void set_up(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);
	uint64_t features = OFFERED;

	if (choice & 1)
		features &= ~BIT64(VIRTIO_F_RING_PACKED);
	if (choice >> 5 == 7)
		features &= ~BIT64(FEATURE_OF_LAST);
	set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	set(VIRTIO_PCI_COMMON_STATUS, 1, 3);
	for (unsigned i = 0; i < 2; i++) {
		set(VIRTIO_PCI_COMMON_GFSELECT, 4, i);
		set(VIRTIO_PCI_COMMON_GF, 4, (uint32_t)(features >> (32 * i)));
	}
	if (choice & 2)
		set(VIRTIO_PCI_COMMON_STATUS, 1, 11);
	for (unsigned i = 0; i < QUEUES; i++) {
		if (choice >> 5 == i)
			continue;
		set(VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
		for (unsigned part = 0; part < 3; part++)
			set(VIRTIO_PCI_COMMON_Q_DESCLO + 8 * part, 8, ring_gpa(i, part));
		set(VIRTIO_PCI_COMMON_Q_SIZE, 2, 1u << (choice >> 2 & 7));
		set(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	}
	set(VIRTIO_PCI_COMMON_STATUS, 1, 15);
}

/* A field, with a value that means something there. */
static void write_field(struct fuzz_input *input)
{
	static const struct {
		uint8_t offset, length;
	} fields[] = {
		{ VIRTIO_PCI_COMMON_DFSELECT, 4 },  { VIRTIO_PCI_COMMON_GFSELECT, 4 },
		{ VIRTIO_PCI_COMMON_MSIX, 2 },	    { VIRTIO_PCI_COMMON_Q_SELECT, 2 },
		{ VIRTIO_PCI_COMMON_Q_SIZE, 2 },    { VIRTIO_PCI_COMMON_Q_MSIX, 2 },
		{ VIRTIO_PCI_COMMON_Q_ENABLE, 2 },  { VIRTIO_PCI_COMMON_Q_RESET, 2 },
		{ VIRTIO_PCI_COMMON_STATUS, 1 },
	};
	unsigned which = fuzz_below(input, ARRAY_SIZE(fields));

	set(fields[which].offset, fields[which].length, fuzz_u8(input) % 70);
}

static void write_ring(struct fuzz_input *input)
{
	unsigned part = fuzz_below(input, 3);
	uint8_t choice = fuzz_u8(input);
	uint64_t gpa = ring_gpa(model.queue_select % QUEUES, part);

	if (choice & 1) /* around the end of RAM, and not aligned */
		gpa = RAM_GPA + RAM_BYTES - choice * 8 + (choice & 2 ? 1 : 0);
	set(VIRTIO_PCI_COMMON_Q_DESCLO + 8 * part, 4, (uint32_t)gpa);
	set(VIRTIO_PCI_COMMON_Q_DESCLO + 8 * part + 4, 4, choice >= 0xfc ? choice : 0);
}

static void step(struct fuzz_input *input)
{
	switch (fuzz_u8(input) % 16) {
	case 0:
		access_bar(input, false);
		break;
	case 1 ... 3:
		access_bar(input, true);
		break;
	case 4 ... 6:
		write_field(input);
		break;
	case 7:
	case 8:
		write_ring(input);
		break;
	case 9:
	case 10:
		access_window(input);
		break;
	case 11:
		move_bar(input);
		break;
	case 12:
		kick(input);
		break;
	case 13:
		change_config(input);
		break;
	default:
		set_up(input);
		break;
	}
	check_all();
}

/* ---- Set-up ---- */

static void host_create(void)
{
	struct kvm_irq_routing_entry pins[24];
	struct pci_host_config host_config = {
		.mmio = &mmio,
		.irqs = &irqs,
		.kvm = &fake_kvm_call,
		.ecam_base = ECAM_GPA,
		.bus_count = 1,
		.memory32 = { WINDOW_GPA, WINDOW_BYTES },
		.intx_gsis = { 16, 17, 18, 19 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(pins); i++)
		pins[i] = (struct kvm_irq_routing_entry){ .gsi = i };
	fuzz_check(!bus_init(&mmio));
	fuzz_check(!irq_router_init(&irqs, &fake_kvm_call, pins, ARRAY_SIZE(pins), 64));
	fuzz_check(!pci_host_init(&host, &host_config));
	fuzz_check(!guest_memory_add(&memory, RAM_GPA, RAM_BYTES));
}

static void device_create(void)
{
	static const uint8_t writable[CONFIG_BYTES] = { [WRITABLE_BYTE] = WRITABLE_MASK };
	struct virtio_device_config device_config = {
		.type = &subject_type,
		.deps = subject_deps(&worker, &memory),
		.features = OWN_FEATURES,
		.config = config,
		.config_size = CONFIG_BYTES,
		.config_writable = writable,
		.queues = queues,
		.queue_count = QUEUES,
	};

	subject_init(&device, &device_config, QUEUE_MAX);
	fuzz_check(!virtio_pci_create(&transport, &device, &host));
}

static void find_capabilities(void)
{
	uint64_t at = bus_read(&mmio, FUNCTION_GPA + PCI_CAPABILITY_LIST, 1);

	for (; at; at = bus_read(&mmio, FUNCTION_GPA + at + PCI_CAP_LIST_NEXT, 1))
		if (bus_read(&mmio, FUNCTION_GPA + at, 1) == PCI_CAP_ID_MSIX)
			msix = (unsigned)at;
		else if (bus_read(&mmio, FUNCTION_GPA + at, 1) == PCI_CAP_ID_VNDR &&
			 bus_read(&mmio, FUNCTION_GPA + at + VIRTIO_PCI_CAP_CFG_TYPE, 1) ==
				 VIRTIO_PCI_CAP_PCI_CFG)
			window = (unsigned)at;
	fuzz_check(window && msix);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_level(LOG_LEVEL_ERROR);
	played_ring_worker(&worker);
	host_create();
	device_create();
	find_capabilities();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = fuzz_input(data, size);

	virtio_set_status(&device, 0);
	played_ring_run(&worker);
	pci_host_reset(&host);
	memset(guest_memory_at(&memory, RAM_GPA, RAM_BYTES), 0, RAM_BYTES);
	bar_gpa = bus_read(&mmio, FUNCTION_GPA + PCI_BASE_ADDRESS_0, 4) & ~UINT64_C(0xf);
	bus_write(&mmio, FUNCTION_GPA + PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	for (unsigned i = 0; i < CONFIG_BYTES; i++)
		model.config[i] = config[i] = initial_byte(i);
	model_reset();
	model.changed = false;
	model.generation = (uint8_t)virtio_config_generation(&device);
	check_all();
	while (fuzz_more(&input))
		step(&input);
	return 0;
}
