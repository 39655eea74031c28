// SPDX-License-Identifier: MIT
/*
 * The one place where a machine is put together, in order and by plain calls,
 * and taken apart in reverse. Control thread, nothing running yet or any more.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "machine/machine.h"
#include "virtio/registers.h"

#define CONTROL_RING_ENTRIES 64
#define CONTROL_FILES 32
#define IO_RING_ENTRIES 256
#define IO_FILES 256 /* more than any device needs */

/* By nohup, or a shell that starts us in the background: then it shall stay so. */
static bool is_ignored(int number)
{
	struct sigaction action;

	return !sigaction(number, NULL, &action) && action.sa_handler == SIG_IGN;
}

/*
 * The signals that the control thread reads; blocked everywhere else: all that
 * would end the process but for faults and SIGQUIT, which is left to who wants it
 * dead at once. The first real-time one is vCPUs' own.
 */
static void signals_choose(sigset_t *set)
{
	static const int ending[] = { SIGINT, SIGHUP, SIGALRM, SIGUSR1, SIGUSR2, SIGVTALRM,
				      SIGPROF, SIGXCPU, SIGPWR, SIGIO, SIGSTKFLT };

	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGWINCH);
	/* A signalfd would see them although they are ignored. */
	for (size_t i = 0; i < ARRAY_SIZE(ending); i++)
		if (!is_ignored(ending[i]))
			sigaddset(set, ending[i]);
	for (int number = SIGRTMIN + 1; number <= SIGRTMAX; number++)
		if (!is_ignored(number))
			sigaddset(set, number);
}

static int signals_open(struct machine *machine)
{
	sigset_t set;

	signals_choose(&set);
	/* A write that finds no reader or no room must be an error, not our end. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	/* For good: one that comes while the machine ends must not take the place of its status. */
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	machine->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (machine->signal_fd < 0)
		return fail_host(errno, "machine: signalfd: %s; raise the limit of open files "
				 "(ulimit -n)", strerror(errno));
	return 0;
}

static int control_worker_create(struct machine *machine)
{
	const struct worker_config config = {
		.name = "control", .entries = CONTROL_RING_ENTRIES, .files = CONTROL_FILES
	};
	int error = worker_create(&machine->control, &config);

	machine->control_created = !error;
	return error;
}

static int vm_build(struct machine *machine)
{
	const struct machine_config *config = machine->config;
	const struct vm_config vm_config = {
		.dev_path = config->dev_path,
		.memory_bytes = config->memory_bytes,
		.memory_backing = config->memory_backing,
		.vcpu_count = config->vcpu_count,
		.vcpu_processors = &config->cpu_processors,
		.trace = config->trace,
		.arch_options = config->arch_options,
		.vcpu_filter = sandbox_vcpu_filter(&machine->sandbox),
	};

	return vm_create(&machine->vm, &vm_config, &machine->requests);
}

static int board_build(struct machine *machine)
{
	const struct machine_config *config = machine->config;
	machine->board_config = (struct board_config){
		.kernel_path = config->kernel_path,
		.initrd_path = config->initrd_path,
		.command_line = config->command_line,
		.serial_terminal = config->console == MACHINE_CONSOLE_SERIAL ?
					   &machine->terminal : NULL,
		.worker = &machine->control,
		.trace = config->trace,
	};

	return board_create(&machine->board, &machine->board_config, &machine->vm);
}

/* How many workers of its own a device wants; 0: it shares one. */
static unsigned own_workers(const struct machine_config *config, unsigned device)
{
	const struct device_config *entry = &config->devices[device];

	return entry->type->worker_count ?
		       entry->type->worker_count(entry->options, config->vcpu_count) : 0;
}

/* How many serve it, all different ones. */
static unsigned worker_count(const struct machine_config *config, unsigned device)
{
	unsigned own = own_workers(config, device);
	unsigned count = own ? own : 1;

	return config->io_threads ? (unsigned)min_u64(count, config->io_threads) : count;
}

/*
 * Looking for work takes the guest's time where both have one processor, or the
 * user has put this thread on one of the guest's.
 */
static uint64_t io_poll_ns(const struct machine *machine, const unsigned *processor)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) || CPU_COUNT(&set) < 2)
		return 0;
	if (processor && cpu_list_has(&machine->config->cpu_processors, *processor))
		return 0;
	return machine->config->io_poll_us * UINT64_C(1000);
}

/* `serves` ends its name, "io0" and what it serves. */
static int io_worker_create(struct machine *machine, const char *serves, unsigned files)
{
	unsigned index = machine->io_worker_count;
	const unsigned *processor = cpu_list_at(&machine->config->io_processors, index);
	char name[64];
	const struct worker_config config = {
		.name = name,
		.entries = IO_RING_ENTRIES,
		.files = files,
		.filter = sandbox_worker_filter(&machine->sandbox),
		.processor = processor,
		.poll_ns = io_poll_ns(machine, processor),
	};
	int error;

	snprintf(name, sizeof(name), "io%u%s", index, serves);
	error = worker_create(&machine->io_workers[index], &config);
	if (!error)
		machine->io_worker_count++;
	return error;
}

/* "-blk0": device's worker. */
static int own_worker_create(struct machine *machine, const struct device_config *device)
{
	char serves[48];

	snprintf(serves, sizeof(serves), "-%s%s", device->type->name,
		 device->name + strcspn(device->name, "0123456789"));
	return io_worker_create(machine, serves, IO_FILES);
}

