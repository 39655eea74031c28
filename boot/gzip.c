// SPDX-License-Identifier: MIT
/*
 * gzip by zlib, from one file into another that has no name. Not more is in
 * memory at a time than two buffers, and what comes out is counted, so a file
 * that expands without end costs no more than the limit. Control thread.
 */
#include "boot/gzip.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"

#define BUFFER_BYTES (64 * KIB)
#define GZIP_ONLY    (15 + 16) /* zlib's window bits: the largest, and a gzip header */

struct expansion {
	const struct boot_file *file;
	uint64_t in_offset, out_bytes, limit_bytes;
	int out_fd;
	z_stream stream;
	uint8_t in[BUFFER_BYTES], out[BUFFER_BYTES];
};

static int bad_data(const struct expansion *expansion, const char *what)
{
	return fail(EINVAL, "%s: %s: not valid gzip: %s", expansion->file->role,
		    expansion->file->path, what);
}

static int refill(struct expansion *expansion)
{
	const struct boot_file *file = expansion->file;
	uint64_t length = min_u64(file->size_bytes - expansion->in_offset, BUFFER_BYTES);
	int error;

	if (!length)
		return bad_data(expansion, "it ends too early");
	error = boot_file_read(file, expansion->in_offset, expansion->in, length);
	if (error)
		return error;
	expansion->in_offset += length;
	expansion->stream.next_in = expansion->in;
	expansion->stream.avail_in = (uInt)length;
	return 0;
}

static int write_out(struct expansion *expansion)
{
	const struct boot_file *file = expansion->file;
	uint64_t length = BUFFER_BYTES - expansion->stream.avail_out;
	ssize_t moved;

	if (length > expansion->limit_bytes - expansion->out_bytes)
		return fail(EFBIG, "%s: %s: expands to more than the %" PRIu64 " MiB of RAM; "
			    "give more with --mem", file->role, file->path,
			    expansion->limit_bytes / MIB);
	moved = fd_write_full(expansion->out_fd, expansion->out, length);
	if (moved < 0)
		return fail_host((int)-moved, "%s: %s: expand: %s", file->role, file->path,
				 strerror((int)-moved));
	expansion->out_bytes += length;
	expansion->stream.next_out = expansion->out;
	expansion->stream.avail_out = BUFFER_BYTES;
	return 0;
}

/* Until the end of the first member: what follows, such as a signature, is not the kernel. */
static int inflate_all(struct expansion *expansion)
{
	z_stream *stream = &expansion->stream;
	int state = Z_OK, error = 0;

	stream->next_out = expansion->out;
	stream->avail_out = BUFFER_BYTES;
	while (!error && state != Z_STREAM_END) {
		state = inflate(stream, Z_NO_FLUSH);
		if (state == Z_BUF_ERROR)
			error = refill(expansion); /* all that came in has come out */
		else if (state == Z_MEM_ERROR)
			error = fail_host(ENOMEM, "%s: out of memory", expansion->file->role);
		else if (state != Z_OK && state != Z_STREAM_END)
			error = bad_data(expansion, stream->msg ? stream->msg : "bad data");
		else if (!stream->avail_out || state == Z_STREAM_END)
			error = write_out(expansion);
	}
	return error;
}

/* The file is replaced if all went well. */
static int expand(struct expansion *expansion, struct boot_file *file)
{
	int error;

	if (inflateInit2(&expansion->stream, GZIP_ONLY) != Z_OK)
		return fail_host(ENOMEM, "%s: out of memory", file->role);
	expansion->out_fd = fd_memory_file("ringvm-kernel", 0);
	if (expansion->out_fd < 0)
		error = fail_host(-expansion->out_fd, "%s: %s: expand: memfd: %s", file->role,
				  file->path, strerror(-expansion->out_fd));
	else
		error = inflate_all(expansion);
	inflateEnd(&expansion->stream);
	if (!error && !expansion->out_bytes)
		error = bad_data(expansion, "nothing is in it");
	if (error) {
		fd_close(&expansion->out_fd);
		return error;
	}
	boot_file_close(file);
	file->fd = expansion->out_fd;
	file->size_bytes = expansion->out_bytes;
	return 0;
}

int gzip_expand(struct boot_file *file, uint64_t limit_bytes)
{
	struct expansion *expansion;
	int error;

	if (!boot_file_has(file, 0, GZIP_MAGIC, 2))
		return 0;
	expansion = calloc(1, sizeof(*expansion));
	if (!expansion)
		return fail_host(ENOMEM, "%s: out of memory", file->role);
	expansion->file = file;
	expansion->limit_bytes = limit_bytes;
	error = expand(expansion, file);
	free(expansion);
	return error;
}
