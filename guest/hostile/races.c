// SPDX-License-Identifier: MIT
/*
 * H28-H30: a second CPU rewrites what the device reads, while it reads it: descriptors, tables,
 * the requests' own headers, and the parts of the ring that are the device's. The first CPU goes on
 * making requests, and resets the device whenever it dies. What comes of a request is not defined;
 * that the device can be brought back, and G, are. Of a network card's commands, whose ring is left
 * alone, each is answered. ms=N on the command line: milliseconds for each.
 */
#include "kit/hostile.h"
#include "kit/memory.h"
#include "kit/tap.h"
#include "kit/text.h"
#include "kit/virtqueue_packed.h"

#include <linux/if_ether.h>

#define NEXT	     VRING_DESC_F_NEXT
#define WRITE	     VRING_DESC_F_WRITE
#define INDIRECT     VRING_DESC_F_INDIRECT
#define MS	     UINT64_C(1000000)
#define REQUESTS     4
#define BURSTS	     10
#define ROUNDS_MIN   2
#define COMMANDS_MIN 200
#define ENTRIES	     8
#define DATA_BYTES   2048
#define LONG_BYTES   0x1000000
#define STOP_NS	     (10000 * MS)
#define TABLE	     (sizeof(uint32_t) + 2 * ETH_ALEN) /* two addresses */
#define POISON	     0xa5
#define MULTICAST    1 /* of an address's first byte */

static struct victim *victim;

/* To a network card; the longest is of two tables of addresses. */
struct command {
	struct virtio_net_ctrl_hdr header;
	uint8_t data[2 * TABLE];
};

/*
 * All that the device is told of, with room behind it for the longest buffer that a descriptor may
 * be made to say: what it is made to write shall not hit the guest itself.
 */
static struct arena {
	struct request requests[REQUESTS];
	uint8_t data[REQUESTS][DATA_BYTES];
	struct vring_desc tables[REQUESTS][ENTRIES];
	struct command command;
	uint8_t room[LONG_BYTES];
} * arena;

/* ---- The second CPU ---- */

enum target { NOTHING, DESCRIPTORS, TABLES, HEADERS, USED, COMMANDS };

static volatile unsigned target, busy_with;
static uint64_t random_state = 1;

static uint64_t random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Good and bad values of one field of a descriptor. */
static void spoil_descriptor(volatile struct vring_desc *desc)
{
	static const uint32_t lengths[] = { 0, 1, 16, 512, LONG_BYTES, 0xfffffff0 };
	static const uint16_t flags[] = { 0, NEXT, WRITE, NEXT | WRITE, INDIRECT, 7 };
	uint64_t dice = random();
	unsigned value = (unsigned)(dice >> 8) % 6;

	switch (dice % 4) {
	case 0:
		desc->addr = value < 4	 ? (uint64_t)arena->data[0]
			     : value < 5 ? (uint64_t)arena->tables[1]
					 : UINT64_MAX - 15;
		break;
	case 1:
		desc->len = lengths[value];
		break;
	case 2:
		desc->flags = flags[value];
		break;
	default:
		desc->next = (uint16_t)(value < 4 ? value : dice >> 16);
	}
}

/* Of a packed ring the flags' place is another, and the lap goes on. */
static void spoil_packed(volatile struct vring_packed_desc *desc)
{
	static const uint32_t lengths[] = { 0, 1, 16, 512, LONG_BYTES, 0xfffffff0 };
	uint64_t dice = random();

	switch (dice % 3) {
	case 0:
		desc->addr = dice & 0x100 ? (uint64_t)arena->data[0] : dice;
		break;
	case 1:
		desc->len = lengths[(dice >> 8) % 6];
		break;
	default:
		desc->flags ^= (uint16_t)(1u << (dice >> 8) % 16);
	}
}

static void spoil_bytes(volatile void *place, unsigned bytes)
{
	uint64_t dice = random();

	((volatile uint8_t *)place)[(dice >> 8) % bytes] = dice & 0x80 ? 0xff : (uint8_t)dice & 3;
}

