// SPDX-License-Identifier: MIT
/*
 * The console device with several ports, or as the plain console of one. Bytes
 * are numbered in each direction of each port: none is lost, doubled or out of
 * order, unless a console's host has stalled for longer than its guest can wait.
 * What the driver is told of ports is what a model of the control queues says,
 * each once, and nothing that it has not made itself ready for.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/device.h"
#include "virtio/console.h"
#include "virtio/console_device.h"

#define PORTS 3
#define URGENT 0xff /* what comes by the emergency write; no numbered byte has that value */
#define SLOT_BYTES 4096
#define NUMBERS_PERIOD (256 * 251)
#define NUMBERS_APART 9973 /* the first bytes of two directions of ports */

enum { RECEIVE, TRANSMIT, KINDS };
enum { TOLD_ADD = 1, TOLD_CONSOLE = 2, TOLD_NAME = 4, TOLD_OPEN = 8 };

struct port {
	int host_fd, device_fd;
	struct stream *stream;
	struct guest_queue *queues[KINDS];
	/* Bytes: of the host, and of those the driver has got. */
	uint64_t typed, received;
	/* Bytes: made available, of chains that came back, and at the host. */
	uint64_t published, added, accepted, arrived;
	bool unsure; /* some may have been dropped */
	/* The control queues. */
	bool was_added, ready, opened;
	unsigned untold;
};

static struct {
	struct fuzz_device device;
	struct port ports[PORTS];
	struct console_options options;
	struct guest_queue *control[KINDS];
	struct virtio_console_control messages[GUEST_HEADS_MAX]; /* added, not published */
	unsigned message_count;
	unsigned urgent; /* bytes under way */
	unsigned opening; /* the port that is being opened */
	bool multiport;
} box;

/* What goes over the ports, in each direction from a place of its own on, again and again. */
static uint8_t numbers[NUMBERS_PERIOD + SLOT_BYTES];

/* ---- The host: sockets instead of files, so that both ends are ours ---- */

int __wrap_stream_peer_open(struct stream *stream, int *in_fd, int *out_fd);

int __wrap_stream_peer_open(struct stream *stream, int *in_fd, int *out_fd)
{
	struct port *port = &box.ports[box.opening++];
	const int room = 2048; /* the kernel makes it a little more */
	int ends[2];

	fuzz_check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends));
	for (unsigned i = 0; i < 2; i++)
		fuzz_check(!setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)));
	port->host_fd = ends[0];
	*in_fd = *out_fd = port->device_fd = ends[1];
	port->stream = stream;
	return 0;
}

/* Bytes of a direction of a port from `position` on, up to SLOT_BYTES of them. */
static const uint8_t *numbered(const struct port *port, unsigned kind, uint64_t position)
{
	unsigned id = (unsigned)(port - box.ports);

	return &numbers[(position + (id * KINDS + kind) * NUMBERS_APART) % NUMBERS_PERIOD];
}

static void host_types(struct port *port, unsigned bytes)
{
	ssize_t done = write(port->host_fd, numbered(port, RECEIVE, port->typed), bytes);

	fuzz_check(done >= 0 || errno == EAGAIN);
	port->typed += done > 0 ? (uint64_t)done : 0;
}

static void host_gets(struct port *port, uint8_t byte)
{
	if (byte == URGENT) {
		fuzz_check(port == box.ports && box.urgent);
		box.urgent--;
	} else if (!port->unsure) {
		fuzz_check(port->arrived < port->published);
		fuzz_check(byte == *numbered(port, TRANSMIT, port->arrived));
		port->arrived++;
	}
}

/* Whether there was anything. */
static bool host_reads(struct port *port, unsigned most)
{
	uint8_t data[2048];
	ssize_t done = read(port->host_fd, data, min_u64(most, sizeof(data)));

	fuzz_check(done > 0 || errno == EAGAIN);
	for (ssize_t i = 0; i < done; i++)
		host_gets(port, data[i]);
	return done > 0;
}

