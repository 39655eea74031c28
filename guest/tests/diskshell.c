// SPDX-License-Identifier: MIT
/*
 * Disks by hand, for tests of what their host does: reads commands from the serial port, answers
 * each with one line, "COMMAND: RESULT". D is a disk's number, from 0.
 *
 *	D w SECTOR COUNT TAG	sectors full of TAG; RESULT is the status, or "late" after 10 s
 *	D r SECTOR COUNT TAG	read them: "0 same", "0 differs", or another status
 *	D f			flush
 *	D W, D R, D F ...	the same, without waiting: "begun"
 *	D c COUNT		wait for as many of these: their statuses in the order of their ends
 *	D reset			write status 0; "done", or "pending" after 2 s
 *	D start			set it up anew; at the start it is
 *	link			of the network card, if there is one: "up" or "down", and how many
 *				changes were announced
 *	say BYTES		65536 at most, on each port of the console, if there is one:
 *				"said" when the device has taken them
 *	restart			pulls the machine's reset line
 *	quit
 */
#include "kit/memory.h"
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"

#include <linux/virtio_console.h>

#define SECTOR_BYTES 512
#define PATIENCE_NS  UINT64_C(10000000000)
#define RESET_NS     UINT64_C(2000000000)
#define WORDS_MAX    5
#define HEADS_MAX    64
#define FRAME_BYTES  2048
#define FRAMES	     60
#define SAY_BYTES    65536
#define MESSAGES     3 /* of the queues that transmit, the console's own */

struct disk_request {
	struct virtio_blk_outhdr header;
	uint32_t bytes;
	uint8_t status;
	uint8_t *data, tag;
};

struct disk {
	struct virtio_device *device;
	struct disk_request *requests[HEADS_MAX]; /* by head; NULL: none */
};

static struct disk disks[VIRTIO_DEVICES_MAX];
static unsigned disk_count;
static struct virtio_device *card, *console;

static void disk_start(struct disk *disk)
{
	memset(disk->requests, 0, sizeof(disk->requests));
	virtio_start(disk->device, virtio_usual_features(disk->device));
}

/* With buffers for some frames: while there is one, the host's side is waited for. */
static void card_start(struct virtio_device *device)
{
	card = device;
	virtio_start(card, virtio_usual_features(card));
	for (unsigned i = 0; i < FRAMES; i++) {
		struct part part = { memory_get_raw(FRAME_BYTES, 16), FRAME_BYTES, true };

		virtqueue_add(&card->queues[0], &part, 1);
	}
	virtqueue_kick(&card->queues[0]);
}

static void link(char *result, size_t size)
{
	const unsigned at = offsetof(struct virtio_net_config, status);

	text_format(result, size, " %s %lu",
		    virtio_config_read16(card, at) & VIRTIO_NET_S_LINK_UP ? "up" : "down",
		    arch_line_count(card->lines[0]));
}

static void console_start(struct virtio_device *device)
{
	console = device;
	virtio_start(console, virtio_usual_features(console) | (virtio_offered(console) &
								BIT64(VIRTIO_CONSOLE_F_MULTIPORT)));
}

static void say(uint32_t bytes, char *result, size_t size)
{
	static uint8_t text[SAY_BYTES];
	struct part part = { text, bytes < SAY_BYTES ? bytes : SAY_BYTES, false };
	bool taken = true;
	struct used used;

	memset(text, '.', part.bytes);
	for (unsigned i = 1; i < console->queue_count; i += 2) {
		if (i == MESSAGES)
			continue;
		virtqueue_add(&console->queues[i], &part, 1);
		virtqueue_kick(&console->queues[i]);
		taken = taken && virtqueue_wait(&console->queues[i], &used, PATIENCE_NS);
	}
	text_format(result, size, taken ? " said" : " late");
}

static bool read_line(char *line, size_t size)
{
	size_t length = 0;

	for (;;) {
		int byte = arch_get();

		if (byte < 0)
			arch_wait_ns(1000000);
		else if (byte == '\n')
			break;
		else if (length < size - 1)
			line[length++] = (char)byte;
	}
	line[length] = '\0';
	return strcmp(line, "quit");
}

static unsigned split(char *line, char **words)
{
	unsigned count = 0;

	while (*line && count < WORDS_MAX) {
		words[count++] = line;
		while (*line && *line != ' ')
			line++;
		if (*line)
			*line++ = '\0';
	}
	return count;
}

static uint32_t number(const char *word)
{
	uint32_t value = 0;

	while (*word >= '0' && *word <= '9')
		value = value * 10 + (uint32_t)(*word++ - '0');
	return value;
}

static bool full_of(const uint8_t *data, uint32_t bytes, uint8_t tag)
{
	for (uint32_t i = 0; i < bytes; i++)
		if (data[i] != tag)
			return false;
	return true;
}

