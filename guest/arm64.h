/* SPDX-License-Identifier: MIT */
/* What the arm64 files of the guests share, and the instructions that C does not have. */
#ifndef GUEST_ARM64_H
#define GUEST_ARM64_H

#define ARM64_CPU_MAX	512
#define ARM64_CPU_STACK 4096

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define sysreg_read(name)                                          \
	({                                                         \
		uint64_t sysreg_value;                             \
		__asm__ volatile("mrs %0, " name : "=r"(sysreg_value)); \
		sysreg_value;                                      \
	})
#define sysreg_write(name, value) \
	__asm__ volatile("msr " name ", %0\n\tisb" : : "r"((uint64_t)(value)) : "memory")

/* arm64_memory.c: the page tables. RAM is cacheable, everything else a device. */
void arm64_memory_init(void);
void arm64_mmu_on(void);

/* arm64_tree.c: a reader of flattened device trees (Devicetree Specification 0.4, chapter 5). */
struct tree_node {
	const uint8_t *at; /* behind its name; NULL: none */
	const char *name;
};

void tree_init(uint64_t tree_gpa);
/* The first node, behind `after` or from the start, that has a string of the property equal to
 * `value`. */
struct tree_node tree_find(struct tree_node after, const char *property, const char *value);
struct tree_node tree_path(const char *path);
/* NULL if it is not there. */
const void *tree_property(struct tree_node node, const char *name, uint32_t *bytes);
/* A cell, or `count` (1, 2) of them, at this cell of the property; 0 if it is too short. */
uint64_t tree_cells(struct tree_node node, const char *name, unsigned first, unsigned count);

/* arm64_gic.c */
void arm64_gic_init(void);
void arm64_gic_init_cpu(void);
/* arm64_its.c: message interrupts by the ITS. */
bool arm64_its_init(void);
void arm64_its_init_cpu(uint64_t redistributor_gpa);
#define ARM64_LPI_FIRST 8192
/* The line that a device's LPI stands for. */
unsigned arm64_its_line(uint32_t interrupt);
struct arm64_message {
	uint64_t address;
	uint32_t data;
};
struct arm64_message arm64_its_message(unsigned line, unsigned cpu);

/* arm64_cpu.c: what the tree lists, as MPIDRs. */
struct arm64_cpus {
	unsigned count;
	uint64_t mpidr[ARM64_CPU_MAX];
};
extern struct arm64_cpus arm64_cpus;
void arm64_cpu_init(void);
unsigned arm64_cpu_self(void);
/* A call of the firmware's (Power State Coordination Interface); what it returns. */
uint64_t arm64_psci(uint64_t function, uint64_t a, uint64_t b, uint64_t c);

/* What arm64_start.S saves. */
struct arm64_frame {
	uint64_t x[19], lr, elr, spsr;
};
void arm64_exception(struct arm64_frame *frame, uint64_t kind);
/* arm64_gic.c: while it is expected, a data abort is noted and its instruction skipped. */
struct arm64_abort {
	bool expected;
	unsigned count;
	uint64_t syndrome, address;
};
extern volatile struct arm64_abort arm64_abort;
void arm64_boot(uint64_t tree_gpa);
void arm64_ap_main(uint64_t cpu);
#endif
#endif