/* Until nothing more comes. Nothing is held. */
static void host_reads_all(struct port *port)
{
	while (host_reads(port, UINT32_MAX))
		fuzz_device_run(&box.device);
}

/* ---- Bytes of a port: the driver ---- */

static void transmit(struct fuzz_input *input, struct port *port, unsigned bytes)
{
	const uint8_t *data = numbered(port, TRANSMIT, port->added);

	if (fuzz_chain_add(port->queues[TRANSMIT], input, data, bytes, bytes % 7 == 1) >= 0)
		port->added += bytes;
}

static void publish(struct port *port, unsigned kind)
{
	if (kind == TRANSMIT)
		port->published = port->added;
	fuzz_queue_publish(port->queues[kind]);
}

static void take_received(struct port *port)
{
	uint8_t data[SLOT_BYTES];
	struct guest_chain *chain;
	uint32_t bytes;

	while ((chain = guest_queue_take(port->queues[RECEIVE], &bytes))) {
		fuzz_check(bytes <= port->typed - port->received);
		fuzz_check(!bytes || !box.multiport || port->opened);
		fuzz_chain_load(&box.device.guest, chain, 0, data, bytes);
		fuzz_check(!memcmp(data, numbered(port, RECEIVE, port->received), bytes));
		port->received += bytes;
	}
}

static void take_transmitted(struct port *port)
{
	struct guest_chain *chain;
	uint32_t bytes;

	while ((chain = guest_queue_take(port->queues[TRANSMIT], &bytes))) {
		fuzz_check(!bytes);
		port->accepted += guest_chain_bytes(chain, false);
	}
}

static void take(struct fuzz_input *input, struct port *port, unsigned kind)
{
	uint8_t choice = fuzz_u8(input);

	if (kind == RECEIVE)
		take_received(port);
	else
		take_transmitted(port);
	guest_queue_ask(port->queues[kind], choice % 8, choice & 8);
}

/* More than the device buffers, if the host does not read. */
static void flood(struct fuzz_input *input, struct port *port)
{
	unsigned bytes = (unsigned)min_u64(port->queues[TRANSMIT]->slot_bytes - 300, SLOT_BYTES);

	for (unsigned left = fuzz_u8(input); left; left--) {
		transmit(input, port, bytes);
		publish(port, TRANSMIT);
		if (left % 4)
			continue;
		fuzz_device_run(&box.device);
		take(input, port, TRANSMIT);
	}
	fuzz_device_run(&box.device);
}

/* ---- Control queues: the driver, and the model of what it is owed ---- */

static void control_add(struct fuzz_input *input)
{
	static const uint16_t events[] = {
		VIRTIO_CONSOLE_DEVICE_READY, VIRTIO_CONSOLE_PORT_READY, VIRTIO_CONSOLE_PORT_OPEN,
		VIRTIO_CONSOLE_PORT_OPEN, VIRTIO_CONSOLE_PORT_READY, VIRTIO_CONSOLE_PORT_NAME, 77,
		VIRTIO_CONSOLE_PORT_ADD,
	};
	uint8_t choice = fuzz_u8(input);
	struct virtio_console_control message = {
		.id = htole32(choice / 8 % (PORTS + 1)),
		.event = htole16(events[choice % 8]),
		.value = htole16(choice < 0xc0),
	};
	unsigned bytes = choice >= 0xf8 ? choice % 8 : sizeof(message);

	if (!bytes || fuzz_chain_add(box.control[TRANSMIT], input, &message, bytes, 0) < 0 ||
	    bytes < sizeof(message))
		return;
	box.messages[box.message_count++] = message;
}

static void owe_ready(struct port *port)
{
	const struct console_port_options *options = &box.options.ports[port - box.ports];

	if (port->ready || !port->was_added)
		return;
	port->ready = true;
	port->untold |= TOLD_OPEN | (options->name ? TOLD_NAME : 0) |
			(options->type == CONSOLE_PORT_CONSOLE ? TOLD_CONSOLE : 0);
}

