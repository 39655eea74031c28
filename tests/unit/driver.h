/* SPDX-License-Identifier: MIT */
/*
 * A guest in memory and the driver of one virtio device: real guest memory, a
 * real worker on a thread, registers by virtio/registers.h, split or packed
 * rings as a driver drives them. Any device type's unit test uses it:
 *
 *	struct driver_config config = { .type = &virtio_rng, .options = "" };
 *	struct driver *driver = driver_create(&config);
 *	struct driver_queue *queue = &driver->queues[0];
 *	struct driver_part part;
 *
 *	driver_begin(driver);                    // negotiate, set queues up, DRIVER_OK
 *	part = driver_in(driver, 64);            // 64 bytes for the device to write
 *	assert_int_equal(driver_request(queue, &part, 1), 64);
 *	memcmp(driver_at(driver, part.gpa), ...);
 *	driver_destroy(driver);
 *
 * What goes wrong fails the test (cmocka) on the spot. One thread drives; the
 * worker is another.
 */
#ifndef TESTS_UNIT_DRIVER_H
#define TESTS_UNIT_DRIVER_H

#include "virtio/registers.h"
#include "virtio/virtio.h"

#define DRIVER_QUEUES_MAX 16
#define DRIVER_WORKERS_MAX 4
#define DRIVER_MEMORY_GPA (UINT64_C(1) * MIB)
#define DRIVER_MEMORY_BYTES (UINT64_C(64) * MIB)
#define DRIVER_TIMEOUT_MS 20000 /* for what must come; sanitizers and a busy host are slow */

struct driver_config {
	const struct virtio_type *type;
	const char *options;     /* as on the command line; NULL: none */
	uint64_t refused;        /* features not to accept: BIT64(VIRTIO_RING_F_EVENT_IDX) ... */
	uint16_t queue_size;     /* 0: the device's */
	unsigned worker_count;   /* 0: 1 */
	uint64_t poll_ns;        /* struct worker_config's */
	struct terminal *terminal;
};

/* A piece of guest memory in a chain. Readable parts come first. */
struct driver_part {
	uint64_t gpa;
	uint32_t bytes;
	bool writable; /* by the device */
};

struct driver_place {
	uint16_t offset;
	bool wrap;
};

struct driver_packed {
	struct vring_packed_desc *ring;
	struct vring_packed_desc_event *driver_event, *device_event;
	struct driver_place next_avail, next_used;
	unsigned hidden, shown; /* descriptors: not published; published since the last kick */
	struct vring_packed_desc *first; /* of those hidden */
	uint16_t first_flags;
	uint16_t *ids, free_ids;
};

struct driver_queue {
	struct driver *driver;
	struct virtqueue *queue;
	uint16_t size, mask;
	bool indirect;  /* longer chains use tables; true if negotiated, may be cleared */
	bool event_idx; /* negotiated */
	bool is_packed; /* negotiated */
	bool by_hand;   /* packed: the test writes descriptors, each used one stands for one */

	struct driver_packed packed; /* instead of the three below */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;

	uint16_t free_head, free_count; /* descriptors, linked by next */
	uint16_t avail_idx;  /* chains added */
	uint16_t kicked_idx; /* published when the need for a kick was last decided */
	uint16_t last_used;  /* chains taken */
	uint64_t kicks;      /* made */
	struct driver_table {
		uint64_t gpa; /* of an indirect table, kept for the head */
		unsigned capacity;
		uint16_t count; /* descriptors of the ring that the chain takes */
		struct driver_part first;
	} *tables;
};

struct driver {
	struct driver_config config;
	struct guest_memory memory;
	uint64_t next_gpa;
	struct worker workers[DRIVER_WORKERS_MAX];
	struct worker *worker_list[DRIVER_WORKERS_MAX];
	void *options;
	struct virtio_device *device;
	struct driver_queue queues[DRIVER_QUEUES_MAX];
};

/*
 * Runs a group of tests twice: with devices that offer only the split ring, then
 * with such as offer the packed one, which the driver takes.
 */
