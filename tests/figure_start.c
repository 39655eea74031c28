// SPDX-License-Identifier: MIT
/*
 * For tests/figures: how long a guest takes to its first instruction.
 *
 *	figure_start N COMMAND...   runs it N times; microseconds from just before exec to the first
 *	                            byte on its standard output: the least, the median
 *	figure_start bare           what every user of KVM must do at least, up to the same
 *	                            instruction: a byte written to the serial port
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUNS_MAX 10000
#define RAM_BYTES (128 << 20)
#define CODE_GPA 0x1000

static long now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* -1: the command said nothing. */
static long run_once(char **command)
{
	int ends[2];
	long start, took = -1;
	char byte;
	pid_t child;

	if (pipe(ends))
		return -1;
	start = now_us();
	child = vfork();
	if (!child) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		execvp(command[0], command);
		_exit(127);
	}
	close(ends[1]);
	if (child > 0 && read(ends[0], &byte, 1) == 1)
		took = now_us() - start;
	if (child > 0)
		waitpid(child, NULL, 0);
	close(ends[0]);
	return took;
}

static int compare(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static int bare(void)
{
	/* mov $0x3f8, %dx; mov $'!', %al; out %al, %dx; hlt: the same in 16 bits */
	static const unsigned char code[] = { 0xba, 0xf8, 0x03, 0xb0, '!', 0xee, 0xf4 };
	char *ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = {
		.memory_size = RAM_BYTES, .userspace_addr = (unsigned long)ram,
	};
	struct kvm_regs regs = { .rip = CODE_GPA, .rflags = 2 };
	struct kvm_sregs sregs;
	struct kvm_run *run;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	int vcpu;

	if (ram == MAP_FAILED || vm < 0 || ioctl(vm, KVM_CREATE_IRQCHIP, 0) ||
	    ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region))
		return 1;
	memcpy(ram + CODE_GPA, code, sizeof(code));
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
		   MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED || ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return 1;
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs) ||
	    ioctl(vcpu, KVM_RUN, 0) || run->exit_reason != KVM_EXIT_IO)
		return 1;
	return write(STDOUT_FILENO, "!", 1) != 1;
}

int main(int argc, char **argv)
{
	static long took[RUNS_MAX];
	int runs;

	if (argc == 2 && !strcmp(argv[1], "bare"))
		return bare();
	runs = argc > 2 ? atoi(argv[1]) : 0;
	if (runs < 1 || runs > RUNS_MAX)
		return 2;
	for (int i = 0; i < runs; i++) {
		took[i] = run_once(argv + 2);
		if (took[i] < 0)
			return 1;
	}
	qsort(took, (size_t)runs, sizeof(took[0]), compare);
	printf("%ld %ld\n", took[0], took[runs / 2]);
	return 0;
}
