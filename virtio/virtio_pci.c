// SPDX-License-Identifier: MIT
/*
 * The PCI function of a virtio device: capabilities, one BAR, doorbells, the
 * window in configuration space. vCPU threads. Handlers of the BAR hold no lock
 * of their own; those of configuration space run under pci_host.lock, may take
 * the locks below it, and reach the BAR's handlers only through the window.
 */
#include "virtio/virtio_pci.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/doorbell.h"
#include "hw/intx.h"
#include "hw/msix.h"
#include "hw/pci.h"
#include "virtio/registers.h"
#include "virtio/virtio_pci_common.h"

#define VENDOR_VIRTIO 0x1af4
#define DEVICE_MODERN 0x1040 /* plus the device's type */
#define REVISION_MODERN 1
#define VIRTIO_PCI_ISR_QUEUE 0x1 /* beside VIRTIO_PCI_ISR_CONFIG, which the header has */

/*
 * One 64-bit BAR, each structure in a page of its own:
 *
 *	0x0000	common configuration
 *	0x1000	interrupt status
 *	0x2000	device configuration
 *	0x3000	doorbells, one each 4 bytes
 *	0x4000	MSI-X table
 *	0x5000	MSI-X pending bits
 *
 * Not prefetchable, as reading the interrupt status clears it.
 */
#define VIRTIO_BAR 0
#define PAGE_BYTES UINT64_C(0x1000)
enum page { PAGE_COMMON, PAGE_ISR, PAGE_DEVICE, PAGE_NOTIFY, PAGE_TABLE, PAGE_PENDING, PAGES };
#define BAR_BYTES 0x8000
#define PAGE_OFFSET(page) ((page) * PAGE_BYTES)

#define DOORBELL_BYTES 4 /* notify_off_multiplier */
#define QUEUES_MAX (PAGE_BYTES / PCI_MSIX_ENTRY_SIZE - 1)

_Static_assert(PAGES * PAGE_BYTES <= BAR_BYTES, "the BAR holds all pages");
_Static_assert(QUEUES_MAX * DOORBELL_BYTES <= PAGE_BYTES, "the doorbells fit into theirs");

struct virtio_pci {
	struct pci_function function;
	struct virtio_device *device;
	struct pci_host *host;
	struct region bar;
	struct virtio_pci_common common;
	struct msix msix;
	struct intx intx;
	unsigned window; /* offset of the PCI_CFG capability */
	_Atomic uint32_t config_signals; /* of the device's, how many the driver has seen */
	bool *doorbell_attached; /* by queue; pci_host.lock */
	struct log_limit log_limit;
};

static struct virtio_pci *virtio_pci_of(struct pci_function *function)
{
	return container_of(function, struct virtio_pci, function);
}

/* ---- Status ---- */

/*
 * Vectors go first, so that a driver which sees the status read 0 and begins
 * anew on another vCPU does not lose what it has just set.
 */
static void write_status(struct virtio_pci *transport, uint8_t status)
{
	struct virtio_device *device = transport->device;

	if (!status) {
		intx_set_live(&transport->intx, false);
		virtio_pci_common_reset(&transport->common);
		virtio_set_status(device, 0);
		transport->config_signals = device->config_signals;
		return;
	}
	if ((status & VIRTIO_CONFIG_S_DRIVER_OK) && !(device->status & VIRTIO_CONFIG_S_DRIVER_OK))
		intx_forget(&transport->intx);
	virtio_set_status(device, status);
	intx_set_live(&transport->intx, device->status & VIRTIO_CONFIG_S_DRIVER_OK);
}

/*
 * With MSI-X nobody watches config_fd, KVM takes its signals; but the status bit
 * is to be set before the interrupt all the same (4.1.4.5.1).
 */
static uint8_t read_isr(struct virtio_pci *transport)
{
	uint32_t signals = transport->device->config_signals;
	uint8_t status = intx_take_status(&transport->intx);

	if (atomic_exchange(&transport->config_signals, signals) != signals &&
	    msix_enabled(&transport->msix))
		status |= VIRTIO_PCI_ISR_CONFIG;
	return status;
}

