// SPDX-License-Identifier: MIT
/* Requests that wait for the same, in order. */
#include "block/image_line.h"

#include <stddef.h>

#include "block/image.h"

void image_line_init(struct image_line *line)
{
	*line = (struct image_line){ NULL, &line->first };
}

void image_line_add(struct image_line *line, struct image_io *io)
{
	io->next_waiting = NULL;
	*line->last = io;
	line->last = &io->next_waiting;
}

struct image_io *image_line_take(struct image_line *line)
{
	struct image_io *io = line->first;

	if (!io)
		return NULL;
	line->first = io->next_waiting;
	if (!line->first)
		line->last = &line->first;
	return io;
}
