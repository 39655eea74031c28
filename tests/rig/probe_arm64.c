// SPDX-License-Identifier: MIT
/*
 * Can this host's KVM run a guest? Tried, not asked: under qemu-user /dev/kvm opens though there is
 * no KVM. A guest of two instructions stores to an address where there is no memory, which comes
 * here as an exit. Exit status: 0 it can, 1 it cannot, 2 there is no usable /dev/kvm; one line on
 * stdout says why.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define MEMORY_BYTES 0x10000 /* the largest page of a host */
#define MEMORY_GPA   0x80000000
#define DEVICE_GPA   0x10000000
#define WORD	     0x5a

/* str w1, [x0]; b . */
static const uint32_t code[] = { 0xb9000001, 0x14000000 };

static int verdict(int status, const char *what)
{
	printf("%s\n", what);
	return status;
}

static int set_register(int vcpu_fd, size_t offset_bytes, uint64_t value)
{
	struct kvm_one_reg reg = {
		.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE |
		      offset_bytes / sizeof(uint32_t),
		.addr = (uintptr_t)&value,
	};

	return ioctl(vcpu_fd, KVM_SET_ONE_REG, &reg);
}

static int start(int vm_fd, int vcpu_fd)
{
	struct kvm_vcpu_init init;

	if (ioctl(vm_fd, KVM_ARM_PREFERRED_TARGET, &init) ||
	    ioctl(vcpu_fd, KVM_ARM_VCPU_INIT, &init))
		return -1;
	if (set_register(vcpu_fd, offsetof(struct kvm_regs, regs.regs[0]), DEVICE_GPA) ||
	    set_register(vcpu_fd, offsetof(struct kvm_regs, regs.regs[1]), WORD))
		return -1;
	return set_register(vcpu_fd, offsetof(struct kvm_regs, regs.pc), MEMORY_GPA);
}

static int run(int vcpu_fd, const struct kvm_run *run)
{
	while (ioctl(vcpu_fd, KVM_RUN, 0) < 0)
		if (errno != EINTR)
			return verdict(1, "no: KVM_RUN failed");
	if (run->exit_reason == KVM_EXIT_MMIO && run->mmio.phys_addr == DEVICE_GPA &&
	    run->mmio.is_write && run->mmio.data[0] == WORD)
		return verdict(0, "yes: /dev/kvm runs a guest's instructions");
	return verdict(1, "no: this KVM does not run a guest's instructions");
}

int main(void)
{
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = MEMORY_GPA,
		.memory_size = MEMORY_BYTES,
	};
	int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm_fd, vcpu_fd, run_bytes;
	struct kvm_run *shared;
	uint8_t *memory;

	if (kvm_fd < 0)
		return verdict(2, "no: /dev/kvm cannot be opened");
	if (ioctl(kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return verdict(2, "no: /dev/kvm is not KVM");
	run_bytes = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	if (run_bytes < 0 || vm_fd < 0 || memory == MAP_FAILED)
		return verdict(2, "no: KVM makes no virtual machine");
	memcpy(memory, code, sizeof(code));
	__builtin___clear_cache((char *)memory, (char *)memory + sizeof(code));
	slot.userspace_addr = (uintptr_t)memory;
	if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &slot))
		return verdict(2, "no: KVM takes no memory");
	vcpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	if (vcpu_fd < 0 || start(vm_fd, vcpu_fd))
		return verdict(2, "no: KVM makes no vCPU");
	shared = mmap(NULL, (size_t)run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);
	if (shared == MAP_FAILED)
		return verdict(2, "no: KVM shares no vCPU state");
	return run(vcpu_fd, shared);
}
