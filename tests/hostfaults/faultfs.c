// SPDX-License-Identifier: MIT
/*
 * faultfs [-s] DIRECTORY FILE [LOG]: a file system of two files, for tests of what a disk's host
 * can do to ringvm. DIRECTORY/disk is FILE, past the page cache; words written to DIRECTORY/control
 * say how it behaves from then on. With a LOG every write and sync is logged, for crashcheck. One
 * thread; speaks the kernel's protocol (<linux/fuse.h>) itself, so that it can answer late, short,
 * or not at all. In the foreground until unmounted. Exit status 77: no FUSE here.
 *
 * Without -s the kernel makes an error of a short write. With it, each transfer keeps its thread
 * till the answer, and direct ones (O_DIRECT) must not be short: Linux 6.18's io_uring takes them
 * for whole.
 *
 *	VERB FAULT [COUNT]	VERB is read, write or sync; for the next COUNT requests, or for good.
 *				FAULT is ok, EIO, ENOSPC, EINTR, EAGAIN, short (half of it), zero
 *				(nothing moved), hold (no answer before `release`), jitter (up to
 *				2 ms late), late=MS
 *	release			answers what is held, in order
 *	size BYTES		the length of the disk's file
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/hostfaults/diskrecord.h"

#define TRANSFER_MAX (128 * 1024)
#define REQUEST_MAX  (TRANSFER_MAX + 4096)
#define JITTER_NS    2000000
#define FOR_EVER     UINT64_MAX

enum node { NODE_ROOT = FUSE_ROOT_ID, NODE_DISK, NODE_CONTROL };
enum verb { VERB_READ, VERB_WRITE, VERB_SYNC, VERBS };
enum fault { FAULT_OK, FAULT_ERROR, FAULT_SHORT, FAULT_ZERO, FAULT_HOLD, FAULT_JITTER,
	     FAULT_LATE };

/* A request that is answered later. */
struct held {
	struct held *next;
	uint64_t due_ns;
	enum verb verb;
	size_t bytes;
	char request[];
};

static int fuse_fd, disk_fd, log_fd = -1;
static bool synchronous;
static struct {
	enum fault fault;
	int error;
	uint64_t late_ns, left;
} faults[VERBS];
static struct held *held, **held_last = &held;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- Answers ---- */

static void answer(const struct fuse_in_header *in, int error, const void *data, size_t bytes)
{
	struct fuse_out_header out = { .len = (uint32_t)(sizeof(out) + bytes), .error = -error,
				       .unique = in->unique };
	struct iovec parts[] = { { &out, sizeof(out) }, { (void *)data, bytes } };

	/* ENOENT: who asked has gone. */
	if (writev(fuse_fd, parts, 2) < 0 && errno != ENOENT)
		die("answer");
}

static struct fuse_attr node_attributes(uint64_t node)
{
	struct fuse_attr attributes = { .ino = node, .nlink = 1, .blksize = 4096 };
	struct stat status;

	if (node == NODE_DISK) {
		if (fstat(disk_fd, &status))
			die("stat");
		attributes.size = (uint64_t)status.st_size;
		attributes.blocks = (uint64_t)status.st_blocks;
	}
	attributes.mode = node == NODE_ROOT ? S_IFDIR | 0755 : S_IFREG | 0666;
	return attributes;
}

static void do_lookup(const struct fuse_in_header *in, const char *name)
{
	struct fuse_entry_out entry = { .entry_valid = 3600 };

	if (!strcmp(name, "disk"))
		entry.nodeid = NODE_DISK;
	else if (!strcmp(name, "control"))
		entry.nodeid = NODE_CONTROL;
	if (!entry.nodeid) {
		answer(in, ENOENT, NULL, 0);
		return;
	}
	entry.attr = node_attributes(entry.nodeid);
	answer(in, 0, &entry, sizeof(entry));
}

static void do_attributes(const struct fuse_in_header *in, const struct fuse_setattr_in *set)
{
	struct fuse_attr_out out = { 0 };

	if (set && (set->valid & FATTR_SIZE) && in->nodeid == NODE_DISK &&
	    ftruncate(disk_fd, (off_t)set->size)) {
		answer(in, errno, NULL, 0);
		return;
	}
	out.attr = node_attributes(in->nodeid);
	answer(in, 0, &out, sizeof(out));
}

static void do_init(const struct fuse_in_header *in, const struct fuse_init_in *init)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = init->minor < FUSE_KERNEL_MINOR_VERSION ? init->minor :
								   FUSE_KERNEL_MINOR_VERSION,
		.flags = init->flags & (FUSE_BIG_WRITES | FUSE_MAX_PAGES |
					(synchronous ? 0 : FUSE_ASYNC_DIO)),
		/* All that a queue holds: what waits for its turn would not be late, but later. */
		.max_background = 1024,
		.congestion_threshold = 1024,
		.max_write = TRANSFER_MAX,
		.max_pages = TRANSFER_MAX / 4096,
	};

	answer(in, 0, &out, sizeof(out));
}

/* ---- The disk ---- */

