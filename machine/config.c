// SPDX-License-Identifier: MIT
/*
 * Defaults, checks of the whole, and the kernel command line. It opens nothing:
 * what is wrong with a file is found by whoever opens it.
 */
#include "machine/config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/arch.h"
#include "hw/board.h"
#include "virtio/blk.h"
#include "virtio/console.h"
#include "virtio/rng.h"

#define DEFAULT_MEMORY_BYTES (512 * MIB)
#define MINIMUM_MEMORY_BYTES (2 * MIB)
#define MEMORY_ALIGNMENT (64 * KIB) /* the largest page of any host or guest */
#define DEFAULT_STOP_TIMEOUT_S 10
#define DEFAULT_IO_POLL_US 50

int machine_config_init(struct machine_config *config)
{
	char name[MACHINE_NAME_MAX + 1];

	snprintf(name, sizeof(name), "guest-%d", getpid());
	*config = (struct machine_config){
		.name = strdup(name),
		.dev_path = strdup("/dev/kvm"),
		.memory_bytes = DEFAULT_MEMORY_BYTES,
		.vcpu_count = 1,
		.stop_timeout_s = DEFAULT_STOP_TIMEOUT_S,
		.io_poll_us = DEFAULT_IO_POLL_US,
		.arch_options = malloc(arch_options.size),
	};
	if (config->arch_options)
		memcpy(config->arch_options, arch_options.defaults, arch_options.size);
	if (config->name && config->dev_path && config->arch_options)
		return 0;
	free(config->arch_options);
	free(config->dev_path);
	free(config->name);
	return fail_host(ENOMEM, "run: out of memory");
}

static void console_options_free(struct console_options *console)
{
	while (console->port_count)
		options_free(console_port_keys, &console->ports[--console->port_count]);
}

void machine_config_destroy(struct machine_config *config)
{
	while (config->device_count) {
		struct device_config *device = &config->devices[--config->device_count];

		if (device->type == &virtio_console)
			console_options_free(device->options);
		if (device->type->keys)
			options_free(device->type->keys, device->options);
		free(device->options);
	}
	if (config->arch_options)
		options_free(arch_options.keys, config->arch_options);
	free(config->arch_options);
	free(config->user);
	free(config->name);
	free(config->dev_path);
	free(config->kernel_path);
	free(config->initrd_path);
	free(config->parameters);
	free(config->command_line);
}

/* "disk0": the type's label and the device's place among its kind. */
static void device_name(struct machine_config *config, struct device_config *device)
{
	const char *label = device->type->label ? device->type->label : device->type->name;
	unsigned index = 0;

	for (unsigned i = 0; i < config->device_count; i++)
		index += config->devices[i].type == device->type;
	snprintf(device->name, sizeof(device->name), "%s%u", label, index);
}

/* It is then the last of them. 0 or a failure, logged. */
static int device_add(struct machine_config *config, const struct virtio_type *type)
{
	struct device_config *device = &config->devices[config->device_count];

	if (config->device_count == MACHINE_DEVICES_MAX)
		return fail(ENOSPC, "--%s: %u devices are the most that fit on the PCI bus",
			    type->option ? type->option : type->name, MACHINE_DEVICES_MAX);
	*device = (struct device_config){ .type = type };
	device->options = calloc(1, type->options_size ? type->options_size : 1);
	if (!device->options)
		return fail_host(ENOMEM, "--%s: out of memory",
				 type->option ? type->option : type->name);
	device_name(config, device);
	config->device_count++;
	return 0;
}

int machine_config_add_device(struct machine_config *config, const struct virtio_type *type,
			      const char *text)
{
	int error = device_add(config, type);
	char what[32];

	if (error || !type->keys || !text)
		return error;
	snprintf(what, sizeof(what), "--%s", type->option);
	return options_parse(what, text, type->keys,
			     config->devices[config->device_count - 1].options);
}

