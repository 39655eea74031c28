/* SPDX-License-Identifier: MIT */
/*
 * Where a PC's firmware would begin: a kernel that is left no other way resets
 * the machine by a jump there in real mode. Linux does so (its reboot=b) when
 * ACPI is hardware-reduced and there is no EFI. Control thread.
 */
#ifndef X86_RESET_VECTOR_H
#define X86_RESET_VECTOR_H

#include "core/memory.h"

/* Writes code that uses the reset register. 0 or a failure, logged. */
int reset_vector_write(const struct guest_memory *memory);

#endif
