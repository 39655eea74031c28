// SPDX-License-Identifier: MIT
/*
 * The life of a machine: it runs until somebody asks for its end by the request
 * line, a signal or the control socket. All on the control thread, in the
 * callbacks of its worker.
 */
#include "machine/machine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "virtio/registers.h"

/* How long devices may take to finish what they have in flight. */
#define QUIESCE_TIMEOUT_MS 1000
/* How often a guest that restarts asks whether they have. */
#define RESTART_AGAIN_NS UINT64_C(100000000)

int machine_exit_of(int failure)
{
	return fail_is_host(failure) ? MACHINE_EXIT_HOST : MACHINE_EXIT_CONFIG;
}

/* What came first counts: what is told in one wake-up is heard to its end. */
static void machine_end(struct machine *machine, int exit_status)
{
	if (machine->control.quit)
		return;
	machine->exit_status = exit_status;
	worker_quit(&machine->control);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void nothing_run(struct worker_task *task)
{
	(void)task;
}

/*
 * True when every device has let go of guest memory. All are asked before one is
 * waited for, so that together they take no longer than one may. It is said of
 * those that were waited for in vain.
 */
static bool devices_quiesce(struct machine *machine, unsigned timeout_ms)
{
	uint64_t deadline_ms = now_ms() + timeout_ms;
	bool quiet = true;

	for (unsigned i = 0; i < machine->device_count; i++)
		virtio_device_quiesce(virtio_pci_device(machine->devices[i]), 0);
	for (unsigned i = 0; i < machine->device_count; i++) {
		struct virtio_device *device = virtio_pci_device(machine->devices[i]);
		uint64_t passed_ms = min_u64(now_ms(), deadline_ms);

		if (virtio_device_quiesce(device, (unsigned)(deadline_ms - passed_ms))) {
			if (timeout_ms)
				log_warning("%s: its requests do not end; the host's storage or "
					    "network may hang", device->deps.name);
			quiet = false;
		}
	}
	/* A queue is let go from within a task: its worker is through with it after the next. */
	for (unsigned i = 0; i < machine->io_worker_count; i++)
		worker_call(&machine->io_workers[i], &(struct worker_task){ nothing_run });
	return quiet;
}

/* For a device that has not quiesced there is no asking. */
static bool devices_close(struct machine *machine, bool wait)
{
	bool closed = true;

	for (unsigned i = 0; i < machine->device_count; i++) {
		struct virtio_device *device = virtio_pci_device(machine->devices[i]);

		if (!virtio_device_quiesce(device, 0) && virtio_device_close(device, wait))
			closed = false;
	}
	return closed;
}

/*
 * Lets out what the guest wrote last. True when the host has let go of all of it.
 * Devices begin, then the board's serial port has this thread, then they are
 * waited for: however many the guest has filled, they take no longer than one.
 */
static bool outputs_close(struct machine *machine)
{
	bool closed;

	devices_close(machine, false);
	closed = !board_close(machine->board);
	return devices_close(machine, true) && closed;
}

/* As if the reset line had been pulled: nothing of the old run is left. */
static int machine_reset(struct machine *machine)
{
	int error;

	pci_host_reset(board_pci_host(machine->board));
	board_reset(machine->board);
	guest_memory_clear(&machine->vm.memory);
	error = vm_reset(&machine->vm);
	if (!error)
		error = board_boot(machine->board);
	if (!error)
		vm_unpark_vcpus(&machine->vm);
	return error;
}

/*
 * When devices are through. A guest decides how much they have to do, and the
 * host how long it takes: neither is an end.
 */
static void machine_restart(struct machine *machine, unsigned timeout_ms)
{
	int error = 0;

	machine->restarting = !devices_quiesce(machine, timeout_ms);
	if (!machine->restarting)
		error = machine_reset(machine);
	else if (worker_timer_start(&machine->control, &machine->restart_timer, RESTART_AGAIN_NS))
		error = fail_host(ENOMEM, "machine: can't wait for a device that is busy: out of "
				  "memory");
	if (error)
		machine_end(machine, machine_exit_of(error));
}

static void restart_again(struct worker_timer *timer)
{
	struct machine *machine = container_of(timer, struct machine, restart_timer);

	if (!machine->control.quit)
		machine_restart(machine, 0);
}

static void guest_reset(struct machine *machine)
{
	if (machine->config->reboot == MACHINE_REBOOT_EXIT) {
		log_info("the guest asked for a reset; run with --reboot=restart to let it");
		machine_end(machine, MACHINE_EXIT_RESET);
		return;
	}
	if (machine->stop_signal) {
		log_info("the guest asked for a reset instead of turning itself off");
		machine_end(machine, MACHINE_EXIT_RESET);
		return;
	}
	vm_park_vcpus(&machine->vm);
	request_forget_guests(&machine->requests);
	machine_restart(machine, QUIESCE_TIMEOUT_MS);
	if (machine->restarting)
		log_warning("the guest restarts when they have ended");
}

static void request_ready(struct fd_watch *watch)
{
	struct machine *machine = container_of(watch, struct machine, request_watch);

	if (machine->control.quit)
		return;
	switch (request_take(&machine->requests)) {
	case REQUEST_NONE:
		break;
	case REQUEST_POWER_OFF:
		machine_end(machine, MACHINE_EXIT_OFF);
		break;
	case REQUEST_RESET:
		guest_reset(machine);
		break;
	case REQUEST_CRASH:
		log_warning("the guest crashed");
		machine_end(machine, MACHINE_EXIT_CRASH);
		break;
	case REQUEST_PANIC:
		log_warning("the guest's kernel panicked");
		machine_end(machine, MACHINE_EXIT_PANIC);
		break;
	case REQUEST_QUIT:
		machine_end(machine, MACHINE_EXIT_SIGNAL + SIGINT);
		break;
	case REQUEST_FAIL:
		machine_end(machine, MACHINE_EXIT_HOST);
		break;
	}
}

static void stop_expired(struct worker_timer *timer)
{
	struct machine *machine = container_of(timer, struct machine, stop_timer);

	log_warning("the guest did not turn itself off within %u s; its power is cut",
		    machine->config->stop_timeout_s);
	machine_end(machine, MACHINE_EXIT_SIGNAL + machine->stop_signal);
}

/* The power button first; a second wish, a timeout of 0, or nobody to hear it, cuts the power. */
static void machine_stop(struct machine *machine, int signal_number)
{
	uint64_t timeout_ns = machine->config->stop_timeout_s * UINT64_C(1000000000);

	if (machine->stop_signal || !timeout_ns || machine->restarting) {
		machine_end(machine, MACHINE_EXIT_SIGNAL + signal_number);
		return;
	}
	machine->stop_signal = signal_number;
	board_press_power_button(machine->board);
	if (worker_timer_start(&machine->control, &machine->stop_timer, timeout_ns))
		machine_end(machine, MACHINE_EXIT_SIGNAL + signal_number);
}

static void signal_ready(struct fd_watch *watch)
{
	struct machine *machine = container_of(watch, struct machine, signal_watch);
	struct signalfd_siginfo info;

	while (read(machine->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGWINCH:
			terminal_window_changed(&machine->terminal);
			break;
		case SIGTERM:
		case SIGINT:
		case SIGHUP:
			machine_stop(machine, (int)info.ssi_signo);
			break;
		default:
			machine_end(machine, MACHINE_EXIT_SIGNAL + (int)info.ssi_signo);
			break;
		}
	}
}

static void control_handle(struct control_handler *handler, const char *request, char *reply,
			   size_t size)
{
	struct machine *machine = container_of(handler, struct machine, control_handler);

	if (!strcmp(request, "stop")) {
		snprintf(reply, size, "ok %u", machine->config->stop_timeout_s);
		if (!machine->stop_signal)
			machine_stop(machine, SIGTERM);
	} else if (!strcmp(request, "kill")) {
		snprintf(reply, size, "ok");
		machine_end(machine, MACHINE_EXIT_SIGNAL + SIGTERM);
	} else if (!strcmp(request, "status")) {
		snprintf(reply, size, "ok %s", machine->stop_signal ? "stopping" : "running");
	} else {
		snprintf(reply, size, "error unknown request");
	}
}

static int watch_fd(struct machine *machine, struct fd_watch *watch, int fd, const char *what)
{
	int slot = worker_add_file(&machine->control, fd);
	int error = slot < 0 ? slot : worker_watch(&machine->control, watch, slot);

	return error ? fail_host(-error, "machine: watch %s: %s", what, strerror(-error)) : 0;
}

/* All of them beside each other: what is waited for is the last. */
static int io_workers_start(struct machine *machine)
{
	unsigned begun = 0;
	int error = 0;

	while (!error && begun < machine->io_worker_count) {
		error = worker_begin(&machine->io_workers[begun]);
		begun += !error;
	}
	for (unsigned i = 0; i < begun; i++) {
		int failed = worker_await(&machine->io_workers[i]);

		error = error ? error : failed;
	}
	return error;
}

/* Parked until every thread is confined: then the guest runs. */
static int vcpus_start(struct machine *machine)
{
	int error;

	vm_park_vcpus(&machine->vm);
	error = vm_start_vcpus(&machine->vm);
	if (!error)
		error = sandbox_confine_control(&machine->sandbox);
	if (!error) {
		boot_trace_mark(machine->config->trace, BOOT_CONFINED);
		vm_unpark_vcpus(&machine->vm);
	}
	return error;
}

/*
 * The terminal turns raw last, so that whatever was wrong until then was said on
 * a terminal in its usual state.
 */
static int machine_start(struct machine *machine)
{
	int error;

	machine->request_watch.ready = request_ready;
	machine->signal_watch.ready = signal_ready;
	machine->stop_timer.expired = stop_expired;
	machine->restart_timer.expired = restart_again;
	machine->control_handler.handle = control_handle;
	error = sandbox_drop_privileges(&machine->sandbox);
	if (!error)
		error = control_create(&machine->socket, machine->config->name, &machine->control,
			       &machine->control_handler);
	if (!error)
		error = watch_fd(machine, &machine->request_watch, machine->requests.event_fd,
				 "requests");
	if (!error)
		error = watch_fd(machine, &machine->signal_watch, machine->signal_fd, "signals");
	if (!error)
		error = sandbox_confine(&machine->sandbox);
	if (!error)
		error = io_workers_start(machine);
	if (!error)
		error = worker_claim(&machine->control);
	if (!error)
		error = terminal_set_raw(&machine->terminal);
	if (!error)
		error = vcpus_start(machine);
	return error;
}

int machine_run(const struct machine_config *config)
{
	struct machine machine;
	bool quiet;
	int error = machine_build(&machine, config);

	if (error)
		return machine_exit_of(error);
	error = machine_start(&machine);
	if (error)
		machine.exit_status = machine_exit_of(error);
	else
		worker_run(&machine.control);
	boot_trace_mark(config->trace, BOOT_END);
	/* It runs again to let out what the guest wrote last, and shall hear nothing else. */
	worker_unwatch(&machine.control, &machine.request_watch);
	worker_unwatch(&machine.control, &machine.signal_watch);
	worker_timer_stop(&machine.control, &machine.stop_timer);
	worker_timer_stop(&machine.control, &machine.restart_timer);
	vm_stop_vcpus(&machine.vm);
	quiet = devices_quiesce(&machine, QUIESCE_TIMEOUT_MS);
	terminal_restore();
	control_close(machine.socket);
	quiet = outputs_close(&machine) && quiet;
	if (!quiet) {
		/* What hangs may do so for ever, and what is given back first hang as well. */
		control_destroy(machine.socket);
		machine_abandon(&machine);
		boot_trace_print(config->trace, log_say);
		terminal_restore(); /* whoever has let us go on meanwhile made it raw again */
		_exit(machine.exit_status);
	}
	machine_destroy(&machine);
	/* Whoever waits for the name finds disks and cards free as well. */
	control_destroy(machine.socket);
	boot_trace_print(config->trace, log_say);
	return machine.exit_status;
}
