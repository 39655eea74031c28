// SPDX-License-Identifier: MIT
/*
 * C109-C114: the console (virtio 1.2, 5.3) with two named ports, alpha and beta. What it writes is
 * checked on the host, in the ports' files. Input and window sizes (C110, C111) take a terminal.
 */
#include "kit/memory.h"
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"

#include <linux/virtio_console.h>

#define CONTROL_RECEIVE	 2
#define CONTROL_TRANSMIT 3
#define MESSAGE_BYTES	 64
#define MESSAGES	 16
#define FORCED_SIZE	 8
#define ANSWER_NS	 UINT64_C(10000000000)
#define QUIET_NS	 UINT64_C(200000000)

#define CONFIG(field) offsetof(struct virtio_console_config, field)

struct port_message {
	struct virtio_console_control control;
	char body[MESSAGE_BYTES - sizeof(struct virtio_console_control)];
};

static struct virtio_device *device;
static struct port_message messages[MESSAGES];
static uint32_t last_bytes;

static bool transmit(uint16_t index, const void *data, uint32_t bytes)
{
	struct virtqueue *queue = &device->queues[index];
	struct part part = { (void *)data, bytes, false };
	struct used used;

	virtqueue_add(queue, &part, 1);
	virtqueue_notify(queue);
	return virtqueue_wait(queue, &used, ANSWER_NS);
}

static void send(uint32_t id, uint16_t event, uint16_t value)
{
	static struct virtio_console_control control;

	control = (struct virtio_console_control){ id, event, value };
	transmit(CONTROL_TRANSMIT, &control, sizeof(control));
}

static void offer_messages(unsigned count)
{
	struct virtqueue *queue = &device->queues[CONTROL_RECEIVE];

	for (unsigned i = 0; i < count; i++) {
		struct part part = { &messages[i], sizeof(messages[i]), true };

		memset(&messages[i], 0, sizeof(messages[i]));
		virtqueue_add(queue, &part, 1);
	}
	virtqueue_notify(queue);
}

/* The next message from the device, or NULL. */
static const struct port_message *receive(uint64_t ns)
{
	struct virtqueue *queue = &device->queues[CONTROL_RECEIVE];
	struct used used;

	if (!virtqueue_wait(queue, &used, ns))
		return NULL;
	last_bytes = used.written;
	return (const struct port_message *)queue->desc[used.head].addr;
}

static void c109_emergency(void)
{
	virtio_reset(device);
	if (!(device->offered & BIT64(VIRTIO_CONSOLE_F_EMERG_WRITE))) {
		skip("EMERG_WRITE is not offered", "C109 %s: emergency write", device->name);
		return;
	}
	for (const char *at = "urgent\n"; *at; at++)
		mmio_write32(device->config->gpa + CONFIG(emerg_wr), 0xabcdef00u | (uint8_t)*at);
	ok(!virtio_status(device), "C109 %s: emerg_wr is taken by a device not set up",
	   device->name);
}

/* Sets up a queue that is not there; whether none of that is to be seen. */
static bool stays_away(uint16_t index)
{
	bool away = !virtio_queue_max(device, index);

	virtqueue_init(&device->queues[index], FORCED_SIZE);
	virtio_queue_program(device, index);
	virtio_queue_enable(device, index);
	return away && !virtio_queue_max(device, index) &&
	       !common_read32(device, VIRTIO_PCI_COMMON_Q_DESCLO) &&
	       !common_read16(device, VIRTIO_PCI_COMMON_Q_ENABLE);
}

static bool all_stay_away(void)
{
	bool away = true;

	for (uint16_t index = CONTROL_RECEIVE; index < device->queue_count; index++)
		away = stays_away(index) && away;
	return away;
}

/* DEVICE_READY, room for answers, and a kick of each queue. */
static bool control_is_dead(void)
{
	static struct virtio_console_control ready = { 0, VIRTIO_CONSOLE_DEVICE_READY, 1 };
	struct part message = { &ready, sizeof(ready), false };
	struct used used;

	virtqueue_add(&device->queues[CONTROL_TRANSMIT], &message, 1);
	offer_messages(FORCED_SIZE);
	for (uint16_t index = CONTROL_RECEIVE; index < device->queue_count; index++)
		virtqueue_notify(&device->queues[index]);
	return !receive(QUIET_NS) && !virtqueue_poll(&device->queues[CONTROL_TRANSMIT], &used);
}

