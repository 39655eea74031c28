// SPDX-License-Identifier: MIT
/* C37-C47: setting up queues, doorbells, queue reset (virtio 1.2, 2.6, 4.1.4.3, 4.1.4.4, 4.1.5.2).
 */
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"

#include <linux/virtio_console.h>

#define SMALL_SIZE  8
#define QUIET_NS    UINT64_C(50000000)
#define FATAL_NS    UINT64_C(2000000000)
#define RESET_NS    UINT64_C(5000000000)
#define WRAP_ROUNDS 40

static uint32_t expected_queues(const struct virtio_device *device)
{
	uint64_t offered = device->offered;

	switch (device->type) {
	case VIRTIO_ID_BLOCK:
		return offered & BIT64(VIRTIO_BLK_F_MQ)
			       ? virtio_config_read16(device, offsetof(struct virtio_blk_config,
								       num_queues))
			       : 1;
	case VIRTIO_ID_NET:
		return 2u * (offered & BIT64(VIRTIO_NET_F_MQ)
				     ? virtio_config_read16(device,
							    offsetof(struct virtio_net_config,
								     max_virtqueue_pairs))
				     : 1) +
		       (offered & BIT64(VIRTIO_NET_F_CTRL_VQ) ? 1 : 0);
	case VIRTIO_ID_CONSOLE:
		return offered & BIT64(VIRTIO_CONSOLE_F_MULTIPORT)
			       ? 2u + 2 * virtio_config_read32(
						  device, offsetof(struct virtio_console_config,
								   max_nr_ports))
			       : 2;
	default:
		return 1;
	}
}

static void c37_c38_count(struct virtio_device *device)
{
	uint16_t count = common_read16(device, VIRTIO_PCI_COMMON_NUMQ);
	static const uint16_t beyond[] = { 0, 1, 100, 0xffff };
	bool none = true, untouched;

	ok(count == expected_queues(device), "C37 %s: num_queues is %u, %u expected", device->name,
	   count, expected_queues(device));
	virtio_reset(device);
	for (unsigned i = 0; i < ARRAY_COUNT(beyond); i++) {
		virtio_select(device, beyond[i] == 0xffff ? 0xffff : (uint16_t)(count + beyond[i]));
		none = none && !common_read16(device, VIRTIO_PCI_COMMON_Q_SIZE);
		common_write16(device, VIRTIO_PCI_COMMON_Q_SIZE, 2);
		common_write32(device, VIRTIO_PCI_COMMON_Q_DESCLO, 0x1000);
		common_write16(device, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	}
	ok(none, "C38 %s: there is no queue from num_queues on", device->name);
	untouched = true;
	for (uint16_t queue = 0; queue < device->queue_count; queue++)
		untouched = untouched && virtio_queue_max(device, queue) > 2 &&
			    !common_read32(device, VIRTIO_PCI_COMMON_Q_DESCLO) &&
			    !common_read16(device, VIRTIO_PCI_COMMON_Q_ENABLE);
	ok(untouched, "C38 %s: writes to them reach no other queue", device->name);
	virtio_reset(device);
}

static void c39_sizes(struct virtio_device *device)
{
	static const uint16_t sizes[] = { 0, 3, 0x8001, 0xffff, 4 };
	bool powers = true;

	virtio_reset(device);
	virtio_select(device, 0);
	for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
		uint16_t size;

		common_write16(device, VIRTIO_PCI_COMMON_Q_SIZE, sizes[i]);
		size = common_read16(device, VIRTIO_PCI_COMMON_Q_SIZE);
		powers = powers && !(size & (size - 1));
	}
	ok(powers, "C39 %s: whatever is written, queue_size reads 0 or a power of two",
	   device->name);
	ok(common_read16(device, VIRTIO_PCI_COMMON_Q_SIZE) == 4, "C39 %s: and takes a smaller one",
	   device->name);
	virtio_reset(device);
}

static void c40_wrap(struct virtio_device *device)
{
	unsigned good = 0;

	virtio_start_sized(device, virtio_usual_features(device), subject_queue(device),
			   SMALL_SIZE);
	for (unsigned i = 0; i < WRAP_ROUNDS; i++)
		good += subject_works(device);
	ok(good == WRAP_ROUNDS, "C40 %s: a ring of %u wraps at its end", device->name, SMALL_SIZE);
	virtio_reset(device);
}

