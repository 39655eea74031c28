// SPDX-License-Identifier: MIT
/* MSI-X: table, masks, pending bits, mapping, and what KVM is told of it. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "hw/msix.h"
#include "tests/unit/fake_kvm.h"

#define VECTORS 4
#define SOURCES 3
#define PIN_COUNT 8
#define MSI_ADDRESS UINT64_C(0xfee01000)
#define FUNCTION_ADDRESS 0x18

static struct irq_router irqs;
static struct pci_function function;
static struct msix msix;
static int fds[SOURCES];

static const struct pci_ops no_ops = { 0 };
static const struct pci_identity identity = { 0x1234, 0x5678 };

static void control(uint16_t flags, uint16_t command)
{
	store_le16(&function.config[msix.capability + PCI_MSIX_FLAGS],
		   (uint16_t)(flags | (VECTORS - 1)));
	store_le16(&function.config[PCI_COMMAND], command);
	msix_config_written(&msix);
}

static void enable(void)
{
	control(PCI_MSIX_FLAGS_ENABLE, PCI_COMMAND_MASTER);
}

static void write_word(unsigned vector, unsigned field, uint32_t value)
{
	msix_table_write(&msix, vector * PCI_MSIX_ENTRY_SIZE + field, 4, value);
}

static void set_masked(unsigned vector, bool masked)
{
	write_word(vector, PCI_MSIX_ENTRY_VECTOR_CTRL, masked);
}

static void program(unsigned vector, uint32_t data)
{
	write_word(vector, PCI_MSIX_ENTRY_LOWER_ADDR, (uint32_t)MSI_ADDRESS);
	write_word(vector, PCI_MSIX_ENTRY_UPPER_ADDR, MSI_ADDRESS >> 32);
	write_word(vector, PCI_MSIX_ENTRY_DATA, data);
	set_masked(vector, false);
}

static bool pending(unsigned vector)
{
	return msix_pending_read(&msix, 0, 8) & BIT64(vector);
}

static unsigned injected(void)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < FAKE_KVM_MAX; i++)
		sum += fake_kvm.injected[i];
	return sum;
}

static int setup(void **state)
{
	struct kvm_irq_routing_entry pins[PIN_COUNT];

	(void)state;
	fake_kvm_reset();
	for (unsigned i = 0; i < PIN_COUNT; i++)
		pins[i] = (struct kvm_irq_routing_entry){ .gsi = i,
							  .type = KVM_IRQ_ROUTING_IRQCHIP };
	assert_int_equal(irq_router_init(&irqs, &fake_kvm_call, pins, PIN_COUNT, 64), 0);
	pci_function_init(&function, "gadget", &no_ops, &identity);
	function.address = FUNCTION_ADDRESS;
	assert_int_equal(msix_init(&msix, &(struct msix_config){
				.name = "gadget", .irqs = &irqs, .function = &function,
				.vector_count = VECTORS, .source_count = SOURCES,
				.bar = 1, .table_offset = 0x4000, .pba_offset = 0x5000 }), 0);
	for (unsigned i = 0; i < SOURCES; i++) {
		fds[i] = event_fd_create();
		assert_true(fds[i] >= 0);
		msix_set_source(&msix, i, fds[i]);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	msix_destroy(&msix);
	/* Nothing of it is left in KVM. */
	assert_int_equal(fake_kvm.irqfd_count, 0);
	assert_int_equal(fake_kvm.route_count, PIN_COUNT);
	irq_router_destroy(&irqs);
	for (unsigned i = 0; i < SOURCES; i++)
		fd_close(&fds[i]);
	return 0;
}

