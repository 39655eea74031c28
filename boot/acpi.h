/* SPDX-License-Identifier: MIT */
/*
 * A writer of ACPI tables into a piece of guest memory: bytes in order, table
 * headers, checksums. Formats only; what the tables say is the board's. AML is
 * in boot/aml.h. Control thread.
 */
#ifndef BOOT_ACPI_H
#define BOOT_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACPI_RSDP_BYTES   36
#define ACPI_HEADER_BYTES 36

/* Address spaces of a generic address and of an operation region. */
enum acpi_space { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1 };

struct acpi_writer {
	uint8_t *bytes; /* zero before */
	uint64_t gpa;   /* of the first byte */
	size_t capacity, length;
	bool overflow;  /* something did not fit; nothing is written from then on */
};

void acpi_put(struct acpi_writer *writer, const void *bytes, size_t length);
void acpi_put_zeros(struct acpi_writer *writer, size_t length);
void acpi_put_u8(struct acpi_writer *writer, uint8_t value);
void acpi_put_u16(struct acpi_writer *writer, uint16_t value);
void acpi_put_u32(struct acpi_writer *writer, uint32_t value);
void acpi_put_u64(struct acpi_writer *writer, uint64_t value);

/* Moves what lies behind `offset` up and writes bytes there. */
void acpi_insert(struct acpi_writer *writer, size_t offset, const void *bytes, size_t length);

/* A register of one byte (ACPI 6.5, 5.2.3.2), into a field of a table. */
void acpi_store_address8(uint8_t *field, enum acpi_space space, uint64_t address);

/*
 * Begin: aligns, writes a header, returns where it is. End: length and
 * checksum; returns the table's gpa. Tables do not nest.
 */
size_t acpi_table_begin(struct acpi_writer *writer, const char *signature, uint8_t revision);
uint64_t acpi_table_end(struct acpi_writer *writer, size_t start);

/* The root pointer, into ACPI_RSDP_BYTES bytes. */
void acpi_write_rsdp(uint8_t *bytes, uint64_t xsdt_gpa);

/* What makes the bytes sum up to 0, given that its own byte is 0. */
uint8_t acpi_checksum(const uint8_t *bytes, size_t length);

#endif
