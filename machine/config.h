/* SPDX-License-Identifier: MIT */
/*
 * What a machine is made of, as the user asked for it. Filled by
 * machine/options.c, completed by machine_config_complete(), constant from then
 * on. Control thread.
 */
#ifndef MACHINE_CONFIG_H
#define MACHINE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cpu_list.h"
#include "core/memory.h"
#include "hw/pci_host.h"
#include "virtio/virtio.h"

#define MACHINE_DEVICES_MAX PCI_HOST_DEVICES
#define MACHINE_NAME_MAX 63

enum machine_console { MACHINE_CONSOLE_SERIAL, MACHINE_CONSOLE_VIRTIO };
enum machine_sandbox { MACHINE_SANDBOX_ON, MACHINE_SANDBOX_OFF, MACHINE_SANDBOX_LOG };
enum machine_reboot { MACHINE_REBOOT_EXIT, MACHINE_REBOOT_RESTART };

struct device_config {
	const struct virtio_type *type;
	void *options;  /* type->options_size bytes, read by type->keys */
	char name[16];  /* "disk0" */
	bool terminal;  /* gets the user's terminal */
};

struct machine_config {
	char *name;
	char *dev_path;
	char *kernel_path;
	char *initrd_path;
	char *parameters;   /* as given, to be appended */
	char *command_line; /* whole, once complete */
	uint64_t memory_bytes;
	struct memory_backing memory_backing;
	unsigned vcpu_count;
	enum machine_console console;
	enum machine_reboot reboot;
	enum machine_sandbox sandbox;
	char *user; /* to become, or NULL */
	bool packed_ring; /* offered by all devices; the guest decides */
	unsigned stop_timeout_s; /* between the power button and cutting the power */
	unsigned io_threads;	 /* that serve all devices in turns; 0: each has its own */
	struct cpu_list io_processors;	/* worker N runs on the N-th */
	struct cpu_list cpu_processors; /* vCPU N runs on the N-th */
	unsigned io_poll_us;	 /* how long io workers look for work before they sleep */
	bool no_defaults;
	bool trace_boot; /* then `trace` is one */
	struct boot_trace *trace; /* or NULL; the caller's of machine_run() */
	void *arch_options; /* read by arch_options.keys (core/arch.h) */
	struct device_config devices[MACHINE_DEVICES_MAX];
	unsigned device_count;
};

/* 0 or a failure, logged. */
int machine_config_init(struct machine_config *config);
void machine_config_destroy(struct machine_config *config);

/*
 * Adds a device; `text` is what stood behind its option, NULL for none. The
 * device's place among its kind gives its name. 0 or a failure, logged.
 */
int machine_config_add_device(struct machine_config *config, const struct virtio_type *type,
			      const char *text);

/* Adds a port to the virtio console, and that console if there is none yet. */
int machine_config_add_console_port(struct machine_config *config, const char *text);

/* Checks the whole, fills in defaults, and puts the command line together. */
int machine_config_complete(struct machine_config *config);

#endif
