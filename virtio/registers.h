/* SPDX-License-Identifier: MIT */
/*
 * The registers of a virtio device as every transport shows them, and what the
 * machine does to a device as a whole. Implemented beside virtio/virtio.h.
 * vCPU threads take device->lock inside; nothing here waits for a worker but
 * what says so.
 */
#ifndef VIRTIO_REGISTERS_H
#define VIRTIO_REGISTERS_H

#include "virtio/virtio.h"

/* Device configuration space (2.5); out of range reads as 0 and is ignored. */
uint64_t virtio_config_read(struct virtio_device *device, size_t offset, unsigned length);
void virtio_config_write(struct virtio_device *device, size_t offset, unsigned length,
			 uint64_t value);
/*
 * Differs from the last answer if the bytes have changed since, and only then:
 * so its low 8 bits serve as well, however many changes came in between.
 */
uint32_t virtio_config_generation(struct virtio_device *device);

/* 3.1.1: a write may be refused in part; read it back. 0 begins a reset, which never waits. */
void virtio_set_status(struct virtio_device *device, uint8_t status);
/* Non-zero until a reset has drained: nothing touches guest memory once it reads 0. */
uint8_t virtio_get_status(struct virtio_device *device);
/* Ignored after FEATURES_OK. */
void virtio_set_driver_features(struct virtio_device *device, unsigned select, uint32_t bits);
uint32_t virtio_get_driver_features(struct virtio_device *device, unsigned select);

/*
 * Queue registers (4.1.4.3), by queue index; those of a queue that is not there
 * (an index out of range, or without a feature that was not taken) read as 0 and
 * are ignored. Those of an enabled queue keep their values until it is reset.
 */
enum virtio_ring_part { VIRTIO_RING_DESC, VIRTIO_RING_AVAIL, VIRTIO_RING_USED };

uint16_t virtio_queue_size(struct virtio_device *device, unsigned index);
void virtio_queue_set_size(struct virtio_device *device, unsigned index, uint16_t size);
uint64_t virtio_queue_address(struct virtio_device *device, unsigned index,
			      enum virtio_ring_part part);
void virtio_queue_set_address(struct virtio_device *device, unsigned index,
			      enum virtio_ring_part part, uint64_t gpa);
bool virtio_queue_enabled(struct virtio_device *device, unsigned index);
void virtio_queue_enable(struct virtio_device *device, unsigned index);
/* 2.6.1: begins a queue's reset; "resetting" reads true until it has drained. */
void virtio_queue_reset(struct virtio_device *device, unsigned index);
bool virtio_queue_resetting(struct virtio_device *device, unsigned index);

/* ---- For the machine: control thread, vCPUs parked or never started ---- */

/* Resets and waits up to timeout_ms for the drain: 0 or -ETIMEDOUT. */
int virtio_device_quiesce(struct virtio_device *device, unsigned timeout_ms);

/*
 * Quiesced, before it is destroyed: lets the host have what is buffered for it,
 * within a limit of time. 0, or -ETIMEDOUT, logged: the host keeps some of the
 * device, which can't be destroyed. Any number of times. Without `wait` it only
 * begins, and returns 0.
 */
int virtio_device_close(struct virtio_device *device, bool wait);

/* Pause keeps all state of the rings; resume starts and kicks every queue again. */
int virtio_device_pause(struct virtio_device *device, unsigned timeout_ms);
void virtio_device_resume(struct virtio_device *device);

#endif
