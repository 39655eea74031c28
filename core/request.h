/* SPDX-License-Identifier: MIT */
/*
 * What any thread may ask of the control thread: end, restart, stop the
 * machine. Asking never waits. The first request wins, but a reset gives way to
 * what the user or the host wants.
 */
#ifndef CORE_REQUEST_H
#define CORE_REQUEST_H

enum request {
	REQUEST_NONE,
	REQUEST_POWER_OFF, /* the guest turned itself off */
	REQUEST_RESET,     /* the guest asked to be reset */
	REQUEST_CRASH,     /* the guest is beyond help: triple fault, KVM internal error */
	REQUEST_PANIC,     /* the guest said that it panicked */
	REQUEST_QUIT,      /* the user's escape key */
	REQUEST_FAIL,      /* the host failed under us; logged where it happened */
};

struct request_line {
	int request; /* enum request, by __atomic: the first not yet taken */
	int event_fd;
};

/* 0 or a failure, logged. */
int request_line_init(struct request_line *line);
void request_line_destroy(struct request_line *line);

/* Any thread; also async-signal-safe. */
void request_raise(struct request_line *line, enum request request);

/*
 * Control thread, vCPUs parked: drops what the guest has asked since request_take(),
 * as it goes on resetting, on several vCPUs, until it is stopped.
 */
void request_forget_guests(struct request_line *line);

/* Control thread, when event_fd is readable: takes what was asked, or REQUEST_NONE. */
enum request request_take(struct request_line *line);

#endif
