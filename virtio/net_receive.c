// SPDX-License-Identifier: MIT
/*
 * Frames from the link straight into the guest's buffers. While idle it waits
 * for the link to be readable, or, when frames come one by one, in a read that
 * ends with the next; then it reads a batch of frames at once, each into buffers
 * for a frame of the size that came of late and, behind them, into a tail of its
 * own memory. So no frame is lost by a wrong guess: what landed in the tail is
 * copied into further buffers, for which it waits a moment, and the guess grows.
 * Without buffers from the guest it does not read: the link's own queue
 * overflows, as a network card's does. The pair's worker.
 */
#include "virtio/net_device.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define TAIL_BYTES (68 * KIB)	/* more than any frame: one that fills it was cut */
#define BATCH_MIN 2		/* one frame, and the news that there is no other */
#define LONE_MAX 15		/* frames taken one by one before a batch asks for others */
#define HOLD_NS (100 * UINT64_C(1000000)) /* that a frame waits for buffers it lacks */
#define SPAN_SURPLUS_BATCHES 16 /* before the guess shrinks */

/* What is looked at of a frame, in one read of guest memory. */
struct frame_start {
	struct virtio_net_hdr_v1 header;
	struct ethhdr ethernet;
};

_Static_assert(sizeof(struct frame_start) == NET_FRAME_MIN_BYTES, "no padding");
_Static_assert(TAIL_BYTES > NET_FRAME_MAX_BYTES, "a tail holds any frame");

/* Copies the first `length` bytes, which are there, to or from `data`. */
static void iov_copy(const struct iovec *iov, void *data, size_t length, bool store)
{
	uint8_t *cursor = data;

	for (; length; iov++) {
		size_t step = (size_t)min_u64(iov->iov_len, length);

		if (store)
			memcpy(iov->iov_base, cursor, step);
		else
			memcpy(cursor, iov->iov_base, step);
		cursor += step;
		length -= step;
	}
}

/* ---- Buffers ---- */

/*
 * Pops until there are `count` buffers of `bytes` in all, or no more. One that
 * can't begin a frame, as it does not hold a header or has more parts than a
 * read may have, goes back empty.
 */
static void buffers_fill(struct net_receive *receive, unsigned count, uint64_t bytes)
{
	uint64_t present = 0;
	struct chain chain;

	for (unsigned i = 0; i < receive->buffer_count; i++)
		present += receive->buffers[i].chain.writable_bytes;
	while ((receive->buffer_count < count || present < bytes) &&
	       receive->buffer_count < receive->buffer_limit &&
	       virtqueue_pop(receive->queue, &chain)) {
		if (chain.writable_bytes < NET_HEADER_BYTES || chain.writable_count >= NET_IOVS) {
			virtqueue_push(receive->queue, chain.head, 0);
			continue;
		}
		present += chain.writable_bytes;
		receive->buffers[receive->buffer_count++] = (struct net_buffer){ chain };
	}
}

/*
 * Takes those that were used out, keeping the order of the others: the places of
 * frames that wait, whose first buffers are in that order too, move with them.
 */
static void buffers_compact(struct net_receive *receive)
{
	unsigned kept = 0, place = receive->delivered;

	for (unsigned i = 0; i < receive->buffer_count; i++) {
		for (; place < receive->place_count && receive->places[place].first == i; place++)
			receive->places[place].first = kept;
		if (receive->buffers[i].state != NET_BUFFER_USED)
			receive->buffers[kept++] = receive->buffers[i];
	}
	receive->buffer_count = kept;
}

/*
 * For a pause, as if they had never been taken. One that was taken before
 * another that has been used since can't be: it is ended empty, which drivers
 * count as a short frame and post again.
 */
static void buffers_give_back(struct net_receive *receive)
{
	while (receive->buffer_count)
		virtqueue_unpop(receive->queue,
				receive->buffers[--receive->buffer_count].chain.head);
}

/* ---- Places to read into ---- */

