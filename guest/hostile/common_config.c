// SPDX-License-Identifier: MIT
/*
 * H32-H35 and H39-H41: a driver that writes to the common and the device's configuration what it
 * must not (virtio 1.2, 4.1.4.3, 2.1, 2.5). What is refused changes nothing, whatever the width of
 * the access.
 */
#include "kit/hostile.h"
#include "kit/tap.h"
#include "kit/text.h"
#include "kit/width.h"

#define COMMON_BYTES 60 /* with queue_notify_data and queue_reset */
#define QUIET_NS     UINT64_C(20000000)
#define FATAL_NS     UINT64_C(5000000000)
#define BAD_HEAD     0xfff0
/* What a driver may change of any device's configuration. */
#define BLK_WRITEBACK 32
#define CONSOLE_EMERG 8
#define Q_NDATA	      56
#define Q_RESET	      58

/* Nothing is used of what is offered and kicked now. */
static bool is_quiet(struct virtio_device *device)
{
	static struct request request;
	struct virtqueue *queue = subject_queue(device);
	struct used used;

	request_add(&request, device, 0);
	virtqueue_notify(queue);
	hostile_wait(QUIET_NS);
	return !virtqueue_poll(queue, &used);
}

static void h32_queue_size(struct virtio_device *device)
{
	uint16_t bad[] = { 0, 3, 0xffff, 0, 0 }, max;

	virtio_reset(device);
	max = virtio_queue_max(device, subject_queue(device)->index);
	bad[3] = (uint16_t)(max + 1);
	bad[4] = (uint16_t)(max * 2);
	for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
		common_write16(device, VIRTIO_PCI_COMMON_Q_SIZE, 16);
		common_write16(device, VIRTIO_PCI_COMMON_Q_SIZE, bad[i]);
		ok(common_read16(device, VIRTIO_PCI_COMMON_Q_SIZE) == 16,
		   "H32 %s: queue_size %u is refused", device->name, bad[i]);
	}
	ok(subject_restarts(device), "H32 %s: and the queue works", device->name);
}

struct queue_registers {
	uint16_t size, vector, enabled;
	uint32_t addresses[6];
};

static struct queue_registers read_registers(const struct virtio_device *device)
{
	struct queue_registers registers = {
		.size = common_read16(device, VIRTIO_PCI_COMMON_Q_SIZE),
		.vector = common_read16(device, VIRTIO_PCI_COMMON_Q_MSIX),
		.enabled = common_read16(device, VIRTIO_PCI_COMMON_Q_ENABLE),
	};

	for (unsigned i = 0; i < 6; i++)
		registers.addresses[i] = common_read32(device, VIRTIO_PCI_COMMON_Q_DESCLO + i * 4);
	return registers;
}

static void write_addresses(const struct virtio_device *device, uint32_t value)
{
	for (unsigned i = 0; i < 6; i++)
		common_write32(device, VIRTIO_PCI_COMMON_Q_DESCLO + i * 4, value);
}

