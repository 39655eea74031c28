// SPDX-License-Identifier: MIT
/*
 * The vCPU thread. It leaves KVM_RUN for good only by way of -EINTR, which
 * immediate_exit brings about: KVM has then finished the access that the last
 * exit was about, so a parked vCPU's registers are whole.
 */
#include "core/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/boot_trace.h"
#include "base/bytes.h"
#include "base/cpu_list.h"
#include "base/fd.h"
#include "base/log.h"
#include "core/arch.h"
#include "core/thread.h"

/* Interrupts KVM_RUN. Its handler does nothing: immediate_exit says it all. */
static int kick_signal(void)
{
	return SIGRTMIN;
}

static void kick_handler(int number)
{
	(void)number;
}

static int kick_install(void)
{
	struct sigaction action = { .sa_handler = kick_handler };

	if (sigaction(kick_signal(), &action, NULL))
		return fail_host_errno("vcpu: install the signal that interrupts it");
	return 0;
}

int vcpu_create(struct vcpu *vcpu, struct vm *vm, unsigned index)
{
	int run_bytes = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	int error;

	*vcpu = (struct vcpu){ .vm = vm, .index = index, .fd = -1, .run = MAP_FAILED };
	vcpu->fd = ioctl(vm->kvm.vm_fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (vcpu->fd < 0)
		return fail_host(errno, "vcpu%u: create: %s; %s", index, strerror(errno),
				 fd_limit_advice(errno, "ask for fewer with --cpus"));
	pthread_mutex_init(&vcpu->lock, NULL);
	pthread_cond_init(&vcpu->changed, NULL);
	if (run_bytes > 0) {
		vcpu->run_bytes = (size_t)run_bytes;
		vcpu->run = mmap(NULL, vcpu->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
				 vcpu->fd, 0);
	}
	if (vcpu->run == MAP_FAILED)
		error = fail_host_errno("vcpu%u: map its kvm_run", index);
	else
		error = arch_vcpu_init(vcpu);
	if (error)
		vcpu_destroy(vcpu);
	return error;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	arch_vcpu_destroy(vcpu);
	if (vcpu->run != MAP_FAILED)
		munmap(vcpu->run, vcpu->run_bytes);
	fd_close(&vcpu->fd);
	pthread_cond_destroy(&vcpu->changed);
	pthread_mutex_destroy(&vcpu->lock);
}

static enum vcpu_next system_event(struct vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		return VCPU_OFF;
	case KVM_SYSTEM_EVENT_RESET:
		return VCPU_RESET;
	default:
		log_warning("vcpu%u: the guest crashed (KVM system event %u)", vcpu->index,
			    vcpu->run->system_event.type);
		return VCPU_CRASHED;
	}
}

static enum vcpu_next give_up(struct vcpu *vcpu, const char *what, uint64_t detail)
{
	fail(EIO, "vcpu%u: %s 0x%llx", vcpu->index, what, (unsigned long long)detail);
	arch_vcpu_dump(vcpu);
	return VCPU_CRASHED;
}

static enum vcpu_next handle_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		bus_access(&vcpu->vm->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len,
			   run->mmio.is_write);
		return VCPU_AGAIN;
	case KVM_EXIT_SYSTEM_EVENT:
		return system_event(vcpu);
	case KVM_EXIT_INTR:
		return VCPU_AGAIN;
	case KVM_EXIT_FAIL_ENTRY:
		return give_up(vcpu, "the processor refuses to enter the guest, reason",
			       run->fail_entry.hardware_entry_failure_reason);
	case KVM_EXIT_INTERNAL_ERROR:
		return give_up(vcpu, "KVM can't go on (an instruction it can't emulate?), suberror",
			       run->internal.suberror);
	default:
		return arch_vcpu_exit(vcpu);
	}
}

/* What the control thread shall hear of how the guest ended. */
static void report(struct vcpu *vcpu, enum vcpu_next next)
{
	static const enum request requests[] = {
		[VCPU_RESET] = REQUEST_RESET,
		[VCPU_OFF] = REQUEST_POWER_OFF,
		[VCPU_CRASHED] = REQUEST_CRASH,
	};

	vcpu->ended = true;
	request_raise(vcpu->vm->requests, requests[next]);
}

