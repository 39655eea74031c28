/* SPDX-License-Identifier: MIT */
/*
 * A boot file that is compressed by gzip (RFC 1952), such as Image.gz. Control
 * thread. Built as gzip.c with zlib, as gzip_none.c without.
 */
#ifndef BOOT_GZIP_H
#define BOOT_GZIP_H

#include "boot/boot_file.h"

#define GZIP_MAGIC "\x1f\x8b"

/*
 * A file that begins as gzip does is replaced by what is in it, kept in memory;
 * any other is left alone. Content of more than `limit_bytes` is a failure, and
 * none of it is kept. 0 or a failure, logged; close the file either way.
 */
int gzip_expand(struct boot_file *file, uint64_t limit_bytes);

#endif
