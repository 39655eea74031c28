// SPDX-License-Identifier: MIT
/*
 * Opens KVM, asks what it offers, and puts the VM together in one order, undone
 * in reverse. Control thread.
 */
#include "core/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/boot_trace.h"
#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/arch.h"
#include "core/vcpu.h"

static int control_vm(int vm_fd, unsigned long request, void *argument)
{
	int result = ioctl(vm_fd, request, argument);

	return result < 0 ? -errno : result;
}

int vm_capability(const struct vm *vm, unsigned capability)
{
	int value = ioctl(vm->kvm.vm_fd >= 0 ? vm->kvm.vm_fd : vm->kvm_fd, KVM_CHECK_EXTENSION,
			  (unsigned long)capability);

	return value < 0 ? 0 : value;
}

/* By its mode its group may open it, and we are not in it; root's own is not to be joined. */
static const struct group *group_to_join(const char *path)
{
	struct stat status;

	if (stat(path, &status) || (status.st_mode & (S_IRGRP | S_IWGRP)) != (S_IRGRP | S_IWGRP) ||
	    status.st_uid == geteuid() || !status.st_gid || status.st_gid == getegid() ||
	    group_member(status.st_gid))
		return NULL;
	return getgrgid(status.st_gid);
}

static int kvm_denied(const char *path)
{
	int error = errno;
	const struct group *group = group_to_join(path);

	if (group)
		return fail_host(error, "%s: %s; join its group ('sudo usermod -aG %s $USER', then "
				 "log in again) or run as root", path, strerror(error),
				 group->gr_name);
	return fail_host(error, "%s: %s; let this user open it ('sudo chmod 0666 %s') or run as "
			 "root", path, strerror(error), path);
}

static int kvm_open(struct vm *vm)
{
	const char *path = vm->config.dev_path;
	int version;

	vm->kvm_fd = open(path, O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		return fail_host(errno, "%s: %s; %s", path, strerror(errno), arch_kvm_advice);
	if (vm->kvm_fd < 0 && errno == EACCES)
		return kvm_denied(path);
	if (vm->kvm_fd < 0 && errno == EPERM)
		return fail_host(errno, "%s: %s; let the container that this runs in use it "
				 "(--device %s)", path, strerror(errno), path);
	if (vm->kvm_fd < 0)
		return fail_host(errno, "%s: open: %s; %s", path, strerror(errno),
				 fd_limit_advice(errno, "name the KVM device with --dev"));
	version = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0);
	if (version < 0)
		return fail_host(ENODEV, "%s: not a KVM device; name the right one with --dev",
				 path);
	if (version != KVM_API_VERSION)
		return fail_host(ENODEV, "%s: KVM speaks version %d of its interface, ringvm %d",
				 path, version, KVM_API_VERSION);
	return 0;
}

