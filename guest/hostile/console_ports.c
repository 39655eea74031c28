// SPDX-License-Identifier: MIT
/*
 * H57: a console whose host does not read or sends without end, and a driver whose messages mean
 * nothing (virtio 1.2, 5.3). The ports: 0 a file, 1 for data and 3 a console, both terminals that
 * nobody reads, 2 /dev/zero, 4 a socket without a client.
 * Params: ms=N, how long input has no buffer.
 */
#include "kit/hostile.h"
#include "kit/memory.h"
#include "kit/tap.h"
#include "kit/text.h"

#include <linux/virtio_console.h>

#define MESSAGES_RECEIVE  2 /* queues */
#define MESSAGES_TRANSMIT 3
#define STUCK_TRANSMIT	  5
#define FLOOD_RECEIVE	  6
#define STALLED_TRANSMIT  9
#define NOBODY_TRANSMIT	  11
#define FLOOD_PORT	  2
#define PORTS		  5

#define LARGE	     65536
#define CHAINS	     40
#define LONG_CHAINS  32
#define LONG_PARTS   1000
#define LONG_BYTES   0x400000 /* the buffer, and RAM behind it: it is only read */
#define STUCK_LIMIT  3	      /* chains: the buffer of a port, and what a terminal takes */
#define EMERGENCIES  4000
#define POISON	     0xa5
#define MS	     UINT64_C(1000000)
#define EMERGENCY_AT offsetof(struct virtio_console_config, emerg_wr)

static struct victim *victim;
static struct virtio_device *device;
static uint8_t *buffer; /* LARGE */
static struct used used;

static void say(bool good, const char *what)
{
	ok(subject_works(device) && !virtio_needs_reset(device) && good, "H57 %s: %s", device->name,
	   what);
}

static bool transmit(uint16_t index, struct part part)
{
	struct virtqueue *queue = &device->queues[index];

	virtqueue_add(queue, &part, 1);
	virtqueue_notify(queue);
	return virtqueue_wait(queue, &used, REQUEST_NS) && !used.written;
}

static bool tell(uint32_t id, uint16_t event, uint16_t value)
{
	static struct virtio_console_control message;

	message = (struct virtio_console_control){ id, event, value };
	return transmit(MESSAGES_TRANSMIT, (struct part){ &message, sizeof(message), false });
}

static void start(void)
{
	virtio_start(device, virtio_usual_features(device) | BIT64(VIRTIO_CONSOLE_F_MULTIPORT));
}

/* ---- Messages ---- */

static void offer(uint32_t bytes, unsigned count)
{
	struct virtqueue *queue = &device->queues[MESSAGES_RECEIVE];

	for (unsigned i = 0; i < count; i++)
		virtqueue_add(queue, &(struct part){ buffer + i * bytes, bytes, true }, 1);
	virtqueue_notify(queue);
}

/* How many come, and with how many bytes at least, till none comes for a while. */
static unsigned count_messages(uint32_t bytes_min)
{
	struct virtqueue *queue = &device->queues[MESSAGES_RECEIVE];
	unsigned count = 0;

	while (virtqueue_wait(queue, &used, 50 * MS))
		count += used.written >= bytes_min;
	return count;
}

static void messages_of_nothing(void)
{
	static const uint32_t ids[] = { 0, PORTS, 0xffff, 0x10000, 0x80000000, 0xffffffff };
	static const uint16_t values[] = { 0, 2, 0xffff };
	static const uint32_t lengths[] = { 1, 4, 7, 9, LARGE };
	bool good = true;

	memset(buffer, 255, LARGE);
	for (unsigned i = 0; i < ARRAY_COUNT(ids); i++)
		for (unsigned j = 0; j < ARRAY_COUNT(values); j++)
			good = good && tell(ids[i], 0xffff, values[j]) &&
			       tell(ids[i], VIRTIO_CONSOLE_PORT_ADD, values[j]) &&
			       tell(ids[i], VIRTIO_CONSOLE_PORT_OPEN, values[j]) &&
			       tell(ids[i], VIRTIO_CONSOLE_PORT_READY, values[j]);
	for (unsigned i = 0; i < ARRAY_COUNT(lengths); i++)
		good = good &&
		       transmit(MESSAGES_TRANSMIT, (struct part){ buffer, lengths[i], false });
	good = good && transmit(MESSAGES_TRANSMIT, (struct part){ buffer, LARGE, true });
	offer(64, 8);
	say(good && !count_messages(0), "messages of any port, event, value, length mean nothing");
}

