// SPDX-License-Identifier: MIT
/*
 * The AML encoder. A block's length stands before it in 1 to 4 bytes that count
 * themselves, so it is put in when the block ends. Control thread.
 */
#include "boot/aml.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"

#define OP_ZERO        0x00
#define OP_ONE         0x01
#define OP_NAME        0x08
#define OP_BYTE        0x0a
#define OP_WORD        0x0b
#define OP_DWORD       0x0c
#define OP_STRING      0x0d
#define OP_QWORD       0x0e
#define OP_SCOPE       0x10
#define OP_BUFFER      0x11
#define OP_PACKAGE     0x12
#define OP_METHOD      0x14
#define OP_DUAL_NAME   0x2e
#define OP_MULTI_NAME  0x2f
#define OP_EXTENDED    0x5b
#define OP_IF          0xa0
#define OP_ELSE        0xa1
#define EXT_REGION     0x80
#define EXT_FIELD      0x81
#define EXT_DEVICE     0x82

#define SEGMENT_CHARS      4
#define METHOD_SERIALIZED  0x08
#define FIELD_DWORD_ACCESS 0x03

/* Resource descriptors, ACPI 6.5 chapter 6.4. */
#define RESOURCE_IO           0x47
#define RESOURCE_END          0x79
#define RESOURCE_MEMORY_FIXED 0x86
#define RESOURCE_DWORD        0x87
#define RESOURCE_WORD         0x88
#define RESOURCE_INTERRUPT    0x89
#define RESOURCE_QWORD        0x8a

#define IO_DECODE_16        1
#define INTERRUPT_CONSUMER  0x01
#define INTERRUPT_EDGE      0x02
#define MEMORY_WRITABLE     1
#define WINDOW_MEMORY       0
#define WINDOW_BUS          2
#define WINDOW_FIXED        0x0c /* neither end moves; positive decode, producer */

static void put_segment(struct acpi_writer *writer, const char *text, size_t length)
{
	char segment[SEGMENT_CHARS] = { '_', '_', '_', '_' };

	assert(length && length <= SEGMENT_CHARS);
	memcpy(segment, text, length);
	acpi_put(writer, segment, sizeof(segment));
}

void aml_path(struct acpi_writer *writer, const char *path)
{
	unsigned segments = 1;

	if (*path == '\\')
		acpi_put_u8(writer, (uint8_t)*path++);
	for (const char *c = path; *c; c++)
		segments += *c == '.';
	if (segments == 2) {
		acpi_put_u8(writer, OP_DUAL_NAME);
	} else if (segments > 2) {
		acpi_put_u8(writer, OP_MULTI_NAME);
		acpi_put_u8(writer, (uint8_t)segments);
	}
	while (segments--) {
		size_t length = strcspn(path, ".");

		put_segment(writer, path, length);
		path += length + 1;
	}
}

/* The shortest form, into at most 9 bytes; returns how many. */
static size_t encode_integer(uint8_t *bytes, uint64_t value)
{
	unsigned size = value <= UINT8_MAX    ? 1
			: value <= UINT16_MAX ? 2
			: value <= UINT32_MAX ? 4
					      : 8;

	if (value <= 1) {
		bytes[0] = value ? OP_ONE : OP_ZERO;
		return 1;
	}
	bytes[0] = size == 1 ? OP_BYTE : size == 2 ? OP_WORD : size == 4 ? OP_DWORD : OP_QWORD;
	store_le(bytes + 1, value, size);
	return 1 + size;
}

void aml_integer(struct acpi_writer *writer, uint64_t value)
{
	uint8_t bytes[9];

	acpi_put(writer, bytes, encode_integer(bytes, value));
}

void aml_string(struct acpi_writer *writer, const char *text)
{
	acpi_put_u8(writer, OP_STRING);
	acpi_put(writer, text, strlen(text) + 1);
}

static unsigned hex_digit(char digit)
{
	return (unsigned)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
}

/* Three letters of five bits, four hex digits; big endian. */
void aml_eisa_id(struct acpi_writer *writer, const char *id)
{
	uint32_t value = 0;

	assert(strlen(id) == 7);
	for (unsigned i = 0; i < 3; i++)
		value = value << 5 | (uint32_t)(id[i] - '@');
	for (unsigned i = 3; i < 7; i++)
		value = value << 4 | hex_digit(id[i]);
	acpi_put_u8(writer, OP_DWORD);
	acpi_put_u32(writer, htobe32(value));
}

