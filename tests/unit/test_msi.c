// SPDX-License-Identifier: MIT
/* Which messages of a guest are interrupts on x86, and that others leave no route. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <linux/kvm.h>

#include "base/bytes.h"
#include "core/irq.h"
#include "tests/unit/fake_kvm.h"
#include "x86/layout.h"
#include "x86/msi.h"

static bool valid(uint64_t address, uint32_t data)
{
	const struct msi_message message = { .address = address, .data = data };
	struct kvm_irq_routing_entry entry = { .type = KVM_IRQ_ROUTING_MSI };
	int error = msi_route(&entry, &message);

	assert_true(!error || error == -EINVAL);
	assert_int_equal(entry.type, KVM_IRQ_ROUTING_MSI);
	return !error;
}

static void test_addresses(void **state)
{
	(void)state;
	assert_true(valid(0xfee00000, 0x41));
	assert_true(valid(0xfeefffff, 0x41));
	assert_true(valid(0xfee01008, 0x41));
	/* An x2APIC's id of more than 8 bits, as KVM's routes have it. */
	assert_true(valid(UINT64_C(0xffffff00fee00000), 0x41));
	assert_false(valid(UINT64_C(0x1fee00000), 0x41));
	assert_false(valid(0xfedfffff, 0x41));
	assert_false(valid(0xfef00000, 0x41));
	assert_false(valid(0, 0));
	assert_false(valid(0x100000, 0x41)); /* RAM */
	assert_false(valid(LAYOUT_IOAPIC_GPA, 0x41));
	assert_false(valid(LAYOUT_ECAM_GPA, 0x41));
	assert_false(valid(UINT64_MAX, UINT32_MAX));
}

static void test_delivery_modes(void **state)
{
	(void)state;
	for (uint32_t mode = 0; mode < 8; mode++)
		assert_int_equal(valid(0xfee00000, mode << 8 | 0x41), mode != 3 && mode != 6);
	assert_true(valid(0xfee00000, 0xc0ff)); /* level, asserted: KVM makes an edge of it */
}

/* What is refused changes nothing that KVM knows. */
static void test_router(void **state)
{
	const struct msi_message good = { 0xfee00000, 0x41, 0 }, bad = { 0x1000, 0x42, 0 };
	struct irq_router router;
	int gsi;

	(void)state;
	fake_kvm_reset();
	assert_int_equal(irq_router_init(&router, &fake_kvm_call, NULL, 0, 32), 0);
	router.route = msi_route;
	gsi = irq_router_allocate_msi(&router);
	assert_int_equal(irq_router_route_msi(&router, (uint32_t)gsi, &bad), -EINVAL);
	assert_int_equal(fake_kvm.route_count, 0);
	assert_int_equal(irq_router_route_msi(&router, (uint32_t)gsi, &good), 0);
	assert_int_equal(irq_router_route_msi(&router, (uint32_t)gsi, &bad), -EINVAL);
	assert_int_equal(fake_kvm.route_count, 1);
	assert_int_equal(fake_kvm_route(gsi)->u.msi.data, 0x41);
	irq_router_destroy(&router);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_delivery_modes),
		cmocka_unit_test(test_router),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
