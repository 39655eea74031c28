// SPDX-License-Identifier: MIT
/*
 * ACPI without an interpreter: the fixed tables, and from the DSDT by their byte patterns only the
 * host bridge's memory windows and the sleep type of S5. Ends and resets the machine.
 */
#include "kit/arch.h"
#include "kit/tap.h"
#include "kit/text.h"
#include "x86.h"

#define PANIC_PORT     0x505
#define PANIC_PANICKED 0x01
/* The way out of a board without ACPI. */
#define KEYBOARD_COMMAND 0x64
#define KEYBOARD_RESET	 0xfe

struct __attribute__((packed)) rsdp {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt_gpa, length;
	uint64_t xsdt_gpa;
};

struct __attribute__((packed)) table {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[26];
};

struct __attribute__((packed)) address {
	uint8_t space, width, offset, access;
	uint64_t address;
};

struct __attribute__((packed)) fadt {
	struct table table;
	uint32_t facs_gpa, dsdt_gpa;
	uint8_t skipped[20];
	uint32_t pm1a_control_port;
	uint8_t skipped2[44];
	uint32_t flags;
	struct address reset;
	uint8_t reset_value;
	uint8_t skipped3[3];
	uint64_t x_facs_gpa, x_dsdt_gpa;
	uint8_t skipped4[96];
	struct address sleep_control, sleep_status;
};

static_assert(sizeof(struct table) == 36);
static_assert(offsetof(struct fadt, pm1a_control_port) == 64);
static_assert(offsetof(struct fadt, flags) == 112);
static_assert(offsetof(struct fadt, reset_value) == 128);
static_assert(offsetof(struct fadt, x_dsdt_gpa) == 140);
static_assert(offsetof(struct fadt, sleep_control) == 244);

#define QWORD_BYTES 46
#define DWORD_BYTES 26
#define S5_BYTES    9

#define FADT_RESET_SUPPORTED (1u << 10)
#define FADT_HW_REDUCED	     (1u << 20)

/* Where power-off and reset are written; nothing else outlives x86_acpi_read(). */
static struct {
	struct address sleep, reset;
	uint16_t pm1a_control_port;
	uint8_t sleep_type, reset_value;
} power;

static void write_address(const struct address *to, uint8_t value)
{
	if (to->space == 1)
		port_write8((uint16_t)to->address, value);
	else
		mmio_write8(to->address, value);
}

static uint64_t load(const uint8_t *from, unsigned bytes)
{
	uint64_t value = 0;

	while (bytes--)
		value = value << 8 | from[bytes];
	return value;
}

/* A memory window is a QWord (0x8a) or DWord (0x87) address space descriptor of type 0. */
static void read_window(const uint8_t *at, unsigned field_bytes)
{
	const uint8_t *fields = at + 6;
	uint64_t base = load(fields + field_bytes, field_bytes);
	uint64_t bytes = load(fields + 4 * field_bytes, field_bytes);
	struct range *window = base < UINT64_C(1) << 32 ? &platform.window32 : &platform.window64;

	/* The VGA hole is a window too, on some boards. */
	if (base >= 0x100000 && bytes > window->bytes)
		*window = (struct range){ base, bytes };
}

static void read_sleep_type(const uint8_t *at)
{
	/* Package, its length in one byte, its count, then an integer: ByteConst or Zero or One. */
	if (at[4] != 0x12 || at[5] & 0xc0)
		return;
	power.sleep_type = at[7] == 0x0a ? at[8] : at[7];
}

static void read_dsdt(const struct table *dsdt)
{
	const uint8_t *at = (const uint8_t *)dsdt;
	const uint8_t *end = at + dsdt->length;

	for (at += sizeof(*dsdt); at + S5_BYTES <= end; at++) {
		if (at[0] == 0x8a && at[1] == 0x2b && !at[2] && !at[3] && at + QWORD_BYTES <= end)
			read_window(at, 8);
		else if (at[0] == 0x87 && at[1] == 0x17 && !at[2] && !at[3] &&
			 at + DWORD_BYTES <= end)
			read_window(at, 4);
		else if (at[0] == '_' && !memcmp(at, "_S5_", 4))
			read_sleep_type(at);
	}
}

