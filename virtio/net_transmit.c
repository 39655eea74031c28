// SPDX-License-Identifier: MIT
/*
 * Frames from the guest to the link, without a copy but of the header. A batch
 * is taken from the queue, sent as a whole, and ended when all of it has been
 * answered. Order is kept: a frame that found no room and was then overtaken by
 * a later one is dropped, not sent late; and as that must not become a habit, a
 * link that ever was full gets one frame at a time from then on. (A tap never
 * is.) The pair's worker.
 */
#include "virtio/net_device.h"

#include <errno.h>
#include <string.h>

static void transmit_go(struct net_pair *pair);

static void transmit_give_back(struct net_transmit *transmit)
{
	while (transmit->count > transmit->first)
		virtqueue_unpop(transmit->queue, transmit->sends[--transmit->count].head);
	transmit->first = transmit->count = 0;
}

static void transmit_writable(struct link_wait *wait, int result)
{
	struct net_transmit *transmit = container_of(wait, struct net_transmit, wait);
	struct net_pair *pair = container_of(transmit, struct net_pair, transmit);

	transmit->waiting = false;
	if (!virtqueue_running(transmit->queue)) {
		transmit_give_back(transmit);
		return;
	}
	if (result < 0)
		net_link_lost(pair->net, result);
	transmit_go(pair);
}

static bool found_no_room(const struct net_send *send)
{
	return send->result == -EAGAIN || send->result == -ECANCELED;
}

/* How far the batch is done: up to the last that was sent, and what is no frame behind it. */
static unsigned transmit_settled(const struct net_transmit *transmit)
{
	unsigned settled = transmit->tried;

	while (settled > transmit->first && (transmit->sends[settled - 1].bad ||
					     found_no_room(&transmit->sends[settled - 1])))
		settled--;
	while (settled < transmit->tried && transmit->sends[settled].bad)
		settled++;
	return settled;
}

/* All that was tried has been answered. */
static void transmit_settle(struct net_pair *pair)
{
	struct net_transmit *transmit = &pair->transmit;
	unsigned settled = transmit_settled(transmit);
	bool full = settled < transmit->tried;

	while (transmit->first < settled) {
		struct net_send *send = &transmit->sends[transmit->first++];

		if (send->result == -ENODEV && pair->active)
			net_link_lost(pair->net, send->result);
		virtqueue_push(transmit->queue, send->head, 0);
	}
	transmit->one_by_one |= full;
	if (!virtqueue_running(transmit->queue)) {
		transmit_give_back(transmit);
	} else if (full) {
		transmit->waiting = true;
		pair->link->link->ops->wait(pair->link, &transmit->wait, LINK_WRITABLE);
	} else if (transmit->first < transmit->count) {
		transmit_go(pair);
	} else {
		virtqueue_again(transmit->queue);
	}
}

static void transmit_answered(struct net_pair *pair)
{
	if (!--pair->transmit.pending)
		transmit_settle(pair);
}

static void transmit_done(struct link_io *io, int result)
{
	struct net_send *send = container_of(io, struct net_send, io);

	send->result = result;
	transmit_answered(send->pair);
}

/* Sends what has not been sent, in order. */
static void transmit_go(struct net_pair *pair)
{
	struct net_transmit *transmit = &pair->transmit;
	bool sink = !pair->active || pair->net->lost;
	unsigned limit = transmit->one_by_one ? 1 : NET_BATCH;

	transmit->pending = 1;
	for (transmit->tried = transmit->first; transmit->tried < transmit->count;) {
		struct net_send *send = &transmit->sends[transmit->tried];

		send->bad |= sink;
		if (!send->bad && !limit--)
			break;
		transmit->tried++;
		if (send->bad)
			continue;
		transmit->pending++;
		pair->link->link->ops->send(pair->link, &send->io);
	}
	transmit_answered(pair);
}

/*
 * What tun refuses about a header, but virtio says to ignore (5.1.6.2.2): flags
 * it does not know, and a wrong hint of the header's length.
 */
static void header_clean(struct virtio_net_hdr_v1 *header, uint64_t frame_bytes)
{
	header->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	if (le16toh(header->hdr_len) > frame_bytes)
		header->hdr_len = 0;
	header->num_buffers = 0;
}

/* The header and the parts of the frame; false if it can't be a frame. */
static bool transmit_prepare(struct net_pair *pair, struct net_send *send, struct chain *chain)
{
	struct net_transmit *transmit = &pair->transmit;
	struct iovec *iov = &transmit->iovs[transmit->iov_count];
	unsigned count = 0;

	if (chain->readable_bytes < NET_FRAME_MIN_BYTES ||
	    chain->readable_bytes > NET_FRAME_MAX_BYTES ||
	    !chain_pull(chain, &send->header, sizeof(send->header)) ||
	    chain->readable_count >= NET_IOVS)
		return false;
	header_clean(&send->header, chain->readable_bytes);
	if (pair->link->link->header)
		iov[count++] = (struct iovec){ &send->header, sizeof(send->header) };
	memcpy(iov + count, chain->readable, chain->readable_count * sizeof(*iov));
	send->io.iov = iov;
	send->io.iov_count = count + chain->readable_count;
	transmit->iov_count += send->io.iov_count;
	return true;
}

/* Takes what the guest has made available, as far as there is room for its parts. */
static void transmit_collect(struct net_pair *pair)
{
	struct net_transmit *transmit = &pair->transmit;
	struct chain chain;

	transmit->first = transmit->count = transmit->iov_count = 0;
	while (transmit->count < NET_BATCH && virtqueue_pop(transmit->queue, &chain)) {
		struct net_send *send = &transmit->sends[transmit->count];

		if (transmit->count && transmit->iov_count + chain.readable_count + 1u > NET_IOVS) {
			virtqueue_unpop(transmit->queue, chain.head);
			break;
		}
		transmit->count++;
		send->head = chain.head;
		send->result = 0;
		send->bad = !transmit_prepare(pair, send, &chain);
	}
}

void net_transmit_kick(struct net_pair *pair)
{
	struct net_transmit *transmit = &pair->transmit;

	if (transmit->pending || transmit->waiting)
		return;
	transmit_collect(pair);
	if (transmit->count)
		transmit_go(pair);
}

void net_transmit_stop(struct net_pair *pair)
{
	struct net_transmit *transmit = &pair->transmit;
	const struct link_ops *ops = pair->link->link->ops;

	if (transmit->waiting)
		ops->cancel_wait(pair->link, &transmit->wait);
	for (unsigned i = transmit->first; transmit->pending && i < transmit->tried; i++)
		ops->cancel_io(pair->link, &transmit->sends[i].io);
}

void net_transmit_start(struct net_pair *pair, struct virtqueue *queue)
{
	pair->transmit.queue = queue;
}

void net_transmit_init(struct net_pair *pair)
{
	pair->transmit.wait.ready = transmit_writable;
	for (unsigned i = 0; i < NET_BATCH; i++) {
		pair->transmit.sends[i].pair = pair;
		pair->transmit.sends[i].io.done = transmit_done;
	}
}
