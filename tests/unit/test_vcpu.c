// SPDX-License-Identifier: MIT
/*
 * A vCPU's thread between running, parked and ended, on a KVM_RUN that is
 * played. Whoever waits on a condition sleeps through the news for a while, as
 * on a busy host: the other side has then long gone on.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/bytes.h"
#include "core/request.h"
#include "core/vcpu.h"

#define CONTROL_DELAY_US 1000
#define VCPU_DELAY_US 20000
#define WAIT_STEPS 5000

static struct request_line line;
static struct vm vm = { .requests = &line };
static struct kvm_run run;
static struct vcpu vcpu;
static _Atomic int runs;
static _Atomic bool ends; /* the guest turns itself off at once */
static _Atomic uint32_t exits_with; /* or KVM says this; 0: no */
static _Atomic uint32_t event; /* of a system event */

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	(void)fd;
	/* What is dumped of a guest that crashed can't be had here. */
	if (request != KVM_RUN) {
		errno = EINVAL;
		return -1;
	}
	if (!__atomic_load_n(&run.immediate_exit, __ATOMIC_RELAXED)) {
		runs++;
		if (ends) {
			run.exit_reason = KVM_EXIT_SYSTEM_EVENT;
			run.system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
			return 0;
		}
		if (exits_with) {
			run.exit_reason = exits_with;
			run.system_event.type = event;
			return 0;
		}
		while (!__atomic_load_n(&run.immediate_exit, __ATOMIC_RELAXED))
			usleep(100);
	}
	errno = EINTR;
	return -1;
}

/* Woken for no reason, and late: a condition variable may do that. */
int __wrap_pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
	(void)condition;
	pthread_mutex_unlock(mutex);
	usleep(pthread_equal(pthread_self(), vcpu.thread.id) ? VCPU_DELAY_US : CONTROL_DELAY_US);
	pthread_mutex_lock(mutex);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	runs = 0;
	ends = false;
	exits_with = 0;
	event = 0;
	run = (struct kvm_run){ 0 };
	vcpu = (struct vcpu){ .vm = &vm, .fd = -1, .run = &run };
	pthread_mutex_init(&vcpu.lock, NULL);
	pthread_cond_init(&vcpu.changed, NULL);
	assert_int_equal(request_line_init(&line), 0);
	assert_int_equal(vcpu_begin(&vcpu), 0);
	return vcpu_await(&vcpu);
}

static int teardown(void **state)
{
	(void)state;
	vcpu_set_state(&vcpu, VCPU_STATE_QUIT);
	vcpu_join(&vcpu);
	pthread_cond_destroy(&vcpu.changed);
	pthread_mutex_destroy(&vcpu.lock);
	request_line_destroy(&line);
	return 0;
}

static void wait_runs(int count)
{
	for (int i = 0; i < WAIT_STEPS && runs < count; i++)
		usleep(1000);
	assert_int_equal(runs, count);
}

static void park_and_run(void)
{
	vcpu_set_state(&vcpu, VCPU_STATE_PARK);
	vcpu_wait_parked(&vcpu);
	vcpu_set_state(&vcpu, VCPU_STATE_RUN);
}

static void runs_again_after_parking(void **state)
{
	(void)state;
	for (int i = 1; i <= 5; i++) {
		wait_runs(i);
		park_and_run();
	}
	wait_runs(6);
}

/* It waits where a parked one does, so parking it has nothing to wait for but its word. */
static void runs_again_after_its_guest_ended(void **state)
{
	(void)state;
	wait_runs(1);
	ends = true;
	park_and_run();
	for (int i = 2; i <= 6; i++) {
		wait_runs(i);
		while (request_take(&line) != REQUEST_POWER_OFF)
			usleep(1000);
		park_and_run();
	}
	wait_runs(7);
}

static void stays_ended_until_parked(void **state)
{
	(void)state;
	wait_runs(1);
	ends = true;
	park_and_run();
	wait_runs(2);
	vcpu_set_state(&vcpu, VCPU_STATE_RUN);
	usleep(3 * VCPU_DELAY_US);
	assert_int_equal(runs, 2);
}

/* And not asked to go on, which would bring the same again, for ever. */
static void expect_crash(uint32_t reason, uint32_t type)
{
	int before = runs;

	exits_with = reason;
	event = type;
	park_and_run();
	wait_runs(before + 1);
	for (int i = 0; i < WAIT_STEPS; i++) {
		if (request_take(&line) == REQUEST_CRASH)
			return;
		usleep(1000);
	}
	fail_msg("exit %u is no crash", reason);
}

/* H58: those that nothing was set up for, and that no kernel has yet. */
static void an_exit_that_is_not_known_is_a_crash(void **state)
{
	static const uint32_t reasons[] = {
		KVM_EXIT_EXCEPTION, KVM_EXIT_HYPERCALL, KVM_EXIT_DEBUG, KVM_EXIT_HLT,
		KVM_EXIT_IRQ_WINDOW_OPEN, KVM_EXIT_SHUTDOWN, KVM_EXIT_FAIL_ENTRY, KVM_EXIT_SET_TPR,
		KVM_EXIT_TPR_ACCESS, KVM_EXIT_NMI, KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_IOAPIC_EOI,
		KVM_EXIT_HYPERV, KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR, KVM_EXIT_DIRTY_RING_FULL,
		KVM_EXIT_X86_BUS_LOCK, KVM_EXIT_XEN, KVM_EXIT_NOTIFY, 1000, UINT32_MAX,
	};

	(void)state;
	wait_runs(1);
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
		expect_crash(reasons[i], 0);
	expect_crash(KVM_EXIT_SYSTEM_EVENT, KVM_SYSTEM_EVENT_CRASH);
	expect_crash(KVM_EXIT_SYSTEM_EVENT, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(runs_again_after_parking, setup, teardown),
		cmocka_unit_test_setup_teardown(runs_again_after_its_guest_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(stays_ended_until_parked, setup, teardown),
		cmocka_unit_test_setup_teardown(an_exit_that_is_not_known_is_a_crash, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
