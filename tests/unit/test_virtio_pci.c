// SPDX-License-Identifier: MIT
/* The PCI transport, through the addresses that a guest uses. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <linux/virtio_pci.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "tests/unit/bus_guest.h"
#include "tests/unit/fake_kvm.h"
#include "tests/unit/file_updates.h"
#include "virtio/registers.h"
#include "virtio/virtio_pci.h"

#define ECAM_GPA 0xe0000000
#define MEMORY32_GPA 0xc0000000
#define MEMORY32_BYTES 0x01000000
#define RAM_GPA MIB
#define RAM_BYTES (4 * MIB)
#define PIN_GSI 17 /* of slot 1 */
#define PIN_COUNT 24
#define QUEUES 3
#define QUEUE_SIZE 64
#define TYPE_ID 30
#define CONFIG_BYTES 10
#define FEATURE_A 3
#define FEATURE_B 37
#define MSI_ADDRESS 0xfee00000
#define WAIT_MS 20000
#define NO_VECTOR VIRTIO_MSI_NO_VECTOR

struct gadget {
	struct virtio_device device;
	struct virtqueue queues[QUEUES];
	uint8_t config[CONFIG_BYTES];
	_Atomic unsigned kicks[QUEUES];
	unsigned config_writes;
};

static bool destroyed;
static struct bus mmio, ports;
static struct irq_router irqs;
static struct pci_host host;
static struct worker worker;
static struct guest_memory memory;
static struct virtio_pci *transport;
static struct gadget *gadget;

/* Where the structures are, as found in the capability list. */
static uint64_t bar_gpa, common, isr, config, notify, table, pending;
static unsigned window, msix_capability;

/* ---- A device type that does nothing with what it pops ---- */

static void gadget_kick(struct virtqueue *queue)
{
	struct gadget *self = container_of(queue->device, struct gadget, device);
	struct chain chain;

	self->kicks[queue->index]++;
	while (virtqueue_pop(queue, &chain))
		virtqueue_push(queue, chain.head, 0);
}

static void gadget_config_written(struct virtio_device *device, size_t offset, size_t length)
{
	(void)offset;
	(void)length;
	container_of(device, struct gadget, device)->config_writes++;
}

static void gadget_destroy(struct virtio_device *device)
{
	virtio_device_destroy(device);
	free(container_of(device, struct gadget, device));
	destroyed = true;
}

static const struct virtio_type gadget_type = {
	.name = "gadget",
	.id = TYPE_ID,
	.pci_class = 0x0880,
	.destroy = gadget_destroy,
	.config_written = gadget_config_written,
	.kick = gadget_kick,
};

static void gadget_create(size_t config_size)
{
	static const uint8_t writable[CONFIG_BYTES] = { [8] = 0x0f };
	static struct worker *const workers[] = { &worker };
	struct virtio_deps deps = { "gadget0", &memory, workers, 1, NULL };

	destroyed = false;
	gadget = calloc(1, sizeof(*gadget));
	assert_non_null(gadget);
	for (unsigned i = 0; i < CONFIG_BYTES; i++)
		gadget->config[i] = (uint8_t)(0x10 + i);
	assert_int_equal(virtio_device_init(&gadget->device, &(struct virtio_device_config){
				.type = &gadget_type, .deps = &deps,
				.features = BIT64(FEATURE_A) | BIT64(FEATURE_B),
				.config = gadget->config, .config_size = config_size,
				.config_writable = writable,
				.queues = gadget->queues, .queue_count = QUEUES }), 0);
	for (unsigned i = 0; i < QUEUES; i++)
		assert_int_equal(virtqueue_init(&gadget->queues[i], &gadget->device, (uint16_t)i,
						QUEUE_SIZE, &worker), 0);
}

/* ---- What the guest does ---- */

static uint32_t get_config(unsigned offset, unsigned length)
{
	return (uint32_t)bus_read(&mmio, ECAM_GPA + (1 << 15) + offset, length);
}

static void set_config(unsigned offset, unsigned length, uint32_t value)
{
	bus_write(&mmio, ECAM_GPA + (1 << 15) + offset, length, value);
}

static uint64_t get(unsigned field, unsigned length)
{
	return bus_read(&mmio, common + field, length);
}

static void set(unsigned field, unsigned length, uint64_t value)
{
	bus_write(&mmio, common + field, length, value);
}

static void set_command(uint16_t command)
{
	set_config(PCI_COMMAND, 2, command);
}

static void found_structure(unsigned at)
{
	uint64_t gpa = bar_gpa + get_config(at + VIRTIO_PCI_CAP_OFFSET, 4);
	uint8_t type = (uint8_t)get_config(at + VIRTIO_PCI_CAP_CFG_TYPE, 1);

	assert_int_equal(get_config(at + VIRTIO_PCI_CAP_BAR, 1), 0);
	if (type == VIRTIO_PCI_CAP_COMMON_CFG)
		common = gpa;
	else if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		notify = gpa;
	else if (type == VIRTIO_PCI_CAP_ISR_CFG)
		isr = gpa;
	else if (type == VIRTIO_PCI_CAP_DEVICE_CFG)
		config = gpa;
	else if (type == VIRTIO_PCI_CAP_PCI_CFG)
		window = at;
	else
		fail_msg("a capability of type %u", type);
}

static void find_structures(void)
{
	unsigned at = get_config(PCI_CAPABILITY_LIST, 1), left = 16;

	common = isr = config = notify = table = pending = 0;
	window = msix_capability = 0;
	bar_gpa = get_config(PCI_BASE_ADDRESS_0, 4) & ~0xfu;
	for (; at; at = get_config(at + PCI_CAP_LIST_NEXT, 1)) {
		assert_true(left-- > 0);
		if (get_config(at, 1) == PCI_CAP_ID_VNDR) {
			found_structure(at);
			continue;
		}
		assert_int_equal(get_config(at, 1), PCI_CAP_ID_MSIX);
		msix_capability = at;
		table = bar_gpa + get_config(at + PCI_MSIX_TABLE, 4);
		pending = bar_gpa + get_config(at + PCI_MSIX_PBA, 4);
	}
}

