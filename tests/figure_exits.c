// SPDX-License-Identifier: MIT
/*
 * For tests/figures: preloaded into ringvm, it takes the statistics of the first vCPU when that is
 * made (they outlive it) and prints its counters at exit, to the file that FIGURE_EXITS names.
 */
#include <dlfcn.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int stats_fd = -1;

int ioctl(int fd, unsigned long request, ...)
{
	static int (*real_ioctl)(int fd, unsigned long request, void *argument);
	va_list args;
	void *argument;
	int result;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	if (!real_ioctl)
		real_ioctl = (int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl");
	result = real_ioctl(fd, request, argument);
	if (request == KVM_CREATE_VCPU && result >= 0 && stats_fd < 0)
		stats_fd = real_ioctl(result, KVM_GET_STATS_FD, NULL);
	return result;
}

static void print_counter(FILE *out, const struct kvm_stats_header *header, unsigned index)
{
	char bytes[sizeof(struct kvm_stats_desc) + 256] = "";
	const struct kvm_stats_desc *desc = (const struct kvm_stats_desc *)bytes;
	size_t length = sizeof(*desc) + header->name_size;
	__u64 value;

	if (length >= sizeof(bytes) ||
	    pread(stats_fd, bytes, length, header->desc_offset + (off_t)(index * length)) <= 0 ||
	    desc->size != 1 ||
	    pread(stats_fd, &value, sizeof(value), header->data_offset + desc->offset) !=
		    sizeof(value))
		return;
	fprintf(out, "%s %llu\n", desc->name, (unsigned long long)value);
}

__attribute__((destructor)) static void print_counters(void)
{
	const char *path = getenv("FIGURE_EXITS");
	struct kvm_stats_header header;
	FILE *out;

	if (stats_fd < 0 || !path || pread(stats_fd, &header, sizeof(header), 0) != sizeof(header))
		return;
	out = fopen(path, "w");
	if (!out)
		return;
	for (unsigned i = 0; i < header.num_desc; i++)
		print_counter(out, &header, i);
	fclose(out);
}