static void h33_live(struct virtio_device *device)
{
	struct queue_registers before, after;
	uint64_t accepted;

	virtio_start(device, virtio_usual_features(device));
	subject_works(device);
	virtio_select(device, subject_queue(device)->index);
	before = read_registers(device);
	accepted = virtio_accepted(device);
	common_write16(device, VIRTIO_PCI_COMMON_Q_SIZE, 8);
	write_addresses(device, 0xfffff000);
	common_write16(device, VIRTIO_PCI_COMMON_Q_ENABLE, 0);
	common_write16(device, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	common_write16(device, VIRTIO_PCI_COMMON_Q_ENABLE, 0xffff);
	after = read_registers(device);
	ok(!memcmp(&before, &after, sizeof(before)) && subject_works(device),
	   "H33 %s: size, addresses and enable of a live queue do not change", device->name);
	virtio_accept(device, ~accepted);
	ok(virtio_accepted(device) == accepted && subject_works(device),
	   "H33 %s: nor do the features of a live device", device->name);
}

static void h34_no_such_queue(struct virtio_device *device)
{
	const uint16_t none[] = { 0xffff, device->queue_count, 0x8000 };
	bool blank = true;

	virtio_start(device, virtio_usual_features(device));
	for (unsigned i = 0; i < ARRAY_COUNT(none); i++) {
		virtio_select(device, none[i]);
		common_write16(device, VIRTIO_PCI_COMMON_Q_SIZE, 16);
		common_write16(device, VIRTIO_PCI_COMMON_Q_MSIX, 0);
		write_addresses(device, 0x1000);
		common_write16(device, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
		common_write16(device, Q_RESET, 1);
		for (unsigned at = VIRTIO_PCI_COMMON_Q_SIZE; at < COMMON_BYTES; at += 2)
			blank = blank &&
				common_read16(device, at) ==
					(at == VIRTIO_PCI_COMMON_Q_MSIX ? VIRTIO_MSI_NO_VECTOR : 0);
	}
	ok(blank, "H34 %s: registers of queues that are not there take nothing and read 0",
	   device->name);
	ok(subject_works(device), "H34 %s: the queues that are there work", device->name);
}

static void h35_vectors(struct virtio_device *device)
{
	const uint16_t bad[] = { (uint16_t)device->msix.count, 0x7ff, 0x800, 0xfffe };
	struct virtqueue *queue = subject_queue(device);
	bool refused = true;

	virtio_start(device, virtio_usual_features(device));
	virtio_select(device, queue->index);
	for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
		common_write16(device, VIRTIO_PCI_COMMON_Q_MSIX, bad[i]);
		common_write16(device, VIRTIO_PCI_COMMON_MSIX, bad[i]);
		refused = refused &&
			  common_read16(device, VIRTIO_PCI_COMMON_Q_MSIX) == VIRTIO_MSI_NO_VECTOR &&
			  common_read16(device, VIRTIO_PCI_COMMON_MSIX) == VIRTIO_MSI_NO_VECTOR;
	}
	ok(refused, "H35 %s: vectors past the table read 0xffff", device->name);
	ok(subject_works(device), "H35 %s: requests complete without one", device->name);
	virtqueue_offer(queue, BAD_HEAD);
	virtqueue_notify(queue);
	ok(virtio_needs_reset_within(device, FATAL_NS),
	   "H35 %s: and so does a change of the configuration", device->name);
	ok(subject_restarts(device), "H35 %s: a reset brings it back", device->name);
}

/* Queues and vectors, but the status is the caller's. */
static void prepare_queues(struct virtio_device *device)
{
	virtio_interrupts_setup(device);
	for (uint16_t queue = 0; queue < device->queue_count; queue++)
		virtio_queue_setup(device, queue, 0);
}

static void h39_no_activation(struct virtio_device *device)
{
	static const struct {
		const char *name;
		uint8_t writes[3];
	} orders[] = {
		{ "DRIVER_OK alone", { VIRTIO_CONFIG_S_DRIVER_OK } },
		{ "DRIVER_OK without FEATURES_OK",
		  { VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER,
		    VIRTIO_CONFIG_S_DRIVER_OK } },
		{ "all ones at once", { 0xff } },
		{ "FEATURES_OK and DRIVER_OK at once", { VIRTIO_STATUS_LIVE } },
	};

	for (unsigned i = 0; i < ARRAY_COUNT(orders); i++) {
		bool quiet;

		virtio_reset(device);
		virtio_accept(device, virtio_usual_features(device) | BIT64(VIRTIO_F_VERSION_1));
		prepare_queues(device);
		for (unsigned j = 0; j < 3 && orders[i].writes[j]; j++)
			virtio_set_status(device, orders[i].writes[j]);
		quiet = is_quiet(device);
		ok(quiet && !(virtio_status(device) & VIRTIO_CONFIG_S_DRIVER_OK),
		   "H39 %s: %s: nothing starts, status is then %x", device->name, orders[i].name,
		   virtio_status(device));
	}
	ok(subject_restarts(device), "H39 %s: a reset brings it back", device->name);
}

static void h39_features(struct virtio_device *device)
{
	static const uint64_t bad[] = { UINT64_MAX, 0, 1 };
	bool refused = true;

	for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
		virtio_reset(device);
		virtio_accept(device, bad[i]);
		virtio_set_status(device, VIRTIO_STATUS_READY);
		virtio_set_status(device, VIRTIO_STATUS_LIVE);
		refused = refused && !(virtio_status(device) &
				       (VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK));
	}
	ok(refused, "H39 %s: features that were not offered, or without VERSION_1, are refused",
	   device->name);
}

