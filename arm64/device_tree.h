/* SPDX-License-Identifier: MIT */
/*
 * What the guest is told of the board: the contents of its device tree. The
 * addresses are those of layout.h. Control thread.
 */
#ifndef ARM64_DEVICE_TREE_H
#define ARM64_DEVICE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arm64/gic.h"
#include "base/bytes.h"
#include "hw/pci_host.h"

#define DEVICE_TREE_BYTES_MAX (2 * MIB) /* that a kernel maps of it */

struct device_tree_config {
	uint64_t memory_bytes;
	const char *command_line;
	uint64_t initrd_gpa, initrd_bytes; /* 0: none */
	const uint64_t *mpidrs; /* MPIDR_EL1 of each vCPU, the boot vCPU's first */
	unsigned vcpu_count;
	enum irqchip irqchip;
	bool pmu;
	struct pci_window window32, window64;
};

/* Room that is enough for the tree, from mpidrs' count and the command line's length alone. */
size_t device_tree_room(const struct device_tree_config *config);

/*
 * Writes it into `room` bytes, aligned to 8; the seeds in it are new each time.
 * Its size in bytes, or a failure, logged.
 */
int device_tree_write(const struct device_tree_config *config, void *bytes, size_t room);

#endif
