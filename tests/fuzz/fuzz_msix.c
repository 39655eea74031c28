// SPDX-License-Identifier: MIT
/*
 * The MSI-X table: entries written in pieces, masks, sources mapped and
 * signalled, GSIs that run out, messages that KVM refuses. A model says of each
 * source whether it is attached, and of each signal where it is: it interrupts
 * once, with the message that the table has then, or is pending, or belonged to
 * a source without a vector and is forgotten.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "hw/msix.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fake_kvm.h"

#define VECTORS 9
#define SOURCES 6
#define PINS 3
#define GSIS 5 /* fewer than vectors */
#define TABLE_BYTES (VECTORS * PCI_MSIX_ENTRY_SIZE)

struct model_vector {
	uint8_t entry[PCI_MSIX_ENTRY_SIZE];
	bool has_gsi;
};

struct model_source {
	unsigned vector; /* VECTORS: none */
	bool attached, pending;
	unsigned interrupts;
};

static struct pci_function function;
static struct irq_router irqs;
static struct msix msix;
static int fds[SOURCES];
static struct model_vector vectors[VECTORS];
static struct model_source sources[SOURCES];
static unsigned free_gsis;

/* What KVM on x86 makes of an address above 4 GiB. */
static int route(struct kvm_irq_routing_entry *entry, const struct msi_message *message)
{
	(void)entry;
	return message->address >> 32 ? -EINVAL : 0;
}

/* ---- The model ---- */

static uint16_t control(void)
{
	return load_le16(&function.config[msix.capability + PCI_MSIX_FLAGS]);
}

static bool is_open(const struct model_vector *vector)
{
	return (control() & PCI_MSIX_FLAGS_ENABLE) && !(control() & PCI_MSIX_FLAGS_MASKALL) &&
	       (pci_command(&function) & PCI_COMMAND_MASTER) &&
	       !(vector->entry[PCI_MSIX_ENTRY_VECTOR_CTRL] & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

static bool is_acceptable(const struct model_vector *vector)
{
	return !load_le32(&vector->entry[PCI_MSIX_ENTRY_UPPER_ADDR]);
}

static void model_attach(struct model_source *source, bool attached)
{
	if (attached && !source->attached && source->pending) {
		source->interrupts++;
		source->pending = false;
	}
	source->attached = attached;
}

static void model_update(unsigned index)
{
	struct model_vector *vector = &vectors[index];

	for (unsigned i = 0; i < SOURCES; i++) {
		if (sources[i].vector != index)
			continue;
		if (is_open(vector) && !vector->has_gsi && free_gsis) {
			vector->has_gsi = true;
			free_gsis--;
		}
		model_attach(&sources[i],
			     is_open(vector) && vector->has_gsi && is_acceptable(vector));
	}
}

static void model_update_all(void)
{
	for (unsigned i = 0; i < VECTORS; i++)
		model_update(i);
}

static void model_map(struct model_source *source, unsigned vector)
{
	if (vector >= VECTORS)
		vector = VECTORS;
	if (vector == source->vector)
		return;
	if (source->vector == VECTORS)
		source->pending = false;
	model_attach(source, false);
	source->vector = vector;
	if (vector < VECTORS)
		model_update(vector);
}

static void model_unmap_all(void)
{
	for (unsigned i = 0; i < SOURCES; i++)
		model_map(&sources[i], VECTORS);
	for (unsigned i = 0; i < VECTORS; i++)
		vectors[i].has_gsi = false;
	free_gsis = GSIS;
}

/* ---- What must hold after each step ---- */

static unsigned injected(void)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < FAKE_KVM_MAX; i++)
		sum += fake_kvm.injected[i];
	return sum;
}

static void check_source(unsigned index)
{
	const struct model_source *source = &sources[index];
	const struct kvm_irq_routing_entry *found;
	int gsi = fake_kvm_gsi(fds[index]);

	fuzz_check(msix_mapping(&msix, index) ==
		   (source->vector < VECTORS ? source->vector : MSIX_NO_VECTOR));
	fuzz_check((gsi >= 0) == source->attached);
	if (source->vector < VECTORS)
		fuzz_check(event_fd_pending(fds[index]) == source->pending);
	if (!source->attached)
		return;
	found = fake_kvm_route(gsi);
	fuzz_check(gsi >= PINS && found && found->type == KVM_IRQ_ROUTING_MSI);
	fuzz_check(found->u.msi.address_lo == load_le32(vectors[source->vector].entry));
	fuzz_check(found->u.msi.data ==
		   load_le32(&vectors[source->vector].entry[PCI_MSIX_ENTRY_DATA]));
	for (unsigned i = 0; i < index; i++)
		fuzz_check((fake_kvm_gsi(fds[i]) == gsi) ==
			   (sources[i].attached && sources[i].vector == source->vector));
}

