/* SPDX-License-Identifier: MIT */
/* Requests of one lane that wait for the same, in order. Its worker's thread only. */
#ifndef BLOCK_IMAGE_LINE_H
#define BLOCK_IMAGE_LINE_H

struct image_io;

struct image_line {
	struct image_io *first, **last;
};

void image_line_init(struct image_line *line);

/* A request stands in one line at a time. */
void image_line_add(struct image_line *line, struct image_io *io);

/* The first one, or NULL. */
struct image_io *image_line_take(struct image_line *line);

#endif
