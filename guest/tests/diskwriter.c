// SPDX-License-Identifier: MIT
/*
 * Writes sectors for ever, several at a time, and flushes now and then; each sector says what it
 * is and which writes had been flushed when it was made (tests/hostfaults/diskrecord.h). What is on
 * the disk after a kill or a power cut can so be held to what the guest was told. With several
 * queues writes take all of them in turn and flushes the last, as a flush covers every queue's.
 * Params: sectors=N (a power of two), depth=D (at most 32), every=M (writes between flushes).
 * Reports "flushed S": all writes below S are safe.
 */
#include "kit/memory.h"
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"

#include "../tests/hostfaults/diskrecord.h"

#define DEPTH_MAX 32
#define HEADS_MAX 64

struct writer_request {
	struct virtio_blk_outhdr header;
	uint8_t status;
	bool busy;
	uint64_t sequence;	/* of a write */
	uint64_t covers;	/* a flush: every write below had ended when it began */
	struct diskrecord records[DISKRECORD_COPIES];
};

static struct writer_request *writes, *flush;
static struct writer_request *in_flight[VIRTIO_QUEUES_MAX][HEADS_MAX];
static uint64_t next_sequence = 1, flushed, depth, every;
static uint32_t sectors;

static void offer(struct virtqueue *queue, struct writer_request *request, bool write)
{
	struct part parts[3] = { { &request->header, sizeof(request->header), false } };
	unsigned count = 1;
	uint16_t head;

	request->header.type = write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_FLUSH;
	request->status = 0xff;
	request->busy = true;
	if (write)
		parts[count++] = (struct part){ request->records, sizeof(request->records), false };
	parts[count++] = (struct part){ &request->status, 1, true };
	head = virtqueue_add(queue, parts, count);
	if (head >= HEADS_MAX)
		bail_out("no room in the queue");
	in_flight[queue->index][head] = request;
	virtqueue_kick(queue);
}

/* The lowest write that has not ended. */
static uint64_t ended_below(void)
{
	uint64_t lowest = next_sequence;

	for (unsigned i = 0; i < depth; i++)
		if (writes[i].busy && writes[i].sequence < lowest)
			lowest = writes[i].sequence;
	return lowest;
}

static void offer_write(struct virtqueue *queue, struct writer_request *request)
{
	struct diskrecord record = { .flushed = flushed, .ended = ended_below() };

	record.sequence = next_sequence++;
	record.sector = diskrecord_sector(record.sequence, sectors);
	record.check = diskrecord_check(&record);
	for (unsigned i = 0; i < DISKRECORD_COPIES; i++)
		request->records[i] = record;
	request->sequence = record.sequence;
	request->header.sector = record.sector;
	offer(queue, request, true);
}

static void take_ended(struct virtio_device *device)
{
	struct used used;

	for (unsigned i = 0; i < device->queue_count; i++) {
		while (virtqueue_poll(&device->queues[i], &used)) {
			struct writer_request *request = in_flight[i][used.head % HEADS_MAX];

			if (request->status != VIRTIO_BLK_S_OK)
				bail_out("write %lu: status %u", request->sequence,
					 request->status);
			request->busy = false;
		}
	}
}

static void flush_ended(void)
{
	char line[40];

	flushed = flush->covers;
	flush->covers = 0;
	arch_put(line, text_format(line, sizeof(line), "flushed %lu\n", flushed));
}

void guest_main(void)
{
	struct virtio_device *device = virtio_find(VIRTIO_ID_BLOCK);
	uint64_t since = 0;
	unsigned turn = 0;

	sectors = (uint32_t)param_number("sectors", 256);
	depth = param_number("depth", 8);
	every = param_number("every", 16);
	if (!depth || depth > DEPTH_MAX || !sectors || (sectors & (sectors - 1)))
		bail_out("depth=%lu: 1 to %u; sectors=%u: a power of two", depth, DEPTH_MAX,
			 sectors);
	virtio_start(device, virtio_usual_features(device));
	writes = memory_get(DEPTH_MAX * sizeof(*writes), 64);
	flush = memory_get(sizeof(*flush), 64);
	note("writes");
	for (;;) {
		take_ended(device);
		if (flush->covers && !flush->busy)
			flush_ended();
		if (!flush->busy && since >= every) {
			flush->covers = ended_below();
			offer(&device->queues[device->queue_count - 1], flush, false);
			since = 0;
		}
		for (unsigned i = 0; i < depth; i++) {
			/* A sector has one write in flight: two could end in any order. */
			if (writes[i].busy || next_sequence >= ended_below() + sectors)
				continue;
			offer_write(&device->queues[turn++ % device->queue_count], &writes[i]);
			since++;
		}
	}
}
