// SPDX-License-Identifier: MIT
/*
 * H58 on x86: the serial port, the ports and addresses of devices that are there or were. What
 * resets or ends the machine is left out. Results go to the same serial port: it is set up
 * anew before each.
 */
#include "kit/hostile.h"
#include "kit/tap.h"
#include "kit/text.h"
#include "x86.h"

#include <linux/serial_reg.h>

#define SERIAL	    0x3f8
#define REGISTERS   8
#define FIFO	    16
#define LOOP	    (UART_MCR_LOOP | UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2)
#define WRITES	    6000 /* of 10^6 a second */
#define OUTPUT	    2000
#define NOWHERE_GPA UINT64_C(0xe8000000) /* behind ECAM's first buses, before flash */
#define HOLE_GPA    UINT64_C(0x200000000000)

static unsigned rounds(unsigned count)
{
	return param_is_set("full") ? count * 10 : count;
}

static void put(unsigned offset, uint8_t value)
{
	port_write8((uint16_t)(SERIAL + offset), value);
}

static uint8_t get(unsigned offset)
{
	return port_read8((uint16_t)(SERIAL + offset));
}

static void serial_set_up(void)
{
	put(UART_LCR, UART_LCR_WLEN8);
	put(UART_IER, 0);
	put(UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	put(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	get(UART_LSR);
}

/* ---- The serial port ---- */

/* In loopback what is sent comes back: as many bytes as the FIFO has, then an overrun. */
static void serial_loopback(void)
{
	unsigned kept = 0, count = rounds(WRITES);
	uint8_t status;
	bool in_order = true;

	serial_set_up();
	put(UART_MCR, LOOP);
	for (unsigned i = 0; i < count; i++)
		put(UART_TX, (uint8_t)i);
	status = get(UART_LSR);
	while (kept < count && get(UART_LSR) & UART_LSR_DR)
		in_order = get(UART_RX) == (uint8_t)kept++ && in_order;
	serial_set_up();
	ok(status & UART_LSR_OE && kept == FIFO && in_order,
	   "H58 serial: %u bytes (of 10^6) into its own FIFO: %u are kept, in order", count, kept);
}

/* Without a look at whether there is room. */
static void serial_storm(void)
{
	unsigned count = rounds(OUTPUT);

	serial_set_up();
	for (unsigned i = 0; i < count; i++)
		put(UART_TX, i % 80 == 79 ? '\n' : '#');
	put(UART_TX, '\n');
	ok(true, "H58 serial: %u bytes (of 10^6) out without a look at the status", count);
}

static void serial_garbage(void)
{
	static const uint8_t registers[] = { UART_IER, UART_FCR, UART_LCR, UART_MCR,
					     UART_LSR, UART_MSR, UART_SCR };
	bool good;

	serial_set_up();
	for (unsigned value = 0; value < 0x100; value++) {
		for (unsigned i = 0; i < ARRAY_COUNT(registers); i++)
			put(registers[i], (uint8_t)(value * 37 + i));
		/* In loopback, or with the divisor's latch open: nothing goes out. */
		put(UART_MCR, LOOP);
		put(UART_TX, (uint8_t)value);
		for (unsigned offset = 0; offset < REGISTERS; offset++)
			get(offset);
	}
	put(UART_LCR, UART_LCR_DLAB);
	put(UART_DLL, 0);
	put(UART_DLM, 0);
	good = !get(UART_DLL) && !get(UART_DLM);
	put(UART_LCR, 0);
	put(UART_IER, 0xff);
	good = good && get(UART_IER) == 0x0f;
	put(UART_MCR, 0xff);
	good = good && get(UART_MCR) == 0x1f;
	serial_set_up();
	ok(good, "H58 serial: any values in any order, a divisor of 0; unused bits read 0");
}

/* A word or more over several registers, over the port's end, and from a string. */
static void serial_widths(void)
{
	static uint8_t bytes[65536];
	bool good;

	serial_set_up();
	put(UART_MCR, LOOP);
	put(UART_SCR, 0x5a);
	for (uint16_t port = SERIAL - 3; port < SERIAL + REGISTERS; port++) {
		port_read16(port);
		port_read32(port);
	}
	good = (port_read16(SERIAL + UART_MSR) >> 8) == 0x5a;
	good = good && port_read16(SERIAL + UART_SCR) == 0xffff;
	port_write32(SERIAL + 5, 0xffffffff);
	good = good && get(UART_SCR) == 0x5a;
	port_read_string(SERIAL + UART_SCR, bytes, sizeof(bytes));
	for (unsigned i = 0; i < sizeof(bytes); i++)
		good = good && bytes[i] == 0x5a;
	port_write_string(SERIAL + UART_SCR, bytes, 4096);
	serial_set_up();
	ok(good, "H58 serial: words over its registers, over its end; 64 KiB from a string");
}

/* ---- Other ports ---- */

/*
 * What resets, powers off or says that the guest has panicked, the port of results, and the edges
 * and levels of interrupts that KVM keeps.
 */
static bool is_left_out(uint16_t port, unsigned bytes)
{
	static const struct {
		uint16_t from, to;
	} left[] = { { 0x64, 0x64 },   { 0x92, 0x92 },	 { SERIAL, SERIAL + 7 },
		     { 0x4d0, 0x4d1 }, { 0x505, 0x505 }, { 0x600, 0x63f },
		     { 0xcf8, 0xcff } };

	for (unsigned i = 0; i < ARRAY_COUNT(left); i++)
		if (port + bytes > left[i].from && port <= left[i].to)
			return true;
	return false;
}

static void ports_read(void)
{
	const unsigned step = param_is_set("full") ? 1 : 61;
	unsigned silent = 0, total = 0;

	for (unsigned port = 0x400; port < 0x10000; port += step) {
		if (is_left_out((uint16_t)port, 4))
			continue;
		silent += port_read8((uint16_t)port) == 0xff &&
			  port_read16((uint16_t)port) == 0xffff &&
			  port_read32((uint16_t)port) == 0xffffffff;
		total++;
	}
	ok(silent == total, "H58 ports: %u of %u above 0x400 read as all ones", silent, total);
}

/* PIC, PIT, speaker, DMA, RTC, floppy, disks, parallel, delay and debug ports. */
static void ports_written(void)
{
	static const uint16_t ports[] = { 0x00,	 0x08,	0x0f,  0x40,  0x41,  0x42,  0x43,
					  0x60,	 0x61,	0x70,  0x71,  0x80,  0x81,  0x8f,
					  0xc0,	 0xde,	0xe9,  0xed,  0xf0,  0x170, 0x1f7,
					  0x278, 0x2f8, 0x376, 0x378, 0x3f2, 0x402, 0xb2 };
	unsigned value;

	for (value = 0; value < 0x100; value += 5)
		for (unsigned i = 0; i < ARRAY_COUNT(ports); i++) {
			port_write8(ports[i], (uint8_t)value);
			port_read8(ports[i]);
		}
	for (unsigned i = 0; i < ARRAY_COUNT(ports); i++) {
		port_write16(ports[i], 0xa5a5);
		port_write32(ports[i], 0x5a5a5a5a);
	}
	/* Halves of the keyboard controller's and the chipset's resets. */
	for (value = 0; value < 0x100; value++) {
		if (value != 0xfe)
			port_write8(0x64, (uint8_t)value);
		if (!(value & 4))
			port_write8(0xcf9, (uint8_t)value);
	}
	port_write16(0xcf9, 0xffff);
	port_write16(0xcf8, 0xffff);
	ok(true, "H58 ports: any values to devices of old, and halves of resets");
}

/* ---- Addresses ---- */

static void addresses(void)
{
	const uint64_t places[] = { HOLE_GPA, NOWHERE_GPA };
	bool good = true;

	for (unsigned i = 0; i < ARRAY_COUNT(places); i++) {
		x86_map(places[i], 0x200000);
		for (uint64_t gpa = places[i]; gpa < places[i] + 0x2000; gpa += 0x7f) {
			mmio_write64(gpa, 0);
			mmio_write32(gpa, 0);
			mmio_write16(gpa, 0);
			mmio_write8(gpa, 0);
			good = good && mmio_read64(gpa) == UINT64_MAX &&
			       mmio_read32(gpa) == 0xffffffff && mmio_read16(gpa) == 0xffff &&
			       mmio_read8(gpa) == 0xff;
		}
	}
	ok(good, "H58 addresses: nobody there: all ones, of any width and alignment");
}

static void test(struct victim *victim)
{
	if (victim->number)
		return;
	serial_loopback();
	serial_storm();
	serial_garbage();
	serial_widths();
	ports_read();
	ports_written();
	addresses();
}

void guest_main(void)
{
	hostile_run(test);
}
