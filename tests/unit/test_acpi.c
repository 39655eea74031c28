// SPDX-License-Identifier: MIT
/*
 * ACPI tables: the encoder byte by byte, then the board's tables found as a
 * guest finds them, and last given to iasl, which must disassemble them and
 * compile the result without an error or a warning.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "boot/aml.h"
#include "hw/power.h"
#include "tests/unit/boot_files.h"
#include "x86/acpi_tables.h"
#include "x86/layout.h"

static uint8_t bytes[1 << 17];

static struct acpi_writer writer_make(size_t capacity)
{
	memset(bytes, 0, sizeof(bytes));
	return (struct acpi_writer){ .bytes = bytes, .gpa = 0xe0000, .capacity = capacity };
}

#define assert_written(writer, text)                                                               \
	do {                                                                                       \
		assert_int_equal((writer).length, sizeof(text) - 1);                               \
		assert_memory_equal(bytes, text, sizeof(text) - 1);                                \
	} while (0)

static void test_integers(void **state)
{
	struct acpi_writer writer = writer_make(sizeof(bytes));

	(void)state;
	aml_integer(&writer, 0);
	aml_integer(&writer, 1);
	aml_integer(&writer, 0xff);
	aml_integer(&writer, 0x100);
	aml_integer(&writer, 0x12345678);
	aml_integer(&writer, UINT64_C(0x1122334455667788));
	assert_written(writer, "\x00\x01\x0a\xff\x0b\x00\x01\x0c\x78\x56\x34\x12"
			       "\x0e\x88\x77\x66\x55\x44\x33\x22\x11");
}

static void test_names(void **state)
{
	struct acpi_writer writer = writer_make(sizeof(bytes));

	(void)state;
	aml_path(&writer, "\\_SB");
	aml_path(&writer, "\\_SB.PWRB");
	aml_path(&writer, "A.B.CD");
	aml_name_eisa_id(&writer, "_HID", "PNP0A08");
	aml_name_string(&writer, "S", "x");
	assert_written(writer, "\\_SB_" "\\\x2e_SB_PWRB" "\x2f\x03" "A___B___CD__"
			       "\x08_HID\x0c\x41\xd0\x0a\x08" "\x08S___\x0dx\0");
}

/* One length byte up to 63 bytes with itself, then two, then three. */
static void test_lengths(void **state)
{
	static const struct {
		size_t content;
		uint8_t expected[4];
	} cases[] = {
		{ 0, { 0x01 } },
		{ 62, { 0x3f } },
		{ 63, { 0x41, 0x04 } },
		{ 4093, { 0x4f, 0xff } },
		{ 4094, { 0x81, 0x00, 0x01 } },
		{ 70000, { 0x83, 0x17, 0x11 } },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct acpi_writer writer = writer_make(sizeof(bytes));
		struct aml_block block = aml_else_begin(&writer);

		acpi_put_zeros(&writer, cases[i].content);
		aml_end(&writer, block);
		assert_false(writer.overflow);
		assert_int_equal(bytes[0], 0xa1);
		assert_memory_equal(bytes + 1, cases[i].expected, cases[i].expected[0] >> 6 ?
				    1u + (cases[i].expected[0] >> 6) : 1u);
	}
}

static void test_resources(void **state)
{
	struct acpi_writer writer = writer_make(sizeof(bytes));
	struct aml_block block = aml_resources_begin(&writer);

	(void)state;
	aml_io_ports(&writer, 0x3f8, 8);
	aml_interrupt_edge(&writer, 4);
	aml_end(&writer, block);
	assert_written(writer, "\x11\x16\x0a\x13" "\x47\x01\xf8\x03\xf8\x03\x01\x08"
			       "\x89\x06\x00\x03\x01\x04\x00\x00\x00" "\x79\x00");
}