static int kvm_check(const struct vm *vm)
{
	static const struct {
		unsigned number;
		const char *name;
	} needed[] = {
		{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
		{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
		{ KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING" },
		{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
		{ KVM_CAP_IRQFD_RESAMPLE, "KVM_CAP_IRQFD_RESAMPLE" },
		{ KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD" },
		{ KVM_CAP_IOEVENTFD_ANY_LENGTH, "KVM_CAP_IOEVENTFD_ANY_LENGTH" },
		{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
		{ KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE" },
	};
	int most = vm_capability(vm, KVM_CAP_MAX_VCPUS);

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (vm_capability(vm, needed[i].number) <= 0)
			return fail_host(ENOTSUP, "%s: this KVM lacks %s; ringvm needs Linux 6.1 "
					 "or later", vm->config.dev_path, needed[i].name);
	if (most > 0 && vm->config.vcpu_count > (unsigned)most)
		return fail_host(EINVAL, "--cpus: %u is more than the %d that this host's KVM can "
				 "run", vm->config.vcpu_count, most);
	return 0;
}

static int vm_open(struct vm *vm)
{
	unsigned long type;
	int error = arch_vm_type(vm, &type);
	int fd;

	if (error)
		return error;
	do {
		fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, type);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0 && errno == EBUSY)
		return fail_host(errno, "%s: another hypervisor holds the processor's "
				 "virtualization; stop it first", vm->config.dev_path);
	if (fd < 0)
		return fail_host(errno, "%s: create a VM: %s; %s", vm->config.dev_path,
				 strerror(errno),
				 fd_limit_advice(errno, "the kernel's log (dmesg) may say why"));
	vm->kvm = (struct kvm_call){ fd, control_vm };
	return 0;
}

static int vcpus_create(struct vm *vm)
{
	vm->vcpus = calloc(vm->config.vcpu_count, sizeof(*vm->vcpus));
	if (!vm->vcpus)
		return fail_host(ENOMEM, "vcpus: out of memory");
	while (vm->vcpu_count < vm->config.vcpu_count) {
		int error = vcpu_create(&vm->vcpus[vm->vcpu_count], vm, vm->vcpu_count);

		if (error)
			return error;
		vm->vcpu_count++;
	}
	return 0;
}

int vm_create(struct vm *vm, const struct vm_config *config, struct request_line *requests)
{
	int error;

	*vm = (struct vm){ .config = *config, .kvm_fd = -1, .kvm.vm_fd = -1,
			   .requests = requests, .memory.backing = config->memory_backing };
	error = bus_init(&vm->mmio);
	if (error)
		return error;
	error = bus_init(&vm->ports);
	if (error) {
		bus_destroy(&vm->mmio);
		return error;
	}
	error = kvm_open(vm);
	if (!error)
		error = kvm_check(vm);
	if (!error)
		error = vm_open(vm);
	if (!error) {
		boot_trace_mark(config->trace, BOOT_VM);
		error = arch_vm_init(vm);
	}
	if (!error)
		error = arch_vm_add_memory(vm);
	if (!error)
		error = guest_memory_register(&vm->memory, &vm->kvm);
	if (!error) {
		boot_trace_mark(config->trace, BOOT_RAM);
		error = vcpus_create(vm);
	}
	if (!error)
		error = arch_vm_init_irqs(vm);
	if (!error)
		boot_trace_mark(config->trace, BOOT_VCPUS);
	if (error)
		vm_destroy(vm);
	return error;
}

void vm_destroy(struct vm *vm)
{
	while (vm->vcpu_count)
		vcpu_destroy(&vm->vcpus[--vm->vcpu_count]);
	free(vm->vcpus);
	irq_router_destroy(&vm->irqs);
	arch_vm_destroy(vm);
	/* KVM holds the memory until the VM has gone. */
	fd_close(&vm->kvm.vm_fd);
	guest_memory_destroy(&vm->memory);
	fd_close(&vm->kvm_fd);
	bus_destroy(&vm->ports);
	bus_destroy(&vm->mmio);
}

int vm_start_vcpus(struct vm *vm)
{
	unsigned begun = 0;
	int error = 0;

	while (!error && begun < vm->vcpu_count) {
		error = vcpu_begin(&vm->vcpus[begun]);
		begun += !error;
	}
	for (unsigned i = 0; i < begun; i++) {
		int failed = vcpu_await(&vm->vcpus[i]);

		error = error ? error : failed;
	}
	return error;
}

static void vcpus_set_state(struct vm *vm, enum vcpu_state wanted)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_set_state(&vm->vcpus[i], wanted);
}

void vm_park_vcpus(struct vm *vm)
{
	vcpus_set_state(vm, VCPU_STATE_PARK);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_wait_parked(&vm->vcpus[i]);
}

void vm_unpark_vcpus(struct vm *vm)
{
	vcpus_set_state(vm, VCPU_STATE_RUN);
}

void vm_stop_vcpus(struct vm *vm)
{
	vcpus_set_state(vm, VCPU_STATE_QUIT);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_join(&vm->vcpus[i]);
}

int vm_reset(struct vm *vm)
{
	int error = arch_vm_reset(vm);

	for (unsigned i = 0; !error && i < vm->vcpu_count; i++)
		error = arch_vcpu_reset(&vm->vcpus[i]);
	return error;
}
