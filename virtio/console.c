// SPDX-License-Identifier: MIT
/*
 * The console device (virtio 1.2, 5.3): creation, configuration space, window
 * size, emergency writes. Which ports there are is told by console_control.c,
 * their bytes are moved by console_port.c, all of them on one worker.
 */
#include "virtio/console.h"

#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/console_device.h"

#define CONSOLE_PCI_CLASS 0x0780 /* communication, of no particular kind */
#define CONSOLE_QUEUE_SIZE 64
#define NAME_BYTES_MAX 64

static const struct option_key console_keys[] = {
	{ "terminal", OPTION_FLAG, offsetof(struct console_options, terminal),
	  "the first port is the user's terminal" },
	{ 0 },
};

static const char *const port_types[] = {
	[CONSOLE_PORT_CONSOLE] = "console",
	[CONSOLE_PORT_DATA] = "data",
	NULL,
};

const struct option_key console_port_keys[] = {
	{ "name", OPTION_STRING, offsetof(struct console_port_options, name),
	  "the name that the guest sees" },
	{ "path", OPTION_STRING, offsetof(struct console_port_options, path),
	  "a file or FIFO for output, a device, 'pty', or 'unix:PATH' to listen on",
	  .required = true },
	{ "type", OPTION_CHOICE, offsetof(struct console_port_options, type),
	  "console: hvcN in the guest; data: /dev/virtio-ports/NAME", .choices = port_types },
	{ 0 },
};

/* ---- Registers: vCPU and control threads ---- */

static uint64_t console_features(const struct console *console)
{
	uint16_t columns, rows;
	uint64_t features = BIT64(VIRTIO_CONSOLE_F_EMERG_WRITE);
	const struct terminal *terminal = console->device.deps.terminal;

	if (console->port_count > 1 || console->ports[0].options)
		features |= BIT64(VIRTIO_CONSOLE_F_MULTIPORT);
	if (terminal && terminal_size(terminal, &columns, &rows))
		features |= BIT64(VIRTIO_CONSOLE_F_SIZE);
	return features;
}

/* 5.3.2: control queues, and ports other than the first, come with MULTIPORT only. */
static bool console_has_queue(const struct virtio_device *device, unsigned index)
{
	return index < CONSOLE_QUEUE_CONTROL_RECEIVE ||
	       virtio_has(device, VIRTIO_CONSOLE_F_MULTIPORT);
}

/* 5.3.4: works before the driver is there, and when it no longer is. */
static void console_config_written(struct virtio_device *device, size_t offset, size_t length)
{
	struct console *console = console_of(device);
	size_t urgent = offsetof(struct virtio_console_config, emerg_wr);
	uint8_t byte;

	if (offset > urgent || offset + length <= urgent)
		return;
	pthread_mutex_lock(&device->config_lock);
	byte = device->config[urgent];
	pthread_mutex_unlock(&device->config_lock);
	/* A storm that the worker does not keep up with is cut short. */
	byte_ring_put(&console->urgent, &byte, 1);
	if (!atomic_exchange(&console->urgent_posted, true))
		worker_post(console_worker(console), &console->urgent_task);
}

static void console_reset(struct virtio_device *device)
{
	struct console *console = console_of(device);

	console->resets++;
	pthread_mutex_lock(&device->config_lock);
	console->config.emerg_wr = 0;
	pthread_mutex_unlock(&device->config_lock);
}

/* ---- The worker ---- */

static void urgent_run(struct worker_task *task)
{
	struct console *console = container_of(task, struct console, urgent_task);
	uint8_t bytes[CONSOLE_URGENT_BYTES];
	size_t length, taken;

	console->urgent_posted = false;
	length = byte_ring_take(&console->urgent, bytes, sizeof(bytes));
	taken = stream_write(&console->ports[0].stream, bytes, length);
	console->ports[0].stream.dropped_bytes += length - taken;
}

static void resize_run(struct worker_task *task)
{
	struct console *console = container_of(task, struct console, resize_task);

	console->resize_posted = false;
	console_control_resized(&console->ports[0]);
}

/* NULL: a control queue. */
static struct console_port *port_of(struct console *console, const struct virtqueue *queue)
{
	if (queue->index < CONSOLE_QUEUE_CONTROL_RECEIVE)
		return &console->ports[0];
	if (queue->index <= CONSOLE_QUEUE_CONTROL_TRANSMIT)
		return NULL;
	return &console->ports[queue->index / 2 - 1];
}

static void console_start(struct virtqueue *queue)
{
	struct console *console = console_of(queue->device);
	unsigned resets = console->resets;

	if (resets != console->resets_seen)
		console_control_reset(console);
	console->resets_seen = resets;
}

static void console_kick(struct virtqueue *queue)
{
	struct console *console = console_of(queue->device);
	struct console_port *port = port_of(console, queue);

	if (port)
		console_port_kick(port, queue);
	else
		console_control_kick(console, queue);
}

static void console_stop(struct virtqueue *queue)
{
	struct console_port *port = port_of(console_of(queue->device), queue);

	if (port)
		console_port_stop(port, queue);
}

/* ---- Life: control thread ---- */

static void console_set_size(struct console *console)
{
	struct virtio_console_config size;
	uint16_t columns = 0, rows = 0;

	terminal_size(console->device.deps.terminal, &columns, &rows);
	size.cols = htole16(columns);
	size.rows = htole16(rows);
	virtio_config_update(&console->device, 0, &size,
			     offsetof(struct virtio_console_config, max_nr_ports));
}

