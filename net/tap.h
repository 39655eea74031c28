/* SPDX-License-Identifier: MIT */
/*
 * A tap interface of the host as a link: one file a queue, frames with a virtio
 * header, checksums and segmentation left to whoever is able.
 */
#ifndef NET_TAP_H
#define NET_TAP_H

#include "net/link.h"

struct tap_config {
	const char *device;    /* "net0": for messages */
	const char *interface; /* existing or new; NULL: a new one, the kernel names it */
	int fd;		       /* an open tap instead, to be duplicated; else -1 */
	const char *host_ip;   /* "192.168.33.1/24" for the host's side; NULL: none */
	unsigned queue_count;  /* 1 to LINK_QUEUES_MAX */
	unsigned mtu;	       /* to be set; 0: as it is */
};

/*
 * A named interface that exists is used as it is configured, apart from what
 * host_ip and mtu ask for; a new one is brought up; one given by fd is never
 * configured. Control thread. 0 or a failure, logged with what to do.
 */
int tap_open(struct link **link, const struct tap_config *config);

#endif
