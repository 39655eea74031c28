// SPDX-License-Identifier: MIT
/*
 * The 16550A: registers, FIFOs and interrupt conditions, under serial.lock, on
 * vCPU threads and (when input comes or output moves) on the worker. The host
 * side is a stream; baud rate, parity and line breaks have no meaning here.
 *
 * Input comes in bursts of one FIFO. The next burst follows once the driver has
 * seen the end of the last, not sooner: a driver that reads until the FIFO is
 * empty would otherwise never leave its interrupt handler, however much it is
 * sent. And the other end sends only to a driver that listens, so that what is
 * piped in before the guest has booted is not lost to its driver's set-up.
 */
#include "hw/serial.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/stream.h"

#define FIFO_BYTES 16
#define FLUSH_NS UINT64_C(1000000000)
/* So many looks at the line status in a row are a driver that polls for input. */
#define POLLS_TO_LISTEN 16

#define MCR_USED (UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT1 | UART_MCR_OUT2 | UART_MCR_LOOP)
#define MSR_CONNECTED (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)
#define MSR_LINES (UART_MSR_DCD | UART_MSR_RI | UART_MSR_DSR | UART_MSR_CTS)
/* In IIR, beside the identification; linux/serial_reg.h has no name for it. */
#define IIR_FIFO_ENABLED 0xc0

struct serial {
	struct region region;
	struct serial_config config;
	struct stream stream; /* if there is a terminal */
	pthread_mutex_t lock; /* all below */

	uint8_t ier, lcr, mcr, msr, scr, dll, dlm;
	uint8_t overrun;      /* UART_LSR_OE or 0 */
	bool fifo_enabled;
	uint8_t trigger;      /* bytes in the FIFO that make a full interrupt */
	uint8_t fifo[FIFO_BYTES];
	uint8_t fifo_first, fifo_count;
	bool transmitted;     /* THRE's interrupt is pending */
	bool raised;          /* the interrupt line */
	struct boot_text boot_text;
	bool dropping;        /* the last byte found no room */

	bool reads_status;    /* has looked for input */
	bool uses_rts;        /* has set it once: from then on it decides */
	bool burst_due;       /* the FIFO was read empty and there is more */
	bool end_seen;        /* and LSR has said that it is empty */
	unsigned polls;       /* LSR reads in a row */
	struct log_limit log_limit;
};

static struct serial *serial_of(struct region *region)
{
	return container_of(region, struct serial, region);
}

/* ---- Interrupts ---- */

static bool transmitter_ready(struct serial *serial)
{
	return !serial->config.terminal || (serial->mcr & UART_MCR_LOOP) ||
	       stream_has_room(&serial->stream, FIFO_BYTES);
}

/*
 * A FIFO below its trigger level that gets no more is a time-out after four
 * characters' time; a burst comes at once, so that time is over when it ends.
 */
static uint8_t interrupt_id(const struct serial *serial)
{
	if ((serial->ier & UART_IER_RLSI) && serial->overrun)
		return UART_IIR_RLSI;
	if ((serial->ier & UART_IER_RDI) && serial->fifo_count)
		return serial->fifo_count >= serial->trigger ? UART_IIR_RDI : UART_IIR_RX_TIMEOUT;
	if ((serial->ier & UART_IER_THRI) && serial->transmitted)
		return UART_IIR_THRI;
	if ((serial->ier & UART_IER_MSI) && (serial->msr & UART_MSR_ANY_DELTA))
		return UART_IIR_MSI;
	return UART_IIR_NO_INT;
}

static void interrupt_update(struct serial *serial)
{
	bool raised = interrupt_id(serial) != UART_IIR_NO_INT;

	if (raised && !serial->raised)
		event_fd_signal(serial->config.irq_event_fd);
	serial->raised = raised;
}

/* The line falls for a moment: for who leaves with bytes still to be read. */
static void interrupt_repeat(struct serial *serial)
{
	serial->raised = false;
	interrupt_update(serial);
}

/* ---- Receiver ---- */

static void fifo_clear(struct serial *serial)
{
	serial->fifo_first = 0;
	serial->fifo_count = 0;
}