/* PkgLength: counts itself; 6 bits in one byte, else 4 bits and whole bytes after. */
static void put_length(struct acpi_writer *writer, size_t start)
{
	uint8_t bytes[4];
	size_t content = writer->length - start;
	unsigned size = 1;

	if (content + 1 > 0x3f)
		for (size = 2; content + size >= BIT64(4 + 8 * (size - 1)); size++)
			assert(size < sizeof(bytes));
	content += size;
	if (size == 1) {
		bytes[0] = (uint8_t)content;
	} else {
		bytes[0] = (uint8_t)((size - 1) << 6 | (content & 0xf));
		store_le(bytes + 1, content >> 4, size - 1);
	}
	acpi_insert(writer, start, bytes, size);
}

/* A buffer of 16 bytes in the mixed order of ToUUID (ACPI 6.5, 19.6.142). */
void aml_uuid(struct acpi_writer *writer, const char *text)
{
	static const uint8_t order[16] = {
		6, 4, 2, 0, 11, 9, 16, 14, 19, 21, 24, 26, 28, 30, 32, 34,
	};
	size_t start;

	assert(strlen(text) == 36);
	acpi_put_u8(writer, OP_BUFFER);
	start = writer->length;
	aml_integer(writer, sizeof(order));
	for (unsigned i = 0; i < sizeof(order); i++)
		acpi_put_u8(writer, (uint8_t)(hex_digit(text[order[i]]) << 4 |
					      hex_digit(text[order[i] + 1])));
	put_length(writer, start);
}

void aml_name(struct acpi_writer *writer, const char *path)
{
	acpi_put_u8(writer, OP_NAME);
	aml_path(writer, path);
}

void aml_name_integer(struct acpi_writer *writer, const char *path, uint64_t value)
{
	aml_name(writer, path);
	aml_integer(writer, value);
}

void aml_name_string(struct acpi_writer *writer, const char *path, const char *text)
{
	aml_name(writer, path);
	aml_string(writer, text);
}

void aml_name_eisa_id(struct acpi_writer *writer, const char *path, const char *id)
{
	aml_name(writer, path);
	aml_eisa_id(writer, id);
}

static struct aml_block block_begin(struct acpi_writer *writer, uint8_t op)
{
	acpi_put_u8(writer, op);
	return (struct aml_block){ .start = writer->length };
}

struct aml_block aml_scope_begin(struct acpi_writer *writer, const char *path)
{
	struct aml_block block = block_begin(writer, OP_SCOPE);

	aml_path(writer, path);
	return block;
}

struct aml_block aml_device_begin(struct acpi_writer *writer, const char *name)
{
	struct aml_block block;

	acpi_put_u8(writer, OP_EXTENDED);
	block = block_begin(writer, EXT_DEVICE);
	aml_path(writer, name);
	return block;
}

struct aml_block aml_method_begin(struct acpi_writer *writer, const char *name,
				  unsigned arguments, bool serialized)
{
	struct aml_block block = block_begin(writer, OP_METHOD);

	aml_path(writer, name);
	acpi_put_u8(writer, (uint8_t)(arguments | (serialized ? METHOD_SERIALIZED : 0)));
	return block;
}

struct aml_block aml_package_begin(struct acpi_writer *writer, uint8_t elements)
{
	struct aml_block block = block_begin(writer, OP_PACKAGE);

	acpi_put_u8(writer, elements);
	return block;
}

struct aml_block aml_if_begin(struct acpi_writer *writer)
{
	return block_begin(writer, OP_IF);
}

struct aml_block aml_else_begin(struct acpi_writer *writer)
{
	return block_begin(writer, OP_ELSE);
}

struct aml_block aml_resources_begin(struct acpi_writer *writer)
{
	struct aml_block block = block_begin(writer, OP_BUFFER);

	block.is_buffer = true;
	return block;
}

void aml_end(struct acpi_writer *writer, struct aml_block block)
{
	uint8_t size[9];

	if (block.is_buffer) {
		acpi_put_u8(writer, RESOURCE_END);
		acpi_put_u8(writer, 0); /* a checksum of 0 says: not checked */
		acpi_insert(writer, block.start, size,
			    encode_integer(size, writer->length - block.start));
	}
	put_length(writer, block.start);
}

