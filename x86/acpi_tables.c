// SPDX-License-Identifier: MIT
/*
 * The fixed tables: RSDP, XSDT, FADT, MADT, MCFG. References are to ACPI 6.5.
 * Control thread.
 */
#include "x86/acpi_tables.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "boot/acpi.h"
#include "hw/power.h"
#include "x86/dsdt.h"
#include "x86/layout.h"

/* FADT, table 5.9: offsets and bits. All that is not set here is for other hardware. */
#define FADT_BYTES          276
#define FADT_REVISION       6
#define FADT_MINOR_REVISION 5
#define FADT_DSDT           40
#define FADT_BOOT_ARCH      109
#define FADT_FLAGS          112
#define FADT_RESET_REGISTER 116
#define FADT_RESET_VALUE    128
#define FADT_MINOR          131
#define FADT_X_DSDT         140
#define FADT_SLEEP_CONTROL  244
#define FADT_SLEEP_STATUS   256

#define BOOT_ARCH_NO_VGA BIT64(2)
#define BOOT_ARCH_NO_RTC BIT64(5) /* and no bit 1: no keyboard controller */

#define FLAG_WBINVD          BIT64(0)
#define FLAG_POWER_BUTTON    BIT64(4) /* no fixed one: there is a device */
#define FLAG_SLEEP_BUTTON    BIT64(5)
#define FLAG_RESET_REGISTER  BIT64(10)
#define FLAG_HEADLESS        BIT64(12)
#define FLAG_HARDWARE_REDUCED BIT64(20)

#define MADT_REVISION   5
#define MADT_LOCAL_APIC 0
#define MADT_IOAPIC     1
#define MADT_X2APIC     9
#define MADT_ENABLED    1
#define XAPIC_ID_MAX    254

#define XSDT_REVISION 1
#define MCFG_REVISION 1

static uint64_t write_fadt(struct acpi_writer *writer, uint64_t dsdt_gpa)
{
	size_t start = acpi_table_begin(writer, "FACP", FADT_REVISION);
	uint8_t *fadt = writer->bytes + start;

	acpi_put_zeros(writer, FADT_BYTES - ACPI_HEADER_BYTES);
	if (writer->overflow)
		return 0;
	store_le32(fadt + FADT_DSDT, (uint32_t)dsdt_gpa);
	store_le64(fadt + FADT_X_DSDT, dsdt_gpa);
	store_le16(fadt + FADT_BOOT_ARCH, BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_RTC);
	store_le32(fadt + FADT_FLAGS, FLAG_WBINVD | FLAG_POWER_BUTTON | FLAG_SLEEP_BUTTON |
					      FLAG_RESET_REGISTER | FLAG_HEADLESS |
					      FLAG_HARDWARE_REDUCED);
	fadt[FADT_MINOR] = FADT_MINOR_REVISION;
	acpi_store_address8(fadt + FADT_RESET_REGISTER, ACPI_SPACE_IO,
			    LAYOUT_POWER_PORT + POWER_RESET);
	fadt[FADT_RESET_VALUE] = POWER_RESET_VALUE;
	acpi_store_address8(fadt + FADT_SLEEP_CONTROL, ACPI_SPACE_IO,
			    LAYOUT_POWER_PORT + POWER_SLEEP_CONTROL);
	acpi_store_address8(fadt + FADT_SLEEP_STATUS, ACPI_SPACE_IO,
			    LAYOUT_POWER_PORT + POWER_SLEEP_STATUS);
	return acpi_table_end(writer, start);
}

/* The APIC id of a vCPU is its index; so is its ACPI id. */
static void put_processor(struct acpi_writer *writer, unsigned index)
{
	if (index <= XAPIC_ID_MAX) {
		acpi_put_u8(writer, MADT_LOCAL_APIC);
		acpi_put_u8(writer, 8); /* length */
		acpi_put_u8(writer, (uint8_t)index);
		acpi_put_u8(writer, (uint8_t)index);
		acpi_put_u32(writer, MADT_ENABLED);
		return;
	}
	acpi_put_u8(writer, MADT_X2APIC);
	acpi_put_u8(writer, 16); /* length */
	acpi_put_u16(writer, 0);
	acpi_put_u32(writer, index);
	acpi_put_u32(writer, MADT_ENABLED);
	acpi_put_u32(writer, index);
}

static uint64_t write_madt(struct acpi_writer *writer, unsigned vcpu_count)
{
	size_t start = acpi_table_begin(writer, "APIC", MADT_REVISION);

	acpi_put_u32(writer, LAYOUT_LOCAL_APIC_GPA);
	acpi_put_u32(writer, 0); /* no 8259A */
	for (unsigned i = 0; i < vcpu_count; i++)
		put_processor(writer, i);
	acpi_put_u8(writer, MADT_IOAPIC);
	acpi_put_u8(writer, 12); /* length */
	acpi_put_u8(writer, 0);  /* its id, as in its register */
	acpi_put_u8(writer, 0);
	acpi_put_u32(writer, LAYOUT_IOAPIC_GPA);
	acpi_put_u32(writer, 0); /* first GSI */
	return acpi_table_end(writer, start);
}

/* PCI Firmware Specification 3.3, 4.1.2. */
static uint64_t write_mcfg(struct acpi_writer *writer)
{
	size_t start = acpi_table_begin(writer, "MCFG", MCFG_REVISION);

	acpi_put_u64(writer, 0);
	acpi_put_u64(writer, LAYOUT_ECAM_GPA);
	acpi_put_u16(writer, 0); /* segment */
	acpi_put_u8(writer, 0);  /* first bus */
	acpi_put_u8(writer, LAYOUT_PCI_BUSES - 1);
	acpi_put_u32(writer, 0);
	return acpi_table_end(writer, start);
}

static uint64_t write_xsdt(struct acpi_writer *writer, const uint64_t *tables, unsigned count)
{
	size_t start = acpi_table_begin(writer, "XSDT", XSDT_REVISION);

	for (unsigned i = 0; i < count; i++)
		acpi_put_u64(writer, tables[i]);
	return acpi_table_end(writer, start);
}

uint64_t acpi_rsdp_gpa(void)
{
	return LAYOUT_ACPI_GPA;
}

int acpi_tables_write(const struct acpi_config *config, const struct guest_memory *memory)
{
	struct acpi_writer writer = {
		.bytes = guest_memory_at(memory, LAYOUT_ACPI_GPA, LAYOUT_ACPI_BYTES),
		.gpa = LAYOUT_ACPI_GPA,
		.capacity = LAYOUT_ACPI_BYTES,
	};
	uint64_t tables[3], dsdt_gpa, xsdt_gpa;

	if (!writer.bytes)
		return fail(EINVAL, "ACPI: no guest memory for the tables; give more with --mem");
	acpi_put_zeros(&writer, ACPI_RSDP_BYTES); /* first, where a search begins */
	dsdt_gpa = dsdt_write(config, &writer);
	tables[0] = write_fadt(&writer, dsdt_gpa);
	tables[1] = write_madt(&writer, config->vcpu_count);
	tables[2] = write_mcfg(&writer);
	xsdt_gpa = write_xsdt(&writer, tables, ARRAY_SIZE(tables));
	if (writer.overflow)
		return fail(ENOSPC, "ACPI: the tables of %u vCPUs take more than %llu KiB",
			    config->vcpu_count, (unsigned long long)(LAYOUT_ACPI_BYTES / KIB));
	acpi_write_rsdp(writer.bytes, xsdt_gpa);
	return 0;
}
