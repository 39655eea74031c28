// SPDX-License-Identifier: MIT
#include "tests/fuzz/queue_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "tests/fuzz/guest.h"
#include "tests/fuzz/played_ring.h"
#include "tests/fuzz/subject.h"

#define QUEUES 2
#define ORDER 256 /* more than can be on their way */
#define DATA_BYTES (GUEST_DATA_BYTES / QUEUES)

struct held {
	struct chain chain;
	unsigned number;
};

struct subject_queue {
	struct virtqueue *queue;
	struct guest_queue *guest;
	struct held held[GUEST_HEADS_MAX];
	unsigned held_count;
	uint16_t heads[ORDER]; /* by number: in the order they were made available */
	unsigned added, published, popped; /* numbers */
	uint16_t seen_used;
	bool draining; /* paused with chains in flight: pops again when these have ended */
};

struct subject {
	struct virtio_device device;
	struct virtqueue virtqueues[QUEUES];
	struct subject_queue queues[QUEUES];
	bool hold, paused;
	struct queue_model_rules rules;
	uint64_t digest;
};

static struct guest guest;
static struct worker worker;
static struct subject subject;

/* What a script has brought about, whatever the format of the rings. FNV-1a, by words. */
static void note(uint64_t word)
{
	subject.digest = (subject.digest ^ word) * UINT64_C(0x100000001b3);
}

/* ---- The device ---- */

static struct subject_queue *queue_of(struct virtqueue *queue)
{
	return &subject.queues[queue->index];
}

static uint8_t pattern(unsigned number, uint64_t i)
{
	return (uint8_t)(number * 37 + i * 11 + i / 256 + 1);
}

static void check_readable(struct chain *chain, unsigned number)
{
	uint8_t bytes[48];
	uint64_t at = 0;

	while (chain->readable_bytes) {
		size_t step = (size_t)min_u64(chain->readable_bytes, sizeof(bytes));

		fuzz_check(chain_pull(chain, bytes, step));
		for (size_t i = 0; i < step && !guest.hostile; i++)
			fuzz_check(bytes[i] == pattern(number, at + i));
		at += step;
	}
	fuzz_check(!chain->readable_count && !chain_skip_readable(chain, 1));
}

/* The driver's name of a chain that the device has. */
static uint16_t head_of(const struct subject_queue *own, unsigned number)
{
	return own->heads[number % ORDER];
}

/* The end of a chain: `wanted` bytes, or as many as there is room for. */
static void answer(struct subject_queue *own, struct held *held, uint64_t wanted)
{
	uint32_t bytes = (uint32_t)min_u64(wanted, held->chain.writable_bytes);
	struct chain *chain = &held->chain;

	check_readable(chain, held->number);
	for (uint32_t i = 0; i < bytes; i++) {
		uint8_t byte = pattern(held->number + 1, i);

		fuzz_check(chain_put(chain, &byte, 1));
	}
	if (!guest.hostile)
		own->guest->chains[head_of(own, held->number)].tag =
			(uint64_t)held->number << 32 | bytes;
	virtqueue_push(own->queue, chain->head, bytes);
}

static void check_popped(struct subject_queue *own, const struct chain *chain)
{
	const struct guest_chain *given = &own->guest->chains[head_of(own, own->popped)];

	fuzz_check(own->popped != own->published);
	fuzz_check(own->guest->packed || chain->head == head_of(own, own->popped));
	fuzz_check(given->offered);
	fuzz_check(chain->readable_bytes == guest_chain_bytes(given, false));
	fuzz_check(chain->writable_bytes == guest_chain_bytes(given, true));
	note(own->queue->index + own->popped * QUEUES);
	note(chain->readable_bytes << 32 | chain->writable_bytes);
}

static void subject_kick(struct virtqueue *queue)
{
	struct subject_queue *own = queue_of(queue);
	struct held held = { 0 };

	while (virtqueue_pop(queue, &held.chain)) {
		if (!guest.hostile)
			check_popped(own, &held.chain);
		held.number = own->popped++;
		if (!subject.hold)
			answer(own, &held, held.number % 97);
		else
			own->held[own->held_count++] = held;
		fuzz_check(own->held_count <= queue->size);
		fuzz_check(virtqueue_in_flight(queue) == own->held_count);
	}
}

static const struct virtio_type subject_type = {
	.name = "subject",
	.id = 0x3f,
	.kick = subject_kick,
};

static void subject_create(void)
{
	static uint8_t config[8];
	struct virtio_device_config device_config = {
		.type = &subject_type,
		.deps = subject_deps(&worker, &guest.memory),
		.config = config,
		.config_size = sizeof(config),
		.queues = subject.virtqueues,
		.queue_count = QUEUES,
	};

	subject_init(&subject.device, &device_config, GUEST_HEADS_MAX);
}

