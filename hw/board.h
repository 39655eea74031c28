/* SPDX-License-Identifier: MIT */
/*
 * What an architecture supplies at fixed addresses, and how it boots: serial
 * port, clock, power, the PCI host. Declared here, defined by exactly one of
 * x86/ and arm64/. Control thread.
 */
#ifndef HW_BOARD_H
#define HW_BOARD_H

#include <stdbool.h>

#include "core/terminal.h"
#include "core/vm.h"
#include "core/worker.h"
#include "hw/pci_host.h"

struct board;
struct boot_trace;

struct board_config {
	const char *kernel_path;  /* NULL never */
	const char *initrd_path;  /* or NULL */
	const char *command_line; /* whole, as the guest shall see it */
	struct terminal *serial_terminal; /* the user's, or NULL: the port is not connected */
	struct boot_trace *trace; /* or NULL */
	struct worker *worker;    /* serves the serial port's host side */
};

/*
 * Makes the fixed devices and the PCI host. `config` and what it points to
 * outlive the board. 0 or a failure, logged.
 */
int board_create(struct board **board, const struct board_config *config, struct vm *vm);
/* vCPUs have stopped. 0, or -ETIMEDOUT: see serial_close(); then it can't be destroyed. */
int board_close(struct board *board);
void board_destroy(struct board *board);

struct pci_host *board_pci_host(struct board *board);

/*
 * Loads the kernel, initrd and tables into memory and sets the boot vCPU's
 * registers. vCPUs parked or not started; all PCI functions added. 0 or a
 * failure, logged.
 */
int board_boot(struct board *board);

/* Fixed devices back to power-on state. vCPUs parked. */
void board_reset(struct board *board);

/* Tells the guest that its power button was pressed. Any number of times. */
void board_press_power_button(struct board *board);

/* The words that the guest's kernel needs to find its console on the serial port. */
const char *board_serial_console(void);

#endif
