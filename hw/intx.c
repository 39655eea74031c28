// SPDX-License-Identifier: MIT
/*
 * From signalled eventfds to an asserted pin. Watches belong to the worker;
 * what they may do is asked under the lock each time, so a watch that has not
 * been taken down yet does nothing.
 */
#include "hw/intx.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/fd.h"

static bool is_active(const struct intx *intx)
{
	return intx->live && !intx->msix;
}

/* Asserting an asserted pin changes nothing; lock. */
static void assert_pin(struct intx *intx)
{
	if (intx->status && is_active(intx) && !intx->disabled)
		event_fd_signal(intx->event_fd);
}

/* Worker thread: a cause, or with bits 0 the end of interrupt. */
static void cause_ready(struct fd_watch *watch)
{
	struct intx_cause *cause = container_of(watch, struct intx_cause, watch);
	struct intx *intx = cause->intx;

	pthread_mutex_lock(&intx->lock);
	if (is_active(intx))
		intx->status |= cause->bits;
	assert_pin(intx);
	pthread_mutex_unlock(&intx->lock);
}

static void cause_watch(struct intx *intx, struct intx_cause *cause)
{
	int error = worker_keep_file(intx->worker, &cause->slot, cause->event_fd);

	if (!error)
		error = worker_watch(intx->worker, &cause->watch, cause->slot);
	if (!error)
		return;
	log_limited(&intx->log_limit,
		    "%s: its INTx interrupt does not work: %s; let the guest use MSI-X",
		    intx->name, strerror(-error));
}

/* Worker thread: takes up or leaves off the watch, whichever is the latest wish. */
static void update_watches(struct intx *intx)
{
	bool watch;

	pthread_mutex_lock(&intx->lock);
	intx->posted = false;
	watch = intx->requested;
	pthread_mutex_unlock(&intx->lock);
	if (intx->watching == watch)
		return;
	intx->watching = watch;
	for (unsigned i = 0; i < intx->cause_count; i++)
		if (watch)
			cause_watch(intx, &intx->causes[i]);
		else
			worker_unwatch(intx->worker, &intx->causes[i].watch);
}

static void update_task_run(struct worker_task *task)
{
	update_watches(container_of(task, struct intx, task));
}

/* Lock. */
static void request_watches(struct intx *intx)
{
	if (intx->requested == is_active(intx))
		return;
	intx->requested = is_active(intx);
	if (!intx->posted)
		worker_post(intx->worker, &intx->task);
	intx->posted = true;
}

void intx_forget(struct intx *intx)
{
	pthread_mutex_lock(&intx->lock);
	for (unsigned i = 0; !is_active(intx) && !intx->msix && i < intx->cause_count; i++)
		event_fd_drain(intx->causes[i].event_fd);
	pthread_mutex_unlock(&intx->lock);
}

void intx_set_live(struct intx *intx, bool live)
{
	pthread_mutex_lock(&intx->lock);
	intx->live = live;
	if (!live)
		intx->status = 0;
	request_watches(intx);
	pthread_mutex_unlock(&intx->lock);
}

void intx_set_msix(struct intx *intx, bool enabled)
{
	pthread_mutex_lock(&intx->lock);
	intx->msix = enabled;
	request_watches(intx);
	pthread_mutex_unlock(&intx->lock);
}

void intx_set_disabled(struct intx *intx, bool disabled)
{
	pthread_mutex_lock(&intx->lock);
	intx->disabled = disabled;
	assert_pin(intx);
	pthread_mutex_unlock(&intx->lock);
}

uint8_t intx_status(struct intx *intx)
{
	uint8_t status;

	pthread_mutex_lock(&intx->lock);
	status = intx->status;
	pthread_mutex_unlock(&intx->lock);
	return status;
}

uint8_t intx_take_status(struct intx *intx)
{
	uint8_t status;

	pthread_mutex_lock(&intx->lock);
	status = intx->status;
	intx->status = 0;
	pthread_mutex_unlock(&intx->lock);
	return status;
}

int intx_init(struct intx *intx, const struct intx_config *config)
{
	int error;

	*intx = (struct intx){
		.name = config->name,
		.irqs = config->irqs,
		.worker = config->worker,
		.gsi = config->gsi,
		.event_fd = event_fd_create(),
		.resample_fd = event_fd_create(),
		.causes = calloc(config->cause_count + 1, sizeof(struct intx_cause)),
		.cause_count = config->cause_count + 1,
		.task.run = update_task_run,
	};
	if (intx->event_fd < 0 || intx->resample_fd < 0 || !intx->causes) {
		error = fail_host(ENOMEM, "%s: INTx: out of memory or file descriptors; raise the "
				  "limit of open files (ulimit -n)", intx->name);
		goto failed;
	}
	error = irq_router_attach_level(intx->irqs, intx->gsi, intx->event_fd, intx->resample_fd);
	if (error) {
		error = fail_host(-error, "%s: INTx: KVM refuses a resampled interrupt: %s",
				  intx->name, strerror(-error));
		goto failed;
	}
	pthread_mutex_init(&intx->lock, NULL);
	for (unsigned i = 0; i < intx->cause_count; i++)
		intx->causes[i] = (struct intx_cause){ { .ready = cause_ready }, intx, -1, -1, 0 };
	intx->causes[config->cause_count].event_fd = intx->resample_fd;
	return 0;
failed:
	free(intx->causes);
	fd_close(&intx->resample_fd);
	fd_close(&intx->event_fd);
	return error;
}

void intx_set_cause(struct intx *intx, unsigned cause, int event_fd, uint8_t bits)
{
	assert(cause < intx->cause_count - 1);
	intx->causes[cause].event_fd = event_fd;
	intx->causes[cause].bits = bits;
}

/*
 * Behind any task still in the mailbox: after it the worker knows of nothing
 * here. One that has stopped looks at neither mailbox nor watches again.
 */
void intx_destroy(struct intx *intx)
{
	if (intx->worker->running) {
		intx_set_live(intx, false);
		worker_call(intx->worker, &intx->task);
	}
	irq_router_detach(intx->irqs, intx->gsi, intx->event_fd);
	pthread_mutex_destroy(&intx->lock);
	free(intx->causes);
	fd_close(&intx->resample_fd);
	fd_close(&intx->event_fd);
}
