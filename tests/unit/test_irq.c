// SPDX-License-Identifier: MIT
/* The GSI table, irqfds and doorbells, on a KVM that is played. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "core/doorbell.h"
#include "core/irq.h"
#include "tests/unit/fake_kvm.h"

#define PINS 24
#define GSI_LIMIT 32

static struct irq_router router;

static void fake_kvm_fail(unsigned long request)
{
	fake_kvm.fail_request = request;
	fake_kvm.fail_error = request ? EINVAL : 0;
}

static int setup(void **state)
{
	struct kvm_irq_routing_entry pins[PINS] = { 0 };

	(void)state;
	fake_kvm_reset();
	for (unsigned i = 0; i < PINS; i++) {
		pins[i].gsi = i;
		pins[i].type = KVM_IRQ_ROUTING_IRQCHIP;
		pins[i].u.irqchip.pin = i;
	}
	return irq_router_init(&router, &fake_kvm_call, pins, PINS, GSI_LIMIT);
}

static int teardown(void **state)
{
	(void)state;
	irq_router_destroy(&router);
	return 0;
}

static void test_pins_are_always_there(void **state)
{
	int gsi = irq_router_allocate_msi(&router);
	const struct msi_message message = { 0x1fee01000, 0x4041, 8 };

	(void)state;
	assert_int_equal(fake_kvm.route_count, PINS);
	assert_int_equal(gsi, PINS);
	assert_int_equal(irq_router_route_msi(&router, (uint32_t)gsi, &message), 0);
	assert_int_equal(fake_kvm.route_count, PINS + 1);
	assert_int_equal(fake_kvm_route(3)->u.irqchip.pin, 3);
	assert_int_equal(fake_kvm_route(PINS)->type, KVM_IRQ_ROUTING_MSI);
	assert_int_equal(fake_kvm_route(PINS)->u.msi.address_lo, 0xfee01000);
	assert_int_equal(fake_kvm_route(PINS)->u.msi.address_hi, 1);
	assert_int_equal(fake_kvm_route(PINS)->u.msi.data, 0x4041);
	assert_int_equal(fake_kvm_route(PINS)->flags, 0);
}

static void test_device_id_where_it_is_wanted(void **state)
{
	int gsi = irq_router_allocate_msi(&router);
	const struct msi_message message = { 0x8080040, 3, 0x18 };

	(void)state;
	router.msi_has_device_id = true;
	assert_int_equal(irq_router_route_msi(&router, (uint32_t)gsi, &message), 0);
	assert_int_equal(fake_kvm_route(gsi)->flags, KVM_MSI_VALID_DEVID);
	assert_int_equal(fake_kvm_route(gsi)->u.msi.devid, 0x18);
}

static void test_routes_are_replaced_not_appended(void **state)
{
	int gsi = irq_router_allocate_msi(&router);

	(void)state;
	for (uint32_t i = 0; i < 100000; i += 97) {
		const struct msi_message message = { 0xfee00000, i, 0 };

		assert_int_equal(irq_router_route_msi(&router, (uint32_t)gsi, &message), 0);
	}
	assert_int_equal(fake_kvm.route_count, PINS + 1);
}

static void test_table_is_finite_and_comes_back(void **state)
{
	const struct msi_message message = { 0xfee00000, 1, 0 };

	(void)state;
	for (uint32_t gsi = PINS; gsi < GSI_LIMIT; gsi++) {
		assert_int_equal(irq_router_allocate_msi(&router), gsi);
		assert_int_equal(irq_router_route_msi(&router, gsi, &message), 0);
	}
	assert_int_equal(irq_router_allocate_msi(&router), -ENOSPC);
	irq_router_free_msi(&router, PINS + 2);
	assert_null(fake_kvm_route(PINS + 2));
	assert_non_null(fake_kvm_route(GSI_LIMIT - 1));
	assert_int_equal(irq_router_allocate_msi(&router), PINS + 2);
	irq_router_free_msi(&router, PINS + 2); /* without a route */
}

static void test_refused_route_leaves_the_old_one(void **state)
{
	uint32_t gsi = (uint32_t)irq_router_allocate_msi(&router);
	const struct msi_message good = { 0xfee00000, 1, 0 }, bad = { 0x12345678, 2, 0 };

	(void)state;
	fake_kvm_fail(KVM_SET_GSI_ROUTING);
	assert_int_equal(irq_router_route_msi(&router, gsi, &bad), -EINVAL);
	assert_int_equal(router.routing->nr, PINS);
	fake_kvm_fail(0);
	assert_int_equal(irq_router_route_msi(&router, gsi, &good), 0);
	fake_kvm_fail(KVM_SET_GSI_ROUTING);
	assert_int_equal(irq_router_route_msi(&router, gsi, &bad), -EINVAL);
	fake_kvm_fail(0);
	assert_int_equal(router.routing->entries[PINS].u.msi.data, 1);
}