/* Every request has memory of its own: one that is given up may still be written to. */
static void begin(struct disk *disk, char verb, char **words, unsigned count)
{
	struct virtqueue *queue = &disk->device->queues[0];
	struct disk_request *request = memory_get(sizeof(*request), 8);
	bool transfer = verb != 'f' && count == WORDS_MAX;
	struct part parts[3] = { { &request->header, sizeof(request->header), false } };
	unsigned part_count = 1;
	uint16_t head;

	request->status = 0xff;
	request->header.type = verb == 'w' ? VIRTIO_BLK_T_OUT :
			       verb == 'r' ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_FLUSH;
	if (transfer) {
		request->header.sector = number(words[2]);
		request->bytes = number(words[3]) * SECTOR_BYTES;
		request->tag = (uint8_t)number(words[4]);
		request->data = memory_get(request->bytes, SECTOR_BYTES);
		memset(request->data, verb == 'w' ? request->tag : 0xee, request->bytes);
		parts[part_count++] = (struct part){ request->data, request->bytes, verb == 'r' };
	}
	parts[part_count++] = (struct part){ &request->status, 1, true };
	head = virtqueue_add(queue, parts, part_count);
	if (head >= HEADS_MAX)
		bail_out("too many requests in flight");
	disk->requests[head] = request;
	virtqueue_kick(queue);
}

/* The next request to end: how it did. */
static size_t end(struct disk *disk, char *to, size_t size)
{
	struct disk_request *request;
	struct used used;

	if (!virtqueue_wait(&disk->device->queues[0], &used, PATIENCE_NS))
		return text_format(to, size, " late");
	request = used.head < HEADS_MAX ? disk->requests[used.head] : NULL;
	if (!request)
		bail_out("head %u was not in flight", used.head);
	disk->requests[used.head] = NULL;
	if (request->header.type != VIRTIO_BLK_T_IN || request->status != VIRTIO_BLK_S_OK)
		return text_format(to, size, " %u", request->status);
	return text_format(to, size, " 0 %s",
			   full_of(request->data, request->bytes, request->tag) ? "same" :
										  "differs");
}

static void wait_for(struct disk *disk, uint32_t count, char *result, size_t size)
{
	size_t length = 0;

	for (uint32_t i = 0; i < count && length + 16 < size; i++)
		length += end(disk, result + length, size - length);
}

static void reset(struct disk *disk, char *result, size_t size)
{
	uint64_t deadline = arch_now_ns() + RESET_NS;

	virtio_set_status(disk->device, 0);
	while (virtio_status(disk->device) && arch_now_ns() < deadline)
		arch_wait_ns(1000000);
	text_format(result, size, virtio_status(disk->device) ? " pending" : " done");
}

static void run(char *line, char *result, size_t size)
{
	char *words[WORDS_MAX];
	unsigned count = split(line, words);
	struct disk *disk = &disks[count ? number(words[0]) : 0];
	const char *verb = count > 1 ? words[1] : "";

	text_format(result, size, " what?");
	if (count == 1 && !strcmp(words[0], "link") && card)
		link(result, size);
	if (count == 1 && !strcmp(words[0], "restart"))
		arch_reset();
	if (count == 2 && !strcmp(words[0], "say") && console) {
		say(number(words[1]), result, size);
		return;
	}
	if (count < 2 || number(words[0]) >= disk_count)
		return;
	if (!strcmp(verb, "reset")) {
		reset(disk, result, size);
	} else if (!strcmp(verb, "start")) {
		disk_start(disk);
		text_format(result, size, " done");
	} else if (!strcmp(verb, "c") && count == 3) {
		wait_for(disk, number(words[2]), result, size);
	} else if (verb[0] == 'w' || verb[0] == 'r' || verb[0] == 'f') {
		begin(disk, verb[0], words, count);
		wait_for(disk, 1, result, size);
	} else if (verb[0] == 'W' || verb[0] == 'R' || verb[0] == 'F') {
		begin(disk, (char)(verb[0] | 32), words, count);
		text_format(result, size, " begun");
	}
}

void guest_main(void)
{
	struct virtio_device *devices;
	unsigned count = virtio_scan(&devices);
	char line[80], copy[80], result[256];

	for (unsigned i = 0; i < count; i++) {
		if (devices[i].type == VIRTIO_ID_NET)
			card_start(&devices[i]);
		if (devices[i].type == VIRTIO_ID_CONSOLE)
			console_start(&devices[i]);
		if (devices[i].type != VIRTIO_ID_BLOCK)
			continue;
		disks[disk_count].device = &devices[i];
		disk_start(&disks[disk_count++]);
	}
	note("%u disks", disk_count);
	while (read_line(line, sizeof(line))) {
		size_t length;

		memcpy(copy, line, sizeof(copy));
		run(copy, result, sizeof(result));
		length = strlen(line);
		arch_put(line, length);
		arch_put(":", 1);
		arch_put(result, strlen(result));
		arch_put("\n", 1);
	}
}
