// SPDX-License-Identifier: MIT
/* gzip in a build without zlib: says so. Control thread. */
#include "boot/gzip.h"

#include <errno.h>

#include "base/log.h"

int gzip_expand(struct boot_file *file, uint64_t limit_bytes)
{
	(void)limit_bytes;
	if (!boot_file_has(file, 0, GZIP_MAGIC, 2))
		return 0;
	return fail(ENOTSUP, "%s: %s: compressed by gzip, and this ringvm was built without zlib; "
		    "uncompress it with gunzip", file->role, file->path);
}
