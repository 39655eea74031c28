// SPDX-License-Identifier: MIT
/* Registers of the frame: vCPU threads, no state. Routes: under irq_router.lock. */
#include "arm64/gicv2m.h"

#include <errno.h>
#include <linux/kvm.h>

#include "arm64/gic_attribute.h"
#include "arm64/layout.h"
#include "base/bytes.h"
#include "base/log.h"

#define MSI_TYPER    0x008
#define MSI_SETSPI   0x040
#define FIRST        (GIC_SPI_FIRST + LAYOUT_GICV2M_SPI)
#define END          (GIC_SPI_FIRST + LAYOUT_GIC_SPIS)
#define TYPER_FIRST_SHIFT 16

static bool is_ours(uint32_t interrupt)
{
	return interrupt >= FIRST && interrupt < END;
}

static uint64_t frame_read(struct region *region, uint64_t offset, unsigned length)
{
	(void)region;
	return offset == MSI_TYPER && length == 4 ? FIRST << TYPER_FIRST_SHIFT | (END - FIRST) : 0;
}

/* What a processor writes here is an interrupt too: an edge. */
static void frame_write(struct region *region, uint64_t offset, unsigned length, uint64_t value)
{
	struct gicv2m *frame = container_of(region, struct gicv2m, region);
	struct kvm_irq_level pin = {
		.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | (uint32_t)value,
		.level = 1,
	};

	if (offset != MSI_SETSPI || length > 4 || !is_ours((uint32_t)value))
		return;
	kvm_call(frame->kvm, KVM_IRQ_LINE, &pin);
	pin.level = 0;
	kvm_call(frame->kvm, KVM_IRQ_LINE, &pin);
}

static const struct region_ops frame_ops = { frame_read, frame_write };

int gicv2m_init(struct gicv2m *frame, struct bus *mmio, const struct kvm_call *kvm)
{
	*frame = (struct gicv2m){
		.region = { &frame_ops, "GICv2M", LAYOUT_GICV2M_GPA, LAYOUT_GICV2M_BYTES },
		.kvm = kvm,
	};
	return bus_add(mmio, &frame->region) ? fail(EEXIST, "GICv2M: its address is taken") : 0;
}

void gicv2m_destroy(struct gicv2m *frame, struct bus *mmio)
{
	bus_remove(mmio, &frame->region);
}

int gicv2m_route(struct kvm_irq_routing_entry *entry, const struct msi_message *message)
{
	if (message->address != LAYOUT_GICV2M_GPA + MSI_SETSPI || !is_ours(message->data))
		return -EINVAL;
	entry->type = KVM_IRQ_ROUTING_IRQCHIP;
	entry->u.irqchip.irqchip = 0;
	entry->u.irqchip.pin = message->data - GIC_SPI_FIRST;
	return 0;
}