/* ---- The BAR ---- */

static uint64_t common_read(struct virtio_pci *transport, uint64_t offset, unsigned length)
{
	return virtio_pci_common_read(&transport->common, offset, length);
}

static void common_write(struct virtio_pci *transport, uint64_t offset, unsigned length,
			 uint64_t value)
{
	if (offset == VIRTIO_PCI_COMMON_STATUS && length == 1)
		write_status(transport, (uint8_t)value);
	else
		virtio_pci_common_write(&transport->common, offset, length, value);
}

static uint64_t isr_read(struct virtio_pci *transport, uint64_t offset, unsigned length)
{
	(void)length;
	return offset == 0 ? read_isr(transport) : 0;
}

static uint64_t device_read(struct virtio_pci *transport, uint64_t offset, unsigned length)
{
	return virtio_config_read(transport->device, offset, length);
}

static void device_write(struct virtio_pci *transport, uint64_t offset, unsigned length,
			 uint64_t value)
{
	virtio_config_write(transport->device, offset, length, value);
}

/*
 * Where KVM did not catch the write: through the window, or in the moment
 * before the doorbells have followed the BAR. As with KVM the address says which
 * queue; value and width don't matter.
 */
static void notify_write(struct virtio_pci *transport, uint64_t offset, unsigned length,
			 uint64_t value)
{
	uint64_t queue = offset / DOORBELL_BYTES;

	(void)length;
	(void)value;
	if (offset % DOORBELL_BYTES == 0 && queue < transport->device->queue_count)
		event_fd_signal(transport->device->queues[queue].kick_fd);
}

static uint64_t table_read(struct virtio_pci *transport, uint64_t offset, unsigned length)
{
	return msix_table_read(&transport->msix, offset, length);
}

static void table_write(struct virtio_pci *transport, uint64_t offset, unsigned length,
			uint64_t value)
{
	msix_table_write(&transport->msix, offset, length, value);
}

static uint64_t pending_read(struct virtio_pci *transport, uint64_t offset, unsigned length)
{
	return msix_pending_read(&transport->msix, offset, length);
}

/* NULL: reads as 0, ignores writes. */
static const struct page_ops {
	uint64_t (*read)(struct virtio_pci *transport, uint64_t offset, unsigned length);
	void (*write)(struct virtio_pci *transport, uint64_t offset, unsigned length,
		      uint64_t value);
} page_ops[PAGES] = {
	[PAGE_COMMON] = { common_read, common_write },
	[PAGE_ISR] = { isr_read, NULL },
	[PAGE_DEVICE] = { device_read, device_write },
	[PAGE_NOTIFY] = { NULL, notify_write },
	[PAGE_TABLE] = { table_read, table_write },
	[PAGE_PENDING] = { pending_read, NULL },
};

/* The page of an access that lies within one; else one that does nothing. */
static const struct page_ops *page_at(uint64_t offset, unsigned length)
{
	static const struct page_ops nothing;

	if (offset / PAGE_BYTES >= PAGES ||
	    offset / PAGE_BYTES != (offset + length - 1) / PAGE_BYTES)
		return &nothing;
	return &page_ops[offset / PAGE_BYTES];
}

static uint64_t bar_read(struct region *region, uint64_t offset, unsigned length)
{
	const struct page_ops *page = page_at(offset, length);

	if (!page->read)
		return 0;
	return page->read(container_of(region, struct virtio_pci, bar), offset % PAGE_BYTES,
			  length);
}

static void bar_write(struct region *region, uint64_t offset, unsigned length, uint64_t value)
{
	const struct page_ops *page = page_at(offset, length);

	if (page->write)
		page->write(container_of(region, struct virtio_pci, bar), offset % PAGE_BYTES,
			    length, value);
}

static const struct region_ops bar_ops = { bar_read, bar_write };