static void c41_read_only(struct virtio_device *device)
{
	static const uint8_t fields[] = { VIRTIO_PCI_COMMON_DF, VIRTIO_PCI_COMMON_NUMQ,
					  VIRTIO_PCI_COMMON_CFGGENERATION,
					  VIRTIO_PCI_COMMON_Q_NOFF };
	uint32_t features;
	uint16_t count, notify_offset;
	uint8_t generation;

	virtio_reset(device);
	virtio_select(device, 0);
	features = common_read32(device, VIRTIO_PCI_COMMON_DF);
	count = common_read16(device, VIRTIO_PCI_COMMON_NUMQ);
	generation = common_read8(device, VIRTIO_PCI_COMMON_CFGGENERATION);
	notify_offset = common_read16(device, VIRTIO_PCI_COMMON_Q_NOFF);
	for (unsigned i = 0; i < ARRAY_COUNT(fields); i++) {
		common_write8(device, fields[i], 0xa5);
		if (!(fields[i] & 1))
			common_write16(device, fields[i], 0xa5a5);
	}
	common_write32(device, VIRTIO_PCI_COMMON_DF, 0xa5a5a5a5);
	ok(common_read32(device, VIRTIO_PCI_COMMON_DF) == features &&
		   common_read16(device, VIRTIO_PCI_COMMON_NUMQ) == count &&
		   common_read8(device, VIRTIO_PCI_COMMON_CFGGENERATION) == generation &&
		   common_read16(device, VIRTIO_PCI_COMMON_Q_NOFF) == notify_offset,
	   "C41 %s: read-only fields are", device->name);
	virtio_reset(device);
}

static void c42_enabled(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);
	struct virtqueue_areas areas;

	virtio_start(device, virtio_usual_features(device));
	virtio_select(device, queue->index);
	ok(common_read16(device, VIRTIO_PCI_COMMON_Q_ENABLE) == 1, "C42 %s: queue_enable reads 1",
	   device->name);
	common_write16(device, VIRTIO_PCI_COMMON_Q_ENABLE, 0);
	ok(common_read16(device, VIRTIO_PCI_COMMON_Q_ENABLE) == 1 && subject_works(device),
	   "C42 %s: writing 0 does not disable it", device->name);
	areas = virtqueue_areas(queue);
	virtio_select(device, queue->index);
	common_write16(device, VIRTIO_PCI_COMMON_Q_SIZE, 2);
	common_write32(device, VIRTIO_PCI_COMMON_Q_DESCLO, 0x1000);
	common_write32(device, VIRTIO_PCI_COMMON_Q_AVAILLO, 0x2000);
	common_write32(device, VIRTIO_PCI_COMMON_Q_USEDLO, 0x3000);
	ok(common_read16(device, VIRTIO_PCI_COMMON_Q_SIZE) == queue->size &&
		   common_read32(device, VIRTIO_PCI_COMMON_Q_DESCLO) ==
			   (uint32_t)(uint64_t)areas.desc &&
		   common_read32(device, VIRTIO_PCI_COMMON_Q_AVAILLO) ==
			   (uint32_t)(uint64_t)areas.driver &&
		   common_read32(device, VIRTIO_PCI_COMMON_Q_USEDLO) ==
			   (uint32_t)(uint64_t)areas.device,
	   "C42 %s: after DRIVER_OK its fields stay", device->name);
	ok(subject_works(device), "C42 %s: and it works on", device->name);
	virtio_reset(device);
}

static void c43_not_enabled(struct virtio_device *device)
{
	static struct request request;
	struct virtqueue *queue = subject_queue(device);
	struct used used;

	virtio_negotiate(device, virtio_usual_features(device));
	virtio_interrupts_setup(device);
	virtqueue_init(queue, virtio_queue_max(device, queue->index) < 64 ? 2 : 64);
	virtio_queue_program(device, queue->index);
	virtio_driver_ok(device);
	request_add(&request, device, 0);
	virtqueue_notify(queue);
	ok(!virtqueue_wait(queue, &used, QUIET_NS) && !virtio_needs_reset(device),
	   "C43 %s: a queue that is not enabled is not touched", device->name);
	virtio_reset(device);
}