/* ---- The driver ---- */

static bool dead(void)
{
	return subject.device.status & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static bool choose_packed(uint8_t choice)
{
	return subject.rules.ring == QUEUE_MODEL_ANY ? choice & 8 :
						       subject.rules.ring == QUEUE_MODEL_PACKED;
}

/* A packed ring need not be a power of two. */
static uint16_t choose_size(struct fuzz_input *input, bool packed)
{
	unsigned any = fuzz_u8(input);

	if (packed && subject.rules.ring == QUEUE_MODEL_ANY)
		return (uint16_t)(1 + any % GUEST_HEADS_MAX);
	return (uint16_t)(1u << any % 7);
}

/* From reset to DRIVER_OK; features and sizes by the input. */
static void begin(struct fuzz_input *input)
{
	struct virtio_device *device = &subject.device;
	uint8_t choice = fuzz_u8(input);
	uint64_t features = BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_RING_RESET);
	bool packed = choose_packed(choice);

	if (choice & 1)
		features |= BIT64(VIRTIO_RING_F_EVENT_IDX);
	if (choice & 2)
		features |= BIT64(VIRTIO_RING_F_INDIRECT_DESC);
	if (packed)
		features |= BIT64(VIRTIO_F_RING_PACKED);
	guest_begin(&guest);
	subject.hold = choice & 4;
	subject.paused = false;
	fuzz_check(guest_negotiate(device, features));
	for (unsigned i = 0; i < QUEUES; i++) {
		struct subject_queue *own = &subject.queues[i];
		uint16_t size = choose_size(input, packed);

		*own = (struct subject_queue){ .queue = &subject.virtqueues[i] };
		own->guest = guest_queue_lay_out(&guest, own->queue, size, DATA_BYTES);
		event_fd_drain(own->queue->call_fd);
		guest_queue_set_up(own->guest);
		fuzz_check(virtio_queue_enabled(device, i));
	}
	virtio_set_status(device, 0xf);
	fuzz_check(!dead());
}

static void run(void)
{
	played_ring_run(&worker);
}

/* Of an honest guest: all that was published was popped, all that ended was told. */
static void check_queue(struct subject_queue *own)
{
	uint16_t used = guest_queue_used(own->guest);
	bool told = event_fd_drain(own->queue->call_fd);

	fuzz_check(told == guest_queue_wants_call(own->guest, own->seen_used, used));
	own->seen_used = used;
	own->draining &= own->held_count > 0;
	fuzz_check(subject.paused || own->draining || own->popped == own->published);
	fuzz_check(!dead());
}

static void check_signals(void)
{
	for (unsigned i = 0; i < QUEUES && !guest.hostile; i++)
		check_queue(&subject.queues[i]);
}

static void add(struct fuzz_input *input, struct subject_queue *own)
{
	struct guest_queue *queue = own->guest;
	struct guest_part parts[GUEST_PARTS_MAX];
	uint8_t choice = fuzz_u8(input);
	unsigned count = 1 + choice % (GUEST_PARTS_MAX - 1);
	unsigned readable = fuzz_below(input, count + 1);
	bool indirect = queue->indirect && (choice & 0x80);
	uint64_t gpa, end, position = 0;
	uint16_t head;

	if (own->added - own->popped == ORDER ||
	    !guest_queue_next(queue, indirect ? 1 : count, &head))
		return;
	gpa = guest_slot(queue, head);
	end = gpa + queue->slot_bytes;
	for (unsigned i = 0; i < count; i++) {
		uint64_t room = (end - gpa - 16 * GUEST_PARTS_MAX) / (count - i);

		parts[i].gpa = gpa;
		parts[i].bytes = (uint32_t)min_u64(fuzz_u8(input), room);
		parts[i].writable = i >= readable;
		for (uint32_t j = 0; j < parts[i].bytes && !parts[i].writable; j++)
			guest_store_le(&guest, gpa + j, pattern(own->added, position++), 1);
		gpa += parts[i].bytes;
	}
	guest_queue_add(queue, parts, count, indirect ? gpa : 0);
	own->heads[own->added++ % ORDER] = head;
}

static void check_taken(const struct guest_chain *chain, uint32_t bytes)
{
	unsigned number = (unsigned)(chain->tag >> 32);
	uint32_t position = 0;

	fuzz_check(bytes == (uint32_t)chain->tag);
	for (unsigned i = 0; i < chain->count; i++) {
		const struct guest_part *part = &chain->parts[i];
		const uint8_t *host = guest_at(&guest, part->gpa, part->bytes);

		if (!part->writable)
			continue;
		for (uint32_t j = 0; j < part->bytes && position < bytes; j++, position++)
			fuzz_check(host[j] == pattern(number + 1, position));
	}
}