static void test_capability(void **state)
{
	const uint8_t *capability = &function.config[msix.capability];
	const uint8_t *writable = &function.writable[msix.capability];

	(void)state;
	assert_int_equal(capability[0], PCI_CAP_ID_MSIX);
	assert_int_equal(load_le16(&capability[PCI_MSIX_FLAGS]), VECTORS - 1);
	assert_int_equal(load_le32(&capability[PCI_MSIX_TABLE]), 0x4001);
	assert_int_equal(load_le32(&capability[PCI_MSIX_PBA]), 0x5001);
	assert_int_equal(load_le16(&writable[PCI_MSIX_FLAGS]),
			 PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	assert_int_equal(load_le64(&writable[PCI_MSIX_TABLE]), 0);
}

static void test_table_accesses(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VECTORS; i++) {
		assert_int_equal(msix_table_read(&msix, i * 16, 8), 0);
		assert_int_equal(msix_table_read(&msix, i * 16 + 8, 8), UINT64_C(1) << 32);
	}
	msix_table_write(&msix, 16, 8, UINT64_C(0x1122334455667788));
	msix_table_write(&msix, 24, 8, UINT64_C(0xfffffffe99aabbcc));
	assert_true(msix_table_read(&msix, 16, 8) == UINT64_C(0x1122334455667788));
	/* Of the control word only the mask bit is there. */
	assert_true(msix_table_read(&msix, 24, 8) == 0x99aabbcc);
	assert_int_equal(msix_table_read(&msix, 20, 4), 0x11223344);
	assert_int_equal(msix_table_read(&msix, 17, 1), 0x77);
	assert_int_equal(msix_table_read(&msix, 18, 2), 0x5566);
	assert_int_equal(msix_table_read(&msix, 28, 8), 0); /* runs into the next entry */

	for (unsigned offset = 16; offset < 32; offset++) {
		msix_table_write(&msix, offset, 1, 0xff);
		msix_table_write(&msix, offset, 2, 0xffff);
		if (offset % 4)
			msix_table_write(&msix, offset, 4, UINT32_MAX);
		if (offset % 8)
			msix_table_write(&msix, offset, 8, UINT64_MAX);
	}
	assert_true(msix_table_read(&msix, 16, 8) == UINT64_C(0x1122334455667788));
	assert_true(msix_table_read(&msix, 24, 8) == 0x99aabbcc);
	msix_table_write(&msix, VECTORS * 16, 4, UINT32_MAX);
	msix_table_write(&msix, VECTORS * 16 + 8, 8, UINT64_MAX);
	assert_int_equal(msix_table_read(&msix, VECTORS * 16, 4), 0);
	assert_int_equal(msix_table_read(&msix, UINT32_MAX, 4), 0);
	assert_int_equal(msix_pending_read(&msix, VECTORS, 8), 0);
}

static void test_route(void **state)
{
	const struct kvm_irq_routing_entry *route;
	int gsi;

	(void)state;
	msix_map(&msix, 0, 2);
	program(2, 0x4142);
	assert_int_equal(fake_kvm.irqfd_count, 0); /* not enabled */
	enable();
	gsi = fake_kvm_gsi(fds[0]);
	assert_true(gsi >= PIN_COUNT);
	route = fake_kvm_route(gsi);
	assert_non_null(route);
	assert_int_equal(route->type, KVM_IRQ_ROUTING_MSI);
	assert_int_equal(route->u.msi.address_lo, MSI_ADDRESS);
	assert_int_equal(route->u.msi.data, 0x4142);
	fake_kvm_signal(fds[0]);
	assert_int_equal(fake_kvm.injected[gsi], 1);
	assert_int_equal(fake_kvm.irqfd_count, 1);

	/* A new message reuses the GSI; the same one is not told again. */
	write_word(2, PCI_MSIX_ENTRY_DATA, 0x4143);
	assert_int_equal(fake_kvm_route(gsi)->u.msi.data, 0x4143);
	assert_int_equal(fake_kvm_gsi(fds[0]), gsi);
	gsi = (int)fake_kvm.routings;
	set_masked(2, true);
	set_masked(2, false);
	assert_int_equal(fake_kvm.routings, gsi);
	assert_int_equal(fake_kvm.route_count, PIN_COUNT + 1);
}

static void test_vector_mask(void **state)
{
	(void)state;
	msix_map(&msix, 1, 1);
	program(1, 0x31);
	enable();
	set_masked(1, true);
	fake_kvm_signal(fds[1]);
	fake_kvm_signal(fds[1]);
	assert_int_equal(injected(), 0);
	assert_true(pending(1));
	assert_int_equal(msix_pending_read(&msix, 0, 1), 2);
	assert_int_equal(msix_pending_read(&msix, 0, 4), 2);
	assert_int_equal(msix_pending_read(&msix, 8, 8), 0);
	set_masked(1, false);
	assert_int_equal(injected(), 1); /* once, however often it was signalled */
	assert_false(pending(1));
	fake_kvm_signal(fds[1]);
	assert_int_equal(injected(), 2);
	set_masked(1, true);
	assert_false(pending(1)); /* nothing stale */
	set_masked(1, false);
	assert_int_equal(injected(), 2);
}

