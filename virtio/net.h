/* SPDX-License-Identifier: MIT */
/*
 * The network device: a card with up to 8 queue pairs, plugged into a tap of the
 * host or into nothing. A worker needs a fixed file for each of its pairs beside
 * those of its queues.
 */
#ifndef VIRTIO_NET_H
#define VIRTIO_NET_H

#include "virtio/virtio.h"

extern const struct virtio_type virtio_net;

/* Of a device's options, read by its keys: whether the kernel's vhost-net is to serve it. */
bool net_options_vhost(const void *options);

#endif