static void log_entry(enum disklog_type type, const struct fuse_in_header *in, uint64_t offset,
		      const void *data, uint32_t bytes)
{
	struct disklog_entry entry = { type, bytes, in->unique, offset };
	struct iovec parts[] = { { &entry, sizeof(entry) }, { (void *)data, data ? bytes : 0 } };

	if (log_fd >= 0 && writev(log_fd, parts, 2) != (ssize_t)(sizeof(entry) + parts[1].iov_len))
		die("log");
}

static uint32_t shortened(uint32_t bytes, enum fault fault)
{
	if (fault == FAULT_ZERO)
		return 0;
	return fault == FAULT_SHORT ? bytes / 2 & ~511u : bytes;
}

static void disk_read(const struct fuse_in_header *in, enum fault fault)
{
	const struct fuse_read_in *arguments = (const void *)(in + 1);
	static char data[TRANSFER_MAX];
	ssize_t result = pread(disk_fd, data, shortened(arguments->size, fault),
			       (off_t)arguments->offset);

	answer(in, result < 0 ? errno : 0, data, result < 0 ? 0 : (size_t)result);
}

static void disk_write(const struct fuse_in_header *in, enum fault fault)
{
	const struct fuse_write_in *arguments = (const void *)(in + 1);
	ssize_t result = pwrite(disk_fd, arguments + 1, shortened(arguments->size, fault),
				(off_t)arguments->offset);
	struct fuse_write_out out = { .size = result < 0 ? 0 : (uint32_t)result };

	log_entry(arguments->flags & O_DSYNC ? DISKLOG_WRITE_STABLE : DISKLOG_WRITE_END, in,
		  arguments->offset, NULL, out.size);
	answer(in, result < 0 ? errno : 0, &out, result < 0 ? 0 : sizeof(out));
}

/* What the request is to come to, now that it is time. */
static void disk_do(const struct fuse_in_header *in, enum verb verb, enum fault fault)
{
	switch (verb) {
	case VERB_READ:
		disk_read(in, fault);
		break;
	case VERB_WRITE:
		disk_write(in, fault);
		break;
	default:
		log_entry(DISKLOG_SYNC_END, in, 0, NULL, 0);
		answer(in, 0, NULL, 0);
	}
}

static void hold(const struct fuse_in_header *in, enum verb verb, uint64_t due_ns)
{
	struct held *item = malloc(sizeof(*item) + in->len);

	if (!item)
		die("malloc");
	*item = (struct held){ .due_ns = due_ns, .verb = verb, .bytes = in->len };
	memcpy(item->request, in, in->len);
	*held_last = item;
	held_last = &item->next;
}

/* Answers what is due by then; returns how many ms till the next, -1 for none. */
static int release_until(uint64_t time_ns)
{
	uint64_t next_ns = FOR_EVER;
	struct held **at = &held;

	while (*at) {
		struct held *item = *at;

		if (item->due_ns > time_ns) {
			next_ns = item->due_ns < next_ns ? item->due_ns : next_ns;
			at = &item->next;
			continue;
		}
		*at = item->next;
		disk_do((const void *)item->request, item->verb, FAULT_OK);
		free(item);
	}
	held_last = at;
	return next_ns == FOR_EVER ? -1 : (int)((next_ns - time_ns) / 1000000 + 1);
}

/* A request of the disk: what becomes of it. */
static void disk_begin(const struct fuse_in_header *in, enum verb verb)
{
	enum fault fault = faults[verb].left ? faults[verb].fault : FAULT_OK;
	const struct fuse_write_in *write = (const void *)(in + 1);

	if (fault != FAULT_OK && faults[verb].left != FOR_EVER)
		faults[verb].left--;
	if (verb == VERB_WRITE)
		log_entry(DISKLOG_WRITE_BEGIN, in, write->offset, write + 1, write->size);
	else if (verb == VERB_SYNC)
		log_entry(DISKLOG_SYNC_BEGIN, in, 0, NULL, 0);
	if (fault == FAULT_ERROR)
		answer(in, faults[verb].error, NULL, 0);
	else if (fault == FAULT_HOLD)
		hold(in, verb, FOR_EVER);
	else if (fault == FAULT_JITTER)
		hold(in, verb, now_ns() + (uint64_t)rand() % JITTER_NS);
	else if (fault == FAULT_LATE)
		hold(in, verb, now_ns() + faults[verb].late_ns);
	else
		disk_do(in, verb, fault);
}

/* ---- Control ---- */

static bool fault_parse(const char *word, enum fault *fault, int *error)
{
	static const struct {
		const char *word;
		enum fault fault;
		int error;
	} words[] = {
		{ "ok", FAULT_OK, 0 },		{ "short", FAULT_SHORT, 0 },
		{ "zero", FAULT_ZERO, 0 },	{ "hold", FAULT_HOLD, 0 },
		{ "jitter", FAULT_JITTER, 0 },	{ "late", FAULT_LATE, 0 },
		{ "EIO", FAULT_ERROR, EIO },	{ "ENOSPC", FAULT_ERROR, ENOSPC },
		{ "EINTR", FAULT_ERROR, EINTR }, { "EAGAIN", FAULT_ERROR, EAGAIN },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(word, words[i].word))
			continue;
		*fault = words[i].fault;
		*error = words[i].error;
		return true;
	}
	return false;
}

