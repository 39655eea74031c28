// SPDX-License-Identifier: MIT
/*
 * A port's bytes, between its two queues and its stream. Worker thread, but for
 * opening and closing.
 *
 * Output is copied into the stream's buffer and its chain is used at once: a
 * Linux console spins, interrupts off, until its chain comes back, so it must
 * not wait for a terminal to be written. When the buffer is full the chain is
 * kept back; a guest whose host takes nothing for STALL_NS any more then loses
 * output instead of a CPU. A data port's guest sleeps meanwhile, so that one
 * waits for as long as it takes.
 */
#include "virtio/console_device.h"

#include <errno.h>
#include <stdio.h>

#define STALL_NS UINT64_C(1000000000)
#define FLUSH_NS UINT64_C(1000000000)
#define BATCH_PARTS 128

/* ---- Output ---- */

static void transmit_bytes(struct console_port *port, uint64_t length)
{
	struct chain *chain = &port->chain;

	while (length) {
		size_t step = (size_t)min_u64(chain->readable->iov_len, length);
		size_t taken = port->dropping ? 0 : stream_write(&port->stream,
								 chain->readable->iov_base, step);

		boot_trace_output(port->console->device.deps.trace, BOOT_CONSOLE, &port->boot_text,
				  chain->readable->iov_base, step);
		port->stream.dropped_bytes += step - taken;
		chain_skip_readable(chain, step);
		length -= step;
	}
}

static void stall_begin(struct console_port *port)
{
	if (!console_port_is_console(port) || port->stall.wait)
		return;
	port->stalled_at_bytes = port->stream.written_bytes;
	/* Without a timer the guest waits, as a data port's does. */
	worker_timer_start(console_worker(port->console), &port->stall, STALL_NS);
}

static void stall_expired(struct worker_timer *timer)
{
	struct console_port *port = container_of(timer, struct console_port, stall);

	if (!port->holding)
		return;
	if (port->stalled_at_bytes != port->stream.written_bytes) {
		stall_begin(port); /* slow, not stalled */
		return;
	}
	port->dropping = true;
	log_limited(&port->console->device.log_limit, "%s: the host does not read; output is "
		    "dropped until it does", port->label);
	virtqueue_again(port->transmit);
}

/* Of what nobody takes only the end is kept, and a chain may have 4 GiB: others wait meanwhile. */
static void skip_unread(struct console_port *port)
{
	uint64_t kept = min_u64(port->chain.readable_bytes, STREAM_OUTPUT_BYTES);
	uint64_t skipped = port->chain.readable_bytes - kept;

	if (!port->dropping && !stream_is_unread(&port->stream))
		return;
	chain_skip_readable(&port->chain, skipped);
	port->stream.dropped_bytes += port->dropping ? skipped : 0;
}

/* False: the rest of the chain has to wait. */
static bool transmit_chain(struct console_port *port)
{
	skip_unread(port);
	while (port->chain.readable_bytes) {
		uint64_t step = min_u64(port->chain.readable_bytes, STREAM_OUTPUT_BYTES);

		if (!port->dropping && !stream_has_room(&port->stream, (size_t)step)) {
			stall_begin(port);
			return false;
		}
		transmit_bytes(port, step);
	}
	virtqueue_push(port->transmit, port->chain.head, 0);
	return true;
}

/* Chains that go to the stream together; as much as it can buffer if the host takes none. */
struct transmit_batch {
	uint16_t heads[VIRTQUEUE_PASS_CHAINS];
	struct iovec parts[BATCH_PARTS];
	unsigned count, part_count;
	size_t bytes;
};

static void batch_end(struct console_port *port, struct transmit_batch *batch)
{
	struct boot_trace *trace = port->console->device.deps.trace;
	size_t taken;

	if (!batch->count)
		return;
	taken = stream_write_parts(&port->stream, batch->parts, batch->part_count);
	for (unsigned i = 0; i < batch->part_count; i++)
		boot_trace_output(trace, BOOT_CONSOLE, &port->boot_text,
				  batch->parts[i].iov_base, batch->parts[i].iov_len);
	port->stream.dropped_bytes += batch->bytes - taken;
	for (unsigned i = 0; i < batch->count; i++)
		virtqueue_push(port->transmit, batch->heads[i], 0);
	batch->count = batch->part_count = 0;
	batch->bytes = 0;
}

static bool batch_add(struct console_port *port, struct transmit_batch *batch)
{
	const struct chain *chain = &port->chain;

	if (port->dropping || batch->count == ARRAY_SIZE(batch->heads) ||
	    chain->readable_count > BATCH_PARTS - batch->part_count ||
	    batch->bytes + chain->readable_bytes > stream_room(&port->stream))
		return false;
	for (unsigned i = 0; i < chain->readable_count; i++)
		batch->parts[batch->part_count++] = chain->readable[i];
	batch->heads[batch->count++] = chain->head;
	batch->bytes += chain->readable_bytes;
	return true;
}

