// SPDX-License-Identifier: MIT
/*
 * The 16550A as a driver sees it, through the bus, with pipes for a terminal.
 * The interrupt line is an eventfd that counts edges.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "core/stream.h"
#include "hw/serial.h"

#define BASE 0x3f8
#define TIMEOUT_MS 20000

static struct bus bus;
static struct worker worker;
static struct terminal terminal;
static struct serial *serial;
static int irq_fd, type_fd, screen_fd; /* what the user types into, and reads from */

static uint8_t in(unsigned reg)
{
	uint8_t value = 0;

	assert_true(bus_access(&bus, BASE + reg, &value, 1, false));
	return value;
}

static void out(unsigned reg, uint8_t value)
{
	assert_true(bus_access(&bus, BASE + reg, &value, 1, true));
}

static unsigned edges(void)
{
	return (unsigned)event_fd_drain(irq_fd);
}

static bool wait_edge(int timeout_ms)
{
	struct pollfd poll_fd = { .fd = irq_fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1 && edges();
}

static void type(const char *text)
{
	assert_int_equal(write(type_fd, text, strlen(text)), strlen(text));
}

/* Until the worker has done all that it was told before. */
static void nothing(struct worker_task *task)
{
	(void)task;
}

static void settle(void)
{
	struct worker_task task = { nothing };

	worker_call(&worker, &task);
}

static void screen_shows(const char *text)
{
	char bytes[256];
	size_t length = strlen(text), got = 0;

	while (got < length) {
		struct pollfd poll_fd = { .fd = screen_fd, .events = POLLIN };
		ssize_t n;

		assert_int_equal(poll(&poll_fd, 1, TIMEOUT_MS), 1);
		n = read(screen_fd, bytes + got, length - got);
		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_memory_equal(bytes, text, length);
}

static void connect_fds(int input_fd, int output_fd)
{
	struct serial_config config = {
		.bus = &bus,
		.base = BASE,
		.irq_event_fd = irq_fd,
		.terminal = &terminal,
		.worker = &worker,
	};

	terminal = (struct terminal){ .input_fd = input_fd, .output_fd = output_fd };
	assert_int_equal(serial_create(&serial, &config), 0);
}

static int setup_host(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	irq_fd = event_fd_create();
	bus_init(&bus);
	assert_int_equal(worker_create(&worker, &(struct worker_config){ "io-test", 32, 8 }), 0);
	assert_int_equal(worker_start(&worker), 0);
	return 0;
}

static int setup(void **state)
{
	int keyboard[2], screen[2];

	setup_host(state);
	assert_int_equal(pipe2(keyboard, O_CLOEXEC), 0);
	assert_int_equal(pipe2(screen, O_CLOEXEC), 0);
	assert_int_equal(fcntl(screen[1], F_SETPIPE_SZ, UNIT_PIPE_BYTES), UNIT_PIPE_BYTES);
	type_fd = keyboard[1];
	screen_fd = screen[0];
	connect_fds(keyboard[0], screen[1]);
	return 0;
}

static int teardown_host(void **state)
{
	(void)state;
	worker_stop(&worker);
	worker_destroy(&worker);
	bus_destroy(&bus);
	fd_close(&irq_fd);
	return 0;
}

static int teardown(void **state)
{
	serial_destroy(serial);
	close(terminal.input_fd);
	if (terminal.output_fd != terminal.input_fd)
		close(terminal.output_fd);
	fd_close(&type_fd);
	fd_close(&screen_fd);
	return teardown_host(state);
}

/* As Linux opens the port: FIFOs on and cleared, receive interrupt, DTR and RTS. */
static void driver_opens(void)
{
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
	out(UART_FCR, 0);
	in(UART_LSR);
	in(UART_RX);
	in(UART_IIR);
	in(UART_MSR);
	out(UART_IER, UART_IER_RDI | UART_IER_RLSI);
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_R_TRIG_10);
	out(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
}

static void test_registers_after_power_on(void **state)
{
	(void)state;
	assert_int_equal(in(UART_IER), 0);
	assert_int_equal(in(UART_IIR), UART_IIR_NO_INT);
	assert_int_equal(in(UART_LCR), 0);
	assert_int_equal(in(UART_MCR), 0);
	assert_int_equal(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	assert_int_equal(in(UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
	assert_int_equal(in(UART_SCR), 0);
	assert_int_equal(in(UART_RX), 0);
	assert_int_equal(edges(), 0);
}

static void test_every_bit_that_is_there_sticks(void **state)
{
	(void)state;
	for (unsigned value = 0; value < 256; value++) {
		out(UART_SCR, (uint8_t)value);
		assert_int_equal(in(UART_SCR), value);
		out(UART_LCR, (uint8_t)value & 0x7f);
		assert_int_equal(in(UART_LCR), value & 0x7f);
		out(UART_IER, (uint8_t)value);
		assert_int_equal(in(UART_IER), value & 0x0f);
		out(UART_MCR, (uint8_t)value);
		assert_int_equal(in(UART_MCR), value & 0x1f);
	}
	out(UART_LSR, 0xff); /* read only */
	out(UART_MCR, 0);
	in(UART_MSR);
	out(UART_MSR, 0xff);
	assert_int_equal(in(UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
}

static void test_divisor_latch_hides_data_and_enables(void **state)
{
	(void)state;
	out(UART_IER, UART_IER_RLSI);
	out(UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	out(UART_DLL, 0x34);
	out(UART_DLM, 0x12);
	assert_int_equal(in(UART_DLL), 0x34);
	assert_int_equal(in(UART_DLM), 0x12);
	out(UART_LCR, UART_LCR_WLEN8);
	assert_int_equal(in(UART_IER), UART_IER_RLSI);
	out(UART_LCR, UART_LCR_DLAB);
	assert_int_equal(in(UART_DLL), 0x34);
	assert_int_equal(in(UART_DLM), 0x12);
}

static void test_fifo_control_shows_in_iir(void **state)
{
	(void)state;
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	assert_int_equal(in(UART_IIR), 0xc0 | UART_IIR_NO_INT);
	out(UART_FCR, 0);
	assert_int_equal(in(UART_IIR), UART_IIR_NO_INT);
}

static void test_output_arrives(void **state)
{
	const char *text = "Linux version\r\n";

	(void)state;
	for (const char *c = text; *c; c++) {
		assert_true(in(UART_LSR) & UART_LSR_THRE);
		out(UART_TX, (uint8_t)*c);
	}
	screen_shows(text);
}

static void test_transmit_interrupt(void **state)
{
	(void)state;
	out(UART_IER, UART_IER_THRI); /* empty already: at once */
	assert_int_equal(edges(), 1);
	assert_int_equal(in(UART_IIR), UART_IIR_THRI);
	assert_int_equal(in(UART_IIR), UART_IIR_NO_INT); /* reading it cleared it */
	assert_int_equal(edges(), 0);
	/* A FIFO full of bytes is one interrupt. */
	for (int i = 0; i < 16; i++)
		out(UART_TX, 'a');
	assert_int_equal(edges(), 1);
	assert_int_equal(in(UART_IIR), UART_IIR_THRI);
	/* Linux's check: off and on again asserts it anew. */
	out(UART_IER, 0);
	out(UART_IER, UART_IER_THRI);
	assert_int_equal(edges(), 1);
	assert_int_equal(in(UART_IIR), UART_IIR_THRI);
	out(UART_IER, UART_IER_THRI);
	assert_int_equal(in(UART_IIR), UART_IIR_NO_INT);
	screen_shows("aaaaaaaaaaaaaaaa");
}

static void test_loopback(void **state)
{
	(void)state;
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_14);
	in(UART_MSR);
	/* The test of Linux's probe. */
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	assert_int_equal(in(UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_CTS);
	assert_int_equal(in(UART_MSR) & 0x0f, 0); /* the read cleared what had changed */
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1 | UART_MCR_DTR);
	assert_int_equal(in(UART_MSR), UART_MSR_RI | UART_MSR_DSR | UART_MSR_DDSR | UART_MSR_DCTS |
				       UART_MSR_DDCD);
	out(UART_IER, UART_IER_MSI);
	out(UART_MCR, UART_MCR_LOOP);
	assert_int_equal(edges(), 1);
	assert_int_equal(in(UART_IIR) & UART_IIR_ID, UART_IIR_MSI);
	assert_int_equal(in(UART_MSR), UART_MSR_TERI | UART_MSR_DDSR);
	assert_int_equal(in(UART_IIR) & UART_IIR_ID, UART_IIR_NO_INT & UART_IIR_ID);

	/* Data comes back; nothing reaches the terminal. */
	out(UART_IER, UART_IER_RDI | UART_IER_RLSI);
	type("from outside");
	for (int i = 0; i < 13; i++)
		out(UART_TX, (uint8_t)('A' + i));
	assert_int_equal(in(UART_IIR), 0xc0 | UART_IIR_RX_TIMEOUT);
	out(UART_TX, 'N');
	assert_int_equal(in(UART_IIR), 0xc0 | UART_IIR_RDI);
	out(UART_TX, 'O');
	out(UART_TX, 'P');
	out(UART_TX, 'Q'); /* the 17th */
	assert_int_equal(in(UART_IIR), 0xc0 | UART_IIR_RLSI);
	assert_true(in(UART_LSR) & UART_LSR_OE);
	assert_false(in(UART_LSR) & UART_LSR_OE);
	for (int i = 0; i < 16; i++)
		assert_int_equal(in(UART_RX), 'A' + i);
	assert_false(in(UART_LSR) & UART_LSR_DR);
	out(UART_TX, 'R');
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	assert_false(in(UART_LSR) & UART_LSR_DR);
	out(UART_MCR, 0);
	out(UART_TX, '.');
	screen_shows(".");
}

static void test_input_waits_for_a_driver_that_listens(void **state)
{
	const char *script = "echo piped in long before the guest has booted\n";
	char got[64] = "";
	size_t count = 0;

	(void)state;
	type(script);
	usleep(50000);
	/* Linux's console writes meanwhile. */
	for (int i = 0; i < 100; i++) {
		in(UART_LSR);
		out(UART_TX, '.');
	}
	assert_int_equal(edges(), 0);
	driver_opens();
	assert_true(wait_edge(TIMEOUT_MS));
	while (count < strlen(script)) {
		uint8_t id = in(UART_IIR);

		if (id & UART_IIR_NO_INT)
			continue;
		while (in(UART_LSR) & UART_LSR_DR)
			got[count++] = (char)in(UART_RX);
	}
	assert_string_equal(got, script);
}

static void test_handler_ends_between_bursts(void **state)
{
	(void)state;
	driver_opens();
	type("0123456789abcdefghij");
	assert_true(wait_edge(TIMEOUT_MS));
	assert_int_equal(in(UART_IIR), 0xc0 | UART_IIR_RDI);
	for (int i = 0; i < 16; i++) {
		assert_true(in(UART_LSR) & UART_LSR_DR);
		in(UART_RX);
	}
	settle();
	assert_false(in(UART_LSR) & UART_LSR_DR);
	edges();
	assert_int_equal(in(UART_IIR), 0xc0 | UART_IIR_NO_INT);
	assert_int_equal(edges(), 1); /* for the next handler */
	assert_int_equal(in(UART_IIR), 0xc0 | UART_IIR_RX_TIMEOUT);
	for (int i = 0; i < 4; i++)
		assert_int_equal(in(UART_RX), 'g' + i);
	assert_int_equal(in(UART_IIR), 0xc0 | UART_IIR_NO_INT);
}

/* The drivers of small kernels: what they leave out must not make them wait for ever. */
static void test_handler_without_iir(void **state)
{
	const char *text = "more than one FIFO of input for a driver without manners";
	size_t count = 0;

	(void)state;
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_IER, UART_IER_RDI);
	in(UART_IIR);
	type(text);
	while (count < strlen(text)) {
		assert_true(wait_edge(TIMEOUT_MS));
		while (in(UART_LSR) & UART_LSR_DR)
			assert_int_equal(in(UART_RX), text[count++]);
	}
}

static void one_byte_an_interrupt(uint8_t fifo_control)
{
	const char *text = "each interrupt one byte, whatever there is";

	out(UART_FCR, fifo_control);
	out(UART_IER, UART_IER_RDI);
	in(UART_IIR);
	type(text);
	for (size_t i = 0; i < strlen(text); i++) {
		assert_true(wait_edge(TIMEOUT_MS));
		assert_int_equal(in(UART_RX), text[i]);
	}
}

static void test_handler_of_one_byte(void **state)
{
	(void)state;
	one_byte_an_interrupt(UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_14);
}

static void test_handler_of_one_byte_without_fifo(void **state)
{
	(void)state;
	one_byte_an_interrupt(0);
}

static void test_polling_driver(void **state)
{
	const char *text = "no interrupts at all";

	(void)state;
	type(text);
	for (size_t i = 0; i < strlen(text); i++) {
		while (!(in(UART_LSR) & UART_LSR_DR))
			;
		assert_int_equal(in(UART_RX), text[i]);
	}
	assert_int_equal(edges(), 0);
}

static void test_rts_holds_input(void **state)
{
	(void)state;
	driver_opens();
	out(UART_MCR, UART_MCR_DTR | UART_MCR_OUT2);
	type("held");
	usleep(50000);
	for (int i = 0; i < 50; i++)
		assert_false(in(UART_LSR) & UART_LSR_DR);
	assert_int_equal(edges(), 0);
	out(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	assert_int_equal(edges(), 1);
	assert_int_equal(in(UART_RX), 'h');
}

static void test_interrupt_priority(void **state)
{
	(void)state;
	out(UART_FCR, UART_FCR_ENABLE_FIFO);
	out(UART_MCR, UART_MCR_LOOP);
	out(UART_IER, 0x0f);
	out(UART_MCR, UART_MCR_LOOP | UART_MCR_DTR);
	for (int i = 0; i < 17; i++)
		out(UART_TX, 'x');
	assert_int_equal(in(UART_IIR) & 0x0f, UART_IIR_RLSI);
	in(UART_LSR);
	assert_int_equal(in(UART_IIR) & 0x0f, UART_IIR_RDI);
	out(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	assert_int_equal(in(UART_IIR) & 0x0f, UART_IIR_THRI);
	assert_int_equal(in(UART_IIR) & 0x0f, UART_IIR_MSI);
	in(UART_MSR);
	assert_int_equal(in(UART_IIR) & 0x0f, UART_IIR_NO_INT);
}

static void test_reset(void **state)
{
	(void)state;
	driver_opens();
	type("typed");
	assert_true(wait_edge(TIMEOUT_MS));
	out(UART_SCR, 0x55);
	serial_reset(serial);
	test_registers_after_power_on(state);
}

static void test_wide_and_partial_accesses(void **state)
{
	uint32_t value = 0;
	uint64_t eight;

	(void)state;
	out(UART_SCR, 0xa5);
	assert_true(bus_access(&bus, BASE + 4, &value, 4, false));
	assert_int_equal(value >> 24, 0xa5);
	assert_true(bus_access(&bus, BASE, &eight, 8, false));
	assert_int_equal(eight >> 56, 0xa5);
	value = 0x5a;
	assert_true(bus_access(&bus, BASE + UART_SCR, &value, 1, true));
	assert_int_equal(in(UART_SCR), 0x5a);
	/* Past the end: all ones, no harm. */
	bus_access(&bus, BASE + UART_SCR, &value, 4, false);
	assert_int_equal(value, 0xffffffff);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void test_random_accesses(void **state)
{
	char sink[65536];
	uint32_t seed = 1;

	(void)state;
	fcntl(screen_fd, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 200000; i++) {
		uint32_t random = next_random(&seed);
		uint64_t value = next_random(&seed);
		unsigned length = 1u << (random & 3);

		bus_access(&bus, BASE + (random >> 2) % 8, &value, length, random & 0x400);
		if (i % 1000 == 0) {
			type("garbage");
			while (read(screen_fd, sink, sizeof(sink)) > 0)
				;
		}
	}
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) +
	       (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

struct paste {
	pthread_t thread;
	_Atomic size_t bytes;
};

static uint8_t pasted_byte(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

static void *paste_main(void *argument)
{
	struct paste *paste = argument;
	uint8_t bytes[8192];

	for (size_t done = 0; done < paste->bytes; done += sizeof(bytes)) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = pasted_byte(done + i);
		if (fd_write_full(type_fd, bytes, sizeof(bytes)) != sizeof(bytes))
			return NULL;
	}
	return paste;
}

/* The loop of a Linux handler: until IIR says that there is nothing. */
static size_t handler(size_t count)
{
	unsigned passes = 0;

	while (!(in(UART_IIR) & UART_IIR_NO_INT)) {
		while (in(UART_LSR) & UART_LSR_DR) {
			assert_int_equal(in(UART_RX), pasted_byte(count));
			count++;
		}
		assert_true(++passes < 256); /* "too much work for irq4" */
	}
	return count;
}

/* What is on the way at once is far less than the least of it. */
static void test_a_paste_of_megabytes_is_not_lost(void **state)
{
	struct paste paste = { .bytes = 4 * MIB };
	struct timespec start;
	size_t count = 0;
	void *whole;

	(void)state;
	driver_opens();
	clock_gettime(CLOCK_MONOTONIC, &start);
	pthread_create(&paste.thread, NULL, paste_main, &paste);
	while (count < paste.bytes) {
		assert_true(wait_edge(TIMEOUT_MS));
		count = handler(count);
		if (count > 100000 && count < 100016)
			usleep(100000); /* the guest is away for a while */
		if (count > 10000 && count < 40000 && seconds_since(&start) > 1)
			paste.bytes = 256 * KIB; /* an emulated processor */
	}
	assert_int_equal(count, paste.bytes);
	pthread_join(paste.thread, &whole);
	assert_non_null(whole);
}

static void test_full_output_shows_and_loses_only_what_is_forced(void **state)
{
	uint8_t byte;
	size_t written = 0, read_back = 0;

	(void)state;
	fcntl(screen_fd, F_SETFL, O_NONBLOCK);
	/* A polite driver stops when THRE stays away; nobody reads. */
	for (;;) {
		settle();
		if (!(in(UART_LSR) & UART_LSR_THRE))
			usleep(20000);
		if (!(in(UART_LSR) & UART_LSR_THRE))
			break;
		for (int i = 0; i < 16; i++)
			out(UART_TX, (uint8_t)written++);
	}
	assert_true(written >= UNIT_PIPE_BYTES);
	assert_false(in(UART_LSR) & UART_LSR_TEMT);
	out(UART_IER, UART_IER_THRI);
	assert_int_equal(edges(), 0);
	assert_int_equal(in(UART_IIR) & 0x0f, UART_IIR_NO_INT);
	/* Once somebody reads, the interrupt comes, and all is there in order. */
	while (read_back < written) {
		struct pollfd poll_fd = { .fd = screen_fd, .events = POLLIN };

		assert_int_equal(poll(&poll_fd, 1, TIMEOUT_MS), 1);
		assert_int_equal(read(screen_fd, &byte, 1), 1);
		assert_int_equal(byte, (uint8_t)read_back);
		read_back++;
	}
	assert_true(wait_edge(TIMEOUT_MS));
	assert_int_equal(in(UART_IIR) & 0x0f, UART_IIR_THRI);
	assert_true(in(UART_LSR) & UART_LSR_THRE);
}

static void test_a_rude_driver_never_waits(void **state)
{
	struct timespec start;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < 300000; i++)
		out(UART_TX, 'x');
	assert_true(seconds_since(&start) < 60); /* nobody reads: it would be for ever */
	/* Destroying it gives the host a second, not more. */
	clock_gettime(CLOCK_MONOTONIC, &start);
	serial_destroy(serial);
	assert_true(seconds_since(&start) < 15);
	connect_fds(terminal.input_fd, terminal.output_fd);
}

struct slow_reader {
	size_t count;
	_Atomic size_t expected; /* known when all is written */
};

/* Until all has come, or nothing more does: the end of a pipe that a ring holds may be long off. */
static void *read_slowly(void *argument)
{
	struct pollfd screen = { .fd = screen_fd, .events = POLLIN };
	struct slow_reader *reader = argument;
	char bytes[4096];

	usleep(200000);
	while (reader->count < reader->expected) {
		ssize_t n = 0;

		if (poll(&screen, 1, 20000) > 0)
			n = read(screen_fd, bytes, sizeof(bytes));
		if (n <= 0)
			break;
		reader->count += (size_t)n;
		usleep(1000);
	}
	return NULL;
}

static void test_the_last_lines_are_not_lost(void **state)
{
	struct slow_reader slow = { .expected = SIZE_MAX };
	size_t written = 0;
	pthread_t reader;
	int output_fd = terminal.output_fd;

	(void)state;
	pthread_create(&reader, NULL, read_slowly, &slow);
	while (written < 100000 && in(UART_LSR) & UART_LSR_THRE) {
		out(UART_TX, 'x');
		written++;
	}
	assert_true(written > 60000);
	slow.expected = written;
	serial_destroy(serial); /* the guest has powered off */
	close(output_fd);
	pthread_join(reader, NULL);
	assert_int_equal(slow.count, written);
	connect_fds(terminal.input_fd, open("/dev/null", O_WRONLY | O_CLOEXEC));
}

static void test_closed_output_is_dropped(void **state)
{
	(void)state;
	fd_close(&screen_fd); /* EPIPE */
	for (int i = 0; i < 300000; i++)
		out(UART_TX, 'x');
	/* And the transmitter is ready again. */
	for (int i = 0; i < TIMEOUT_MS && !(in(UART_LSR) & UART_LSR_THRE); i++)
		usleep(1000);
	assert_true(in(UART_LSR) & UART_LSR_THRE);
	driver_opens();
	type("input lives");
	assert_true(wait_edge(TIMEOUT_MS));
}

static void test_full_device_is_dropped(void **state)
{
	int keyboard[2];

	setup_host(state);
	assert_int_equal(pipe2(keyboard, O_CLOEXEC), 0);
	type_fd = keyboard[1];
	connect_fds(keyboard[0], open("/dev/full", O_WRONLY | O_CLOEXEC));
	for (int i = 0; i < 300000; i++)
		out(UART_TX, 'x');
	for (int i = 0; i < TIMEOUT_MS && !(in(UART_LSR) & UART_LSR_THRE); i++)
		usleep(1000);
	assert_true(in(UART_LSR) & UART_LSR_THRE);
	teardown(state);
}

static void test_end_of_input_is_not_the_end(void **state)
{
	(void)state;
	type("x");
	fd_close(&type_fd);
	driver_opens();
	assert_true(wait_edge(TIMEOUT_MS));
	assert_int_equal(in(UART_RX), 'x');
	assert_false(in(UART_LSR) & UART_LSR_DR);
	out(UART_TX, 'y');
	screen_shows("y");
}

static void test_nothing_connected(void **state)
{
	struct serial_config config = { .bus = &bus, .base = BASE, .worker = &worker };
	struct serial *second;

	setup_host(state);
	config.irq_event_fd = irq_fd;
	assert_int_equal(serial_create(&serial, &config), 0);
	assert_int_equal(in(UART_MSR), 0);
	driver_opens();
	for (int i = 0; i < 100000; i++)
		out(UART_TX, 'x');
	assert_int_equal(in(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	assert_int_equal(serial_create(&second, &config), -EEXIST);
	serial_destroy(serial);
	teardown_host(state);
}

static void test_no_stdin_no_stdout(void **state)
{
	setup_host(state);
	connect_fds(-1, -1);
	for (int i = 0; i < 100000; i++)
		out(UART_TX, 'x');
	assert_true(in(UART_LSR) & UART_LSR_THRE);
	serial_destroy(serial);
	teardown_host(state);
}

static void test_worker_that_never_ran(void **state)
{
	int pipes[2];

	(void)state;
	irq_fd = event_fd_create();
	bus_init(&bus);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(worker_create(&worker, &(struct worker_config){ "io-test", 32, 8 }), 0);
	connect_fds(pipes[0], pipes[1]);
	serial_destroy(serial);
	teardown_host(state);
	close(pipes[0]);
	close(pipes[1]);
}

static void test_no_file_slots(void **state)
{
	struct serial_config config = {
		.bus = &bus, .base = BASE, .terminal = &terminal, .worker = &worker,
	};

	setup_host(state);
	worker_stop(&worker);
	worker_destroy(&worker);
	assert_int_equal(worker_create(&worker, &(struct worker_config){ "io-test", 32, 1 }), 0);
	terminal = (struct terminal){ .input_fd = irq_fd, .output_fd = irq_fd };
	terminal.output_fd = dup(irq_fd);
	config.irq_event_fd = irq_fd;
	assert_true(fail_is_host(serial_create(&serial, &config)));
	close(terminal.output_fd);
	teardown_host(state);
}

#define ON_PIPES(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_PIPES(test_registers_after_power_on),
		ON_PIPES(test_every_bit_that_is_there_sticks),
		ON_PIPES(test_divisor_latch_hides_data_and_enables),
		ON_PIPES(test_fifo_control_shows_in_iir),
		ON_PIPES(test_output_arrives),
		ON_PIPES(test_transmit_interrupt),
		ON_PIPES(test_loopback),
		ON_PIPES(test_input_waits_for_a_driver_that_listens),
		ON_PIPES(test_handler_ends_between_bursts),
		ON_PIPES(test_handler_without_iir),
		ON_PIPES(test_handler_of_one_byte),
		ON_PIPES(test_handler_of_one_byte_without_fifo),
		ON_PIPES(test_polling_driver),
		ON_PIPES(test_rts_holds_input),
		ON_PIPES(test_interrupt_priority),
		ON_PIPES(test_reset),
		ON_PIPES(test_wide_and_partial_accesses),
		ON_PIPES(test_random_accesses),
		ON_PIPES(test_a_paste_of_megabytes_is_not_lost),
		ON_PIPES(test_full_output_shows_and_loses_only_what_is_forced),
		ON_PIPES(test_a_rude_driver_never_waits),
		ON_PIPES(test_the_last_lines_are_not_lost),
		ON_PIPES(test_closed_output_is_dropped),
		ON_PIPES(test_end_of_input_is_not_the_end),
		cmocka_unit_test(test_full_device_is_dropped),
		cmocka_unit_test(test_nothing_connected),
		cmocka_unit_test(test_no_stdin_no_stdout),
		cmocka_unit_test(test_worker_that_never_ran),
		cmocka_unit_test(test_no_file_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