static void fifo_put(struct serial *serial, uint8_t byte)
{
	uint8_t size = serial->fifo_enabled ? FIFO_BYTES : 1;

	if (serial->fifo_count == size) {
		serial->overrun = UART_LSR_OE;
		return;
	}
	serial->fifo[(serial->fifo_first + serial->fifo_count++) % FIFO_BYTES] = byte;
}

static bool input_waits(const struct serial *serial)
{
	return serial->config.terminal && !serial->fifo_count &&
	       stream_input_bytes(&serial->stream);
}

/* RTS is the handshake line; drivers that leave it alone show their interest otherwise. */
static bool driver_listens(const struct serial *serial)
{
	if (serial->mcr & UART_MCR_LOOP)
		return false;
	if (serial->uses_rts)
		return serial->mcr & UART_MCR_RTS;
	return serial->reads_status;
}

static void burst_begin(struct serial *serial)
{
	uint8_t bytes[FIFO_BYTES];
	size_t count;

	if (!input_waits(serial) || !driver_listens(serial))
		return;
	serial->burst_due = false;
	serial->end_seen = false;
	count = stream_read(&serial->stream, bytes, serial->fifo_enabled ? FIFO_BYTES : 1);
	for (size_t i = 0; i < count; i++)
		fifo_put(serial, bytes[i]);
	interrupt_update(serial);
}

static uint8_t receive_read(struct serial *serial)
{
	uint8_t byte;

	burst_begin(serial); /* the driver is sure that there is more */
	if (!serial->fifo_count)
		return 0;
	byte = serial->fifo[serial->fifo_first];
	serial->fifo_first = (serial->fifo_first + 1) % FIFO_BYTES;
	serial->fifo_count--;
	if (!serial->fifo_enabled)
		burst_begin(serial); /* without a FIFO each byte is a burst */
	interrupt_repeat(serial);
	if (input_waits(serial) && driver_listens(serial)) {
		serial->burst_due = true;
		serial->end_seen = false;
		if (serial->ier & UART_IER_RDI) /* for who leaves now and asks no more */
			event_fd_signal(serial->config.irq_event_fd);
	}
	return byte;
}

/* ---- Transmitter ---- */

static void transmit_out(struct serial *serial, uint8_t byte)
{
	bool dropped = !stream_write(&serial->stream, &byte, 1);

	if (dropped) {
		serial->stream.dropped_bytes++;
		if (!serial->dropping)
			log_limited(&serial->log_limit, "serial: the host does not read, and the "
				    "guest does not wait; output is dropped");
	}
	serial->dropping = dropped;
}

static void transmit_write(struct serial *serial, uint8_t byte)
{
	if (serial->mcr & UART_MCR_LOOP) {
		fifo_put(serial, byte);
	} else {
		boot_trace_output(serial->config.trace, BOOT_SERIAL, &serial->boot_text, &byte, 1);
		if (serial->config.terminal)
			transmit_out(serial, byte);
	}
	serial->transmitted = transmitter_ready(serial);
	interrupt_update(serial);
}

/* ---- Registers ---- */

static uint8_t interrupt_read(struct serial *serial)
{
	uint8_t id = interrupt_id(serial);

	if (id == UART_IIR_THRI)
		serial->transmitted = false;
	serial->reads_status |= serial->ier & UART_IER_RDI;
	interrupt_update(serial);
	if (id == UART_IIR_NO_INT)
		burst_begin(serial);
	return id | (serial->fifo_enabled ? IIR_FIFO_ENABLED : 0);
}

static uint8_t line_status_read(struct serial *serial)
{
	uint8_t status = serial->overrun;

	if ((serial->ier & UART_IER_RDI) || ++serial->polls >= POLLS_TO_LISTEN)
		serial->reads_status = true;
	if (!serial->burst_due || serial->end_seen)
		burst_begin(serial);
	serial->end_seen = !serial->fifo_count;
	if (serial->fifo_count)
		status |= UART_LSR_DR;
	if (transmitter_ready(serial))
		status |= UART_LSR_THRE | UART_LSR_TEMT;
	serial->overrun = 0;
	interrupt_update(serial);
	return status;
}

