// SPDX-License-Identifier: MIT
/* Which messages of a guest's MSI-X tables are interrupts. Under irq_router.lock, no state. */
#include "x86/msi.h"

#include <errno.h>

#include "core/irq.h"
#include "x86/layout.h"

#define ADDRESS_BYTES MIB
/* In KVM's format the upper half of the address has bits 8 to 31 of an x2APIC's id. */
#define ADDRESS_HIGH_RESERVED UINT64_C(0xff)

#define DELIVERY_MODE_SHIFT 8
#define DELIVERY_MODE_MASK 7
#define DELIVERY_MODES_RESERVED ((1u << 3) | (1u << 6))

int msi_route(struct kvm_irq_routing_entry *entry, const struct msi_message *message)
{
	uint64_t low = (uint32_t)message->address, high = message->address >> 32;
	unsigned mode = message->data >> DELIVERY_MODE_SHIFT & DELIVERY_MODE_MASK;

	(void)entry;
	if (low < LAYOUT_LOCAL_APIC_GPA || low - LAYOUT_LOCAL_APIC_GPA >= ADDRESS_BYTES ||
	    (high & ADDRESS_HIGH_RESERVED) || (DELIVERY_MODES_RESERVED >> mode & 1))
		return -EINVAL;
	return 0;
}
