// SPDX-License-Identifier: MIT
/*
 * The control queue (virtio 1.2, 5.1.6.5): receive modes, addresses, how many
 * pairs are in use. A command changes `wanted`, then each pair's worker takes
 * over a copy in a task of its own; the last one hands the command back, so the
 * driver sees it ended only when no worker acts on the old settings any more.
 * One command at a time. The control queue's worker.
 */
#include "virtio/net_device.h"

#include <string.h>

static struct net *net_of_control(struct net_control *control)
{
	return container_of(control, struct net, control);
}

/* ---- Taking over ---- */

static void pair_set_active(struct net_pair *pair, bool active)
{
	const struct link_ops *ops = pair->link->link->ops;
	int error;

	if (pair->active == active || pair->net->lost)
		return;
	pair->active = active;
	error = ops->set_active(pair->link, active);
	if (error)
		net_link_lost(pair->net, error);
	else if (active && pair->receive.queue && virtqueue_running(pair->receive.queue))
		virtqueue_again(pair->receive.queue);
	else if (!active)
		net_receive_deactivate(pair);
}

/* The pair's worker. */
static void pair_apply(struct worker_task *task)
{
	struct net_pair *pair = container_of(task, struct net_pair, apply);
	struct net_control *control = &pair->net->control;
	unsigned index = (unsigned)(pair - pair->net->pairs);

	pair->filter = control->wanted;
	pair_set_active(pair, index < control->wanted_pairs);
	if (atomic_fetch_sub(&control->unapplied, 1) == 1)
		worker_post(control->queue->worker, &control->applied);
}

/* The length counts bytes without a gap (2.7.8.2): of room before the ack nothing is written. */
static void command_end(struct net_control *control, uint8_t ack)
{
	*control->ack = ack;
	virtqueue_push(control->queue, control->head, control->ack_is_first ? sizeof(ack) : 0);
	control->busy = false;
}

static void command_applied(struct worker_task *task)
{
	struct net_control *control = container_of(task, struct net_control, applied);
	struct net *net = net_of_control(control);

	if (memcmp(net->config.mac, control->wanted.mac, ETH_ALEN))
		virtio_config_update(&net->device, offsetof(struct virtio_net_config, mac),
				     control->wanted.mac, ETH_ALEN);
	command_end(control, VIRTIO_NET_OK);
	virtqueue_again(control->queue);
}

static void command_apply(struct net_control *control)
{
	struct net *net = net_of_control(control);

	atomic_store(&control->unapplied, net->pair_count);
	control->applied.run = command_applied;
	for (unsigned i = 0; i < net->pair_count; i++) {
		net->pairs[i].apply.run = pair_apply;
		worker_post(net->pairs[i].worker, &net->pairs[i].apply);
	}
}

/* ---- Commands: change `wanted`, or return false and change nothing ---- */

static bool set_mode(struct net_control *control, uint8_t mode, struct chain *data)
{
	unsigned feature = mode > VIRTIO_NET_CTRL_RX_ALLMULTI ? VIRTIO_NET_F_CTRL_RX_EXTRA :
								VIRTIO_NET_F_CTRL_RX;
	uint8_t on;

	if (mode > VIRTIO_NET_CTRL_RX_NOBCAST ||
	    !virtio_has(&net_of_control(control)->device, feature) ||
	    data->readable_bytes != sizeof(on) || !chain_pull(data, &on, sizeof(on)) || on > 1)
		return false;
	control->wanted.modes &= ~(1u << mode);
	control->wanted.modes |= (unsigned)on << mode;
	return true;
}

static bool pull_table(struct net_address_table *table, struct chain *data)
{
	uint32_t entries;

	if (!chain_pull(data, &entries, sizeof(entries)))
		return false;
	entries = le32toh(entries);
	if (entries > data->readable_bytes / ETH_ALEN)
		return false;
	table->overflow = entries > NET_FILTER_ADDRESSES;
	table->count = table->overflow ? 0 : entries;
	if (table->overflow)
		return chain_skip_readable(data, (uint64_t)entries * ETH_ALEN);
	return chain_pull(data, table->addresses, (size_t)entries * ETH_ALEN);
}