/* 5.3.6.2: what the device does about it. */
static void owe(const struct virtio_console_control *message)
{
	uint32_t id = le32toh(message->id);
	struct port *port = id < PORTS ? &box.ports[id] : NULL;

	switch (le16toh(message->event)) {
	case VIRTIO_CONSOLE_DEVICE_READY:
		for (unsigned i = 0; i < PORTS && message->value; i++) {
			box.ports[i].untold |= box.ports[i].was_added ? 0 : TOLD_ADD;
			box.ports[i].was_added = true;
		}
		break;
	case VIRTIO_CONSOLE_PORT_READY:
		if (port && message->value)
			owe_ready(port);
		break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		if (port && port->ready)
			port->opened |= message->value; /* once: bytes may come */
		break;
	}
}

static void control_publish(void)
{
	for (unsigned i = 0; i < box.message_count; i++)
		owe(&box.messages[i]);
	box.message_count = 0;
	fuzz_queue_publish(box.control[TRANSMIT]);
}

static unsigned check_message(const struct virtio_console_control *message,
			      const struct port *port, const char *body, size_t body_bytes)
{
	const char *name = box.options.ports[port - box.ports].name;

	switch (le16toh(message->event)) {
	case VIRTIO_CONSOLE_PORT_ADD:
		fuzz_check(!body_bytes);
		return TOLD_ADD;
	case VIRTIO_CONSOLE_CONSOLE_PORT:
		fuzz_check(!body_bytes && message->value == htole16(1));
		return TOLD_CONSOLE;
	case VIRTIO_CONSOLE_PORT_NAME:
		fuzz_check(name && message->value == htole16(1) && body_bytes <= strlen(name));
		fuzz_check(!memcmp(body, name, body_bytes));
		return TOLD_NAME;
	case VIRTIO_CONSOLE_PORT_OPEN:
		fuzz_check(!body_bytes && message->value == htole16(1));
		return TOLD_OPEN;
	default:
		fuzz_failed(__FILE__, __LINE__, "a message that a device sends");
	}
}

static void control_take(struct fuzz_input *input)
{
	struct virtio_console_control message;
	struct guest_chain *chain;
	uint8_t data[64];
	uint32_t bytes;

	while ((chain = guest_queue_take(box.control[RECEIVE], &bytes))) {
		uint64_t room = guest_chain_bytes(chain, true);
		struct port *port;
		unsigned told;

		fuzz_check(bytes ? bytes >= sizeof(message) : room < sizeof(message));
		if (!bytes)
			continue;
		fuzz_check(bytes <= sizeof(data));
		fuzz_chain_load(&box.device.guest, chain, 0, data, bytes);
		memcpy(&message, data, sizeof(message));
		fuzz_check(le32toh(message.id) < PORTS);
		port = &box.ports[le32toh(message.id)];
		told = check_message(&message, port, (char *)data + sizeof(message),
				     bytes - sizeof(message));
		fuzz_check(port->untold & told); /* once each, and in its time */
		port->untold &= ~told;
	}
	while (guest_queue_take(box.control[TRANSMIT], &bytes))
		fuzz_check(!bytes);
	guest_queue_ask(box.control[RECEIVE], fuzz_u8(input) % 8, false);
}

/* Buffers are left, so nothing is left to be told. */
static void check_told(void)
{
	if (!guest_queue_returned(box.control[RECEIVE]))
		for (unsigned i = 0; i < PORTS; i++)
			fuzz_check(!box.ports[i].untold);
}

/* ---- Steps ---- */

static unsigned port_count(void)
{
	return box.multiport ? PORTS : 1;
}

