// SPDX-License-Identifier: MIT
/*
 * From an address to a function's configuration space, and from what its
 * registers say to BARs on the bus. vCPU threads; every handler here takes
 * pci_host.lock and holds it while the function's ops run.
 */
#include "hw/pci_host.h"

#include <assert.h>
#include <errno.h>
#include <linux/pci.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"

#define ECAM_BUS_SHIFT 20
#define ECAM_FUNCTION_SHIFT 12
#define ECAM_FUNCTION_BYTES (1u << ECAM_FUNCTION_SHIFT)

#define ADDRESS_PORT 0xcf8
#define DATA_PORT 0xcfc
#define PORT_BYTES 4
#define ADDRESS_ENABLE (1u << 31)
#define ADDRESS_WRITABLE (ADDRESS_ENABLE | 0x00fffffc)

#define SLOTS 32
#define SLOT_FUNCTIONS 8
#define PINS 4

#define HEADER_TYPE_MULTIFUNCTION 0x80 /* PCI 3.0, 6.2.1: in function 0, that it has company */

/*
 * The window is as large as BARs can want to be, and aligned so that RAM that
 * differs by little gives the same addresses.
 */
#define WINDOW64_BYTES_MAX (256 * GIB)
#define WINDOW64_BYTES_MIN (1 * GIB)
#define WINDOW64_ALIGNMENT (4 * GIB)

#define CLASS_BRIDGE_HOST 0x0600

/*
 * The published id of a host bridge without registers of its own ("generic PCIe
 * host bridge", from the range that Red Hat gives to virtual hardware). Linux
 * has neither a driver nor a quirk for it; the ids of real chipsets bring both,
 * and probes of registers that are not here.
 */
static const struct pci_identity bridge_identity = {
	.vendor = 0x1b36,
	.device = 0x0008,
	.class_code = CLASS_BRIDGE_HOST,
};

static const struct pci_ops bridge_ops = { 0 };

/* ---- BARs ---- */

static bool window_holds(const struct pci_window *window, uint64_t gpa, uint64_t size)
{
	return gpa >= window->base && range_within(gpa - window->base, size, window->size);
}

/* Whether the registers ask for a place that a BAR may have. */
static bool bar_wanted(const struct pci_host *host, const struct pci_function *function,
		       unsigned bar)
{
	uint64_t gpa = pci_bar_gpa(function, bar), size = function->bars[bar].region->size;

	return (pci_command(function) & PCI_COMMAND_MEMORY) &&
	       (window_holds(&host->config.memory32, gpa, size) ||
		window_holds(&host->config.memory64, gpa, size));
}

static void bar_set_decoded(struct pci_function *function, unsigned bar, bool decoded)
{
	function->bars[bar].decoded = decoded;
	if (function->ops->bar_moved)
		function->ops->bar_moved(function, bar);
}

static void bar_leave(struct pci_host *host, struct pci_function *function, unsigned bar)
{
	bar_set_decoded(function, bar, false);
	bus_remove(host->config.mmio, function->bars[bar].region);
}

/* -EEXIST: something is there already, so the BAR stays undecoded. */
static void bar_join(struct pci_host *host, struct pci_function *function, unsigned bar)
{
	struct region *region = function->bars[bar].region;

	region->base = pci_bar_gpa(function, bar);
	if (bus_add(host->config.mmio, region) == 0)
		bar_set_decoded(function, bar, true);
}

static void bars_leave(struct pci_host *host, struct pci_function *function)
{
	for (unsigned bar = 0; bar < PCI_BARS; bar++)
		if (function->bars[bar].decoded)
			bar_leave(host, function, bar);
}

static void bars_join(struct pci_host *host, struct pci_function *function)
{
	for (unsigned bar = 0; bar < PCI_BARS; bar++) {
		const struct pci_bar *found = &function->bars[bar];

		if (found->region && !found->decoded && bar_wanted(host, function, bar))
			bar_join(host, function, bar);
	}
}

/*
 * After Command or a BAR of one function was written. The half-written state of
 * a 64-bit BAR is a state like any other: what the registers hold is inside a
 * window and free, or is not decoded. Other functions follow, as one of theirs
 * may have waited for the place that has become free.
 */
static void bars_update(struct pci_host *host, struct pci_function *function)
{
	for (unsigned bar = 0; bar < PCI_BARS; bar++) {
		const struct pci_bar *found = &function->bars[bar];

		if (found->decoded && (!bar_wanted(host, function, bar) ||
				       found->region->base != pci_bar_gpa(function, bar)))
			bar_leave(host, function, bar);
	}
	bars_join(host, function);
	for (unsigned address = 0; address < PCI_HOST_FUNCTIONS; address++)
		if (host->functions[address])
			bars_join(host, host->functions[address]);
}

/* ---- Configuration space ---- */

static struct pci_function *function_at(struct pci_host *host, uint32_t address)
{
	return address < PCI_HOST_FUNCTIONS ? host->functions[address] : NULL;
}