/* ---- Doorbells: where the BAR is decoded, whether the queues are enabled or not ---- */

static void doorbells_move(struct pci_function *function, unsigned bar)
{
	struct virtio_pci *transport = virtio_pci_of(function);
	bool decoded = function->bars[bar].decoded;

	for (unsigned i = 0; i < transport->device->queue_count; i++) {
		struct doorbell doorbell = {
			.address = transport->bar.base + PAGE_OFFSET(PAGE_NOTIFY) +
				   (uint64_t)i * DOORBELL_BYTES,
			.length_bytes = 0,
			.event_fd = transport->device->queues[i].kick_fd,
		};

		if (decoded)
			transport->doorbell_attached[i] =
				doorbell_attach(transport->host->config.kvm, &doorbell) == 0;
		else if (transport->doorbell_attached[i])
			doorbell_detach(transport->host->config.kvm, &doorbell);
		/* Kicks then take the long way, by notify_write(). */
		if (decoded && !transport->doorbell_attached[i])
			log_limited(&transport->log_limit,
				    "%s: queue %u: KVM refuses its doorbell; it will be slow",
				    function->name, i);
	}
}

/* ---- Configuration space ---- */

static bool overlaps(unsigned offset, unsigned length, unsigned field, unsigned bytes)
{
	return ranges_overlap(offset, length, field, bytes);
}

/* The window: where its capability says, an aligned access within the BAR; else false. */
static bool window_target(struct virtio_pci *transport, uint32_t *offset, uint32_t *length)
{
	const uint8_t *capability = &transport->function.config[transport->window];

	*offset = load_le32(capability + VIRTIO_PCI_CAP_OFFSET);
	*length = load_le32(capability + VIRTIO_PCI_CAP_LENGTH);
	return capability[VIRTIO_PCI_CAP_BAR] == VIRTIO_BAR &&
	       (*length == 1 || *length == 2 || *length == 4) && is_aligned(*offset, *length) &&
	       range_within(*offset, *length, BAR_BYTES);
}

static uint8_t *window_data(struct virtio_pci *transport)
{
	return &transport->function.config[transport->window +
					   offsetof(struct virtio_pci_cfg_cap, pci_cfg_data)];
}

static bool overlaps_window_data(struct virtio_pci *transport, unsigned offset, unsigned length)
{
	return overlaps(offset, length,
			(unsigned)(window_data(transport) - transport->function.config),
			sizeof(((struct virtio_pci_cfg_cap *)NULL)->pci_cfg_data));
}

static void config_reading(struct pci_function *function, unsigned offset, unsigned length)
{
	struct virtio_pci *transport = virtio_pci_of(function);
	uint32_t target, bytes;

	if (overlaps(offset, length, PCI_STATUS, 1)) {
		function->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTERRUPT;
		if (intx_status(&transport->intx))
			function->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
	}
	if (overlaps_window_data(transport, offset, length) &&
	    window_target(transport, &target, &bytes))
		store_le(window_data(transport), bar_read(&transport->bar, target, bytes), bytes);
}

static void config_written(struct pci_function *function, unsigned offset, unsigned length)
{
	struct virtio_pci *transport = virtio_pci_of(function);
	unsigned control = transport->msix.capability + PCI_MSIX_FLAGS;
	uint32_t target, bytes;

	if (overlaps(offset, length, PCI_COMMAND, 2) || overlaps(offset, length, control, 2)) {
		msix_config_written(&transport->msix);
		intx_set_msix(&transport->intx, msix_enabled(&transport->msix));
		intx_set_disabled(&transport->intx,
				  pci_command(function) & PCI_COMMAND_INTX_DISABLE);
	}
	if (overlaps_window_data(transport, offset, length) &&
	    window_target(transport, &target, &bytes))
		bar_write(&transport->bar, target, bytes,
			  load_le(window_data(transport), bytes));
}

