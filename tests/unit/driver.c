// SPDX-License-Identifier: MIT
/*
 * The in-memory driver. Ring accesses that race with the device by design are
 * atomic; barriers are the other halves of those in virtio/virtqueue.c.
 */
#include "tests/unit/unit.h"
#include "tests/unit/driver_packed.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"

#define LAST 0xffff /* ends the list of free descriptors */

/* ---- Guest memory ---- */

uint64_t driver_alloc(struct driver *driver, uint64_t bytes)
{
	uint64_t gpa = driver->next_gpa;

	driver->next_gpa = align_up(gpa + bytes, 64);
	assert_true(driver->next_gpa <= DRIVER_MEMORY_GPA + DRIVER_MEMORY_BYTES);
	return gpa;
}

uint64_t driver_mark(const struct driver *driver)
{
	return driver->next_gpa;
}

void driver_rewind(struct driver *driver, uint64_t mark)
{
	assert_true(mark <= driver->next_gpa);
	driver->next_gpa = mark;
}

void *driver_at(struct driver *driver, uint64_t gpa)
{
	void *host = guest_memory_at(&driver->memory, gpa, 1);

	assert_non_null(host);
	return host;
}

struct driver_part driver_out(struct driver *driver, const void *data, uint32_t bytes)
{
	struct driver_part part = { .gpa = driver_alloc(driver, bytes), .bytes = bytes };

	memcpy(driver_at(driver, part.gpa), data, bytes);
	return part;
}

struct driver_part driver_in(struct driver *driver, uint32_t bytes)
{
	struct driver_part part = {
		.gpa = driver_alloc(driver, bytes),
		.bytes = bytes,
		.writable = true,
	};

	memset(driver_at(driver, part.gpa), 0, bytes);
	return part;
}

/* ---- The device ---- */

static bool packed_offered;

void driver_offer_packed(bool offered)
{
	packed_offered = offered;
}

bool driver_offers_packed(void)
{
	return packed_offered;
}

static void start_workers(struct driver *driver)
{
	unsigned count = driver->config.worker_count;

	for (unsigned i = 0; i < count; i++)
		assert_int_equal(worker_start(&driver->workers[i]), 0);
}

static void create_device(struct driver *driver)
{
	const struct driver_config *config = &driver->config;
	const struct virtio_type *type = config->type;
	struct virtio_deps deps = {
		.name = type->name,
		.memory = &driver->memory,
		.workers = driver->worker_list,
		.worker_count = config->worker_count,
		.packed_ring = packed_offered,
		.terminal = config->terminal,
	};

	driver->options = calloc(1, type->options_size + 1);
	assert_non_null(driver->options);
	if (type->keys)
		assert_int_equal(options_parse(type->name, config->options ? config->options : "",
					       type->keys, driver->options), 0);
	assert_int_equal(type->create(driver->options, &deps, &driver->device), 0);
	assert_in_range(driver->device->queue_count, 1, DRIVER_QUEUES_MAX);
}

struct driver *driver_create(const struct driver_config *config)
{
	struct worker_config worker_config = {
		.name = "driver", .entries = 256, .files = 64, .poll_ns = config->poll_ns,
	};
	struct driver *driver = calloc(1, sizeof(*driver));

	assert_non_null(driver);
	driver->config = *config;
	if (!driver->config.worker_count)
		driver->config.worker_count = 1;
	assert_in_range(driver->config.worker_count, 1, DRIVER_WORKERS_MAX);
	assert_int_equal(guest_memory_add(&driver->memory, DRIVER_MEMORY_GPA,
					  DRIVER_MEMORY_BYTES), 0);
	driver->next_gpa = DRIVER_MEMORY_GPA;
	for (unsigned i = 0; i < driver->config.worker_count; i++) {
		driver->worker_list[i] = &driver->workers[i];
		assert_int_equal(worker_create(&driver->workers[i], &worker_config), 0);
	}
	create_device(driver);
	start_workers(driver);
	return driver;
}

static void forget_queues(struct driver *driver)
{
	for (unsigned i = 0; i < DRIVER_QUEUES_MAX; i++) {
		free(driver->queues[i].tables);
		free(driver->queues[i].packed.ids);
		driver->queues[i] = (struct driver_queue){ 0 };
	}
}

static void do_nothing(struct worker_task *task)
{
	(void)task;
}

