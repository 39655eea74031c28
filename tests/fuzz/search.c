// SPDX-License-Identifier: MIT
/*
 * Beside libFuzzer: ends a search after FUZZ_SECONDS of processor time, where
 * the environment has that. libFuzzer's own limit is of the clock, and says
 * little of a search that others left no processor for.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Before main(), which is libFuzzer's. SIGUSR1 is what ends it in good order. */
static void __attribute__((constructor)) limit_search(void)
{
	const char *seconds = getenv("FUZZ_SECONDS");
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec limit = { .it_value.tv_sec = seconds ? atoi(seconds) : 0 };
	timer_t timer;

	if (limit.it_value.tv_sec > 0 &&
	    (timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) ||
	     timer_settime(timer, 0, &limit, NULL))) {
		perror("FUZZ_SECONDS");
		exit(1);
	}
}
