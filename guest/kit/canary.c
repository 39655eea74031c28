// SPDX-License-Identifier: MIT
/* Devices that are read all the time. Polled by the CPU that runs the guest, no interrupts. */
#include "kit/canary.h"
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"

#define MS	   UINT64_C(1000000)
#define PERIOD_NS  (10 * MS)
#define REST_NS	   (200 * MS)
#define REST_READS 8 /* at least, so that what each shall give is known */
#define END_NS	   (30000 * MS)
#define GAP_NS	   (10000 * MS) /* at least, unless told */
#define GAP_TIMES  50		/* of the longest at rest */
#define LATE_NS	   (100 * MS)	/* from here on the host looks into it */
#define LATE_MAX   16

/* What of a read was late: the kick is the guest's own, until it is back from it. */
enum part_of_read { KICK, READ, PARTS };

static struct canary {
	struct virtio_device *device;
	struct request request;
	uint64_t sent_ns, kicked_ns, due_ns, longest_ns, rest_ns;
	unsigned reads, wrong;
	uint16_t head;
	bool out;
	struct late {
		uint64_t from_ns, till_ns;
	} late[PARTS][LATE_MAX];
} canaries[CANARIES_MAX];
static unsigned canary_count;

static uint64_t late_ns(const struct late *late)
{
	return late->till_ns - late->from_ns;
}

/* Keeps the longest of them; the same again has become longer. */
static void note_late(struct canary *canary, enum part_of_read part, uint64_t from, uint64_t till)
{
	const struct late late = { from, till };
	struct late *place = &canary->late[part][0];

	if (late_ns(&late) <= LATE_NS)
		return;
	for (unsigned i = 0; i < LATE_MAX; i++) {
		struct late *other = &canary->late[part][i];

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

static void list_late(const struct canary *canary, enum part_of_read part, const char *name)
{
	for (unsigned i = 0; i < LATE_MAX; i++) {
		const struct late *late = &canary->late[part][i];

		if (late_ns(late))
			note("canary: late %s from %lu till %lu us", name, late->from_ns / 1000,
			     late->till_ns / 1000);
	}
}

static void send(struct canary *canary, uint64_t now)
{
	struct virtqueue *queue = subject_queue(canary->device);

	request_init(&canary->request, canary->device, canary->reads);
	canary->head = virtqueue_add(queue, canary->request.parts, canary->request.count);
	canary->out = true;
	canary->sent_ns = now;
	canary->due_ns = now + PERIOD_NS;
	virtqueue_kick(queue);
	canary->kicked_ns = arch_now_ns();
	note_late(canary, KICK, now, canary->kicked_ns);
}

/* A gap is what was seen: that the guest itself looked away for long counts for nothing. */
static void poll_one(struct canary *canary)
{
	uint64_t now = arch_now_ns();
	struct used used;

	if (!canary->out) {
		if (now >= canary->due_ns)
			send(canary, now);
		return;
	}
	if (virtqueue_poll(subject_queue(canary->device), &used)) {
		canary->out = false;
		canary->reads++;
		canary->wrong += used.head != canary->head ||
				 !request_check(&canary->request, canary->device, &used);
		return;
	}
	if (now - canary->sent_ns > canary->longest_ns)
		canary->longest_ns = now - canary->sent_ns;
	note_late(canary, READ, canary->kicked_ns, now);
}

void canary_poll(void)
{
	for (unsigned i = 0; i < canary_count; i++)
		poll_one(&canaries[i]);
}

void canary_begin(struct virtio_device *device)
{
	struct canary *canary = &canaries[canary_count++];
	uint64_t end = arch_now_ns() + REST_NS, longest = end + END_NS;

	if (canary_count > CANARIES_MAX)
		bail_out("more canaries than %u", CANARIES_MAX);
	virtio_start(device, virtio_usual_features(device));
	virtqueue_interrupt_never(subject_queue(device));
	canary->device = device;
	wait_hook = canary_poll;
	while (arch_now_ns() < end || (canary->reads < REST_READS && arch_now_ns() < longest))
		wait_step(MS / 2);
	canary->rest_ns = canary->longest_ns;
	canary->longest_ns = 0;
}

static void tell(struct canary *canary)
{
	uint64_t bound = param_number("gap_ms", 0) * MS;
	uint64_t end = arch_now_ns() + END_NS;
	const char *name = canary->device->name;

	while (canary->out && arch_now_ns() < end) {
		poll_one(canary);
		arch_wait_ns(MS / 2);
	}
	if (!bound)
		bound = canary->rest_ns * GAP_TIMES > GAP_NS ? canary->rest_ns * GAP_TIMES : GAP_NS;
	note("%s: %u reads, the longest gap %lu us, at rest %lu us", name, canary->reads,
	     canary->longest_ns / 1000, canary->rest_ns / 1000);
	list_late(canary, KICK, "kick");
	list_late(canary, READ, "read");
	ok(!canary->out && !canary->wrong && canary->reads,
	   "G %s: the canary's reads all ended, and were right", name);
	ok(canary->longest_ns <= bound, "G %s: none took longer than %lu ms", name, bound / MS);
}

void canary_end(void)
{
	for (unsigned i = 0; i < canary_count; i++)
		tell(&canaries[i]);
	canary_count = 0;
	wait_hook = NULL;
}
