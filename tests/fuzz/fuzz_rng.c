// SPDX-License-Identifier: MIT
/*
 * The entropy device on a host whose random bytes are numbered: the driver gets
 * each once, in order, as many as the used length says and none beyond that.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "tests/fuzz/device.h"
#include "virtio/rng.h"

static struct {
	struct fuzz_device device;
	uint64_t given, taken; /* bytes: of the host, and of those the driver has got */
	unsigned limit;	       /* of what the host gives at once; 0: it fails */
} dice;

static uint8_t pattern(uint64_t position)
{
	return (uint8_t)(position % 199 + 1);
}

ssize_t __wrap_getrandom(void *data, size_t bytes, unsigned flags);

ssize_t __wrap_getrandom(void *data, size_t bytes, unsigned flags)
{
	uint8_t *cursor = data;

	(void)flags;
	bytes = min_u64(bytes, dice.limit);
	for (size_t i = 0; i < bytes; i++)
		cursor[i] = pattern(dice.given++);
	errno = EINTR;
	return bytes ? (ssize_t)bytes : -1;
}

static void take(struct fuzz_input *input)
{
	struct guest_queue *queue = dice.device.guest.queues;
	struct guest_chain *chain;
	uint8_t data[GUEST_DATA_BYTES], choice = fuzz_u8(input);
	uint32_t bytes;

	while ((chain = guest_queue_take(queue, &bytes))) {
		uint64_t room = guest_chain_bytes(chain, true);

		fuzz_chain_load(&dice.device.guest, chain, 0, data, room);
		for (uint64_t i = 0; i < room; i++)
			fuzz_check(data[i] == (i < bytes ? pattern(dice.taken + i) : 0xee));
		dice.taken += bytes;
	}
	guest_queue_ask(queue, choice % 8, choice & 8);
}

/* After this nothing that was published is left, and no number either. */
static void settle(struct fuzz_input *input)
{
	if (dice.device.paused)
		fuzz_device_pause(&dice.device);
	fuzz_queue_publish(dice.device.guest.queues);
	fuzz_device_run(&dice.device);
	take(input);
	fuzz_check(dice.device.guest.queues->free == dice.device.guest.queues->size);
	fuzz_check(dice.taken == dice.given);
	guest_audit(&dice.device.guest);
}

static void begin(struct fuzz_input *input)
{
	static const struct fuzz_queue queue = { 0, 16, 48 * KIB };

	dice.taken = dice.given;
	dice.limit = UINT32_MAX;
	fuzz_device_begin(&dice.device, input, 0, &queue, 1);
}

static void reset(struct fuzz_input *input)
{
	fuzz_device_reset(&dice.device, input);
}

static void step(struct fuzz_input *input)
{
	struct guest_queue *queue = dice.device.guest.queues;
	uint8_t choice = fuzz_u8(input);
	static const uint8_t readable[16];

	switch (choice % 16) {
	case 0 ... 5:
		fuzz_chain_add(queue, input, readable, choice < 32 ? choice / 2 : 0,
			       (unsigned)fuzz_number(input, 2) % (choice & 0x40 ? 8192 : 64));
		break;
	case 6 ... 8:
		fuzz_queue_publish(queue);
		fuzz_device_run(&dice.device);
		break;
	case 9 ... 10:
		take(input);
		break;
	case 11:
		dice.limit = choice & 0x80 ? UINT32_MAX : choice / 16 * 20u;
		break;
	case 12:
		settle(input);
		break;
	case 13:
		fuzz_device_pause(&dice.device);
		break;
	case 14:
		fuzz_queue_publish(queue);
		break;
	default:
		reset(input);
		begin(input);
		break;
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	dice.limit = 1; /* creating it asks for a byte */
	fuzz_device_create(&dice.device, &virtio_rng, NULL);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_driver driver = { begin, step, settle, reset };
	struct fuzz_input input = fuzz_input(data, size);

	dice.given = 0;
	fuzz_device_play(&driver, &input);
	return 0;
}