/* Between runs: parks as long as it must. False to end the thread. */
static bool may_run(struct vcpu *vcpu)
{
	bool run;

	pthread_mutex_lock(&vcpu->lock);
	while (vcpu->wanted == VCPU_STATE_PARK || (vcpu->wanted == VCPU_STATE_RUN && vcpu->ended)) {
		if (vcpu->wanted == VCPU_STATE_PARK)
			vcpu->ended = false;
		vcpu->parked = true;
		pthread_cond_broadcast(&vcpu->changed);
		pthread_cond_wait(&vcpu->changed, &vcpu->lock);
	}
	vcpu->parked = false;
	run = vcpu->wanted == VCPU_STATE_RUN;
	if (run)
		__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&vcpu->lock);
	return run;
}

static void *thread_main(void *argument)
{
	struct vcpu *vcpu = argument;

	while (may_run(vcpu)) {
		enum vcpu_next next = VCPU_AGAIN;

		boot_trace_mark(vcpu->vm->config.trace, BOOT_GUEST);
		while (next == VCPU_AGAIN && ioctl(vcpu->fd, KVM_RUN, 0) == 0)
			next = handle_exit(vcpu);
		if (next != VCPU_AGAIN) {
			report(vcpu, next);
		} else if (errno != EINTR && errno != EAGAIN) {
			fail_errno("vcpu%u: run", vcpu->index);
			arch_vcpu_dump(vcpu);
			vcpu->ended = true;
			request_raise(vcpu->vm->requests, REQUEST_FAIL);
		}
	}
	return NULL;
}

static const unsigned *processor_of(const struct vcpu *vcpu)
{
	const struct cpu_list *list = vcpu->vm->config.vcpu_processors;

	return list ? cpu_list_at(list, vcpu->index) : NULL;
}

static int thread_refused(const struct vcpu *vcpu, int error)
{
	return fail_host(error, "vcpu%u: start thread: %s", vcpu->index, strerror(error));
}

int vcpu_begin(struct vcpu *vcpu)
{
	char name[16];
	const struct thread_config config = {
		.name = name,
		.run = thread_main,
		.argument = vcpu,
		.heard_signal = kick_signal(),
		.filter = vcpu->vm->config.vcpu_filter,
		.processor = processor_of(vcpu),
	};
	int error = kick_install();

	if (error)
		return error;
	snprintf(name, sizeof(name), "vcpu%u", vcpu->index);
	error = thread_begin(&vcpu->thread, &config);
	if (error == EINVAL && config.processor)
		return fail_host(error, "vcpu%u: ringvm may not run on processor %u; name others "
				 "with --cpu-affinity", vcpu->index, *config.processor);
	return error ? thread_refused(vcpu, error) : 0;
}

int vcpu_await(struct vcpu *vcpu)
{
	int error = thread_await(&vcpu->thread);

	vcpu->started = !error;
	return error ? thread_refused(vcpu, error) : 0;
}

void vcpu_set_state(struct vcpu *vcpu, enum vcpu_state wanted)
{
	pthread_mutex_lock(&vcpu->lock);
	vcpu->wanted = wanted;
	/* One that waits since its guest ended has still to hear of this, and to say so. */
	vcpu->parked = false;
	if (wanted != VCPU_STATE_RUN)
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&vcpu->changed);
	pthread_mutex_unlock(&vcpu->lock);
	/*
	 * Before KVM_RUN, immediate_exit is seen at its entry; inside, the signal
	 * interrupts it; so the order of the two is what matters.
	 */
	if (vcpu->started && wanted != VCPU_STATE_RUN)
		pthread_kill(vcpu->thread.id, kick_signal());
}

void vcpu_wait_parked(struct vcpu *vcpu)
{
	pthread_mutex_lock(&vcpu->lock);
	while (vcpu->started && !vcpu->parked)
		pthread_cond_wait(&vcpu->changed, &vcpu->lock);
	pthread_mutex_unlock(&vcpu->lock);
}

void vcpu_join(struct vcpu *vcpu)
{
	if (vcpu->started)
		pthread_join(vcpu->thread.id, NULL);
	vcpu->started = false;
}