/* However often it asks, each port is announced once, and what has no room waits. */
static void messages_without_room(void)
{
	bool good = true;

	for (unsigned i = 0; i < 200; i++)
		good = good && tell(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	good = good && count_messages(sizeof(struct virtio_console_control)) == PORTS;
	for (unsigned i = 0; i < 50; i++)
		for (uint32_t id = 0; id < PORTS; id++)
			good = good && tell(id, VIRTIO_CONSOLE_PORT_READY, 1);
	count_messages(0);
	say(good, "200 times DEVICE_READY: each port is added once");
	start();
	/* All buffers come back, as none has room for a message. */
	tell(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	offer(1, 16);
	offer(7, 16);
	good = count_messages(0) == 32;
	offer(8, 16);
	good = good && count_messages(8) == PORTS;
	say(good, "messages into buffers of 1 and 7 bytes come later, into one of 8");
}

/* ---- Data ---- */

static void send_chains(struct virtqueue *queue)
{
	for (unsigned i = 0; i < CHAINS; i++)
		virtqueue_add(queue, &(struct part){ buffer, LARGE, false }, 1);
	virtqueue_notify(queue);
}

/* The reader never reads. */
static void stuck_output(void)
{
	struct virtqueue *queue = &device->queues[STUCK_TRANSMIT];
	unsigned count = 0;

	memset(buffer, 'x', LARGE);
	send_chains(queue);
	hostile_wait(param_number("ms", 300) * MS);
	while (virtqueue_poll(queue, &used))
		count++;
	ok(subject_works(device) && !virtio_needs_reset(device) && count < STUCK_LIMIT,
	   "H57 %s: %u of %u chains of 64 KiB are taken by a data port that nobody reads",
	   device->name, count, CHAINS);
	ok(virtio_reset(device), "H57 %s: a reset does not wait for the reader", device->name);
	start();
	say(true, "and it goes on");
}

/* A kernel waits for its console with interrupts off: not for ever. */
static void stalled_output(void)
{
	struct virtqueue *queue = &device->queues[STALLED_TRANSMIT];
	unsigned count = 0;

	send_chains(queue);
	say(true, "a console that nobody reads: others go on");
	while (count < CHAINS && virtqueue_wait(queue, &used, REQUEST_NS))
		count++;
	say(count == CHAINS, "and its output is dropped after a second");
}

static void output_flood(void)
{
	const unsigned rounds = param_is_set("full") ? 64 : 2;
	struct virtqueue *queue = subject_queue(device);
	unsigned count = 0;

	memset(buffer, '.', LARGE);
	for (unsigned i = 0; i < rounds; i++) {
		send_chains(queue);
		for (unsigned j = 0; j < CHAINS; j++)
			count += virtqueue_wait(queue, &used, REQUEST_NS) && !used.written;
	}
	ok(subject_works(device) && count == rounds * CHAINS,
	   "H57 %s: %u chains of 64 KiB, all written", device->name, count);
}

/* Nobody is there to take it: what is dropped takes no time, however much it is. */
static void lonely_output(void)
{
	static struct vring_desc tables[LONG_CHAINS][LONG_PARTS] __attribute__((aligned(16)));
	static struct part parts[LONG_PARTS];
	struct virtqueue *queue = &device->queues[NOBODY_TRANSMIT];
	unsigned count = 0;

	for (unsigned i = 0; i < LONG_PARTS; i++)
		parts[i] = (struct part){ buffer, LONG_BYTES, false };
	for (unsigned i = 0; i < LONG_CHAINS; i++)
		virtqueue_add_indirect(queue, tables[i], parts, LONG_PARTS);
	virtqueue_notify(queue);
	while (count < LONG_CHAINS && virtqueue_wait(queue, &used, REQUEST_NS) && !used.written)
		count++;
	ok(count == LONG_CHAINS && subject_works(device),
	   "H57 %s: %u chains of %u MiB to a socket without a client", device->name, LONG_CHAINS,
	   LONG_PARTS * (LONG_BYTES >> 20));
}

static void input_flood(void)
{
	struct virtqueue *queue = &device->queues[FLOOD_RECEIVE];
	unsigned count = 0;
	bool good = true;

	/* Its room is for the driver to make; till then the host waits. */
	tell(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	tell(FLOOD_PORT, VIRTIO_CONSOLE_PORT_READY, 1);
	tell(FLOOD_PORT, VIRTIO_CONSOLE_PORT_OPEN, 1);
	hostile_wait(param_number("ms", 300) * MS);
	memset(buffer, POISON, LARGE);
	for (unsigned i = 0; i < CHAINS; i++)
		virtqueue_add(queue, &(struct part){ buffer + i * 1024, 1 + i, true }, 1);
	virtqueue_notify(queue);
	while (count < CHAINS && virtqueue_wait(queue, &used, REQUEST_NS)) {
		good = good && used.written && used.written <= 1 + count && !buffer[count * 1024] &&
		       buffer[count * 1024 + 1 + count] == POISON;
		count++;
	}
	say(good && count == CHAINS, "input without end, no buffer for a while, then short ones");
}

static void emergencies(void)
{
	for (unsigned i = 0; i < EMERGENCIES; i++)
		mmio_write32(device->config->gpa + EMERGENCY_AT, i * 0x01010101);
	ok(subject_works(device) && !virtio_needs_reset(device),
	   "H57 %s: %u emergency writes (of 10^6)", device->name, EMERGENCIES);
}

static void test(struct victim *next)
{
	victim = next;
	device = victim->device;
	if (device->type != VIRTIO_ID_CONSOLE)
		return;
	victim->is_well = false;
	start();
	messages_of_nothing();
	messages_without_room();
	start();
	input_flood();
	output_flood();
	lonely_output();
	emergencies();
	stalled_output();
	stuck_output();
}

void guest_main(void)
{
	buffer = memory_get_raw(LARGE, 4096);
	hostile_run(test);
}
