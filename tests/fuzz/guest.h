/* SPDX-License-Identifier: MIT */
/*
 * A guest for fuzz targets: RAM of two regions between guard pages, a copy of
 * it that says what the device may not have changed, and split or packed rings
 * as a driver drives them, well or badly. All on the target's one thread.
 *
 * While the guest is honest everything that the device does is checked; what
 * it may write is its used rings and the writable parts of chains it was given.
 * A guest that has turned hostile may have given it anything, so from then on
 * only what holds in any case is checked: a device that has failed or was reset
 * writes nothing.
 */
#ifndef TESTS_FUZZ_GUEST_H
#define TESTS_FUZZ_GUEST_H

#include "tests/fuzz/fuzz.h"
#include "virtio/registers.h"
#include "virtio/virtio.h"

/* Adjacent for the guest and not in the process. Rings in the first, data in the second. */
#define GUEST_GPA (UINT64_C(1) * MIB)
#define GUEST_RING_BYTES (16 * KIB)
#define GUEST_DATA_GPA (GUEST_GPA + GUEST_RING_BYTES)
#define GUEST_DATA_BYTES (64 * KIB)

#define GUEST_QUEUES_MAX 16
#define GUEST_HEADS_MAX 64
#define GUEST_PARTS_MAX 12

struct guest_part {
	uint64_t gpa;
	uint32_t bytes;
	bool writable; /* by the device; readable ones come first */
};

struct guest_chain {
	struct guest_part parts[GUEST_PARTS_MAX];
	unsigned count;
	bool offered;
	uint16_t descriptors; /* of the ring */
	uint64_t tag; /* the target's */
};

/*
 * avail_idx, kicked_idx, last_used and asked_used run freely over 16 bits: in a
 * split ring they count chains, in a packed one descriptors.
 */
struct guest_queue {
	struct guest *guest;
	struct virtqueue *queue;
	uint16_t size;
	bool event_idx, indirect, packed; /* negotiated */
	uint64_t desc_gpa, avail_gpa, used_gpa; /* packed: ring, driver area, device area */
	uint64_t slots_gpa, slot_bytes; /* memory of each head, for its chain */
	uint16_t avail_idx, kicked_idx, last_used, free;
	uint16_t asked_used; /* the used event that the device was told */
	bool quiet; /* without events: it was told not to interrupt */
	/* Packed: where the next one goes and comes back; the flags that are held back. */
	uint16_t avail_place, used_place, first_place, first_flags;
	bool busy[GUEST_HEADS_MAX]; /* descriptors; packed: ids */
	struct guest_chain chains[GUEST_HEADS_MAX]; /* by head; packed: by id */
};

struct guest {
	struct guest_memory memory;
	uint8_t *copies[2]; /* of the regions */
	uint64_t next_ring_gpa, next_data_gpa;
	bool hostile;
	struct guest_queue queues[GUEST_QUEUES_MAX];
	unsigned queue_count;
};

/* Once a program; then zeroed RAM, no queue, honest. */
void guest_init(struct guest *guest);
void guest_begin(struct guest *guest);

/* RAM as the guest sees it: the range must be there. */
void *guest_at(struct guest *guest, uint64_t gpa, uint64_t bytes);
void guest_store(struct guest *guest, uint64_t gpa, const void *data, uint64_t bytes);
void guest_store_le(struct guest *guest, uint64_t gpa, uint64_t value, unsigned bytes);
uint64_t guest_load_le(struct guest *guest, uint64_t gpa, unsigned bytes);
/* Space for rings or, beside them, for data; 64-byte aligned. 0: no more. */
uint64_t guest_ring_space(struct guest *guest, uint64_t bytes);
uint64_t guest_data_space(struct guest *guest, uint64_t bytes);

/* ACKNOWLEDGE to FEATURES_OK. */
bool guest_negotiate(struct virtio_device *device, uint64_t features);
/*
 * Lays the rings of the next queue out; `size` up to GUEST_HEADS_MAX, a power of
 * two if split, `data_bytes` for its chains. Set up: tells the device's registers.
 * Rewind: after a reset of this queue, the same memory, as if just laid out.
 */
struct guest_queue *guest_queue_lay_out(struct guest *guest, struct virtqueue *queue,
					uint16_t size, uint64_t data_bytes);
void guest_queue_set_up(struct guest_queue *queue);
void guest_queue_rewind(struct guest_queue *queue);

/* Memory of the head that the next chain will have. */
bool guest_queue_next(const struct guest_queue *queue, unsigned descriptors, uint16_t *head);
uint64_t guest_slot(const struct guest_queue *queue, uint16_t head);

/*
 * A chain as from the driver's manual: at guest_queue_next()'s head, parts
 * that do not overlap others', with a table if `table_gpa` is not 0.
 */
void guest_queue_add(struct guest_queue *queue, const struct guest_part *parts, unsigned count,
		     uint64_t table_gpa);
/* Anything at all; the caller has made the guest hostile. `next` is the id in a packed ring. */
void guest_queue_add_head(struct guest_queue *queue, uint16_t head);
void guest_queue_store_any(struct guest_queue *queue, uint16_t index,
			   const struct vring_desc *desc);
void guest_queue_publish(struct guest_queue *queue);
/* If the device wants it; whether it did. */
bool guest_queue_kick(struct guest_queue *queue);
/* Asks to be told from the next used chain on, or, by `later`, one after that, or `quiet`. */
void guest_queue_ask(struct guest_queue *queue, uint16_t later, bool quiet);

/* How far the device has come, as last_used counts; and if it had to interrupt since `old`. */
uint16_t guest_queue_used(const struct guest_queue *queue);
bool guest_queue_wants_call(const struct guest_queue *queue, uint16_t old, uint16_t used);

/*
 * The next used chain, whose head and length are checked while the guest is
 * honest; NULL: none. Its writable parts are no longer the device's to write.
 */
struct guest_chain *guest_queue_take(struct guest_queue *queue, uint32_t *bytes);

/* Whether the device has given back all that was published. */
bool guest_queue_returned(const struct guest_queue *queue);

uint64_t guest_chain_bytes(const struct guest_chain *chain, bool writable);

/* No byte is one that was never stored; and of an honest guest, none changed that may not. */
void guest_audit(struct guest *guest);
/* From here on nothing changes until guest_still() has looked. */
void guest_freeze(struct guest *guest);
void guest_still(struct guest *guest);

#endif
