// SPDX-License-Identifier: MIT
/* The table of devices. A new one is plugged in here, and nowhere else. */
#include "machine/device_types.h"

#include <string.h>

#include "virtio/blk.h"
#include "virtio/console.h"
#include "virtio/net.h"
#include "virtio/rng.h"

const struct virtio_type *const device_types[] = {
	&virtio_blk,
	&virtio_net,
	&virtio_console,
	&virtio_rng,
	NULL,
};

const struct virtio_type *device_type_of_option(const char *option)
{
	for (unsigned i = 0; device_types[i]; i++)
		if (device_types[i]->option && !strcmp(device_types[i]->option, option))
			return device_types[i];
	return NULL;
}
