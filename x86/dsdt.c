// SPDX-License-Identifier: MIT
/*
 * The DSDT's contents. Each function writes the ASL in its comment. Control
 * thread, no state.
 */
#include "x86/dsdt.h"

#include "base/bytes.h"
#include "boot/aml.h"
#include "hw/power.h"
#include "x86/layout.h"

#define DSDT_REVISION 2 /* integers of 64 bits */

#define NOTIFY_BUTTON_PRESSED 0x80

/* _OSC, PCI Firmware Specification 3.3, 4.5.1. */
#define OSC_UUID             "33DB4D5B-1FF7-401C-9657-7441C03DD766"
#define OSC_UNKNOWN_UUID     0x04
#define OSC_UNKNOWN_REVISION 0x08
#define OSC_MASKED           0x10
/* Hot plug, PME, AER, the capability structure, LTR: all but SHPC, which we'd not have. */
#define OSC_GRANTED 0x3d

#define PCI_SLOTS 32
#define PCI_PINS  4

/* Each kind of device is there once. */
static struct aml_block device_begin(struct acpi_writer *writer, const char *name)
{
	struct aml_block device = aml_device_begin(writer, name);

	aml_name_integer(writer, "_UID", 0);
	return device;
}

static struct aml_block current_resources_begin(struct acpi_writer *writer)
{
	aml_name(writer, "_CRS");
	return aml_resources_begin(writer);
}

/* name |= bits */
static void put_or_into(struct acpi_writer *writer, const char *name, uint64_t bits)
{
	aml_operator(writer, AML_OR);
	aml_path(writer, name);
	aml_integer(writer, bits);
	aml_path(writer, name);
}

/* CreateDWordField (Arg<argument>, offset, name) */
static void put_dword_field(struct acpi_writer *writer, unsigned argument, unsigned offset,
			    const char *name)
{
	aml_operator(writer, AML_CREATE_DWORD_FIELD);
	aml_argument(writer, argument);
	aml_integer(writer, offset);
	aml_path(writer, name);
}

/*
 * If (Arg0 == UUID)
 * {
 *         CreateDWordField (Arg3, 8, CDW3)
 *         Local0 = CDW3 & OSC_GRANTED
 *         If (!(Arg1 == 1))
 *                 CDW1 |= OSC_UNKNOWN_REVISION
 *         If (!(CDW3 == Local0))
 *                 CDW1 |= OSC_MASKED
 *         CDW3 = Local0
 * }
 */
static void put_osc_pci(struct acpi_writer *writer)
{
	struct aml_block right_uuid, wrong;

	right_uuid = aml_if_begin(writer);
	aml_operator(writer, AML_EQUAL);
	aml_argument(writer, 0);
	aml_uuid(writer, OSC_UUID);

	put_dword_field(writer, 3, 8, "CDW3");
	aml_operator(writer, AML_AND);
	aml_path(writer, "CDW3");
	aml_integer(writer, OSC_GRANTED);
	aml_operator(writer, AML_LOCAL0);

	wrong = aml_if_begin(writer);
	aml_operator(writer, AML_NOT);
	aml_operator(writer, AML_EQUAL);
	aml_argument(writer, 1);
	aml_integer(writer, 1);
	put_or_into(writer, "CDW1", OSC_UNKNOWN_REVISION);
	aml_end(writer, wrong);

	wrong = aml_if_begin(writer);
	aml_operator(writer, AML_NOT);
	aml_operator(writer, AML_EQUAL);
	aml_path(writer, "CDW3");
	aml_operator(writer, AML_LOCAL0);
	put_or_into(writer, "CDW1", OSC_MASKED);
	aml_end(writer, wrong);

	aml_operator(writer, AML_STORE);
	aml_operator(writer, AML_LOCAL0);
	aml_path(writer, "CDW3");
	aml_end(writer, right_uuid);
}

/*
 * Method (_OSC, 4, Serialized)
 * {
 *         CreateDWordField (Arg3, 0, CDW1)
 *         (put_osc_pci)
 *         Else
 *                 CDW1 |= OSC_UNKNOWN_UUID
 *         Return (Arg3)
 * }
 */
static void put_osc(struct acpi_writer *writer)
{
	struct aml_block method = aml_method_begin(writer, "_OSC", 4, true);
	struct aml_block wrong_uuid;

	put_dword_field(writer, 3, 0, "CDW1");
	put_osc_pci(writer);
	wrong_uuid = aml_else_begin(writer);
	put_or_into(writer, "CDW1", OSC_UNKNOWN_UUID);
	aml_end(writer, wrong_uuid);
	aml_operator(writer, AML_RETURN);
	aml_argument(writer, 3);
	aml_end(writer, method);
}

/* Name (_PRT, Package () { Package () { slot << 16 | 0xffff, pin, 0, gsi }, ... }) */
static void put_interrupt_routes(struct acpi_writer *writer)
{
	struct aml_block routes, route;

	aml_name(writer, "_PRT");
	routes = aml_package_begin(writer, PCI_SLOTS * PCI_PINS);
	for (uint32_t slot = 0; slot < PCI_SLOTS; slot++)
		for (uint32_t pin = 0; pin < PCI_PINS; pin++) {
			route = aml_package_begin(writer, 4);
			aml_integer(writer, slot << 16 | 0xffff);
			aml_integer(writer, pin);
			aml_integer(writer, 0);
			aml_integer(writer, LAYOUT_INTX_GSI + (slot + pin) % PCI_PINS);
			aml_end(writer, route);
		}
	aml_end(writer, routes);
}