static uint64_t model_pending(void)
{
	uint64_t bits = 0;

	if (control() & PCI_MSIX_FLAGS_ENABLE)
		for (unsigned i = 0; i < SOURCES; i++)
			if (sources[i].vector < VECTORS && sources[i].pending)
				bits |= BIT64(sources[i].vector);
	return bits;
}

static void check_all(unsigned injected_before, unsigned interrupts_before)
{
	unsigned interrupts = 0;

	for (unsigned i = 0; i < SOURCES; i++) {
		check_source(i);
		interrupts += sources[i].interrupts;
	}
	fuzz_check(injected() - injected_before == interrupts - interrupts_before);
	fuzz_check(fake_kvm.route_count <= PINS + GSIS);
	fuzz_check(msix_pending_read(&msix, 0, 8) == model_pending());
	fuzz_check(msix_pending_read(&msix, 1, 1) == (model_pending() >> 8 & 0xff));
	fuzz_check(msix_enabled(&msix) == !!(control() & PCI_MSIX_FLAGS_ENABLE));
}

/* ---- The guest, and the device ---- */

static uint64_t any_offset(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);

	return choice < 240 ? choice % (TABLE_BYTES + 8) : fuzz_number(input, 8);
}

static void write_table(struct fuzz_input *input)
{
	uint64_t offset = any_offset(input), value, last;
	unsigned length = 1u << fuzz_below(input, 4);
	uint8_t *entry;

	value = fuzz_number(input, length);
	msix_table_write(&msix, offset, length, value);
	if (length < 4 || offset % length || !range_within(offset, length, TABLE_BYTES))
		return;
	entry = vectors[offset / PCI_MSIX_ENTRY_SIZE].entry;
	store_le(&entry[offset % PCI_MSIX_ENTRY_SIZE], value, length);
	last = load_le32(&entry[PCI_MSIX_ENTRY_VECTOR_CTRL]) & PCI_MSIX_ENTRY_CTRL_MASKBIT;
	store_le32(&entry[PCI_MSIX_ENTRY_VECTOR_CTRL], (uint32_t)last);
	model_update((unsigned)(offset / PCI_MSIX_ENTRY_SIZE));
}

/* As drivers write an entry: with a message that works, and open. */
static void write_entry(struct fuzz_input *input)
{
	unsigned index = fuzz_below(input, VECTORS);
	uint8_t *entry = vectors[index].entry;

	store_le64(entry, 0xfee00000 | (uint64_t)fuzz_u8(input) << 12);
	store_le32(&entry[PCI_MSIX_ENTRY_DATA], fuzz_u8(input));
	store_le32(&entry[PCI_MSIX_ENTRY_VECTOR_CTRL], fuzz_u8(input) % 4 == 3);
	for (unsigned offset = 0; offset < PCI_MSIX_ENTRY_SIZE; offset += 4) {
		uint8_t whole[PCI_MSIX_ENTRY_SIZE];

		memcpy(whole, entry, sizeof(whole));
		msix_table_write(&msix, index * PCI_MSIX_ENTRY_SIZE + offset, 4,
				 load_le32(&entry[offset]));
		/* The model has the whole; what KVM was told meanwhile does not matter. */
		for (unsigned i = offset + 4; i < sizeof(whole); i++)
			entry[i] = (uint8_t)msix_table_read(&msix, index * sizeof(whole) + i, 1);
		model_update(index);
		memcpy(entry, whole, sizeof(whole));
	}
}