/* Good and bad values of one byte; the first of the data is a mode, of an address, or how many. */
static void spoil_command(volatile struct command *command)
{
	static const uint8_t classes[] = { VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_MAC,
					   VIRTIO_NET_CTRL_MQ, 0xff };
	static const uint8_t values[] = { 0, 1, 2, 3, 4, 0x0f, 0x80, 0xff };
	uint64_t dice = random();
	uint8_t value = values[(dice >> 8) % ARRAY_COUNT(values)];

	switch (dice % 4) {
	case 0:
		command->header.class = classes[(dice >> 16) % ARRAY_COUNT(classes)];
		break;
	case 1:
		command->header.cmd = value;
		break;
	case 2:
		command->data[0] = value;
		break;
	default:
		command->data[(dice >> 16) % sizeof(command->data)] = value;
	}
}

static void spoil(unsigned what)
{
	struct virtqueue *queue = victim->queue;
	unsigned slot = (unsigned)(random() % (REQUESTS * REQUEST_PARTS));

	switch (what) {
	case DESCRIPTORS:
		if (queue->is_packed)
			spoil_packed(&queue->packed.ring[(queue->packed.avail_slot + queue->size -
							  slot - 1u) %
							 queue->size]);
		else
			spoil_descriptor(&queue->desc[slot]);
		break;
	case TABLES:
		spoil_descriptor(&arena->tables[slot % REQUESTS][slot % ENTRIES]);
		break;
	case HEADERS:
		spoil_bytes(&arena->requests[slot % REQUESTS].header,
			    sizeof(arena->requests[0].header));
		break;
	case USED:
		if (queue->is_packed)
			spoil_bytes(queue->packed.device_event,
				    sizeof(*queue->packed.device_event));
		else
			spoil_bytes(queue->used,
				    (unsigned)(sizeof(*queue->used) +
					       queue->size * sizeof(queue->used->ring[0])));
		break;
	case COMMANDS:
		spoil_command(&arena->command);
		break;
	default:
		break;
	}
}

/* Spoils what `target` says, and says what it is busy with. */
static void second_cpu(unsigned cpu)
{
	(void)cpu;
	for (;;) {
		unsigned now = __atomic_load_n(&target, __ATOMIC_ACQUIRE);

		__atomic_store_n(&busy_with, now, __ATOMIC_RELEASE);
		for (unsigned i = 0; now && i < 100; i++)
			spoil(now);
	}
}

static void set_target(enum target what)
{
	uint64_t end = arch_now_ns() + STOP_NS;

	__atomic_store_n(&target, what, __ATOMIC_RELEASE);
	while (__atomic_load_n(&busy_with, __ATOMIC_ACQUIRE) != (unsigned)what)
		if (arch_now_ns() > end)
			bail_out("the second CPU has stopped");
}

/* ---- The first ---- */

/*
 * One that any device takes; a table of its own where tables are the target. It is made where no
 * device writes: a pointer in it that was written over would lead anywhere.
 */
static void add_request(unsigned number, bool indirect)
{
	static struct request request;
	struct request *placed = &arena->requests[number];
	struct part parts[REQUEST_PARTS] = { { arena->data[number], DATA_BYTES, true } };
	unsigned count = 1;

	request_init(&request, victim->device, number);
	memcpy(placed, &request, sizeof(request));
	for (unsigned i = 0; i < request.count && !victim->receives; i++) {
		parts[i] = request.parts[i];
		parts[i].data =
			(uint8_t *)placed + ((uint8_t *)parts[i].data - (uint8_t *)&request);
		count = i + 1;
	}
	if (indirect)
		virtqueue_add_indirect(victim->queue, arena->tables[number], parts, count);
	else
		virtqueue_add(victim->queue, parts, count);
}

/* Takes what there is to take, as far as the ring can be believed at all. */
static void take_some(void)
{
	struct used used;

	for (unsigned i = 0; i < 2 * REQUESTS && virtqueue_poll(victim->queue, &used); i++)
		;
}

/* From a reset to a reset. */
static bool round_is_deadly(enum target what)
{
	bool dead = false;

	victim->is_well = false;
	victim_start(victim, 0);
	for (unsigned i = 0; i < BURSTS && !dead; i++) {
		take_some();
		for (unsigned j = 0; j < REQUESTS; j++)
			add_request(j, what == TABLES);
		set_target(what);
		victim_send(victim);
		hostile_wait(MS / 5);
		dead = virtio_needs_reset(victim->device);
	}
	/* The second CPU is not stopped for the reset, but for the set-up that comes after. */
	virtio_reset(victim->device);
	set_target(NOTHING);
	return dead;
}

