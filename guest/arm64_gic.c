// SPDX-License-Identifier: MIT
/*
 * Interrupts and clock: a GICv3 or a GICv2, message interrupts by the ITS or a GICv2M frame, and
 * the virtual timer. The handler only counts, on the CPU that takes the interrupt. Offsets are
 * those of Arm's GIC architecture specification.
 */
#include "arm64.h"
#include "kit/arch.h"
#include "kit/tap.h"
#include "kit/text.h"

#define GICD_CTLR	 0x0000
#define GICD_IGROUPR	 0x0080
#define GICD_ISENABLER	 0x0100
#define GICD_IPRIORITYR	 0x0400
#define GICD_ITARGETSR	 0x0800
#define GICD_ICFGR	 0x0c00
#define GICD_SGIR	 0x0f00
#define GICD_IROUTER	 0x6000
#define GICD_CTLR_V3	 0x12 /* ARE, group 1 */
#define GICD_CTLR_RWP	 0x80000000
#define GICR_CTLR	 0x0000
#define GICR_TYPER	 0x0008
#define GICR_WAKER	 0x0014
#define GICR_SLEEP	 0x2
#define GICR_ASLEEP	 0x4
#define GICR_LAST	 0x10
#define GICR_BYTES	 0x20000
#define GICR_SGI	 0x10000
#define GICC_CTLR	 0x0000
#define GICC_PMR	 0x0004
#define GICC_IAR	 0x000c
#define GICC_EOIR	 0x0010
#define V2M_TYPER	 0x008
#define V2M_SETSPI	 0x040
#define PRIORITY	 0xa0a0a0a0
#define NS_PER_S	 1000000000u
#define WAIT_NS_MAX	 UINT32_MAX

#define SPI_FIRST	 32
#define SPI_LAST	 1019
#define TIMER_PPI	 27
#define SPURIOUS	 1020
#define MAP_CHILD_CELLS	 4
#define IRQ_KIND	 1 /* of a vector in each group of four */
#define SYNCHRONOUS_KIND 0
#define CLASS_DATA_ABORT 0x25 /* of this level; ESR_EL1 bits 26 to 31 */
#define INSTRUCTION_BYTES 4
#define LINES		 256
#define SGIS		 16
#define GICV2_CPUS_MAX	 8

static struct {
	bool v3, its;
	uint64_t distributor, cpu_interface, redistributors, redistributor_bytes, frame;
	uint64_t next_spi; /* of the GICv2M frame */
} gic;
static volatile uint64_t line_counts[MESSAGE_CPUS][LINES];
static void (*line_hooks[LINES])(void);
static uint8_t spi_lines[SPI_LAST + 1], sgi_lines[SGIS];
static unsigned next_line = 1, next_sgi;
static uint64_t clock_start, clock_hz, ns_per_tick_32; /* nanoseconds in 2^-32 */
volatile struct arm64_abort arm64_abort;

/* ---- Taking them ---- */

static void line_taken(unsigned line)
{
	unsigned cpu = arm64_cpu_self();

	if (cpu >= MESSAGE_CPUS)
		cpu = MESSAGE_CPUS - 1;
	__atomic_fetch_add(&line_counts[cpu][line], 1, __ATOMIC_RELAXED);
	if (line_hooks[line])
		line_hooks[line]();
}

static void interrupt_taken(uint32_t interrupt)
{
	if (interrupt == TIMER_PPI)
		sysreg_write("cntv_ctl_el0", 0);
	else if (interrupt >= ARM64_LPI_FIRST)
		line_taken(arm64_its_line(interrupt));
	else if (interrupt < SGIS)
		line_taken(sgi_lines[interrupt]);
	else if (interrupt <= SPI_LAST && spi_lines[interrupt])
		line_taken(spi_lines[interrupt]);
}

static void take_interrupts(void)
{
	for (;;) {
		uint32_t acknowledged = gic.v3 ? (uint32_t)sysreg_read("s3_0_c12_c12_0")
					       : mmio_read32(gic.cpu_interface + GICC_IAR);
		uint32_t interrupt = gic.v3 ? acknowledged : acknowledged & 0x3ff;

		if (interrupt >= SPURIOUS && interrupt < ARM64_LPI_FIRST)
			return;
		interrupt_taken(interrupt);
		if (gic.v3)
			sysreg_write("s3_0_c12_c12_1", acknowledged);
		else
			mmio_write32(gic.cpu_interface + GICC_EOIR, acknowledged);
	}
}

static bool take_abort(struct arm64_frame *frame)
{
	/* KVM of Linux 6.1 fills the upper half with copies of the topmost bit. */
	uint64_t syndrome = (uint32_t)sysreg_read("esr_el1");

	if (!arm64_abort.expected || syndrome >> 26 != CLASS_DATA_ABORT)
		return false;
	arm64_abort.count++;
	arm64_abort.syndrome = syndrome;
	arm64_abort.address = sysreg_read("far_el1");
	frame->elr += INSTRUCTION_BYTES;
	return true;
}