static void test_uuid(void **state)
{
	struct acpi_writer writer = writer_make(sizeof(bytes));

	(void)state;
	aml_uuid(&writer, "33DB4D5B-1FF7-401C-9657-7441c03dd766");
	assert_written(writer, "\x11\x13\x0a\x10\x5b\x4d\xdb\x33\xf7\x1f\x1c\x40"
			       "\x96\x57\x74\x41\xc0\x3d\xd7\x66");
}

/* Whatever does not fit leaves what was written, and nothing behind the end. */
static void test_overflow(void **state)
{
	struct acpi_writer writer = writer_make(44);
	size_t start = acpi_table_begin(&writer, "TEST", 1);

	(void)state;
	acpi_put_u64(&writer, UINT64_MAX);
	assert_false(writer.overflow);
	acpi_put_u8(&writer, 0xff);
	acpi_put_zeros(&writer, SIZE_MAX);
	acpi_insert(&writer, 40, "x", 1);
	assert_true(writer.overflow);
	assert_int_equal(writer.length, 44);
	assert_int_equal(bytes[44], 0);
	assert_int_equal(acpi_table_end(&writer, start), 0);
}

/* ---- The board's tables ---- */

struct found {
	const struct guest_memory *memory;
	const uint8_t *xsdt, *fadt, *madt, *mcfg, *dsdt;
};

static const uint8_t *table_at(const struct guest_memory *memory, uint64_t gpa)
{
	const uint8_t *table = guest_memory_at(memory, gpa, 36);

	assert_true(table && gpa >= LAYOUT_ACPI_GPA &&
		    gpa + load_le32(table + 4) <= LAYOUT_ACPI_GPA + LAYOUT_ACPI_BYTES);
	/* The sum of all bytes is 0, so the checksum of a valid table is, too. */
	assert_int_equal(acpi_checksum(table, load_le32(table + 4)), 0);
	return table;
}

static struct found tables_make(unsigned vcpu_count)
{
	struct acpi_config config = {
		.vcpu_count = vcpu_count,
		.window32 = { LAYOUT_PCI_WINDOW32_GPA, LAYOUT_PCI_WINDOW32_BYTES },
		.window64 = { 8 * GIB, 256 * GIB },
	};
	struct found found = { .memory = boot_memory_make(2 * MIB) };
	const uint8_t *rsdp;

	assert_int_equal(acpi_tables_write(&config, found.memory), 0);
	rsdp = guest_memory_at(found.memory, acpi_rsdp_gpa(), 36);
	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(acpi_checksum(rsdp, 20), 0);
	assert_int_equal(acpi_checksum(rsdp, 36), 0);
	found.xsdt = table_at(found.memory, load_le64(rsdp + 24));
	assert_int_equal(load_le32(found.xsdt + 4), 36 + 3 * 8);
	found.fadt = table_at(found.memory, load_le64(found.xsdt + 36));
	found.madt = table_at(found.memory, load_le64(found.xsdt + 44));
	found.mcfg = table_at(found.memory, load_le64(found.xsdt + 52));
	found.dsdt = table_at(found.memory, load_le64(found.fadt + 140));
	assert_memory_equal(found.fadt, "FACP", 4);
	assert_memory_equal(found.madt, "APIC", 4);
	assert_memory_equal(found.mcfg, "MCFG", 4);
	assert_memory_equal(found.dsdt, "DSDT", 4);
	return found;
}

static void test_fixed_tables(void **state)
{
	struct found found = tables_make(2);

	(void)state;
	assert_int_equal(load_le32(found.fadt + 4), 276);
	assert_int_equal(load_le32(found.fadt + 112) & 0x100400, 0x100400);
	assert_int_equal(load_le64(found.fadt + 116 + 4), LAYOUT_POWER_PORT + POWER_RESET);
	assert_int_equal(found.fadt[128], POWER_RESET_VALUE);
	assert_int_equal(found.fadt[244], 1); /* in port space */
	assert_int_equal(load_le64(found.fadt + 244 + 4), LAYOUT_POWER_PORT);
	assert_int_equal(load_le64(found.fadt + 256 + 4), LAYOUT_POWER_PORT + 1);
	assert_int_equal(load_le16(found.fadt + 109), 0x24); /* no VGA, no RTC, no 8042 */
	assert_int_equal(load_le32(found.madt + 40), 0); /* no 8259 */
	assert_memory_equal(found.madt + 44, "\x00\x08\x00\x00\x01\0\0\0\x00\x08\x01\x01", 12);
	assert_int_equal(load_le64(found.mcfg + 44), LAYOUT_ECAM_GPA);
}