void driver_destroy(struct driver *driver)
{
	const struct virtio_type *type = driver->config.type;
	struct worker_task nothing = { do_nothing };

	assert_int_equal(virtio_device_quiesce(driver->device, DRIVER_TIMEOUT_MS), 0);
	/* Drained; but the worker may still be on its way out of the queue that said so. */
	for (unsigned i = 0; i < driver->config.worker_count; i++)
		worker_call(&driver->workers[i], &nothing);
	type->destroy(driver->device);
	for (unsigned i = 0; i < driver->config.worker_count; i++) {
		worker_stop(&driver->workers[i]);
		worker_destroy(&driver->workers[i]);
	}
	if (type->keys)
		options_free(type->keys, driver->options);
	free(driver->options);
	forget_queues(driver);
	guest_memory_destroy(&driver->memory);
	free(driver);
}

/* ---- Bring-up and reset ---- */

#define BEGUN (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define AGREED (BEGUN | VIRTIO_CONFIG_S_FEATURES_OK)
#define LIVE (AGREED | VIRTIO_CONFIG_S_DRIVER_OK)

static void write_features(struct driver *driver, uint64_t features)
{
	struct virtio_device *device = driver->device;

	virtio_set_status(device, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_set_status(device, BEGUN);
	virtio_set_driver_features(device, 0, (uint32_t)features);
	virtio_set_driver_features(device, 1, (uint32_t)(features >> 32));
}

bool driver_negotiate(struct driver *driver, uint64_t features)
{
	struct virtio_device *device = driver->device;

	write_features(driver, features);
	virtio_set_status(device, AGREED);
	return virtio_get_status(device) & VIRTIO_CONFIG_S_FEATURES_OK;
}

static void set_up_split(struct driver_queue *queue, struct driver_rings *rings)
{
	struct driver *driver = queue->driver;
	uint16_t size = queue->size;
	uint64_t used_bytes = sizeof(uint16_t) * 3 + sizeof(struct vring_used_elem) * size;

	rings->desc = driver_alloc(driver, size * sizeof(struct vring_desc));
	rings->avail = driver_alloc(driver, sizeof(uint16_t) * (3u + size));
	rings->used = driver_alloc(driver, used_bytes);
	queue->desc = driver_at(driver, rings->desc);
	queue->avail = driver_at(driver, rings->avail);
	queue->used = driver_at(driver, rings->used);
	memset(queue->desc, 0, size * sizeof(struct vring_desc));
	memset(queue->avail, 0, sizeof(uint16_t) * (3u + size));
	memset(queue->used, 0, used_bytes);
	for (unsigned i = 0; i < size; i++)
		queue->desc[i].next = i + 1 < size ? i + 1 : LAST;
}

void driver_set_up_queue(struct driver *driver, unsigned index, uint16_t size)
{
	struct virtio_device *device = driver->device;
	struct driver_queue *queue = &driver->queues[index];
	struct driver_rings rings;

	if (size)
		virtio_queue_set_size(device, index, size);
	size = virtio_queue_size(device, index);
	free(queue->tables);
	free(queue->packed.ids);
	*queue = (struct driver_queue){
		.driver = driver,
		.queue = &device->queues[index],
		.size = size,
		.mask = size - 1,
		.indirect = virtio_has(device, VIRTIO_RING_F_INDIRECT_DESC),
		.event_idx = virtio_has(device, VIRTIO_RING_F_EVENT_IDX),
		.is_packed = virtio_has(device, VIRTIO_F_RING_PACKED),
		.free_count = size,
		.tables = calloc(size, sizeof(struct driver_table)),
	};
	assert_non_null(queue->tables);
	if (queue->is_packed)
		driver_packed_set_up(queue, &rings);
	else
		set_up_split(queue, &rings);
	virtio_queue_set_address(device, index, VIRTIO_RING_DESC, rings.desc);
	virtio_queue_set_address(device, index, VIRTIO_RING_AVAIL, rings.avail);
	virtio_queue_set_address(device, index, VIRTIO_RING_USED, rings.used);
	virtio_queue_enable(device, index);
	assert_true(virtio_queue_enabled(device, index));
}

void driver_begin(struct driver *driver)
{
	struct virtio_device *device = driver->device;

	assert_true(driver_negotiate(driver, device->offered & ~driver->config.refused));
	for (unsigned i = 0; i < device->queue_count; i++)
		if (virtio_queue_size(device, i))
			driver_set_up_queue(driver, i, driver->config.queue_size);
	virtio_set_status(device, LIVE);
	assert_int_equal(virtio_get_status(device), LIVE);
}

void driver_begin_early(struct driver *driver)
{
	struct virtio_device *device = driver->device;

	write_features(driver, device->offered & ~driver->config.refused);
	for (unsigned i = 0; i < device->queue_count; i++)
		driver_set_up_queue(driver, i, driver->config.queue_size);
	virtio_set_status(device, AGREED);
	virtio_set_status(device, LIVE);
	assert_int_equal(virtio_get_status(device), LIVE);
}

void driver_expect_absent(struct driver *driver, unsigned index)
{
	struct virtio_device *device = driver->device;

	for (unsigned again = 0; again < 2; again++) {
		assert_int_equal(virtio_queue_size(device, index), 0);
		assert_false(virtio_queue_enabled(device, index));
		assert_false(virtio_queue_resetting(device, index));
		for (unsigned part = VIRTIO_RING_DESC; part <= VIRTIO_RING_USED; part++) {
			assert_int_equal(virtio_queue_address(device, index, part), 0);
			virtio_queue_set_address(device, index, part,
						 DRIVER_MEMORY_GPA + part * 4096);
		}
		virtio_queue_reset(device, index);
		virtio_queue_set_size(device, index, 8);
		virtio_queue_enable(device, index);
	}
}

static void nap(void)
{
	struct timespec delay = { .tv_nsec = 1000000 };

	nanosleep(&delay, NULL);
}

void driver_reset(struct driver *driver)
{
	virtio_set_status(driver->device, 0);
	for (int left = DRIVER_TIMEOUT_MS; virtio_get_status(driver->device); left--) {
		assert_true(left);
		nap();
	}
	forget_queues(driver);
}

void driver_wait_status(struct driver *driver, uint8_t bits)
{
	for (int left = DRIVER_TIMEOUT_MS; (virtio_get_status(driver->device) & bits) != bits;
	     left--) {
		assert_true(left);
		nap();
	}
}

/* ---- Rings ---- */

static void fill(struct vring_desc *desc, const struct driver_part *part)
{
	desc->addr = htole64(part->gpa);
	desc->len = htole32(part->bytes);
	desc->flags = htole16(part->writable ? VRING_DESC_F_WRITE : 0);
}

/* The table of a head is kept for the next chain there, unless it is too small. */
static void add_table(struct driver_queue *queue, uint16_t head, const struct driver_part *parts,
		      unsigned count)
{
	struct driver_table *table = &queue->tables[head];
	struct vring_desc *desc;

	if (table->capacity < count) {
		table->gpa = driver_alloc(queue->driver, count * sizeof(*desc));
		table->capacity = count;
	}
	desc = driver_at(queue->driver, table->gpa);
	for (unsigned i = 0; i < count; i++) {
		fill(&desc[i], &parts[i]);
		if (i + 1 < count) {
			desc[i].flags |= htole16(VRING_DESC_F_NEXT);
			desc[i].next = htole16(i + 1);
		}
	}
	queue->desc[head].addr = htole64(table->gpa);
	queue->desc[head].len = htole32(count * sizeof(*desc));
	queue->desc[head].flags = htole16(VRING_DESC_F_INDIRECT);
}

/* Links stay in `next` while free, so the device never sees LAST with the NEXT flag. */
static void add_direct(struct driver_queue *queue, uint16_t head, const struct driver_part *parts,
		       unsigned count)
{
	uint16_t index = head;

	for (unsigned i = 0; i < count; i++) {
		struct vring_desc *desc = &queue->desc[index];

		fill(desc, &parts[i]);
		if (i + 1 < count)
			desc->flags |= htole16(VRING_DESC_F_NEXT);
		index = le16toh(desc->next);
	}
}

static int add_split(struct driver_queue *queue, const struct driver_part *parts, unsigned count)
{
	bool indirect = queue->indirect && count > 1;
	unsigned taken = indirect ? 1 : count;
	uint16_t head = queue->free_head;

	if (taken > queue->free_count)
		return -1;
	for (unsigned i = 0; i < taken; i++)
		queue->free_head = le16toh(queue->desc[queue->free_head].next);
	queue->free_count -= taken;
	if (indirect)
		add_table(queue, head, parts, count);
	else
		add_direct(queue, head, parts, count);
	queue->tables[head].count = taken;
	driver_add_head(queue, head);
	return head;
}

int driver_add(struct driver_queue *queue, const struct driver_part *parts, unsigned count)
{
	int head = queue->is_packed ? driver_packed_add(queue, parts, count) :
				      add_split(queue, parts, count);

	if (head >= 0)
		queue->tables[head].first = parts[0];
	return head;
}

struct driver_part driver_first_part(const struct driver_queue *queue, uint16_t head)
{
	return queue->tables[head].first;
}

void driver_add_head(struct driver_queue *queue, uint16_t head)
{
	assert_false(queue->is_packed);
	__atomic_store_n(&queue->avail->ring[queue->avail_idx & queue->mask], htole16(head),
			 __ATOMIC_RELAXED);
	queue->avail_idx++;
}

void driver_publish(struct driver_queue *queue)
{
	if (queue->is_packed)
		driver_packed_publish(queue);
	else
		__atomic_store_n(&queue->avail->idx, htole16(queue->avail_idx), __ATOMIC_RELEASE);
}

static bool split_kick_wanted(struct driver_queue *queue)
{
	uint16_t *event = (uint16_t *)&queue->used->ring[queue->size];
	uint16_t old = queue->kicked_idx;

	queue->kicked_idx = queue->avail_idx;
	if (!queue->event_idx)
		return !(le16toh(__atomic_load_n(&queue->used->flags, __ATOMIC_RELAXED)) &
			 VRING_USED_F_NO_NOTIFY);
	return vring_need_event(le16toh(__atomic_load_n(event, __ATOMIC_RELAXED)),
				queue->avail_idx, old);
}

bool driver_kick(struct driver_queue *queue)
{
	bool wanted;

	/* Pairs with the device's fence between its event and its look at the ring. */
	__sync_synchronize();
	wanted = queue->is_packed ? driver_packed_kick_wanted(queue) : split_kick_wanted(queue);
	if (wanted)
		driver_kick_always(queue);
	return wanted;
}

void driver_kick_always(struct driver_queue *queue)
{
	queue->kicks++;
	event_fd_signal(queue->queue->kick_fd);
}

static void free_chain(struct driver_queue *queue, uint16_t head)
{
	uint16_t count = queue->tables[head].count;
	uint16_t last = head;

	if (!count) /* made by hand */
		return;
	for (unsigned i = 1; i < count; i++)
		last = le16toh(queue->desc[last].next);
	queue->desc[last].next = htole16(queue->free_head);
	queue->free_head = head;
	queue->free_count += count;
	queue->tables[head].count = 0;
}

bool driver_has_used(const struct driver_queue *queue)
{
	if (queue->is_packed)
		return driver_packed_has_used(queue);
	return le16toh(__atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE)) != queue->last_used;
}

