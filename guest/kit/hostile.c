// SPDX-License-Identifier: MIT
/* What hostile guests share. One CPU; those that have more keep these calls on the first. */
#include "kit/hostile.h"
#include "kit/canary.h"
#include "kit/memory.h"
#include "kit/tap.h"
#include "kit/text.h"
#include "kit/watch.h"

#include <linux/if_ether.h>

#define MS	   UINT64_C(1000000)
#define STEP_NS	   (MS / 5)
#define FATAL_NS   (20000 * MS)
#define QUIET_NS   (3 * MS)
#define PROVOKE_NS (20 * MS)
#define SETTLE_NS  (100 * MS)
#define SHARE	   8 /* the part of the cases that other victims than the first get */
#define LONGER	   4
#define RX_BYTES   2048
#define VICTIMS	   (2 * VIRTIO_DEVICES_MAX)

/* An ARP request to 192.0.2.1 from 192.0.2.2; the addresses of the hardware are filled in. */
struct arp_frame {
	struct virtio_net_hdr_mrg_rxbuf header;
	uint8_t to[ETH_ALEN], from[ETH_ALEN], type[2];
	uint8_t arp_head[8], sender[ETH_ALEN], sender_ip[4], target[ETH_ALEN], target_ip[4];
};

void hostile_wait(uint64_t ns)
{
	uint64_t end = arch_now_ns() + ns;

	do {
		canary_poll();
		arch_wait_ns(STEP_NS);
	} while (arch_now_ns() < end);
	canary_poll();
}

bool hostile_wants(const struct victim *victim, unsigned number)
{
	return !victim->number || param_is_set("full") || number % SHARE == victim->number % SHARE;
}

void hostile_lines(struct victim *victim, void (*const lines[])(struct virtio_device *device),
		   unsigned count)
{
	victim->is_well = false;
	for (unsigned i = 0; i < count; i++)
		if (hostile_wants(victim, i))
			lines[i](victim->device);
	virtio_reset(victim->device);
}

unsigned hostile_count(const char *name, unsigned count)
{
	return (unsigned)param_number(name, param_is_set("full") ? count * LONGER : count);
}

/* ---- What a receiving queue waits for ---- */

/* The device's host sends something; called every now and then. */
static void provoke(struct victim *victim)
{
	static struct arp_frame frame = {
		.to = { 255, 255, 255, 255, 255, 255 },
		.type = { 8, 6 },
		.arp_head = { 0, 1, 8, 0, 6, 4, 0, 1 },
		.sender_ip = { 192, 0, 2, 2 },
		.target_ip = { 192, 0, 2, 1 },
	};
	struct virtqueue *queue = subject_queue(victim->device);
	struct part part = { &frame, sizeof(frame), false };
	struct used used;

	if (!victim->receives || victim->device->type != VIRTIO_ID_NET)
		return;
	for (unsigned i = 0; i < ETH_ALEN; i++)
		frame.from[i] = frame.sender[i] =
			virtio_config_read8(victim->device,
					    (unsigned)offsetof(struct virtio_net_config, mac) + i);
	while (virtqueue_poll(queue, &used))
		;
	if (virtqueue_add(queue, &part, 1) != VIRTQUEUE_FULL)
		virtqueue_notify(queue);
}

/* Till the condition holds: polls it, the canary, and provokes. */
static bool wait_until(struct victim *victim, bool (*holds)(struct victim *victim), uint64_t ns)
{
	uint64_t now = arch_now_ns(), end = now + ns, next_provoke = now;

	while (!holds(victim)) {
		now = arch_now_ns();
		if (now >= end)
			return holds(victim);
		if (now >= next_provoke) {
			provoke(victim);
			next_provoke = now + PROVOKE_NS;
		}
		canary_poll();
		arch_wait_ns(STEP_NS);
	}
	return true;
}

/* ---- A victim ---- */

void victim_start(struct victim *victim, uint64_t without)
{
	struct virtio_device *device = victim->device;

	if (without || !victim->is_well)
		virtio_start(device, virtio_usual_features(device) & ~without);
	victim->is_well = false;
	victim->config_interrupts = arch_line_count(device->lines[0]);
}

void victim_send(struct victim *victim)
{
	virtqueue_notify(victim->queue);
	provoke(victim);
	canary_poll();
}

static bool has_used(struct victim *victim)
{
	return virtqueue_has_used(victim->queue);
}

bool victim_take(struct victim *victim, struct used *used)
{
	return wait_until(victim, has_used, REQUEST_NS) && virtqueue_poll(victim->queue, used);
}

static bool receives_something(struct victim *victim)
{
	static uint8_t buffer[RX_BYTES];
	struct part part = { buffer, sizeof(buffer), true };
	uint16_t head = virtqueue_add(victim->queue, &part, 1);
	struct used used;

	if (head == VIRTQUEUE_FULL) {
		note("%s: no room", victim->name);
		return false;
	}
	virtqueue_notify(victim->queue);
	if (!victim_take(victim, &used)) {
		note("%s: nothing is received, status %x", victim->name,
		     virtio_status(victim->device));
		return false;
	}
	return used.head == head && used.written && used.written <= sizeof(buffer);
}

