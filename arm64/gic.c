// SPDX-License-Identifier: MIT
/*
 * KVM's GIC devices: which there are, where they stand, and how they are made.
 * What a reset does to their registers is in gic_reset.c. Control thread.
 */
#include "arm64/gic.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arm64/gic_attribute.h"
#include "arm64/layout.h"
#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/vm.h"

#define GICV2_VCPUS_MAX 8
#define GITS_TRANSLATER 0x10040

static const char *const names[] = {
	[IRQCHIP_GICV3_ITS] = "gicv3-its",
	[IRQCHIP_GICV3] = "gicv3",
	[IRQCHIP_GICV2M] = "gicv2m",
	[IRQCHIP_GICV2] = "gicv2",
};

static bool host_has(const struct vm *vm, uint32_t type)
{
	struct kvm_create_device device = { .type = type, .flags = KVM_CREATE_DEVICE_TEST };

	return kvm_call(&vm->kvm, KVM_CREATE_DEVICE, &device) >= 0;
}

static bool offered(const struct vm *vm, enum irqchip irqchip)
{
	switch (irqchip) {
	case IRQCHIP_GICV3_ITS:
		return host_has(vm, KVM_DEV_TYPE_ARM_VGIC_V3) &&
		       host_has(vm, KVM_DEV_TYPE_ARM_VGIC_ITS);
	case IRQCHIP_GICV3:
		return host_has(vm, KVM_DEV_TYPE_ARM_VGIC_V3);
	default:
		return host_has(vm, KVM_DEV_TYPE_ARM_VGIC_V2);
	}
}

static int choose(struct gic *gic, const struct vm *vm, enum irqchip wanted)
{
	static const enum irqchip best_first[] = {
		IRQCHIP_GICV3_ITS, IRQCHIP_GICV3, IRQCHIP_GICV2M,
	};

	gic->irqchip = wanted;
	for (unsigned i = 0; gic->irqchip == IRQCHIP_AUTO && i < ARRAY_SIZE(best_first); i++)
		if (offered(vm, best_first[i]))
			gic->irqchip = best_first[i];
	if (gic->irqchip == IRQCHIP_AUTO)
		return fail_host(ENODEV, "%s: this KVM has no interrupt controller that ringvm "
				 "knows (GICv3 or GICv2)", vm->config.dev_path);
	if (wanted != IRQCHIP_AUTO && !offered(vm, wanted))
		return fail_host(ENODEV, "--irqchip: this host's KVM has no %s; leave it to "
				 "--irqchip auto", names[wanted]);
	if (!gic_is_v3(gic) && vm->config.vcpu_count > GICV2_VCPUS_MAX)
		return fail(EINVAL, "--cpus: %u is more than the %d that a GICv2 can interrupt; "
			    "give fewer%s", vm->config.vcpu_count, GICV2_VCPUS_MAX,
			    offered(vm, IRQCHIP_GICV3) ? ", or leave --irqchip to auto" : "");
	return 0;
}

static int device_create(struct vm *vm, uint32_t type, const char *name, int *fd)
{
	struct kvm_create_device device = { .type = type };
	int error = kvm_call(&vm->kvm, KVM_CREATE_DEVICE, &device);

	if (error < 0)
		return fail_host(-error, "%s: create the %s: %s", vm->config.dev_path, name,
				 strerror(-error));
	*fd = (int)device.fd;
	return 0;
}

static int place(int fd, uint64_t what, uint64_t value)
{
	return gic_attribute_set(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, what, &value);
}

static int create_v3(struct gic *gic, struct vm *vm)
{
	/* Count, base, flags and index of the one region, as KVM packs them. */
	uint64_t region = (uint64_t)vm->config.vcpu_count << 52 | LAYOUT_REDISTRIBUTOR_GPA;
	int error = device_create(vm, KVM_DEV_TYPE_ARM_VGIC_V3, "GICv3", &gic->fd);

	if (!error)
		error = place(gic->fd, KVM_VGIC_V3_ADDR_TYPE_DIST, LAYOUT_GIC_DISTRIBUTOR_GPA);
	if (!error)
		error = place(gic->fd, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, region);
	if (error || gic->irqchip != IRQCHIP_GICV3_ITS)
		return error;
	error = device_create(vm, KVM_DEV_TYPE_ARM_VGIC_ITS, "ITS", &gic->its_fd);
	if (!error)
		error = place(gic->its_fd, KVM_VGIC_ITS_ADDR_TYPE, LAYOUT_ITS_GPA);
	return error;
}

static int create_v2(struct gic *gic, struct vm *vm)
{
	int error = device_create(vm, KVM_DEV_TYPE_ARM_VGIC_V2, "GICv2", &gic->fd);

	if (!error)
		error = place(gic->fd, KVM_VGIC_V2_ADDR_TYPE_DIST, LAYOUT_GIC_DISTRIBUTOR_GPA);
	if (!error)
		error = place(gic->fd, KVM_VGIC_V2_ADDR_TYPE_CPU, LAYOUT_GICV2_CPU_GPA);
	return error;
}

int gic_create(struct gic *gic, struct vm *vm, enum irqchip wanted)
{
	int error;

	*gic = (struct gic){ .fd = -1, .its_fd = -1 };
	error = choose(gic, vm, wanted);
	if (!error)
		error = gic_is_v3(gic) ? create_v3(gic, vm) : create_v2(gic, vm);
	if (error)
		gic_destroy(gic);
	return error;
}

void gic_destroy(struct gic *gic)
{
	fd_close(&gic->its_fd);
	fd_close(&gic->fd);
}

int gic_complete(const struct gic *gic)
{
	uint32_t interrupts = GIC_SPI_FIRST + (gic->irqchip == IRQCHIP_GICV2M ?
					       LAYOUT_GIC_SPIS : LAYOUT_GICV2M_SPI);
	int error = gic_attribute_set(gic->fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &interrupts);

	if (!error)
		error = gic_attribute_set(gic->fd, KVM_DEV_ARM_VGIC_GRP_CTRL,
					  KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	if (!error && gic->its_fd >= 0)
		error = gic_attribute_set(gic->its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL,
					  KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	return error;
}

int gic_route_its(struct kvm_irq_routing_entry *entry, const struct msi_message *message)
{
	(void)entry;
	return message->address == LAYOUT_ITS_GPA + GITS_TRANSLATER ? 0 : -EINVAL;
}

int gic_route_nowhere(struct kvm_irq_routing_entry *entry, const struct msi_message *message)
{
	(void)entry;
	(void)message;
	return -ENOTSUP;
}
