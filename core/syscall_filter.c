// SPDX-License-Identifier: MIT
/*
 * From rules to a seccomp program, and what happens when a call is not among
 * them. Any thread, each for itself; the trap's handler runs on whichever made
 * the call.
 */
#include "core/syscall_filter.h"

#include <assert.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "core/arch.h"
#include "core/terminal.h"

/*
 * A rule on its own is at most: compare the number, load, mask, compare, allow,
 * refuse. With others of its number it shares the first and the last. To find
 * the number is another comparison, and a refusal where it is not.
 */
#define RULE_LENGTH_MAX 8
#define PROLOGUE_LENGTH 4
#define EMPTY_LENGTH 1 /* of no calls at all: a refusal */

/* So few calls are compared one after the other. */
#define LEAF_CALLS 2

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))
/* On if equal, else over the next `skipped`. */
#define UNLESS_EQUAL_SKIP(wanted, skipped) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (wanted), 0, (uint8_t)(skipped))

static void emit(struct syscall_filter *filter, const struct sock_filter *code, size_t length)
{
	memcpy(&filter->code[filter->length], code, length * sizeof(*code));
	filter->length = (unsigned short)(filter->length + length);
}

/* Argument words are little endian on every machine that this runs on. */
static uint32_t argument_offset(uint8_t argument)
{
	return (uint32_t)(offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t));
}

/* All the lists as one, and the calls that are in them, each once and in order. */
struct rules {
	const struct syscall_rule **at;
	unsigned *calls;
	size_t count, call_count;
	uint32_t refusal;
};

static int compare_calls(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

static void find_calls(struct rules *rules)
{
	for (size_t i = 0; i < rules->count; i++)
		rules->calls[i] = rules->at[i]->number;
	qsort(rules->calls, rules->count, sizeof(*rules->calls), compare_calls);
	for (size_t i = 0; i < rules->count; i++)
		if (!i || rules->calls[i] != rules->calls[i - 1])
			rules->calls[rules->call_count++] = rules->calls[i];
}

static bool is_always_allowed(const struct rules *rules, unsigned number)
{
	for (size_t i = 0; i < rules->count; i++)
		if (rules->at[i]->number == number && !rules->at[i]->conditional)
			return true;
	return false;
}

static void emit_condition(struct syscall_filter *filter, const struct syscall_rule *rule)
{
	const struct sock_filter load =
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument_offset(rule->argument));
	const struct sock_filter mask = BPF_STMT(BPF_ALU | BPF_AND | BPF_K, rule->mask);
	const struct sock_filter compare[] = {
		UNLESS_EQUAL_SKIP(rule->value, 1),
		RETURN(SECCOMP_RET_ALLOW),
	};

	emit(filter, &load, 1);
	if (rule->mask != UINT32_MAX)
		emit(filter, &mask, 1);
	emit(filter, compare, sizeof(compare) / sizeof(*compare));
}

static void emit_call(struct syscall_filter *filter, const struct rules *rules, unsigned number)
{
	const struct sock_filter allow = RETURN(SECCOMP_RET_ALLOW);
	const struct sock_filter refuse = RETURN(rules->refusal);
	const unsigned start = filter->length;

	filter->length++;
	if (is_always_allowed(rules, number)) {
		emit(filter, &allow, 1);
	} else {
		for (size_t i = 0; i < rules->count; i++)
			if (rules->at[i]->number == number)
				emit_condition(filter, rules->at[i]);
		emit(filter, &refuse, 1);
	}
	assert(filter->length - start - 1U <= UINT8_MAX);
	filter->code[start] = (struct sock_filter)
		UNLESS_EQUAL_SKIP(number, filter->length - start - 1);
}

/*
 * A binary search: the kernel runs the program once for every call there is when
 * a thread installs it, so its depth is time that each thread's start takes.
 * The number stays loaded all the way.
 */
static void emit_calls(struct syscall_filter *filter, const struct rules *rules,
		       const unsigned *calls, size_t count)
{
	const struct sock_filter refuse = RETURN(rules->refusal);
	const unsigned start = filter->length;
	const size_t half = count / 2;

	if (count <= LEAF_CALLS) {
		for (size_t i = 0; i < count; i++)
			emit_call(filter, rules, calls[i]);
		emit(filter, &refuse, 1);
		return;
	}
	filter->length++;
	emit_calls(filter, rules, calls, half);
	assert(filter->length - start - 1U <= UINT8_MAX);
	filter->code[start] = (struct sock_filter)
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, calls[half],
			 (uint8_t)(filter->length - start - 1), 0);
	emit_calls(filter, rules, calls + half, count - half);
}