bool victim_serves(struct victim *victim)
{
	bool good = victim->receives ? receives_something(victim) : subject_works(victim->device);

	canary_poll();
	return good;
}

static bool needs_reset(struct victim *victim)
{
	return virtio_needs_reset(victim->device);
}

static bool told_of_it(struct victim *victim)
{
	return arch_line_count(victim->device->lines[0]) > victim->config_interrupts;
}

/* Kicks, and a good request on the device's other queue: no answer to any. */
static bool is_silent(struct victim *victim)
{
	static struct request request;
	struct virtqueue *other = subject_queue(victim->device);
	struct used used;

	if (other != victim->queue) {
		while (virtqueue_poll(other, &used))
			;
		request_init(&request, victim->device, 0);
		virtqueue_add(other, request.parts, request.count);
		virtqueue_notify(other);
	}
	for (unsigned i = 0; i < 3; i++)
		virtqueue_notify(victim->queue);
	hostile_wait(QUIET_NS);
	return !virtqueue_has_used(victim->queue) && !virtqueue_has_used(other);
}

bool victim_recovers(struct victim *victim)
{
	victim->is_well = false;
	victim_start(victim, 0);
	victim->is_well = victim_serves(victim);
	if (!victim->is_well)
		note("%s: does not come back from a reset", victim->name);
	return victim->is_well;
}

bool victim_is_dead(struct victim *victim)
{
	bool good = true;

	if (!wait_until(victim, needs_reset, FATAL_NS)) {
		note("%s: lives, status %x, %s used", victim->name, virtio_status(victim->device),
		     virtqueue_has_used(victim->queue) ? "something" : "nothing");
		good = false;
	} else if (victim->device->line_count && !wait_until(victim, told_of_it, FATAL_NS)) {
		note("%s: no interrupt says that it is dead", victim->name);
		good = false;
	} else if (!is_silent(victim) || !needs_reset(victim)) {
		note("%s: goes on although it is dead", victim->name);
		good = false;
	}
	return victim_recovers(victim) && good;
}

bool victim_ended(struct victim *victim, uint16_t head)
{
	struct used used;
	bool good = victim_take(victim, &used);

	if (!good) {
		note("%s: no answer, status %x", victim->name, virtio_status(victim->device));
	} else if (used.head != head || used.written) {
		note("%s: head %u came back with %u bytes", victim->name, used.head, used.written);
		good = false;
	} else if (needs_reset(victim)) {
		note("%s: the device is dead, not the request", victim->name);
		good = false;
	} else if (!victim_serves(victim)) {
		note("%s: the next request is not served", victim->name);
		good = false;
	}
	victim->is_well = good;
	if (!good)
		victim_recovers(victim);
	return good;
}

/* ---- A run ---- */

static void add_victim(struct victim *victims, unsigned *count, struct virtio_device *device,
		       unsigned queue)
{
	struct victim *victim = &victims[*count];
	bool paired = device->type == VIRTIO_ID_NET || device->type == VIRTIO_ID_CONSOLE;

	*victim = (struct victim){
		.device = device,
		.queue = &device->queues[queue],
		.number = (*count)++,
		.writes = device->type == VIRTIO_ID_RNG || (paired && !queue),
		.receives = paired && !queue,
	};
	text_format(victim->name, sizeof(victim->name), "%s%s", device->name,
		    !paired ? ""
		    : queue ? " tx"
			    : " rx");
}

static unsigned find_victims(struct victim *victims)
{
	struct virtio_device *devices, *canary = NULL;
	unsigned device_count = virtio_scan(&devices), count = 0, disks = 0;

	for (unsigned i = 0; i < device_count; i++)
		if (devices[i].type == VIRTIO_ID_BLOCK && disks++)
			canary = &devices[i];
	if (!canary)
		bail_out("no second disk to be the canary");
	for (unsigned i = 0; i < device_count; i++) {
		struct virtio_device *device = &devices[i];
		bool receives = (device->type == VIRTIO_ID_NET && param_is_set("link")) ||
				(device->type == VIRTIO_ID_CONSOLE && param_is_set("input"));

		if (device == canary)
			continue;
		if (device->type == VIRTIO_ID_RNG && param_is_set("shared")) {
			canary_begin(device);
			continue;
		}
		add_victim(victims, &count, device,
			   (unsigned)(subject_queue(device) - device->queues));
		if (receives)
			add_victim(victims, &count, device, 0);
	}
	canary_begin(canary);
	return count;
}

void hostile_run(void (*test)(struct victim *victim))
{
	static struct victim victims[VICTIMS];
	unsigned count = find_victims(victims), well = 0;

	/* Each once in good order, so that what is set up on first use is there before. */
	for (unsigned i = 0; i < count; i++)
		if (!victim_recovers(&victims[i]))
			bail_out("%s does not work to begin with", victims[i].name);
	watched("before");
	for (unsigned i = 0; i < count; i++)
		test(&victims[i]);
	for (unsigned i = 0; i < count; i++)
		well += victim_recovers(&victims[i]);
	ok(well == count, "G all devices: each serves when all is over");
	hostile_wait(SETTLE_NS);
	watched("after");
	canary_end();
}