static void put_pci_host(const struct acpi_config *config, struct acpi_writer *writer)
{
	struct aml_block device = device_begin(writer, "PCI0"), resources;

	aml_name_eisa_id(writer, "_HID", "PNP0A08");
	aml_name_eisa_id(writer, "_CID", "PNP0A03");
	aml_name_integer(writer, "_SEG", 0);
	aml_name_integer(writer, "_BBN", 0);
	aml_name_integer(writer, "_CCA", 1);
	resources = current_resources_begin(writer);
	aml_window_bus(writer, 0, LAYOUT_PCI_BUSES);
	aml_io_ports(writer, 0xcf8, 8);
	aml_window_memory32(writer, (uint32_t)config->window32.base,
			    (uint32_t)config->window32.size);
	aml_window_memory64(writer, config->window64.base, config->window64.size);
	aml_end(writer, resources);
	put_osc(writer);
	put_interrupt_routes(writer);
	aml_end(writer, device);
}

/* The configuration space, set aside as MCFG wants it, and our own ports. */
static void put_motherboard(struct acpi_writer *writer)
{
	struct aml_block device = device_begin(writer, "MBRD"), resources;

	aml_name_eisa_id(writer, "_HID", "PNP0C02");
	resources = current_resources_begin(writer);
	aml_memory_fixed(writer, LAYOUT_ECAM_GPA, LAYOUT_ECAM_BYTES);
	aml_io_ports(writer, LAYOUT_POWER_PORT, POWER_REGISTERS);
	aml_end(writer, resources);
	aml_end(writer, device);
}

static void put_serial(struct acpi_writer *writer)
{
	struct aml_block device = device_begin(writer, "COM1"), resources;

	aml_name_eisa_id(writer, "_HID", "PNP0501");
	resources = current_resources_begin(writer);
	aml_io_ports(writer, LAYOUT_SERIAL_PORT, 8);
	aml_interrupt_edge(writer, LAYOUT_SERIAL_GSI);
	aml_end(writer, resources);
	aml_end(writer, device);
}

static void put_pvpanic(struct acpi_writer *writer)
{
	struct aml_block device = device_begin(writer, "PVPN"), resources;

	aml_name_string(writer, "_HID", "QEMU0001");
	resources = current_resources_begin(writer);
	aml_io_ports(writer, LAYOUT_PVPANIC_PORT, 1);
	aml_end(writer, resources);
	aml_end(writer, device);
}

static void put_power_button(struct acpi_writer *writer)
{
	struct aml_block device = device_begin(writer, "PWRB");

	aml_name_eisa_id(writer, "_HID", "PNP0C0C");
	aml_end(writer, device);
}

/*
 * Method (_EVT, 1, Serialized)
 * {
 *         Local0 = EVTS (a read takes them all)
 *         If (Local0 & POWER_EVENT_BUTTON)
 *                 Notify (\_SB.PWRB, 0x80)
 * }
 */
static void put_event_method(struct acpi_writer *writer)
{
	struct aml_block method = aml_method_begin(writer, "_EVT", 1, true), pressed;

	aml_operator(writer, AML_STORE);
	aml_path(writer, "EVTS");
	aml_operator(writer, AML_LOCAL0);
	pressed = aml_if_begin(writer);
	aml_operator(writer, AML_AND);
	aml_operator(writer, AML_LOCAL0);
	aml_integer(writer, POWER_EVENT_BUTTON);
	aml_integer(writer, 0); /* no target */
	aml_operator(writer, AML_NOTIFY);
	aml_path(writer, "\\_SB.PWRB");
	aml_integer(writer, NOTIFY_BUTTON_PRESSED);
	aml_end(writer, pressed);
	aml_end(writer, method);
}

/* The generic event device (ACPI 6.5, 5.6.9): one interrupt, one event register. */
static void put_event_device(struct acpi_writer *writer)
{
	struct aml_block device = device_begin(writer, "GED0"), resources;

	aml_name_string(writer, "_HID", "ACPI0013");
	resources = current_resources_begin(writer);
	aml_interrupt_edge(writer, LAYOUT_EVENT_GSI);
	aml_end(writer, resources);
	aml_region(writer, "EVTR", ACPI_SPACE_IO, LAYOUT_POWER_PORT + POWER_EVENTS, 4);
	aml_field_u32(writer, "EVTR", "EVTS");
	put_event_method(writer);
	aml_end(writer, device);
}

/* Name (\_S5, Package () { type, type }): what to write into SLP_TYP to turn off. */
static void put_sleep_states(struct acpi_writer *writer)
{
	struct aml_block values;

	aml_name(writer, "\\_S5");
	values = aml_package_begin(writer, 4);
	aml_integer(writer, POWER_SLEEP_TYPE_OFF);
	aml_integer(writer, POWER_SLEEP_TYPE_OFF);
	aml_integer(writer, 0);
	aml_integer(writer, 0);
	aml_end(writer, values);
}

uint64_t dsdt_write(const struct acpi_config *config, struct acpi_writer *writer)
{
	size_t start = acpi_table_begin(writer, "DSDT", DSDT_REVISION);
	struct aml_block system = aml_scope_begin(writer, "\\_SB");

	put_pci_host(config, writer);
	put_motherboard(writer);
	put_serial(writer);
	put_pvpanic(writer);
	put_power_button(writer);
	put_event_device(writer);
	aml_end(writer, system);
	put_sleep_states(writer);
	return acpi_table_end(writer, start);
}
