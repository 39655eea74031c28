/* SPDX-License-Identifier: MIT */
/*
 * The PCI transport of a virtio device (virtio 1.2, 4.1; modern only):
 * capabilities, common configuration, a doorbell of its own for each queue,
 * ISR, MSI-X vectors, the window in configuration space. It owns registers; the
 * device owns requests, and neither calls up: queues signal call fds, which are
 * attached to whatever the driver chose. vCPU threads.
 *
 * Decided where the specifications leave it open:
 * - Bus Master off holds MSI-X back, as a mask does: what came meanwhile is
 *   pending. It does not stop the queues: a driver that wants that resets the
 *   device, which also says when nothing is under way any more.
 * - A doorbell takes writes of any width; its address says which queue.
 * - A structure's bytes that are not there read as 0, and so does the rest of
 *   the BAR; writes there, or of a width that a register has not, are ignored.
 */
#ifndef VIRTIO_VIRTIO_PCI_H
#define VIRTIO_VIRTIO_PCI_H

#include "hw/pci_host.h"
#include "virtio/virtio.h"

struct virtio_pci;

/* Takes the device over, and puts it into a slot. 0 or a failure, logged (device untouched). */
int virtio_pci_create(struct virtio_pci **transport, struct virtio_device *device,
		      struct pci_host *host);

/* Quiesced. Leaves the slot and destroys the device by its type->destroy(). */
void virtio_pci_destroy(struct virtio_pci *transport);

struct virtio_device *virtio_pci_device(struct virtio_pci *transport);

#endif
