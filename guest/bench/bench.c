// SPDX-License-Identifier: MIT
/*
 * A bench of virtio devices seen from the guest, the same for every VMM. Params:
 *   test=DEVICE,OPERATION,BYTES,DEPTH[,irq]  any number of them, run in order; with irq the guest
 *               halts till the next interrupt instead of polling the used ring
 *   ms=N        how long each is measured (500), after a fifth of that to warm up, which a guest
 *               that halts leaves out: nobody may be sending yet
 *   requests=N  how many are measured, instead of a time; nothing warms up
 *   entry64     check that the way in was Linux's 64-bit entry
 *   hold        at the end stay there instead of powering off
 *   ecam=N      where PCI's configuration space is, for a board without the ACPI table that says so
 * Prints "# begin TEST" when a test starts and "# result TEST ..." when it is over; in between the
 * serial port is silent, so whoever reads it may sample what the VMM has used by then.
 */
#include "bench/bench.h"
#include "bench/user.h"
#include "kit/memory.h"
#include "kit/tap.h"
#include "kit/text.h"

#define MS_NS	 UINT64_C(1000000)
#define PAUSE_NS (20 * MS_NS)

#define ECAM_BUS_BYTES 0x100000
#define PAGE_BYTES     4096

static const struct bench_device *const devices[] = { &bench_blk, &bench_net, &bench_console };

/* For the part at ring 3. */
static const struct bench_device *current_device;
static struct virtio_device *current_virtio;
static struct bench_run *current_run;

static struct virtio_device *found;
static unsigned found_count;
static bool started[VIRTIO_DEVICES_MAX];

uint64_t bench_random(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

void bench_kick(struct bench_run *run, struct virtqueue *queue)
{
	run->kicks += virtqueue_kick(queue);
}

void bench_idle(struct bench_run *run, struct virtqueue *queue)
{
	if (!run->test->interrupts) {
		__builtin_ia32_pause();
		return;
	}
	virtqueue_interrupt_after(queue, 1);
	if (!virtqueue_has_used(queue))
		user_halt();
}

void *bench_buffer(uint32_t bytes)
{
	volatile uint8_t *buffer = memory_get_raw(bytes, bytes < PAGE_BYTES ? 64 : PAGE_BYTES);

	for (uint32_t i = 0; i < bytes; i += PAGE_BYTES)
		buffer[i] = (uint8_t)(i >> 12);
	return (void *)buffer;
}

void bench_start(struct virtio_device *device, uint64_t features)
{
	features |= BIT64(VIRTIO_F_RING_PACKED);
	if (!virtio_negotiate(device, features & device->offered))
		bail_out("%s refuses features %lx", device->name, features & device->offered);
	virtio_interrupts_setup(device);
	for (uint16_t i = 0; i < device->queue_count; i++) {
		virtio_queue_setup(device, i, BENCH_RING_SIZE);
		virtqueue_interrupt_never(&device->queues[i]);
	}
	virtio_driver_ok(device);
}

static void run_current(void)
{
	current_run->begun_ns = arch_now_ns();
	current_device->run(current_virtio, current_run);
	current_run->ns = arch_now_ns() - current_run->begun_ns;
}

static void pause(void)
{
	uint64_t end = arch_now_ns() + PAUSE_NS;

	while (arch_now_ns() < end)
		arch_wait_ns(PAUSE_NS);
}

/* A pause before and after, in which the VMM's threads come to rest. */
static void measure(const struct bench_test *test, struct virtqueue *queue)
{
	static struct bench_run run;
	uint64_t ns = param_number("ms", 500) * MS_NS, interrupts;

	current_run = &run;
	run = (struct bench_run){ test, .ns = ns / 5 };
	if (!param_is_set("requests") && !test->interrupts)
		user_run(run_current, true);
	pause();
	note("begin %s", test->name);
	pause();
	run = (struct bench_run){ test, .ns = ns, .requests = param_number("requests", 0) };
	interrupts = arch_line_count(queue->line);
	user_run(run_current, !test->interrupts);
	interrupts = arch_line_count(queue->line) - interrupts;
	note("result %s requests %lu bytes %lu ns %lu kicks %lu interrupts %lu "
	     "least %lu p50 %lu p90 %lu p99 %lu p999 %lu most %lu",
	     test->name, run.done, run.bytes, run.ns, run.kicks, interrupts,
	     histogram_at(&run.latency, 0), histogram_at(&run.latency, 500),
	     histogram_at(&run.latency, 900), histogram_at(&run.latency, 990),
	     histogram_at(&run.latency, 999), run.latency.most_ns);
	pause();
}

static bool run_on(const struct bench_device *device, const struct bench_test *test)
{
	uint64_t mark;

	for (unsigned i = 0; i < found_count; i++) {
		if (found[i].type != device->type)
			continue;
		if (!started[i])
			device->start(&found[i]);
		started[i] = true;
		mark = memory_mark();
		if (!device->prepare(&found[i], test))
			return false;
		current_device = device;
		current_virtio = &found[i];
		measure(test, device->queue(&found[i], test));
		memory_release(mark);
		return true;
	}
	return false;
}

/* A word that ends in a comma or with the parameter. */
static const char *take_word(const char *from, char *to)
{
	unsigned length = 0;

	while (*from && *from != ',' && *from != ' ') {
		if (length + 1 < BENCH_WORD_MAX)
			to[length++] = *from;
		from++;
	}
	to[length] = 0;
	return *from == ',' ? from + 1 : from;
}

static const char *take_number(const char *from, uint32_t *to)
{
	for (*to = 0; *from >= '0' && *from <= '9'; from++)
		*to = *to * 10 + (uint32_t)(*from - '0');
	return *from == ',' ? from + 1 : from;
}

static struct bench_test take_test(const char *from)
{
	char mode[BENCH_WORD_MAX];
	struct bench_test test = { 0 };

	for (unsigned i = 0; i + 1 < sizeof(test.name) && from[i] && from[i] != ' '; i++)
		test.name[i] = from[i];
	from = take_word(from, test.device);
	from = take_word(from, test.operation);
	from = take_number(from, &test.bytes);
	from = take_number(from, &test.depth);
	take_word(from, mode);
	test.interrupts = !strcmp(mode, "irq");
	return test;
}

static bool run_test(const struct bench_test *test)
{
	for (unsigned i = 0; i < ARRAY_COUNT(devices); i++)
		if (!strcmp(devices[i]->name, test->device))
			return run_on(devices[i], test);
	return false;
}

void guest_main(void)
{
	const char *at = platform.params;
	unsigned tests = 0;

	if (param_is_set("ecam")) {
		platform.ecam_gpa = param_number("ecam", 0);
		arch_map(platform.ecam_gpa, ECAM_BUS_BYTES);
	}
	if (param_is_set("entry64"))
		ok(!strcmp(platform.boot, "Linux"), "the way in is the 64-bit entry");
	found_count = virtio_scan(&found);
	while (*at) {
		if (!strncmp(at, "test=", 5)) {
			struct bench_test test = take_test(at + 5);

			ok(run_test(&test), "%s", test.name);
			tests++;
		}
		while (*at && *at != ' ')
			at++;
		while (*at == ' ')
			at++;
	}
	if (!tests)
		bail_out("no test= in the parameters");
	while (param_is_set("hold"))
		arch_wait_ns(PAUSE_NS);
}
