/* SPDX-License-Identifier: MIT */
/* One way to the attributes of KVM's GIC devices, registers among them. Control thread. */
#ifndef ARM64_GIC_ATTRIBUTE_H
#define ARM64_GIC_ATTRIBUTE_H

#include <stdint.h>

/* Interrupt numbers: of the first private and the first shared peripheral interrupt. */
#define GIC_PPI_FIRST 16
#define GIC_SPI_FIRST 32

/* `value` is what the group says, or NULL for a command. 0 or a host failure, logged. */
int gic_attribute_set(int fd, uint32_t group, uint64_t attribute, const void *value);
int gic_attribute_get(int fd, uint32_t group, uint64_t attribute, void *value);

#endif
