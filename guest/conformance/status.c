// SPDX-License-Identifier: MIT
/*
 * C26-C36: status, reset and fatal errors (virtio 1.2, 2.1, 2.4, 4.1.4.3). Counts are scaled to
 * CPUs that are emulated: 200 cycles of reset (or `cycles`) and 300 ms of silence where a fast
 * machine would take more. With watch=1 the host looks at what the process has before and after.
 */
#include "kit/memory.h"
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"
#include "kit/watch.h"

#define EARLY_NS      UINT64_C(100000000)
#define SILENCE_NS    UINT64_C(300000000)
#define FATAL_NS      UINT64_C(5000000000)
#define RESET_CYCLES  200
#define IN_FLIGHT     64
#define RING	      256 /* room for as many requests of three descriptors */
#define PATTERN	      0x5a
#define BAD_HEAD      0xfff0
#define RECEIVE_BYTES 2048
#define ISR_CONFIG    2

static bool queue_is_blank(const struct virtio_device *device, uint16_t queue, uint16_t max)
{
	bool blank = virtio_queue_max(device, queue) == max &&
		     !common_read16(device, VIRTIO_PCI_COMMON_Q_ENABLE) &&
		     common_read16(device, VIRTIO_PCI_COMMON_Q_MSIX) == VIRTIO_MSI_NO_VECTOR;

	for (unsigned offset = VIRTIO_PCI_COMMON_Q_DESCLO; offset <= VIRTIO_PCI_COMMON_Q_USEDHI;
	     offset += 4)
		blank = blank && !common_read32(device, offset);
	return blank;
}

static void c26_c27_reset(struct virtio_device *device)
{
	uint16_t max[VIRTIO_QUEUES_MAX];
	bool blank = true;

	for (uint16_t queue = 0; queue < device->queue_count; queue++)
		max[queue] = virtio_queue_max(device, queue);
	virtio_start(device, virtio_usual_features(device));
	subject_works(device);
	ok(virtio_reset(device), "C26 %s: status reads 0 after reset", device->name);
	wait_ns(10000000);
	ok(!virtio_status(device), "C26 %s: and stays 0", device->name);
	for (uint16_t queue = 0; queue < device->queue_count; queue++)
		blank = blank && queue_is_blank(device, queue, max[queue]);
	ok(blank, "C27 %s: every queue is as new", device->name);
	ok(common_read16(device, VIRTIO_PCI_COMMON_MSIX) == VIRTIO_MSI_NO_VECTOR &&
		   !virtio_accepted(device),
	   "C27 %s: so are driver_feature and the configuration vector", device->name);
}

static void c28_early(struct virtio_device *device)
{
	static struct request request;
	struct virtqueue *queue = subject_queue(device);
	struct used used;
	uint64_t interrupts;
	bool by_itself;

	virtio_negotiate(device, virtio_usual_features(device));
	virtio_interrupts_setup(device);
	for (uint16_t i = 0; i < device->queue_count; i++)
		virtio_queue_setup(device, i, 0);
	interrupts = arch_line_count(queue->line);
	request_add(&request, device, 0);
	virtqueue_notify(queue);
	wait_ns(EARLY_NS);
	ok(!virtqueue_poll(queue, &used) && arch_line_count(queue->line) == interrupts,
	   "C28 %s: a kick before DRIVER_OK does nothing", device->name);
	virtio_driver_ok(device);
	by_itself = virtqueue_wait(queue, &used, EARLY_NS);
	if (!by_itself)
		virtqueue_notify(queue);
	ok((by_itself || virtqueue_wait(queue, &used, REQUEST_NS)) &&
		   request_check(&request, device, &used),
	   "C28 %s: after it the request is served %s a second kick", device->name,
	   by_itself ? "without" : "by");
	virtio_reset(device);
}

static bool is_pattern(const void *memory, size_t bytes)
{
	const uint8_t *at = memory;

	for (size_t i = 0; i < bytes; i++)
		if (at[i] != PATTERN)
			return false;
	return true;
}

/* Requests on the subject's queue, buffers on every other that would fill them. */
static void fill_queues(struct virtio_device *device, struct request *requests, uint8_t *receive)
{
	struct virtqueue *queue = subject_queue(device);

	for (unsigned i = 0; i < IN_FLIGHT; i++)
		request_add(&requests[i], device, i);
	if (queue->index) {
		struct part part = { receive, RECEIVE_BYTES, true };

		virtqueue_add(&device->queues[0], &part, 1);
		virtqueue_notify(&device->queues[0]);
	}
	virtqueue_notify(queue);
}

static uint64_t count_interrupts(const struct virtio_device *device)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < device->line_count; i++)
		count += arch_line_count(device->lines[i]);
	return count;
}

static void c29_quiet(struct virtio_device *device)
{
	static struct request requests[IN_FLIGHT];
	static uint8_t receive[RECEIVE_BYTES];
	size_t ring_bytes = 8192;
	uint64_t interrupts;
	bool kept = true;

	virtio_start_sized(device, virtio_usual_features(device), subject_queue(device), RING);
	fill_queues(device, requests, receive);
	virtio_reset(device);
	memset(requests, PATTERN, sizeof(requests));
	memset(receive, PATTERN, sizeof(receive));
	for (uint16_t queue = 0; queue < device->queue_count; queue++)
		if (device->queues[queue].size)
			memset(device->queues[queue].memory, PATTERN, ring_bytes);
	/* What was sent before status read 0 may still be on its way. */
	wait_ns(5000000);
	interrupts = count_interrupts(device);
	wait_ns(SILENCE_NS);
	for (uint16_t queue = 0; queue < device->queue_count; queue++)
		kept = kept && (!device->queues[queue].size ||
				is_pattern(device->queues[queue].memory, ring_bytes));
	ok(kept, "C29 %s: reset with %u requests in flight: rings are left alone", device->name,
	   IN_FLIGHT);
	ok(is_pattern(requests, sizeof(requests)) && is_pattern(receive, sizeof(receive)),
	   "C29 %s: so are buffers", device->name);
	ok(count_interrupts(device) == interrupts, "C29 %s: and there are no interrupts",
	   device->name);
}

