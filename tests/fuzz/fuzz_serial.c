// SPDX-License-Identifier: MIT
/*
 * The 16550A by its ports, and the host on the other end: registers written
 * with anything, bytes in and out, loopback, FIFOs cleared, reset, a host that
 * stops reading. What the host sent comes in its order, what the guest sent
 * while the transmitter was empty goes out in its order, what it sent without a
 * look may be missing, nothing is invented;
 * an interrupt that is there has been signalled; and a driver that sets the port
 * up and does what interrupts tell it to gets all that is sent from then on.
 */
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "hw/serial.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/played_ring.h"

#define BASE 0x3f8
#define FIFO_BYTES 16
#define SENT_MAX 8192 /* of the host, on their way: less than any pipe holds */
#define OUT_MAX 65536
#define FROM_HOST 0x7f /* what the host sends has the highest bit clear, loopback has it set */
#define HOST_BYTES 90 /* different ones */
#define LOOPED 0x80
#define BLIND 0		/* what goes out without a look at the line status */
#define END '\n'	/* only at the end of it all */
#define DRIVER_PASSES 100000

static struct bus bus;
static struct worker worker;
static struct terminal terminal;
static struct serial *serial;
static int irq_fd, type_fd, screen_fd;

static struct {
	unsigned sent, received;       /* bytes of the host, by number */
	unsigned clearable;	       /* of these: what was done may have cleared so many */
	uint8_t out[OUT_MAX];	       /* of the guest, that the host has to get */
	unsigned out_first, out_count;
	unsigned promised;	       /* room that the line status has told of */
	unsigned blind;		       /* bytes for which there may have been no room */
	bool stalled, told;	       /* the host does not read; an edge came since it was idle */
	uint8_t ier, lcr, mcr, scr, dll, dlm;
} model;

/* ---- The host ---- */

static uint8_t host_byte(unsigned number)
{
	return (uint8_t)(' ' + number % HOST_BYTES);
}

static void host_sends(unsigned count)
{
	uint8_t bytes[256];

	if (model.sent - model.received + count > SENT_MAX)
		return;
	for (unsigned i = 0; i < count; i++)
		bytes[i] = host_byte(model.sent++);
	fuzz_check(write(type_fd, bytes, count) == (ssize_t)count);
}

static void host_gets(uint8_t byte)
{
	if (model.out_count && byte == model.out[model.out_first % OUT_MAX]) {
		model.out_first++;
		model.out_count--;
		return;
	}
	fuzz_check(byte == BLIND && model.blind);
	model.blind--;
}

