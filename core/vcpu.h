/* SPDX-License-Identifier: MIT */
/*
 * A vCPU: a thread that runs the guest and hands its exits to the buses, the
 * architecture, or the control thread. It owns its kvm_run and, while it is not
 * parked, its register state.
 */
#ifndef CORE_VCPU_H
#define CORE_VCPU_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/log.h"
#include "core/thread.h"
#include "core/vm.h"

struct arch_vcpu;

enum vcpu_state { VCPU_STATE_RUN, VCPU_STATE_PARK, VCPU_STATE_QUIT };

struct vcpu {
	struct vm *vm;
	unsigned index;
	int fd;
	struct kvm_run *run;
	size_t run_bytes;
	struct arch_vcpu *arch; /* private to x86/ or arm64/: the state a reset returns to */
	struct thread thread;
	bool started; /* control thread */
	struct log_limit log_limit; /* own thread */
	bool ended;   /* own thread: nothing more to run until it has been parked */

	pthread_mutex_t lock; /* leaf */
	pthread_cond_t changed;
	enum vcpu_state wanted; /* lock */
	bool parked;            /* lock: not in KVM_RUN, and will not enter it */
};

/* Control thread. 0 or a failure, logged. */
int vcpu_create(struct vcpu *vcpu, struct vm *vm, unsigned index);
void vcpu_destroy(struct vcpu *vcpu);

/*
 * Control thread. Makes the thread, which runs the guest at once, and waits until
 * it is there; in two steps, as thread_begin() and thread_await(). 0 or a failure, logged.
 */
int vcpu_begin(struct vcpu *vcpu);
int vcpu_await(struct vcpu *vcpu);

/* Control thread. Asks only; vcpu_wait_parked() and vcpu_join() wait for PARK and QUIT. */
void vcpu_set_state(struct vcpu *vcpu, enum vcpu_state wanted);
void vcpu_wait_parked(struct vcpu *vcpu);
void vcpu_join(struct vcpu *vcpu);

#endif
