// SPDX-License-Identifier: MIT
/*
 * For tests/figures and tests/bench/bench: how long a guest takes to its first instruction.
 *
 *	figure_start [-i MS] N COMMAND...
 *		runs it N times, each until the first byte on its standard output, and ends it by
 *		SIGTERM. A line of words for each: "us" from just before exec to that byte, and
 *		"cpu_us", the processor time of all its threads until then. With -i it then waits MS
 *		milliseconds; more words: "idle_us" of processor time meanwhile, "threads", and the
 *		KiB of all its mappings but guest RAM, each by its share ("pss") and whole ("rss").
 *	figure_start bare
 *		what every user of KVM must do at least, up to the same instruction: a byte written
 *		to the serial port
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS 10000 /* between SIGTERM and SIGKILL */
#define RAM_BYTES (128 << 20)
#define CODE_GPA 0x1000

struct figures {
	long us, cpu_us, idle_us;
	unsigned threads;
	unsigned long pss_kib, rss_kib;
};

static long clock_us(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now))
		return 0;
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

/* No other mapping is as large as guest RAM and has something in it. */
static void read_memory(pid_t process, struct figures *figures)
{
	unsigned long size = 0, kib;
	char path[64], line[4096];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/smaps", process);
	maps = fopen(path, "r");
	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "Size: %lu", &kib) == 1)
			size = kib;
		else if (size >= RAM_BYTES / 1024)
			continue;
		else if (sscanf(line, "Pss: %lu", &kib) == 1)
			figures->pss_kib += kib;
		else if (sscanf(line, "Rss: %lu", &kib) == 1)
			figures->rss_kib += kib;
	}
	if (maps)
		fclose(maps);
}

static void read_threads(pid_t process, struct figures *figures)
{
	char path[64], line[256];
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", process);
	status = fopen(path, "r");
	while (status && fgets(line, sizeof(line), status))
		sscanf(line, "Threads: %u", &figures->threads);
	if (status)
		fclose(status);
}

/* A while after the start, whose last steps beside the guest are none of idling. */
static void read_idle(pid_t process, clockid_t clock, long idle_ms, struct figures *figures)
{
	long before;

	sleep_ms(idle_ms / 4);
	before = clock_us(clock);
	sleep_ms(idle_ms);
	figures->idle_us = clock_us(clock) - before;
	read_memory(process, figures);
	read_threads(process, figures);
}

static void end(pid_t child)
{
	kill(child, SIGTERM);
	for (int waited_ms = 0; waited_ms < GRACE_MS; waited_ms++) {
		if (waitpid(child, NULL, WNOHANG))
			return;
		sleep_ms(1);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* False: the command said nothing. */
static bool run_once(char **command, long idle_ms, struct figures *figures)
{
	clockid_t clock;
	int ends[2];
	long start;
	char byte;
	pid_t child;

	if (pipe(ends))
		return false;
	start = clock_us(CLOCK_MONOTONIC);
	child = vfork();
	if (!child) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		execvp(command[0], command);
		_exit(127);
	}
	close(ends[1]);
	*figures = (struct figures){ .us = -1 };
	if (child > 0 && !clock_getcpuclockid(child, &clock) && read(ends[0], &byte, 1) == 1) {
		figures->us = clock_us(CLOCK_MONOTONIC) - start;
		figures->cpu_us = clock_us(clock);
		if (idle_ms)
			read_idle(child, clock, idle_ms, figures);
	}
	if (child > 0)
		end(child);
	close(ends[0]);
	return figures->us >= 0;
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
	struct figures figures;
	long idle_ms = 0;

	if (argc == 2 && !strcmp(argv[1], "bare"))
		return bare();
	if (argc > 2 && !strcmp(argv[1], "-i")) {
		idle_ms = atol(argv[2]);
		argv += 2;
		argc -= 2;
	}
	if (argc < 3 || idle_ms < 0)
		return 2;
	for (int left = atoi(argv[1]); left > 0; left--) {
		if (!run_once(argv + 2, idle_ms, &figures))
			return 1;
		printf("us %ld cpu_us %ld", figures.us, figures.cpu_us);
		if (idle_ms)
			printf(" idle_us %ld threads %u pss %lu rss %lu", figures.idle_us,
			       figures.threads, figures.pss_kib, figures.rss_kib);
		putchar('\n');
	}
	return 0;
}
