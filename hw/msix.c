// SPDX-License-Identifier: MIT
/*
 * The MSI-X table and what follows from it. vCPU threads, under msix.lock;
 * nothing waits for a worker, as a worker only ever writes a source's eventfd.
 */
#include "hw/msix.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/fd.h"

#define WORD_BYTES 4
#define PENDING_BITS_READ 64

_Static_assert(PCI_MSIX_ENTRY_SIZE == 4 * WORD_BYTES, "a table entry is four words");

/* ---- Attaching ---- */

/* Once, until the vector works again: the guest may try as often as it likes. */
static void vector_refuse(struct msix *msix, struct msix_vector *vector, int error)
{
	if (!vector->refused)
		log_limited(&msix->log_limit,
			    "%s: MSI-X vector %u (address 0x%llx, data 0x%x) is dead: %s",
			    msix->name, (unsigned)(vector - msix->vectors),
			    (unsigned long long)vector->message.address, vector->message.data,
			    strerror(-error));
	vector->refused = true;
}

static bool message_equal(const struct msi_message *a, const struct msi_message *b)
{
	return a->address == b->address && a->data == b->data;
}

/* Sees to it that the vector's GSI raises what the table says; false: it can't. */
static bool vector_route(struct msix *msix, struct msix_vector *vector)
{
	int error;

	if (vector->gsi < 0)
		vector->gsi = irq_router_allocate_msi(msix->irqs);
	if (vector->gsi < 0) {
		vector_refuse(msix, vector, vector->gsi);
		return false;
	}
	if (vector->routed && message_equal(&vector->route, &vector->message))
		return true;
	vector->message.device_id = msix->function->address;
	error = irq_router_route_msi(msix->irqs, (uint32_t)vector->gsi, &vector->message);
	if (error < 0) {
		vector_refuse(msix, vector, error);
		return false;
	}
	vector->route = vector->message;
	vector->routed = true;
	vector->refused = false;
	return true;
}

/*
 * Attaching injects at once if the source was signalled meanwhile, but leaves
 * the eventfd readable, and the pending bit would say so at the next mask. From
 * then on KVM consumes each write as it happens, so what can still be read is
 * only what it has injected.
 */
static void source_attach(struct msix *msix, struct msix_source *source)
{
	struct msix_vector *vector = &msix->vectors[source->vector];
	int error;

	if (source->attached)
		return;
	error = irq_router_attach(msix->irqs, (uint32_t)vector->gsi, source->event_fd);
	if (error < 0) {
		vector_refuse(msix, vector, error);
		return;
	}
	source->attached = true;
	event_fd_drain(source->event_fd);
}

static void source_detach(struct msix *msix, struct msix_source *source)
{
	if (!source->attached)
		return;
	/* Of what was attached this can't fail but for a dead VM. */
	irq_router_detach(msix->irqs, (uint32_t)msix->vectors[source->vector].gsi,
			  source->event_fd);
	source->attached = false;
}

/* After anything about the vector or its sources has changed. */
static void vector_update(struct msix *msix, unsigned index)
{
	struct msix_vector *vector = &msix->vectors[index];
	bool open = msix->open && !vector->masked;

	for (unsigned i = 0; i < msix->source_count; i++) {
		struct msix_source *source = &msix->sources[i];

		if (source->vector != index)
			continue;
		if (open && vector_route(msix, vector))
			source_attach(msix, source);
		else
			source_detach(msix, source);
	}
}

static void update_all(struct msix *msix)
{
	for (unsigned i = 0; i < msix->vector_count; i++)
		vector_update(msix, i);
}

/* ---- The driver's mapping ---- */

static void source_map(struct msix *msix, struct msix_source *source, uint16_t vector)
{
	if (vector >= msix->vector_count)
		vector = MSIX_NO_VECTOR;
	if (vector == source->vector)
		return;
	if (source->vector == MSIX_NO_VECTOR)
		event_fd_drain(source->event_fd);
	else
		source_detach(msix, source);
	source->vector = vector;
	if (vector != MSIX_NO_VECTOR)
		vector_update(msix, vector);
}