static void host_reads(void)
{
	uint8_t bytes[4096];
	ssize_t count;

	while ((count = read(screen_fd, bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < count; i++)
			host_gets(bytes[i]);
		played_ring_run(&worker);
	}
}

static void run(void)
{
	played_ring_run(&worker);
	if (model.stalled)
		return;
	host_reads();
	fuzz_check(!model.out_count);
}

/* ---- The guest ---- */

static void listen_to_line(void)
{
	model.told |= event_fd_drain(irq_fd) != 0;
}

static uint8_t in(unsigned offset)
{
	uint8_t value = 0;

	fuzz_check(bus_access(&bus, BASE + offset, &value, 1, false));
	return value;
}

static void out(unsigned offset, uint8_t value)
{
	fuzz_check(bus_access(&bus, BASE + offset, &value, 1, true));
}

static bool divisor(void)
{
	return model.lcr & UART_LCR_DLAB;
}

/* Bytes can be cleared out of a FIFO, and no others be missing. */
static void missed(unsigned count)
{
	fuzz_check(count <= model.clearable && count <= model.sent - model.received);
	model.clearable -= count;
	model.received += count;
}

static void received(uint8_t byte)
{
	if (byte & LOOPED)
		return;
	while (byte != host_byte(model.received))
		missed(1);
	model.received++;
	fuzz_check(model.received <= model.sent);
}

static uint8_t read_status(void)
{
	uint8_t status = in(UART_LSR);

	fuzz_check(!(status & ~(UART_LSR_DR | UART_LSR_OE | UART_LSR_THRE | UART_LSR_TEMT)));
	if (!(model.mcr & UART_MCR_LOOP))
		model.promised = status & UART_LSR_THRE ? FIFO_BYTES : 0;
	return status;
}

static void receive(void)
{
	uint8_t byte;

	if (divisor() || !(read_status() & UART_LSR_DR))
		return;
	byte = in(UART_RX);
	received(byte);
}

static void transmit(uint8_t byte)
{
	if (divisor())
		return;
	if (model.mcr & UART_MCR_LOOP) {
		out(UART_TX, byte | LOOPED);
		return;
	}
	if (!model.promised)
		read_status();
	/* A full buffer is a promise not made. */
	if (!model.promised || model.out_count == OUT_MAX)
		return;
	model.promised--;
	model.out[(model.out_first + model.out_count++) % OUT_MAX] = byte;
	out(UART_TX, byte);
}

static void transmit_blindly(unsigned count)
{
	if (divisor() || model.mcr & UART_MCR_LOOP)
		return;
	model.blind += count;
	model.promised = 0;
	while (count--)
		out(UART_TX, BLIND);
}

static uint8_t identify(void)
{
	uint8_t id, cause;

	listen_to_line();
	id = in(UART_IIR);
	cause = id & UART_IIR_ID;
	if (id & UART_IIR_NO_INT) {
		model.told = false;
		listen_to_line();
		return UART_IIR_NO_INT;
	}
	fuzz_check(model.told);
	if (cause == UART_IIR_RLSI)
		fuzz_check(model.ier & UART_IER_RLSI);
	else if (cause == UART_IIR_RDI || (id & 0xf) == UART_IIR_RX_TIMEOUT)
		fuzz_check(model.ier & UART_IER_RDI);
	else if (cause == UART_IIR_THRI)
		fuzz_check(model.ier & UART_IER_THRI);
	else
		fuzz_check(model.ier & UART_IER_MSI);
	return id;
}

/* What each register keeps. */
static void write_register(unsigned offset, uint8_t value)
{
	if (offset == UART_TX && !divisor()) {
		transmit(value);
		return;
	}
	out(offset, value);
	if (offset == UART_FCR)
		model.clearable += FIFO_BYTES;
	if (offset == UART_TX)
		model.dll = value;
	else if (offset == UART_IER && divisor())
		model.dlm = value;
	else if (offset == UART_IER)
		model.ier = value & 0xf;
	else if (offset == UART_LCR)
		model.lcr = value;
	else if (offset == UART_MCR)
		model.mcr = value & 0x1f;
	else if (offset == UART_SCR)
		model.scr = value;
}

static void check_registers(void)
{
	fuzz_check(in(UART_LCR) == model.lcr);
	fuzz_check(in(UART_MCR) == model.mcr);
	fuzz_check(in(UART_SCR) == model.scr);
	fuzz_check(in(UART_IER) == (divisor() ? model.dlm : model.ier));
	if (divisor())
		fuzz_check(in(UART_TX) == model.dll);
}

static void access_wide(struct fuzz_input *input)
{
	unsigned length = 2u << fuzz_below(input, 3), offset = fuzz_below(input, 16);
	uint64_t value = 0;
	bool answered = bus_access(&bus, BASE + offset, &value, length, false);

	fuzz_check(answered == (offset + length <= SERIAL_REGISTERS));
	if (!answered)
		fuzz_check(value == all_ones(length));
	else if (!divisor() && offset == 0 && (uint8_t)value)
		received((uint8_t)value);
}

/* ---- At the end: a driver by the book ---- */

static void driver_set_up(void)
{
	model.stalled = false;
	write_register(UART_LCR, UART_LCR_WLEN8);
	write_register(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	write_register(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	write_register(UART_IER, UART_IER_RDI);
	run();
}

/* Linux's handler: as long as there is a cause, receive as long as there is something. */
static bool driver_handles(uint8_t *last)
{
	for (unsigned left = DRIVER_PASSES; left; left--) {
		if (identify() & UART_IIR_NO_INT)
			return true;
		in(UART_MSR);
		while (read_status() & UART_LSR_DR) {
			*last = in(UART_RX);
			if (*last != END)
				received(*last);
		}
	}
	return false;
}

static void check_driver(void)
{
	uint8_t end = END, last = 0;

	driver_set_up();
	driver_handles(&last);
	host_sends(200);
	fuzz_check(write(type_fd, &end, 1) == 1);
	for (unsigned left = DRIVER_PASSES; last != END; left--) {
		fuzz_check(left);
		run();
		listen_to_line();
		/* It waits for an interrupt; if none comes, it waits for ever. */
		fuzz_check(model.told);
		fuzz_check(driver_handles(&last));
	}
	/* When so many were cleared that they began anew, the first ones were taken for the last. */
	while (model.received != model.sent)
		missed(HOST_BYTES);
}

static void step(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);
	unsigned count;

	switch (choice % 12) {
	case 0:
	case 1:
		write_register(choice / 12 % 8, fuzz_u8(input));
		break;
	case 2:
		host_sends(fuzz_u8(input));
		break;
	case 3:
	case 4:
		for (count = fuzz_u8(input); count; count--)
			receive();
		break;
	case 5:
		count = fuzz_number(input, 1 + choice / 128) % (model.stalled ? 20000 : 1000);
		while (count--)
			transmit((uint8_t)count);
		break;
	case 6:
		identify();
		break;
	case 7:
		in(UART_MSR);
		check_registers();
		break;
	case 8:
		access_wide(input);
		break;
	case 9:
		model.stalled = choice & 0x80;
		break;
	case 10:
		write_register(UART_IER, choice / 12);
		break;
	default:
		if (choice < 0xf0) {
			transmit_blindly(fuzz_u8(input) * 8u);
			break;
		}
		serial_reset(serial);
		model.clearable += FIFO_BYTES;
		listen_to_line();
		model.ier = model.lcr = model.mcr = model.scr = model.dlm = 0;
		model.dll = 1;
		model.promised = 0;
		model.told = false;
		break;
	}
	/* A worker that comes late is one that is not asked to run now. */
	if (!(choice & 0x40))
		run();
}

/* ---- Set-up ---- */

static int pipe_end(int *ours, bool we_write)
{
	int fds[2];

	fuzz_check(!pipe2(fds, O_NONBLOCK | O_CLOEXEC));
	*ours = fds[we_write];
	return fds[!we_write];
}

static void begin(void)
{
	struct serial_config config = {
		.bus = &bus,
		.base = BASE,
		.irq_event_fd = irq_fd,
		.terminal = &terminal,
		.worker = &worker,
	};

	terminal = (struct terminal){
		.input_fd = pipe_end(&type_fd, true),
		.output_fd = pipe_end(&screen_fd, false),
	};
	memset(&model, 0, sizeof(model));
	model.dll = 1;
	event_fd_drain(irq_fd);
	fuzz_check(!serial_create(&serial, &config));
	run();
}

static void end(void)
{
	serial_destroy(serial);
	close(terminal.input_fd);
	close(terminal.output_fd);
	close(type_fd);
	close(screen_fd);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_level(LOG_LEVEL_ERROR);
	played_ring_worker(&worker);
	fuzz_check(!bus_init(&bus));
	irq_fd = event_fd_create();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = fuzz_input(data, size);

	begin();
	while (fuzz_more(&input))
		step(&input);
	check_driver();
	end();
	return 0;
}