/* The host reads all: what was published has arrived. */
static void settle(struct fuzz_input *input)
{
	played_ring_hold(false);
	if (box.device.paused)
		fuzz_device_pause(&box.device);
	fuzz_device_end_all(&box.device, input);
	if (box.multiport)
		control_publish();
	for (unsigned i = 0; i < port_count(); i++) {
		struct port *port = &box.ports[i];

		publish(port, RECEIVE);
		publish(port, TRANSMIT);
		fuzz_device_run(&box.device);
		host_reads_all(port);
		take(input, port, TRANSMIT);
		take(input, port, RECEIVE);
		fuzz_check(port->accepted == port->published);
		fuzz_check(port->unsure || port->arrived == port->published);
		/* What was typed is there, if the driver has room and has opened the port. */
		fuzz_check(port->received == port->typed || box.multiport ||
			   guest_queue_returned(port->queues[RECEIVE]));
	}
	if (box.multiport) {
		control_take(input);
		check_told();
	}
	guest_audit(&box.device.guest);
}

static void begin(struct fuzz_input *input)
{
	static const struct fuzz_queue queues[] = {
		{ 0, 8, 6 * KIB }, { 1, 8, 16 * KIB }, { 2, 8, 4 * KIB }, { 3, 8, 4 * KIB },
		{ 4, 4, 4 * KIB }, { 5, 4, 8 * KIB }, { 6, 4, 4 * KIB }, { 7, 4, 4 * KIB },
	};
	uint8_t choice = fuzz_u8(input);
	struct guest_queue *guest_queues = box.device.guest.queues;

	box.multiport = !(choice & 1);
	fuzz_device_begin(&box.device, input, BIT64(VIRTIO_CONSOLE_F_EMERG_WRITE) |
			  (box.multiport ? BIT64(VIRTIO_CONSOLE_F_MULTIPORT) : 0), queues,
			  box.multiport ? ARRAY_SIZE(queues) : KINDS);
	for (unsigned i = 0; i < PORTS; i++) {
		struct port *port = &box.ports[i];

		for (unsigned kind = 0; kind < KINDS; kind++)
			port->queues[kind] = &guest_queues[(i ? 2 * i + 2 : 0) + kind];
		port->published = port->added = port->accepted = port->arrived = 0;
		port->unsure = port->was_added = port->ready = port->opened = false;
		port->untold = 0;
	}
	box.control[RECEIVE] = &guest_queues[CONSOLE_QUEUE_CONTROL_RECEIVE];
	box.control[TRANSMIT] = &guest_queues[CONSOLE_QUEUE_CONTROL_TRANSMIT];
	box.message_count = 0;
	played_ring_hold(choice & 2);
}

/* What the device has taken still goes out; nothing that was typed is lost. */
static void reset(struct fuzz_input *input)
{
	for (unsigned i = 0; i < port_count(); i++)
		take_transmitted(&box.ports[i]);
	fuzz_device_reset(&box.device, input);
	played_ring_hold(false);
	for (unsigned i = 0; i < PORTS; i++) {
		struct port *port = &box.ports[i];

		if (i < port_count()) {
			take_received(port);
			take_transmitted(port);
		}
		do
			played_ring_run(&box.device.worker);
		while (host_reads(port, UINT32_MAX));
		fuzz_check(port->unsure || port->arrived >= port->accepted);
	}
}

/* Nothing may be left for the next input. */
static void drain_typed(void)
{
	uint8_t data[512];

	for (unsigned i = 0; i < PORTS; i++) {
		struct port *port = &box.ports[i];

		while (port->received < port->typed) {
			size_t bytes = stream_read(port->stream, data, sizeof(data));

			fuzz_check(!memcmp(data, numbered(port, RECEIVE, port->received), bytes));
			port->received += bytes;
			played_ring_run(&box.device.worker);
		}
		port->received = port->typed = 0;
	}
	box.urgent = 0;
}

