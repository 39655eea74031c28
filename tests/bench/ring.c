// SPDX-License-Identifier: MIT
/*
 * What the queue layer takes of a chain: driver and device in turns on one
 * thread, a real worker's, so that no cache line travels and nobody waits. Each
 * pass of the worker the driver takes the last burst back and gives another,
 * which the device pops, pushes and publishes. Prints, per chain, nanoseconds of
 * the thread's time, the least of many rounds, as a table.
 *
 * The third column is what IN_ORDER would save, which is not offered: a split
 * ring on which one used entry stands for a burst (virtio 1.2, 2.7.9).
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"
#include "virtio/virtio.h"
#include "virtio/virtqueue_run.h"

#define MEMORY_GPA (UINT64_C(1) * MIB)
#define DATA_GPA (MEMORY_GPA + 1 * MIB)
#define DESC_GPA MEMORY_GPA
#define DRIVER_GPA (MEMORY_GPA + 64 * KIB)
#define DEVICE_GPA (MEMORY_GPA + 128 * KIB)
#define TABLES_GPA (MEMORY_GPA + 192 * KIB)

#define SIZE 256
#define PART_BYTES 4096
#define TABLE_BYTES 64
#define ROUNDS 120
#define ROUND_CHAINS 8192

enum format { SPLIT, PACKED, SPLIT_IN_ORDER, FORMATS };

struct shape {
	const char *name;
	unsigned parts;
	bool indirect;
	unsigned burst;
};

static const struct shape shapes[] = {
	{ "1 part", 1, false, 1 },	      { "1 part", 1, false, 32 },
	{ "3 parts, direct", 3, false, 1 },   { "3 parts, direct", 3, false, 32 },
	{ "3 parts, indirect", 3, true, 1 },  { "3 parts, indirect", 3, true, 32 },
};

static struct guest_memory memory;
static struct worker worker;

static struct bench {
	struct virtio_device device; /* first: the queue's way back */
	struct virtqueue queue;
	const struct shape *shape;
	enum format format;

	unsigned descriptors; /* of the ring, a chain */
	uint32_t added, taken; /* chains */
	uint16_t avail_place, used_place; /* packed, as the two below */
	struct vring_packed_desc *first;  /* of a burst, not shown yet */
	uint16_t first_flags;
	uint16_t batch_id; /* in order: of the last chain used */

	unsigned rounds;
	uint64_t round_from_ns, best_ns;
} bench;

static uint64_t thread_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *at(uint64_t gpa)
{
	return guest_memory_at(&memory, gpa, 1);
}

/* ---- The driver ---- */

static uint16_t part_flags(unsigned i, uint16_t next)
{
	uint16_t writable = i ? VRING_DESC_F_WRITE : 0;

	return writable | (i + 1 < bench.shape->parts ? next : 0);
}

static uint64_t table_gpa(uint32_t chain)
{
	return TABLES_GPA + (uint64_t)(chain % SIZE) * TABLE_BYTES;
}

static void split_add(uint32_t chain)
{
	struct vring_desc *desc = at(DESC_GPA), *table = desc;
	struct vring_avail *avail = at(DRIVER_GPA);
	uint16_t head = (uint16_t)(chain * bench.descriptors % SIZE), first = head;

	if (bench.shape->indirect) {
		desc[head] = (struct vring_desc){ htole64(table_gpa(chain)),
						  htole32(bench.shape->parts * sizeof(*desc)),
						  htole16(VRING_DESC_F_INDIRECT), 0 };
		table = at(table_gpa(chain));
		first = 0;
	}
	for (unsigned i = 0; i < bench.shape->parts; i++)
		table[(first + i) % SIZE] = (struct vring_desc){
			htole64(DATA_GPA + i * PART_BYTES), htole32(PART_BYTES),
			htole16(part_flags(i, VRING_DESC_F_NEXT)),
			htole16((uint16_t)((first + i + 1) % SIZE)),
		};
	avail->ring[chain % SIZE] = htole16(head);
}

static void split_show(void)
{
	struct vring_avail *avail = at(DRIVER_GPA);

	__atomic_store_n(&avail->idx, htole16((uint16_t)bench.added), __ATOMIC_RELEASE);
	/* As a driver does, which then looks whether a kick is wanted. */
	__sync_synchronize();
}

