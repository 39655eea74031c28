/* SPDX-License-Identifier: MIT */
/*
 * A writer of flattened device trees (Devicetree Specification 0.4, chapter 5),
 * over libfdt: nodes and properties in order. Formats only; what the tree says
 * is the board's. An error is kept, and nothing is written from then on, so that
 * it is asked for once, at the end. Control thread.
 */
#ifndef BOOT_FDT_H
#define BOOT_FDT_H

#include <stddef.h>
#include <stdint.h>

struct fdt_writer {
	void *blob;    /* the caller's */
	int error;     /* the first of libfdt's, or 0 */
};

/* Begins a tree in `bytes`, whose first 8 bytes are aligned, with its root node open. */
void fdt_writer_begin(struct fdt_writer *writer, void *bytes, size_t capacity);

/*
 * Closes the root node and the tree. The tree's size in bytes, or -ENOSPC if it
 * did not fit; silent.
 */
int fdt_writer_end(struct fdt_writer *writer);

/* A node, "name" or "name@address"; what comes before fdt_node_end() is in it. */
void fdt_node_begin(struct fdt_writer *writer, const char *name);
void fdt_node_begin_at(struct fdt_writer *writer, const char *name, uint64_t address);
void fdt_node_end(struct fdt_writer *writer);

/* Properties of the open node; they come before its nodes. */
void fdt_put_bytes(struct fdt_writer *writer, const char *name, const void *bytes, size_t length);
void fdt_put_flag(struct fdt_writer *writer, const char *name);
void fdt_put_string(struct fdt_writer *writer, const char *name, const char *text);
void fdt_put_u64(struct fdt_writer *writer, const char *name, uint64_t value);

/* Cells, of 32 bits each. */
void fdt_put_cells(struct fdt_writer *writer, const char *name, const uint32_t *cells,
		   size_t count);
#define fdt_put_u32(writer, name, value) \
	fdt_put_cells(writer, name, (const uint32_t[]){ (value) }, 1)

/* Pairs of address and size, of two cells each. */
struct fdt_range {
	uint64_t address, size;
};

void fdt_put_ranges(struct fdt_writer *writer, const char *name, const struct fdt_range *ranges,
		    size_t count);

#endif