void aml_region(struct acpi_writer *writer, const char *name, enum acpi_space space,
		uint64_t address, uint64_t bytes)
{
	acpi_put_u8(writer, OP_EXTENDED);
	acpi_put_u8(writer, EXT_REGION);
	aml_path(writer, name);
	acpi_put_u8(writer, (uint8_t)space);
	aml_integer(writer, address);
	aml_integer(writer, bytes);
}

void aml_field_u32(struct acpi_writer *writer, const char *region, const char *field)
{
	struct aml_block block;

	acpi_put_u8(writer, OP_EXTENDED);
	block = block_begin(writer, EXT_FIELD);
	aml_path(writer, region);
	acpi_put_u8(writer, FIELD_DWORD_ACCESS);
	put_segment(writer, field, strlen(field));
	acpi_put_u8(writer, 32); /* bits, as a PkgLength */
	aml_end(writer, block);
}

void aml_operator(struct acpi_writer *writer, enum aml_operator op)
{
	acpi_put_u8(writer, (uint8_t)op);
}

void aml_argument(struct acpi_writer *writer, unsigned number)
{
	acpi_put_u8(writer, (uint8_t)(AML_ARGUMENT0 + number));
}

void aml_io_ports(struct acpi_writer *writer, uint16_t first, uint8_t count)
{
	acpi_put_u8(writer, RESOURCE_IO);
	acpi_put_u8(writer, IO_DECODE_16);
	acpi_put_u16(writer, first); /* lowest */
	acpi_put_u16(writer, first); /* and highest base */
	acpi_put_u8(writer, 1);      /* alignment */
	acpi_put_u8(writer, count);
}

void aml_interrupt_edge(struct acpi_writer *writer, uint32_t gsi)
{
	acpi_put_u8(writer, RESOURCE_INTERRUPT);
	acpi_put_u16(writer, 6); /* length */
	acpi_put_u8(writer, INTERRUPT_CONSUMER | INTERRUPT_EDGE);
	acpi_put_u8(writer, 1); /* one interrupt */
	acpi_put_u32(writer, gsi);
}

void aml_memory_fixed(struct acpi_writer *writer, uint32_t base, uint32_t bytes)
{
	acpi_put_u8(writer, RESOURCE_MEMORY_FIXED);
	acpi_put_u16(writer, 9); /* length */
	acpi_put_u8(writer, MEMORY_WRITABLE);
	acpi_put_u32(writer, base);
	acpi_put_u32(writer, bytes);
}

/* The part that address spaces of all widths share. */
static void put_window(struct acpi_writer *writer, uint8_t tag, uint8_t kind, uint8_t flags)
{
	unsigned width = tag == RESOURCE_WORD ? 2 : tag == RESOURCE_DWORD ? 4 : 8;

	acpi_put_u8(writer, tag);
	acpi_put_u16(writer, (uint16_t)(3 + 5 * width)); /* length */
	acpi_put_u8(writer, kind);
	acpi_put_u8(writer, WINDOW_FIXED);
	acpi_put_u8(writer, flags);
}

void aml_window_bus(struct acpi_writer *writer, uint16_t first, uint16_t count)
{
	put_window(writer, RESOURCE_WORD, WINDOW_BUS, 0);
	acpi_put_u16(writer, 0); /* granularity */
	acpi_put_u16(writer, first);
	acpi_put_u16(writer, (uint16_t)(first + count - 1));
	acpi_put_u16(writer, 0); /* translation */
	acpi_put_u16(writer, count);
}

void aml_window_memory32(struct acpi_writer *writer, uint32_t base, uint32_t bytes)
{
	put_window(writer, RESOURCE_DWORD, WINDOW_MEMORY, MEMORY_WRITABLE);
	acpi_put_u32(writer, 0);
	acpi_put_u32(writer, base);
	acpi_put_u32(writer, base + bytes - 1);
	acpi_put_u32(writer, 0);
	acpi_put_u32(writer, bytes);
}

void aml_window_memory64(struct acpi_writer *writer, uint64_t base, uint64_t bytes)
{
	put_window(writer, RESOURCE_QWORD, WINDOW_MEMORY, MEMORY_WRITABLE);
	acpi_put_u64(writer, 0);
	acpi_put_u64(writer, base);
	acpi_put_u64(writer, base + bytes - 1);
	acpi_put_u64(writer, 0);
	acpi_put_u64(writer, bytes);
}