/* The first descriptor of a burst shows them all: its flags come last (2.8.21). */
static void packed_store_flags(struct vring_packed_desc *desc, uint16_t flags)
{
	if (!bench.first) {
		bench.first = desc;
		bench.first_flags = flags;
	} else {
		__atomic_store_n(&desc->flags, htole16(flags), __ATOMIC_RELAXED);
	}
}

static void packed_add(uint32_t chain)
{
	struct vring_packed_desc *ring = at(DESC_GPA), *table = at(table_gpa(chain));

	for (unsigned i = 0; bench.shape->indirect && i < bench.shape->parts; i++)
		table[i] = (struct vring_packed_desc){
			htole64(DATA_GPA + i * PART_BYTES), htole32(PART_BYTES), 0,
			htole16(part_flags(i, 0)),
		};
	for (unsigned i = 0; i < bench.descriptors; i++) {
		uint16_t place = bench.avail_place;
		struct vring_packed_desc *desc = &ring[packed_offset(place)];
		uint16_t flags = 1u << (place & PACKED_WRAP ? VRING_PACKED_DESC_F_AVAIL :
							      VRING_PACKED_DESC_F_USED);

		desc->id = htole16((uint16_t)(chain % SIZE));
		if (bench.shape->indirect) {
			desc->addr = htole64(table_gpa(chain));
			desc->len = htole32(bench.shape->parts * sizeof(*desc));
			flags |= VRING_DESC_F_INDIRECT;
		} else {
			desc->addr = htole64(DATA_GPA + i * PART_BYTES);
			desc->len = htole32(PART_BYTES);
			flags |= part_flags(i, VRING_DESC_F_NEXT);
		}
		packed_store_flags(desc, flags);
		bench.avail_place = packed_advance(place, 1, SIZE);
	}
}

static void packed_show(void)
{
	__atomic_store_n(&bench.first->flags, htole16(bench.first_flags), __ATOMIC_RELEASE);
	bench.first = NULL;
	__sync_synchronize();
}

static void add_burst(void)
{
	for (unsigned i = 0; i < bench.shape->burst; i++, bench.added++)
		if (bench.format == PACKED)
			packed_add(bench.added);
		else
			split_add(bench.added);
	if (bench.format == PACKED)
		packed_show();
	else
		split_show();
}

static void took(uint32_t chain, uint32_t id, uint32_t expected)
{
	if (id != expected)
		errx(1, "chain %u came back as %u, not %u", chain, id, expected);
}

static void split_take(void)
{
	const struct vring_used *used = at(DEVICE_GPA);
	uint16_t idx = le16toh(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE));

	while ((uint16_t)bench.taken != idx) {
		uint32_t id = le32toh(used->ring[bench.taken % SIZE].id);
		uint32_t last = bench.taken;

		if (bench.format == SPLIT_IN_ORDER)
			last += (uint16_t)(idx - last - 1);
		took(last, id, last * bench.descriptors % SIZE);
		bench.taken = last + 1;
	}
}

static bool packed_is_used(const struct vring_packed_desc *desc)
{
	uint16_t flags = le16toh(__atomic_load_n(&desc->flags, __ATOMIC_ACQUIRE));
	bool avail = flags & (1u << VRING_PACKED_DESC_F_AVAIL);
	bool used = flags & (1u << VRING_PACKED_DESC_F_USED);

	return avail == used && used == !!(bench.used_place & PACKED_WRAP);
}

static void packed_take(void)
{
	const struct vring_packed_desc *ring = at(DESC_GPA);

	while (bench.taken != bench.added &&
	       packed_is_used(&ring[packed_offset(bench.used_place)])) {
		took(bench.taken, le16toh(ring[packed_offset(bench.used_place)].id),
		     bench.taken % SIZE);
		bench.taken++;
		bench.used_place = packed_advance(bench.used_place, (uint16_t)bench.descriptors,
						  SIZE);
	}
}

/* ---- One used entry for a burst ---- */

static void in_order_use(struct virtqueue *queue, const struct virtqueue_buffer *buffer,
			 uint32_t written_bytes)
{
	(void)written_bytes;
	bench.batch_id = buffer->id;
	queue->next_used++;
}

static bool in_order_publish(struct virtqueue *queue)
{
	uint16_t first = queue->run->split.published;
	struct virtqueue_buffer last = { .id = bench.batch_id };
	uint16_t next_used = queue->next_used;

	if (first == next_used)
		return false;
	queue->next_used = first;
	virtqueue_split.use(queue, &last, 0);
	queue->next_used = next_used;
	return virtqueue_split.publish(queue);
}

/* ---- The device ---- */

