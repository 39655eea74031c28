/* SPDX-License-Identifier: MIT */
/*
 * A writer of AML, the byte code of a DSDT (ACPI 6.5, chapter 20), after an
 * acpi_writer: names, integers, packages, devices, methods, resources. What has
 * a length is begun and ended; `struct aml_block` keeps where. Names are written
 * as in ASL ("\\_SB.PCI0"); segments are padded here. Control thread.
 */
#ifndef BOOT_AML_H
#define BOOT_AML_H

#include "boot/acpi.h"

struct aml_block {
	size_t start;   /* where the length goes */
	bool is_buffer; /* a resource list: its size goes there, too */
};

/* Terms. */
void aml_path(struct acpi_writer *writer, const char *path);
void aml_integer(struct acpi_writer *writer, uint64_t value);
void aml_string(struct acpi_writer *writer, const char *text);
void aml_eisa_id(struct acpi_writer *writer, const char *id);
void aml_uuid(struct acpi_writer *writer, const char *text);

/* Name (path, value); the first is followed by a term of the caller's. */
void aml_name(struct acpi_writer *writer, const char *path);
void aml_name_integer(struct acpi_writer *writer, const char *path, uint64_t value);
void aml_name_string(struct acpi_writer *writer, const char *path, const char *text);
void aml_name_eisa_id(struct acpi_writer *writer, const char *path, const char *id);

/* Blocks. */
struct aml_block aml_scope_begin(struct acpi_writer *writer, const char *path);
struct aml_block aml_device_begin(struct acpi_writer *writer, const char *name);
struct aml_block aml_method_begin(struct acpi_writer *writer, const char *name,
				  unsigned arguments, bool serialized);
struct aml_block aml_package_begin(struct acpi_writer *writer, uint8_t elements);
struct aml_block aml_if_begin(struct acpi_writer *writer); /* the condition follows */
struct aml_block aml_else_begin(struct acpi_writer *writer);
struct aml_block aml_resources_begin(struct acpi_writer *writer); /* ResourceTemplate */
void aml_end(struct acpi_writer *writer, struct aml_block block);

/* An operation region, and a field list of one field of 32 bits from its start. */
void aml_region(struct acpi_writer *writer, const char *name, enum acpi_space space,
		uint64_t address, uint64_t bytes);
void aml_field_u32(struct acpi_writer *writer, const char *region, const char *field);

/* Operators; operands and targets follow, as terms. */
enum aml_operator {
	AML_STORE = 0x70,
	AML_AND = 0x7b,
	AML_OR = 0x7d,
	AML_NOTIFY = 0x86,
	AML_CREATE_DWORD_FIELD = 0x8a,
	AML_NOT = 0x92,
	AML_EQUAL = 0x93,
	AML_RETURN = 0xa4,
	AML_LOCAL0 = 0x60,
	AML_ARGUMENT0 = 0x68, /* + n */
};

void aml_operator(struct acpi_writer *writer, enum aml_operator op);
void aml_argument(struct acpi_writer *writer, unsigned number);

/* Resources, inside aml_resources_begin(). */
void aml_io_ports(struct acpi_writer *writer, uint16_t first, uint8_t count);
void aml_interrupt_edge(struct acpi_writer *writer, uint32_t gsi);
void aml_memory_fixed(struct acpi_writer *writer, uint32_t base, uint32_t bytes);

/* Windows that a bridge hands on. */
void aml_window_bus(struct acpi_writer *writer, uint16_t first, uint16_t count);
void aml_window_memory32(struct acpi_writer *writer, uint32_t base, uint32_t bytes);
void aml_window_memory64(struct acpi_writer *writer, uint64_t base, uint64_t bytes);

#endif