static void emit_all(struct syscall_filter *filter, const struct rules *rules)
{
	const struct sock_filter prologue[PROLOGUE_LENGTH] = {
		LOAD(arch),
		/* Numbers of another architecture's calls would mean other calls. */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch_audit, 1, 0),
		RETURN(SECCOMP_RET_KILL_PROCESS),
		LOAD(nr),
	};

	emit(filter, prologue, PROLOGUE_LENGTH);
	emit_calls(filter, rules, rules->calls, rules->call_count);
}

int syscall_filter_build(struct syscall_filter *filter, const struct syscall_list *lists,
			 size_t list_count, bool log_only)
{
	struct rules rules = { .refusal = log_only ? SECCOMP_RET_LOG : SECCOMP_RET_TRAP };
	size_t count = 0;

	for (size_t i = 0; i < list_count; i++)
		count += lists[i].count;
	*filter = (struct syscall_filter){
		.code = calloc(PROLOGUE_LENGTH + count * RULE_LENGTH_MAX + EMPTY_LENGTH,
			       sizeof(*filter->code)),
	};
	rules.at = calloc(count, sizeof(const struct syscall_rule *));
	rules.calls = calloc(count, sizeof(*rules.calls));
	if (!filter->code || !rules.at || !rules.calls) {
		free(rules.calls);
		free(rules.at);
		syscall_filter_destroy(filter);
		return fail_host(ENOMEM, "sandbox: out of memory");
	}
	for (size_t i = 0; i < list_count; i++)
		for (size_t j = 0; j < lists[i].count; j++)
			rules.at[rules.count++] = &lists[i].rules[j];
	find_calls(&rules);
	emit_all(filter, &rules);
	free(rules.calls);
	free(rules.at);
	return 0;
}

void syscall_filter_destroy(struct syscall_filter *filter)
{
	free(filter->code);
	filter->code = NULL;
}

bool syscall_filter_is_supported(void)
{
	uint32_t action = SECCOMP_RET_TRAP;

	return !syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
}

int syscall_filter_install(const struct syscall_filter *filter)
{
	const struct sock_fprog program = { filter->length, filter->code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) ? -errno : 0;
}

/* ---- A call that is not on the list ---- */

static size_t text_add(char *text, size_t length, const char *more)
{
	size_t more_length = strlen(more);

	memcpy(text + length, more, more_length);
	return length + more_length;
}

static size_t number_add(char *text, size_t length, unsigned number)
{
	char digits[12];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	return text_add(text, length, digits + at);
}

static void refusal_tell(unsigned number)
{
	char text[160], thread[16] = "";
	size_t length = text_add(text, 0, "ringvm: sandbox: ");

	prctl(PR_GET_NAME, thread);
	length = text_add(text, length, thread);
	length = text_add(text, length, ": system call ");
	length = number_add(text, length, number);
	length = text_add(text, length, " is not on its list; please report this; "
			  "--sandbox=off runs without\n");
	if (write(STDERR_FILENO, text, length) < 0) {
		/* There is nobody to tell. */
	}
}

/* Async-signal-safe: the call may have come from anywhere, or the signal from somebody. */
static void trapped(int signal_number, siginfo_t *info, void *context)
{
	(void)context;
	terminal_restore();
	if (info->si_code > 0) /* of the kernel */
		refusal_tell((unsigned)info->si_syscall);
	raise(signal_number); /* which has no handler any more, and comes as this one returns */
	/* But not to the first process of a container, unless it is the kernel's: on no list. */
	syscall(SYS_getppid);
}

int syscall_filter_handle_traps(void)
{
	/* By itself: no thread may change a handler, lest somebody outlive a refusal. */
	struct sigaction action = {
		.sa_sigaction = trapped, .sa_flags = SA_SIGINFO | (int)SA_RESETHAND,
	};

	if (sigaction(SIGSYS, &action, NULL))
		return fail_host_errno("sandbox: handle SIGSYS");
	return 0;
}
