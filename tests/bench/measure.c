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
 *	vm_exits N	with -s: exits of the guest, those that KVM handles itself too
 *	since_start_ns N	since the command was started
 * With -t, a test net,rx,BYTES,RATE (or rxburst) is sent frames of so many bytes on that tap, RATE
 *thousands of them a second, or as many as it takes for 256 and more. -s reads tracepoints: root,
 *and a tracefs and a debugfs mounted. A test lasts from its
 *"# begin" line (else from the start of the command) to its "# end" line (else its "# result" line). Exits as the command does; 1 if it can't be run or a signal ended it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
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
	uint64_t vm_exits;
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

/* KVM's own count, 0 where there is no debugfs. */
static uint64_t read_vm_exits(pid_t process)
{
	char pattern[PATH_MAX_], text[32];
	uint64_t sum = 0;
	glob_t found;

	snprintf(pattern, sizeof(pattern), "/sys/kernel/debug/kvm/%d-*/exits", process);
	if (glob(pattern, 0, NULL, &found))
		return 0;
	for (size_t i = 0; i < found.gl_pathc; i++)
		if (read_file(found.gl_pathv[i], text, sizeof(text)))
			sum += strtoull(text, NULL, 10);
	globfree(&found);
	return sum;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void take_sample(pid_t process, struct sample *sample)
{
	char path[PATH_MAX_];
	struct dirent *entry;
	DIR *tasks;

	sample->count = 0;
	sample->vm_exits = read_vm_exits(process);
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

struct test {
	struct sample before, after;
	uint64_t calls, exits;
	bool sending, ended;
};

static void begin_test(struct test *test, const char *name, pid_t process, bool counters,
		       struct sender *sender)
{
	take_sample(process, &test->before);
	test->ended = false;
	test->sending = begin_sending(sender, name);
	if (counters)
		start_counters(&test->before);
}

static void end_test(struct test *test, pid_t process, struct sender *sender)
{
	if (test->ended)
		return;
	test->ended = true;
	take_sample(process, &test->after);
	test->calls = stop_counters(&test->before, false);
	test->exits = stop_counters(&test->before, true);
	if (test->sending)
		sender_stop(sender);
}

static void print_use(const struct test *test, bool counters, const struct sender *sender)
{
	printf(" vmm_ns %lu vcpu_ns %lu threads %u", ran(&test->before, &test->after, false),
	       ran(&test->before, &test->after, true), test->after.count);
	if (counters)
		printf(" calls %lu exits %lu vm_exits %lu", test->calls, test->exits,
		       test->after.vm_exits - test->before.vm_exits);
	if (test->sending)
		printf(" sent %lu", sender->sent);
}

static void follow(FILE *console, pid_t process, bool counters, struct sender *sender)
{
	uint64_t started_ns = now_ns();
	static struct test test;
	char line[LINE_MAX];

	while (fgets(line, sizeof(line), console)) {
		line[strcspn(line, "\r\n")] = 0;
		if (!strncmp(line, "# begin ", 8)) {
			begin_test(&test, line + 8, process, counters, sender);
			continue;
		}
		if (!strncmp(line, "# end ", 6)) {
			end_test(&test, process, sender);
			continue;
		}
		fputs(line, stdout);
		if (!strncmp(line, "# result ", 9)) {
			end_test(&test, process, sender);
			printf(" since_start_ns %lu", now_ns() - started_ns);
			print_use(&test, counters, sender);
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