void arm64_exception(struct arm64_frame *frame, uint64_t kind)
{
	if (kind % 4 == IRQ_KIND) {
		take_interrupts();
		return;
	}
	if (kind % 4 == SYNCHRONOUS_KIND && take_abort(frame))
		return;
	bail_out("exception %lu at %lx, syndrome %lx, address %lx", kind, frame->elr,
		 sysreg_read("esr_el1"), sysreg_read("far_el1"));
}

/* ---- Setting up ---- */

static uint64_t redistributor_of_self(void)
{
	uint64_t mpidr = sysreg_read("mpidr_el1");
	uint64_t affinity = (mpidr >> 32 & 0xff) << 24 | (mpidr & 0xffffff);

	for (uint64_t at = 0; at < gic.redistributor_bytes; at += GICR_BYTES) {
		uint64_t type = mmio_read64(gic.redistributors + at + GICR_TYPER);

		if (type >> 32 == affinity)
			return gic.redistributors + at;
		if (type & GICR_LAST)
			break;
	}
	bail_out("no redistributor for CPU %lx", mpidr);
}

static void init_cpu_v3(void)
{
	uint64_t own = redistributor_of_self();

	mmio_write32(own + GICR_WAKER, mmio_read32(own + GICR_WAKER) & ~GICR_SLEEP);
	while (mmio_read32(own + GICR_WAKER) & GICR_ASLEEP)
		;
	mmio_write32(own + GICR_SGI + GICD_IGROUPR, UINT32_MAX);
	for (unsigned i = 0; i < 32; i += 4)
		mmio_write32(own + GICR_SGI + GICD_IPRIORITYR + i, PRIORITY);
	mmio_write32(own + GICR_SGI + GICD_ISENABLER, 1u << TIMER_PPI | 0xffff);
	sysreg_write("s3_0_c12_c12_5", sysreg_read("s3_0_c12_c12_5") | 1); /* ICC_SRE */
	sysreg_write("s3_0_c4_c6_0", 0xff);				       /* ICC_PMR */
	sysreg_write("s3_0_c12_c12_4", 0);				       /* ICC_CTLR */
	sysreg_write("s3_0_c12_c12_7", 1);				       /* ICC_IGRPEN1 */
	if (gic.its)
		arm64_its_init_cpu(own);
}

static void init_cpu_v2(void)
{
	for (unsigned i = 0; i < 32; i += 4)
		mmio_write32(gic.distributor + GICD_IPRIORITYR + i, PRIORITY);
	mmio_write32(gic.distributor + GICD_ISENABLER, 1u << TIMER_PPI | 0xffff);
	mmio_write32(gic.cpu_interface + GICC_PMR, 0xff);
	mmio_write32(gic.cpu_interface + GICC_CTLR, 1);
}

void arm64_gic_init_cpu(void)
{
	if (gic.v3)
		init_cpu_v3();
	else
		init_cpu_v2();
}

static void find_gic(void)
{
	const struct tree_node none = { 0 };
	struct tree_node node = tree_find(none, "compatible", "arm,gic-v3");

	gic.v3 = node.at;
	if (!gic.v3)
		node = tree_find(none, "compatible", "arm,cortex-a15-gic");
	if (!node.at)
		node = tree_find(none, "compatible", "arm,gic-400");
	if (!node.at)
		bail_out("no interrupt controller in the device tree");
	gic.distributor = tree_cells(node, "reg", 0, 2);
	gic.cpu_interface = tree_cells(node, "reg", 4, 2);
	gic.redistributors = gic.cpu_interface;
	gic.redistributor_bytes = tree_cells(node, "reg", 6, 2);
	gic.frame = tree_cells(tree_find(none, "compatible", "arm,gic-v2m-frame"), "reg", 0, 2);
}

void arm64_gic_init(void)
{
	clock_hz = sysreg_read("cntfrq_el0");
	ns_per_tick_32 = ((uint64_t)NS_PER_S << 32) / clock_hz;
	clock_start = sysreg_read("cntvct_el0");
	find_gic();
	mmio_write32(gic.distributor + GICD_CTLR, gic.v3 ? GICD_CTLR_V3 : 1);
	while (gic.v3 && mmio_read32(gic.distributor + GICD_CTLR) & GICD_CTLR_RWP)
		;
	gic.its = gic.v3 && arm64_its_init();
	if (gic.frame)
		gic.next_spi = mmio_read32(gic.frame + V2M_TYPER) >> 16 & 0x3ff;
	arm64_gic_init_cpu();
}

/* ---- Clock ---- */

uint64_t arch_now_ns(void)
{
	uint64_t ticks;

	__asm__ volatile("isb");
	ticks = sysreg_read("cntvct_el0") - clock_start;
	return (uint64_t)(((unsigned __int128)ticks * ns_per_tick_32) >> 32);
}

