/* SPDX-License-Identifier: MIT */
/*
 * The PCI host bridge: configuration space by ECAM and, where the board has
 * ports, by CF8/CFC; slots; address windows out of which BARs are placed before
 * the guest starts. pci_host.lock guards all configuration space of its
 * functions and is the first lock in the global order.
 *
 * A configuration access is of 1, 2 or 4 bytes and aligned; any other, and one
 * to a function that is not there, reads all ones and is ignored.
 *
 * A BAR is decoded while Memory Space is on, its whole address range lies in
 * one of the windows, and nothing that was there first overlaps it. A BAR that
 * lost its place to another gets it when that one moves away.
 */
#ifndef HW_PCI_HOST_H
#define HW_PCI_HOST_H

#include <pthread.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/irq.h"
#include "core/kvm_call.h"
#include "hw/pci.h"

#define PCI_HOST_FUNCTIONS 256 /* on bus 0: 32 slots of 8 */
#define PCI_HOST_DEVICES (31 * 8) /* slot 0 has the bridge and nothing else */

struct pci_window {
	uint64_t base, size;
};

/*
 * Where 64-bit BARs go: above all RAM and 32-bit devices, which end at `above`,
 * below the end of physical addresses. False if there is no room: too much RAM.
 */
bool pci_window64(uint64_t above, unsigned physical_bits, struct pci_window *window);

struct pci_host_config {
	struct bus *mmio;
	struct bus *ports; /* NULL: no CF8/CFC; else 0xcf8 to 0xcff are the host's */
	struct irq_router *irqs;
	const struct kvm_call *kvm;
	uint64_t ecam_base;    /* 1 MiB a bus */
	unsigned bus_count;
	struct pci_window memory32, memory64; /* RAM and fixed devices lie outside */
	uint32_t intx_gsis[4]; /* pin A of slot s goes to intx_gsis[s % 4] */
};

struct pci_host {
	struct pci_host_config config;
	pthread_mutex_t lock;
	struct region ecam, address_port, data_port;
	uint32_t address;  /* CF8; lock */
	struct pci_function bridge;
	/* By address; fixed before the first vCPU runs. */
	struct pci_function *functions[PCI_HOST_FUNCTIONS];
	uint64_t next32, next64; /* where the next BAR goes */
};

/* 0 or a failure, logged. */
int pci_host_init(struct pci_host *host, const struct pci_host_config *config);
void pci_host_destroy(struct pci_host *host);

/*
 * Puts a function into the next free slot, or beside one that is there when all
 * are taken, and gives its BARs addresses (not enabled): below 4 GiB while there
 * is room, so that a guest of any paging mode reaches them. 0, or a failure,
 * logged, when the bus or the windows are full.
 * Remove: its regions leave the buses; no vCPU runs.
 */
int pci_host_add(struct pci_host *host, struct pci_function *function);
void pci_host_remove(struct pci_host *host, struct pci_function *function);

/* Every function's configuration back to what pci_host_add() left. vCPUs parked. */
void pci_host_reset(struct pci_host *host);

/* The interrupt that pin A of an added function raises. */
uint32_t pci_host_pin_gsi(const struct pci_host *host, const struct pci_function *function);

#endif