static void c114_no_control(uint64_t features)
{
	bool away;

	virtio_start(device, features);
	ok(transmit(1, "plain\n", 6), "C114 %s: without MULTIPORT there are two queues that work",
	   device->name);
	virtio_negotiate(device, features);
	virtio_interrupts_setup(device);
	for (uint16_t index = 0; index < CONTROL_RECEIVE; index++)
		virtio_queue_setup(device, index, 0);
	away = all_stay_away();
	virtio_driver_ok(device);
	ok(away && control_is_dead(), "C114 %s: setting up others comes to nothing", device->name);
	/* 2.6.1: a queue of a live device could be set up after that. */
	for (uint16_t index = CONTROL_RECEIVE; index < device->queue_count; index++) {
		virtio_select(device, index);
		common_write16(device, VIRTIO_PCI_COMMON_Q_RESET, 1);
		away = !common_read16(device, VIRTIO_PCI_COMMON_Q_RESET) && away;
	}
	ok(all_stay_away() && away && control_is_dead(), "C114 %s: nor after a reset of theirs",
	   device->name);
	ok(virtio_status(device) == VIRTIO_STATUS_LIVE && transmit(1, "plain\n", 6),
	   "C114 %s: and the two work on", device->name);
	virtio_reset(device);
}

static void c112_ports(uint32_t ports)
{
	bool added[32] = { false };
	const struct port_message *message;
	unsigned count = 0;
	bool right = true;

	virtio_start(device, virtio_usual_features(device) | BIT64(VIRTIO_CONSOLE_F_MULTIPORT));
	offer_messages(MESSAGES);
	ok(!receive(QUIET_NS), "C112 %s: nothing is said before DEVICE_READY", device->name);
	send(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	while ((message = receive(count < ports ? ANSWER_NS : QUIET_NS))) {
		uint32_t id = message->control.id;

		right = right && message->control.event == VIRTIO_CONSOLE_PORT_ADD && id < ports &&
			!added[id % 32];
		added[id % 32] = true;
		count++;
	}
	ok(right && count == ports, "C112 %s: DEVICE_READY: %u of %u ports are added, each once",
	   device->name, count, ports);
}

static bool is_text(const struct port_message *message, const char *text)
{
	size_t length = strlen(text);

	return last_bytes == sizeof(message->control) + length &&
	       !memcmp(message->body, text, length);
}

static void c112_names(uint32_t id, const char *name)
{
	const struct port_message *message;
	bool named = false, opened = false, right = true;

	send(id, VIRTIO_CONSOLE_PORT_READY, 1);
	while ((message = receive(named && opened ? QUIET_NS : ANSWER_NS))) {
		right = right && message->control.id == id;
		if (message->control.event == VIRTIO_CONSOLE_PORT_NAME)
			named = is_text(message, name);
		else if (message->control.event == VIRTIO_CONSOLE_PORT_OPEN)
			opened = message->control.value == 1;
	}
	ok(right && named && opened, "C112 %s: port %u is named %s and open", device->name, id,
	   name);
}

static void c113_nonsense(void)
{
	static const uint8_t part[4];

	send(0, VIRTIO_CONSOLE_DEVICE_READY, 0);
	send(0xffffffff, VIRTIO_CONSOLE_PORT_READY, 1);
	send(0, 0xffff, 0xffff);
	transmit(CONTROL_TRANSMIT, part, sizeof(part));
	ok(!receive(QUIET_NS) && virtio_status(device) == VIRTIO_STATUS_LIVE,
	   "C113 %s: what makes no sense is not answered", device->name);
}

static void test(struct virtio_device *found)
{
	static const char *const names[] = { "alpha", "beta" };
	uint32_t ports;

	device = found;
	if (device->type != VIRTIO_ID_CONSOLE)
		return;
	c109_emergency();
	c114_no_control(0);
	c114_no_control(virtio_usual_features(device));
	if (device->offered & BIT64(VIRTIO_CONSOLE_F_SIZE))
		ok(virtio_config_read16(device, CONFIG(cols)) &&
			   virtio_config_read16(device, CONFIG(rows)),
		   "C110 %s: the window has a size", device->name);
	if (!ok(device->offered & BIT64(VIRTIO_CONSOLE_F_MULTIPORT),
		"C112 %s: MULTIPORT is offered", device->name))
		return;
	ports = virtio_config_read32(device, CONFIG(max_nr_ports));
	c112_ports(ports);
	for (uint32_t id = 0; id < ports && id < ARRAY_COUNT(names); id++)
		c112_names(id, names[id]);
	c113_nonsense();
	send(0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	send(1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	ok(transmit(1, "to alpha\n", 9) && transmit(5, "to beta\n", 8),
	   "C113 %s: the next messages work, and ports take data", device->name);
	virtio_reset(device);
}

void guest_main(void)
{
	for_each_device(test);
}