static void h39_no_queues(struct virtio_device *device)
{
	virtio_negotiate(device, virtio_usual_features(device));
	virtio_driver_ok(device);
	for (uint16_t queue = 0; queue < device->queue_count; queue++)
		mmio_write16(device->notify->gpa + (uint64_t)device->notify_multiplier * queue,
			     queue);
	hostile_wait(QUIET_NS);
	ok(virtio_status(device) == VIRTIO_STATUS_LIVE,
	   "H39 %s: DRIVER_OK without a queue, each kicked, is a device at rest", device->name);
	virtio_queue_enable(device, subject_queue(device)->index);
	virtio_select(device, subject_queue(device)->index);
	ok(!common_read16(device, VIRTIO_PCI_COMMON_Q_ENABLE) &&
		   virtio_status(device) == VIRTIO_STATUS_LIVE,
	   "H39 %s: a queue that is enabled then stays off", device->name);
	ok(subject_restarts(device), "H39 %s: a reset brings it back from there", device->name);
}

/* A read of any width is what its bytes are. The generation is one that a read may change. */
static bool reads_agree(const struct virtio_capability *structure)
{
	uint8_t bytes[256];
	unsigned count = structure->bytes < sizeof(bytes) ? structure->bytes : sizeof(bytes);
	bool good = true;

	for (unsigned at = 0; at < count; at++)
		bytes[at] = mmio_read8(structure->gpa + at);
	for (unsigned i = 1; i < WIDTHS; i++)
		for (unsigned at = 0; at + widths[i] <= count; at += width_step(widths[i])) {
			uint64_t value = width_read(structure->gpa + at, widths[i]);

			good = good && !memcmp(&value, &bytes[at], widths[i]);
		}
	return good;
}

static void h40_reads(struct virtio_device *device)
{
	bool zero = true;

	virtio_reset(device);
	ok(reads_agree(device->common), "H40 %s: common configuration: any width at any offset",
	   device->name);
	if (device->config)
		ok(reads_agree(device->config),
		   "H40 %s: device configuration: any width at any offset", device->name);
	for (unsigned i = 0; i < WIDTHS; i++) {
		/* Across the structure's end, then all behind it. */
		unsigned at = device->common->bytes & ~(widths[i] - 1);

		(void)width_read(device->common->gpa + at - width_step(widths[i]), widths[i]);
		for (unsigned end = at + 24; at < end; at += width_step(widths[i]))
			zero = zero && (at < device->common->bytes ||
					!width_read(device->common->gpa + at, widths[i]));
	}
	ok(zero, "H40 %s: 0 behind the common configuration", device->name);
}

static void h40_bar_end(struct virtio_device *device)
{
	const struct pci_bar *bar = &device->function->bars[device->common->bar];
	uint64_t end = bar->base + bar->bytes;
	bool zero = true;

	virtio_start(device, virtio_usual_features(device));
	for (unsigned i = 0; i < WIDTHS; i++) {
		zero = zero && !width_read(end - widths[i], widths[i]);
		width_write(end - widths[i], widths[i], UINT64_MAX);
		if (!arch_mmio_unaligned() || widths[i] == 1)
			continue;
		/* Half in the BAR, half in what comes next. */
		(void)width_read(end - widths[i] / 2, widths[i]);
		/* Half in one page of the BAR, half in the next, which is no structure's. */
		(void)width_read(device->common->gpa + 0x1000 - widths[i] / 2, widths[i]);
		width_write(device->common->gpa + 0x1000 - widths[i] / 2, widths[i], UINT64_MAX);
	}
	ok(zero && subject_works(device), "H40 %s: nothing up to the BAR's end, and across it",
	   device->name);
}

