// SPDX-License-Identifier: MIT
/*
 * C48-C65: configuration generation, ISR and INTx, MSI-X (virtio 1.2, 2.5, 4.1.4.5, 4.1.5.1; PCI
 * 3.0, 6.8.2). With a second CPU, interrupts are retargeted under I/O as well. What needs an event
 * on the host (C49, C50: a resized disk or window, a link) is not made here. How often the others
 * are repeated is said by `reads` and `retargets`.
 */
#include "kit/subject.h"
#include "kit/tap.h"
#include "kit/text.h"

#define GENERATION_READS 10000
#define QUIET_NS	 UINT64_C(50000000)
#define ARRIVAL_NS	 UINT64_C(10000000000)
#define RETARGETS	 400
#define ISR_QUEUE	 1
#define IN_FLIGHT	 8
#define MOMENTS		 16
#define MOMENT_NS	 10000

static struct virtio_device *intx_device;
static volatile unsigned isr_seen;

static void set_queue_vector(struct virtio_device *device, uint16_t queue, uint16_t vector)
{
	virtio_select(device, queue);
	common_write16(device, VIRTIO_PCI_COMMON_Q_MSIX, vector);
	if (vector < device->line_count) {
		device->queues[queue].entry = vector;
		device->queues[queue].line = device->lines[vector];
	}
}

/* One request; did `line` count one more for it? */
static bool interrupts_on(struct virtio_device *device, unsigned line)
{
	uint64_t before = arch_line_count(line);

	virtqueue_interrupt_after(subject_queue(device), 1);
	return subject_works(device) && line_wait(line, before + 1, ARRIVAL_NS);
}

static bool quiet_on(struct virtio_device *device, unsigned line)
{
	uint64_t before = arch_line_count(line);

	virtqueue_interrupt_after(subject_queue(device), 1);
	if (!subject_works(device))
		return false;
	wait_ns(QUIET_NS);
	return arch_line_count(line) == before;
}

static void c48_c51_generation(struct virtio_device *device)
{
	unsigned reads = (unsigned)param_number("reads", GENERATION_READS);
	uint8_t first;
	uint64_t before = arch_line_count(device->lines[0]);
	bool stable = true;

	virtio_start(device, 0);
	wait_ns(QUIET_NS);
	virtio_start(device, virtio_usual_features(device));
	wait_ns(QUIET_NS);
	ok(arch_line_count(device->lines[0]) == before,
	   "C51 %s: DRIVER_OK raises no configuration interrupt", device->name);
	first = common_read8(device, VIRTIO_PCI_COMMON_CFGGENERATION);
	for (unsigned i = 0; i < reads; i++)
		stable = stable && common_read8(device, VIRTIO_PCI_COMMON_CFGGENERATION) == first;
	ok(stable, "C48 %s: config_generation is stable over %u reads", device->name, reads);
	virtio_reset(device);
}

static uint8_t isr_read(const struct virtio_device *device)
{
	return mmio_read8(device->isr->gpa);
}

static void lower_intx(void)
{
	isr_seen |= isr_read(intx_device);
}

/* As a driver without MSI-X: no vectors. */
static void start_intx(struct virtio_device *device)
{
	unsigned lines = device->line_count;

	msix_enable(&device->msix, false);
	device->line_count = 0;
	virtio_start(device, virtio_usual_features(device));
	device->line_count = lines;
}

static bool status_interrupt(const struct virtio_device *device)
{
	return pci_read16(device->function, PCI_STATUS) & PCI_STATUS_INTERRUPT;
}

static void c52_c53_intx(struct virtio_device *device)
{
	unsigned line = arch_intx_line();
	uint64_t before;
	uint8_t isr;

	if (!pci_read8(device->function, PCI_INTERRUPT_PIN)) {
		skip("interrupt pin is 0", "C52 %s: INTx", device->name);
		return;
	}
	intx_device = device;
	isr_seen = 0;
	arch_line_hook(line, lower_intx);
	start_intx(device);
	/* Masked: nothing lowers it but us. */
	pci_command(device->function, PCI_COMMAND_INTX_DISABLE, 0);
	before = arch_line_count(line);
	ok(subject_works(device), "C52 %s: works without MSI-X", device->name);
	wait_ns(QUIET_NS);
	ok(arch_line_count(line) == before, "C53 %s: INTx disable masks it", device->name);
	ok(status_interrupt(device), "C52 %s: interrupt status is set", device->name);
	isr = isr_read(device);
	ok(isr & ISR_QUEUE && !isr_read(device) && !status_interrupt(device),
	   "C52 %s: ISR reads %x, then 0, and lowers the status", device->name, isr);
	pci_command(device->function, 0, PCI_COMMAND_INTX_DISABLE);
	before = arch_line_count(line);
	ok(interrupts_on(device, line) && isr_seen & ISR_QUEUE,
	   "C52 %s: INTx arrives, ISR is set before", device->name);
	/* A KVM that ends interrupts as it delivers them may bring a second one, no more. */
	wait_ns(QUIET_NS);
	before = arch_line_count(line);
	wait_ns(QUIET_NS);
	ok(arch_line_count(line) == before, "C52 %s: reading the ISR lowers it", device->name);
	virtio_start(device, virtio_usual_features(device));
	before = arch_line_count(line);
	ok(interrupts_on(device, subject_queue(device)->line) && arch_line_count(line) == before &&
		   !status_interrupt(device),
	   "C54 %s: with MSI-X on there is no INTx", device->name);
	virtio_reset(device);
}