static void test_irqfds(void **state)
{
	(void)state;
	assert_int_equal(irq_router_attach(&router, 25, 100), 0);
	assert_int_equal(fake_kvm_gsi(100), 25);
	assert_int_equal(fake_kvm.irqfds[0].flags, 0);
	assert_int_equal(irq_router_attach(&router, 26, 100), -EBUSY);
	assert_int_equal(irq_router_detach(&router, 25, 100), 0);
	assert_int_equal(fake_kvm_gsi(100), -1);
	assert_int_equal(irq_router_attach_level(&router, 16, 101, 102), 0);
	assert_int_equal(fake_kvm.irqfds[0].flags, KVM_IRQFD_FLAG_RESAMPLE);
	assert_int_equal(fake_kvm.irqfds[0].resamplefd, 102);
	fake_kvm_fail(KVM_IRQFD);
	assert_int_equal(irq_router_attach(&router, 25, 103), -EINVAL);
}

static void test_doorbells(void **state)
{
	const struct doorbell mmio = { 0xfe000000, 2, false, 7 }, port = { 0x600, 1, true, 8 };

	(void)state;
	assert_int_equal(doorbell_attach(&fake_kvm_call, &mmio), 0);
	assert_int_equal(doorbell_attach(&fake_kvm_call, &port), 0);
	assert_int_equal(fake_kvm.doorbells[0].flags, 0);
	assert_int_equal(fake_kvm.doorbells[0].len, 2);
	assert_int_equal(fake_kvm.doorbells[1].flags, KVM_IOEVENTFD_FLAG_PIO);
	assert_int_equal(doorbell_attach(&fake_kvm_call, &mmio), -EEXIST);
	assert_int_equal(doorbell_detach(&fake_kvm_call, &mmio), 0);
	assert_int_equal(doorbell_detach(&fake_kvm_call, &mmio), -ENOENT);
}

static void test_init_fails_when_kvm_refuses_the_pins(void **state)
{
	struct irq_router other;

	(void)state;
	fake_kvm_fail(KVM_SET_GSI_ROUTING);
	assert_true(fail_is_host(irq_router_init(&other, &fake_kvm_call, NULL, 0, GSI_LIMIT)));
}

/* As a controller without MSIs of its own has it: the message names a pin. */
static int route_to_pin(struct kvm_irq_routing_entry *entry, const struct msi_message *message)
{
	if (message->data >= PINS)
		return -EINVAL;
	entry->type = KVM_IRQ_ROUTING_IRQCHIP;
	entry->u.irqchip.irqchip = 0;
	entry->u.irqchip.pin = message->data;
	return 0;
}

static void test_a_controller_of_its_own_routes(void **state)
{
	const struct msi_message good = { 0x8040040, 7, 8 }, bad = { 0x8040040, PINS, 8 };
	uint32_t gsi = (uint32_t)irq_router_allocate_msi(&router);
	unsigned routings;

	(void)state;
	router.route = route_to_pin;
	assert_int_equal(irq_router_route_msi(&router, gsi, &good), 0);
	assert_int_equal(fake_kvm_route((int)gsi)->type, KVM_IRQ_ROUTING_IRQCHIP);
	assert_int_equal(fake_kvm_route((int)gsi)->u.irqchip.pin, 7);
	routings = fake_kvm.routings;
	assert_int_equal(irq_router_route_msi(&router, gsi, &bad), -EINVAL);
	assert_int_equal(fake_kvm.routings, routings);
	/* The old route is back: the next change of another tells KVM so. */
	gsi = (uint32_t)irq_router_allocate_msi(&router);
	assert_int_equal(irq_router_route_msi(&router, gsi, &good), 0);
	assert_int_equal(fake_kvm_route((int)gsi - 1)->u.irqchip.pin, 7);
	assert_int_equal(fake_kvm.route_count, PINS + 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pins_are_always_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_controller_of_its_own_routes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_device_id_where_it_is_wanted, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_routes_are_replaced_not_appended, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_table_is_finite_and_comes_back, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_refused_route_leaves_the_old_one, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_irqfds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doorbells, setup, teardown),
		cmocka_unit_test_setup_teardown(test_init_fails_when_kvm_refuses_the_pins, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
