// SPDX-License-Identifier: MIT
/*
 * For tests/bench: runs a VMM with the bench guest (guest/bench) in it, and beside the guest's own
 * count of each test prints what the VMM used meanwhile.
 *
 *	measure [-s] [-t TAP] COMMAND...
 *
 * Each "# result" line on the command's standard output is printed with these words added:
 *	vmm_ns N	processor time of all of its threads but the vCPUs'
 *	vcpu_ns N	of those
 *	threads N	how many it has at the end, the kernel's io-wq threads too
 *	calls N		with -s: system calls of all of its threads but the vCPUs'
 *	exits N		with -s: returns of KVM_RUN to user space
 * With -t, a test net,rx,BYTES,RATE (or rxburst) is sent frames of so many bytes on that tap, RATE
 *thousands of them a second, or as many as it takes for 256 and more. -s reads tracepoints: root,
 *and a tracefs mounted. Exits as the command does; 1 if it can't be run or a signal ended it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sender.h"

#define FLOOD_FROM  256
#define THREADS_MAX 256
#define LINE_MAX    1024
#define PATH_MAX_   128

struct thread {
	pid_t id;
	bool is_vcpu;
	uint64_t ran_ns;
	int counter_fd; /* -1: none */
};

struct sample {
	unsigned count;
	struct thread threads[THREADS_MAX];
};

static bool read_file(const char *path, char *to, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, to, size - 1);

	if (fd >= 0)
		close(fd);
	to[length > 0 ? length : 0] = 0;
	return length > 0;
}

/* By the names that ringvm, QEMU (debug-threads=on) and kvmtool give them. */
static bool is_vcpu(const char *name)
{
	return !strncmp(name, "vcpu", 4) || !strncmp(name, "CPU ", 4) ||
	       !strncmp(name, "kvm-vcpu", 8);
}

static bool read_thread(pid_t process, pid_t id, struct thread *thread)
{
	char path[PATH_MAX_], text[128];

	*thread = (struct thread){ .id = id, .counter_fd = -1 };
	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", process, id);
	if (!read_file(path, text, sizeof(text)))
		return false;
	thread->is_vcpu = is_vcpu(text);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", process, id);
	if (!read_file(path, text, sizeof(text)))
		return false;
	thread->ran_ns = strtoull(text, NULL, 10);
	return true;
}

static void take_sample(pid_t process, struct sample *sample)
{
	char path[PATH_MAX_];
	struct dirent *entry;
	DIR *tasks;

	sample->count = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", process);
	tasks = opendir(path);
	if (!tasks)
		return;
	while ((entry = readdir(tasks)) && sample->count < THREADS_MAX) {
		pid_t id = atoi(entry->d_name);

		if (id > 0 && read_thread(process, id, &sample->threads[sample->count]))
			sample->count++;
	}
	closedir(tasks);
}

static const struct thread *find_thread(const struct sample *sample, pid_t id)
{
	for (unsigned i = 0; i < sample->count; i++)
		if (sample->threads[i].id == id)
			return &sample->threads[i];
	return NULL;
}

static uint64_t tracepoint(const char *name)
{
	static const char *const roots[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	char path[PATH_MAX_], text[32];

	for (unsigned i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		snprintf(path, sizeof(path), "%s/events/%s/id", roots[i], name);
		if (read_file(path, text, sizeof(text)))
			return strtoull(text, NULL, 10);
	}
	fprintf(stderr, "measure: no tracepoint %s: mount -t tracefs nodev /sys/kernel/tracing\n",
		name);
	exit(1);
}

static void start_counters(struct sample *sample)
{
	uint64_t calls = tracepoint("raw_syscalls/sys_enter");
	uint64_t exits = tracepoint("kvm/kvm_userspace_exit");

	for (unsigned i = 0; i < sample->count; i++) {
		struct thread *thread = &sample->threads[i];
		struct perf_event_attr event = {
			.type = PERF_TYPE_TRACEPOINT,
			.size = sizeof(event),
			.config = thread->is_vcpu ? exits : calls,
		};

		thread->counter_fd = (int)syscall(SYS_perf_event_open, &event, thread->id, -1, -1,
						  PERF_FLAG_FD_CLOEXEC);
		if (thread->counter_fd < 0)
			perror("measure: perf_event_open");
	}
}

static uint64_t stop_counters(struct sample *sample, bool of_vcpus)
{
	uint64_t sum = 0, count;

	for (unsigned i = 0; i < sample->count; i++) {
		struct thread *thread = &sample->threads[i];

		if (thread->is_vcpu != of_vcpus || thread->counter_fd < 0)
			continue;
		if (read(thread->counter_fd, &count, sizeof(count)) == sizeof(count))
			sum += count;
		close(thread->counter_fd);
		thread->counter_fd = -1;
	}
	return sum;
}

/* A thread that was not there at the beginning began with nothing. */
static uint64_t ran(const struct sample *before, const struct sample *after, bool of_vcpus)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < after->count; i++) {
		const struct thread *thread = &after->threads[i];
		const struct thread *was = find_thread(before, thread->id);

		if (thread->is_vcpu == of_vcpus)
			sum += thread->ran_ns - (was ? was->ran_ns : 0);
	}
	return sum;
}

static bool begin_sending(struct sender *sender, const char *test)
{
	unsigned rate;

	if (!sender->interface || (sscanf(test, "net,rx,%u,%u", &sender->bytes, &rate) != 2 &&
				   sscanf(test, "net,rxburst,%u,%u", &sender->bytes, &rate) != 2))
		return false;
	sender->rate = rate < FLOOD_FROM ? rate * 1000 : 0;
	return sender_start(sender);
}

static void print_use(const struct sample *before, const struct sample *after)
{
	printf(" vmm_ns %lu vcpu_ns %lu threads %u", ran(before, after, false),
	       ran(before, after, true), after->count);
}

static void follow(FILE *console, pid_t process, bool counters, struct sender *sender)
{
	static struct sample before, after;
	bool sending = false;
	char line[LINE_MAX];

	while (fgets(line, sizeof(line), console)) {
		line[strcspn(line, "\r\n")] = 0;
		if (!strncmp(line, "# begin ", 8)) {
			take_sample(process, &before);
			sending = begin_sending(sender, line + 8);
			if (counters)
				start_counters(&before);
			continue;
		}
		fputs(line, stdout);
		if (!strncmp(line, "# result ", 9)) {
			take_sample(process, &after);
			print_use(&before, &after);
			if (counters)
				printf(" calls %lu exits %lu", stop_counters(&before, false),
				       stop_counters(&before, true));
			if (sending)
				sender_stop(sender);
			if (sending)
				printf(" sent %lu", sender->sent);
			sending = false;
		}
		putchar('\n');
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	struct sender sender = { 0 };
	bool counters = false;
	int ends[2], status, option;
	FILE *console;
	pid_t child;

	while ((option = getopt(argc, argv, "+st:")) != -1) {
		if (option == 's')
			counters = true;
		else if (option == 't')
			sender.interface = optarg;
		else
			return 1;
	}
	argv += optind;
	if (!*argv || pipe2(ends, O_CLOEXEC) < 0)
		return 1;
	child = fork();
	if (child < 0)
		return 1;
	if (!child) {
		dup2(ends[1], STDOUT_FILENO);
		execvp(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	close(ends[1]);
	console = fdopen(ends[0], "r");
	if (!console)
		return 1;
	follow(console, child, counters, &sender);
	while (waitpid(child, &status, 0) < 0)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