static void c55_any_vector(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);
	bool every = true;

	ok(device->msix.count >= 2 && device->msix.count <= 0x800, "C55 %s: %u vectors",
	   device->name, device->msix.count);
	virtio_start(device, virtio_usual_features(device));
	for (uint16_t vector = 0; vector < device->line_count; vector++) {
		set_queue_vector(device, queue->index, vector);
		every = every && interrupts_on(device, device->lines[vector]);
	}
	ok(every, "C55 %s: the queue interrupts on each of the first %u", device->name,
	   device->line_count);
	for (uint16_t i = 0; i < device->queue_count; i++)
		set_queue_vector(device, i, 0);
	ok(interrupts_on(device, device->lines[0]), "C55 %s: all on one", device->name);
	virtio_reset(device);
}

static void c56_to_c59_vectors(struct virtio_device *device)
{
	struct virtqueue *queue = subject_queue(device);
	const uint16_t bad[] = { (uint16_t)device->msix.count, 0x7ff, 0xfffe };
	bool refused = true;

	virtio_start(device, virtio_usual_features(device));
	virtio_select(device, queue->index);
	for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
		common_write16(device, VIRTIO_PCI_COMMON_Q_MSIX, bad[i]);
		refused = refused &&
			  common_read16(device, VIRTIO_PCI_COMMON_Q_MSIX) == VIRTIO_MSI_NO_VECTOR;
		common_write16(device, VIRTIO_PCI_COMMON_MSIX, bad[i]);
		refused = refused &&
			  common_read16(device, VIRTIO_PCI_COMMON_MSIX) == VIRTIO_MSI_NO_VECTOR;
	}
	ok(refused, "C56 %s: vectors that are not there read NO_VECTOR", device->name);
	ok(quiet_on(device, queue->line), "C57 %s: without a vector, served and quiet",
	   device->name);
	common_write16(device, VIRTIO_PCI_COMMON_MSIX, 1);
	set_queue_vector(device, queue->index, 1);
	ok(common_read16(device, VIRTIO_PCI_COMMON_Q_MSIX) == 1 &&
		   common_read16(device, VIRTIO_PCI_COMMON_MSIX) == 1 &&
		   interrupts_on(device, device->lines[1]),
	   "C56 %s: a vector that is there reads back and works", device->name);
	virtio_select(device, 0xffff);
	common_write16(device, VIRTIO_PCI_COMMON_Q_MSIX, 0);
	ok(common_read16(device, VIRTIO_PCI_COMMON_Q_MSIX) == VIRTIO_MSI_NO_VECTOR,
	   "C59 %s: a queue that is not there has no vector", device->name);
	virtio_reset(device);
	virtio_select(device, queue->index);
	ok(common_read16(device, VIRTIO_PCI_COMMON_Q_MSIX) == VIRTIO_MSI_NO_VECTOR &&
		   common_read16(device, VIRTIO_PCI_COMMON_MSIX) == VIRTIO_MSI_NO_VECTOR,
	   "C58 %s: no vectors after reset", device->name);
}

static void c60_to_c62_masks(struct virtio_device *device)
{
	const struct msix *msix = &device->msix;
	struct virtqueue *queue = subject_queue(device);
	uint64_t before;

	virtio_start(device, virtio_usual_features(device));
	before = arch_line_count(queue->line);
	msix_mask(msix, queue->entry, true);
	ok(quiet_on(device, queue->line) && msix_is_pending(msix, queue->entry),
	   "C60 %s: masked: no interrupt, but the pending bit", device->name);
	msix_mask(msix, queue->entry, false);
	ok(line_wait(queue->line, before + 1, ARRIVAL_NS) && !msix_is_pending(msix, queue->entry),
	   "C60 %s: unmasked: it comes, the bit goes", device->name);
	wait_ns(QUIET_NS);
	ok(arch_line_count(queue->line) == before + 1, "C60 %s: once", device->name);
	before++;
	msix_mask_function(msix, true);
	ok(quiet_on(device, queue->line) && msix_is_pending(msix, queue->entry),
	   "C61 %s: function masked: the same", device->name);
	mmio_write32(msix->pending_gpa, 0);
	ok(msix_is_pending(msix, queue->entry), "C64 %s: pending bits are read-only", device->name);
	msix_mask_function(msix, false);
	ok(line_wait(queue->line, before + 1, ARRIVAL_NS) && !msix_is_pending(msix, queue->entry),
	   "C61 %s: unmasked: the same", device->name);
	msix_enable(msix, false);
	msix_set(msix, queue->entry, arch_line_message(queue->line, 0));
	msix_enable(msix, true);
	ok(interrupts_on(device, queue->line), "C62 %s: entries written while it was off are used",
	   device->name);
	virtio_reset(device);
}

