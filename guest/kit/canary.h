/* SPDX-License-Identifier: MIT */
/*
 * A disk that is only ever read, a sector every 10 ms and each byte checked, while other devices
 * are ill-treated: what they suffer must not reach it. It is polled, from every wait of hostile.h.
 */
#ifndef GUEST_KIT_CANARY_H
#define GUEST_KIT_CANARY_H

#include "kit/virtio.h"

/* Starts it on a disk, and finds out how fast the machine is when nothing goes on. */
void canary_begin(struct virtio_device *disk);
/* Takes what was read, begins the next read when it is due. Without a canary nothing. */
void canary_poll(void);
/*
 * What came of it, as tests: every byte right, and no read was seen to be out for longer than
 * gap_ms= of the command line says. Without, the bound is a large multiple of what was seen at
 * rest: a slow machine shall not fail. Those of more than 100 ms are listed for
 * tests/guest/withheld, which knows what the host has to do with them.
 */
void canary_end(void);

#endif
