/* SPDX-License-Identifier: MIT */
/*
 * The registers with which the boot vCPU enters a kernel, and the tables in
 * guest memory that they point to. Control thread, vCPU parked.
 */
#ifndef X86_VCPU_REGS_H
#define X86_VCPU_REGS_H

#include <stdint.h>

#include "core/memory.h"

struct vcpu;

enum entry_mode {
	ENTRY_64BIT, /* long mode, first 4 GiB mapped one to one, rsi = argument */
	ENTRY_PVH,   /* protected mode, no paging, ebx = argument */
};

struct kernel_entry {
	enum entry_mode mode;
	uint64_t gpa;
	uint64_t argument_gpa; /* boot_params, or PVH start info */
};

/* Writes GDT and page tables; false if the low memory they need is not there. */
bool vcpu_regs_write_tables(const struct guest_memory *memory);

/* 0 or a host failure, logged. Starts from what the vCPU has after a reset. */
int vcpu_regs_enter(struct vcpu *vcpu, const struct kernel_entry *entry);

#endif