void arch_wait_ns(uint64_t ns)
{
	uint64_t ticks = (ns > WAIT_NS_MAX ? WAIT_NS_MAX : ns) * clock_hz / NS_PER_S;

	sysreg_write("cntv_cval_el0", sysreg_read("cntvct_el0") + ticks + 1);
	sysreg_write("cntv_ctl_el0", 1);
	arch_cpu_pause();
	sysreg_write("cntv_ctl_el0", 0);
}

/* ---- Lines ---- */

unsigned arch_line_new(void)
{
	if (next_line == LINES)
		bail_out("out of interrupt lines");
	return next_line++;
}

static void spi_enable(unsigned spi, unsigned line, unsigned cpu, bool level)
{
	uint64_t config = gic.distributor + GICD_ICFGR + spi / 16 * 4;
	uint32_t edge = 2u << spi % 16 * 2;
	uint64_t bank = gic.distributor + spi / 32 * 4;

	spi_lines[spi] = (uint8_t)line;
	mmio_write32(config, level ? mmio_read32(config) & ~edge : mmio_read32(config) | edge);
	mmio_write8(gic.distributor + GICD_IPRIORITYR + spi, (uint8_t)PRIORITY);
	if (gic.v3) {
		mmio_write32(bank + GICD_IGROUPR,
			     mmio_read32(bank + GICD_IGROUPR) | 1u << spi % 32);
		mmio_write64(gic.distributor + GICD_IROUTER + spi * 8ul, arm64_cpus.mpidr[cpu]);
	} else {
		mmio_write8(gic.distributor + GICD_ITARGETSR + spi, (uint8_t)(1u << cpu));
	}
	mmio_write32(bank + GICD_ISENABLER, 1u << spi % 32);
}

/* A frame's pins are given out once: the same one again for the same line and processor. */
static struct message frame_message(unsigned line, unsigned cpu)
{
	static uint16_t spis[LINES][MESSAGE_CPUS];

	if (cpu >= MESSAGE_CPUS || gic.next_spi > SPI_LAST)
		bail_out("no pin left for messages");
	if (!spis[line][cpu]) {
		spis[line][cpu] = (uint16_t)gic.next_spi++;
		spi_enable(spis[line][cpu], line, cpu, false);
	}
	return (struct message){ gic.frame + V2M_SETSPI, spis[line][cpu] };
}

struct message arch_line_message(unsigned line, unsigned cpu)
{
	struct arm64_message message;

	if (gic.frame)
		return frame_message(line, cpu);
	if (!gic.its)
		bail_out("this machine has no message interrupts");
	message = arm64_its_message(line, cpu);
	return (struct message){ message.address, message.data };
}

uint64_t arch_line_count_on(unsigned line, unsigned cpu)
{
	return line_counts[cpu][line];
}

void arch_line_hook(unsigned line, void (*hook)(void))
{
	line_hooks[line] = hook;
}

/* Every pin that the host bridge's interrupt-map names. */
unsigned arch_intx_line(void)
{
	static unsigned line;
	const struct tree_node none = { 0 };
	struct tree_node bridge = tree_find(none, "compatible", "pci-host-ecam-generic");
	struct tree_node parent = tree_find(none, "compatible",
					    gic.v3 ? "arm,gic-v3" : "arm,cortex-a15-gic");
	unsigned address_cells = (unsigned)tree_cells(parent, "#address-cells", 0, 1);
	unsigned row = MAP_CHILD_CELLS + 1 + address_cells + 3;
	uint32_t bytes = 0;

	if (line)
		return line;
	line = arch_line_new();
	tree_property(bridge, "interrupt-map", &bytes);
	for (unsigned at = 0; (at + row) * 4 <= bytes; at += row) {
		unsigned pin = at + MAP_CHILD_CELLS + 1 + address_cells;
		uint64_t number = tree_cells(bridge, "interrupt-map", pin + 1, 1);
		unsigned spi = SPI_FIRST + (unsigned)number;

		if (!spi_lines[spi])
			spi_enable(spi, line, 0, true);
	}
	return line;
}

void arch_cpu_interrupt(unsigned cpu, unsigned line)
{
	uint64_t mpidr = arm64_cpus.mpidr[cpu];
	unsigned sgi = 0;

	while (sgi < next_sgi && sgi_lines[sgi] != line)
		sgi++;
	if (sgi == SGIS)
		bail_out("out of interrupts between processors");
	if (sgi == next_sgi)
		sgi_lines[next_sgi++] = (uint8_t)line;
	__asm__ volatile("dsb ishst" : : : "memory");
	if (gic.v3)
		sysreg_write("s3_0_c12_c11_5", (mpidr >> 32 & 0xff) << 48 |
						       (mpidr >> 16 & 0xff) << 32 |
						       (uint64_t)sgi << 24 |
						       (mpidr >> 8 & 0xff) << 16 |
						       UINT64_C(1) << (mpidr & 0xf));
	else
		mmio_write32(gic.distributor + GICD_SGIR, 1u << (16 + cpu) | sgi);
}

bool arch_interrupts_reach_all(void)
{
	return gic.v3 || platform.cpu_count <= GICV2_CPUS_MAX;
}
