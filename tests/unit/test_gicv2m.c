// SPDX-License-Identifier: MIT
/* The GICv2M frame, the map that it is in, and the options of arm64. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "arm64/arch_vm.h"
#include "arm64/gic_attribute.h"
#include "arm64/gicv2m.h"
#include "arm64/layout.h"
#include "core/arch.h"

#define TYPER  (LAYOUT_GICV2M_GPA + 0x008)
#define SETSPI (LAYOUT_GICV2M_GPA + 0x040)

static struct bus bus;
static struct gicv2m frame;
static struct kvm_irq_level levels[8];
static unsigned level_count;

static int control(int vm_fd, unsigned long request, void *argument)
{
	(void)vm_fd;
	assert_int_equal(request, KVM_IRQ_LINE);
	assert_true(level_count < 8);
	levels[level_count++] = *(const struct kvm_irq_level *)argument;
	return 0;
}

static const struct kvm_call kvm = { -1, control };

static int setup(void **state)
{
	(void)state;
	level_count = 0;
	return bus_init(&bus) || gicv2m_init(&frame, &bus, &kvm);
}

static int teardown(void **state)
{
	(void)state;
	gicv2m_destroy(&frame, &bus);
	bus_destroy(&bus);
	return 0;
}

static void write32(uint64_t gpa, uint32_t value)
{
	bus_access(&bus, gpa, &value, sizeof(value), true);
}

static void test_says_what_it_has(void **state)
{
	uint32_t typer = 0;

	(void)state;
	bus_access(&bus, TYPER, &typer, sizeof(typer), false);
	assert_int_equal(typer >> 16, 64);
	assert_int_equal((typer & 0x3ff) + (typer >> 16), 32 + LAYOUT_GIC_SPIS);
	/* KVM makes at most 992, and what it makes is a multiple of 32. */
	assert_int_equal(GIC_SPI_FIRST + LAYOUT_GIC_SPIS, 992);
	assert_int_equal((GIC_SPI_FIRST + LAYOUT_GICV2M_SPI) % 32, 0);
}

static void test_a_written_number_interrupts(void **state)
{
	(void)state;
	write32(SETSPI, 70);
	assert_int_equal(level_count, 2);
	assert_int_equal(levels[0].irq, KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | 70);
	assert_int_equal(levels[0].level, 1);
	assert_int_equal(levels[1].irq, levels[0].irq);
	assert_int_equal(levels[1].level, 0);
	/* Neither the board's own nor what does not exist. */
	write32(SETSPI, 63);
	write32(SETSPI, 992);
	write32(SETSPI, UINT32_MAX);
	write32(SETSPI + 4, 70);
	write32(TYPER, 70);
	assert_int_equal(level_count, 2);
}

static void test_routes(void **state)
{
	struct kvm_irq_routing_entry entry = { .gsi = 40, .type = KVM_IRQ_ROUTING_MSI };
	struct msi_message message = { .address = SETSPI, .data = 991 };

	(void)state;
	assert_int_equal(gicv2m_route(&entry, &message), 0);
	assert_int_equal(entry.type, KVM_IRQ_ROUTING_IRQCHIP);
	assert_int_equal(entry.u.irqchip.irqchip, 0);
	assert_int_equal(entry.u.irqchip.pin, 991 - 32);
	message.data = 992;
	assert_int_equal(gicv2m_route(&entry, &message), -EINVAL);
	message.data = 36; /* the pin of another device */
	assert_int_equal(gicv2m_route(&entry, &message), -EINVAL);
	message = (struct msi_message){ .address = SETSPI | BIT64(32), .data = 64 };
	assert_int_equal(gicv2m_route(&entry, &message), -EINVAL);
	message.address = LAYOUT_RAM_GPA;
	assert_int_equal(gicv2m_route(&entry, &message), -EINVAL);
}

static void test_the_map_has_room(void **state)
{
	(void)state;
	/* Linux 6.1 and later: 512 vCPUs with a GICv3. */
	assert_true(LAYOUT_REDISTRIBUTOR_GPA + 512 * LAYOUT_REDISTRIBUTOR_BYTES <=
		    LAYOUT_ECAM_GPA);
	assert_true(LAYOUT_GIC_DISTRIBUTOR_GPA + LAYOUT_GIC_DISTRIBUTOR_BYTES <=
		    LAYOUT_GICV2_CPU_GPA);
	assert_true(LAYOUT_GICV2_CPU_GPA + LAYOUT_GICV2_CPU_BYTES <= LAYOUT_GICV2M_GPA);
	assert_true(LAYOUT_GICV2M_GPA + LAYOUT_GICV2M_BYTES <= LAYOUT_ITS_GPA);
	assert_true(LAYOUT_ITS_GPA + LAYOUT_ITS_BYTES <= LAYOUT_REDISTRIBUTOR_GPA);
	assert_true(LAYOUT_INTX_SPI + 4 <= LAYOUT_GICV2M_SPI);
}

static const struct option_key *key_of(const char *name)
{
	const struct option_key *key = arch_options.keys;

	while (key->name && strcmp(key->name, name))
		key++;
	assert_non_null(key->name);
	return key;
}

static void test_options(void **state)
{
	struct arm64_options options = *(const struct arm64_options *)arch_options.defaults;

	(void)state;
	assert_int_equal(options.irqchip, IRQCHIP_AUTO);
	assert_int_equal(options.sve, WISH_AUTO);
	assert_int_equal(options.mte, WISH_OFF);
	assert_int_equal(option_set(key_of("irqchip"), "gicv3-its", &options), 0);
	assert_int_equal(options.irqchip, IRQCHIP_GICV3_ITS);
	assert_int_equal(option_set(key_of("irqchip"), "gicv2m", &options), 0);
	assert_int_equal(options.irqchip, IRQCHIP_GICV2M);
	assert_int_equal(option_set(key_of("irqchip"), "gicv2", &options), 0);
	assert_int_equal(options.irqchip, IRQCHIP_GICV2);
	assert_int_equal(option_set(key_of("irqchip"), "gicv4", &options), -EINVAL);
	assert_int_equal(option_set(key_of("pmu"), "on", &options), 0);
	assert_int_equal(options.pmu, WISH_ON);
	assert_int_equal(option_set(key_of("pmu"), "maybe", &options), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_says_what_it_has, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_written_number_interrupts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_routes, setup, teardown),
		cmocka_unit_test(test_the_map_has_room),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
