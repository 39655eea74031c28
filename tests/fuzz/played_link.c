// SPDX-License-Identifier: MIT
#include "tests/fuzz/played_link.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "tests/fuzz/fuzz.h"

static struct played_link *played_of(struct link *link)
{
	return container_of(link, struct played_link, link);
}

/* What the target's frames have and the link's do not. */
static unsigned missing_bytes(const struct played_link *link)
{
	return link->link.header ? 0 : LINK_HEADER_BYTES;
}

/* ---- Answers ---- */

static int frame_send(struct played_link *link, const struct link_io *io)
{
	uint8_t frame[LINK_HEADER_BYTES + 2048];
	unsigned missing = missing_bytes(link), bytes = missing;

	if (link->lost)
		return -ENODEV;
	if (link->cancelled_sends)
		return -ECANCELED;
	if (link->full || link->refuses) {
		link->failures++;
		return link->full ? -EAGAIN : -EINVAL;
	}
	memset(frame, 0, missing);
	for (unsigned i = 0; i < io->iov_count; i++) {
		fuzz_check(io->iov[i].iov_len <= sizeof(frame) - bytes);
		memcpy(frame + bytes, io->iov[i].iov_base, io->iov[i].iov_len);
		bytes += (unsigned)io->iov[i].iov_len;
	}
	link->sent(frame, bytes);
	return (int)(bytes - missing);
}

/* As much of a frame as there is room for. */
static int frame_receive(struct played_link *link, const struct link_io *io)
{
	struct played_frame *frame = link->frames;
	unsigned bytes = 0;

	if (link->lost)
		return -ENODEV;
	if (!link->frame_count)
		return -EAGAIN;
	for (unsigned i = 0; i < io->iov_count && bytes < frame->bytes; i++) {
		unsigned step = (unsigned)min_u64(io->iov[i].iov_len, frame->bytes - bytes);

		memcpy(io->iov[i].iov_base, frame->data + bytes, step);
		bytes += step;
	}
	memmove(frame, frame + 1, --link->frame_count * sizeof(*frame));
	return (int)bytes;
}

static struct link_io *take_first(struct link_io **ios, unsigned *count)
{
	struct link_io *io = ios[0];

	memmove(ios, ios + 1, --*count * sizeof(*ios));
	return io;
}

static void answer_send(struct played_link *link)
{
	struct link_io *io = take_first(link->sends, &link->send_count);

	io->done(io, frame_send(link, io));
}

static void answer_receive(struct played_link *link)
{
	struct link_io *io = take_first(link->receives, &link->receive_count);

	io->done(io, frame_receive(link, io));
}

static void answer_parked(struct played_link *link)
{
	struct link_io *io = link->parked;
	bool cancelled = link->cancelled_parked && !link->frame_count;

	link->cancelled_parked = false;
	if (!io || !(cancelled || link->frame_count || link->lost))
		return;
	link->parked = NULL;
	io->done(io, cancelled ? -ECANCELED : frame_receive(link, io));
}

static void answer_wait(struct played_link *link, enum link_event event, int result)
{
	struct link_wait *wait = link->waits[event];

	link->waits[event] = NULL;
	if (wait)
		wait->ready(wait, result);
}

/* On the worker. While the link holds back, one of each goes each time. */
static void answer_all(struct worker_task *task)
{
	struct played_link *link = container_of(task, struct played_link, task);
	bool hold = link->hold && !link->cancelled_sends;

	link->posted = false;
	for (unsigned left = hold ? 1 : link->send_count; left && link->send_count; left--)
		answer_send(link);
	for (unsigned left = link->hold ? 1 : link->receive_count; left && link->receive_count;
	     left--)
		answer_receive(link);
	link->cancelled_sends = false;
	answer_parked(link);
	if (link->cancelled_waits) {
		answer_wait(link, LINK_READABLE, -ECANCELED);
		answer_wait(link, LINK_WRITABLE, -ECANCELED);
	}
	link->cancelled_waits = false;
	if (link->frame_count || link->lost)
		answer_wait(link, LINK_READABLE, 0);
	if (!link->full || link->lost)
		answer_wait(link, LINK_WRITABLE, 0);
}

