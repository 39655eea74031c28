// SPDX-License-Identifier: MIT
/* What `ringvm run` can be told on arm64 only. */
#include <stddef.h>

#include "arm64/arch_vm.h"
#include "core/arch.h"

/* In the order of enum irqchip, enum wish. */
static const char *const irqchips[] = { "auto", "gicv3-its", "gicv3", "gicv2m", "gicv2", NULL };
static const char *const wishes[] = { "auto", "on", "off", NULL };

#define FEATURE(name, field, help) \
	{ name, OPTION_CHOICE, offsetof(struct arm64_options, field), help, .choices = wishes }

static const struct option_key keys[] = {
	{ "irqchip", OPTION_CHOICE, offsetof(struct arm64_options, irqchip),
	  "gicv3-its, gicv3, gicv2m, gicv2 or auto (default): the best",
	  .choices = irqchips },
	FEATURE("pmu", pmu, "on, off or auto (default): performance counters"),
	FEATURE("sve", sve, "on, off or auto (default): scalable vectors"),
	FEATURE("pauth", pauth, "on, off or auto (default): signed pointers"),
	FEATURE("mte", mte, "on, auto or off (default): tagged memory"),
	FEATURE("steal-time", steal_time, "on, off or auto (default): time lost to others"),
	{ "dump-dtb", OPTION_STRING, offsetof(struct arm64_options, dump_dtb_path),
	  "leave a copy of the device tree here" },
	{ 0 },
};

const struct arch_options arch_options = {
	.keys = keys,
	/* Tags cost memory: they are for those who ask. */
	.defaults = &(const struct arm64_options){ .mte = WISH_OFF },
	.size = sizeof(struct arm64_options),
};

const char arch_kvm_advice[] = "the host's kernel must have been started in EL2, with KVM built "
			       "in (CONFIG_KVM)";
