// SPDX-License-Identifier: MIT
/*
 * hw/board.h for arm64: the devices at the addresses of layout.h, and the way
 * into a kernel. Control thread.
 */
#include "hw/board.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "arm64/arch_vm.h"
#include "arm64/device_tree.h"
#include "arm64/kernel.h"
#include "arm64/kernel_image.h"
#include "arm64/layout.h"
#include "arm64/vcpu_regs.h"
#include "base/fd.h"
#include "base/log.h"
#include "boot/gzip.h"
#include "core/vcpu.h"
#include "hw/board_irq.h"
#include "hw/pl031.h"
#include "hw/pl061.h"
#include "hw/pvpanic.h"
#include "hw/serial.h"

#define ID_AA64MMFR0_EL1 ARM64_SYS_REG(3, 0, 0, 7, 0)

enum { SERIAL_IRQ, CLOCK_IRQ, GPIO_IRQ, IRQS };

struct board {
	const struct board_config *config;
	struct vm *vm;
	struct boot_files files;
	uint64_t *mpidrs;
	unsigned granules; /* GRANULE_* of the processors */
	bool told; /* what a start says and writes; not again at a restart of the guest */
	struct pci_window window64;
	struct board_irq irqs[IRQS];
	struct serial *serial;
	struct pl031 clock;
	struct pl061 gpio;
	struct pvpanic pvpanic;
	struct pci_host pci_host;
};

static const uint32_t spis[IRQS] = {
	[SERIAL_IRQ] = LAYOUT_SERIAL_SPI,
	[CLOCK_IRQ] = LAYOUT_RTC_SPI,
	[GPIO_IRQ] = LAYOUT_GPIO_SPI,
};

static const struct pci_window window32 = {
	.base = LAYOUT_PCI_WINDOW32_GPA, .size = LAYOUT_PCI_WINDOW32_BYTES,
};

/* ---- What to boot ---- */

/* Opened and unpacked here, once: nothing may be opened when the machine runs. */
static int open_files(struct board *board)
{
	const struct board_config *config = board->config;
	int error = boot_files_open(&board->files, config->kernel_path, config->initrd_path);

	if (error)
		return error;
	error = gzip_expand(&board->files.kernel, board->vm->config.memory_bytes);
	if (error)
		boot_files_close(&board->files);
	return error;
}

/* What of the vCPUs goes into the device tree, and which kernels they run. */
static int read_vcpus(struct board *board)
{
	struct vm *vm = board->vm;
	uint64_t mmfr0;
	struct kvm_one_reg reg = { .id = ID_AA64MMFR0_EL1, .addr = (uintptr_t)&mmfr0 };

	board->mpidrs = calloc(vm->vcpu_count, sizeof(*board->mpidrs));
	if (!board->mpidrs)
		return fail_host(ENOMEM, "board: out of memory");
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		int error = vcpu_regs_mpidr(&vm->vcpus[i], &board->mpidrs[i]);

		if (error)
			return error;
	}
	if (ioctl(vm->vcpus[0].fd, KVM_GET_ONE_REG, &reg))
		return fail_host_errno("vcpu0: read its ID_AA64MMFR0_EL1");
	board->granules = kernel_image_granules(mmfr0);
	return 0;
}

/* ---- Devices ---- */

static int make_serial(struct board *board)
{
	const struct serial_config config = {
		.bus = &board->vm->mmio,
		.base = LAYOUT_SERIAL_GPA,
		.irq_event_fd = board->irqs[SERIAL_IRQ].event_fd,
		.terminal = board->config->serial_terminal,
		.worker = board->config->worker,
		.trace = board->config->trace,
	};

	return serial_create(&board->serial, &config);
}

static int make_clock(struct board *board)
{
	const struct pl031_config config = {
		.bus = &board->vm->mmio,
		.base = LAYOUT_RTC_GPA,
		.irq_event_fd = board->irqs[CLOCK_IRQ].event_fd,
		.worker = board->config->worker,
	};

	return pl031_init(&board->clock, &config);
}

static int make_gpio(struct board *board)
{
	const struct pl061_config config = {
		.bus = &board->vm->mmio,
		.base = LAYOUT_GPIO_GPA,
		.irq_event_fd = board->irqs[GPIO_IRQ].event_fd,
		.worker = board->config->worker,
		.button_line = LAYOUT_POWER_KEY_LINE,
	};

	return pl061_init(&board->gpio, &config);
}

static int make_pci_host(struct board *board)
{
	struct vm *vm = board->vm;
	struct pci_host_config config = {
		.mmio = &vm->mmio,
		.irqs = &vm->irqs,
		.kvm = &vm->kvm,
		.ecam_base = LAYOUT_ECAM_GPA,
		.bus_count = LAYOUT_PCI_BUSES,
		.memory32 = window32,
		.memory64 = board->window64,
	};

	for (uint32_t i = 0; i < ARRAY_SIZE(config.intx_gsis); i++)
		config.intx_gsis[i] = LAYOUT_INTX_SPI + i;
	return pci_host_init(&board->pci_host, &config);
}

static int find_window64(struct board *board)
{
	const struct vm *vm = board->vm;

	if (pci_window64(LAYOUT_RAM_GPA + vm->config.memory_bytes, vm->arch->physical_bits,
			 &board->window64))
		return 0;
	return fail_host(EINVAL, "--mem: leaves no room for PCI below the %u bits that this "
			 "host's guests can address; give less", vm->arch->physical_bits);
}