static void take(struct fuzz_input *input, struct subject_queue *own)
{
	struct guest_chain *chain;
	uint32_t bytes;

	uint8_t choice = fuzz_u8(input);

	while ((chain = guest_queue_take(own->guest, &bytes))) {
		check_taken(chain, bytes);
		note(chain->tag);
	}
	guest_queue_ask(own->guest, choice % 8, choice & 8);
}

static void publish(struct subject_queue *own)
{
	own->published = own->added;
	guest_queue_publish(own->guest);
	guest_queue_kick(own->guest);
}

/* ---- What happens to the device ---- */

static void end_held(struct subject_queue *own, unsigned which, uint64_t bytes)
{
	struct held held = own->held[which];

	own->held_count--;
	memmove(&own->held[which], &own->held[which + 1],
		(own->held_count - which) * sizeof(held));
	answer(own, &held, bytes);
}

static void end_some(struct fuzz_input *input, struct subject_queue *own)
{
	for (unsigned left = fuzz_below(input, 8); left && own->held_count; left--)
		end_held(own, fuzz_below(input, own->held_count), fuzz_number(input, 2));
}

/* The last one goes back for good; one before it whose successor did not, with length 0. */
static void unpop_last(struct subject_queue *own)
{
	struct held *held;

	if (!own->held_count)
		return;
	held = &own->held[--own->held_count];
	if (!guest.hostile)
		own->guest->chains[head_of(own, held->number)].tag = 0;
	if (held->number + 1 == own->popped)
		own->popped--;
	virtqueue_unpop(own->queue, held->chain.head);
	/* Else it is popped at the next kick only. */
	virtqueue_again(own->queue);
}

static void drop_held(struct subject_queue *own)
{
	while (own->held_count)
		virtqueue_push(own->queue, own->held[--own->held_count].chain.head, 1);
}

/* Once asked for, a reset must come to an end, and nothing be written after it. */
static void reset(void)
{
	bool waits = false;

	guest_audit(&guest);
	guest_freeze(&guest);
	for (unsigned i = 0; i < QUEUES; i++)
		waits |= subject.queues[i].held_count;
	virtio_set_status(&subject.device, 0);
	run();
	fuzz_check(!waits == !virtio_get_status(&subject.device));
	for (unsigned i = 0; i < QUEUES; i++)
		drop_held(&subject.queues[i]);
	run();
	fuzz_check(!virtio_get_status(&subject.device));
	for (unsigned i = 0; i < QUEUES; i++)
		event_fd_signal(subject.virtqueues[i].kick_fd);
	run();
	guest_still(&guest);
}

static void reset_queue(struct fuzz_input *input, struct subject_queue *own)
{
	struct virtio_device *device = &subject.device;
	unsigned index = own->queue->index;

	virtio_queue_reset(device, index);
	run();
	drop_held(own);
	run();
	fuzz_check(!virtio_queue_resetting(device, index) && !virtio_queue_enabled(device, index));
	/* Its memory is not given out anew, so there is an end to this. */
	if (subject.paused || (fuzz_u8(input) & 1 && !subject.rules.honest))
		guest.hostile = true;
	if (guest.hostile)
		return;
	guest_audit(&guest);
	for (unsigned i = 0; i < QUEUES; i++)
		if (i != index)
			check_queue(&subject.queues[i]);
	*own = (struct subject_queue){ .queue = own->queue, .guest = own->guest };
	event_fd_drain(own->queue->call_fd);
	guest_queue_rewind(own->guest);
	guest_queue_set_up(own->guest);
	fuzz_check(virtio_queue_enabled(device, index));
}

static void pause_device(void)
{
	if (subject.paused)
		virtio_device_resume(&subject.device);
	else
		virtio_device_pause(&subject.device, 0);
	for (unsigned i = 0; i < QUEUES && !subject.paused; i++)
		subject.queues[i].draining = subject.queues[i].held_count;
	subject.paused = !subject.paused;
	run();
	check_signals();
	for (unsigned i = 0; i < QUEUES && subject.paused; i++)
		fuzz_check(subject.queues[i].held_count ||
			   virtqueue_drained(&subject.virtqueues[i]));
}

/* ---- Hostility ---- */