/* The machine has quiesced the device. */
static void function_reset(struct pci_function *function)
{
	struct virtio_pci *transport = virtio_pci_of(function);

	msix_reset(&transport->msix);
	intx_set_live(&transport->intx, false);
	intx_set_msix(&transport->intx, false);
	intx_set_disabled(&transport->intx, false);
	virtio_pci_common_reset(&transport->common);
	transport->config_signals = transport->device->config_signals;
}

static const struct pci_ops pci_ops = {
	.config_reading = config_reading,
	.config_written = config_written,
	.bar_moved = doorbells_move,
	.reset = function_reset,
};

/* ---- Capabilities ---- */

/* Adds a structure's capability with `extra` bytes behind it; returns its offset. */
static unsigned add_structure(struct virtio_pci *transport, uint8_t type, uint32_t offset,
			      uint32_t bytes, unsigned extra)
{
	unsigned length = (unsigned)sizeof(struct virtio_pci_cap) + extra;
	unsigned at = pci_add_capability(&transport->function, PCI_CAP_ID_VNDR, length);
	uint8_t *capability = &transport->function.config[at];

	capability[VIRTIO_PCI_CAP_LEN] = (uint8_t)length;
	capability[VIRTIO_PCI_CAP_CFG_TYPE] = type;
	capability[VIRTIO_PCI_CAP_BAR] = VIRTIO_BAR;
	store_le32(capability + VIRTIO_PCI_CAP_OFFSET, offset);
	store_le32(capability + VIRTIO_PCI_CAP_LENGTH, bytes);
	return at;
}

static void add_window(struct virtio_pci *transport)
{
	unsigned data_bytes = sizeof(struct virtio_pci_cfg_cap) - sizeof(struct virtio_pci_cap);
	uint8_t *writable;

	transport->window = add_structure(transport, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, data_bytes);
	writable = &transport->function.writable[transport->window];
	writable[VIRTIO_PCI_CAP_BAR] = 0xff;
	store_le32(writable + VIRTIO_PCI_CAP_OFFSET, UINT32_MAX);
	store_le32(writable + VIRTIO_PCI_CAP_LENGTH, UINT32_MAX);
	store_le32(writable + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data), UINT32_MAX);
}

static void add_capabilities(struct virtio_pci *transport)
{
	const struct virtio_device *device = transport->device;
	unsigned notify;

	add_structure(transport, VIRTIO_PCI_CAP_COMMON_CFG, PAGE_OFFSET(PAGE_COMMON),
		      VIRTIO_PCI_COMMON_BYTES, 0);
	add_structure(transport, VIRTIO_PCI_CAP_ISR_CFG, PAGE_OFFSET(PAGE_ISR), 1, 0);
	if (device->config_size)
		add_structure(transport, VIRTIO_PCI_CAP_DEVICE_CFG, PAGE_OFFSET(PAGE_DEVICE),
			      (uint32_t)device->config_size, 0);
	notify = add_structure(transport, VIRTIO_PCI_CAP_NOTIFY_CFG, PAGE_OFFSET(PAGE_NOTIFY),
			       device->queue_count * DOORBELL_BYTES, sizeof(uint32_t));
	store_le32(&transport->function.config[notify + VIRTIO_PCI_NOTIFY_CAP_MULT],
		   DOORBELL_BYTES);
	add_window(transport);
}

/* ---- Life ---- */

static void function_init(struct virtio_pci *transport)
{
	const struct virtio_device *device = transport->device;
	uint16_t id = (uint16_t)(DEVICE_MODERN + device->type->id);
	struct pci_identity identity = {
		.vendor = VENDOR_VIRTIO,
		.device = id,
		.subsystem_vendor = VENDOR_VIRTIO,
		.subsystem = id,
		.class_code = (uint16_t)device->type->pci_class,
		.revision = REVISION_MODERN,
	};

	pci_function_init(&transport->function, device->deps.name, &pci_ops, &identity);
	transport->bar = (struct region){ &bar_ops, device->deps.name, 0, BAR_BYTES };
	pci_add_bar(&transport->function, VIRTIO_BAR, &transport->bar,
		    PCI_BASE_ADDRESS_MEM_TYPE_64);
	pci_add_pin(&transport->function);
	add_capabilities(transport);
}

