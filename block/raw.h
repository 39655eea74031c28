/* SPDX-License-Identifier: MIT */
/*
 * I/O on an image's file: the raw format is that and nothing else, other
 * formats call it with the offsets they have mapped. Worker thread.
 */
#ifndef BLOCK_RAW_H
#define BLOCK_RAW_H

#include "block/image.h"

extern const struct image_format raw_format;

/* What a lane needs besides its file slot. 0 or -errno, silent. */
int raw_lane_init(struct image_lane *lane);
void raw_lane_destroy(struct image_lane *lane);

/*
 * As image_submit(), on offsets of the file and without its checks: `io` lies
 * inside the file, is made of whole blocks and may be done.
 */
void raw_submit(struct image_lane *lane, struct image_io *io);

#endif
