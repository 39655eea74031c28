/* SPDX-License-Identifier: MIT */
/*
 * The owner of everything, and its life: built, running, stopped. Only the
 * control thread (worker 0, on the process's first thread) changes its state;
 * everybody else asks by the request line.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include <signal.h>
#include <stdbool.h>

#include "core/request.h"
#include "core/terminal.h"
#include "core/vm.h"
#include "core/worker.h"
#include "hw/board.h"
#include "machine/config.h"
#include "machine/control.h"
#include "machine/sandbox.h"
#include "virtio/virtio_pci.h"

/* How it ended: the exit status of `ringvm run`. */
enum machine_exit {
	MACHINE_EXIT_OFF = 0,	  /* the guest turned itself off */
	MACHINE_EXIT_USAGE = 1,	  /* the command line is wrong */
	MACHINE_EXIT_CONFIG = 2,  /* a file or a value is wrong */
	MACHINE_EXIT_HOST = 3,	  /* the host lacks something */
	MACHINE_EXIT_CRASH = 4,	  /* the guest crashed */
	MACHINE_EXIT_RESET = 5,	  /* the guest asked for a reset, and --reboot=exit */
	MACHINE_EXIT_PANIC = 6,	  /* the guest's kernel panicked, and said so */
	MACHINE_EXIT_SIGNAL = 128 /* and the signal's number: stopped from outside */
};

struct machine {
	const struct machine_config *config;
	int exit_status;	    /* control thread */
	int stop_signal;	    /* why the power button was pressed; 0: it was not */
	struct sandbox sandbox;
	struct request_line requests;
	struct terminal terminal;
	struct vm vm;
	struct board_config board_config;
	struct board *board;	    /* serial, power, PCI host */
	struct worker control;	    /* socket, signals, serial port, timers */
	bool control_created;
	struct worker *io_workers;
	unsigned io_worker_count;
	struct virtio_pci **devices; /* in the order of creation; destroyed in reverse */
	unsigned device_count;
	struct worker **device_workers; /* which of io_workers serves what, device by device */
	struct control_handler control_handler;
	struct control *socket;
	int signal_fd;
	struct fd_watch request_watch, signal_watch;
	struct worker_timer stop_timer;
	struct worker_timer restart_timer;
	bool restarting; /* the vCPUs are parked until the devices are quiet */
};

/* ---- machine/build.c: the one place where parts are put together ---- */

/* All of it, nothing running. 0 or a failure, logged and undone. */
int machine_build(struct machine *machine, const struct machine_config *config);
/* vCPUs have ended, devices are quiet, board and devices are closed if anything has run. */
void machine_destroy(struct machine *machine);
/*
 * Instead, when a device does not become quiet, or storage that hangs keeps some output:
 * the kernel may still write to guest memory, or read ours, so what such a device holds
 * stays where it is, and the process is to end by _exit(). Names in the file system go.
 */
void machine_abandon(struct machine *machine);

/* ---- machine/machine.c: its life ---- */

/* Builds, runs, ends a machine; returns the exit status of the process. */
int machine_run(const struct machine_config *config);

/* What a failure found before the guest runs means for the process. */
int machine_exit_of(int failure);

#endif