static bool access_valid(unsigned offset, unsigned length)
{
	return length <= 4 && is_aligned(offset, length);
}

static uint64_t config_read(struct pci_host *host, uint32_t address, unsigned offset,
			    unsigned length)
{
	struct pci_function *function;
	uint64_t value = all_ones(length);

	if (!access_valid(offset, length))
		return value;
	pthread_mutex_lock(&host->lock);
	function = function_at(host, address);
	if (function)
		value = pci_config_read(function, offset, length);
	pthread_mutex_unlock(&host->lock);
	return value;
}

static void config_write(struct pci_host *host, uint32_t address, unsigned offset,
			 unsigned length, uint32_t value)
{
	struct pci_function *function;

	if (!access_valid(offset, length))
		return;
	pthread_mutex_lock(&host->lock);
	function = function_at(host, address);
	if (function) {
		pci_config_write(function, offset, length, value);
		if (offset < PCI_BASE_ADDRESS_5 + 4)
			bars_update(host, function);
	}
	pthread_mutex_unlock(&host->lock);
}

static uint64_t ecam_read(struct region *region, uint64_t offset, unsigned length)
{
	struct pci_host *host = container_of(region, struct pci_host, ecam);

	return config_read(host, (uint32_t)(offset >> ECAM_FUNCTION_SHIFT),
			   offset % ECAM_FUNCTION_BYTES, length);
}

static void ecam_write(struct region *region, uint64_t offset, unsigned length, uint64_t value)
{
	struct pci_host *host = container_of(region, struct pci_host, ecam);

	config_write(host, (uint32_t)(offset >> ECAM_FUNCTION_SHIFT),
		     offset % ECAM_FUNCTION_BYTES, length, (uint32_t)value);
}

static const struct region_ops ecam_ops = { ecam_read, ecam_write };

/* CF8 is a register of one double word: narrower accesses were never it. */
static uint64_t address_port_read(struct region *region, uint64_t offset, unsigned length)
{
	struct pci_host *host = container_of(region, struct pci_host, address_port);
	uint32_t address;

	(void)offset;
	if (length != PORT_BYTES)
		return all_ones(length);
	pthread_mutex_lock(&host->lock);
	address = host->address;
	pthread_mutex_unlock(&host->lock);
	return address;
}

static void address_port_write(struct region *region, uint64_t offset, unsigned length,
			       uint64_t value)
{
	struct pci_host *host = container_of(region, struct pci_host, address_port);

	(void)offset;
	if (length != PORT_BYTES)
		return;
	pthread_mutex_lock(&host->lock);
	host->address = (uint32_t)value & ADDRESS_WRITABLE;
	pthread_mutex_unlock(&host->lock);
}

static const struct region_ops address_port_ops = { address_port_read, address_port_write };

static uint32_t address_port_value(struct pci_host *host)
{
	return (uint32_t)address_port_read(&host->address_port, 0, PORT_BYTES);
}

static uint64_t data_port_read(struct region *region, uint64_t offset, unsigned length)
{
	struct pci_host *host = container_of(region, struct pci_host, data_port);
	uint32_t address = address_port_value(host);

	if (!(address & ADDRESS_ENABLE))
		return all_ones(length);
	return config_read(host, (address & ~ADDRESS_ENABLE) >> 8,
			   (address & 0xff) + (unsigned)offset, length);
}

static void data_port_write(struct region *region, uint64_t offset, unsigned length,
			    uint64_t value)
{
	struct pci_host *host = container_of(region, struct pci_host, data_port);
	uint32_t address = address_port_value(host);

	if (address & ADDRESS_ENABLE)
		config_write(host, (address & ~ADDRESS_ENABLE) >> 8,
			     (address & 0xff) + (unsigned)offset, length, (uint32_t)value);
}

static const struct region_ops data_port_ops = { data_port_read, data_port_write };

/* ---- Windows and slots ---- */

bool pci_window64(uint64_t above, unsigned physical_bits, struct pci_window *window)
{
	uint64_t limit = BIT64(physical_bits > 52 ? 52 : physical_bits);
	uint64_t base;

	if (above > limit)
		return false;
	base = align_up(above, WINDOW64_ALIGNMENT);
	if (base > limit || limit - base < WINDOW64_BYTES_MIN)
		return false;
	window->base = base;
	window->size = min_u64(limit - base, WINDOW64_BYTES_MAX);
	return true;
}

/* The next aligned place in a window, and past it; false when it is full. */
static bool window_take(const struct pci_window *window, uint64_t *next, uint64_t size,
			uint64_t *gpa)
{
	*gpa = align_up(*next, size);
	if (*gpa < *next || !window_holds(window, *gpa, size))
		return false;
	*next = *gpa + size;
	return true;
}

