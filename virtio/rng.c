// SPDX-License-Identifier: MIT
/*
 * The entropy device (virtio 1.2, 5.4): each buffer that the guest offers comes
 * back with bytes of the host's generator. All on the queue's worker; the
 * generator never waits once it is seeded, which creating the device sees to.
 */
#include "virtio/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define RNG_PCI_CLASS 0xff00 /* unassigned: no class is meant for it */
#define RNG_QUEUE_SIZE 64

/* The device may fill less than it was offered (5.4.6.1): other queues wait meanwhile. */
#define RNG_REQUEST_BYTES 4096

struct rng {
	struct virtio_device device;
	struct virtqueue queue;
};

static struct rng *rng_of(struct virtio_device *device)
{
	return container_of(device, struct rng, device);
}

/* Fills the chain, as far as one request goes. */
static uint32_t rng_fill(const struct chain *chain)
{
	unsigned parts = (unsigned)min_u64(chain->writable_count, CHAIN_PARTS_SHARED);
	uint32_t filled = 0;

	for (unsigned i = 0; i < parts && filled < RNG_REQUEST_BYTES; i++) {
		size_t length = min_u64(chain->writable[i].iov_len, RNG_REQUEST_BYTES - filled);
		ssize_t result = getrandom(chain->writable[i].iov_base, length, 0);

		if (result > 0)
			filled += (uint32_t)result;
		if (result < (ssize_t)length)
			break;
	}
	return filled;
}

static void rng_kick(struct virtqueue *queue)
{
	struct chain chain;

	while (virtqueue_pop(queue, &chain)) {
		virtqueue_push(queue, chain.head, rng_fill(&chain));
		virtqueue_spend(queue, CHAIN_PARTS_SHARED * chain.writable_count);
	}
}

static void rng_destroy(struct virtio_device *device)
{
	virtio_device_destroy(device);
	free(rng_of(device));
}

static int rng_create(const void *options, const struct virtio_deps *deps,
		      struct virtio_device **device)
{
	struct rng *rng = calloc(1, sizeof(*rng));
	struct virtio_device_config config;
	uint8_t byte;
	int error;

	(void)options;
	if (!rng)
		return fail_host(ENOMEM, "%s: out of memory", deps->name);
	/* A host that has just booted makes this wait, and so no worker later. */
	if (getrandom(&byte, sizeof(byte), 0) < 0) {
		free(rng);
		return fail_host_errno("%s: the host gives no random numbers", deps->name);
	}
	config = (struct virtio_device_config){
		.type = &virtio_rng,
		.deps = deps,
		.queues = &rng->queue,
		.queue_count = 1,
	};
	error = virtio_device_init(&rng->device, &config);
	if (error) {
		free(rng);
		return error;
	}
	error = virtqueue_init(&rng->queue, &rng->device, 0, RNG_QUEUE_SIZE, deps->workers[0]);
	if (error) {
		rng_destroy(&rng->device);
		return error;
	}
	*device = &rng->device;
	return 0;
}

const struct virtio_type virtio_rng = {
	.name = "rng",
	.option = "rng",
	.option_help = "give the guest random numbers of the host's",

	.id = VIRTIO_ID_RNG,
	.pci_class = RNG_PCI_CLASS,

	.create = rng_create,
	.destroy = rng_destroy,
	.kick = rng_kick,
};
