/* SPDX-License-Identifier: MIT */
/*
 * Where KVM tells each vCPU how long it was kept from running (Arm DEN 0057).
 * Memory beside the guest's RAM, which the device tree does not mention: the
 * guest learns of it by a call to KVM. Control thread.
 */
#ifndef ARM64_STEAL_TIME_H
#define ARM64_STEAL_TIME_H

struct vcpu;
struct vm;

/* 0 or a failure, logged. */
int steal_time_add_memory(struct vm *vm);

/* The vCPU's own place in it; before it runs. 0 or a failure, logged. */
int steal_time_set(const struct vcpu *vcpu);

#endif
