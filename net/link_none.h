/* SPDX-License-Identifier: MIT */
/* A link with nothing at its other end: no carrier, frames sent are dropped. */
#ifndef NET_LINK_NONE_H
#define NET_LINK_NONE_H

#include "net/link.h"

/* Control thread. 0 or a failure, logged; `name` is the device's, for messages. */
int link_none_create(struct link **link, const char *name, unsigned queue_count);

#endif