/* The parts of one buffer, leaving room for the tail's; false if there is no room for all. */
static bool place_add_buffer(struct net_receive *receive, struct net_place *place,
			     const struct chain *chain)
{
	if (receive->iov_count + chain->writable_count >= NET_IOVS)
		return false;
	memcpy(&receive->iovs[receive->iov_count], chain->writable,
	       chain->writable_count * sizeof(*chain->writable));
	receive->iov_count += chain->writable_count;
	place->covered_bytes += chain->writable_bytes;
	place->count++;
	return true;
}

/* A link without headers reads behind the room for one, which is ours to fill in. */
static void place_skip_header(struct iovec **iov, unsigned *count)
{
	size_t left = NET_HEADER_BYTES;

	while (left >= (*iov)->iov_len) {
		left -= (*iov)->iov_len;
		++*iov;
		--*count;
	}
	(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + left;
	(*iov)->iov_len -= left;
}

/* One more read, from buffer `first` on; false if there is nothing to read into. */
static bool place_add(struct net_pair *pair, unsigned first)
{
	struct net_receive *receive = &pair->receive;
	struct net_place *place = &receive->places[receive->place_count];
	struct iovec *iov = &receive->iovs[receive->iov_count];
	bool merge = virtio_has(&pair->net->device, VIRTIO_NET_F_MRG_RXBUF);
	unsigned count;

	place->first = first;
	place->count = 0;
	place->covered_bytes = 0;
	do {
		unsigned next = first + place->count;

		if (next == receive->buffer_count ||
		    !place_add_buffer(receive, place, &receive->buffers[next].chain))
			break;
	} while (merge && place->covered_bytes < receive->span_bytes);
	if (!place->count)
		return false;
	receive->iovs[receive->iov_count++] = (struct iovec){ place->tail, TAIL_BYTES };
	count = (unsigned)(&receive->iovs[receive->iov_count] - iov);
	if (!pair->link->link->header)
		place_skip_header(&iov, &count);
	place->io.iov = iov;
	place->io.iov_count = count;
	receive->place_count++;
	return true;
}

/* ---- Frames that came ---- */

/* 5.1.4.2: nothing that is larger than the MTU, but segments, nor what the filter holds back. */
static bool frame_wanted(const struct net_pair *pair, const struct frame_start *start,
			 uint64_t bytes)
{
	const struct net *net = pair->net;
	uint32_t mtu = le16toh(net->config.mtu);
	uint32_t link_bytes = ETH_HLEN + (start->ethernet.h_proto == htobe16(ETH_P_8021Q) ? 4 : 0);

	if (!pair->active || !net_frame_negotiated(&net->device, &start->header))
		return false;
	if (virtio_has(&net->device, VIRTIO_NET_F_MTU) &&
	    start->header.gso_type == VIRTIO_NET_HDR_GSO_NONE &&
	    bytes - NET_HEADER_BYTES > mtu + link_bytes)
		return false;
	return net_filter_passes(&pair->filter, start->ethernet.h_dest);
}

static void frame_load_start(const struct net_pair *pair, const struct net_place *place,
			     struct frame_start *start)
{
	if (pair->link->link->header) {
		iov_copy(place->io.iov, start, sizeof(*start), false);
		return;
	}
	memset(&start->header, 0, sizeof(start->header));
	iov_copy(place->io.iov, &start->ethernet, sizeof(start->ethernet), false);
}

/* Marks the buffers in which the frame of a place begins, up to its end or the tail. */
static void place_hold(struct net_receive *receive, struct net_place *place, uint64_t bytes)
{
	unsigned held = 0;

	for (uint64_t left = bytes; left && held < place->count; held++) {
		struct net_buffer *buffer = &receive->buffers[place->first + held];

		buffer->state = NET_BUFFER_HELD;
		left -= min_u64(left, buffer->chain.writable_bytes);
	}
	place->count = held;
}

static void place_release(struct net_receive *receive, const struct net_place *place)
{
	for (unsigned i = 0; i < place->count; i++)
		receive->buffers[place->first + i].state = NET_BUFFER_FREE;
}

/* A walk over the buffers of a frame: those that hold it, then free ones. */
struct buffer_walk {
	const struct net_place *place;
	unsigned index; /* within the place */
	unsigned free;	/* where to look for the next free one */
};

static struct net_buffer *walk_next(struct net_receive *receive, struct buffer_walk *walk)
{
	if (walk->index < walk->place->count)
		return &receive->buffers[walk->place->first + walk->index++];
	for (;;) {
		if (walk->free == receive->buffer_limit) {
			buffers_compact(receive);
			walk->free = receive->buffer_count;
		}
		if (walk->free == receive->buffer_count)
			buffers_fill(receive, receive->buffer_count + 1, 0);
		if (walk->free == receive->buffer_count)
			return NULL;
		if (receive->buffers[walk->free++].state == NET_BUFFER_FREE)
			return &receive->buffers[walk->free - 1];
	}
}

/* How many buffers a frame takes; 0 if there are not enough. */
static unsigned frame_count_buffers(struct net_pair *pair, const struct net_place *place,
				    uint64_t bytes)
{
	struct net_receive *receive = &pair->receive;
	struct buffer_walk walk = { .place = place };
	unsigned limit = virtio_has(&pair->net->device, VIRTIO_NET_F_MRG_RXBUF) ?
				 receive->buffer_limit : 1;
	unsigned count = 0;

	for (uint64_t left = bytes; left; count++) {
		struct net_buffer *buffer = count < limit ? walk_next(receive, &walk) : NULL;

		if (!buffer)
			return 0;
		left -= min_u64(left, buffer->chain.writable_bytes);
	}
	return count;
}

/* Ends the buffers of a frame, filling those beyond its place from the tail. */
static void frame_push(struct net_receive *receive, const struct net_place *place, uint64_t bytes)
{
	struct buffer_walk walk = { .place = place };
	const uint8_t *tail = place->tail;

	while (bytes) {
		struct net_buffer *buffer = walk_next(receive, &walk);
		uint32_t part = (uint32_t)min_u64(bytes, buffer->chain.writable_bytes);

		if (buffer->state == NET_BUFFER_FREE) {
			chain_put(&buffer->chain, tail, part);
			tail += part;
		}
		buffer->state = NET_BUFFER_USED;
		virtqueue_push(receive->queue, buffer->chain.head, part);
		bytes -= part;
	}
}

/*
 * Whether the guest may yet bring the buffers that a frame lacks: most often it
 * is about to post again what it was just given, also by this batch. Not for
 * long, as those may be all that it has; and the whole ring is all in any case.
 */
static bool frame_may_wait(struct net_pair *pair)
{
	struct net_receive *receive = &pair->receive;

	if (!virtio_has(&pair->net->device, VIRTIO_NET_F_MRG_RXBUF) || receive->hold_over ||
	    !virtqueue_running(receive->queue) ||
	    virtqueue_in_flight(receive->queue) == receive->queue->size)
		return false;
	if (!receive->holding)
		receive->holding = !worker_timer_start(pair->worker, &receive->hold, HOLD_NS);
	return receive->holding;
}

/* All of the frame, or none of it; false if it waits for buffers. */
static bool frame_deliver(struct net_pair *pair, struct net_place *place)
{
	struct net_receive *receive = &pair->receive;
	uint64_t bytes = place->frame_bytes;
	struct frame_start start;
	unsigned count;

	if (bytes < NET_FRAME_MIN_BYTES || bytes >= place->covered_bytes + TAIL_BYTES)
		return true;
	frame_load_start(pair, place, &start);
	if (!frame_wanted(pair, &start, bytes))
		return true;
	count = frame_count_buffers(pair, place, bytes);
	if (!count)
		return !frame_may_wait(pair);
	start.header.num_buffers = htole16((uint16_t)count);
	if (!virtio_has(&pair->net->device, VIRTIO_NET_F_GUEST_CSUM))
		start.header.flags = 0;
	iov_copy(receive->buffers[place->first].chain.writable, &start.header,
		 sizeof(start.header), true);
	frame_push(receive, place, bytes);
	return true;
}

/* ---- Batches ---- */

static void receive_adapt_batch(struct net_receive *receive, unsigned filled)
{
	if (filled == receive->place_count && filled == receive->batch)
		receive->batch = (unsigned)min_u64(receive->batch * 2u, NET_BATCH);
	else if (filled <= receive->batch / 4)
		receive->batch = (unsigned)max_u64(receive->batch / 2, BATCH_MIN);
}

static void receive_adapt_span(struct net_receive *receive, uint64_t largest)
{
	if (largest > receive->span_bytes / 2)
		receive->span_surplus = 0;
	if (largest > receive->span_bytes || ++receive->span_surplus > SPAN_SURPLUS_BATCHES)
		receive->span_bytes = largest;
}

/*
 * A frame for which a link was waited and that nothing followed: the next may
 * come alone too, and is then waited for by the read itself, which saves a call.
 */
static void receive_adapt_wait(struct net_receive *receive, unsigned filled)
{
	receive->burst += filled;
	if (receive->parked && filled) {
		receive->readable = !--receive->lone_left;
	} else if (!receive->readable) {
		receive->lone = !receive->parked && receive->burst == 1 ?
					(unsigned)min_u64(2 * receive->lone + 1, LONE_MAX) : 0;
		receive->lone_left = receive->lone;
	}
}

/* Every read has been answered: what has come, and how to read next time. */
static void receive_settle(struct net_pair *pair)
{
	struct net_receive *receive = &pair->receive;
	uint64_t largest = 0;
	unsigned filled = 0;

	for (unsigned i = 0; i < receive->place_count; i++) {
		struct net_place *place = &receive->places[i];

		receive->readable = place->result >= 0;
		place->frame_bytes = 0;
		if (place->result >= 0) {
			place->frame_bytes = (uint64_t)place->result +
					     (pair->link->link->header ? 0 : NET_HEADER_BYTES);
			filled++;
		} else if (place->result != -EAGAIN && place->result != -ECANCELED &&
			   pair->active) {
			net_link_lost(pair->net, place->result);
		}
		largest = max_u64(largest, place->frame_bytes);
		place_hold(receive, place, place->frame_bytes);
	}
	if (!receive->parked)
		receive_adapt_batch(receive, filled);
	if (filled)
		receive_adapt_span(receive, largest);
	receive_adapt_wait(receive, filled);
	receive->parked = false;
	receive->delivered = 0;
}

static void hold_end(struct net_pair *pair)
{
	pair->receive.holding = false;
	pair->receive.hold_over = false;
	worker_timer_stop(pair->worker, &pair->receive.hold);
}

/* All frames of a batch; a kick goes on with those that wait for buffers. */
static void receive_deliver(struct net_pair *pair)
{
	struct net_receive *receive = &pair->receive;

	while (receive->delivered < receive->place_count) {
		struct net_place *place = &receive->places[receive->delivered];

		if (place->frame_bytes && !frame_deliver(pair, place))
			return;
		hold_end(pair);
		if (place->count && receive->buffers[place->first].state == NET_BUFFER_HELD)
			place_release(receive, place);
		receive->delivered++;
	}
	receive->place_count = 0;
	buffers_compact(receive);
	if (virtqueue_running(receive->queue))
		virtqueue_again(receive->queue);
	else
		buffers_give_back(receive);
}

static void receive_hold_over(struct worker_timer *timer)
{
	struct net_receive *receive = container_of(timer, struct net_receive, hold);

	receive->holding = false;
	receive->hold_over = true;
	receive_deliver(container_of(receive, struct net_pair, receive));
}

static void receive_answered(struct net_pair *pair)
{
	if (--pair->receive.pending)
		return;
	receive_settle(pair);
	receive_deliver(pair);
}

static void receive_done(struct link_io *io, int result)
{
	struct net_place *place = container_of(io, struct net_place, io);

	place->result = result;
	receive_answered(place->pair);
}

/* Reads as many frames at once as there were of late, or until the link says that it is dry. */
static void receive_batch(struct net_pair *pair)
{
	struct net_receive *receive = &pair->receive;
	unsigned next = 0, issued = 0;

	receive->iov_count = 0;
	while (receive->place_count < receive->batch && place_add(pair, next))
		next += receive->places[receive->place_count - 1].count;
	assert(receive->place_count);
	receive->pending = 1;
	while (issued < receive->place_count) {
		struct net_place *place = &receive->places[issued++];

		place->result = 0;
		place->io.may_wait = false;
		receive->pending++;
		pair->link->link->ops->receive(pair->link, &place->io);
		if (place->result < 0)
			receive->place_count = issued;
	}
	receive_answered(pair);
}

/* Waits for the link, in a read of the next frame if that is likely to come alone. */
static void receive_wait(struct net_pair *pair)
{
	struct net_receive *receive = &pair->receive;
	struct net_place *place = receive->places;

	receive->burst = 0;
	/* Either ends before the queue has drained: a buffer is in flight all the while. */
	if (!receive->lone_left) {
		receive->waiting = true;
		pair->link->link->ops->wait(pair->link, &receive->wait, LINK_READABLE);
		return;
	}
	receive->iov_count = 0;
	place_add(pair, 0);
	place->result = 0;
	place->io.may_wait = true;
	receive->parked = true;
	receive->pending = 1;
	pair->link->link->ops->receive(pair->link, &place->io);
}

static void receive_ready(struct link_wait *wait, int result)
{
	struct net_receive *receive = container_of(wait, struct net_receive, wait);
	struct net_pair *pair = container_of(receive, struct net_pair, receive);

	receive->waiting = false;
	receive->readable = result >= 0;
	if (!virtqueue_running(receive->queue)) {
		buffers_give_back(receive);
		return;
	}
	if (result < 0 && pair->active && result != -ECANCELED)
		net_link_lost(pair->net, result);
	virtqueue_again(receive->queue);
}

void net_receive_kick(struct net_pair *pair)
{
	struct net_receive *receive = &pair->receive;
	uint64_t bytes = 0;

	/* Always enough for one frame of any size. */
	if (virtio_has(&pair->net->device, VIRTIO_NET_F_MRG_RXBUF))
		bytes = max_u64((uint64_t)receive->batch * receive->span_bytes,
				NET_FRAME_MAX_BYTES);
	if (!pair->active || pair->net->lost || receive->pending || receive->waiting)
		return;
	if (receive->place_count) {
		receive_deliver(pair);
		return;
	}
	if (receive->readable)
		buffers_fill(receive, receive->batch, bytes);
	else
		buffers_fill(receive, 1, 0);
	if (!receive->buffer_count)
		return;
	if (receive->readable)
		receive_batch(pair);
	else
		receive_wait(pair);
}

void net_receive_deactivate(struct net_pair *pair)
{
	struct net_receive *receive = &pair->receive;

	if (receive->waiting)
		pair->link->link->ops->cancel_wait(pair->link, &receive->wait);
	else if (receive->parked)
		pair->link->link->ops->cancel_io(pair->link, &receive->places[0].io);
}

void net_receive_stop(struct net_pair *pair)
{
	struct net_receive *receive = &pair->receive;

	net_receive_deactivate(pair);
	if (!receive->waiting && !receive->pending)
		receive_deliver(pair); /* what is left of it, and gives back */
}

void net_receive_start(struct net_pair *pair, struct virtqueue *queue)
{
	struct net_receive *receive = &pair->receive;

	receive->queue = queue;
	receive->batch = BATCH_MIN;
	receive->span_bytes = 0;
	receive->span_surplus = 0;
	receive->readable = true; /* which a first read finds out */
	receive->lone = receive->lone_left = 0;
}

int net_receive_init(struct net_pair *pair)
{
	struct net_receive *receive = &pair->receive;
	const char *name = pair->net->device.deps.name;

	receive->buffer_limit = NET_QUEUE_SIZE;
	receive->buffers = calloc(receive->buffer_limit, sizeof(*receive->buffers));
	receive->tails = mmap(NULL, NET_BATCH * TAIL_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (receive->tails == MAP_FAILED)
		receive->tails = NULL;
	if (!receive->buffers || !receive->tails)
		return fail_host(ENOMEM, "%s: out of memory", name);
	receive->wait.ready = receive_ready;
	receive->hold.expired = receive_hold_over;
	for (unsigned i = 0; i < NET_BATCH; i++) {
		receive->places[i].pair = pair;
		receive->places[i].io.done = receive_done;
		receive->places[i].tail = receive->tails + i * TAIL_BYTES;
	}
	return 0;
}

void net_receive_destroy(struct net_pair *pair)
{
	free(pair->receive.buffers);
	if (pair->receive.tails)
		munmap(pair->receive.tails, NET_BATCH * TAIL_BYTES);
}
