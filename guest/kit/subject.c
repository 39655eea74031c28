// SPDX-License-Identifier: MIT
/* One request that each device completes by itself. */
#include "kit/subject.h"
#include "kit/memory.h"
#include "kit/tap.h"
#include "kit/text.h"

#define POISON	     0xa5
#define FRAME_BYTES  60
#define RANDOM_BYTES 32
#define SECTORS	     8

struct virtqueue *subject_queue(struct virtio_device *device)
{
	bool second = device->type == VIRTIO_ID_NET || device->type == VIRTIO_ID_CONSOLE;

	return &device->queues[second ? 1 : 0];
}

struct virtqueue *net_control_queue(struct virtio_device *device)
{
	unsigned pairs = 1;

	if (device->negotiated & BIT64(VIRTIO_NET_F_MQ))
		pairs = virtio_config_read16(device, offsetof(struct virtio_net_config,
							      max_virtqueue_pairs));
	return &device->queues[2 * pairs];
}

static void add_part(struct request *request, void *data, uint32_t bytes, bool writable)
{
	request->parts[request->count++] = (struct part){ data, bytes, writable };
	if (writable)
		request->writable_bytes += bytes;
	else
		request->readable_bytes += bytes;
}

static void init_blk(struct request *request, unsigned number)
{
	request->sector = number % SECTORS;
	request->header.blk.type = VIRTIO_BLK_T_IN;
	request->header.blk.sector = request->sector;
	add_part(request, &request->header, sizeof(request->header.blk), false);
	add_part(request, request->data, sizeof(request->data), true);
	add_part(request, &request->status, 1, true);
	request->written_min = sizeof(request->data) + 1;
	request->written_max = sizeof(request->data) + 1;
}

static void init_net(struct request *request, unsigned number)
{
	/* To all, from a local address, of the type that is for experiments: nobody answers. */
	static const uint8_t frame_head[14] = { 255, 255, 255, 255, 255, 255,  2,
						0,   0,	  0,   0,   1,	 0x88, 0xb5 };

	memset(request->data, (int)number, FRAME_BYTES);
	memcpy(request->data, frame_head, sizeof(frame_head));
	add_part(request, &request->header, sizeof(request->header.net), false);
	add_part(request, request->data, FRAME_BYTES, false);
}

void request_init(struct request *request, const struct virtio_device *device, unsigned number)
{
	*request = (struct request){ .status = POISON };
	switch (device->type) {
	case VIRTIO_ID_BLOCK:
		memset(request->data, POISON, sizeof(request->data));
		init_blk(request, number);
		break;
	case VIRTIO_ID_NET:
		init_net(request, number);
		break;
	case VIRTIO_ID_CONSOLE:
		/* What this prints may mix with TAP: whole comment lines do no harm. */
		memcpy(request->data, "#\n", 2);
		add_part(request, request->data, 2, false);
		break;
	case VIRTIO_ID_RNG:
		memset(request->data, POISON, RANDOM_BYTES);
		add_part(request, request->data, RANDOM_BYTES, true);
		request->written_min = 1;
		request->written_max = RANDOM_BYTES;
		break;
	default:
		bail_out("%s: no request is known for type %u", device->name, device->type);
	}
}

void request_add(struct request *request, struct virtio_device *device, unsigned number)
{
	request_init(request, device, number);
	virtqueue_add(subject_queue(device), request->parts, request->count);
}

/* The first reading of a sector is what later ones must give. */
static bool check_sector(const struct request *request, const struct virtio_device *device)
{
	static uint8_t *known[VIRTIO_DEVICES_MAX][SECTORS];
	uint8_t **first = &known[device->function->device % VIRTIO_DEVICES_MAX][request->sector];

	if (request->status != VIRTIO_BLK_S_OK) {
		note("%s: sector %u has status %x", device->name, request->sector, request->status);
		return false;
	}
	if (!*first) {
		*first = memory_get_raw(REQUEST_DATA_BYTES, 64);
		memcpy(*first, request->data, REQUEST_DATA_BYTES);
		return true;
	}
	if (memcmp(*first, request->data, REQUEST_DATA_BYTES)) {
		note("%s: sector %u is not what it was", device->name, request->sector);
		return false;
	}
	return true;
}

static bool check_random(const struct request *request, const struct virtio_device *device)
{
	for (unsigned i = 0; i < RANDOM_BYTES; i++)
		if (request->data[i] != POISON)
			return true;
	note("%s: nothing was written", device->name);
	return false;
}

bool request_check(const struct request *request, const struct virtio_device *device,
		   const struct used *used)
{
	if (used->written < request->written_min || used->written > request->written_max) {
		note("%s: used length %u, not %u to %u", device->name, used->written,
		     request->written_min, request->written_max);
		return false;
	}
	if (device->type == VIRTIO_ID_BLOCK)
		return check_sector(request, device);
	if (device->type == VIRTIO_ID_RNG)
		return check_random(request, device);
	return true;
}

bool subject_works(struct virtio_device *device)
{
	static struct request request;
	static unsigned number;
	struct virtqueue *queue = subject_queue(device);
	struct used used;
	uint16_t head;

	request_init(&request, device, number++);
	head = virtqueue_add(queue, request.parts, request.count);
	if (head == VIRTQUEUE_FULL) {
		note("%s: queue %u has no room", device->name, queue->index);
		return false;
	}
	virtqueue_notify(queue);
	if (!virtqueue_wait(queue, &used, REQUEST_NS)) {
		note("%s: no answer on queue %u, status %x", device->name, queue->index,
		     virtio_status(device));
		return false;
	}
	if (used.head != head) {
		note("%s: head %u came back for %u", device->name, used.head, head);
		return false;
	}
	return request_check(&request, device, &used);
}

bool subject_restarts(struct virtio_device *device)
{
	virtio_start(device, virtio_usual_features(device));
	return subject_works(device);
}

void for_each_device(void (*test)(struct virtio_device *device))
{
	struct virtio_device *devices;
	unsigned count = virtio_scan(&devices);

	for (unsigned i = 0; i < count; i++)
		test(&devices[i]);
}