/* 0 or an errno. */
static int control(char *line)
{
	static const char *const verbs[] = { "read", "write", "sync" };
	char *rest = line, *word = strsep(&rest, " \n"), *what = strsep(&rest, " \n");
	char *count = strsep(&rest, " \n");
	const char *fault, *late_ms;

	if (!strcmp(word, "release")) {
		/* Not what came since: that could go on for ever. */
		for (struct held *item = held; item; item = item->next)
			item->due_ns = 0;
		release_until(0);
		return 0;
	}
	if (!what)
		return EINVAL;
	if (!strcmp(word, "size"))
		return ftruncate(disk_fd, atoll(what)) ? errno : 0;
	fault = strsep(&what, "=");
	late_ms = what ? what : "0";
	for (enum verb verb = 0; verb < VERBS; verb++) {
		if (strcmp(word, verbs[verb]))
			continue;
		faults[verb].left = count && *count ? strtoull(count, NULL, 10) : FOR_EVER;
		faults[verb].late_ns = strtoull(late_ms, NULL, 10) * 1000000;
		return fault_parse(fault, &faults[verb].fault, &faults[verb].error) ? 0 : EINVAL;
	}
	return EINVAL;
}

static void do_control(const struct fuse_in_header *in)
{
	const struct fuse_write_in *arguments = (const void *)(in + 1);
	struct fuse_write_out out = { .size = arguments->size };
	char line[128] = "";
	int error = EINVAL;

	if (arguments->size < sizeof(line)) {
		memcpy(line, arguments + 1, arguments->size);
		error = control(line);
	}
	answer(in, error, &out, error ? 0 : sizeof(out));
}

/* ---- The loop ---- */

static void do_open(const struct fuse_in_header *in)
{
	struct fuse_open_out out = { .fh = in->nodeid, .open_flags = FOPEN_DIRECT_IO };

#ifdef FOPEN_PARALLEL_DIRECT_WRITES
	out.open_flags |= FOPEN_PARALLEL_DIRECT_WRITES;
#endif
	answer(in, 0, &out, sizeof(out));
}

static void handle(const struct fuse_in_header *in)
{
	const void *arguments = in + 1;
	const struct fuse_statfs_out statfs = { .st = { .bsize = 4096, .namelen = 255 } };

	switch (in->opcode) {
	case FUSE_INIT:
		do_init(in, arguments);
		break;
	case FUSE_LOOKUP:
		do_lookup(in, arguments);
		break;
	case FUSE_GETATTR:
		do_attributes(in, NULL);
		break;
	case FUSE_SETATTR:
		do_attributes(in, arguments);
		break;
	case FUSE_OPEN:
		do_open(in);
		break;
	case FUSE_READ:
		if (in->nodeid == NODE_DISK)
			disk_begin(in, VERB_READ);
		else
			answer(in, 0, NULL, 0);
		break;
	case FUSE_WRITE:
		if (in->nodeid == NODE_DISK)
			disk_begin(in, VERB_WRITE);
		else
			do_control(in);
		break;
	case FUSE_FSYNC:
		disk_begin(in, VERB_SYNC);
		break;
	case FUSE_STATFS:
		answer(in, 0, &statfs, sizeof(statfs));
		break;
	case FUSE_RELEASE:
	case FUSE_DESTROY:
		answer(in, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT: /* a disk that hangs does not listen */
		break;
	default:
		answer(in, ENOSYS, NULL, 0);
	}
}

static void serve(void)
{
	static char request[REQUEST_MAX] __attribute__((aligned(8)));
	struct pollfd wait = { .events = POLLIN };

	wait.fd = fuse_fd;
	for (;;) {
		ssize_t length;

		if (poll(&wait, 1, release_until(now_ns())) <= 0)
			continue;
		length = read(fuse_fd, request, sizeof(request));
		if (length < 0 && errno == ENODEV)
			return; /* unmounted */
		if (length < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT)
			die("/dev/fuse");
		if (length >= (ssize_t)sizeof(struct fuse_in_header))
			handle((const void *)request);
	}
}

int main(int argc, char **argv)
{
	char options[128];

	synchronous = argc > 1 && !strcmp(argv[1], "-s");
	argc -= synchronous;
	argv += synchronous;
	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: faultfs [-s] DIRECTORY FILE [LOG]\n");
		return 1;
	}
	disk_fd = open(argv[2], O_RDWR | O_CLOEXEC);
	if (disk_fd < 0)
		die(argv[2]);
	if (argc == 4)
		log_fd = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (argc == 4 && log_fd < 0)
		die(argv[3]);
	fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fuse_fd < 0) {
		perror("/dev/fuse");
		return 77;
	}
	snprintf(options, sizeof(options), "fd=%d,rootmode=40755,user_id=%u,group_id=%u", fuse_fd,
		 geteuid(), getegid());
	if (mount("faultfs", argv[1], "fuse", MS_NOSUID | MS_NODEV, options)) {
		perror("mount");
		return 77;
	}
	serve();
	return 0;
}