static int bars_place(struct pci_host *host, struct pci_function *function)
{
	for (unsigned bar = 0; bar < PCI_BARS; bar++) {
		const struct pci_bar *found = &function->bars[bar];
		uint64_t gpa;

		if (!found->region)
			continue;
		if (!window_take(&host->config.memory32, &host->next32, found->region->size,
				 &gpa) &&
		    (!found->is_64bit || !window_take(&host->config.memory64, &host->next64,
						      found->region->size, &gpa)))
			return fail(ENOSPC, "%s: no room for its PCI BARs; use fewer devices",
				    function->name);
		pci_bar_set_gpa(function, bar, gpa);
	}
	return 0;
}

/* A slot for each as long as there are slots: an INTx line then has the fewest. */
static bool address_find(const struct pci_host *host, uint16_t *address)
{
	for (unsigned number = 0; number < SLOT_FUNCTIONS; number++)
		for (unsigned slot = number ? 1 : 0; slot < SLOTS; slot++) {
			*address = PCI_DEVFN(slot, number);
			if (!host->functions[*address])
				return true;
		}
	return false;
}

/* Function 0 of a slot says whether there are others. */
static void multifunction_show(struct pci_function *first)
{
	first->config[PCI_HEADER_TYPE] |= HEADER_TYPE_MULTIFUNCTION;
	first->initial[PCI_HEADER_TYPE] |= HEADER_TYPE_MULTIFUNCTION;
}

int pci_host_add(struct pci_host *host, struct pci_function *function)
{
	int error;

	if (!address_find(host, &function->address))
		return fail(ENOSPC, "%s: the PCI bus is full with %u devices; use fewer",
			    function->name, PCI_HOST_DEVICES);
	error = bars_place(host, function);
	if (error)
		return error;
	if (function->config[PCI_INTERRUPT_PIN])
		function->config[PCI_INTERRUPT_LINE] = (uint8_t)pci_host_pin_gsi(host, function);
	memcpy(function->initial, function->config, sizeof(function->initial));
	pthread_mutex_lock(&host->lock);
	host->functions[function->address] = function;
	if (PCI_FUNC(function->address))
		multifunction_show(host->functions[PCI_DEVFN(PCI_SLOT(function->address), 0)]);
	pthread_mutex_unlock(&host->lock);
	return 0;
}

void pci_host_remove(struct pci_host *host, struct pci_function *function)
{
	pthread_mutex_lock(&host->lock);
	assert(function_at(host, function->address) == function);
	bars_leave(host, function);
	host->functions[function->address] = NULL;
	pthread_mutex_unlock(&host->lock);
}

uint32_t pci_host_pin_gsi(const struct pci_host *host, const struct pci_function *function)
{
	return host->config.intx_gsis[PCI_SLOT(function->address) % PINS];
}

void pci_host_reset(struct pci_host *host)
{
	pthread_mutex_lock(&host->lock);
	host->address = 0;
	for (unsigned address = 0; address < PCI_HOST_FUNCTIONS; address++) {
		struct pci_function *function = host->functions[address];

		if (!function)
			continue;
		bars_leave(host, function);
		memcpy(function->config, function->initial, sizeof(function->config));
		if (function->ops->reset)
			function->ops->reset(function);
	}
	pthread_mutex_unlock(&host->lock);
}

static int regions_add(struct pci_host *host)
{
	int error = bus_add(host->config.mmio, &host->ecam);

	if (!error && host->config.ports)
		error = bus_add(host->config.ports, &host->address_port);
	if (!error && host->config.ports)
		error = bus_add(host->config.ports, &host->data_port);
	return error;
}

int pci_host_init(struct pci_host *host, const struct pci_host_config *config)
{
	int error;

	*host = (struct pci_host){
		.config = *config,
		.ecam = { &ecam_ops, "PCI configuration space", config->ecam_base,
			  (uint64_t)config->bus_count << ECAM_BUS_SHIFT },
		.address_port = { &address_port_ops, "PCI address", ADDRESS_PORT, PORT_BYTES },
		.data_port = { &data_port_ops, "PCI data", DATA_PORT, PORT_BYTES },
		.next32 = config->memory32.base,
		.next64 = config->memory64.base,
	};
	error = pthread_mutex_init(&host->lock, NULL);
	if (error)
		return fail_host(error, "PCI host: mutex: %s", strerror(error));
	error = regions_add(host);
	if (error) {
		pci_host_destroy(host);
		return fail(-error, "PCI host: its addresses are taken: %s", strerror(-error));
	}
	pci_function_init(&host->bridge, "PCI host bridge", &bridge_ops, &bridge_identity);
	return pci_host_add(host, &host->bridge);
}

void pci_host_destroy(struct pci_host *host)
{
	if (host->config.ports) {
		bus_remove(host->config.ports, &host->data_port);
		bus_remove(host->config.ports, &host->address_port);
	}
	bus_remove(host->config.mmio, &host->ecam);
	pthread_mutex_destroy(&host->lock);
}
