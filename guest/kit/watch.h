/* SPDX-License-Identifier: MIT */
/* With watch=1 on the command line the host (tests/guest/watch) looks at the process. */
#ifndef GUEST_KIT_WATCH_H
#define GUEST_KIT_WATCH_H

/* Asks for a look, "before" or "after", and returns when a byte on the serial port says it is
 * done; the canary is read meanwhile. */
void watched(const char *moment);

#endif