static void enable_msix(void)
{
	set_config(msix_capability + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

static void disable_msix(void)
{
	set_config(msix_capability + PCI_MSIX_FLAGS, 2, 0);
}

static void program_vector(unsigned vector)
{
	bus_write(&mmio, table + vector * 16, 8, MSI_ADDRESS);
	bus_write(&mmio, table + vector * 16 + 8, 8, 0x40 + vector);
}

static void set_queue_vector(unsigned queue, uint16_t vector)
{
	set(VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	set(VIRTIO_PCI_COMMON_Q_MSIX, 2, vector);
}

static void set_up_queue(unsigned queue)
{
	uint32_t gpa = (uint32_t)(RAM_GPA + queue * 64 * KIB);

	set(VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	set(VIRTIO_PCI_COMMON_Q_DESCLO, 4, gpa);
	set(VIRTIO_PCI_COMMON_Q_AVAILLO, 4, gpa + 0x4000);
	set(VIRTIO_PCI_COMMON_Q_USEDLO, 4, gpa + 0x8000);
	set(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static void negotiate(void)
{
	set(VIRTIO_PCI_COMMON_STATUS, 1, 1);
	set(VIRTIO_PCI_COMMON_STATUS, 1, 3);
	for (unsigned i = 0; i < 2; i++) {
		set(VIRTIO_PCI_COMMON_DFSELECT, 4, i);
		set(VIRTIO_PCI_COMMON_GFSELECT, 4, i);
		set(VIRTIO_PCI_COMMON_GF, 4, get(VIRTIO_PCI_COMMON_DF, 4));
	}
	set(VIRTIO_PCI_COMMON_STATUS, 1, 11);
	assert_int_equal(get(VIRTIO_PCI_COMMON_STATUS, 1), 11);
}

static void begin(void)
{
	negotiate();
	for (unsigned i = 0; i < QUEUES; i++)
		set_up_queue(i);
	set(VIRTIO_PCI_COMMON_STATUS, 1, 15);
	assert_int_equal(get(VIRTIO_PCI_COMMON_STATUS, 1), 15);
}

static void nap(void)
{
	struct timespec delay = { .tv_nsec = 1000000 };

	nanosleep(&delay, NULL);
}

static void reset(void)
{
	set(VIRTIO_PCI_COMMON_STATUS, 1, 0);
	for (int left = WAIT_MS; get(VIRTIO_PCI_COMMON_STATUS, 1); left--) {
		assert_true(left);
		nap();
	}
	/* As a guest does not, but a new one may: no old rings. */
	memset(guest_memory_at(&memory, RAM_GPA, RAM_BYTES), 0, RAM_BYTES);
}

/* ---- Waiting for the worker ---- */

static void run_nothing(struct worker_task *task)
{
	(void)task;
}

/* What was posted before has run. */
static void worker_settle(void)
{
	struct worker_task task = { run_nothing };

	worker_call(&worker, &task);
}

static int pin_fd(bool resample)
{
	for (unsigned i = 0; i < fake_kvm.irqfd_count; i++)
		if (fake_kvm.irqfds[i].flags & KVM_IRQFD_FLAG_RESAMPLE)
			return (int)(resample ? fake_kvm.irqfds[i].resamplefd :
						fake_kvm.irqfds[i].fd);
	return -1;
}

/* Whether the pin has been asserted; takes the edge as KVM does. */
static bool pin_asserted(int timeout_ms)
{
	struct pollfd poll_fd = { .fd = pin_fd(false), .events = POLLIN };

	if (poll(&poll_fd, 1, timeout_ms) == 0)
		return false;
	event_fd_drain(poll_fd.fd);
	return true;
}

static void end_of_interrupt(void)
{
	event_fd_signal(pin_fd(true));
}

static void wait_kicks(unsigned queue, unsigned count)
{
	for (int left = WAIT_MS; gadget->kicks[queue] < count; left--) {
		assert_true(left);
		nap();
	}
}

/* ---- Set-up ---- */

static void host_set_up(void)
{
	struct kvm_irq_routing_entry pins[PIN_COUNT];

	fake_kvm_reset();
	bus_init(&mmio);
	bus_init(&ports);
	for (unsigned i = 0; i < PIN_COUNT; i++)
		pins[i] = (struct kvm_irq_routing_entry){ .gsi = i };
	assert_int_equal(irq_router_init(&irqs, &fake_kvm_call, pins, PIN_COUNT, 64), 0);
	assert_int_equal(pci_host_init(&host, &(struct pci_host_config){
				.mmio = &mmio, .ports = &ports, .irqs = &irqs,
				.kvm = &fake_kvm_call, .ecam_base = ECAM_GPA, .bus_count = 1,
				.memory32 = { MEMORY32_GPA, MEMORY32_BYTES },
				.intx_gsis = { 16, 17, 18, 19 } }), 0);
}

static int set_up_with(size_t config_size, unsigned files)
{
	struct worker_config worker_config = { "test", 64, files };

	host_set_up();
	memory = (struct guest_memory){ 0 };
	assert_int_equal(guest_memory_add(&memory, RAM_GPA, RAM_BYTES), 0);
	assert_int_equal(worker_create(&worker, &worker_config), 0);
	gadget_create(config_size);
	assert_int_equal(virtio_pci_create(&transport, &gadget->device, &host), 0);
	assert_ptr_equal(virtio_pci_device(transport), &gadget->device);
	assert_int_equal(worker_start(&worker), 0);
	find_structures();
	set_command(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return set_up_with(CONFIG_BYTES, 32);
}

static int setup_without_config(void **state)
{
	(void)state;
	return set_up_with(0, 32);
}

/* The queues' own, two each, and one for an interrupt cause. */
static int setup_with_few_files(void **state)
{
	(void)state;
	return set_up_with(CONFIG_BYTES, QUEUES * 2 + 1);
}

static int tear_down(bool stop_first)
{
	assert_int_equal(virtio_device_quiesce(&gadget->device, WAIT_MS), 0);
	if (stop_first)
		worker_stop(&worker);
	virtio_pci_destroy(transport);
	assert_true(destroyed);
	assert_int_equal(fake_kvm.irqfd_count, 0);
	assert_int_equal(fake_kvm.doorbell_count, 0);
	assert_int_equal(fake_kvm.route_count, PIN_COUNT);
	assert_int_equal(mmio.count, 1);
	worker_stop(&worker);
	worker_destroy(&worker);
	guest_memory_destroy(&memory);
	pci_host_destroy(&host);
	irq_router_destroy(&irqs);
	bus_destroy(&ports);
	bus_destroy(&mmio);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return tear_down(false);
}

static int teardown_when_stopped(void **state)
{
	(void)state;
	return tear_down(true);
}

/* ---- Identity and capabilities ---- */

static void test_identity(void **state)
{
	(void)state;
	assert_int_equal(get_config(PCI_VENDOR_ID, 4), (0x1040 + TYPE_ID) << 16 | 0x1af4);
	assert_int_equal(get_config(PCI_REVISION_ID, 1), 1);
	assert_int_equal(get_config(PCI_CLASS_DEVICE, 2), 0x0880);
	assert_int_equal(get_config(PCI_SUBSYSTEM_VENDOR_ID, 2), 0x1af4);
	assert_true(get_config(PCI_SUBSYSTEM_ID, 2) >= 0x40);
	assert_int_equal(get_config(PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(get_config(PCI_INTERRUPT_LINE, 1), PIN_GSI);
	assert_true(get_config(PCI_BASE_ADDRESS_0, 4) & PCI_BASE_ADDRESS_MEM_TYPE_64);
}

static void test_capabilities(void **state)
{
	unsigned at = get_config(PCI_CAPABILITY_LIST, 1), seen = 0;
	uint64_t ends[8], begins[8];
	unsigned count = 0;

	(void)state;
	for (; at; at = get_config(at + PCI_CAP_LIST_NEXT, 1)) {
		uint8_t type = (uint8_t)get_config(at + VIRTIO_PCI_CAP_CFG_TYPE, 1);
		uint32_t offset = get_config(at + VIRTIO_PCI_CAP_OFFSET, 4);
		uint32_t bytes = get_config(at + VIRTIO_PCI_CAP_LENGTH, 4);
		bool longer = type == VIRTIO_PCI_CAP_NOTIFY_CFG || type == VIRTIO_PCI_CAP_PCI_CFG;

		if (get_config(at, 1) != PCI_CAP_ID_VNDR)
			continue;
		seen |= 1u << type;
		assert_int_equal(get_config(at + VIRTIO_PCI_CAP_LEN, 1), longer ? 20 : 16);
		assert_int_equal(offset % 4, 0);
		assert_true(offset + bytes <= 0x8000);
		for (unsigned i = 0; i < count; i++)
			assert_true(offset >= ends[i] || offset + bytes <= begins[i]);
		if (type == VIRTIO_PCI_CAP_PCI_CFG)
			continue;
		begins[count] = offset;
		ends[count++] = offset + bytes;
		if (type == VIRTIO_PCI_CAP_COMMON_CFG)
			assert_true(bytes >= 64);
		if (type == VIRTIO_PCI_CAP_DEVICE_CFG)
			assert_int_equal(bytes, CONFIG_BYTES);
		if (type == VIRTIO_PCI_CAP_NOTIFY_CFG) {
			assert_int_equal(get_config(at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4), 4);
			assert_true(bytes >= (QUEUES - 1) * 4 + 2);
		}
	}
	assert_int_equal(seen, 0x3e); /* types 1 to 5, once each, and no other */
	assert_int_equal(count, 4);
	assert_int_equal(get_config(msix_capability + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE,
			 QUEUES);
}

static void test_no_device_config(void **state)
{
	(void)state;
	assert_int_equal(config, 0);
	assert_true(common && notify && isr && window);
	assert_int_equal(bus_read(&mmio, bar_gpa + 0x2000, 4), 0);
}

/* ---- Common configuration ---- */

static void test_features(void **state)
{
	uint64_t offered = gadget->device.offered;

	(void)state;
	assert_true(offered & BIT64(VIRTIO_F_VERSION_1));
	set(VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	for (unsigned i = 0; i < 2; i++) {
		set(VIRTIO_PCI_COMMON_DFSELECT, 4, i);
		assert_int_equal(get(VIRTIO_PCI_COMMON_DF, 4), (uint32_t)(offered >> (i * 32)));
		assert_int_equal(get(VIRTIO_PCI_COMMON_GFSELECT, 4), 1);
	}
	for (unsigned i = 0; i < 3; i++) {
		static const uint32_t beyond[] = { 2, 3, UINT32_MAX };

		set(VIRTIO_PCI_COMMON_DFSELECT, 4, beyond[i]);
		assert_int_equal(get(VIRTIO_PCI_COMMON_DFSELECT, 4), beyond[i]);
		assert_int_equal(get(VIRTIO_PCI_COMMON_DF, 4), 0);
		set(VIRTIO_PCI_COMMON_GFSELECT, 4, beyond[i]);
		set(VIRTIO_PCI_COMMON_GF, 4, UINT32_MAX);
		assert_int_equal(get(VIRTIO_PCI_COMMON_GF, 4), 0);
	}
	set(VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	set(VIRTIO_PCI_COMMON_GF, 4, BIT64(FEATURE_A));
	assert_int_equal(get(VIRTIO_PCI_COMMON_GF, 4), BIT64(FEATURE_A));
	set(VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	assert_int_equal(get(VIRTIO_PCI_COMMON_GF, 4), 0);
	reset();
	negotiate();
	assert_true(gadget->device.negotiated == offered);
}

static void test_queue_fields(void **state)
{
	(void)state;
	assert_int_equal(get(VIRTIO_PCI_COMMON_NUMQ, 2), QUEUES);
	for (unsigned i = 0; i < QUEUES; i++) {
		set(VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
		assert_int_equal(get(VIRTIO_PCI_COMMON_Q_SELECT, 2), i);
		assert_int_equal(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE_SIZE);
		assert_int_equal(get(VIRTIO_PCI_COMMON_Q_NOFF, 2), i);
		assert_int_equal(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		assert_int_equal(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), NO_VECTOR);
		assert_int_equal(get(VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
	}
	set(VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	set(VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
	assert_int_equal(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 8);
	for (unsigned i = 0; i < 5; i++) {
		static const uint16_t wrong[] = { 0, 3, QUEUE_SIZE * 2, 0x8001, 0xffff };

		set(VIRTIO_PCI_COMMON_Q_SIZE, 2, wrong[i]);
		assert_int_equal(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), 8);
	}
	set(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 2);
	assert_int_equal(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	set(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	assert_int_equal(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	set(VIRTIO_PCI_COMMON_Q_ENABLE, 2, 0);
	assert_int_equal(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
}

static void test_queue_out_of_range(void **state)
{
	static const uint16_t none[] = { QUEUES, 0xffff };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(none); i++) {
		set(VIRTIO_PCI_COMMON_Q_SELECT, 2, none[i]);
		for (unsigned field = VIRTIO_PCI_COMMON_Q_SIZE; field < 64; field += 2) {
			set(field, 2, 1);
			set(field, 4, 1);
			assert_int_equal(get(field, 2),
					 field == VIRTIO_PCI_COMMON_Q_MSIX ? NO_VECTOR : 0);
		}
	}
	for (unsigned i = 0; i < QUEUES; i++) {
		set(VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
		assert_int_equal(get(VIRTIO_PCI_COMMON_Q_SIZE, 2), QUEUE_SIZE);
		assert_int_equal(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		assert_int_equal(get(VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0);
	}
}

static void test_addresses(void **state)
{
	static const unsigned fields[] = { VIRTIO_PCI_COMMON_Q_DESCLO, VIRTIO_PCI_COMMON_Q_AVAILLO,
					   VIRTIO_PCI_COMMON_Q_USEDLO };

	(void)state;
	set(VIRTIO_PCI_COMMON_Q_SELECT, 2, 2);
	for (unsigned i = 0; i < 3; i++) {
		set(fields[i], 4, 0x11223000);
		set(fields[i] + 4, 4, 0x44 + i);
		assert_true(get(fields[i], 8) == ((0x44ull + i) << 32 | 0x11223000));
		set(fields[i] + 4, 4, 0x55);
		set(fields[i], 4, 0x66778000);
		assert_int_equal(get(fields[i], 4), 0x66778000);
		assert_int_equal(get(fields[i] + 4, 4), 0x55);
		set(fields[i], 8, UINT64_C(0x123456789000) + i);
		assert_true(get(fields[i], 8) == UINT64_C(0x123456789000) + i);
		set(fields[i], 2, 0xffff);
		set(fields[i] + 1, 1, 0xff);
		set(fields[i] + 2, 4, 0xffffffff);
		assert_true(get(fields[i], 8) == UINT64_C(0x123456789000) + i);
	}
	set(VIRTIO_PCI_COMMON_Q_DESCHI, 8, UINT64_MAX);
	assert_true(get(VIRTIO_PCI_COMMON_Q_DESCLO, 8) == UINT64_C(0x123456789000));
	assert_true(get(VIRTIO_PCI_COMMON_Q_AVAILLO, 8) == UINT64_C(0x123456789001));
	assert_true(gadget->queues[2].desc_gpa == UINT64_C(0x123456789000));
	assert_true(gadget->queues[2].avail_gpa == UINT64_C(0x123456789001));
	assert_true(gadget->queues[2].used_gpa == UINT64_C(0x123456789002));
	assert_int_equal(gadget->queues[1].desc_gpa, 0);
}

/* Reads of any width give the bytes; writes that are no whole field change none. */
static void test_widths(void **state)
{
	uint8_t before[64], after[64];

	(void)state;
	set(VIRTIO_PCI_COMMON_STATUS, 1, 1);
	set(VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	set(VIRTIO_PCI_COMMON_MSIX, 2, 1);
	for (unsigned i = 0; i < 64; i++)
		before[i] = (uint8_t)get(i, 1);
	for (unsigned length = 2; length <= 8; length *= 2)
		for (unsigned i = 0; i + length <= 64; i++)
			assert_true(get(i, length) == load_le(before + i, length));
	assert_true(get(60, 8) == load_le32(before + 60)); /* past the end there is nothing */
	assert_int_equal(bus_read(&mmio, common + 64, 4), 0);
	assert_int_equal(bus_read(&mmio, common + 0xffc, 4), 0);
	assert_int_equal(bus_read(&mmio, common + 0xffc, 8), 0); /* into the next page */

	for (unsigned length = 1; length <= 8; length *= 2)
		for (unsigned i = 0; i < 70; i++) {
			bool address = i >= VIRTIO_PCI_COMMON_Q_DESCLO &&
				       i < VIRTIO_PCI_COMMON_Q_NDATA && length >= 4;
			bool status = i == VIRTIO_PCI_COMMON_STATUS && length == 1;
			bool word = (i == 0 || i == 8 || i == 12) && length == 4;
			bool half = (i == 16 || (i >= 22 && i <= 28) || i == 58) && length == 2;

			if (!address && !status && !word && !half)
				set(i, length, 0xa5a5a5a5a5a5a5a5);
		}
	for (unsigned i = 0; i < 64; i++)
		after[i] = (uint8_t)get(i, 1);
	assert_memory_equal(before, after, 64);
}

static void test_device_config(void **state)
{
	static const uint8_t changed[] = { 0xaa, 0xbb };
	uint8_t generation = (uint8_t)get(VIRTIO_PCI_COMMON_CFGGENERATION, 1);

	(void)state;
	assert_int_equal(bus_read(&mmio, config, 4), 0x13121110);
	assert_int_equal(bus_read(&mmio, config + 3, 1), 0x13);
	assert_int_equal(bus_read(&mmio, config + 8, 8), 0x1918);
	assert_int_equal(bus_read(&mmio, config + CONFIG_BYTES, 4), 0);
	bus_write(&mmio, config, 4, 0);
	assert_int_equal(bus_read(&mmio, config, 4), 0x13121110);
	assert_int_equal(gadget->config_writes, 0);
	bus_write(&mmio, config + 8, 1, 0xff);
	assert_int_equal(bus_read(&mmio, config + 8, 1), 0x1f);
	assert_int_equal(gadget->config_writes, 1);

	assert_int_equal(get(VIRTIO_PCI_COMMON_CFGGENERATION, 1), generation);
	for (unsigned i = 0; i < 256; i++) {
		virtio_config_update(&gadget->device, 4, changed, 2);
		get(VIRTIO_PCI_COMMON_STATUS, 1); /* no read of the generation */
		get(VIRTIO_PCI_COMMON_NUMQ, 2);
	}
	assert_int_not_equal(get(VIRTIO_PCI_COMMON_CFGGENERATION, 1), generation);
	generation = (uint8_t)get(VIRTIO_PCI_COMMON_CFGGENERATION, 1);
	assert_int_equal(get(VIRTIO_PCI_COMMON_STATUS, 2) >> 8, generation);
	assert_int_equal(bus_read(&mmio, config + 4, 2), 0xbbaa);
}

static void test_reset(void **state)
{
	(void)state;
	enable_msix();
	program_vector(1);
	set(VIRTIO_PCI_COMMON_MSIX, 2, 1);
	begin();
	set_queue_vector(2, 1);
	reset();
	assert_int_equal(get(VIRTIO_PCI_COMMON_MSIX, 2), NO_VECTOR);
	assert_int_equal(get(VIRTIO_PCI_COMMON_Q_SELECT, 2), 0);
	assert_int_equal(get(VIRTIO_PCI_COMMON_DFSELECT, 4), 0);
	assert_int_equal(get(VIRTIO_PCI_COMMON_GFSELECT, 4), 0);
	assert_int_equal(get(VIRTIO_PCI_COMMON_GF, 4), 0);
	for (unsigned i = 0; i < QUEUES; i++) {
		set(VIRTIO_PCI_COMMON_Q_SELECT, 2, i);
		assert_int_equal(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), NO_VECTOR);
		assert_int_equal(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		assert_int_equal(get(VIRTIO_PCI_COMMON_Q_DESCLO, 8), 0);
	}
	assert_int_equal(fake_kvm.irqfd_count, 1); /* the pin's */
	assert_int_equal(fake_kvm.route_count, PIN_COUNT);
	begin();
}

static void test_queue_reset(void **state)
{
	(void)state;
	begin();
	set_queue_vector(1, 2);
	assert_int_equal(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), 2);
	set(VIRTIO_PCI_COMMON_Q_RESET, 2, 0);
	assert_int_equal(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	set(VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
	for (int left = WAIT_MS; get(VIRTIO_PCI_COMMON_Q_RESET, 2); left--) {
		assert_true(left);
		nap();
	}
	assert_int_equal(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	assert_int_equal(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), NO_VECTOR);
	set_up_queue(1);
	assert_int_equal(get(VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	assert_int_equal(get(VIRTIO_PCI_COMMON_STATUS, 1), 15);
}

/* ---- Doorbells ---- */

static void test_doorbells(void **state)
{
	(void)state;
	begin();
	for (unsigned i = 0; i < QUEUES; i++)
		wait_kicks(i, 1); /* the one that starting gives */
	assert_int_equal(fake_kvm.doorbell_count, QUEUES);
	for (unsigned i = 0; i < QUEUES; i++) {
		unsigned before = gadget->kicks[i];

		assert_true(fake_kvm_ring(notify + i * 4, 2));
		wait_kicks(i, before + 1);
		/* Where KVM has none, user space does it. */
		bus_write(&mmio, notify + i * 4, 2, 0xfff0);
		wait_kicks(i, before + 2);
		bus_write(&mmio, notify + i * 4, 4, i);
		wait_kicks(i, before + 3);
	}
}

static void test_doorbells_of_nobody(void **state)
{
	(void)state;
	for (unsigned offset = 0; offset < 0x1000; offset++)
		if (offset % 4 || offset >= QUEUES * 4)
			for (unsigned length = 1; length <= 8; length *= 2) {
				assert_false(fake_kvm_ring(notify + offset, length));
				bus_write(&mmio, notify + offset, length, 0);
			}
	assert_int_equal(bus_read(&mmio, notify, 2), 0);
	for (unsigned i = 0; i < QUEUES; i++)
		assert_false(event_fd_pending(gadget->queues[i].kick_fd));
	/* A queue that is not enabled takes the kick for when it is. */
	bus_write(&mmio, notify + 4, 2, 1);
	assert_true(event_fd_pending(gadget->queues[1].kick_fd));
}

static void test_doorbells_follow_the_bar(void **state)
{
	uint64_t old = notify, place = MEMORY32_GPA + 0x800000;
	unsigned before;

	(void)state;
	begin();
	wait_kicks(0, 1);
	before = gadget->kicks[0];
	set_config(PCI_BASE_ADDRESS_0, 4, (uint32_t)place);
	assert_false(fake_kvm_ring(old, 2));
	find_structures();
	assert_int_equal(bar_gpa, place);
	assert_true(fake_kvm_ring(notify, 2));
	wait_kicks(0, before + 1);
	assert_int_equal(get(VIRTIO_PCI_COMMON_STATUS, 1), 15);
	assert_int_equal(bus_read(&mmio, old - 0x3000 + VIRTIO_PCI_COMMON_STATUS, 1), 0xff);
	set_command(0);
	assert_int_equal(fake_kvm.doorbell_count, 0);
	set_command(PCI_COMMAND_MEMORY);
	assert_int_equal(fake_kvm.doorbell_count, QUEUES);
	set_config(PCI_BASE_ADDRESS_0, 4, UINT32_MAX);
	assert_int_equal(fake_kvm.doorbell_count, 0);
	set_config(PCI_BASE_ADDRESS_0, 4, (uint32_t)place);
	assert_int_equal(fake_kvm.doorbell_count, QUEUES);
}

static void test_doorbells_refused(void **state)
{
	unsigned before;

	(void)state;
	begin();
	wait_kicks(2, 1);
	before = gadget->kicks[2];
	set_command(0);
	fake_kvm.fail_request = KVM_IOEVENTFD;
	fake_kvm.fail_error = ENOSPC;
	set_command(PCI_COMMAND_MEMORY);
	fake_kvm.fail_error = 0;
	assert_int_equal(fake_kvm.doorbell_count, 0);
	bus_write(&mmio, notify + 8, 2, 2);
	wait_kicks(2, before + 1);
	set_command(0);
	set_command(PCI_COMMAND_MEMORY);
	assert_int_equal(fake_kvm.doorbell_count, QUEUES);
}

/* ---- Interrupts ---- */

static void test_msix(void **state)
{
	int gsi;

	(void)state;
	enable_msix();
	for (unsigned i = 0; i <= QUEUES; i++)
		program_vector(i);
	set(VIRTIO_PCI_COMMON_MSIX, 2, 0);
	begin();
	set_queue_vector(0, 1);
	set_queue_vector(1, 2);
	assert_int_equal(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), 2);
	gsi = fake_kvm_gsi(gadget->queues[0].call_fd);
	assert_true(gsi >= PIN_COUNT);
	assert_int_equal(fake_kvm_route(gsi)->u.msi.data, 0x41);
	fake_kvm_signal(gadget->queues[0].call_fd);
	assert_int_equal(fake_kvm.injected[gsi], 1);

	bus_write(&mmio, table + 16 + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 1);
	fake_kvm_signal(gadget->queues[0].call_fd);
	assert_int_equal(bus_read(&mmio, pending, 8), 2);
	bus_write(&mmio, pending, 8, 0);
	assert_int_equal(bus_read(&mmio, pending, 4), 2);
	bus_write(&mmio, table + 16 + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, 0);
	assert_int_equal(bus_read(&mmio, pending, 8), 0);
	assert_int_equal(fake_kvm.injected[fake_kvm_gsi(gadget->queues[0].call_fd)], 2);

	for (unsigned i = 0; i < 3; i++) {
		static const uint16_t wrong[] = { QUEUES + 1, 0x7ff, 0xfffe };

		set(VIRTIO_PCI_COMMON_MSIX, 2, wrong[i]);
		assert_int_equal(get(VIRTIO_PCI_COMMON_MSIX, 2), NO_VECTOR);
		set_queue_vector(1, wrong[i]);
		assert_int_equal(get(VIRTIO_PCI_COMMON_Q_MSIX, 2), NO_VECTOR);
	}
	fake_kvm_signal(gadget->queues[1].call_fd);
	virtio_fail(&gadget->device, "for the test");
	worker_settle();
	assert_false(pin_asserted(0)); /* the pin is silent with MSI-X */
	assert_int_equal(get(VIRTIO_PCI_COMMON_STATUS, 1), 15 | VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void test_config_interrupt(void **state)
{
	int gsi;

	(void)state;
	enable_msix();
	program_vector(3);
	set(VIRTIO_PCI_COMMON_MSIX, 2, 3);
	virtio_config_update(&gadget->device, 0, "a", 1);
	begin();
	gsi = fake_kvm_gsi(gadget->device.config_fd);
	assert_true(gsi >= PIN_COUNT);
	assert_int_equal(fake_kvm.injected[gsi], 0); /* none for going live */
	assert_int_equal(bus_read(&mmio, isr, 1), 0);
	virtio_config_update(&gadget->device, 0, "b", 1);
	/* The status bit comes with MSI-X too, once. */
	assert_int_equal(bus_read(&mmio, isr, 1), VIRTIO_PCI_ISR_CONFIG);
	assert_int_equal(bus_read(&mmio, isr, 1), 0);
	virtio_fail(&gadget->device, "for the test");
	assert_int_equal(bus_read(&mmio, isr, 1), VIRTIO_PCI_ISR_CONFIG);
	reset();
	assert_int_equal(bus_read(&mmio, isr, 1), 0);
}

static void test_bus_master(void **state)
{
	(void)state;
	enable_msix();
	program_vector(1);
	begin();
	set_queue_vector(0, 1);
	set_command(PCI_COMMAND_MEMORY);
	fake_kvm_signal(gadget->queues[0].call_fd);
	assert_int_equal(bus_read(&mmio, pending, 8), 2);
	set_command(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(bus_read(&mmio, pending, 8), 0);
	assert_int_equal(fake_kvm.injected[fake_kvm_gsi(gadget->queues[0].call_fd)], 1);
}

static void test_pin(void **state)
{
	(void)state;
	begin();
	assert_false(pin_asserted(0));
	assert_int_equal(fake_kvm_gsi(pin_fd(false)), PIN_GSI);
	event_fd_signal(gadget->queues[1].call_fd);
	assert_true(pin_asserted(WAIT_MS));
	assert_int_equal(get_config(PCI_STATUS, 2), PCI_STATUS_CAP_LIST | PCI_STATUS_INTERRUPT);
	/* Not handled at the end of interrupt: asserted anew. */
	end_of_interrupt();
	assert_true(pin_asserted(WAIT_MS));
	assert_int_equal(bus_read(&mmio, isr, 1), 1);
	assert_int_equal(bus_read(&mmio, isr, 1), 0);
	assert_int_equal(get_config(PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	end_of_interrupt();
	assert_false(pin_asserted(50));

	virtio_config_update(&gadget->device, 0, "x", 1);
	assert_true(pin_asserted(WAIT_MS));
	assert_int_equal(bus_read(&mmio, isr, 4), VIRTIO_PCI_ISR_CONFIG);
	assert_int_equal(bus_read(&mmio, isr + 1, 1), 0);
	bus_write(&mmio, isr, 1, 3);
	assert_int_equal(bus_read(&mmio, isr, 1), 0);
	end_of_interrupt();
	event_fd_signal(gadget->queues[0].call_fd);
	assert_true(pin_asserted(WAIT_MS));
}

static void test_pin_disabled(void **state)
{
	(void)state;
	begin();
	set_command(PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_DISABLE);
	event_fd_signal(gadget->queues[0].call_fd);
	for (int left = WAIT_MS; !(get_config(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT); left--) {
		assert_true(left);
		nap();
	}
	assert_false(pin_asserted(0));
	end_of_interrupt(); /* of another function on the pin */
	assert_false(pin_asserted(50));
	set_command(PCI_COMMAND_MEMORY);
	assert_true(pin_asserted(0));
	assert_int_equal(bus_read(&mmio, isr, 1), 1);
}

/* Before it is live and after a reset, signals mean nothing. */
static void test_pin_only_when_live(void **state)
{
	(void)state;
	event_fd_signal(gadget->queues[0].call_fd);
	begin();
	worker_settle();
	assert_false(pin_asserted(50));
	assert_int_equal(bus_read(&mmio, isr, 1), 0);
	event_fd_signal(gadget->queues[0].call_fd);
	assert_true(pin_asserted(WAIT_MS));
	reset();
	assert_int_equal(bus_read(&mmio, isr, 1), 0);
	assert_int_equal(get_config(PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	event_fd_signal(gadget->queues[0].call_fd);
	worker_settle();
	assert_false(pin_asserted(50));
	begin();
	event_fd_signal(gadget->queues[2].call_fd);
	assert_true(pin_asserted(WAIT_MS));
	for (unsigned i = 0; i < 100; i++) {
		reset();
		begin();
	}
	event_fd_signal(gadget->queues[1].call_fd);
	assert_true(pin_asserted(WAIT_MS));
}

static void test_pin_and_msix(void **state)
{
	(void)state;
	begin();
	enable_msix();
	worker_settle();
	event_fd_signal(gadget->queues[0].call_fd);
	assert_false(pin_asserted(50));
	assert_int_equal(bus_read(&mmio, isr, 1), 0);
	disable_msix();
	assert_true(pin_asserted(WAIT_MS)); /* what was signalled meanwhile is not lost */
	assert_int_equal(bus_read(&mmio, isr, 1), 1);
	for (unsigned i = 0; i < 200; i++) {
		enable_msix();
		disable_msix();
	}
	worker_settle();
	event_fd_signal(gadget->queues[0].call_fd);
	assert_true(pin_asserted(WAIT_MS));
}

/* What can't be watched is said, and all else works: interrupts by MSI-X, and a reset. */
static void test_pin_without_files(void **state)
{
	(void)state;
	begin();
	wait_kicks(2, 1);
	worker_settle();
	event_fd_signal(gadget->device.config_fd); /* the first cause got the slot */
	assert_true(pin_asserted(WAIT_MS));
	enable_msix();
	program_vector(1);
	set_queue_vector(1, 1);
	assert_true(fake_kvm_gsi(gadget->queues[1].call_fd) >= PIN_COUNT);
	reset();
	begin();
	wait_kicks(2, 2);
	assert_int_equal(get(VIRTIO_PCI_COMMON_STATUS, 1), 15);
}

static void test_pin_leaves_the_file_table_alone(void **state)
{
	unsigned before;

	(void)state;
	begin();
	wait_kicks(2, 1);
	worker_settle();
	before = file_updates();
	for (unsigned i = 0; i < file_updates_rounds(); i++) {
		enable_msix();
		worker_settle();
		disable_msix();
		worker_settle();
		event_fd_signal(gadget->device.config_fd);
		assert_true(pin_asserted(WAIT_MS));
		if (i % 8)
			continue;
		reset();
		begin();
		worker_settle();
	}
	assert_int_equal(file_updates(), before);
}

/* ---- The window in configuration space ---- */

static void aim(uint8_t bar, uint32_t offset, uint32_t bytes)
{
	set_config(window + VIRTIO_PCI_CAP_BAR, 1, bar);
	set_config(window + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	set_config(window + VIRTIO_PCI_CAP_LENGTH, 4, bytes);
}

static void test_window(void **state)
{
	unsigned data = window + 16;

	(void)state;
	aim(0, VIRTIO_PCI_COMMON_STATUS, 1);
	set_config(data, 1, 1);
	assert_int_equal(get(VIRTIO_PCI_COMMON_STATUS, 1), 1);
	assert_int_equal(get_config(data, 1), 1);
	aim(0, VIRTIO_PCI_COMMON_NUMQ, 2);
	assert_int_equal(get_config(data, 2), QUEUES);
	aim(0, VIRTIO_PCI_COMMON_DF, 4);
	assert_int_equal(get_config(data, 4), get(VIRTIO_PCI_COMMON_DF, 4));
	aim(0, 0x2000, 4);
	assert_int_equal(get_config(data, 4), 0x13121110);
	aim(0, 0x4000 + 8, 4);
	set_config(data, 4, 0x4711);
	assert_int_equal(bus_read(&mmio, table + 8, 4), 0x4711);
	aim(0, 0x3004, 2);
	set_config(data, 2, 1);
	assert_true(event_fd_pending(gadget->queues[1].kick_fd));
	/* It does not need the BAR to be decoded. */
	set_command(0);
	aim(0, VIRTIO_PCI_COMMON_NUMQ, 2);
	assert_int_equal(get_config(data, 2), QUEUES);
	/* The capability itself can be read without doing anything. */
	set_config(window, 4, UINT32_MAX);
	assert_int_equal(get_config(window, 1), PCI_CAP_ID_VNDR);
	assert_int_equal(get_config(window + VIRTIO_PCI_CAP_CFG_TYPE, 1), VIRTIO_PCI_CAP_PCI_CFG);
}

static void test_window_guarded(void **state)
{
	static const struct {
		uint8_t bar;
		uint32_t offset, bytes;
	} wrong[] = {
		{ 1, 18, 2 }, { 5, 18, 2 }, { 6, 18, 2 }, { 255, 18, 2 },
		{ 0, 18, 0 }, { 0, 18, 3 }, { 0, 16, 8 }, { 0, 0, 0x80000000 },
		{ 0, 17, 2 }, { 0, 18, 4 }, { 0, 0x8000, 1 }, { 0, 0x7ffe, 4 },
		{ 0, UINT32_MAX, 1 }, { 0, 0xfffffffc, 4 }, { 0, 0, UINT32_MAX },
	};
	unsigned data = window + 16;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		aim(0, 0x7000, 4); /* inside the BAR, where nothing is */
		set_config(data, 4, 0x99999999);
		assert_int_equal(get_config(data, 4), 0);
		aim(wrong[i].bar, wrong[i].offset, wrong[i].bytes);
		set_config(data, 4, 0x55555555);
		assert_int_equal(get_config(data, 4), 0x55555555);
	}
	assert_int_equal(get(VIRTIO_PCI_COMMON_STATUS, 1), 0);
}

/* ---- Life ---- */

static void test_host_reset(void **state)
{
	(void)state;
	enable_msix();
	program_vector(1);
	begin();
	set_queue_vector(0, 1);
	aim(0, 18, 2);
	assert_int_equal(virtio_device_quiesce(&gadget->device, WAIT_MS), 0);
	pci_host_reset(&host);
	assert_int_equal(fake_kvm.doorbell_count, 0);
	assert_int_equal(fake_kvm.irqfd_count, 1);
	assert_int_equal(get_config(PCI_COMMAND, 2), 0);
	assert_int_equal(get_config(msix_capability + PCI_MSIX_FLAGS, 2), QUEUES);
	assert_int_equal(get_config(window + VIRTIO_PCI_CAP_LENGTH, 4), 0);
	set_command(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(get(VIRTIO_PCI_COMMON_STATUS, 1), 0);
	assert_int_equal(bus_read(&mmio, table + 28, 4), 1);
	begin();
	event_fd_signal(gadget->queues[0].call_fd);
	assert_true(pin_asserted(WAIT_MS)); /* MSI-X is off again */
}

static void test_a_request(void **state)
{
	static const uint16_t head;
	struct vring_avail *avail = guest_memory_at(&memory, RAM_GPA + 0x4000, 8);
	struct vring_used *used = guest_memory_at(&memory, RAM_GPA + 0x8000, 16);
	struct vring_desc *desc = guest_memory_at(&memory, RAM_GPA, 16);
	struct pollfd poll_fd = { .fd = gadget->queues[0].call_fd, .events = POLLIN };

	(void)state;
	begin();
	*desc = (struct vring_desc){ htole64(RAM_GPA + 0x10000), htole32(512), 0, 0 };
	avail->ring[0] = head;
	__atomic_store_n(&avail->idx, htole16(1), __ATOMIC_RELEASE);
	assert_true(fake_kvm_ring(notify, 2));
	assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
	assert_int_equal(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE), htole16(1));
	assert_true(pin_asserted(WAIT_MS));
	assert_int_equal(bus_read(&mmio, isr, 1), 1);
}

/* A guest that writes anything anywhere: whatever it did, a reset brings the device back. */
static void test_random_accesses(void **state)
{
	uint64_t random = 0x9e3779b97f4a7c15;

	(void)state;
	for (unsigned i = 0; i < 60000; i++) {
		unsigned length, offset;

		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		length = 1u << (random >> 60 & 3);
		offset = (unsigned)(random >> 40);
		if (random >> 33 & 1)
			bus_write(&mmio, bar_gpa + (offset & 0x3f) + (offset >> 8 & 7) * 0x1000,
				  length, random >> 20 & 0xff);
		else if (random >> 34 & 3)
			bus_write(&mmio, bar_gpa + offset % 0x8000, length, random);
		else
			bus_write(&mmio, ECAM_GPA + (1 << 15) + offset % 260, length, random >> 8);
		bus_read(&mmio, bar_gpa + offset % 0x8000, length);
		bus_read(&mmio, ECAM_GPA + (1 << 15) + offset % 260, length);
		if (i % 64 == 0)
			set_config(PCI_BASE_ADDRESS_0, 4, (uint32_t)bar_gpa);
		if (i % 64 == 0)
			set_config(PCI_BASE_ADDRESS_0 + 4, 4, 0);
	}
	assert_int_equal(virtio_device_quiesce(&gadget->device, WAIT_MS), 0);
	pci_host_reset(&host);
	set_command(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	reset();
	begin();
	event_fd_signal(gadget->queues[0].call_fd);
	assert_true(pin_asserted(WAIT_MS));
}

static void test_create_fails(void **state)
{
	struct gadget *first = gadget;
	struct virtio_pci *second = NULL;

	(void)state;
	gadget_create(CONFIG_BYTES);
	fake_kvm.fail_request = KVM_IRQFD;
	fake_kvm.fail_error = ENOSPC;
	assert_int_equal(virtio_pci_create(&second, &gadget->device, &host),
			 -(ENOSPC | FAIL_HOST));
	fake_kvm.fail_error = 0;
	host.next32 = MEMORY32_GPA + MEMORY32_BYTES;
	assert_int_equal(virtio_pci_create(&second, &gadget->device, &host), -ENOSPC);
	assert_null(second);
	assert_false(destroyed);
	assert_null(host.functions[2]);
	gadget_destroy(&gadget->device);
	gadget = first;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_capabilities, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_device_config, setup_without_config,
						teardown),
		cmocka_unit_test_setup_teardown(test_features, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue_out_of_range, setup, teardown),
		cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_widths, setup, teardown),
		cmocka_unit_test_setup_teardown(test_device_config, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doorbells, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doorbells_of_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doorbells_follow_the_bar, setup, teardown),
		cmocka_unit_test_setup_teardown(test_doorbells_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_msix, setup, teardown),
		cmocka_unit_test_setup_teardown(test_config_interrupt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bus_master, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pin, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pin, setup, teardown_when_stopped),
		cmocka_unit_test_setup_teardown(test_pin_disabled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pin_only_when_live, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pin_and_msix, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pin_without_files, setup_with_few_files,
						teardown),
		cmocka_unit_test_setup_teardown(test_pin_leaves_the_file_table_alone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_window, setup, teardown),
		cmocka_unit_test_setup_teardown(test_window_guarded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_accesses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_create_fails, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
