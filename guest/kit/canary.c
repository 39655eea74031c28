// SPDX-License-Identifier: MIT
/* A disk that is read all the time. Polled by the CPU that runs the guest, no interrupts. */
#include "kit/canary.h"
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"

#define MS	  UINT64_C(1000000)
#define PERIOD_NS (10 * MS)
#define REST_NS	  (200 * MS)
#define END_NS	  (30000 * MS)
#define GAP_NS	  (10000 * MS) /* at least, unless told */
#define GAP_TIMES 50	       /* of the longest at rest */
#define LATE_NS	  (100 * MS)   /* from here on the host looks into it */
#define LATE_MAX  16

/* What of a read was late: the kick is the guest's own, until it is back from it. */
enum part_of_read { KICK, READ, PARTS };

static struct {
	struct virtio_device *disk; /* NULL: there is none */
	struct request request;
	uint64_t sent_ns, kicked_ns, due_ns, longest_ns, rest_ns;
	unsigned reads, wrong;
	uint16_t head;
	bool out;
	struct late {
		uint64_t from_ns, till_ns;
	} late[PARTS][LATE_MAX];
} canary;

static uint64_t late_ns(const struct late *late)
{
	return late->till_ns - late->from_ns;
}

/* Keeps the longest of them; the same again has become longer. */
static void note_late(enum part_of_read part, uint64_t from, uint64_t till)
{
	const struct late late = { from, till };
	struct late *place = &canary.late[part][0];

	if (late_ns(&late) <= LATE_NS)
		return;
	for (unsigned i = 0; i < LATE_MAX; i++) {
		struct late *other = &canary.late[part][i];

		if (other->from_ns == from) {
			*other = late;
			return;
		}
		if (late_ns(other) < late_ns(place))
			place = other;
	}
	if (late_ns(place) < late_ns(&late))
		*place = late;
}

static void list_late(enum part_of_read part, const char *name)
{
	for (unsigned i = 0; i < LATE_MAX; i++) {
		const struct late *late = &canary.late[part][i];

		if (late_ns(late))
			note("canary: late %s from %lu till %lu us", name, late->from_ns / 1000,
			     late->till_ns / 1000);
	}
}

static void send(uint64_t now)
{
	struct virtqueue *queue = &canary.disk->queues[0];

	request_init(&canary.request, canary.disk, canary.reads);
	canary.head = virtqueue_add(queue, canary.request.parts, canary.request.count);
	canary.out = true;
	canary.sent_ns = now;
	canary.due_ns = now + PERIOD_NS;
	virtqueue_kick(queue);
	canary.kicked_ns = arch_now_ns();
	note_late(KICK, now, canary.kicked_ns);
}

/* A gap is what was seen: that the guest itself looked away for long counts for nothing. */
void canary_poll(void)
{
	uint64_t now = arch_now_ns();
	struct used used;

	if (!canary.disk)
		return;
	if (!canary.out) {
		if (now >= canary.due_ns)
			send(now);
		return;
	}
	if (virtqueue_poll(&canary.disk->queues[0], &used)) {
		canary.out = false;
		canary.reads++;
		canary.wrong += used.head != canary.head ||
				!request_check(&canary.request, canary.disk, &used);
		return;
	}
	if (now - canary.sent_ns > canary.longest_ns)
		canary.longest_ns = now - canary.sent_ns;
	note_late(READ, canary.kicked_ns, now);
}

void canary_begin(struct virtio_device *disk)
{
	uint64_t end = arch_now_ns() + REST_NS;

	virtio_start(disk, virtio_usual_features(disk));
	virtqueue_interrupt_never(&disk->queues[0]);
	canary.disk = disk;
	while (arch_now_ns() < end) {
		canary_poll();
		arch_wait_ns(MS / 2);
	}
	canary.rest_ns = canary.longest_ns;
	canary.longest_ns = 0;
}

void canary_end(void)
{
	uint64_t bound = param_number("gap_ms", 0) * MS;
	uint64_t end = arch_now_ns() + END_NS;
	const char *name;

	if (!canary.disk)
		return;
	name = canary.disk->name;
	while (canary.out && arch_now_ns() < end) {
		canary_poll();
		arch_wait_ns(MS / 2);
	}
	if (!bound)
		bound = canary.rest_ns * GAP_TIMES > GAP_NS ? canary.rest_ns * GAP_TIMES : GAP_NS;
	note("%s: %u reads, the longest gap %lu us, at rest %lu us", name, canary.reads,
	     canary.longest_ns / 1000, canary.rest_ns / 1000);
	list_late(KICK, "kick");
	list_late(READ, "read");
	ok(!canary.out && !canary.wrong && canary.reads,
	   "G %s: the canary's reads all ended, and were right", name);
	ok(canary.longest_ns <= bound, "G %s: none took longer than %lu ms", name, bound / MS);
	canary.disk = NULL;
}