static void read_fadt(const struct fadt *fadt)
{
	uint64_t dsdt_gpa = fadt->dsdt_gpa;

	if (fadt->table.length >= offsetof(struct fadt, skipped4) && fadt->x_dsdt_gpa)
		dsdt_gpa = fadt->x_dsdt_gpa;
	if (fadt->flags & FADT_RESET_SUPPORTED) {
		power.reset = fadt->reset;
		power.reset_value = fadt->reset_value;
	}
	if (fadt->flags & FADT_HW_REDUCED)
		power.sleep = fadt->sleep_control;
	else
		power.pm1a_control_port = (uint16_t)fadt->pm1a_control_port;
	if (dsdt_gpa)
		read_dsdt((const struct table *)dsdt_gpa);
}

static void read_mcfg(const struct table *table)
{
	const uint8_t *entry = (const uint8_t *)table + sizeof(*table) + 8;

	if (table->length < sizeof(*table) + 24)
		return;
	platform.ecam_gpa = load(entry, 8);
	platform.bus_first = entry[10];
	platform.bus_last = entry[11];
	x86_map(platform.ecam_gpa + ((uint64_t)platform.bus_first << 20),
		((uint64_t)platform.bus_last - platform.bus_first + 1) << 20);
}

static void add_cpu(uint32_t apic_id, uint32_t flags)
{
	if (flags & 1 && x86_cpus.count < X86_CPU_MAX)
		x86_cpus.apic_id[x86_cpus.count++] = apic_id;
}

static void read_madt(const struct table *table)
{
	const uint8_t *at = (const uint8_t *)table + sizeof(*table) + 8;
	const uint8_t *end = (const uint8_t *)table + table->length;

	for (; at + 2 <= end && at[1]; at += at[1]) {
		if (at[0] == 0)
			add_cpu(at[3], (uint32_t)load(at + 4, 4));
		else if (at[0] == 9)
			add_cpu((uint32_t)load(at + 4, 4), (uint32_t)load(at + 8, 4));
	}
}

static void read_table(const struct table *table)
{
	if (!memcmp(table->signature, "FACP", 4))
		read_fadt((const void *)table);
	else if (!memcmp(table->signature, "MCFG", 4))
		read_mcfg(table);
	else if (!memcmp(table->signature, "APIC", 4))
		read_madt(table);
}

void x86_acpi_read(uint64_t rsdp_gpa)
{
	const struct rsdp *rsdp = (const void *)rsdp_gpa;
	const struct table *root;
	unsigned entry_bytes;

	if (!rsdp_gpa) {
		add_cpu(x86_apic_id(), 1);
		return;
	}
	entry_bytes = rsdp->revision >= 2 && rsdp->xsdt_gpa ? 8 : 4;
	root = (const void *)(entry_bytes == 8 ? rsdp->xsdt_gpa : rsdp->rsdt_gpa);
	for (uint32_t at = sizeof(*root); at + entry_bytes <= root->length; at += entry_bytes)
		read_table((const void *)load((const uint8_t *)root + at, entry_bytes));
	if (!x86_cpus.count)
		bail_out("no CPU in the MADT");
}

/* What is asked of the board may take a while: another thread of the VMM does it. */
__attribute__((noreturn)) static void stay(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

void arch_power_off(void)
{
	if (power.sleep.address)
		write_address(&power.sleep, (uint8_t)(power.sleep_type << 2 | 1 << 5));
	else if (power.pm1a_control_port)
		port_write16(power.pm1a_control_port, (uint16_t)(power.sleep_type << 10 | 1 << 13));
	else
		port_write8(KEYBOARD_COMMAND, KEYBOARD_RESET);
	stay();
}

void arch_reset(void)
{
	if (power.reset.address)
		write_address(&power.reset, power.reset_value);
	stay();
}

bool arch_panic_notify(void)
{
	uint8_t events = port_read8(PANIC_PORT);

	if (events == 0xff || !(events & PANIC_PANICKED))
		return false;
	port_write8(PANIC_PORT, PANIC_PANICKED);
	return true;
}
