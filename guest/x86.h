/* SPDX-License-Identifier: MIT */
/*
 * What the x86 files of the guests share, and the instructions that C does not have. Included by
 * x86_start.S too. Guests that test x86 itself (ports, CF8, APIC) may include it.
 */
#ifndef GUEST_X86_H
#define GUEST_X86_H

#define SELECTOR_CODE32 0x08
#define SELECTOR_CODE	0x10
#define SELECTOR_DATA	0x18

#define BOOT_PVH     1
#define BOOT_LINUX   2
#define BOOT_LINUX32 3

#define X86_AP_START 0x8000 /* one page, below 1 MiB */
#define X86_AP_STACK 4096
#define X86_CPU_MAX  512

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline void port_write8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void port_write16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void port_write32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t port_read8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint16_t port_read16(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint32_t port_read32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

/* One access of a byte after the other to the same port. */
static inline void port_read_string(uint16_t port, void *to, size_t count)
{
	__asm__ volatile("cld; rep insb" : "+D"(to), "+c"(count) : "d"(port) : "memory");
}

static inline void port_write_string(uint16_t port, const void *from, size_t count)
{
	__asm__ volatile("cld; rep outsb" : "+S"(from), "+c"(count) : "d"(port) : "memory");
}

static inline uint64_t msr_read(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void msr_write(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(msr)
			 : "memory");
}

static inline uint64_t tsc_read(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid_read(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid id;

	__asm__ volatile("cpuid"
			 : "=a"(id.eax), "=b"(id.ebx), "=c"(id.ecx), "=d"(id.edx)
			 : "a"(leaf), "c"(subleaf));
	return id;
}

/* Identity-maps [gpa, gpa + bytes) in 2 MiB pages; what is mapped already stays. */
void x86_map(uint64_t gpa, uint64_t bytes);

/* x86_interrupt.c: IDT, local APIC and clock. x86_interrupt_init() once, x86_apic_init() on each
 * CPU. */
void x86_interrupt_init(void);
void x86_apic_init(void);
uint32_t x86_apic_id(void);
bool x86_apic_is_x2(void);
void x86_apic_send(uint32_t apic_id, uint32_t command);
__attribute__((noreturn)) void x86_triple_fault(void);

/* x86_acpi.c: fills in `platform` (kit/arch.h) from the tables that the RSDP names. */
void x86_acpi_read(uint64_t rsdp_gpa);

/* x86_cpu.c: what MADT lists, as APIC ids. */
struct x86_cpus {
	unsigned count;
	uint32_t apic_id[X86_CPU_MAX];
};
extern struct x86_cpus x86_cpus;
#endif
#endif