static void race(enum target what, const char *line, const char *name)
{
	uint64_t end = arch_now_ns() + param_number("ms", 20) * MS;
	unsigned rounds = 0, deaths = 0;

	do {
		deaths += round_is_deadly(what);
		rounds++;
	} while (rounds < ROUNDS_MIN || arch_now_ns() < end);
	note("%s: %s: %u rounds, dead after %u", victim->name, name, rounds, deaths);
	ok(victim_recovers(victim), "%s %s: rewritten while the device reads: %s", line,
	   victim->name, name);
}

/* A good one; of how many bytes its data is. */
static uint32_t command_init(struct command *command, unsigned number)
{
	static const struct {
		struct command command;
		uint32_t bytes;
	} good[] = {
		{ { { VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC }, { 1 } }, 1 },
		{ { { VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET }, { 2, 1, 2, 3, 4, 5 } },
		  ETH_ALEN },
		{ { { VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET },
		    { [0] = 2, [TABLE] = 2 } },
		  2 * TABLE },
		{ { { VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET }, { 1 } }, 2 },
	};

	number %= ARRAY_COUNT(good);
	memcpy(command, &good[number].command, sizeof(*command));
	return good[number].bytes;
}

/* It is answered, by what was read of it: no address is taken but one that was checked. */
static bool command_ends(struct virtqueue *queue, unsigned number, unsigned *taken)
{
	static uint8_t ack;
	uint32_t bytes = command_init(&arena->command, number);
	struct part parts[] = { { &arena->command.header, sizeof(arena->command.header), false },
				{ arena->command.data, bytes, false },
				{ &ack, 1, true } };
	struct used used;
	uint8_t first;

	ack = POISON;
	virtqueue_add(queue, parts, ARRAY_COUNT(parts));
	virtqueue_notify(queue);
	if (!virtqueue_wait(queue, &used, REQUEST_NS) || used.written != 1) {
		note("%s: command %u is not answered", victim->name, number);
		return false;
	}
	*taken += ack == VIRTIO_NET_OK;
	first = virtio_config_read8(victim->device, offsetof(struct virtio_net_config, mac));
	if (first & MULTICAST)
		note("%s: the card's address begins with %02x", victim->name, first);
	return (ack == VIRTIO_NET_OK || ack == VIRTIO_NET_ERR) && !(first & MULTICAST);
}

static void race_commands(void)
{
	struct virtqueue *queue = net_control_queue(victim->device);
	uint64_t end = arch_now_ns() + param_number("ms", 20) * MS;
	unsigned count = 0, taken = 0;
	bool good = true;

	victim->is_well = false;
	victim_start(victim, 0);
	set_target(COMMANDS);
	while (good && (count < COMMANDS_MIN || arch_now_ns() < end))
		good = command_ends(queue, count++, &taken);
	good = good && !virtio_needs_reset(victim->device);
	virtio_reset(victim->device);
	set_target(NOTHING);
	note("%s: %u commands, %u of them taken", victim->name, count, taken);
	ok(victim_recovers(victim) && good,
	   "H29 %s: rewritten while the device reads: commands, each of which is answered",
	   victim->name);
}

static void test(struct victim *next)
{
	victim = next;
	victim_start(victim, 0);
	race(DESCRIPTORS, "H28", "descriptors");
	race(TABLES, "H28", "indirect tables");
	if (!victim->receives)
		race(HEADERS, "H29", "headers and data");
	if (!victim->receives && victim->device->type == VIRTIO_ID_NET)
		race_commands();
	race(USED, "H30", victim->queue->is_packed ? "the device's event area" : "used elements");
}

void guest_main(void)
{
	if (platform.cpu_count < 2)
		bail_out("there is no second CPU");
	second_cpu_start(second_cpu);
	arena = memory_get_raw(sizeof(*arena), 4096);
	hostile_run(test);
}
