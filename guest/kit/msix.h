/* SPDX-License-Identifier: MIT */
/* A function's MSI-X table: entries, masks and pending bits (PCI 3.0, 6.8.2). */
#ifndef GUEST_KIT_MSIX_H
#define GUEST_KIT_MSIX_H

#include "kit/arch.h"
#include "kit/pci.h"

struct msix {
	const struct pci_function *function;
	uint8_t capability; /* 0: the function has none */
	unsigned count;	    /* of entries */
	uint64_t table_gpa, pending_gpa;
};

/* Leaves it off, with every entry masked. */
void msix_init(struct msix *msix, const struct pci_function *function);
void msix_enable(const struct msix *msix, bool on);
void msix_mask_function(const struct msix *msix, bool masked);
/* Writes the message and unmasks the entry. */
void msix_set(const struct msix *msix, unsigned entry, struct message message);
void msix_mask(const struct msix *msix, unsigned entry, bool masked);
bool msix_is_pending(const struct msix *msix, unsigned entry);

#endif