/* False: it has to go by itself, and the batch has gone before it. */
static bool batch_take(struct console_port *port, struct transmit_batch *batch)
{
	if (batch_add(port, batch))
		return true;
	batch_end(port, batch);
	return batch_add(port, batch);
}

static void transmit(struct console_port *port)
{
	struct transmit_batch batch;

	batch.count = batch.part_count = 0;
	batch.bytes = 0;
	while (port->holding || virtqueue_pop(port->transmit, &port->chain)) {
		if (!port->holding && batch_take(port, &batch))
			continue;
		if (!port->holding)
			port->chain_bytes = port->chain.readable_bytes;
		port->holding = !transmit_chain(port);
		if (port->holding)
			return;
	}
	batch_end(port, &batch);
}

static void port_room(struct stream *stream)
{
	struct console_port *port = container_of(stream, struct console_port, stream);

	port->dropping = false;
	worker_timer_stop(console_worker(port->console), &port->stall);
	virtqueue_again(port->transmit);
}

/* ---- Input ---- */

/* A buffer may come back with less than it holds: one that is all parts does. */
static uint32_t receive_bytes(struct console_port *port, struct chain *chain)
{
	uint32_t written = 0;
	size_t step = 1;

	for (unsigned i = 0; i < CHAIN_PARTS_SHARED && step && chain->writable_bytes; i++) {
		step = stream_read(&port->stream, chain->writable->iov_base,
				   chain->writable->iov_len);
		chain_skip_writable(chain, step);
		written += (uint32_t)step;
	}
	return written;
}

/* A driver drops what comes before it has opened the port; it then says so. */
static bool receives(const struct console_port *port)
{
	return !console_is_multiport(port->console) || port->guest_open;
}

static void receive(struct console_port *port)
{
	struct chain chain;

	while (stream_input_bytes(&port->stream) && receives(port) &&
	       virtqueue_pop(port->receive, &chain)) {
		virtqueue_spend(port->receive, CHAIN_PARTS_SHARED * chain.writable_count);
		virtqueue_push(port->receive, chain.head, receive_bytes(port, &chain));
	}
}

static void port_input(struct stream *stream)
{
	virtqueue_again(container_of(stream, struct console_port, stream)->receive);
}

static void port_connected(struct stream *stream)
{
	struct console_port *port = container_of(stream, struct console_port, stream);

	console_control_connected(port);
	port_room(stream); /* of one that has gone: the oldest output makes room */
}

/* ---- For console.c ---- */

void console_port_kick(struct console_port *port, struct virtqueue *queue)
{
	if (queue == port->receive)
		receive(port);
	else
		transmit(port);
}

void console_port_stop(struct console_port *port, struct virtqueue *queue)
{
	if (queue == port->receive)
		return;
	worker_timer_stop(console_worker(port->console), &port->stall);
	port->dropping = false;
	if (!port->holding)
		return;
	port->holding = false;
	if (port->chain.readable_bytes == port->chain_bytes) {
		virtqueue_unpop(queue, port->chain.head);
		return;
	}
	/* Only a chain larger than the buffer is ever taken in parts. */
	port->stream.dropped_bytes += port->chain.readable_bytes;
	virtqueue_push(queue, port->chain.head, 0);
}

static const struct stream_ops port_stream = {
	.input = port_input,
	.room = port_room,
	.connected = port_connected,
};

static void port_label(struct console_port *port)
{
	const char *device = port->console->device.deps.name;

	if (!port->options)
		snprintf(port->label, sizeof(port->label), "%s", device);
	else if (port->options->name)
		snprintf(port->label, sizeof(port->label), "%s: port %s", device,
			 port->options->name);
	else
		snprintf(port->label, sizeof(port->label), "%s: port %u", device, port->id);
}

int console_port_open(struct console_port *port)
{
	struct stream_config config = {
		.name = port->label,
		.ops = &port_stream,
		.worker = console_worker(port->console),
		.terminal = port->options ? NULL : port->console->device.deps.terminal,
		.path = port->options ? port->options->path : NULL,
	};

	port_label(port);
	port->stall.expired = stall_expired;
	return stream_open(&port->stream, &config);
}

void console_port_close_begin(struct console_port *port)
{
	stream_close_begin(&port->stream, FLUSH_NS);
}

int console_port_close(struct console_port *port)
{
	return stream_close(&port->stream, FLUSH_NS);
}