static void test_function_mask(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SOURCES; i++) {
		msix_map(&msix, i, (uint16_t)i);
		program(i, 0x40 + i);
	}
	control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, PCI_COMMAND_MASTER);
	assert_true(msix_enabled(&msix));
	fake_kvm_signal(fds[0]);
	fake_kvm_signal(fds[2]);
	assert_int_equal(injected(), 0);
	assert_int_equal(msix_pending_read(&msix, 0, 8), 5);
	enable();
	assert_int_equal(injected(), 2);
	assert_int_equal(msix_pending_read(&msix, 0, 8), 0);
	assert_int_equal(fake_kvm.irqfd_count, SOURCES);
}

static void test_bus_master(void **state)
{
	(void)state;
	msix_map(&msix, 0, 0);
	program(0, 0x51);
	control(PCI_MSIX_FLAGS_ENABLE, PCI_COMMAND_MEMORY);
	fake_kvm_signal(fds[0]);
	assert_int_equal(injected(), 0);
	assert_true(pending(0));
	enable();
	assert_int_equal(injected(), 1);
	control(0, PCI_COMMAND_MASTER);
	assert_false(msix_enabled(&msix));
	assert_int_equal(fake_kvm.irqfd_count, 0);
	fake_kvm_signal(fds[0]);
	assert_int_equal(msix_pending_read(&msix, 0, 8), 0); /* not MSI-X's any more */
}

static void test_mapping(void **state)
{
	static const uint16_t none[] = { VECTORS, 0x7ff, 0xfffe, MSIX_NO_VECTOR };

	(void)state;
	enable();
	for (unsigned i = 0; i < VECTORS; i++)
		program(i, 0x60 + i);
	assert_int_equal(fake_kvm.irqfd_count, 0); /* no source: nothing allocated */
	assert_int_equal(fake_kvm.route_count, PIN_COUNT);

	/* All on one. */
	for (unsigned i = 0; i < SOURCES; i++)
		msix_map(&msix, i, 3);
	for (unsigned i = 0; i < SOURCES; i++) {
		assert_int_equal(fake_kvm_gsi(fds[i]), fake_kvm_gsi(fds[0]));
		fake_kvm_signal(fds[i]);
	}
	assert_int_equal(fake_kvm.injected[fake_kvm_gsi(fds[0])], SOURCES);
	set_masked(3, true);
	fake_kvm_signal(fds[2]);
	assert_true(pending(3));
	set_masked(3, false);
	assert_int_equal(injected(), SOURCES + 1);

	/* One moves away; what does not exist reads back as none. */
	msix_map(&msix, 1, 0);
	assert_int_not_equal(fake_kvm_gsi(fds[1]), fake_kvm_gsi(fds[0]));
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		msix_map(&msix, 1, 0);
		msix_map(&msix, 1, none[i]);
		assert_int_equal(msix_mapping(&msix, 1), MSIX_NO_VECTOR);
		assert_int_equal(fake_kvm_gsi(fds[1]), -1);
		fake_kvm_signal(fds[1]);
	}
	assert_int_equal(injected(), SOURCES + 1);
	/* What came while there was no vector is forgotten. */
	msix_map(&msix, 1, 0);
	assert_int_equal(injected(), SOURCES + 1);
}

/* A signal that waits behind one vector's mask follows to the next. */
static void test_pending_follows(void **state)
{
	(void)state;
	enable();
	program(1, 0x71);
	msix_map(&msix, 0, 0);
	fake_kvm_signal(fds[0]);
	assert_true(pending(0));
	msix_map(&msix, 0, 1);
	assert_int_equal(injected(), 1);
	assert_int_equal(msix_pending_read(&msix, 0, 8), 0);
}

static void test_remaps_do_not_leak(void **state)
{
	(void)state;
	enable();
	for (unsigned i = 0; i < VECTORS; i++)
		program(i, 0x80 + i);
	for (unsigned i = 0; i < 20000; i++) {
		msix_map(&msix, i % SOURCES, (uint16_t)(i % 5));
		write_word(i % VECTORS, PCI_MSIX_ENTRY_DATA, i);
	}
	assert_true(fake_kvm.route_count <= PIN_COUNT + VECTORS);
	msix_unmap_all(&msix);
	assert_int_equal(fake_kvm.irqfd_count, 0);
	assert_int_equal(fake_kvm.route_count, PIN_COUNT);
	for (unsigned i = 0; i < SOURCES; i++)
		assert_int_equal(msix_mapping(&msix, i), MSIX_NO_VECTOR);
	/* The table is the function's, not the device's: it stays. */
	assert_int_equal(msix_table_read(&msix, 12, 4), 0);
	msix_map(&msix, 0, 0);
	fake_kvm_signal(fds[0]);
	assert_int_equal(fake_kvm.injected[fake_kvm_gsi(fds[0])] > 0, 1);
}