static void c30_cycles(struct virtio_device *device)
{
	unsigned cycles = (unsigned)param_number("cycles", RESET_CYCLES);
	unsigned good = 0;

	for (unsigned i = 0; i < cycles; i++)
		good += subject_restarts(device);
	ok(good == cycles, "C30 %s: %u resets (scaled from 1000), each followed by I/O",
	   device->name, cycles);
	virtio_reset(device);
}

/* From a reset on, as a driver comes there; false if the device does not follow. */
static bool reach(struct virtio_device *device, uint8_t state)
{
	if (!virtio_reset(device))
		return false;
	if (state & VIRTIO_CONFIG_S_FEATURES_OK &&
	    !virtio_negotiate(device, virtio_usual_features(device)))
		return false;
	virtio_set_status(device, state);
	state &= (uint8_t)~VIRTIO_CONFIG_S_NEEDS_RESET; /* C36 */
	return (virtio_status(device) & state) == state;
}

static void c31_from_any_state(struct virtio_device *device)
{
	static const uint8_t states[] = {
		0,
		VIRTIO_CONFIG_S_ACKNOWLEDGE,
		VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER,
		VIRTIO_STATUS_READY,
		VIRTIO_STATUS_LIVE,
		VIRTIO_CONFIG_S_FAILED,
		VIRTIO_STATUS_LIVE | VIRTIO_CONFIG_S_FAILED,
		VIRTIO_CONFIG_S_NEEDS_RESET,
		VIRTIO_STATUS_LIVE | VIRTIO_CONFIG_S_NEEDS_RESET,
	};
	unsigned good = 0;

	for (unsigned i = 0; i < ARRAY_COUNT(states); i++)
		if (reach(device, states[i]) && virtio_reset(device) && subject_restarts(device))
			good++;
		else
			note("%s: not from state %x", device->name, states[i]);
	ok(good == ARRAY_COUNT(states), "C31 %s: reset works from each of %u states", device->name,
	   good);
	virtio_reset(device);
}

static void c32_bits_cleared(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);

	virtio_start(device, virtio_usual_features(device));
	virtio_set_status(device, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	virtio_select(device, queue->index);
	ok(common_read16(device, VIRTIO_PCI_COMMON_Q_ENABLE) == 1 &&
		   common_read16(device, VIRTIO_PCI_COMMON_Q_SIZE) == queue->size,
	   "C32 %s: a driver that clears status bits changes no queue, status is then %x",
	   device->name, virtio_status(device));
	ok(subject_restarts(device), "C32 %s: a reset brings it back", device->name);
	virtio_reset(device);
}

static void c33_c34_fatal(struct virtio_device *device)
{
	static struct request request;
	struct virtqueue *queue = subject_queue(device);
	uint64_t interrupts;
	struct used used;

	virtio_start(device, virtio_usual_features(device));
	interrupts = arch_line_count(device->lines[0]);
	virtqueue_offer(queue, BAD_HEAD);
	virtqueue_notify(queue);
	ok(virtio_needs_reset_within(device, FATAL_NS),
	   "C33 %s: a head out of range sets NEEDS_RESET", device->name);
	ok(line_wait(device->lines[0], interrupts + 1, FATAL_NS),
	   "C33 %s: with a configuration interrupt", device->name);
	ok(mmio_read8(device->isr->gpa) & ISR_CONFIG && !mmio_read8(device->isr->gpa),
	   "C50 %s: whose bit was set before in the ISR, and is read once", device->name);
	request_add(&request, device, 0);
	virtqueue_notify(queue);
	ok(!virtqueue_wait(queue, &used, EARLY_NS), "C33 %s: nothing is used any more",
	   device->name);
	ok(subject_restarts(device), "C34 %s: a reset brings it back", device->name);
	virtio_reset(device);
}

static void c35_c36_driver_bits(struct virtio_device *device)
{
	bool works;

	virtio_start(device, virtio_usual_features(device));
	virtio_set_status(device, VIRTIO_STATUS_LIVE | VIRTIO_CONFIG_S_FAILED);
	ok(virtio_status(device) & VIRTIO_CONFIG_S_FAILED, "C35 %s: FAILED is kept", device->name);
	ok(subject_restarts(device), "C35 %s: a reset brings it back", device->name);
	virtio_set_status(device, VIRTIO_STATUS_LIVE | VIRTIO_CONFIG_S_NEEDS_RESET);
	works = subject_works(device);
	ok(works, "C36 %s: NEEDS_RESET written by the driver breaks nothing, status is then %x",
	   device->name, virtio_status(device));
	virtio_reset(device);
}

static void test(struct virtio_device *device)
{
	c26_c27_reset(device);
	c28_early(device);
	c29_quiet(device);
	c30_cycles(device);
	c31_from_any_state(device);
	c32_bits_cleared(device);
	c33_c34_fatal(device);
	c35_c36_driver_bits(device);
}

void guest_main(void)
{
	struct virtio_device *devices;
	unsigned count = virtio_scan(&devices);

	/* What is made at the first start of a device is made before the host's look. */
	for (unsigned i = 0; i < count; i++) {
		if (!subject_restarts(&devices[i]))
			bail_out("%s does not work to begin with", devices[i].name);
		virtio_reset(&devices[i]);
	}
	watched("before");
	for (unsigned i = 0; i < count; i++)
		test(&devices[i]);
	watched("after");
}
