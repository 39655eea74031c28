// SPDX-License-Identifier: MIT
/* A console's first port. Operation: write, `depth` buffers of `bytes` in flight, lines of text. */
#include "bench/bench.h"
#include "kit/memory.h"
#include "kit/text.h"

#define TX_QUEUE   1
#define LINE_BYTES 64

static uint64_t *starts_ns;

static void console_start(struct virtio_device *device)
{
	bench_start(device, BIT64(VIRTIO_RING_F_EVENT_IDX));
}

static struct virtqueue *console_queue(struct virtio_device *device, const struct bench_test *test)
{
	(void)test;
	return &device->queues[TX_QUEUE];
}

static bool console_prepare(struct virtio_device *device, const struct bench_test *test)
{
	struct virtqueue *queue = console_queue(device, test);
	uint8_t *text;

	if (strcmp(test->operation, "write") || !test->bytes || !test->depth ||
	    test->depth > queue->size)
		return false;
	text = bench_buffer(test->bytes);
	memset(text, '#', test->bytes);
	for (uint32_t i = LINE_BYTES - 1; i < test->bytes; i += LINE_BYTES)
		text[i] = '\n';
	starts_ns = memory_get(test->depth * sizeof(*starts_ns), 64);
	for (uint16_t head = 0; head < test->depth; head++)
		virtqueue_write(queue, head,
				(struct vring_desc){ (uint64_t)text, test->bytes, 0, 0 });
	return true;
}

static bool offer(struct bench_run *run, struct virtqueue *queue, uint16_t head, uint64_t now_ns)
{
	if (!bench_begin(run, now_ns))
		return false;
	starts_ns[head] = now_ns;
	virtqueue_offer(queue, head);
	return true;
}

static void console_run(struct virtio_device *device, struct bench_run *run)
{
	struct virtqueue *queue = console_queue(device, run->test);
	struct used used;

	virtqueue_interrupt_never(queue);
	for (uint16_t head = 0; head < run->test->depth; head++)
		offer(run, queue, head, run->begun_ns);
	bench_kick(run, queue);
	while (run->done < run->begun) {
		uint64_t now_ns = arch_now_ns();
		bool any = false;

		while (virtqueue_poll(queue, &used)) {
			bench_done(run, starts_ns[used.head], now_ns, run->test->bytes);
			any |= offer(run, queue, (uint16_t)used.head, now_ns);
		}
		if (any)
			bench_kick(run, queue);
		else
			bench_idle(run, queue);
	}
}

const struct bench_device bench_console = {
	.name = "console",
	.type = VIRTIO_ID_CONSOLE,
	.start = console_start,
	.prepare = console_prepare,
	.run = console_run,
	.queue = console_queue,
};
