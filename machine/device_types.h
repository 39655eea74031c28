/* SPDX-License-Identifier: MIT */
/* The devices this binary has: the one table a new device is added to. */
#ifndef MACHINE_DEVICE_TYPES_H
#define MACHINE_DEVICE_TYPES_H

#include "virtio/virtio.h"

/* In the order in which help shows them; ends with NULL. */
extern const struct virtio_type *const device_types[];

/* The type that `ringvm run --<option>` makes, or NULL. */
const struct virtio_type *device_type_of_option(const char *option);

#endif
