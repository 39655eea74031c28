/* SPDX-License-Identifier: MIT */
/* Frames sent to a guest by way of its tap, on a thread of their own. */
#ifndef BENCH_SENDER_H
#define BENCH_SENDER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct sender {
	pthread_t thread;
	const char *interface;
	unsigned bytes;
	unsigned rate; /* frames a second; 0: as many as the tap takes */
	atomic_bool end;
	uint64_t sent;
};

bool sender_start(struct sender *sender);
void sender_stop(struct sender *sender);

#endif