static bool set_tables(struct net_control *control, struct chain *data)
{
	struct net_address_table unicast = { 0 }, multicast = { 0 };

	if (!virtio_has(&net_of_control(control)->device, VIRTIO_NET_F_CTRL_RX) ||
	    !pull_table(&unicast, data) || !pull_table(&multicast, data) || data->readable_bytes)
		return false;
	control->wanted.unicast = unicast;
	control->wanted.multicast = multicast;
	return true;
}

static bool set_mac(struct net_control *control, struct chain *data)
{
	uint8_t mac[ETH_ALEN];

	if (!virtio_has(&net_of_control(control)->device, VIRTIO_NET_F_CTRL_MAC_ADDR) ||
	    data->readable_bytes != sizeof(mac) || !chain_pull(data, mac, sizeof(mac)) ||
	    (mac[0] & 1))
		return false;
	memcpy(control->wanted.mac, mac, sizeof(mac));
	return true;
}

static bool set_pairs(struct net_control *control, struct chain *data)
{
	struct net *net = net_of_control(control);
	struct virtio_net_ctrl_mq command;

	if (!virtio_has(&net->device, VIRTIO_NET_F_MQ) ||
	    data->readable_bytes != sizeof(command) ||
	    !chain_pull(data, &command, sizeof(command)))
		return false;
	command.virtqueue_pairs = le16toh(command.virtqueue_pairs);
	if (command.virtqueue_pairs < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN ||
	    command.virtqueue_pairs > net->pair_count)
		return false;
	control->wanted_pairs = command.virtqueue_pairs;
	return true;
}

static bool command_run(struct net_control *control, struct chain *data)
{
	struct virtio_net_ctrl_hdr header;

	if (!chain_pull(data, &header, sizeof(header)))
		return false;
	if (header.class == VIRTIO_NET_CTRL_RX)
		return set_mode(control, header.cmd, data);
	if (header.class == VIRTIO_NET_CTRL_MAC && header.cmd == VIRTIO_NET_CTRL_MAC_TABLE_SET)
		return set_tables(control, data);
	if (header.class == VIRTIO_NET_CTRL_MAC && header.cmd == VIRTIO_NET_CTRL_MAC_ADDR_SET)
		return set_mac(control, data);
	if (header.class == VIRTIO_NET_CTRL_MQ && header.cmd == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET)
		return set_pairs(control, data);
	return false;
}

void net_control_start(struct net *net, struct virtqueue *queue)
{
	net->control.queue = queue;
}

void net_control_kick(struct net *net)
{
	struct net_control *control = &net->control;
	struct virtqueue *queue = control->queue;
	struct chain chain;

	while (!control->busy && virtqueue_pop(queue, &chain)) {
		control->ack = chain_take_last(&chain);
		if (!control->ack) {
			virtqueue_push(queue, chain.head, 0);
			continue;
		}
		control->ack_is_first = !chain.writable_bytes;
		control->head = chain.head;
		control->busy = true;
		if (command_run(control, &chain))
			command_apply(control);
		else
			command_end(control, VIRTIO_NET_ERR);
	}
}

void net_control_reset(struct net *net)
{
	int error = 0;

	net_filter_init(&net->control.wanted, net->mac);
	net->control.wanted_pairs = 1;
	for (unsigned i = 0; i < net->pair_count; i++) {
		struct net_pair *pair = &net->pairs[i];

		pair->filter = net->control.wanted;
		if (pair->active != (i == 0) && !net->lost)
			error = pair->link->link->ops->set_active(pair->link, i == 0);
		pair->active = i == 0;
	}
	if (error)
		net_link_lost(net, error);
}
