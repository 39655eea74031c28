// SPDX-License-Identifier: MIT
/*
 * Has a virtual machine, which nobody runs, for as long as it lives. While there is one, KVM does
 * not patch the scheduler for the first that comes and for the last that goes
 * (preempt_notifier_key). Prints a line when it has it; exit status 1: it has none.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void)
{
	int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm_fd < 0 || ioctl(kvm_fd, KVM_CREATE_VM, 0) < 0) {
		perror("keep_vm: /dev/kvm");
		return 1;
	}
	puts("a virtual machine is kept");
	fflush(stdout);
	for (;;)
		pause();
}
