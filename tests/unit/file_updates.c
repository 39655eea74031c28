// SPDX-License-Identifier: MIT
#include "tests/unit/unit.h"
#include "tests/unit/file_updates.h"

#include <liburing.h>

static _Atomic unsigned updates;

int __real_io_uring_register_files_update(struct io_uring *ring, unsigned slot, const int *files,
					  unsigned count);
int __wrap_io_uring_register_files_update(struct io_uring *ring, unsigned slot, const int *files,
					  unsigned count);

int __wrap_io_uring_register_files_update(struct io_uring *ring, unsigned slot, const int *files,
					  unsigned count)
{
	updates++;
	return __real_io_uring_register_files_update(ring, slot, files, count);
}

unsigned file_updates(void)
{
	return updates;
}

unsigned file_updates_rounds(void)
{
	return unit_rounds(1000);
}