static void take_split(struct driver_queue *queue, uint16_t *head, uint32_t *bytes)
{
	uint16_t idx = le16toh(__atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE));
	const struct vring_used_elem *element = &queue->used->ring[queue->last_used & queue->mask];
	uint32_t id;

	assert_in_range((uint16_t)(idx - queue->last_used), 1, queue->size);
	id = le32toh(__atomic_load_n(&element->id, __ATOMIC_RELAXED));
	assert_in_range(id, 0, queue->size - 1);
	*head = (uint16_t)id;
	*bytes = le32toh(__atomic_load_n(&element->len, __ATOMIC_RELAXED));
	free_chain(queue, *head);
}

bool driver_take(struct driver_queue *queue, uint16_t *head, uint32_t *bytes)
{
	if (!driver_has_used(queue))
		return false;
	if (queue->is_packed)
		driver_packed_take(queue, head, bytes);
	else
		take_split(queue, head, bytes);
	queue->last_used++;
	return true;
}

void driver_interrupt_after(struct driver_queue *queue, uint16_t count)
{
	uint16_t event = queue->last_used + count;

	assert_true(queue->event_idx);
	if (queue->is_packed)
		driver_packed_interrupt_after(queue, count);
	else
		__atomic_store_n(&queue->avail->ring[queue->size], htole16(event),
				 __ATOMIC_RELAXED);
}

