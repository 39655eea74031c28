/* SPDX-License-Identifier: MIT */
/*
 * The block device: one disk from an image, with up to 16 queues. Its worker
 * needs a fixed file for the image beside those of its queues.
 */
#ifndef VIRTIO_BLK_H
#define VIRTIO_BLK_H

#include "virtio/virtio.h"

extern const struct virtio_type virtio_blk;

#endif
