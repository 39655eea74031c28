// SPDX-License-Identifier: MIT
/*
 * A machine that starts anew after a reset (--reboot=restart): the first boot leaves a mark on the
 * disk and resets with a live device, the second finds mark, disk and a fresh device.
 */
#include "kit/arch.h"
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"

#define MARK	UINT64_C(0x7461206e69616761)
#define SECTOR	9	/* none that the subject's requests read */
#define RAM_BYTES 0x3000000 /* how far behind the image the mark in RAM is */

extern char image_end[];

static uint64_t data[REQUEST_DATA_BYTES / sizeof(uint64_t)];

static bool run(struct virtio_device *device, uint32_t type)
{
	static struct virtio_blk_outhdr header;
	static uint8_t status;
	struct part parts[] = { { &header, sizeof(header), false },
				{ data, sizeof(data), type == VIRTIO_BLK_T_IN },
				{ &status, 1, true } };
	struct used used;

	header = (struct virtio_blk_outhdr){ type, 0, SECTOR };
	status = 0xff;
	virtqueue_add(&device->queues[0], parts, ARRAY_COUNT(parts));
	virtqueue_notify(&device->queues[0]);
	return virtqueue_wait(&device->queues[0], &used, REQUEST_NS) && !status;
}

void guest_main(void)
{
	struct virtio_device *devices;
	uint64_t *ram = (uint64_t *)(((uint64_t)image_end & ~UINT64_C(4095)) + RAM_BYTES);
	uint8_t status;

	virtio_scan(&devices);
	status = virtio_status(&devices[0]);
	virtio_start(&devices[0], virtio_usual_features(&devices[0]));
	if (!run(&devices[0], VIRTIO_BLK_T_IN))
		bail_out("the disk can't be read");
	if (data[0] != MARK) {
		data[0] = MARK;
		*ram = MARK;
		if (!run(&devices[0], VIRTIO_BLK_T_OUT))
			bail_out("the disk can't be written");
		arch_reset();
	}
	ok(!status, "after the restart the device is reset");
	ok(!*ram, "RAM is clear");
	ok(subject_works(&devices[0]), "the device works");
	ok(line_wait(devices[0].queues[0].line, 1, REQUEST_NS), "it interrupts");
}