/* A console whose host stalls gives up its output, not a CPU of its guest. */
static void let_time_pass(void)
{
	for (unsigned i = 0; i < PORTS; i++)
		if (box.options.ports[i].type == CONSOLE_PORT_CONSOLE &&
		    box.ports[i].arrived < box.ports[i].published)
			box.ports[i].unsure = true;
	played_ring_let_time_pass(true);
	fuzz_device_run(&box.device);
	played_ring_let_time_pass(false);
}

static void end_some(struct fuzz_input *input)
{
	static const int errors[] = { EINTR, EAGAIN };
	static const struct fuzz_ends ends = {
		.most = 4,
		.short_from = 160,
		.block_bytes = 1,
		.errors = errors,
		.error_count = ARRAY_SIZE(errors),
	};

	fuzz_device_end_some(&box.device, input, &ends);
}

static void step_control(struct fuzz_input *input, uint8_t choice)
{
	if (!box.multiport) {
		bool urgent = choice < 7; /* else behind the byte that goes out */

		virtio_config_write(box.device.device,
				    offsetof(struct virtio_console_config, emerg_wr) + !urgent,
				    urgent ? 4 : 1, URGENT);
		box.urgent += urgent;
		fuzz_device_run(&box.device);
		return;
	}
	switch (choice % 4) {
	case 0:
		control_add(input);
		break;
	case 1:
		fuzz_chain_add(box.control[RECEIVE], input, NULL, 0, 1 + fuzz_u8(input) % 24);
		break;
	case 2:
		control_publish();
		fuzz_queue_publish(box.control[RECEIVE]);
		fuzz_device_run(&box.device);
		break;
	default:
		control_take(input);
		if (!box.device.paused)
			check_told();
		break;
	}
}

static void step(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);
	struct port *port = &box.ports[choice / 32 % port_count()];
	unsigned kind = choice >> 7;

	switch (choice & 31) {
	case 0 ... 3:
		transmit(input, port, 1 + (unsigned)fuzz_number(input, 2) % 2048);
		break;
	case 4 ... 6:
		fuzz_chain_add(port->queues[RECEIVE], input, NULL, 0,
			       1 + (unsigned)fuzz_number(input, 2) % 700);
		break;
	case 7 ... 10:
		publish(port, kind);
		fuzz_device_run(&box.device);
		break;
	case 11 ... 12:
		take(input, port, kind);
		break;
	case 13 ... 15:
		host_types(port, 1 + fuzz_u8(input) * 2u);
		fuzz_device_run(&box.device);
		break;
	case 16 ... 17:
		host_reads(port, 1 + (unsigned)fuzz_number(input, 2) % 2048);
		fuzz_device_run(&box.device);
		break;
	case 18 ... 23:
		step_control(input, choice / 32);
		break;
	case 24 ... 25:
		end_some(input);
		break;
	case 26:
		flood(input, port);
		break;
	case 27:
		settle(input);
		break;
	case 28:
		fuzz_device_pause(&box.device);
		break;
	case 29:
		let_time_pass();
		break;
	case 30:
		played_ring_hold(choice & 0x80);
		break;
	default:
		reset(input);
		begin(input);
		break;
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static char names[][8] = { "con", "data.0" };
	static char path[] = "played";

	(void)argc;
	(void)argv;
	for (unsigned i = 0; i < sizeof(numbers); i++)
		numbers[i] = (uint8_t)((i * 3 + i / 256 * 5) % 251);
	box.options.port_count = PORTS;
	for (unsigned i = 0; i < PORTS; i++) {
		box.options.ports[i].path = path;
		box.options.ports[i].name = i < ARRAY_SIZE(names) ? names[i] : NULL;
		box.options.ports[i].type = i ? CONSOLE_PORT_DATA : CONSOLE_PORT_CONSOLE;
	}
	fuzz_device_create(&box.device, &virtio_console, &box.options);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_driver driver = { begin, step, settle, reset };
	struct fuzz_input input = fuzz_input(data, size);

	fuzz_device_play(&driver, &input);
	drain_typed();
	return 0;
}