static void c44_doorbells(struct virtio_device *device)
{
	bool apart = true;

	virtio_start(device, virtio_usual_features(device));
	for (uint16_t i = 0; i < device->queue_count; i++)
		for (uint16_t j = 0; j < i; j++)
			apart = apart &&
				(!device->queues[i].size ||
				 device->queues[i].notify_gpa != device->queues[j].notify_gpa);
	ok(apart || !device->notify_multiplier, "C44 %s: each queue has a doorbell of its own",
	   device->name);
	for (uint16_t i = 0; i < device->queue_count; i++)
		if (device->queues[i].size)
			mmio_write16(device->queues[i].notify_gpa, i);
	if (device->notify->bytes >= 4)
		mmio_write16(device->notify->gpa + device->notify->bytes - 2, 0xfff0);
	ok(subject_works(device), "C44 %s: kicks of empty queues, and of none, do no harm",
	   device->name);
	virtio_reset(device);
}

static bool queue_reset(struct virtio_device *device, uint16_t queue)
{
	uint64_t end = arch_now_ns() + RESET_NS;

	virtio_select(device, queue);
	common_write16(device, VIRTIO_PCI_COMMON_Q_RESET, 1);
	while (common_read16(device, VIRTIO_PCI_COMMON_Q_RESET)) {
		if (arch_now_ns() > end)
			return false;
		arch_wait_ns(300000);
	}
	return !common_read16(device, VIRTIO_PCI_COMMON_Q_ENABLE);
}

static void c46_queue_reset(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);
	static struct request request;
	struct used used;

	if (!(device->offered & BIT64(VIRTIO_F_RING_RESET))) {
		skip("RING_RESET is not offered", "C46 %s: queue reset", device->name);
		return;
	}
	virtio_start(device, virtio_usual_features(device));
	subject_works(device);
	virtio_select(device, queue->index);
	ok(!common_read16(device, VIRTIO_PCI_COMMON_Q_RESET), "C46 %s: queue_reset is 0 at first",
	   device->name);
	ok(queue_reset(device, queue->index),
	   "C46 %s: queue_reset goes back to 0, the queue is off", device->name);
	request_add(&request, device, 0);
	virtqueue_notify(queue);
	ok(!virtqueue_wait(queue, &used, QUIET_NS), "C46 %s: it is not served then", device->name);
	virtio_queue_setup(device, queue->index, SMALL_SIZE);
	ok(subject_works(device), "C46 %s: enabled again with %u entries, it is", device->name,
	   SMALL_SIZE);
	ok(virtio_status(device) == VIRTIO_STATUS_LIVE, "C46 %s: the device was live all the time",
	   device->name);
	virtio_reset(device);
}

/* The driver broke the rule: a refusal is a queue that is not enabled, or a device that needs
 * reset. */
static void misalign(struct virtio_device *device, unsigned field, unsigned by, const char *ring)
{
	struct virtqueue *queue = subject_queue(device);
	uint64_t end = arch_now_ns() + FATAL_NS;
	bool refused;

	virtio_negotiate(device, virtio_usual_features(device));
	virtqueue_init(queue, 2);
	virtio_queue_program(device, queue->index);
	common_write32(device, field, common_read32(device, field) + by);
	virtio_queue_enable(device, queue->index);
	refused = !common_read16(device, VIRTIO_PCI_COMMON_Q_ENABLE);
	virtio_driver_ok(device);
	mmio_write16(queue->notify_gpa, queue->index);
	while (!refused && arch_now_ns() < end) {
		refused = virtio_needs_reset(device);
		arch_wait_ns(1000000);
	}
	ok(refused, "C47 %s: %s off by %u is refused", device->name, ring, by);
	virtio_reset(device);
}

static void c47_alignment(struct virtio_device *device)
{
	misalign(device, VIRTIO_PCI_COMMON_Q_DESCLO, 8, "descriptor table");
	misalign(device, VIRTIO_PCI_COMMON_Q_AVAILLO, 1, "available ring");
	misalign(device, VIRTIO_PCI_COMMON_Q_USEDLO, 2, "used ring");
	ok(subject_restarts(device), "C47 %s: it works after that", device->name);
	virtio_reset(device);
}

static void test(struct virtio_device *device)
{
	c37_c38_count(device);
	c39_sizes(device);
	c40_wrap(device);
	c41_read_only(device);
	c42_enabled(device);
	c43_not_enabled(device);
	c44_doorbells(device);
	c46_queue_reset(device);
	c47_alignment(device);
}

void guest_main(void)
{
	for_each_device(test);
}
