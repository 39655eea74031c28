// SPDX-License-Identifier: MIT
/*
 * For tests/bench/counts: preloaded into ringvm, it counts the bytes that memcpy() and its like copy
 * on any thread, in the file that BENCH_COPIES names (8 bytes, host order). The file is mapped before
 * the sandbox closes, so nothing is to be written at the end. Copies that the compiler has made
 * itself escape it: these are of a known, small size, as of headers.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint64_t early;
static _Atomic uint64_t *copied = &early;

/* Not by memcpy(), which is this. */
static void *copy(void *to, const void *from, size_t size)
{
	volatile uint8_t *out = to;
	const volatile uint8_t *in = from;

	atomic_fetch_add_explicit(copied, size, memory_order_relaxed);
	if (out <= in || out >= in + size) {
		for (size_t i = 0; i < size; i++)
			out[i] = in[i];
	} else {
		while (size--)
			out[size] = in[size];
	}
	return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
	return copy(to, from, size);
}

void *memmove(void *to, const void *from, size_t size)
{
	return copy(to, from, size);
}

void *mempcpy(void *to, const void *from, size_t size)
{
	return (uint8_t *)copy(to, from, size) + size;
}

/* What they are called with -D_FORTIFY_SOURCE. */
void *__memcpy_chk(void *to, const void *from, size_t size, size_t room);
void *__memmove_chk(void *to, const void *from, size_t size, size_t room);
void *__mempcpy_chk(void *to, const void *from, size_t size, size_t room);

static void check(size_t size, size_t room)
{
	if (size > room)
		abort();
}

void *__memcpy_chk(void *to, const void *from, size_t size, size_t room)
{
	check(size, room);
	return copy(to, from, size);
}

void *__memmove_chk(void *to, const void *from, size_t size, size_t room)
{
	check(size, room);
	return copy(to, from, size);
}

void *__mempcpy_chk(void *to, const void *from, size_t size, size_t room)
{
	check(size, room);
	return (uint8_t *)copy(to, from, size) + size;
}

__attribute__((constructor)) static void map_count(void)
{
	const char *path = getenv("BENCH_COPIES");
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	void *mapping;

	if (fd < 0 || ftruncate(fd, sizeof(*copied)) < 0)
		return;
	mapping = mmap(NULL, sizeof(*copied), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (mapping != MAP_FAILED)
		copied = mapping;
}
