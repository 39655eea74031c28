/* SPDX-License-Identifier: MIT */
/*
 * A virtio device without its transport: type, features, status, configuration
 * space (virtio 1.2, section 2). Embedded in struct blk, struct net and so on;
 * freed by type->destroy().
 *
 *           DRIVER_OK: ready, start         pause: stop, drain
 *    idle ------------------------> live <-------------------> parked
 *     ^                              |    resume: start, kick
 *     +------------------------------+
 *            status = 0: stop, drain, forget queues
 */
#ifndef VIRTIO_VIRTIO_H
#define VIRTIO_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/boot_trace.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/option.h"
#include "virtio/virtqueue.h"

struct terminal;
struct virtio_device;

/* All that a device sees of the machine. Outlives it. */
struct virtio_deps {
	const char *name; /* "disk0": for messages */
	const struct guest_memory *memory;
	struct worker *const *workers; /* at least one */
	unsigned worker_count;
	bool packed_ring;	       /* offered, beside the split one */
	struct boot_trace *trace;      /* or NULL */
	struct terminal *terminal; /* the user's, if this device was given it; else NULL */
};

/* NULL means: nothing to do. */
struct virtio_type {
	const char *name;	/* thread name: "blk" */
	const char *label;	/* in messages, numbered: "disk" for disk0; NULL: the name */
	const char *option;	/* ringvm run --<option> */
	char option_letter;	/* 'd' for -d, or 0 */
	const char *option_help; /* one line */
	const struct option_key *keys;
	size_t options_size;
	uint16_t id;		/* VIRTIO_ID_* */
	uint32_t pci_class;	/* PCI_CLASS_*, 16 bits */

	/* How many workers of its own an instance wants; NULL or 0: the shared one. */
	unsigned (*worker_count)(const void *options, unsigned vcpu_count);

	/* Control thread. `options` are the device's own until it is destroyed. */
	int (*create)(const void *options, const struct virtio_deps *deps,
		      struct virtio_device **device);
	int (*close)(struct virtio_device *device, bool wait); /* see virtio_device_close() */
	void (*destroy)(struct virtio_device *device); /* closed */

	/* vCPU thread, device->lock held; reset() also the control thread's. */
	uint64_t (*features_missing)(uint64_t features); /* what these need beside them, or 0 */
	void (*features_ok)(struct virtio_device *device); /* taken: config may follow from them */
	bool (*has_queue)(const struct virtio_device *device, unsigned index); /* with these */
	int (*ready)(struct virtio_device *device); /* DRIVER_OK: features are final */
	void (*config_written)(struct virtio_device *device, size_t offset, size_t length);
	void (*reset)(struct virtio_device *device); /* drained: what create() left of config */

	/* The queue's worker. */
	void (*start)(struct virtqueue *queue); /* after DRIVER_OK, queue re-enable, resume */
	void (*kick)(struct virtqueue *queue);
	void (*stop)(struct virtqueue *queue); /* cancel what you posted; must not wait */
};

/* Set up by create(), then virtio_device_init(). */
struct virtio_device {
	const struct virtio_type *type;
	struct virtio_deps deps;
	pthread_mutex_t lock; /* registers; vCPU and control threads. Workers never take it */
	uint64_t offered, negotiated; /* fixed; lock, and fixed while live */
	_Atomic uint8_t status; /* lock; a worker may add NEEDS_RESET */
	bool resetting;		/* lock: status was set to 0 and queues are still draining */
	struct virtqueue *queues;
	unsigned queue_count;

	pthread_mutex_t queue_lock;   /* leaf: goals of the queues, never held in the data path */
	pthread_cond_t queue_drained; /* a queue is no longer live */

	pthread_mutex_t config_lock; /* leaf: the config bytes and their generation */
	uint8_t *config;	     /* guest view of the config space, little endian */
	const uint8_t *config_writable; /* mask of bits the driver may write, or NULL: none */
	size_t config_size;
	bool config_changed;	     /* since the driver last read the generation */
	uint32_t config_generation;  /* counts the changes that the driver could have seen */
	int config_fd;		     /* eventfd: "configuration changed" interrupt */
	_Atomic uint32_t config_signals; /* how often it was signalled; first this, then that */

	struct log_limit log_limit;
};

/*
 * Control thread, first thing in create(): `features` are the device's own bits;
 * ring and transport bits (VERSION_1, EVENT_IDX, INDIRECT_DESC, RING_RESET,
 * RING_PACKED if the machine offers it) are added. `config` is the device's,
 * filled by it before or after. Then virtqueue_init() each queue. 0 or a
 * failure, logged.
 */
struct virtio_device_config {
	const struct virtio_type *type;
	const struct virtio_deps *deps;
	uint64_t features;
	void *config;
	size_t config_size;
	const void *config_writable;
	struct virtqueue *queues;
	unsigned queue_count;
};

int virtio_device_init(struct virtio_device *device, const struct virtio_device_config *config);

/* Queues are destroyed too. Workers have let go: virtio_device_quiesce() or never started. */
void virtio_device_destroy(struct virtio_device *device);

/* Any thread while live. */
static inline bool virtio_has(const struct virtio_device *device, unsigned feature)
{
	return device->negotiated & BIT64(feature);
}

/* Any thread: whether the device is broken, or given up by its driver, until it is reset. */
static inline bool virtio_silenced(const struct virtio_device *device)
{
	return device->status & (VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED);
}

/*
 * Any thread: the guest broke the device. Sets NEEDS_RESET (2.1.2), tells the
 * driver, and silences every queue until reset. Logs, rate-limited.
 */
void virtio_fail(struct virtio_device *device, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Any thread: changes config bytes, generation; interrupt once the driver is ready. */
void virtio_config_update(struct virtio_device *device, size_t offset, const void *bytes,
			  size_t length);

#endif