static int interrupts_init(struct virtio_pci *transport)
{
	const struct virtio_device *device = transport->device;
	unsigned sources = VIRTIO_PCI_SOURCE_QUEUE(device->queue_count);
	struct msix_config msix = {
		.name = device->deps.name,
		.irqs = transport->host->config.irqs,
		.function = &transport->function,
		.vector_count = sources,
		.source_count = sources,
		.bar = VIRTIO_BAR,
		.table_offset = PAGE_OFFSET(PAGE_TABLE),
		.pba_offset = PAGE_OFFSET(PAGE_PENDING),
	};
	int error = msix_init(&transport->msix, &msix);

	if (error)
		return error;
	msix_set_source(&transport->msix, VIRTIO_PCI_SOURCE_CONFIG, device->config_fd);
	for (unsigned i = 0; i < device->queue_count; i++)
		msix_set_source(&transport->msix, VIRTIO_PCI_SOURCE_QUEUE(i),
				device->queues[i].call_fd);
	return 0;
}

/* In its slot, as that says which pin. */
static int pin_init(struct virtio_pci *transport)
{
	const struct virtio_device *device = transport->device;
	struct intx_config config = {
		.name = device->deps.name,
		.irqs = transport->host->config.irqs,
		.worker = device->deps.workers[0],
		.gsi = pci_host_pin_gsi(transport->host, &transport->function),
		.cause_count = VIRTIO_PCI_SOURCE_QUEUE(device->queue_count),
	};
	int error = intx_init(&transport->intx, &config);

	if (error)
		return error;
	intx_set_cause(&transport->intx, VIRTIO_PCI_SOURCE_CONFIG, device->config_fd,
		       VIRTIO_PCI_ISR_CONFIG);
	for (unsigned i = 0; i < device->queue_count; i++)
		intx_set_cause(&transport->intx, VIRTIO_PCI_SOURCE_QUEUE(i),
			       device->queues[i].call_fd, VIRTIO_PCI_ISR_QUEUE);
	return 0;
}

int virtio_pci_create(struct virtio_pci **created, struct virtio_device *device,
		      struct pci_host *host)
{
	struct virtio_pci *transport = calloc(1, sizeof(*transport));
	int error;

	assert(device->queue_count && device->queue_count <= QUEUES_MAX);
	assert(device->config_size <= PAGE_BYTES);
	if (!transport)
		return fail_host(ENOMEM, "%s: out of memory", device->deps.name);
	transport->device = device;
	transport->host = host;
	transport->doorbell_attached = calloc(device->queue_count, sizeof(bool));
	if (!transport->doorbell_attached) {
		error = fail_host(ENOMEM, "%s: out of memory", device->deps.name);
		goto no_doorbells;
	}
	function_init(transport);
	error = interrupts_init(transport);
	if (error)
		goto no_msix;
	virtio_pci_common_init(&transport->common, device, &transport->msix);
	error = pci_host_add(host, &transport->function);
	if (error)
		goto no_slot;
	error = pin_init(transport);
	if (error)
		goto no_pin;
	*created = transport;
	return 0;
no_pin:
	pci_host_remove(host, &transport->function);
no_slot:
	msix_destroy(&transport->msix);
no_msix:
	free(transport->doorbell_attached);
no_doorbells:
	free(transport);
	return error;
}

void virtio_pci_destroy(struct virtio_pci *transport)
{
	struct virtio_device *device = transport->device;

	pci_host_remove(transport->host, &transport->function);
	intx_destroy(&transport->intx);
	msix_destroy(&transport->msix);
	free(transport->doorbell_attached);
	free(transport);
	device->type->destroy(device);
}

struct virtio_device *virtio_pci_device(struct virtio_pci *transport)
{
	return transport->device;
}
