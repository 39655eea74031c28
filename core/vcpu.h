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

#include "core/vm.h"

enum vcpu_state { VCPU_STATE_RUN, VCPU_STATE_PARK, VCPU_STATE_QUIT };

struct vcpu {
	struct vm *vm;
	unsigned index;
	int fd;
	struct kvm_run *run;
	size_t run_bytes;
	pthread_t thread;
	bool started;           /* control thread */
	pthread_mutex_t lock;   /* leaf */
	pthread_cond_t changed; /* wanted or parked did */
	enum vcpu_state wanted; /* lock; also read without it by the run loop */
	_Atomic bool interrupted; /* wanted is no longer RUN */
	bool parked;            /* lock: the thread is not in KVM_RUN and will not enter it */
	void *arch;             /* private to x86/ or arm64/: saved reset state */
};

/* Control thread. 0 or a failure, logged. */
int vcpu_create(struct vcpu *vcpu, struct vm *vm, unsigned index);
void vcpu_destroy(struct vcpu *vcpu);

/* Control thread: the thread exists from the first start; park and stop wait for it. */
int vcpu_start(struct vcpu *vcpu);
void vcpu_set_state(struct vcpu *vcpu, enum vcpu_state wanted);
void vcpu_wait_parked(struct vcpu *vcpu);

#endif
