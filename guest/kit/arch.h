/* SPDX-License-Identifier: MIT */
/*
 * What an architecture supplies to a guest, and what it found out about the machine. guest/x86_*.c
 * is one implementation; a guest that includes only kit/ headers runs on each. One CPU runs the
 * guest; interrupts are off but within arch_wait_ns(), so handlers never race with it.
 */
#ifndef GUEST_KIT_ARCH_H
#define GUEST_KIT_ARCH_H

#include "kit/mmio.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLATFORM_RAM_MAX 16
#define MESSAGE_CPUS	 2 /* the first ones, which messages are sent to */

struct range {
	uint64_t base, bytes;
};

struct platform {
	struct range ram[PLATFORM_RAM_MAX]; /* usable RAM, as the VMM lists it */
	unsigned ram_count;
	uint64_t ecam_gpa; /* 0: none */
	uint8_t bus_first, bus_last;
	struct range window32, window64; /* where PCI BARs may be put; bytes 0: none */
	unsigned cpu_count;
	char params[1024]; /* command line */
	const char *boot;  /* "PVH", "Linux" or "32-bit Linux": the way in */
};

extern struct platform platform;

/* The whole of a guest's own code. Returning powers the machine off. */
void guest_main(void);

/* Serial port, polled. get: the next byte, or -1. */
void arch_put(const char *bytes, size_t count);
int arch_get(void);

/* Nanoseconds since some moment of start-up; monotonic. */
uint64_t arch_now_ns(void);
/* Halts with interrupts on until one arrives, `ns` at most. */
void arch_wait_ns(uint64_t ns);
/* The same within a loop that waits for something, on the CPU that runs the guest: before it does
 * what is to be done meanwhile, if anything. */
void wait_step(uint64_t ns);
extern void (*wait_hook)(void);
/* All of that time, whatever arrives. */
void wait_ns(uint64_t ns);

/*
 * Message interrupts. A line is a number that counts what arrived; its message, written to the
 * address by a device, raises it on `cpu` (0 is the one that runs the guest).
 */
struct message {
	uint64_t address;
	uint32_t data;
};

unsigned arch_line_new(void);
struct message arch_line_message(unsigned line, unsigned cpu);
/* What `cpu` took, below MESSAGE_CPUS; the last one has those of all that follow, too. */
uint64_t arch_line_count_on(unsigned line, unsigned cpu);
static inline uint64_t arch_line_count(unsigned line)
{
	uint64_t count = 0;

	for (unsigned cpu = 0; cpu < MESSAGE_CPUS; cpu++)
		count += arch_line_count_on(line, cpu);
	return count;
}
/* Called at each arrival, before the interrupt is ended; NULL: nothing. A level must be lowered
 * there. */
void arch_line_hook(unsigned line, void (*hook)(void));
/* A line that every pin for PCI's INTx raises, while it is high. */
unsigned arch_intx_line(void);
/* Waits till the count is at least `count`, `ns` at most. */
bool line_wait(unsigned line, uint64_t count, uint64_t ns);

/* Makes [gpa, gpa + bytes) accessible at its own address. */
void arch_map(uint64_t gpa, uint64_t bytes);

/* Whether device memory takes accesses that are not aligned to their width. */
bool arch_mmio_unaligned(void);

/* Starts CPU `cpu` (1 ..) in `entry` on a small stack; false if it did not come up in 10 s. */
bool arch_cpu_start(unsigned cpu, void (*entry)(unsigned cpu));
/* CPU 1, at the first call; bails out if it did not come up. */
void second_cpu_start(void (*entry)(unsigned cpu));
/* Whether the calling CPU is the one that the firmware's tables call `cpu`. */
bool arch_cpu_is(unsigned cpu);
/* Raises a line on another CPU. */
void arch_cpu_interrupt(unsigned cpu, unsigned line);
/*
 * Whether interrupts reach every CPU of this machine: an x2APIC, affinity routing, or no more CPUs
 * than a controller without that has interfaces for.
 */
bool arch_interrupts_reach_all(void);
/* Halts the calling CPU for good, or till its next interrupt. */
void arch_cpu_pause(void);

__attribute__((noreturn)) void arch_power_off(void);
__attribute__((noreturn)) void arch_reset(void);
/* Something that no machine survives. */
__attribute__((noreturn)) void arch_crash(void);
/* Tells the VMM of a panic; returns. False if there is no such device. */
bool arch_panic_notify(void);

/* Full barrier: our ring store is seen before we read the device's event index. */
static inline void arch_full_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#endif
