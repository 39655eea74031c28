/* SPDX-License-Identifier: MIT */
/*
 * What the process gives up before its guest runs: privileges, the file system,
 * new programs, and every system call that its threads do not need. Everything
 * that a run uses is open by then. docs/security.md says what each wall holds.
 * Control thread.
 */
#ifndef MACHINE_SANDBOX_H
#define MACHINE_SANDBOX_H

#include "core/syscall_filter.h"
#include "machine/config.h"

struct sandbox {
	const struct machine_config *config;
	enum machine_sandbox mode;
	struct syscall_filter vcpu_filter, worker_filter, control_filter;
};

/* Checks what the host offers and builds the filters. 0 or a failure, logged. */
int sandbox_create(struct sandbox *sandbox, const struct machine_config *config);
void sandbox_destroy(struct sandbox *sandbox);

/* For worker_config and vm_config: NULL when the sandbox is off. */
const struct syscall_filter *sandbox_worker_filter(const struct sandbox *sandbox);
const struct syscall_filter *sandbox_vcpu_filter(const struct sandbox *sandbox);

/* Everything privileged is open: becomes --user. 0 or a failure, logged. */
int sandbox_drop_privileges(const struct sandbox *sandbox);

/*
 * Everything is open, and the calling thread is the only one: the process, and
 * each thread that it starts from here on, opens no file, gains no privilege,
 * leaves no core, and says which call was refused. 0 or a failure, logged.
 */
int sandbox_confine(const struct sandbox *sandbox);

/* Every thread has been started: the control thread gets its filter. 0 or a failure, logged. */
int sandbox_confine_control(const struct sandbox *sandbox);

#endif