static void test_kvm_refuses(void **state)
{
	static const unsigned long requests[] = { KVM_SET_GSI_ROUTING, KVM_IRQFD };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		unsigned before = injected();

		enable();
		msix_map(&msix, 0, 0);
		fake_kvm.fail_request = requests[i];
		fake_kvm.fail_error = EINVAL;
		program(0, 0x91);
		set_masked(0, true);
		set_masked(0, false);
		assert_int_equal(fake_kvm_gsi(fds[0]), -1);
		fake_kvm_signal(fds[0]);
		assert_true(pending(0)); /* dead is as if masked */
		fake_kvm.fail_error = 0;
		write_word(0, PCI_MSIX_ENTRY_DATA, 0x92);
		assert_int_equal(injected(), before + 1);
		assert_false(pending(0));
		msix_reset(&msix);
		assert_false(msix_enabled(&msix));
	}
}

/* A vector that worked and is given nonsense goes dead, and comes back. */
static void test_nonsense_kills_a_live_vector(void **state)
{
	(void)state;
	enable();
	msix_map(&msix, 0, 0);
	program(0, 0x11);
	fake_kvm.fail_request = KVM_SET_GSI_ROUTING;
	fake_kvm.fail_error = EINVAL;
	write_word(0, PCI_MSIX_ENTRY_LOWER_ADDR, 0x1000);
	assert_int_equal(fake_kvm_gsi(fds[0]), -1);
	write_word(0, PCI_MSIX_ENTRY_LOWER_ADDR, (uint32_t)MSI_ADDRESS);
	assert_true(fake_kvm_gsi(fds[0]) >= PIN_COUNT);
	fake_kvm.fail_error = 0;
}

static void test_gsis_run_out(void **state)
{
	int gsis[64];
	unsigned count = 0;

	(void)state;
	while ((gsis[count] = irq_router_allocate_msi(&irqs)) >= 0)
		count++;
	enable();
	msix_map(&msix, 0, 0);
	program(0, 0x21);
	assert_int_equal(fake_kvm.irqfd_count, 0);
	fake_kvm_signal(fds[0]);
	assert_true(pending(0));
	while (count)
		irq_router_free_msi(&irqs, (uint32_t)gsis[--count]);
	set_masked(0, false);
	assert_int_equal(injected(), 1);
}

static void test_reset(void **state)
{
	(void)state;
	enable();
	msix_map(&msix, 0, 0);
	program(0, 0x21);
	msix_reset(&msix);
	assert_int_equal(fake_kvm.irqfd_count, 0);
	assert_int_equal(fake_kvm.route_count, PIN_COUNT);
	assert_int_equal(msix_table_read(&msix, 0, 8), 0);
	assert_int_equal(msix_table_read(&msix, 12, 4), 1);
	assert_int_equal(msix_mapping(&msix, 0), MSIX_NO_VECTOR);
}

#define RACE_SIGNALS 20000

static void *signal_much(void *argument)
{
	(void)argument;
	for (unsigned i = 0; i < RACE_SIGNALS; i++)
		fake_kvm_signal(fds[0]);
	return NULL;
}

/* Masks and moves while the device signals: nothing is torn, and it still works after. */
static void test_mask_race(void **state)
{
	unsigned before;
	pthread_t device;

	(void)state;
	enable();
	for (unsigned i = 0; i < 2; i++)
		program(i, 0x30 + i);
	msix_map(&msix, 0, 0);
	pthread_create(&device, NULL, signal_much, NULL);
	for (unsigned i = 0; i < 2000; i++) {
		set_masked(i & 1, true);
		msix_pending_read(&msix, 0, 8);
		set_masked(i & 1, false);
		msix_map(&msix, 0, i & 1);
	}
	pthread_join(device, NULL);
	before = injected();
	assert_true(before > 0);
	assert_false(event_fd_pending(fds[0]));
	set_masked(msix_mapping(&msix, 0), true);
	fake_kvm_signal(fds[0]);
	set_masked(msix_mapping(&msix, 0), false);
	assert_int_equal(injected(), before + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_capability, setup, teardown),
		cmocka_unit_test_setup_teardown(test_table_accesses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_route, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vector_mask, setup, teardown),
		cmocka_unit_test_setup_teardown(test_function_mask, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bus_master, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mapping, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pending_follows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remaps_do_not_leak, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kvm_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense_kills_a_live_vector, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gsis_run_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mask_race, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
