/* SPDX-License-Identifier: MIT */
/*
 * The host's side of a network interface, by name: is it there, its MTU, its
 * address, up. Control thread; 0 or -errno, silent.
 */
#ifndef NET_INTERFACE_H
#define NET_INTERFACE_H

/* Whether it is there: 0, -ENODEV, or why that can't be told. */
int interface_find(const char *name);
int interface_mtu(const char *name, unsigned *mtu);
int interface_set_mtu(const char *name, unsigned mtu);
int interface_set_up(const char *name);

/* "192.168.33.1" or "192.168.33.1/24" (the default); -EINVAL if it is neither. */
int interface_set_address(const char *name, const char *address);

#endif