/* The machine's one virtio console, made when it is first wanted. */
static int console_of(struct machine_config *config, struct device_config **console)
{
	int error;

	for (unsigned i = 0; i < config->device_count; i++) {
		*console = &config->devices[i];
		if ((*console)->type == &virtio_console)
			return 0;
	}
	error = device_add(config, &virtio_console);
	*console = error ? NULL : &config->devices[config->device_count - 1];
	return error;
}

int machine_config_add_console_port(struct machine_config *config, const char *text)
{
	struct device_config *device;
	struct console_options *console;
	int error = console_of(config, &device);

	if (error)
		return error;
	console = device->options;
	if (console->port_count == CONSOLE_PORT_OPTIONS_MAX)
		return fail(ENOSPC, "--console-port: %u are the most that a console has",
			    CONSOLE_PORT_OPTIONS_MAX);
	/* Counted before it is read, so that what a failure leaves is freed. */
	return options_parse("--console-port", text, console_port_keys,
			     &console->ports[console->port_count++]);
}

static int name_check(const char *name)
{
	size_t length = strlen(name);

	if (!length || length > MACHINE_NAME_MAX || name[0] == '.')
		return fail(EINVAL, "--name: '%s': expected 1 to %d characters, the first no dot",
			    name, MACHINE_NAME_MAX);
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("._-+", name[i]))
			return fail(EINVAL, "--name: '%s': expected letters, digits, '.', '_', "
				    "'-' and '+' only", name);
	return 0;
}

static bool has_device(const struct machine_config *config, const struct virtio_type *type)
{
	for (unsigned i = 0; i < config->device_count; i++)
		if (config->devices[i].type == type)
			return true;
	return false;
}

/* Whether the user's parameters set `key` ("root="), at the start of a word. */
static bool parameters_have(const struct machine_config *config, const char *key)
{
	const char *at = config->parameters;

	while (at && (at = strstr(at, key))) {
		if (at == config->parameters || at[-1] == ' ')
			return true;
		at++;
	}
	return false;
}

/*
 * The defaults stand first, so that what the user says after them wins. A guest
 * that panics must not sit there for ever: panic=-1 resets it, unless its
 * pvpanic driver has already told us.
 */
static int command_line_build(struct machine_config *config)
{
	const char *console = config->console == MACHINE_CONSOLE_VIRTIO ? "console=hvc0" :
			      board_serial_console();
	const char *root = "";
	const char *parameters = config->parameters ? config->parameters : "";
	int length;

	if (has_device(config, &virtio_blk) && !config->initrd_path &&
	    !parameters_have(config, "root="))
		root = " root=/dev/vda rw";
	if (config->no_defaults)
		length = asprintf(&config->command_line, "%s", parameters);
	else
		length = asprintf(&config->command_line, "%s panic=-1%s%s%s",
				  console, root,
				  *parameters ? " " : "", parameters);
	if (length >= 0)
		return 0;
	config->command_line = NULL;
	return fail_host(ENOMEM, "run: out of memory");
}

int machine_config_complete(struct machine_config *config)
{
	int error = name_check(config->name);

	if (error)
		return error;
	if (!config->kernel_path)
		return fail(EINVAL, "run: no kernel given; name one with --kernel FILE");
	if (config->memory_bytes < MINIMUM_MEMORY_BYTES)
		return fail(EINVAL, "--mem: %" PRIu64 " bytes is too little; give at least %" PRIu64
			    "M", config->memory_bytes, MINIMUM_MEMORY_BYTES / MIB);
	config->memory_bytes = align_down(config->memory_bytes, MEMORY_ALIGNMENT);
	if (!config->no_defaults && !has_device(config, &virtio_rng)) {
		error = machine_config_add_device(config, &virtio_rng, NULL);
		if (error)
			return error;
	}
	if (config->console == MACHINE_CONSOLE_VIRTIO) {
		struct device_config *device;

		error = console_of(config, &device);
		if (error)
			return error;
		device->terminal = true;
		((struct console_options *)device->options)->terminal = true;
	}
	return command_line_build(config);
}