static uint8_t modem_lines(const struct serial *serial)
{
	uint8_t mcr = serial->mcr;

	if (!(mcr & UART_MCR_LOOP))
		return serial->config.terminal ? MSR_CONNECTED : 0;
	return (mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) | (mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
	       (mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) | (mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0);
}

static void modem_update(struct serial *serial)
{
	uint8_t lines = modem_lines(serial), changed = lines ^ serial->msr;
	uint8_t delta = serial->msr & UART_MSR_ANY_DELTA;

	if (changed & UART_MSR_CTS)
		delta |= UART_MSR_DCTS;
	if (changed & UART_MSR_DSR)
		delta |= UART_MSR_DDSR;
	if (changed & UART_MSR_DCD)
		delta |= UART_MSR_DDCD;
	if ((changed & UART_MSR_RI) && !(lines & UART_MSR_RI))
		delta |= UART_MSR_TERI;
	serial->msr = lines | delta;
}

static uint8_t modem_status_read(struct serial *serial)
{
	uint8_t status = serial->msr;

	serial->msr &= MSR_LINES;
	interrupt_update(serial);
	return status;
}

static void modem_control_write(struct serial *serial, uint8_t value)
{
	bool listened = driver_listens(serial);

	serial->mcr = value & MCR_USED;
	if ((value & (UART_MCR_RTS | UART_MCR_LOOP)) == UART_MCR_RTS)
		serial->uses_rts = true;
	modem_update(serial);
	if (!listened)
		burst_begin(serial);
	interrupt_update(serial);
}

static void interrupt_enable_write(struct serial *serial, uint8_t value)
{
	uint8_t fresh = value & ~serial->ier;

	serial->ier = value & (UART_IER_RDI | UART_IER_THRI | UART_IER_RLSI | UART_IER_MSI);
	if (fresh & UART_IER_THRI)
		serial->transmitted = transmitter_ready(serial);
	if (fresh & UART_IER_RDI)
		burst_begin(serial);
	interrupt_update(serial);
}

/* What is being transmitted is on its way: only the receiver has something to clear. */
static void fifo_control_write(struct serial *serial, uint8_t value)
{
	static const uint8_t triggers[] = { 1, 4, 8, 14 };
	bool enable = value & UART_FCR_ENABLE_FIFO;

	bool clear = enable != serial->fifo_enabled || (enable && (value & UART_FCR_CLEAR_RCVR));

	serial->fifo_enabled = enable;
	serial->trigger = enable ? triggers[(value & UART_FCR_TRIGGER_MASK) >> 6] : 1;
	if (clear) {
		fifo_clear(serial);
		burst_begin(serial);
	}
	interrupt_update(serial);
}

static uint8_t register_read(struct serial *serial, unsigned offset)
{
	bool divisor = serial->lcr & UART_LCR_DLAB;

	if (offset != UART_LSR)
		serial->polls = 0;
	switch (offset) {
	case UART_RX:
		return divisor ? serial->dll : receive_read(serial);
	case UART_IER:
		return divisor ? serial->dlm : serial->ier;
	case UART_IIR:
		return interrupt_read(serial);
	case UART_LCR:
		return serial->lcr;
	case UART_MCR:
		return serial->mcr;
	case UART_LSR:
		return line_status_read(serial);
	case UART_MSR:
		return modem_status_read(serial);
	default:
		return serial->scr;
	}
}

static void register_write(struct serial *serial, unsigned offset, uint8_t value)
{
	bool divisor = serial->lcr & UART_LCR_DLAB;

	serial->polls = 0;
	switch (offset) {
	case UART_TX:
		if (divisor)
			serial->dll = value;
		else
			transmit_write(serial, value);
		break;
	case UART_IER:
		if (divisor)
			serial->dlm = value;
		else
			interrupt_enable_write(serial, value);
		break;
	case UART_FCR:
		fifo_control_write(serial, value);
		break;
	case UART_LCR:
		serial->lcr = value;
		break;
	case UART_MCR:
		modem_control_write(serial, value);
		break;
	case UART_SCR:
		serial->scr = value;
		break;
	default: /* LSR and MSR are read only */
		break;
	}
}

/* A wide access is a row of byte accesses, as the bus of an 8-bit device makes them. */
static uint64_t serial_read(struct region *region, uint64_t offset, unsigned length)
{
	struct serial *serial = serial_of(region);
	uint64_t value = 0;

	pthread_mutex_lock(&serial->lock);
	for (unsigned i = 0; i < length; i++)
		value |= (uint64_t)register_read(serial, (unsigned)offset + i) << (8 * i);
	pthread_mutex_unlock(&serial->lock);
	return value;
}

static void serial_write(struct region *region, uint64_t offset, unsigned length, uint64_t value)
{
	struct serial *serial = serial_of(region);

	pthread_mutex_lock(&serial->lock);
	for (unsigned i = 0; i < length; i++)
		register_write(serial, (unsigned)offset + i, (uint8_t)(value >> (8 * i)));
	pthread_mutex_unlock(&serial->lock);
}

static const struct region_ops serial_region = {
	.read = serial_read,
	.write = serial_write,
};

/* ---- Host side: worker thread ---- */

static void serial_input(struct stream *stream)
{
	struct serial *serial = container_of(stream, struct serial, stream);

	pthread_mutex_lock(&serial->lock);
	if (!serial->burst_due)
		burst_begin(serial);
	pthread_mutex_unlock(&serial->lock);
}

static void serial_room(struct stream *stream)
{
	struct serial *serial = container_of(stream, struct serial, stream);

	pthread_mutex_lock(&serial->lock);
	serial->transmitted = true;
	interrupt_update(serial);
	pthread_mutex_unlock(&serial->lock);
}

static const struct stream_ops serial_stream = {
	.input = serial_input,
	.room = serial_room,
};

/* ---- Life ---- */

static void power_on(struct serial *serial)
{
	serial->ier = serial->lcr = serial->mcr = serial->scr = 0;
	serial->dll = 1; /* undefined in the chip; 115200 baud, for who prints it */
	serial->dlm = 0;
	serial->overrun = 0;
	serial->fifo_enabled = false;
	serial->trigger = 1;
	fifo_clear(serial);
	serial->transmitted = false;
	serial->raised = false;
	serial->reads_status = serial->uses_rts = false;
	serial->burst_due = serial->end_seen = false;
	serial->polls = 0;
	serial->msr = modem_lines(serial);
}

void serial_reset(struct serial *serial)
{
	pthread_mutex_lock(&serial->lock);
	power_on(serial);
	pthread_mutex_unlock(&serial->lock);
}

static int serial_connect(struct serial *serial)
{
	struct stream_config config = {
		.name = "serial",
		.ops = &serial_stream,
		.worker = serial->config.worker,
		.terminal = serial->config.terminal,
	};

	return config.terminal ? stream_open(&serial->stream, &config) : 0;
}

int serial_create(struct serial **out, const struct serial_config *config)
{
	struct serial *serial = calloc(1, sizeof(*serial));
	int error;

	if (!serial)
		return fail_host(ENOMEM, "serial: out of memory");
	serial->config = *config;
	serial->region = (struct region){ &serial_region, "serial", config->base,
					  SERIAL_REGISTERS };
	pthread_mutex_init(&serial->lock, NULL);
	power_on(serial);
	error = serial_connect(serial);
	if (error)
		goto no_stream;
	error = bus_add(config->bus, &serial->region);
	if (error) {
		error = fail(-error, "serial: address 0x%llx is taken: %s",
			     (unsigned long long)config->base, strerror(-error));
		goto no_region;
	}
	*out = serial;
	return 0;
no_region:
	if (config->terminal)
		stream_close(&serial->stream, 0);
no_stream:
	pthread_mutex_destroy(&serial->lock);
	free(serial);
	return error;
}

int serial_close(struct serial *serial)
{
	return serial->config.terminal ? stream_close(&serial->stream, FLUSH_NS) : 0;
}

void serial_destroy(struct serial *serial)
{
	bus_remove(serial->config.bus, &serial->region);
	if (serial_close(serial))
		return; /* what the host still writes stays where it is */
	pthread_mutex_destroy(&serial->lock);
	free(serial);
}
