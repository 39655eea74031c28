// SPDX-License-Identifier: MIT
/* The writer of device trees. Control thread. */
#include "boot/fdt.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <libfdt.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

#define NODE_NAME_MAX 64

static void keep(struct fdt_writer *writer, int error)
{
	if (!writer->error)
		writer->error = error;
}

void fdt_writer_begin(struct fdt_writer *writer, void *bytes, size_t capacity)
{
	*writer = (struct fdt_writer){ .blob = bytes };
	keep(writer, fdt_create(bytes, (int)min_u64(capacity, INT32_MAX)));
	if (!writer->error)
		keep(writer, fdt_finish_reservemap(bytes));
	fdt_node_begin(writer, "");
}

int fdt_writer_end(struct fdt_writer *writer)
{
	fdt_node_end(writer);
	if (!writer->error)
		keep(writer, fdt_finish(writer->blob));
	/* Any other would be a call out of order. */
	assert(!writer->error || writer->error == -FDT_ERR_NOSPACE);
	return writer->error ? -ENOSPC : (int)fdt_totalsize(writer->blob);
}

void fdt_node_begin(struct fdt_writer *writer, const char *name)
{
	if (!writer->error)
		keep(writer, fdt_begin_node(writer->blob, name));
}

void fdt_node_begin_at(struct fdt_writer *writer, const char *name, uint64_t address)
{
	char text[NODE_NAME_MAX];
	int length = snprintf(text, sizeof(text), "%s@%" PRIx64, name, address);

	assert(length > 0 && length < (int)sizeof(text));
	fdt_node_begin(writer, text);
}

void fdt_node_end(struct fdt_writer *writer)
{
	if (!writer->error)
		keep(writer, fdt_end_node(writer->blob));
}

void fdt_put_bytes(struct fdt_writer *writer, const char *name, const void *bytes, size_t length)
{
	if (!writer->error)
		keep(writer, fdt_property(writer->blob, name, bytes, (int)length));
}

void fdt_put_flag(struct fdt_writer *writer, const char *name)
{
	fdt_put_bytes(writer, name, NULL, 0);
}

void fdt_put_string(struct fdt_writer *writer, const char *name, const char *text)
{
	fdt_put_bytes(writer, name, text, strlen(text) + 1);
}

void fdt_put_u64(struct fdt_writer *writer, const char *name, uint64_t value)
{
	value = htobe64(value);
	fdt_put_bytes(writer, name, &value, sizeof(value));
}

/* Room for a property that is filled in here, or NULL. */
static void *reserve(struct fdt_writer *writer, const char *name, size_t length)
{
	void *place = NULL;

	if (!writer->error)
		keep(writer, fdt_property_placeholder(writer->blob, name, (int)length, &place));
	return writer->error ? NULL : place;
}

/* A property's value is aligned to 4 bytes. */
void fdt_put_cells(struct fdt_writer *writer, const char *name, const uint32_t *cells,
		   size_t count)
{
	uint32_t *place = reserve(writer, name, count * sizeof(*cells));

	for (size_t i = 0; place && i < count; i++)
		place[i] = htobe32(cells[i]);
}

void fdt_put_ranges(struct fdt_writer *writer, const char *name, const struct fdt_range *ranges,
		    size_t count)
{
	uint8_t *place = reserve(writer, name, count * 2 * sizeof(uint64_t));

	for (size_t i = 0; place && i < count; i++) {
		uint64_t pair[] = { htobe64(ranges[i].address), htobe64(ranges[i].size) };

		memcpy(place + i * sizeof(pair), pair, sizeof(pair));
	}
}