static uint64_t any_gpa(struct fuzz_input *input)
{
	uint64_t gpa = fuzz_number(input, 3);

	switch (fuzz_below(input, 4)) {
	case 0:
		return GUEST_GPA + gpa % GUEST_RING_BYTES;
	case 1:
		return GUEST_DATA_GPA + gpa % GUEST_DATA_BYTES;
	case 2:
		return gpa;
	default:
		return UINT64_MAX - gpa % 65536;
	}
}

static void store_any_descriptor(struct fuzz_input *input, struct subject_queue *own)
{
	unsigned index = fuzz_below(input, own->guest->size);
	struct vring_desc desc = {
		.addr = htole64(any_gpa(input)),
		.len = htole32((uint32_t)fuzz_number(input, 1 + fuzz_below(input, 4))),
		.flags = htole16(fuzz_u8(input) & 7),
		.next = htole16(fuzz_u8(input)),
	};

	if (desc.flags & htole16(VRING_DESC_F_INDIRECT))
		desc.len = htole32(le32toh(desc.len) * 16);
	guest_queue_store_any(own->guest, (uint16_t)index, &desc);
}

static void be_hostile(struct fuzz_input *input, struct subject_queue *own)
{
	uint64_t gpa;

	guest_audit(&guest);
	guest.hostile = true;
	switch (fuzz_below(input, 4)) {
	case 0:
		store_any_descriptor(input, own);
		break;
	case 1:
		guest_queue_add_head(own->guest, fuzz_u8(input));
		break;
	case 2:
		own->guest->avail_idx += (uint16_t)fuzz_number(input, 2);
		own->guest->avail_place ^= 1u << VRING_PACKED_EVENT_F_WRAP_CTR;
		break;
	default:
		gpa = any_gpa(input);
		if (guest_memory_at(&guest.memory, gpa, 4))
			guest_store_le(&guest, gpa, fuzz_number(input, 4), 4);
		break;
	}
	guest_queue_publish(own->guest);
	event_fd_signal(own->queue->kick_fd);
}

/* Rings anywhere: refused, or served from there. */
static void begin_anywhere(struct fuzz_input *input)
{
	struct virtio_device *device = &subject.device;
	unsigned index = fuzz_below(input, QUEUES);

	guest.hostile = true;
	fuzz_check(guest_negotiate(device, device->offered & ~(choose_packed(fuzz_u8(input)) ?
					   0 : BIT64(VIRTIO_F_RING_PACKED))));
	virtio_queue_set_size(device, index, (uint16_t)fuzz_number(input, 2));
	for (unsigned part = VIRTIO_RING_DESC; part <= VIRTIO_RING_USED; part++)
		virtio_queue_set_address(device, index, part, any_gpa(input) & ~UINT64_C(1));
	virtio_queue_enable(device, index);
	virtio_set_status(device, 0xf);
	event_fd_signal(subject.virtqueues[index].kick_fd);
	run();
	reset();
	begin(input);
}

static void step(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);
	struct subject_queue *own = &subject.queues[choice & 1];
	unsigned action = (choice >> 1) % 20;

	if (action >= 18 && subject.rules.honest)
		action -= 18;
	switch (action) {
	case 0 ... 4:
		add(input, own);
		break;
	case 5 ... 7:
		publish(own);
		run();
		check_signals();
		break;
	case 8:
		publish(own);
		break;
	case 9 ... 10:
		end_some(input, own);
		run();
		check_signals();
		break;
	case 11 ... 12:
		take(input, own);
		break;
	case 13:
		unpop_last(own);
		run();
		check_signals();
		break;
	case 14:
		subject.hold = !subject.hold;
		break;
	case 15:
		pause_device();
		break;
	case 16:
		reset_queue(input, own);
		break;
	case 17:
		reset();
		begin(input);
		break;
	case 18:
		be_hostile(input, own);
		break;
	default:
		reset();
		begin_anywhere(input);
		break;
	}
}

/* Silent until it is reset, whatever is done to it. */
static void check_dead(void)
{
	run();
	guest_freeze(&guest);
	for (unsigned i = 0; i < QUEUES; i++) {
		drop_held(&subject.queues[i]);
		event_fd_signal(subject.virtqueues[i].kick_fd);
	}
	run();
	guest_still(&guest);
}

void queue_model_init(void)
{
	guest_init(&guest);
	played_ring_worker(&worker);
	subject_create();
}

uint64_t queue_model_play(struct fuzz_input *input, const struct queue_model_rules *rules)
{
	subject.rules = *rules;
	subject.digest = 0;
	begin(input);
	run();
	while (fuzz_more(input)) {
		step(input);
		if (!dead())
			continue;
		fuzz_check(!rules->honest);
		check_dead();
		reset();
		begin(input);
	}
	reset();
	return subject.digest;
}
