// SPDX-License-Identifier: MIT
/*
 * Looking before sleeping. It saves the guest its kick and us a wake-up when
 * the next request comes soon, and costs a processor the window when it does
 * not: so it goes on only while most looks pay, and is tried again ever more
 * seldom while none does. Worker thread.
 */
#include "core/worker_poll.h"

#include <time.h>

#include "base/bytes.h"
#include "core/worker.h"

#define SCORE_MAX 16
#define SCORE_MISS 2	/* a miss weighs as two hits: two looks of three must pay */
#define FOUND_TIMES 4
#define FOUND_LEAST_NS 5000
#define SKIP_FIRST 8	/* sleeps between two tries while looking does not pay */
#define SKIP_MAX 512

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

bool worker_polls(const struct worker *worker)
{
	return worker->spin.window_ns;
}

void worker_poll_add(struct worker *worker, struct worker_poll *poll)
{
	if (poll->listed)
		return;
	poll->listed = true;
	poll->next = worker->spin.first;
	worker->spin.first = poll;
}

void worker_poll_remove(struct worker *worker, struct worker_poll *poll)
{
	struct worker_poll **link = &worker->spin.first;

	if (!poll->listed)
		return;
	while (*link != poll)
		link = &(*link)->next;
	*link = poll->next;
	poll->listed = false;
}

bool worker_look(struct worker *worker)
{
	struct worker_poll *poll, *next;
	bool found = false;

	for (poll = worker->spin.first; poll; poll = next) {
		next = poll->next;
		if (poll->look(poll)) {
			worker_poll_remove(worker, poll);
			found = true;
		}
	}
	return found;
}

/* Both kinds of work: what a poll finds, and what the ring has or could fetch. */
static bool spin_look(struct worker *worker)
{
	if (worker_look(worker) || io_uring_cq_ready(&worker->ring))
		return true;
	if (!(IO_URING_READ_ONCE(*worker->ring.sq.kflags) & IORING_SQ_TASKRUN))
		return false;
	return io_uring_get_events(&worker->ring) >= 0;
}

/* A try looks as long as may be; while looking pays, what takes far longer than usual is a miss. */
static uint64_t spin_limit_ns(const struct worker_spin *spin)
{
	return spin->score ? min_u64(spin->window_ns, FOUND_TIMES * spin->found_ns + FOUND_LEAST_NS)
			   : spin->window_ns;
}

static bool spin_window(struct worker *worker)
{
	struct worker_spin *spin = &worker->spin;
	uint64_t limit_ns = spin_limit_ns(spin), begin_ns = now_ns(), took_ns;
	bool found;

	/* The clock is slow enough to leave the processor's sibling room. */
	do {
		found = spin_look(worker);
		took_ns = now_ns() - begin_ns;
	} while (!found && took_ns < limit_ns);
	if (found)
		spin->found_ns = spin->score ? (7 * spin->found_ns + took_ns) / 8 : took_ns;
	return found;
}

bool worker_spin_due(struct worker *worker)
{
	struct worker_spin *spin = &worker->spin;

	if (!spin->window_ns || !spin->first)
		return false;
	if (!spin->score && ++spin->skipped <= spin->skip)
		return false;
	spin->skipped = 0;
	return true;
}

bool worker_spin(struct worker *worker)
{
	struct worker_spin *spin = &worker->spin;

	if (spin_window(worker)) {
		spin->score += spin->score < SCORE_MAX;
		spin->skip = SKIP_FIRST;
		return true;
	}
	if (!spin->score)
		spin->skip = (unsigned)min_u64(spin->skip ? 2 * spin->skip : SKIP_FIRST, SKIP_MAX);
	spin->score -= (unsigned)min_u64(spin->score, SCORE_MISS);
	return false;
}

bool worker_rest(struct worker *worker)
{
	bool found = false;

	while (worker->spin.first) {
		struct worker_poll *poll = worker->spin.first;

		worker_poll_remove(worker, poll);
		found |= poll->rest(poll);
	}
	return found;
}