void msix_map(struct msix *msix, unsigned source, uint16_t vector)
{
	assert(source < msix->source_count);
	pthread_mutex_lock(&msix->lock);
	source_map(msix, &msix->sources[source], vector);
	pthread_mutex_unlock(&msix->lock);
}

uint16_t msix_mapping(struct msix *msix, unsigned source)
{
	uint16_t vector;

	assert(source < msix->source_count);
	pthread_mutex_lock(&msix->lock);
	vector = msix->sources[source].vector;
	pthread_mutex_unlock(&msix->lock);
	return vector;
}

static void unmap_all(struct msix *msix)
{
	for (unsigned i = 0; i < msix->source_count; i++)
		source_map(msix, &msix->sources[i], MSIX_NO_VECTOR);
	for (unsigned i = 0; i < msix->vector_count; i++) {
		struct msix_vector *vector = &msix->vectors[i];

		if (vector->gsi >= 0)
			irq_router_free_msi(msix->irqs, (uint32_t)vector->gsi);
		vector->gsi = -1;
		vector->routed = false;
	}
}

void msix_unmap_all(struct msix *msix)
{
	pthread_mutex_lock(&msix->lock);
	unmap_all(msix);
	pthread_mutex_unlock(&msix->lock);
}

/* ---- Registers ---- */

void msix_config_written(struct msix *msix)
{
	const uint8_t *config = msix->function->config;
	uint16_t control = load_le16(&config[msix->capability + PCI_MSIX_FLAGS]);
	bool enabled = control & PCI_MSIX_FLAGS_ENABLE;
	bool open = enabled && !(control & PCI_MSIX_FLAGS_MASKALL) &&
		    (pci_command(msix->function) & PCI_COMMAND_MASTER);

	pthread_mutex_lock(&msix->lock);
	msix->enabled = enabled;
	if (msix->open != open) {
		msix->open = open;
		update_all(msix);
	}
	pthread_mutex_unlock(&msix->lock);
}

bool msix_enabled(struct msix *msix)
{
	bool enabled;

	pthread_mutex_lock(&msix->lock);
	enabled = msix->enabled;
	pthread_mutex_unlock(&msix->lock);
	return enabled;
}

static void entry_store(const struct msix_vector *vector, uint8_t entry[PCI_MSIX_ENTRY_SIZE])
{
	store_le64(&entry[PCI_MSIX_ENTRY_LOWER_ADDR], vector->message.address);
	store_le32(&entry[PCI_MSIX_ENTRY_DATA], vector->message.data);
	store_le32(&entry[PCI_MSIX_ENTRY_VECTOR_CTRL],
		   vector->masked ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0);
}

uint64_t msix_table_read(struct msix *msix, uint64_t offset, unsigned length)
{
	uint64_t index = offset / PCI_MSIX_ENTRY_SIZE;
	uint8_t entry[PCI_MSIX_ENTRY_SIZE];

	offset %= PCI_MSIX_ENTRY_SIZE;
	if (index >= msix->vector_count || !range_within(offset, length, sizeof(entry)))
		return 0;
	pthread_mutex_lock(&msix->lock);
	entry_store(&msix->vectors[index], entry);
	pthread_mutex_unlock(&msix->lock);
	return load_le(&entry[offset], length);
}

