/* SPDX-License-Identifier: MIT */
/* What the vCPUs have of what the processor and KVM offer. Control thread. */
#ifndef ARM64_FEATURES_H
#define ARM64_FEATURES_H

struct vm;

/* Before the first vCPU: settles what the user left open. 0 or a failure, logged. */
int features_choose(struct vm *vm);

#endif