/* APIC ids that one byte does not hold have entries of their own kind. */
static void test_many_processors(void **state)
{
	struct found found = tables_make(1000);
	unsigned local = 0, x2 = 0, ioapics = 0;
	uint32_t length = load_le32(found.madt + 4);

	(void)state;
	for (uint32_t at = 44; at < length; at += found.madt[at + 1]) {
		const uint8_t *entry = found.madt + at;

		assert_true(entry[1] >= 8 && at + entry[1] <= length);
		if (entry[0] == 0)
			assert_int_equal(entry[3], local++);
		else if (entry[0] == 9)
			assert_int_equal(load_le32(entry + 4), 255 + x2++);
		else if (entry[0] == 1)
			ioapics++;
	}
	assert_int_equal(local, 255);
	assert_int_equal(x2, 745);
	assert_int_equal(ioapics, 1);
}

static void test_no_room(void **state)
{
	struct acpi_config config = { .vcpu_count = 5000 };
	struct guest_memory *memory = boot_memory_make(2 * MIB);

	(void)state;
	message_begin();
	assert_int_equal(acpi_tables_write(&config, memory), -ENOSPC);
	assert_true(message_end("tables of 5000 vCPUs"));
	memory = boot_memory_make(512 * KIB);
	config.vcpu_count = 1;
	message_begin();
	assert_int_equal(acpi_tables_write(&config, memory), -EINVAL);
	assert_true(message_end("no guest memory for the tables"));
}

/* ---- iasl ---- */

static bool iasl_is_there(void)
{
	return system("iasl -v >/dev/null 2>&1") == 0;
}

static void iasl_check(const char *folder, const char *name, const uint8_t *table)
{
	char path[64], command[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s.aml", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(table, 1, load_le32(table + 4), file), load_le32(table + 4));
	fclose(file);
	/*
	 * -we: a warning is an error. -oa: nothing is optimized, so behind the
	 * header, which iasl signs, the result is what we wrote.
	 */
	snprintf(command, sizeof(command),
		 "cd %s && iasl -d %s.aml >log 2>&1 && ! grep -iE 'error|warning' log &&"
		 " iasl -we -oa -p again %s.dsl >>log 2>&1 && cmp -i 36 %s.aml again.aml >>log 2>&1"
		 " || { cat log; false; }", folder, name, name, name);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "grep -q ' 0 Errors, 0 Warnings' %s/log", folder);
	assert_int_equal(system(command), 0);
}

static void test_iasl(void **state)
{
	char folder[] = "/tmp/ringvm-acpi-XXXXXX", command[64];
	struct found found = tables_make(300);

	(void)state;
	if (!iasl_is_there()) {
		print_message("iasl is missing; on Debian: apt-get install acpica-tools\n");
		return;
	}
	assert_non_null(mkdtemp(folder));
	iasl_check(folder, "fadt", found.fadt);
	iasl_check(folder, "madt", found.madt);
	iasl_check(folder, "mcfg", found.mcfg);
	iasl_check(folder, "xsdt", found.xsdt);
	iasl_check(folder, "dsdt", found.dsdt);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_resources),
		cmocka_unit_test(test_uuid),
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_fixed_tables),
		cmocka_unit_test(test_many_processors),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_iasl),
	};

	int failed = cmocka_run_group_tests(tests, NULL, boot_teardown);

	/* 77: a skip, which a test inside the group can't show. */
	return failed || iasl_is_there() ? failed : 77;
}
