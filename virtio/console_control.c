// SPDX-License-Identifier: MIT
/*
 * The control queues of a multiport console (virtio 1.2, 5.3.6.2). What the
 * driver has not been told yet is a bit per port and kind, and the message is
 * made when the driver offers a buffer for it: so however fast the guest asks,
 * or clients come and go, nothing piles up. Worker thread.
 */
#include "virtio/console_device.h"

#include <errno.h>
#include <string.h>

/* In the order in which they are told. */
enum console_event {
	EVENT_ADD,
	EVENT_CONSOLE,
	EVENT_NAME,
	EVENT_RESIZE,
	EVENT_OPEN,
	EVENTS,
};

/*
 * As 5.3.6.2 has it. (Linux read rows first up to 6.14 and may find columns
 * and rows exchanged.)
 */
struct resize_message {
	uint16_t cols, rows;
};

_Static_assert(sizeof(struct virtio_console_control) == 8, "the wire's layout");
_Static_assert(sizeof(struct resize_message) == 4, "the wire's layout");

static void tell(struct console_port *port, enum console_event event)
{
	port->untold |= 1u << event;
	virtqueue_again(&port->console->queues[CONSOLE_QUEUE_CONTROL_RECEIVE]);
}

/* ---- To the driver ---- */

static const char *port_name(const struct console_port *port)
{
	return port->options ? port->options->name : NULL;
}

static struct terminal *port_terminal(const struct console_port *port)
{
	return port->options ? NULL : port->console->device.deps.terminal;
}

/* What follows the header; returns its length. */
static size_t message_body(const struct console_port *port, enum console_event event,
			   struct virtio_console_control *header, const void **body,
			   struct resize_message *resize)
{
	switch (event) {
	case EVENT_ADD:
		header->event = htole16(VIRTIO_CONSOLE_PORT_ADD);
		return 0;
	case EVENT_CONSOLE:
		header->event = htole16(VIRTIO_CONSOLE_CONSOLE_PORT);
		header->value = htole16(1);
		return 0;
	case EVENT_NAME:
		header->event = htole16(VIRTIO_CONSOLE_PORT_NAME);
		header->value = htole16(1);
		*body = port->options->name; /* told only of a port that has one */
		return strlen(port->options->name);
	case EVENT_RESIZE:
		header->event = htole16(VIRTIO_CONSOLE_RESIZE);
		terminal_size(port_terminal(port), &resize->cols, &resize->rows);
		resize->cols = htole16(resize->cols);
		resize->rows = htole16(resize->rows);
		*body = resize;
		return sizeof(*resize);
	default:
		header->event = htole16(VIRTIO_CONSOLE_PORT_OPEN);
		header->value = htole16(port->stream.connected);
		return 0;
	}
}

/* Into a buffer that is too short for the body goes as much of it as fits. */
static bool send_message(struct console_port *port, enum console_event event)
{
	struct virtqueue *queue = &port->console->queues[CONSOLE_QUEUE_CONTROL_RECEIVE];
	struct virtio_console_control header = { .id = htole32(port->id) };
	struct resize_message resize = { 0 };
	const void *body = NULL;
	struct chain chain;
	size_t length;
	bool sent;

	if (!virtqueue_pop(queue, &chain))
		return false;
	length = message_body(port, event, &header, &body, &resize);
	sent = chain_put(&chain, &header, sizeof(header));
	length = (size_t)min_u64(length, chain.writable_bytes);
	if (sent && length)
		chain_put(&chain, body, length);
	virtqueue_push(queue, chain.head, sent ? (uint32_t)(sizeof(header) + length) : 0);
	if (sent)
		port->untold &= ~(1u << event);
	return true;
}

static void send_messages(struct console *console)
{
	for (unsigned i = 0; i < console->port_count; i++) {
		struct console_port *port = &console->ports[i];

		while (port->untold)
			if (!send_message(port, (enum console_event)__builtin_ctz(port->untold)))
				return;
	}
}

/* ---- From the driver ---- */

static void device_ready(struct console *console)
{
	for (unsigned i = 0; i < console->port_count; i++) {
		struct console_port *port = &console->ports[i];

		if (!port->added)
			tell(port, EVENT_ADD);
		port->added = true;
	}
}

static void port_ready(struct console_port *port)
{
	if (port->ready)
		return;
	port->ready = true;
	if (console_port_is_console(port))
		tell(port, EVENT_CONSOLE);
	if (port_name(port))
		tell(port, EVENT_NAME);
	if (port_terminal(port) && virtio_has(&port->console->device, VIRTIO_CONSOLE_F_SIZE))
		tell(port, EVENT_RESIZE);
	if (port->stream.connected)
		tell(port, EVENT_OPEN);
}

/* What makes no sense, or comes before its turn, is ignored. */
static void handle(struct console *console, const struct virtio_console_control *message)
{
	uint32_t id = le32toh(message->id);
	bool value = message->value;
	struct console_port *port = id < console->port_count ? &console->ports[id] : NULL;

	switch (le16toh(message->event)) {
	case VIRTIO_CONSOLE_DEVICE_READY:
		if (value)
			device_ready(console);
		break;
	case VIRTIO_CONSOLE_PORT_READY:
		if (port && port->added && value)
			port_ready(port);
		break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		if (!port || !port->ready)
			break;
		port->guest_open = value;
		virtqueue_again(port->receive);
		break;
	default:
		break;
	}
}

static void receive_messages(struct console *console, struct virtqueue *queue)
{
	struct virtio_console_control message;
	struct chain chain;

	while (virtqueue_pop(queue, &chain)) {
		if (chain_pull(&chain, &message, sizeof(message)))
			handle(console, &message);
		virtqueue_push(queue, chain.head, 0);
	}
}

/* ---- For the rest of the device ---- */

void console_control_reset(struct console *console)
{
	for (unsigned i = 0; i < console->port_count; i++) {
		console->ports[i].added = false;
		console->ports[i].ready = false;
		console->ports[i].guest_open = false;
		console->ports[i].untold = 0;
	}
}

void console_control_kick(struct console *console, struct virtqueue *queue)
{
	if (queue->index == CONSOLE_QUEUE_CONTROL_RECEIVE)
		send_messages(console);
	else
		receive_messages(console, queue);
}

void console_control_connected(struct console_port *port)
{
	if (port->ready)
		tell(port, EVENT_OPEN);
}

void console_control_resized(struct console_port *port)
{
	if (port->ready)
		tell(port, EVENT_RESIZE);
}