static void console_resized(struct terminal *terminal, void *argument)
{
	struct console *console = argument;

	(void)terminal;
	console_set_size(console);
	if (!atomic_exchange(&console->resize_posted, true))
		worker_post(console_worker(console), &console->resize_task);
}

static bool name_is_valid(const char *name)
{
	size_t length = strlen(name);

	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
			return false;
	return length && length <= NAME_BYTES_MAX;
}

static int check_names(const struct console_options *options, const char *device)
{
	for (unsigned i = 0; i < options->port_count; i++) {
		const char *name = options->ports[i].name;

		if (!name)
			continue;
		if (!name_is_valid(name))
			return fail(EINVAL, "%s: port name '%s': write 1 to %u letters, digits, "
				    "'.', '_' or '-'", device, name, NAME_BYTES_MAX);
		for (unsigned j = 0; j < i; j++)
			if (options->ports[j].name && !strcmp(options->ports[j].name, name))
				return fail(EINVAL, "%s: two ports are named '%s'; name one of "
					    "them otherwise", device, name);
	}
	return 0;
}

/* Which ports there are; their streams are opened once the device exists. */
static void lay_out_ports(struct console *console, const struct console_options *options)
{
	unsigned count = 0;

	if (console->device.deps.terminal)
		count++;
	for (unsigned i = 0; i < options->port_count; i++)
		console->ports[count++].options = &options->ports[i];
	console->port_count = count;
	for (unsigned i = 0; i < count; i++) {
		struct console_port *port = &console->ports[i];

		port->console = console;
		port->id = i;
		port->receive = &console->queues[i ? 2 * i + 2 : 0];
		port->transmit = port->receive + 1;
	}
}

static void console_free(struct console *console)
{
	byte_ring_destroy(&console->urgent);
	free(console);
}

static int console_close(struct virtio_device *device, bool wait)
{
	struct console *console = console_of(device);
	int error = 0;

	if (device->deps.terminal)
		device->deps.terminal->resized = NULL;
	for (unsigned i = 0; i < console->port_count; i++)
		console_port_close_begin(&console->ports[i]);
	for (unsigned i = 0; wait && i < console->port_count; i++)
		if (console_port_close(&console->ports[i]))
			error = -ETIMEDOUT;
	return error;
}

static void console_destroy(struct virtio_device *device)
{
	struct console *console = console_of(device);

	if (console_close(device, true))
		return; /* what the host still writes stays where it is */
	virtio_device_destroy(device);
	console_free(console);
}

static int init_device(struct console *console, const struct virtio_deps *deps)
{
	static const struct virtio_console_config writable = { .emerg_wr = UINT32_MAX };
	uint64_t features = console_features(console);
	bool multiport = features & BIT64(VIRTIO_CONSOLE_F_MULTIPORT);
	struct virtio_device_config config = {
		.type = &virtio_console,
		.deps = deps,
		.features = features,
		.config = &console->config,
		.config_size = sizeof(console->config),
		.config_writable = &writable,
		.queues = console->queues,
		.queue_count = multiport ? 2 * console->port_count + 2 : 2,
	};
	int error = virtio_device_init(&console->device, &config);

	if (error)
		return error;
	if (multiport)
		console->config.max_nr_ports = htole32(console->port_count);
	for (unsigned i = 0; !error && i < config.queue_count; i++)
		error = virtqueue_init(&console->queues[i], &console->device, (uint16_t)i,
				       CONSOLE_QUEUE_SIZE, deps->workers[0]);
	if (error)
		virtio_device_destroy(&console->device);
	return error;
}

static int open_ports(struct console *console)
{
	unsigned wanted = console->port_count;
	int error = 0;

	/* Closing stops at the first that is not open. */
	console->port_count = 0;
	while (!error && console->port_count < wanted) {
		error = console_port_open(&console->ports[console->port_count]);
		if (!error)
			console->port_count++;
	}
	return error;
}

static int console_create(const void *text, const struct virtio_deps *deps,
			  struct virtio_device **device)
{
	const struct console_options *options = text;
	struct console *console;
	int error = check_names(options, deps->name);

	if (error)
		return error;
	if (!deps->terminal && !options->port_count)
		return fail(EINVAL, "%s: has no port; give it the terminal or a port with a path",
			    deps->name);
	console = calloc(1, sizeof(*console));
	if (!console)
		return fail_host(ENOMEM, "%s: out of memory", deps->name);
	console->urgent_task.run = urgent_run;
	console->resize_task.run = resize_run;
	console->device.deps = *deps;
	lay_out_ports(console, options);
	error = byte_ring_init(&console->urgent, CONSOLE_URGENT_BYTES);
	if (error)
		error = fail_host(-error, "%s: out of memory", deps->name);
	else
		error = init_device(console, deps);
	if (error) {
		console_free(console);
		return error;
	}
	error = open_ports(console);
	if (error) {
		console_destroy(&console->device);
		return error;
	}
	if (console->device.offered & BIT64(VIRTIO_CONSOLE_F_SIZE)) {
		console_set_size(console);
		deps->terminal->resized_argument = console;
		deps->terminal->resized = console_resized;
	}
	*device = &console->device;
	return 0;
}

const struct virtio_type virtio_console = {
	.name = "console",
	.option = "console",
	.option_help = "a console for the guest, and ports",
	.keys = console_keys,
	.options_size = sizeof(struct console_options),

	.id = VIRTIO_ID_CONSOLE,
	.pci_class = CONSOLE_PCI_CLASS,

	.create = console_create,
	.close = console_close,
	.destroy = console_destroy,

	.has_queue = console_has_queue,
	.config_written = console_config_written,
	.reset = console_reset,

	.start = console_start,
	.kick = console_kick,
	.stop = console_stop,
};
