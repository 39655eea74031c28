/* SPDX-License-Identifier: MIT */
/* The entropy device, for the table of devices. */
#ifndef VIRTIO_RNG_H
#define VIRTIO_RNG_H

#include "virtio/virtio.h"

extern const struct virtio_type virtio_rng;

#endif
