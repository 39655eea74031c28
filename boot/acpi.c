// SPDX-License-Identifier: MIT
/* The writer of ACPI tables. Control thread. */
#include "boot/acpi.h"

#include <string.h>

#include "base/bytes.h"

#define TABLE_ALIGNMENT 16

#define OEM_ID       "RINGVM"
#define OEM_TABLE_ID "RINGVM  "
#define OEM_REVISION 1
#define CREATOR_ID   "RING"

/* Offsets in a table header. */
#define HEADER_LENGTH   4
#define HEADER_CHECKSUM 9

/* Room for `length` more bytes, or NULL. */
static uint8_t *extend(struct acpi_writer *writer, size_t length)
{
	uint8_t *place = writer->bytes + writer->length;

	if (writer->overflow || length > writer->capacity - writer->length) {
		writer->overflow = true;
		return NULL;
	}
	writer->length += length;
	return place;
}

void acpi_put(struct acpi_writer *writer, const void *bytes, size_t length)
{
	uint8_t *place = extend(writer, length);

	if (place)
		memcpy(place, bytes, length);
}

void acpi_put_zeros(struct acpi_writer *writer, size_t length)
{
	uint8_t *place = extend(writer, length);

	if (place)
		memset(place, 0, length);
}

void acpi_put_u8(struct acpi_writer *writer, uint8_t value)
{
	acpi_put(writer, &value, sizeof(value));
}

void acpi_put_u16(struct acpi_writer *writer, uint16_t value)
{
	value = htole16(value);
	acpi_put(writer, &value, sizeof(value));
}

void acpi_put_u32(struct acpi_writer *writer, uint32_t value)
{
	value = htole32(value);
	acpi_put(writer, &value, sizeof(value));
}

void acpi_put_u64(struct acpi_writer *writer, uint64_t value)
{
	value = htole64(value);
	acpi_put(writer, &value, sizeof(value));
}

void acpi_insert(struct acpi_writer *writer, size_t offset, const void *bytes, size_t length)
{
	size_t behind = writer->length - offset;

	if (!extend(writer, length))
		return;
	memmove(writer->bytes + offset + length, writer->bytes + offset, behind);
	memcpy(writer->bytes + offset, bytes, length);
}

void acpi_store_address8(uint8_t *field, enum acpi_space space, uint64_t address)
{
	field[0] = (uint8_t)space;
	field[1] = 8; /* bits wide */
	field[2] = 0; /* first bit */
	field[3] = 1; /* accessed by bytes */
	store_le64(field + 4, address);
}

uint8_t acpi_checksum(const uint8_t *bytes, size_t length)
{
	uint8_t sum = 0;

	while (length--)
		sum = (uint8_t)(sum + *bytes++);
	return (uint8_t)-sum;
}

size_t acpi_table_begin(struct acpi_writer *writer, const char *signature, uint8_t revision)
{
	size_t start = align_up(writer->length, TABLE_ALIGNMENT);

	acpi_put_zeros(writer, start - writer->length);
	acpi_put(writer, signature, 4);
	acpi_put_u32(writer, 0); /* length, by acpi_table_end() */
	acpi_put_u8(writer, revision);
	acpi_put_u8(writer, 0); /* checksum, too */
	acpi_put(writer, OEM_ID, 6);
	acpi_put(writer, OEM_TABLE_ID, 8);
	acpi_put_u32(writer, OEM_REVISION);
	acpi_put(writer, CREATOR_ID, 4);
	acpi_put_u32(writer, OEM_REVISION);
	return start;
}

uint64_t acpi_table_end(struct acpi_writer *writer, size_t start)
{
	uint8_t *table = writer->bytes + start;
	size_t length = writer->length - start;

	if (writer->overflow)
		return 0;
	store_le32(table + HEADER_LENGTH, (uint32_t)length);
	table[HEADER_CHECKSUM] = acpi_checksum(table, length);
	return writer->gpa + start;
}

/* ACPI 6.5, 5.2.5.3: the first checksum is that of ACPI 1.0's 20 bytes. */
void acpi_write_rsdp(uint8_t *bytes, uint64_t xsdt_gpa)
{
	memset(bytes, 0, ACPI_RSDP_BYTES);
	memcpy(bytes, "RSD PTR ", 8);
	memcpy(bytes + 9, OEM_ID, 6);
	bytes[15] = 2; /* revision */
	store_le32(bytes + 20, ACPI_RSDP_BYTES);
	store_le64(bytes + 24, xsdt_gpa);
	bytes[8] = acpi_checksum(bytes, 20);
	bytes[32] = acpi_checksum(bytes, ACPI_RSDP_BYTES);
}
