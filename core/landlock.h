/* SPDX-License-Identifier: MIT */
/*
 * Takes the file system away from the calling thread and from those that it
 * makes later, as far as the kernel's Landlock goes: no file may be opened,
 * made or run, no TCP port bound or connected to, no process outside signalled.
 * What is open stays open.
 */
#ifndef CORE_LANDLOCK_H
#define CORE_LANDLOCK_H

/*
 * Files may still be removed from `directories` (NULL-terminated; those that
 * can't be opened are passed over). Needs no_new_privs or CAP_SYS_ADMIN. 0,
 * -ENOSYS or -EOPNOTSUPP where the kernel has no Landlock, or another -errno.
 * Silent.
 */
int landlock_confine(const char *const *directories);

#endif