static void serve(void)
{
	struct chain chain;

	while (virtqueue_pop(&bench.queue, &chain))
		virtqueue_push(&bench.queue, chain.head, 0);
}

/* Each pass: the driver's half, then the device's. Its publishing follows in the same pass. */
static void bench_kick(struct virtqueue *queue)
{
	if (bench.format == PACKED)
		packed_take();
	else
		split_take();
	if (bench.taken != bench.added)
		errx(1, "the device has %u chains", bench.added - bench.taken);
	if (bench.added % ROUND_CHAINS == 0) {
		uint64_t now_ns = thread_ns();

		if (bench.rounds && (!bench.best_ns || now_ns - bench.round_from_ns < bench.best_ns))
			bench.best_ns = now_ns - bench.round_from_ns;
		if (bench.rounds++ == ROUNDS) {
			worker_quit(&worker);
			return;
		}
		bench.round_from_ns = thread_ns();
	}
	add_burst();
	serve();
	virtqueue_again(queue);
}

static void bench_start(struct virtqueue *queue)
{
	static struct virtqueue_ring in_order;

	if (bench.format != SPLIT_IN_ORDER)
		return;
	in_order = virtqueue_split;
	in_order.use = in_order_use;
	in_order.publish = in_order_publish;
	queue->run->ring = &in_order;
}

static const struct virtio_type bench_type = {
	.name = "bench",
	.start = bench_start,
	.kick = bench_kick,
};

static void stop(struct worker_task *task)
{
	(void)task;
	worker_quit(&worker);
}

static double measure(const struct shape *shape, enum format format)
{
	struct worker *workers[] = { &worker };
	struct virtio_deps deps = {
		.name = "bench", .memory = &memory, .workers = workers, .worker_count = 1,
		.packed_ring = true,
	};
	struct virtio_device_config config = {
		.type = &bench_type, .deps = &deps, .queues = &bench.queue, .queue_count = 1,
	};
	struct worker_task task = { .run = stop };

	bench = (struct bench){
		.shape = shape,
		.format = format,
		.descriptors = shape->indirect ? 1 : shape->parts,
		.avail_place = PACKED_WRAP,
		.used_place = PACKED_WRAP,
	};
	memset(at(MEMORY_GPA), 0, DATA_GPA - MEMORY_GPA);
	if (format == PACKED)
		*(uint32_t *)at(DRIVER_GPA) = htole32(VRING_PACKED_EVENT_FLAG_DISABLE << 16);
	else
		((struct vring_avail *)at(DRIVER_GPA))->ring[SIZE] = htole16(UINT16_MAX / 2);
	if (virtio_device_init(&bench.device, &config) ||
	    virtqueue_init(&bench.queue, &bench.device, 0, SIZE, &worker))
		exit(1);
	bench.device.negotiated = bench.device.offered;
	if (format != PACKED)
		bench.device.negotiated &= ~BIT64(VIRTIO_F_RING_PACKED);
	bench.device.status = VIRTIO_CONFIG_S_DRIVER_OK;
	bench.queue.desc_gpa = DESC_GPA;
	bench.queue.avail_gpa = DRIVER_GPA;
	bench.queue.used_gpa = DEVICE_GPA;
	virtqueue_rewind(&bench.queue);
	virtqueue_set_goal(&bench.queue, VIRTQUEUE_RUN);
	worker_run(&worker);
	virtqueue_set_goal(&bench.queue, VIRTQUEUE_STOP);
	worker_post(&worker, &task);
	worker_run(&worker);
	while (!virtqueue_drained(&bench.queue))
		worker_run(&worker);
	virtio_device_destroy(&bench.device);
	return (double)bench.best_ns / ROUND_CHAINS;
}

int main(void)
{
	struct worker_config config = { .name = "bench", .entries = 256, .files = 64 };

	if (guest_memory_add(&memory, MEMORY_GPA, 4 * MIB) || worker_create(&worker, &config) ||
	    worker_claim(&worker))
		return 1;
	puts("| chain | chains a burst | split | packed | split, in order |\n|---|---|---|---|---|");
	for (unsigned i = 0; i < ARRAY_SIZE(shapes); i++) {
		printf("| %s | %u |", shapes[i].name, shapes[i].burst);
		for (enum format format = 0; format < FORMATS; format++)
			printf(" %.0f |", measure(&shapes[i], format));
		putchar('\n');
	}
	worker_destroy(&worker);
	guest_memory_destroy(&memory);
	return 0;
}