static void c63_entries(struct virtio_device *device)
{
	const struct msix *msix = &device->msix;
	struct virtqueue *queue = subject_queue(device);
	uint64_t entry;
	unsigned other = device->lines[0];
	struct message message = arch_line_message(other, 0);

	virtio_start(device, virtio_usual_features(device));
	entry = msix->table_gpa + (uint64_t)queue->entry * PCI_MSIX_ENTRY_SIZE;
	mmio_write64(entry + PCI_MSIX_ENTRY_DATA, (uint64_t)PCI_MSIX_ENTRY_CTRL_MASKBIT << 32);
	mmio_write64(entry, message.address);
	mmio_write64(entry + PCI_MSIX_ENTRY_DATA, message.data);
	ok(mmio_read64(entry) == message.address &&
		   mmio_read64(entry + PCI_MSIX_ENTRY_DATA) == message.data,
	   "C63 %s: entries are written and read by 64 bits", device->name);
	ok(interrupts_on(device, other), "C63 %s: what was written while masked counts",
	   device->name);
	/* Unmasked: the data alone changes what arrives. */
	mmio_write32(entry + PCI_MSIX_ENTRY_DATA, arch_line_message(queue->line, 0).data);
	ok(interrupts_on(device, queue->line), "C63 %s: so does what was written while unmasked",
	   device->name);
	virtio_reset(device);
}

static void take_interrupts(unsigned cpu)
{
	(void)cpu;
	for (;;)
		arch_cpu_pause();
}

static void retarget(struct virtio_device *device, unsigned cpu)
{
	struct virtqueue *queue = subject_queue(device);

	msix_mask(&device->msix, queue->entry, true);
	msix_set(&device->msix, queue->entry, arch_line_message(queue->line, cpu));
}

/* One request: its interrupt is taken by `cpu`. */
static bool interrupts_cpu(struct virtio_device *device, unsigned cpu)
{
	unsigned line = subject_queue(device)->line;
	uint64_t before = arch_line_count_on(line, cpu);

	if (!interrupts_on(device, line))
		return false;
	if (arch_line_count_on(line, cpu) == before)
		note("%s: CPU %u took the interrupt for CPU %u", device->name, !cpu, cpu);
	return arch_line_count_on(line, cpu) == before + 1;
}

/* All that are in flight come back, in whatever order, and each is right. */
static bool batch_ends(struct virtio_device *device, const struct request *requests)
{
	struct used used[IN_FLIGHT];
	bool good = true;

	for (unsigned i = 0; i < IN_FLIGHT; i++)
		if (!virtqueue_wait(subject_queue(device), &used[i], REQUEST_NS))
			return false;
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		good = good && request_check(&requests[i], device, &used[i]);
	return good;
}

/*
 * The vector moves on while requests are served, a little later each time: the interrupt for the
 * first of them comes to either CPU, or is held back meanwhile, and is not lost.
 */
static bool moves_in_flight(struct virtio_device *device, unsigned number)
{
	static struct request requests[IN_FLIGHT];
	struct virtqueue *queue = subject_queue(device);
	uint64_t before = arch_line_count(queue->line), moment;

	virtqueue_interrupt_after(queue, 1);
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		request_add(&requests[i], device, i);
	virtqueue_notify(queue);
	moment = arch_now_ns() + number % MOMENTS * MOMENT_NS;
	while (arch_now_ns() < moment)
		;
	retarget(device, number & 1);
	if (!line_wait(queue->line, before + 1, ARRIVAL_NS)) {
		note("%s: %u requests, %s of them ended, and no interrupt", device->name, IN_FLIGHT,
		     virtqueue_has_used(queue) ? "some" : "none");
		return false;
	}
	return batch_ends(device, requests);
}

static void c65_retarget(struct virtio_device *device)
{
	unsigned retargets = (unsigned)param_number("retargets", RETARGETS);
	unsigned good = 0;

	if (platform.cpu_count < 2) {
		skip("one CPU", "C65 %s: interrupts retargeted under I/O", device->name);
		return;
	}
	second_cpu_start(take_interrupts);
	virtio_start(device, virtio_usual_features(device));
	for (; good < retargets; good++) {
		retarget(device, good & 1);
		if (!interrupts_cpu(device, good & 1))
			break;
	}
	ok(good == retargets,
	   "C65 %s: %u interrupts (scaled from 10^5), each on the other CPU than the one before",
	   device->name, retargets);
	for (good = 0; good < retargets && moves_in_flight(device, good); good++)
		;
	ok(good == retargets,
	   "C65 %s: retargeted %u times (scaled from 10^5) with %u requests in flight, none lost",
	   device->name, retargets, IN_FLIGHT);
	virtio_reset(device);
}

static void test(struct virtio_device *device)
{
	if (!device->line_count) {
		skip("no MSI-X", "C55 %s: MSI-X", device->name);
		return;
	}
	c48_c51_generation(device);
	c52_c53_intx(device);
	c55_any_vector(device);
	c56_to_c59_vectors(device);
	c60_to_c62_masks(device);
	c63_entries(device);
	c65_retarget(device);
}

void guest_main(void)
{
	for_each_device(test);
}