static void read_table(struct fuzz_input *input)
{
	uint64_t offset = any_offset(input), value;
	unsigned length = 1u << fuzz_below(input, 4);
	unsigned within = offset % PCI_MSIX_ENTRY_SIZE;

	value = msix_table_read(&msix, offset, length);
	if (offset >= TABLE_BYTES || within + length > PCI_MSIX_ENTRY_SIZE)
		fuzz_check(!value);
	else
		fuzz_check(value == load_le(&vectors[offset / PCI_MSIX_ENTRY_SIZE].entry[within],
					    length));
}

static void write_registers(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);
	uint16_t flags = (uint16_t)((choice & 1 ? PCI_MSIX_FLAGS_ENABLE : 0) |
				    (choice & 2 ? PCI_MSIX_FLAGS_MASKALL : 0));

	pci_config_write(&function, msix.capability + PCI_MSIX_FLAGS, 2, flags | VECTORS);
	fuzz_check(control() == (flags | (VECTORS - 1)));
	pci_config_write(&function, PCI_COMMAND, 2, choice & 4 ? 0 : PCI_COMMAND_MASTER);
}

static void registers_written(struct pci_function *own, unsigned offset, unsigned length)
{
	(void)own;
	(void)offset;
	(void)length;
	msix_config_written(&msix);
	model_update_all();
}

static void signal_source(struct model_source *source, int fd)
{
	fake_kvm_signal(fd);
	if (source->attached)
		source->interrupts++;
	else
		source->pending = true;
}

static void reset(void)
{
	store_le16(&function.config[PCI_COMMAND], 0);
	store_le16(&function.config[msix.capability + PCI_MSIX_FLAGS], VECTORS - 1);
	msix_reset(&msix);
	model_unmap_all();
	for (unsigned i = 0; i < VECTORS; i++) {
		vectors[i] = (struct model_vector){ 0 };
		vectors[i].entry[PCI_MSIX_ENTRY_VECTOR_CTRL] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	}
}

static void step(struct fuzz_input *input)
{
	unsigned source = 0, vector;

	switch (fuzz_u8(input) % 16) {
	case 0:
	case 1:
		write_table(input);
		break;
	case 2:
	case 3:
	case 4:
		write_entry(input);
		break;
	case 5:
		read_table(input);
		break;
	case 6:
	case 7:
		write_registers(input);
		break;
	case 8 ... 10:
		source = fuzz_below(input, SOURCES);
		vector = fuzz_u8(input);
		vector = vector < 0xf0 ? vector % (VECTORS + 1) : vector << 8 | 0xff;
		msix_map(&msix, source, (uint16_t)vector);
		model_map(&sources[source], vector);
		break;
	case 11 ... 13:
		source = fuzz_below(input, SOURCES);
		signal_source(&sources[source], fds[source]);
		break;
	case 14:
		msix_unmap_all(&msix);
		model_unmap_all();
		break;
	default:
		reset();
		break;
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct pci_identity identity = { .vendor = 0x1234, .device = 0x5678 };
	static const struct pci_ops ops = { .config_written = registers_written };
	struct kvm_irq_routing_entry pins[PINS] = { { .gsi = 0 }, { .gsi = 1 }, { .gsi = 2 } };
	struct msix_config config = {
		.name = "subject",
		.irqs = &irqs,
		.function = &function,
		.vector_count = VECTORS,
		.source_count = SOURCES,
	};

	(void)argc;
	(void)argv;
	log_set_level(LOG_LEVEL_ERROR);
	fuzz_check(!irq_router_init(&irqs, &fake_kvm_call, pins, PINS, PINS + GSIS));
	irqs.route = route;
	pci_function_init(&function, "subject", &ops, &identity);
	fuzz_check(!msix_init(&msix, &config));
	for (unsigned i = 0; i < SOURCES; i++) {
		fds[i] = event_fd_create();
		msix_set_source(&msix, i, fds[i]);
		sources[i].vector = VECTORS;
	}
	free_gsis = GSIS;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = fuzz_input(data, size);

	reset();
	for (unsigned i = 0; i < SOURCES; i++) {
		event_fd_drain(fds[i]);
		sources[i] = (struct model_source){ .vector = VECTORS };
	}
	while (fuzz_more(&input)) {
		unsigned before = injected(), interrupts = 0;

		for (unsigned i = 0; i < SOURCES; i++)
			interrupts += sources[i].interrupts;
		step(&input);
		check_all(before, interrupts);
	}
	return 0;
}