void played_link_changed(struct played_link *link)
{
	if (!link->posted)
		worker_post(link->worker, &link->task);
	link->posted = true;
}

/* ---- What a device calls ---- */

static void played_destroy(struct link *link)
{
	(void)link;
}

static int played_set_offloads(struct link *link, unsigned offloads)
{
	fuzz_check(!(offloads & ~link->offloads));
	return 0;
}

static int played_set_active(struct link_queue *queue, bool active)
{
	(void)queue;
	(void)active;
	return 0;
}

static int played_start(struct link_queue *queue, struct worker *worker)
{
	(void)queue;
	(void)worker;
	return 0;
}

static void played_stop(struct link_queue *queue)
{
	(void)queue;
}

static void played_send(struct link_queue *queue, struct link_io *io)
{
	struct played_link *link = played_of(queue->link);

	fuzz_check(!queue->index && link->send_count < PLAYED_IOS);
	link->sends[link->send_count++] = io;
	if (!link->hold && link->send_count == 1)
		answer_send(link);
}

static void played_receive(struct link_queue *queue, struct link_io *io)
{
	struct played_link *link = played_of(queue->link);

	fuzz_check(!queue->index && link->receive_count < PLAYED_IOS && !link->parked);
	if (io->may_wait && !link->hold && !link->frame_count && !link->lost) {
		fuzz_check(!link->receive_count);
		link->parked = io;
		return;
	}
	link->receives[link->receive_count++] = io;
	if (!link->hold && link->receive_count == 1)
		answer_receive(link);
}

static void played_wait(struct link_queue *queue, struct link_wait *wait, enum link_event event)
{
	struct played_link *link = played_of(queue->link);

	fuzz_check(!link->waits[event]);
	link->waits[event] = wait;
	played_link_changed(link);
}

static void played_cancel_io(struct link_queue *queue, struct link_io *io)
{
	struct played_link *link = played_of(queue->link);

	if (io == link->parked)
		link->cancelled_parked = true;
	else
		link->cancelled_sends = true;
	played_link_changed(link);
}

static void played_cancel_wait(struct link_queue *queue, struct link_wait *wait)
{
	struct played_link *link = played_of(queue->link);

	(void)wait;
	link->cancelled_waits = true;
	played_link_changed(link);
}

static const struct link_ops played_ops = {
	.destroy = played_destroy,
	.set_offloads = played_set_offloads,
	.set_active = played_set_active,
	.start = played_start,
	.stop = played_stop,
	.send = played_send,
	.receive = played_receive,
	.wait = played_wait,
	.cancel_io = played_cancel_io,
	.cancel_wait = played_cancel_wait,
};

/* ---- For targets ---- */

void played_link_init(struct played_link *link, struct worker *worker)
{
	link->link = (struct link){
		.ops = &played_ops,
		.name = "played",
		.queue_count = PLAYED_QUEUES,
		.offloads = LINK_CSUM | LINK_TSO4 | LINK_TSO6 | LINK_ECN | LINK_USO,
		.header = true,
		.carrier = true,
	};
	for (unsigned i = 0; i < PLAYED_QUEUES; i++) {
		link->queues[i] = (struct link_queue){ &link->link, i };
		link->link.queues[i] = &link->queues[i];
	}
	link->worker = worker;
	link->task.run = answer_all;
}

void played_link_clear(struct played_link *link)
{
	fuzz_check(!link->send_count && !link->receive_count);
	fuzz_check(!link->waits[LINK_READABLE] && !link->waits[LINK_WRITABLE] && !link->parked);
	link->hold = link->full = link->refuses = link->lost = false;
	link->failures = link->frame_count = 0;
}

bool played_link_put(struct played_link *link, const void *frame, unsigned bytes)
{
	struct played_frame *place = &link->frames[link->frame_count];
	unsigned missing = missing_bytes(link);

	if (link->frame_count == PLAYED_FRAMES)
		return false;
	place->bytes = bytes - missing;
	memcpy(place->data, (const uint8_t *)frame + missing, place->bytes);
	link->frame_count++;
	return true;
}

unsigned played_link_held(const struct played_link *link)
{
	return link->send_count + link->receive_count;
}