void msix_table_write(struct msix *msix, uint64_t offset, unsigned length, uint64_t value)
{
	uint64_t index = offset / PCI_MSIX_ENTRY_SIZE;
	uint8_t entry[PCI_MSIX_ENTRY_SIZE];
	struct msix_vector *vector;

	offset %= PCI_MSIX_ENTRY_SIZE;
	if (index >= msix->vector_count || (length != 4 && length != 8) ||
	    !is_aligned(offset, length))
		return;
	vector = &msix->vectors[index];
	pthread_mutex_lock(&msix->lock);
	entry_store(vector, entry);
	store_le(&entry[offset], value, length);
	vector->message.address = load_le64(&entry[PCI_MSIX_ENTRY_LOWER_ADDR]);
	vector->message.data = load_le32(&entry[PCI_MSIX_ENTRY_DATA]);
	vector->masked = load_le32(&entry[PCI_MSIX_ENTRY_VECTOR_CTRL]) &
			 PCI_MSIX_ENTRY_CTRL_MASKBIT;
	vector_update(msix, (unsigned)index);
	pthread_mutex_unlock(&msix->lock);
}

uint64_t msix_pending_read(struct msix *msix, uint64_t offset, unsigned length)
{
	uint64_t bits = 0, first = offset * 8;

	pthread_mutex_lock(&msix->lock);
	for (unsigned i = 0; msix->enabled && i < msix->source_count; i++) {
		const struct msix_source *source = &msix->sources[i];

		if (source->vector == MSIX_NO_VECTOR || source->attached ||
		    source->vector < first || source->vector - first >= PENDING_BITS_READ)
			continue;
		if (event_fd_pending(source->event_fd))
			bits |= BIT64(source->vector - first);
	}
	pthread_mutex_unlock(&msix->lock);
	return bits & all_ones(length);
}

/* ---- Life ---- */

static void vectors_reset(struct msix *msix)
{
	for (unsigned i = 0; i < msix->vector_count; i++)
		msix->vectors[i] = (struct msix_vector){ .masked = true, .gsi = -1 };
}

void msix_reset(struct msix *msix)
{
	pthread_mutex_lock(&msix->lock);
	msix->enabled = false;
	msix->open = false;
	unmap_all(msix);
	vectors_reset(msix);
	pthread_mutex_unlock(&msix->lock);
}

static void add_capability(struct msix *msix, const struct msix_config *config)
{
	struct pci_function *function = msix->function;
	unsigned offset = pci_add_capability(function, PCI_CAP_ID_MSIX, PCI_CAP_MSIX_SIZEOF);

	store_le16(&function->config[offset + PCI_MSIX_FLAGS],
		   (uint16_t)(config->vector_count - 1));
	store_le32(&function->config[offset + PCI_MSIX_TABLE], config->table_offset | config->bar);
	store_le32(&function->config[offset + PCI_MSIX_PBA], config->pba_offset | config->bar);
	store_le16(&function->writable[offset + PCI_MSIX_FLAGS],
		   PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	msix->capability = offset;
}

int msix_init(struct msix *msix, const struct msix_config *config)
{
	int error;

	assert(config->vector_count >= 1 && config->vector_count <= MSIX_VECTORS_MAX);
	*msix = (struct msix){
		.name = config->name,
		.irqs = config->irqs,
		.function = config->function,
		.vectors = calloc(config->vector_count, sizeof(struct msix_vector)),
		.vector_count = config->vector_count,
		.sources = calloc(config->source_count, sizeof(struct msix_source)),
		.source_count = config->source_count,
	};
	error = pthread_mutex_init(&msix->lock, NULL);
	if (!msix->vectors || !msix->sources || error) {
		free(msix->vectors);
		free(msix->sources);
		return fail_host(ENOMEM, "%s: MSI-X table: out of memory", msix->name);
	}
	vectors_reset(msix);
	for (unsigned i = 0; i < msix->source_count; i++)
		msix->sources[i] = (struct msix_source){ -1, MSIX_NO_VECTOR, false };
	add_capability(msix, config);
	return 0;
}

void msix_set_source(struct msix *msix, unsigned source, int event_fd)
{
	assert(source < msix->source_count);
	msix->sources[source].event_fd = event_fd;
}

void msix_destroy(struct msix *msix)
{
	msix_reset(msix);
	free(msix->vectors);
	free(msix->sources);
	pthread_mutex_destroy(&msix->lock);
}