/* Each device its own; the shared worker is made when the first device wants it. */
static int own_workers_create(struct machine *machine)
{
	const struct machine_config *config = machine->config;
	struct worker *shared = NULL;
	unsigned sharing = 0, next = 0;
	int error = 0;

	for (unsigned i = 0; i < config->device_count; i++)
		sharing += !own_workers(config, i);
	for (unsigned i = 0; !error && i < config->device_count; i++) {
		unsigned own = own_workers(config, i);

		for (unsigned j = 0; !error && j < own; j++) {
			machine->device_workers[next++] =
				&machine->io_workers[machine->io_worker_count];
			error = own_worker_create(machine, &config->devices[i]);
		}
		if (!own && !shared) {
			shared = &machine->io_workers[machine->io_worker_count];
			error = io_worker_create(machine, "-shared", IO_FILES * sharing);
		}
		if (!own)
			machine->device_workers[next++] = shared;
	}
	return error;
}

/* --io-threads: `total` wishes, dealt out in turns. A worker may get all devices. */
static int pool_workers_create(struct machine *machine, unsigned total)
{
	unsigned count = (unsigned)min_u64(machine->config->io_threads, total);
	unsigned files = IO_FILES * machine->config->device_count;
	int error = 0;

	while (!error && machine->io_worker_count < count)
		error = io_worker_create(machine, "", files);
	for (unsigned i = 0; i < total; i++)
		machine->device_workers[i] = &machine->io_workers[i % count];
	return error;
}

/* device_workers lists, device after device, the workers that serve it. */
static int io_workers_create(struct machine *machine)
{
	const struct machine_config *config = machine->config;
	unsigned total = 0;

	for (unsigned i = 0; i < config->device_count; i++)
		total += worker_count(config, i);
	machine->io_workers = calloc(total + 1, sizeof(*machine->io_workers));
	machine->device_workers = calloc(total + 1, sizeof(*machine->device_workers));
	if (!machine->io_workers || !machine->device_workers)
		return fail_host(ENOMEM, "machine: out of memory");
	return config->io_threads ? pool_workers_create(machine, total) :
				    own_workers_create(machine);
}

static int device_build(struct machine *machine, unsigned index, unsigned first_worker)
{
	const struct device_config *entry = &machine->config->devices[index];
	const struct virtio_deps deps = {
		.name = entry->name,
		.memory = &machine->vm.memory,
		.workers = (struct worker *const *)&machine->device_workers[first_worker],
		.worker_count = worker_count(machine->config, index),
		.packed_ring = machine->config->packed_ring,
		.trace = machine->config->trace,
		.terminal = entry->terminal ? &machine->terminal : NULL,
	};
	struct virtio_device *device;
	int error = entry->type->create(entry->options, &deps, &device);

	if (error)
		return error;
	error = virtio_pci_create(&machine->devices[index], device,
				  board_pci_host(machine->board));
	if (error)
		entry->type->destroy(device);
	else
		machine->device_count++;
	return error;
}

static int devices_build(struct machine *machine)
{
	const struct machine_config *config = machine->config;
	unsigned first_worker = 0;

	machine->devices = calloc(config->device_count + 1, sizeof(*machine->devices));
	if (!machine->devices)
		return fail_host(ENOMEM, "machine: out of memory");
	for (unsigned i = 0; i < config->device_count; i++) {
		int error = device_build(machine, i, first_worker);

		if (error)
			return error;
		first_worker += worker_count(config, i);
	}
	return 0;
}

int machine_build(struct machine *machine, const struct machine_config *config)
{
	int error;

	*machine = (struct machine){
		.config = config, .signal_fd = -1, .requests.event_fd = -1, .vm.kvm_fd = -1
	};
	error = sandbox_create(&machine->sandbox, config);
	if (!error)
		error = signals_open(machine);
	if (!error)
		error = request_line_init(&machine->requests);
	if (!error) {
		terminal_init(&machine->terminal, &machine->requests);
		error = control_worker_create(machine);
	}
	if (!error)
		error = vm_build(machine);
	if (!error)
		error = board_build(machine);
	if (!error)
		error = io_workers_create(machine);
	if (!error)
		error = devices_build(machine);
	if (!error) {
		boot_trace_mark(config->trace, BOOT_DEVICES);
		error = board_boot(machine->board);
	}
	if (!error)
		boot_trace_mark(config->trace, BOOT_KERNEL);
	if (error)
		machine_destroy(machine);
	return error;
}

void machine_abandon(struct machine *machine)
{
	for (unsigned i = 0; i < machine->device_count; i++) {
		struct virtio_device *device = virtio_pci_device(machine->devices[i]);

		if (!virtio_device_quiesce(device, 0) && !virtio_device_close(device, true))
			virtio_pci_destroy(machine->devices[i]);
	}
}

void machine_destroy(struct machine *machine)
{
	while (machine->device_count)
		virtio_pci_destroy(machine->devices[--machine->device_count]);
	free(machine->devices);
	for (unsigned i = 0; i < machine->io_worker_count; i++)
		worker_stop(&machine->io_workers[i]);
	while (machine->io_worker_count)
		worker_destroy(&machine->io_workers[--machine->io_worker_count]);
	free(machine->io_workers);
	free(machine->device_workers);
	if (machine->board)
		board_destroy(machine->board);
	if (machine->vm.kvm_fd >= 0)
		vm_destroy(&machine->vm);
	if (machine->control_created)
		worker_destroy(&machine->control);
	request_line_destroy(&machine->requests);
	sandbox_destroy(&machine->sandbox);
	fd_close(&machine->signal_fd);
}