static int make_devices(struct board *board)
{
	struct vm *vm = board->vm;
	int error = board_irqs_open(board->irqs, &vm->irqs, spis, IRQS);

	if (error)
		return error;
	error = make_serial(board);
	if (error)
		goto undo_irqs;
	error = make_clock(board);
	if (error)
		goto undo_serial;
	error = make_gpio(board);
	if (error)
		goto undo_clock;
	error = pvpanic_init(&board->pvpanic, &vm->mmio, LAYOUT_PVPANIC_GPA, vm->requests);
	if (error)
		goto undo_gpio;
	error = make_pci_host(board);
	if (!error)
		return 0;
	pvpanic_destroy(&board->pvpanic);
undo_gpio:
	pl061_destroy(&board->gpio);
undo_clock:
	pl031_destroy(&board->clock);
undo_serial:
	serial_destroy(board->serial);
undo_irqs:
	board_irqs_close(board->irqs, &vm->irqs, IRQS);
	return error;
}

/* ---- hw/board.h ---- */

int board_create(struct board **created, const struct board_config *config, struct vm *vm)
{
	struct board *board = calloc(1, sizeof(*board));
	int error;

	if (!board)
		return fail_host(ENOMEM, "board: out of memory");
	board->config = config;
	board->vm = vm;
	error = find_window64(board);
	if (!error)
		error = open_files(board);
	if (error)
		goto free_board;
	error = read_vcpus(board);
	if (!error)
		error = make_devices(board);
	if (error)
		goto close_files;
	*created = board;
	return 0;
close_files:
	boot_files_close(&board->files);
free_board:
	free(board->mpidrs);
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
	pvpanic_destroy(&board->pvpanic);
	pl061_destroy(&board->gpio);
	pl031_destroy(&board->clock);
	serial_destroy(board->serial);
	board_irqs_close(board->irqs, &board->vm->irqs, IRQS);
	boot_files_close(&board->files);
	free(board->mpidrs);
	free(board);
}

struct pci_host *board_pci_host(struct board *board)
{
	return &board->pci_host;
}

/* One that was there before keeps its mode through open(); what is no file keeps it for good. */
static int keep_private(int fd)
{
	struct stat status;

	if (fstat(fd, &status) || (S_ISREG(status.st_mode) && fchmod(fd, 0600)))
		return -errno;
	return 0;
}

/* For its owner only: the guest's seeds are in it. */
static int dump_tree(const char *path, const void *tree, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t moved;

	if (fd < 0)
		return fail(errno, "--dump-dtb: %s: open: %s; %s", path, strerror(errno),
			    fd_open_advice(errno));
	moved = keep_private(fd);
	if (!moved)
		moved = fd_write_full(fd, tree, bytes);
	fd_close(&fd);
	return moved < 0 ? fail((int)-moved, "--dump-dtb: %s: write: %s", path,
				strerror((int)-moved)) : 0;
}

static int write_tree(struct board *board, struct device_tree_config *config,
		      const struct kernel_places *places)
{
	const struct arm64_options *options = board->vm->config.arch_options;
	size_t room = device_tree_room(config);
	void *tree = guest_memory_at(&board->vm->memory, places->tree_gpa, room);
	int bytes;

	if (!tree)
		return fail(EINVAL, "device tree: no guest memory; give more with --mem");
	config->initrd_gpa = places->initrd_gpa;
	config->initrd_bytes = places->initrd_bytes;
	bytes = device_tree_write(config, tree, room);
	if (bytes < 0)
		return bytes;
	if (!options->dump_dtb_path || board->told)
		return 0;
	return dump_tree(options->dump_dtb_path, tree, (size_t)bytes);
}

int board_boot(struct board *board)
{
	struct vm *vm = board->vm;
	struct device_tree_config tree = {
		.memory_bytes = vm->config.memory_bytes,
		.command_line = board->config->command_line,
		.mpidrs = board->mpidrs,
		.vcpu_count = vm->vcpu_count,
		.irqchip = vm->arch->gic.irqchip,
		.pmu = vm->arch->pmu,
		.window32 = window32,
		.window64 = board->window64,
	};
	const struct kernel_config kernel = {
		.memory = &vm->memory,
		.memory_bytes = vm->config.memory_bytes,
		.files = &board->files,
		.granules = board->granules,
		.tree_bytes = device_tree_room(&tree),
	};
	struct kernel_places places;
	int error = kernel_load(&kernel, &places);

	if (!error && places.flat && !board->told)
		log_info("%s: %s: no arm64 Image: run as a flat binary", board->files.kernel.role,
			 board->files.kernel.path);
	if (!error)
		error = write_tree(board, &tree, &places);
	board->told = true;
	return error ? error : vcpu_regs_enter(&vm->vcpus[0], &(struct kernel_entry){
		.pc_gpa = places.kernel_gpa,
		.device_tree_gpa = places.tree_gpa,
	});
}

void board_reset(struct board *board)
{
	serial_reset(board->serial);
	pl031_reset(&board->clock);
	pl061_reset(&board->gpio);
}

void board_press_power_button(struct board *board)
{
	pl061_press_button(&board->gpio);
}

const char *board_serial_console(void)
{
	return "console=ttyS0";
}
