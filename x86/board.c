// SPDX-License-Identifier: MIT
/*
 * hw/board.h for x86: the devices at the addresses of layout.h, and the way
 * into a kernel. Control thread.
 */
#include "hw/board.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "boot/boot_file.h"
#include "core/vcpu.h"
#include "hw/board_irq.h"
#include "hw/i8042.h"
#include "hw/power.h"
#include "hw/pvpanic.h"
#include "hw/serial.h"
#include "x86/acpi_tables.h"
#include "x86/arch_vm.h"
#include "x86/kernel.h"
#include "x86/layout.h"
#include "x86/memory_map.h"
#include "x86/reset_vector.h"
#include "x86/vcpu_regs.h"

enum { SERIAL_IRQ, EVENT_IRQ, IRQS };

struct board {
	const struct board_config *config;
	struct vm *vm;
	struct boot_files files;
	struct pci_window window64;
	struct board_irq irqs[IRQS];
	struct serial *serial;
	struct power power;
	struct pvpanic pvpanic;
	struct i8042 i8042;
	struct pci_host pci_host;
};

static const uint32_t gsis[IRQS] = {
	[SERIAL_IRQ] = LAYOUT_SERIAL_GSI,
	[EVENT_IRQ] = LAYOUT_EVENT_GSI,
};

static const struct pci_window window32 = {
	.base = LAYOUT_PCI_WINDOW32_GPA, .size = LAYOUT_PCI_WINDOW32_BYTES,
};

static int make_serial(struct board *board)
{
	const struct serial_config config = {
		.bus = &board->vm->ports,
		.base = LAYOUT_SERIAL_PORT,
		.irq_event_fd = board->irqs[SERIAL_IRQ].event_fd,
		.terminal = board->config->serial_terminal,
		.worker = board->config->worker,
		.trace = board->config->trace,
	};

	return serial_create(&board->serial, &config);
}

static int make_power(struct board *board)
{
	const struct power_config config = {
		.bus = &board->vm->ports,
		.base = LAYOUT_POWER_PORT,
		.event_fd = board->irqs[EVENT_IRQ].event_fd,
		.requests = board->vm->requests,
	};

	return power_init(&board->power, &config);
}

static int make_pci_host(struct board *board)
{
	struct vm *vm = board->vm;
	struct pci_host_config config = {
		.mmio = &vm->mmio,
		.ports = &vm->ports,
		.irqs = &vm->irqs,
		.kvm = &vm->kvm,
		.ecam_base = LAYOUT_ECAM_GPA,
		.bus_count = LAYOUT_PCI_BUSES,
		.memory32 = window32,
		.memory64 = board->window64,
	};

	for (uint32_t i = 0; i < ARRAY_SIZE(config.intx_gsis); i++)
		config.intx_gsis[i] = LAYOUT_INTX_GSI + i;
	return pci_host_init(&board->pci_host, &config);
}

int board_create(struct board **created, const struct board_config *config, struct vm *vm)
{
	struct board *board = calloc(1, sizeof(*board));
	int error;

	if (!board)
		return fail_host(ENOMEM, "board: out of memory");
	board->config = config;
	board->vm = vm;
	/* arch_vm_add_memory() has seen to it that there is one. */
	pci_window64(ram_end_gpa(vm->config.memory_bytes), vm->arch->physical_bits,
		     &board->window64);
	error = boot_files_open(&board->files, config->kernel_path, config->initrd_path);
	if (error)
		goto free_board;
	error = board_irqs_open(board->irqs, &vm->irqs, gsis, IRQS);
	if (error)
		goto close_files;
	error = make_serial(board);
	if (error)
		goto undo_irqs;
	error = make_power(board);
	if (error)
		goto undo_serial;
	error = pvpanic_init(&board->pvpanic, &vm->ports, LAYOUT_PVPANIC_PORT, vm->requests);
	if (error)
		goto undo_power;
	error = i8042_init(&board->i8042, &vm->ports, LAYOUT_I8042_PORT, vm->requests);
	if (error)
		goto undo_pvpanic;
	error = make_pci_host(board);
	if (error)
		goto undo_i8042;
	*created = board;
	return 0;
undo_i8042:
	i8042_destroy(&board->i8042);
undo_pvpanic:
	pvpanic_destroy(&board->pvpanic);
undo_power:
	power_destroy(&board->power);
undo_serial:
	serial_destroy(board->serial);
undo_irqs:
	board_irqs_close(board->irqs, &vm->irqs, IRQS);
close_files:
	boot_files_close(&board->files);
free_board:
	free(board);
	return error;
}

int board_close(struct board *board)
{
	return serial_close(board->serial);
}

void board_destroy(struct board *board)
{
	pci_host_destroy(&board->pci_host);
	i8042_destroy(&board->i8042);
	pvpanic_destroy(&board->pvpanic);
	power_destroy(&board->power);
	serial_destroy(board->serial);
	board_irqs_close(board->irqs, &board->vm->irqs, IRQS);
	boot_files_close(&board->files);
	free(board);
}

struct pci_host *board_pci_host(struct board *board)
{
	return &board->pci_host;
}

int board_boot(struct board *board)
{
	struct vm *vm = board->vm;
	const struct x86_options *options = vm->config.arch_options;
	struct acpi_config acpi = {
		.vcpu_count = vm->vcpu_count,
		.window32 = window32,
		.window64 = board->window64,
	};
	struct kernel_config kernel = {
		.memory = &vm->memory,
		.memory_bytes = vm->config.memory_bytes,
		.files = &board->files,
		.command_line = board->config->command_line,
		.rsdp_gpa = acpi_rsdp_gpa(),
		.ignore_pvh = !options->pvh,
	};
	struct kernel_entry entry;
	int error = kernel_load(&kernel, &entry);

	if (!error)
		error = acpi_tables_write(&acpi, &vm->memory);
	if (!error)
		error = reset_vector_write(&vm->memory);
	return error ? error : vcpu_regs_enter(&vm->vcpus[0], &entry);
}

void board_reset(struct board *board)
{
	serial_reset(board->serial);
	power_reset(&board->power);
}

void board_press_power_button(struct board *board)
{
	power_press_button(&board->power);
}

const char *board_serial_console(void)
{
	return "console=ttyS0";
}