void driver_interrupts(struct driver_queue *queue, bool wanted)
{
	uint16_t flags = wanted ? 0 : VRING_AVAIL_F_NO_INTERRUPT;

	if (queue->is_packed)
		driver_packed_interrupts(queue, wanted);
	else
		__atomic_store_n(&queue->avail->flags, htole16(flags), __ATOMIC_RELAXED);
}

/* After this the device must interrupt if it uses one more. */
static void ask_for_interrupt(struct driver_queue *queue)
{
	if (queue->event_idx)
		driver_interrupt_after(queue, 0);
	/* Pairs with the device's fence between its used entry and its load of our event. */
	__sync_synchronize();
}

bool driver_wait(struct driver_queue *queue, uint16_t *head, uint32_t *bytes, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = queue->queue->call_fd, .events = POLLIN };

	for (;;) {
		ask_for_interrupt(queue);
		if (driver_take(queue, head, bytes))
			return true;
		if (poll(&poll_fd, 1, timeout_ms) == 0)
			return false;
		event_fd_drain(queue->queue->call_fd);
	}
}

uint32_t driver_request(struct driver_queue *queue, const struct driver_part *parts,
			unsigned count)
{
	int head = driver_add(queue, parts, count);
	uint16_t used_head;
	uint32_t bytes;

	assert_true(head >= 0);
	driver_publish(queue);
	driver_kick(queue);
	assert_true(driver_wait(queue, &used_head, &bytes, DRIVER_TIMEOUT_MS));
	assert_int_equal(used_head, head);
	return bytes;
}