/* Each field is written by its own width, addresses by halves or whole; any other does nothing. */
static bool is_field(unsigned at, unsigned bytes)
{
	if (at >= VIRTIO_PCI_COMMON_Q_DESCLO && at < Q_NDATA)
		return bytes >= 4 && !(at % bytes);
	switch (at) {
	case VIRTIO_PCI_COMMON_DFSELECT:
	case VIRTIO_PCI_COMMON_GFSELECT:
	case VIRTIO_PCI_COMMON_GF:
		return bytes == 4;
	case VIRTIO_PCI_COMMON_STATUS:
		return bytes == 1;
	case VIRTIO_PCI_COMMON_MSIX:
	case VIRTIO_PCI_COMMON_Q_SELECT:
	case VIRTIO_PCI_COMMON_Q_SIZE:
	case VIRTIO_PCI_COMMON_Q_MSIX:
	case VIRTIO_PCI_COMMON_Q_ENABLE:
	case Q_RESET:
		return bytes == 2;
	default:
		return false;
	}
}

static void read_common(const struct virtio_device *device, uint32_t *words)
{
	for (unsigned i = 0; i < COMMON_BYTES / 4; i++)
		words[i] = common_read32(device, i * 4);
}

static void h40_writes(struct virtio_device *device)
{
	uint32_t before[COMMON_BYTES / 4], after[COMMON_BYTES / 4];

	virtio_start(device, virtio_usual_features(device));
	virtio_select(device, subject_queue(device)->index);
	read_common(device, before);
	for (unsigned i = 0; i < WIDTHS; i++)
		for (unsigned at = 0; at < COMMON_BYTES + 16; at += width_step(widths[i]))
			if (!is_field(at, widths[i]))
				width_write(device->common->gpa + at, widths[i],
					    UINT64_C(0x0101010101010101) << (at & 7));
	read_common(device, after);
	ok(!memcmp(before, after, sizeof(before)) && subject_works(device),
	   "H40 %s: writes that are no field's width change nothing", device->name);
	virtio_reset(device);
	for (unsigned i = 0; i < WIDTHS; i++)
		for (unsigned at = 0; at < COMMON_BYTES + 16; at += width_step(widths[i]))
			width_write(device->common->gpa + at, widths[i],
				    UINT64_C(0xfedcba9876543210) * (at + 1));
	ok(subject_restarts(device), "H40 %s: after any write anywhere, a reset brings it back",
	   device->name);
}

static void read_config(const struct virtio_device *device, uint8_t *bytes)
{
	for (unsigned at = 0; at < device->config->bytes; at++) {
		bool writable = device->type == VIRTIO_ID_BLOCK	    ? at == BLK_WRITEBACK
				: device->type == VIRTIO_ID_CONSOLE ? at >= CONSOLE_EMERG
								    : false;

		bytes[at] = writable ? 0 : virtio_config_read8(device, at);
	}
}

static void h41_read_only(struct virtio_device *device)
{
	static uint8_t before[256], after[256];
	/* What the console's emergency write prints are empty lines. */
	uint64_t value =
		device->type == VIRTIO_ID_CONSOLE ? UINT64_C(0x0a0a0a0a0a0a0a0a) : UINT64_MAX;

	if (!device->config || device->config->bytes > sizeof(before)) {
		skip("no device configuration", "H41 %s: read-only configuration", device->name);
		return;
	}
	virtio_start(device, virtio_usual_features(device));
	read_config(device, before);
	for (unsigned i = 0; i < WIDTHS; i++)
		for (unsigned at = 0; at < device->config->bytes + 8; at += width_step(widths[i]))
			width_write(device->config->gpa + at, widths[i], value);
	read_config(device, after);
	ok(!memcmp(before, after, device->config->bytes) && subject_works(device),
	   "H41 %s: %u bytes of configuration, but those that are a driver's, do not change",
	   device->name, device->config->bytes);
}

static void test(struct victim *victim)
{
	static void (*const lines[])(struct virtio_device * device) = {
		h32_queue_size,	   h33_live,	 h34_no_such_queue, h35_vectors,
		h39_no_activation, h39_features, h39_no_queues,	    h40_reads,
		h40_writes,	   h40_bar_end,	 h41_read_only,
	};

	hostile_lines(victim, lines, ARRAY_COUNT(lines));
}

void guest_main(void)
{
	hostile_run(test);
}
