/* SPDX-License-Identifier: MIT */
/*
 * A disk that is only ever read, a sector every 10 ms and each byte checked, while other devices
 * are ill-treated: what they suffer must not reach it. It is polled, from every wait of the kit.
 * So may be a second device, which shares its worker with one of those.
 */
#ifndef GUEST_KIT_CANARY_H
#define GUEST_KIT_CANARY_H

#include "kit/virtio.h"

#define CANARIES_MAX 2

/* Starts one on a device, and finds out how fast the machine is when nothing goes on. */
void canary_begin(struct virtio_device *device);
/* Takes what was read, begins the next read when it is due. */
void canary_poll(void);
/*
 * What came of each, as tests: every byte right, and no read was seen to be out for longer than
 * gap_ms= of the command line says. Without, the bound is a large multiple of what was seen at
 * rest: a slow machine shall not fail. Those of more than 100 ms are listed for
 * tests/guest/withheld, which knows what the host has to do with them.
 */
void canary_end(void);

#endif