#define driver_run_on_both_rings(tests, setup, teardown)                                           \
	((driver_offer_packed(false),                                                              \
	  cmocka_run_group_tests_name("split ring", tests, setup, teardown)) ||                    \
	 (driver_offer_packed(true),                                                               \
	  cmocka_run_group_tests_name("packed ring", tests, setup, teardown)))

/* For the devices created from now on; and whether that is so. */
void driver_offer_packed(bool offered);
bool driver_offers_packed(void);

/* The device, reset, with its worker running. destroy: quiesces first, in any state. */
struct driver *driver_create(const struct driver_config *config);
void driver_destroy(struct driver *driver);

/* From reset to DRIVER_OK in the steps of 3.1.1; every queue that is there is set up. */
void driver_begin(struct driver *driver);
/* The same by a driver that sets up all queues before it says what it takes. */
void driver_begin_early(struct driver *driver);
/* One step of it: ACKNOWLEDGE to FEATURES_OK; whether the device took `features`. */
bool driver_negotiate(struct driver *driver, uint64_t features);
/* Another: allocates rings of `size` (0: as it is), sets addresses, enables. */
void driver_set_up_queue(struct driver *driver, unsigned index, uint16_t size);
/* That there is no such queue, nor after all that a driver can do to have one. */
void driver_expect_absent(struct driver *driver, unsigned index);

/* Writes status 0 and waits until it reads 0. Rings are forgotten; driver_begin() again. */
void driver_reset(struct driver *driver);
/* Waits until all of `bits` are set in the status. */
void driver_wait_status(struct driver *driver, uint8_t bits);

/*
 * Guest memory, 64-byte aligned, never freed one by one: a long test takes a
 * mark and rewinds to it when nothing above is in use.
 */
uint64_t driver_alloc(struct driver *driver, uint64_t bytes);
uint64_t driver_mark(const struct driver *driver);
void driver_rewind(struct driver *driver, uint64_t mark);
void *driver_at(struct driver *driver, uint64_t gpa);

/* A part with a copy of `data` for the device to read; one of zeros for it to write. */
struct driver_part driver_out(struct driver *driver, const void *data, uint32_t bytes);
struct driver_part driver_in(struct driver *driver, uint32_t bytes);

/* Adds a chain, not yet visible to the device: its head, or -1 if there is no room. */
int driver_add(struct driver_queue *queue, const struct driver_part *parts, unsigned count);
/* The first part of what a head is or was last. */
struct driver_part driver_first_part(const struct driver_queue *queue, uint16_t head);
/* Split: makes a head available that is in the descriptor table already, sound or not. */
void driver_add_head(struct driver_queue *queue, uint16_t head);
/* Packed: the next descriptor, host order; AVAIL and USED in flags are flipped from right. */
void driver_packed_write(struct driver_queue *queue, const struct vring_packed_desc *desc);
/* Shows what was added to the device. */
void driver_publish(struct driver_queue *queue);
/* Kicks if the device asked for it (event index or flags); returns whether. */
bool driver_kick(struct driver_queue *queue);
/* Kicks whatever the device said. */
void driver_kick_always(struct driver_queue *queue);

/* Whether there is a used chain to take. */
bool driver_has_used(const struct driver_queue *queue);
/* Takes the next used chain: false if there is none. `bytes` is what the device wrote. */
bool driver_take(struct driver_queue *queue, uint16_t *head, uint32_t *bytes);
/* Same, but asks for an interrupt and waits for the call fd; false after timeout_ms. */
bool driver_wait(struct driver_queue *queue, uint16_t *head, uint32_t *bytes, int timeout_ms);

/* With EVENT_IDX: asks for an interrupt when `count` more chains and then one are used. */
void driver_interrupt_after(struct driver_queue *queue, uint16_t count);
/* Without: for one with each batch, or none. */
void driver_interrupts(struct driver_queue *queue, bool wanted);

/* Adds, publishes, kicks, waits; returns the bytes written. Nothing else is in flight. */
uint32_t driver_request(struct driver_queue *queue, const struct driver_part *parts,
			unsigned count);

#endif
