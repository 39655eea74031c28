// SPDX-License-Identifier: MIT
/* Streams to every kind of peer: what arrives, what stays, what is let go. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "core/stream.h"
#include "tests/unit/message.h"

#define TIMEOUT_MS 20000
#define FLUSH_NS UINT64_C(1000000000)

static struct worker worker;
static struct stream stream;
static char directory[] = "/tmp/test_stream.XXXXXX";
static _Atomic unsigned inputs, rooms, connections;

static void count_input(struct stream *s)
{
	(void)s;
	inputs++;
}

static void count_room(struct stream *s)
{
	(void)s;
	rooms++;
}

static void count_connection(struct stream *s)
{
	(void)s;
	connections++;
}

static const struct stream_ops ops = {
	.input = count_input,
	.room = count_room,
	.connected = count_connection,
};

/*
 * Between the stream and the ring: the next `times` transfers of a kind are not
 * made but end with `result`, as kernels and descriptors differ in what they
 * answer.
 */
void __real_worker_arm(struct io_uring_sqe *sqe, struct ring_op *op);
void __wrap_worker_arm(struct io_uring_sqe *sqe, struct ring_op *op);

static struct {
	struct ring_op op;
	struct ring_op *behind;
	_Atomic int opcode, result;
	_Atomic unsigned times, events; /* which end a transfer that is not made */
} tamper;

static void tampered(struct ring_op *op, int result, uint32_t flags)
{
	(void)op;
	(void)result;
	tamper.behind->done(tamper.behind, tamper.result, flags);
}

void __wrap_worker_arm(struct io_uring_sqe *sqe, struct ring_op *op)
{
	if (tamper.times && sqe->opcode == tamper.opcode) {
		int slot = sqe->fd; /* of which one direction at least is ready */

		tamper.times--;
		tamper.behind = op;
		tamper.op.done = tampered;
		io_uring_prep_poll_add(sqe, slot, tamper.events);
		op = &tamper.op;
	}
	__real_worker_arm(sqe, op);
}

static void tamper_with(int opcode, int result, unsigned times)
{
	tamper.opcode = opcode;
	tamper.result = result;
	tamper.events = POLLIN | POLLOUT | POLLHUP;
	tamper.times = times;
}

/* The next one ends when one of these events has come; to cancel it is of no use. */
static void tamper_hold(int opcode, unsigned events)
{
	tamper_with(opcode, -ECANCELED, 0);
	tamper.events = events;
	tamper.times = 1;
}

/* The host refuses to accept the next `times` clients, or it may be the same one, with `error`. */
int __real_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);

static struct {
	_Atomic int error;
	_Atomic unsigned times, done;
} refusal;

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	if (!refusal.times)
		return __real_accept4(fd, address, length, flags);
	refusal.times--;
	refusal.done++;
	errno = refusal.error;
	return -1;
}

static void refuse_clients(int error, unsigned times)
{
	refusal.error = error;
	refusal.done = 0;
	refusal.times = times;
}

static int setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	inputs = rooms = connections = 0;
	assert_int_equal(worker_create(&worker, &(struct worker_config){ "io-test", 32, 8 }), 0);
	assert_int_equal(worker_start(&worker), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	worker_stop(&worker);
	worker_destroy(&worker);
	return 0;
}

static const char *path_of(const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static int open_path(const char *path)
{
	return stream_open(&stream, &(struct stream_config){
		.name = "test", .ops = &ops, .worker = &worker, .path = path });
}

static int open_terminal(struct terminal *terminal)
{
	return stream_open(&stream, &(struct stream_config){
		.name = "test", .ops = &ops, .worker = &worker, .terminal = terminal });
}

struct write_task {
	struct worker_task task;
	const void *data;
	size_t length, taken;
	bool room;
};

static void write_run(struct worker_task *task)
{
	struct write_task *write = container_of(task, struct write_task, task);

	write->taken = stream_write(&stream, write->data, write->length);
}

static size_t put(const void *data, size_t length)
{
	struct write_task write = { { write_run }, data, length, 0, false };

	worker_call(&worker, &write.task);
	return write.taken;
}

/* Several parts at once, and how much of them the host had when the call was over. */
struct parts_task {
	struct worker_task task;
	struct iovec parts[3];
	size_t taken;
	uint64_t at_once;
};

static void parts_run(struct worker_task *task)
{
	struct parts_task *parts = container_of(task, struct parts_task, task);
	uint64_t before = stream.written_bytes;

	parts->taken = stream_write_parts(&stream, parts->parts, ARRAY_SIZE(parts->parts));
	parts->at_once = stream.written_bytes - before;
}

static struct parts_task put_parts(char *data, size_t length)
{
	struct parts_task parts = { .task.run = parts_run };

	parts.parts[0] = (struct iovec){ data, length / 2 };
	parts.parts[1] = (struct iovec){ data + length / 2, 0 };
	parts.parts[2] = (struct iovec){ data + length / 2, length - length / 2 };
	worker_call(&worker, &parts.task);
	return parts;
}

static void room_run(struct worker_task *task)
{
	struct write_task *write = container_of(task, struct write_task, task);

	write->room = stream_has_room(&stream, write->length);
}

static bool has_room(size_t length)
{
	struct write_task write = { { room_run }, NULL, length, 0, false };

	worker_call(&worker, &write.task);
	return write.room;
}

static void wait_for(_Atomic unsigned *counter, unsigned at_least)
{
	for (int i = 0; i < TIMEOUT_MS && *counter < at_least; i++)
		usleep(1000);
	assert_true(*counter >= at_least);
}

/* What the stream brings, in order. */
static void assert_input(const char *text)
{
	char got[256];
	size_t length = strlen(text), count = 0;

	for (int i = 0; i < TIMEOUT_MS && count < length; i++) {
		count += stream_read(&stream, got + count, length - count);
		if (count < length)
			usleep(1000);
	}
	assert_int_equal(count, length);
	assert_memory_equal(got, text, length);
}

/* What has come out at the other end. */
static void assert_output(int fd, const char *text)
{
	char got[256];
	size_t length = strlen(text), count = 0;

	while (count < length) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		ssize_t n;

		assert_int_equal(poll(&poll_fd, 1, TIMEOUT_MS), 1);
		n = read(fd, got + count, length - count);
		assert_true(n > 0);
		count += (size_t)n;
	}
	assert_memory_equal(got, text, length);
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void test_file_is_appended_to(void **state)
{
	const char *path = path_of("log");
	int fd;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(open_path(path), 0);
		assert_int_equal(put("line\n", 5), 5);
		stream_close(&stream, FLUSH_NS);
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_output(fd, "line\nline\n");
	close(fd);
	unlink(path);
}

/* Past the buffer and past the kernel's threads, where the host never waits. */
static void test_parts_are_written_at_once(void **state)
{
	static char bytes[STREAM_OUTPUT_BYTES];
	struct parts_task parts;

	(void)state;
	assert_int_equal(open_path("/dev/null"), 0);
	parts = put_parts(bytes, sizeof(bytes));
	assert_int_equal(parts.taken, sizeof(bytes));
	assert_int_equal(parts.at_once, sizeof(bytes));
	stream_close(&stream, FLUSH_NS);
}

static void test_file_in_memory_is_written_at_once(void **state)
{
	char path[64], text[] = "two parts\n";
	struct parts_task parts;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "/dev/shm/test_stream.%d", getpid());
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || !fd_in_memory(fd)) {
		fd_close(&fd);
		skip();
	}
	assert_int_equal(open_path(path), 0);
	parts = put_parts(text, strlen(text));
	assert_int_equal(parts.at_once, strlen(text));
	stream_close(&stream, FLUSH_NS);
	assert_output(fd, text);
	close(fd);
	unlink(path);
}

/* What is buffered goes first, and what the host does not take waits in the buffer. */
static void test_parts_keep_their_order(void **state)
{
	static char bytes[24000], got[sizeof(bytes)];
	size_t count = 0;
	int screen[2];
	struct terminal terminal = { .input_fd = -1 };

	(void)state;
	assert_int_equal(pipe2(screen, O_CLOEXEC), 0);
	assert_true(fcntl(screen[1], F_SETPIPE_SZ, 4096) >= 4096);
	terminal.output_fd = screen[1];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7 + i / 256);
	assert_int_equal(open_terminal(&terminal), 0);
	for (unsigned i = 0; i < 4; i++) {
		size_t part = sizeof(bytes) / 4;

		if (i % 2)
			assert_int_equal(put(bytes + i * part, part), part);
		else
			assert_int_equal(put_parts(bytes + i * part, part).taken, part);
	}
	while (count < sizeof(got)) {
		struct pollfd poll_fd = { .fd = screen[0], .events = POLLIN };
		ssize_t n;

		assert_int_equal(poll(&poll_fd, 1, TIMEOUT_MS), 1);
		n = read(screen[0], got + count, sizeof(got) - count);
		assert_true(n > 0);
		count += (size_t)n;
	}
	assert_memory_equal(got, bytes, sizeof(bytes));
	stream_close(&stream, FLUSH_NS);
	close(screen[0]);
	close(screen[1]);
}

static void test_file_gives_no_input(void **state)
{
	const char *path = path_of("full");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	send_text(fd, "not for the guest");
	close(fd);
	assert_int_equal(open_path(path), 0);
	usleep(20000);
	assert_int_equal(stream_input_bytes(&stream), 0);
	stream_close(&stream, 0);
	unlink(path);
}

static void test_paths_that_can_not_be(void **state)
{
	char long_path[256] = "unix:";

	(void)state;
	message_begin();
	assert_int_equal(open_path("/nonexistent/directory/file"), -ENOENT);
	assert_true(message_end("open /nonexistent/directory/file: No such file or directory; "
				"check the path\n"));
	message_begin();
	assert_int_equal(open_path(directory), -EISDIR);
	assert_true(message_end(": Is a directory; name a file in it\n"));
	assert_int_equal(open_path("unix:"), -EINVAL);
	memset(long_path + 5, 'x', sizeof(long_path) - 6);
	assert_int_equal(open_path(long_path), -EINVAL);
	message_begin();
	assert_int_equal(open_path("unix:/nonexistent/directory/socket"), -ENOENT);
	assert_true(message_end("bind /nonexistent/directory/socket: No such file or directory; "
				"check the path\n"));
	/* It is no socket, so it is not taken for one that was left. */
	message_begin();
	assert_int_equal(open_path("unix:/dev/null"), -EADDRINUSE);
	assert_true(message_end(": Address already in use; end who listens there, or name another "
				"path\n"));
}

static void test_fifo_waits_for_its_reader(void **state)
{
	char path[128];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s", path_of("fifo"));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(open_path(path), 0); /* does not wait */
	assert_int_equal(put("early", 5), 5);
	usleep(20000);
	assert_int_equal(stream_input_bytes(&stream), 0); /* our own output is no input */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_output(fd, "early");
	close(fd); /* a reader that leaves ends nothing */
	assert_int_equal(put("late", 4), 4);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_output(fd, "late");
	close(fd);
	stream_close(&stream, FLUSH_NS);
	unlink(path);
}

static void test_character_device(void **state)
{
	static const uint8_t zeros[64];
	uint8_t got[64];

	(void)state;
	memset(got, 0xff, sizeof(got));
	assert_int_equal(open_path("/dev/zero"), 0);
	wait_for(&inputs, 1);
	assert_int_equal(stream_read(&stream, got, sizeof(got)), sizeof(got));
	assert_memory_equal(got, zeros, sizeof(got));
	assert_int_equal(put("gone", 4), 4);
	stream_close(&stream, FLUSH_NS);
	assert_int_equal(open_path("/dev/null"), 0);
	assert_int_equal(put("gone", 4), 4);
	stream_close(&stream, FLUSH_NS);
}

/* Its name is only in the message. */
static int open_pty_slave(void)
{
	int saved = dup(STDERR_FILENO), pipes[2], slave;
	char line[256] = "", *name;

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	dup2(pipes[1], STDERR_FILENO);
	assert_int_equal(open_path("pty"), 0);
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_true(read(pipes[0], line, sizeof(line) - 1) > 0);
	close(pipes[0]);
	close(pipes[1]);
	name = strstr(line, "/dev/pts/");
	assert_non_null(name);
	name[strcspn(name, "\r\n")] = '\0';
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(slave >= 0);
	return slave;
}

static void test_pty(void **state)
{
	int slave = open_pty_slave();

	(void)state;
	assert_int_equal(put("to the user\r\n", 13), 13);
	assert_output(slave, "to the user\r\n");
	usleep(20000);
	assert_int_equal(stream_input_bytes(&stream), 0); /* no echo */
	send_text(slave, "to the guest\003");
	assert_input("to the guest\003");
	close(slave); /* its user may come again */
	stream_close(&stream, FLUSH_NS);
}

static void test_pty_that_nobody_reads(void **state)
{
	static char bytes[STREAM_OUTPUT_BYTES];
	int slave = open_pty_slave();
	struct timespec start, end;

	(void)state;
	for (int i = 0; i < 20; i++) {
		put(bytes, sizeof(bytes));
		usleep(5000);
	}
	assert_false(has_room(STREAM_OUTPUT_BYTES / 2));
	clock_gettime(CLOCK_MONOTONIC, &start);
	stream_close(&stream, FLUSH_NS / 10);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_true(end.tv_sec - start.tv_sec < 10);
	close(slave);
}

static int client(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path_of(name));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static const char *socket_path(void)
{
	static char path[128];

	snprintf(path, sizeof(path), "unix:%s", path_of("socket"));
	return path;
}

static bool was_refused(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	char byte;

	assert_int_equal(poll(&poll_fd, 1, TIMEOUT_MS), 1);
	return read(fd, &byte, 1) <= 0;
}

static void test_socket_clients_come_and_go(void **state)
{
	struct stat status;
	int first, second;

	(void)state;
	assert_int_equal(open_path(socket_path()), 0);
	assert_int_equal(stat(path_of("socket"), &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	assert_true(has_room(STREAM_OUTPUT_BYTES));
	assert_int_equal(put("before anybody came", 19), 19);

	first = client("socket");
	wait_for(&connections, 1);
	assert_output(first, "before anybody came");
	send_text(first, "hello");
	assert_input("hello");
	assert_int_equal(put("hi", 2), 2);
	assert_output(first, "hi");

	second = client("socket"); /* one at a time */
	assert_true(was_refused(second));
	close(second);
	assert_int_equal(put("still", 5), 5);
	assert_output(first, "still");

	send_text(first, "last words");
	close(first);
	wait_for(&connections, 2);
	assert_input("last words");
	assert_int_equal(put("meanwhile", 9), 9);

	first = client("socket");
	wait_for(&connections, 3);
	assert_output(first, "meanwhile");
	stream_close(&stream, FLUSH_NS);
	assert_true(was_refused(first));
	close(first);
	assert_int_equal(stat(path_of("socket"), &status), -1);
}

static void test_socket_keeps_the_last_output(void **state)
{
	static uint8_t bytes[3 * STREAM_OUTPUT_BYTES / 2], got[STREAM_OUTPUT_BYTES];
	size_t skip = 10;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 31 + i / 256);
	assert_int_equal(open_path(socket_path()), 0);
	for (size_t done = 0; done < sizeof(bytes) - skip; done += 1000)
		put(bytes + done, min_u64(1000, sizeof(bytes) - skip - done));
	put(bytes + sizeof(bytes) - skip, skip);
	fd = client("socket");
	assert_int_equal(fd_read_full(fd, got, sizeof(got)), sizeof(got));
	assert_memory_equal(got, bytes + sizeof(bytes) - sizeof(got), sizeof(got));
	close(fd);
	wait_for(&connections, 2);
	/* More than the buffer holds in one go. */
	assert_int_equal(put(bytes, sizeof(bytes)), sizeof(bytes));
	fd = client("socket");
	assert_int_equal(fd_read_full(fd, got, sizeof(got)), sizeof(got));
	assert_memory_equal(got, bytes + sizeof(bytes) - sizeof(got), sizeof(got));
	close(fd);
	stream_close(&stream, FLUSH_NS);
}

/* It vanishes while it is being written to, and while nobody reads what it wrote. */
static void test_socket_client_that_vanishes(void **state)
{
	static char bytes[STREAM_OUTPUT_BYTES];
	int fd, input = 0;

	(void)state;
	assert_int_equal(open_path(socket_path()), 0);
	fd = client("socket");
	wait_for(&connections, 1);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (write(fd, bytes, sizeof(bytes)) > 0)
		input++; /* a flood that the guest does not take */
	assert_true(input > 0);
	/* Until the socket holds no more, so that a write has to wait. */
	while (send(stream.out.fd, bytes, 1, MSG_DONTWAIT) == 1)
		put(bytes, sizeof(bytes));
	put(bytes, sizeof(bytes));
	assert_false(has_room(STREAM_OUTPUT_BYTES));
	close(fd);
	/* Writing finds out; the next one is served. */
	wait_for(&connections, 2);
	fd = client("socket");
	wait_for(&connections, 3);
	assert_int_equal(stream_input_bytes(&stream), STREAM_INPUT_BYTES);
	close(fd);
	stream_close(&stream, 0);
}

static void nothing_run(struct worker_task *task)
{
	(void)task;
}

/* The worker has done all that was asked of it, and what it was in the middle of. */
static void worker_catch_up(void)
{
	struct worker_task nothing = { nothing_run };

	worker_call(&worker, &nothing);
}

static int times_closed(void)
{
	int count;

	sem_getvalue(&stream.closed, &count);
	return count;
}

/* It does so while the end waits for what it does not read: that is one end, and the last touch. */
static void test_socket_client_that_vanishes_at_the_end(void **state)
{
	static char bytes[STREAM_OUTPUT_BYTES];
	size_t unread;
	int fd;

	(void)state;
	assert_int_equal(open_path(socket_path()), 0);
	fd = client("socket");
	wait_for(&connections, 1);
	while (send(stream.out.fd, bytes, 1, MSG_DONTWAIT) == 1)
		put(bytes, sizeof(bytes));
	put(bytes, sizeof(bytes));
	worker_catch_up();
	unread = byte_ring_used(&stream.out.ring);
	assert_true(unread > 0);
	stream_close_begin(&stream, TIMEOUT_MS * UINT64_C(1000000));
	worker_catch_up();
	assert_int_equal(times_closed(), 0);
	close(fd);
	for (int i = 0; i < TIMEOUT_MS && !times_closed(); i++)
		usleep(1000);
	worker_catch_up();
	assert_int_equal(times_closed(), 1);
	assert_int_equal(stream_close(&stream, 0), 0);
	assert_int_equal(stream.dropped_bytes, unread);
}

static void test_socket_client_hung_up_unnoticed(void **state)
{
	static char bytes[4 * STREAM_INPUT_BYTES];
	int first, second;

	(void)state;
	assert_int_equal(open_path(socket_path()), 0);
	first = client("socket");
	wait_for(&connections, 1);
	assert_int_equal(write(first, bytes, sizeof(bytes)), sizeof(bytes));
	wait_for(&inputs, 1);
	close(first); /* nothing is read, nothing is written: only the next client tells */
	second = client("socket");
	wait_for(&connections, 3);
	put("you are next", 12);
	assert_output(second, "you are next");
	close(second);
	stream_close(&stream, 0);
}

/* What is said between the two: stderr goes to a pipe meanwhile. */
static struct {
	int saved, pipes[2];
} heard;

static void listen_to_log(void)
{
	heard.saved = dup(STDERR_FILENO);
	assert_int_equal(pipe2(heard.pipes, O_CLOEXEC | O_NONBLOCK), 0);
	dup2(heard.pipes[1], STDERR_FILENO);
}

static unsigned lines_heard(void)
{
	static char text[UNIT_PIPE_BYTES];
	ssize_t length = read(heard.pipes[0], text, sizeof(text));
	unsigned lines = 0;

	dup2(heard.saved, STDERR_FILENO);
	close(heard.saved);
	close(heard.pipes[0]);
	close(heard.pipes[1]);
	for (ssize_t i = 0; i < length; i++)
		lines += text[i] == '\n';
	return lines;
}

/* With output unread its end is a reset connection: no more worth a word than any other end. */
static void test_socket_clients_that_do_not_read(void **state)
{
	struct timespec begin, end;
	unsigned seen = 0;

	(void)state;
	assert_int_equal(open_path(socket_path()), 0);
	listen_to_log();
	for (int i = 0; i < 30; i++) {
		int fd = client("socket");

		wait_for(&connections, ++seen);
		put("busy", 4);
		assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, TIMEOUT_MS),
				 1);
		close(fd);
		wait_for(&connections, ++seen);
	}
	assert_int_equal(lines_heard(), 0);
	listen_to_log();
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < 60; i++) {
		int fd;

		tamper_with(IORING_OP_READ, -EIO, 1);
		fd = client("socket");
		wait_for(&connections, seen += 2); /* of such an error a word, but not each time */
		close(fd);
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_in_range(lines_heard(), 1,
			(LOG_LIMIT_PER_SECOND + 1) * (unsigned)(end.tv_sec - begin.tv_sec + 1));
	stream_close(&stream, 0);
}

/* One that waits is not forgotten, though it does not come a second time; a word is enough. */
static void test_socket_client_that_the_host_has_no_room_for(void **state)
{
	static const int errors[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM };
	unsigned seen = 0;
	int fd;

	(void)state;
	assert_int_equal(open_path(socket_path()), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		listen_to_log();
		refuse_clients(errors[i], 4);
		fd = client("socket");
		wait_for(&connections, ++seen);
		assert_int_equal(lines_heard(), 1);
		put("at last", 7);
		assert_output(fd, "at last");
		close(fd);
		wait_for(&connections, ++seen);
	}
	/* An end does not wait for it, and is the end of trying. */
	listen_to_log();
	refuse_clients(EMFILE, UINT_MAX);
	fd = client("socket");
	wait_for(&refusal.done, 2);
	assert_int_equal(stream_close(&stream, FLUSH_NS), 0);
	assert_int_equal(lines_heard(), 1);
	assert_null(stream.listener.again.wait);
	refuse_clients(0, 0);
	close(fd);
}

static void test_socket_file_left_behind(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path_of("socket"));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(open_path(socket_path()), -EADDRINUSE);
	assert_int_equal(open_path(address.sun_path), -EINVAL); /* unix: is missing */
	close(fd);
	assert_int_equal(open_path(socket_path()), 0); /* whoever it was has died */
	stream_close(&stream, 0);
	/* A file is not a socket left behind. */
	fd = open(address.sun_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	close(fd);
	assert_int_equal(open_path(socket_path()), -EADDRINUSE);
	assert_int_equal(unlink(address.sun_path), 0);
}

/* ---- What storage that hangs does to the end ---- */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void close_when_late(void)
{
	int error = -ETIMEDOUT;

	for (int i = 0; i < TIMEOUT_MS && error; i++) {
		error = stream_close(&stream, 0);
		usleep(1000);
	}
	assert_int_equal(error, 0);
	assert_int_equal(stream_close(&stream, 0), 0); /* again */
}

static void test_input_that_does_not_end(void **state)
{
	struct stat status;
	int fd;

	(void)state;
	assert_int_equal(open_path(socket_path()), 0);
	tamper_hold(IORING_OP_READ, POLLIN);
	fd = client("socket");
	wait_for(&connections, 1);
	assert_int_equal(stream_close(&stream, 0), -ETIMEDOUT);
	assert_int_equal(stat(path_of("socket"), &status), -1);
	assert_int_equal(stream_close(&stream, 0), -ETIMEDOUT);
	send_text(fd, "x");
	close_when_late();
	close(fd);
}

/* A full pipe, whose next write can't be cancelled; its ends. */
static void open_holding(struct terminal *terminal, int *screen)
{
	static char bytes[4096];

	assert_int_equal(pipe2(screen, O_CLOEXEC | O_NONBLOCK), 0);
	while (write(screen[1], bytes, sizeof(bytes)) > 0)
		;
	*terminal = (struct terminal){ .input_fd = -1, .output_fd = screen[1] };
	assert_int_equal(open_terminal(terminal), 0);
	tamper_hold(IORING_OP_WRITE, POLLOUT);
}

static void drain(int *screen)
{
	static char sink[65536];

	while (read(screen[0], sink, sizeof(sink)) > 0)
		;
}

static void test_output_that_does_not_end(void **state)
{
	struct terminal terminal;
	uint64_t begun_ms;
	int screen[2];

	(void)state;
	open_holding(&terminal, screen);
	put("held", 4);
	begun_ms = now_ms();
	assert_int_equal(stream_close(&stream, FLUSH_NS / 10), -ETIMEDOUT);
	assert_in_range(now_ms() - begun_ms, 100, TIMEOUT_MS);
	assert_int_equal(stream_close(&stream, FLUSH_NS), -ETIMEDOUT); /* at once */
	drain(screen);
	close_when_late();
	close(screen[0]);
	close(screen[1]);
}

static void quit_run(struct worker_task *task)
{
	(void)task;
	worker_quit(&worker);
}

/* The same on a worker that this thread runs, as the serial port's. */
static void test_output_that_does_not_end_here(void **state)
{
	struct worker_task quit = { quit_run };
	struct terminal terminal;
	int screen[2];

	(void)state;
	assert_int_equal(worker_create(&worker, &(struct worker_config){ "io-test", 32, 8 }), 0);
	open_holding(&terminal, screen);
	stream_write(&stream, "held", 4);
	worker_post(&worker, &quit);
	worker_run(&worker);
	assert_int_equal(stream_close(&stream, FLUSH_NS / 10), -ETIMEDOUT);
	drain(screen);
	worker_run(&worker); /* till that is through */
	assert_int_equal(stream_close(&stream, 0), 0);
	worker_destroy(&worker);
	close(screen[0]);
	close(screen[1]);
}

static void test_input_flood_stays_with_its_sender(void **state)
{
	int keyboard[2], screen[2];
	struct terminal terminal = { 0 };
	char bytes[4096] = "";
	size_t sent = 0, received = 0;

	(void)state;
	assert_int_equal(pipe2(keyboard, O_CLOEXEC), 0);
	assert_int_equal(pipe2(screen, O_CLOEXEC), 0);
	assert_int_equal(fcntl(keyboard[1], F_SETPIPE_SZ, UNIT_PIPE_BYTES), UNIT_PIPE_BYTES);
	terminal.input_fd = keyboard[0];
	terminal.output_fd = screen[1];
	assert_int_equal(open_terminal(&terminal), 0);
	fcntl(keyboard[1], F_SETFL, O_NONBLOCK);
	for (int idle = 0; idle < 50;) {
		ssize_t n = write(keyboard[1], bytes, sizeof(bytes));

		if (n > 0)
			sent += (size_t)n;
		else
			idle++;
		usleep(1000);
	}
	assert_int_equal(stream_input_bytes(&stream), STREAM_INPUT_BYTES);
	assert_true(sent <= STREAM_INPUT_BYTES + UNIT_PIPE_BYTES);
	assert_true(inputs <= 4); /* and nobody spins */
	close(keyboard[1]);
	for (int i = 0; i < TIMEOUT_MS && received < sent; i++) {
		size_t n = stream_read(&stream, bytes, 700);

		received += n;
		if (!n)
			usleep(1000);
	}
	assert_int_equal(received, sent);
	stream_close(&stream, 0);
	close(keyboard[0]);
	close(screen[0]);
	close(screen[1]);
}

/* Somebody who shares the descriptors has set O_NONBLOCK: -EAGAIN, both ways. */
static void test_descriptors_that_do_not_block(void **state)
{
	static char bytes[STREAM_OUTPUT_BYTES], sink[65536];
	int keyboard[2], screen[2];
	struct terminal terminal = { 0 };
	size_t written = 0, got = 0;

	(void)state;
	assert_int_equal(pipe2(keyboard, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(pipe2(screen, O_CLOEXEC | O_NONBLOCK), 0);
	terminal.input_fd = keyboard[0];
	terminal.output_fd = screen[1];
	assert_int_equal(open_terminal(&terminal), 0);
	usleep(20000);
	send_text(keyboard[1], "first");
	assert_input("first");
	usleep(20000);
	send_text(keyboard[1], "second");
	assert_input("second");
	for (int i = 0; i < 40; i++) {
		written += put(bytes, sizeof(bytes));
		usleep(1000);
	}
	assert_false(has_room(100));
	while (got < written) {
		struct pollfd poll_fd = { .fd = screen[0], .events = POLLIN };

		assert_int_equal(poll(&poll_fd, 1, TIMEOUT_MS), 1);
		got += (size_t)read(screen[0], sink, sizeof(sink));
	}
	wait_for(&rooms, 1);
	assert_true(has_room(100));
	stream_close(&stream, FLUSH_NS);
	for (int i = 0; i < 2; i++) {
		close(keyboard[i]);
		close(screen[i]);
	}
}

/* Of a terminal that does not block, older kernels say so at once. */
static void test_try_again(void **state)
{
	int keyboard[2], screen[2];
	struct terminal terminal = { 0 };

	(void)state;
	assert_int_equal(pipe2(keyboard, O_CLOEXEC), 0);
	assert_int_equal(pipe2(screen, O_CLOEXEC), 0);
	terminal.input_fd = keyboard[0];
	terminal.output_fd = screen[1];
	send_text(keyboard[1], "typed");
	tamper_with(IORING_OP_READ, -EAGAIN, 3);
	assert_int_equal(open_terminal(&terminal), 0);
	assert_input("typed");
	assert_int_equal(tamper.times, 0);
	tamper_with(IORING_OP_WRITE, -EAGAIN, 3);
	put("shown", 5);
	assert_output(screen[0], "shown");
	assert_int_equal(tamper.times, 0);
	tamper_with(IORING_OP_WRITE, -EINTR, 3);
	put("shown", 5);
	assert_output(screen[0], "shown");
	assert_int_equal(tamper.times, 0);
	stream_close(&stream, FLUSH_NS);
	for (int i = 0; i < 2; i++) {
		close(keyboard[i]);
		close(screen[i]);
	}
}

static void test_regular_file_on_stdin(void **state)
{
	const char *path = path_of("script");
	struct terminal terminal = { .output_fd = -1 };

	(void)state;
	terminal.input_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	send_text(terminal.input_fd, "from a file");
	assert_int_equal(lseek(terminal.input_fd, 0, SEEK_SET), 0);
	assert_int_equal(open_terminal(&terminal), 0);
	assert_input("from a file");
	assert_int_equal(put("nobody sees it", 14), 14);
	assert_true(has_room(STREAM_OUTPUT_BYTES));
	stream_close(&stream, FLUSH_NS);
	close(terminal.input_fd);
	unlink(path);
}

static void test_input_that_fails(void **state)
{
	struct terminal terminal = { .input_fd = open(directory, O_RDONLY | O_CLOEXEC),
				     .output_fd = -1 };

	(void)state;
	assert_int_equal(open_terminal(&terminal), 0); /* EISDIR: said, and that is all */
	usleep(20000);
	assert_int_equal(stream_input_bytes(&stream), 0);
	stream_close(&stream, FLUSH_NS);
	close(terminal.input_fd);
}

/* ---- A terminal that is in front of us, behind us, and gone ---- */

static int open_tty(int *slave)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char name[64];

	assert_true(master >= 0);
	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
	*slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(*slave >= 0);
	return master;
}

static void expect(bool condition, int code)
{
	if (!condition)
		_exit(code);
}

static size_t read_input(char *bytes, size_t length, int timeout_ms)
{
	size_t count = 0;

	for (int i = 0; i < timeout_ms && count < length; i++) {
		count += stream_read(&stream, bytes + count, length - count);
		usleep(1000);
	}
	return count;
}

/* In a group of its own, behind the leader: what is typed is not for us until we are in front. */
static void background_machine(int to_leader, int from_leader)
{
	struct terminal terminal;
	char bytes[64];

	setpgid(0, 0);
	setup(NULL);
	terminal_init(&terminal, NULL);
	expect(!open_terminal(&terminal) && !terminal_set_raw(&terminal), 2);
	expect(write(to_leader, "b", 1) == 1 && read(from_leader, bytes, 1) == 1, 3);
	/* The leader has typed a line and read it itself. */
	expect(read_input(bytes, sizeof(bytes), 100) == 0, 4);
	expect(write(to_leader, "n", 1) == 1 && read(from_leader, bytes, 1) == 1, 5);
	/* In front now. The next line wakes the reader. */
	expect(read_input(bytes, 5, TIMEOUT_MS) == 5 && !memcmp(bytes, "ours\n", 5), 6);
	expect(read_input(bytes, 3, TIMEOUT_MS) == 3 && !memcmp(bytes, "raw", 3), 7);
	stream_close(&stream, 0);
	teardown(NULL);
	exit(0);
}

static void play_leader(int slave, int master)
{
	int to_leader[2], from_leader[2], status;
	char line[64];
	pid_t child;

	expect(setsid() > 0 && !ioctl(slave, TIOCSCTTY, 0) && dup2(slave, 0) == 0 &&
	       dup2(slave, 1) == 1, 10);
	signal(SIGTTOU, SIG_IGN);
	expect(!pipe(to_leader) && !pipe(from_leader), 11);
	child = fork();
	if (!child) {
		signal(SIGTTOU, SIG_DFL);
		background_machine(to_leader[1], from_leader[0]);
	}
	setpgid(child, child);
	expect(read(to_leader[0], line, 1) == 1, 12);
	expect(write(master, "mine\n", 5) == 5, 13);
	expect(read(0, line, sizeof(line)) == 5 && !memcmp(line, "mine\n", 5), 14);
	expect(write(from_leader[1], "x", 1) == 1 && read(to_leader[0], line, 1) == 1, 15);
	expect(!tcsetpgrp(0, child) && write(from_leader[1], "x", 1) == 1, 16);
	expect(write(master, "ours\n", 5) == 5, 17);
	for (int i = 0; i < TIMEOUT_MS; i++) {
		struct termios modes;

		if (!tcgetattr(slave, &modes) && !(modes.c_lflag & ICANON))
			break;
		usleep(1000);
	}
	expect(write(master, "raw", 3) == 3, 18);
	waitpid(child, &status, 0);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 19);
}

static void test_background(void **state)
{
	int slave, master = open_tty(&slave), status;
	pid_t child;

	(void)state;
	child = fork();
	if (!child)
		play_leader(slave, master);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(slave);
	close(master);
}

static void test_terminal_that_hangs_up(void **state)
{
	int slave, master = open_tty(&slave), before;
	struct terminal terminal;

	(void)state;
	terminal = (struct terminal){ .input_fd = slave, .output_fd = slave, .escapes = true };
	assert_int_equal(open_terminal(&terminal), 0);
	send_text(master, "x\n");
	assert_input("x\n");
	close(master);
	usleep(50000);
	before = (int)inputs;
	put("nobody", 6);
	usleep(50000);
	assert_int_equal(inputs, before);
	stream_close(&stream, FLUSH_NS);
	close(slave);
}

static void test_worker_that_never_ran(void **state)
{
	(void)state;
	assert_int_equal(worker_create(&worker, &(struct worker_config){ "io-test", 32, 8 }), 0);
	assert_int_equal(open_path(path_of("log")), 0);
	assert_int_equal(stream_write(&stream, "lost", 4), 4);
	stream_close(&stream, FLUSH_NS);
	assert_int_equal(open_path(socket_path()), 0);
	stream_close(&stream, FLUSH_NS);
	worker_destroy(&worker);
	unlink(path_of("log"));
}

static void test_no_file_slots(void **state)
{
	(void)state;
	assert_int_equal(worker_create(&worker, &(struct worker_config){ "io-test", 32, 0 }), 0);
	assert_true(fail_is_host(open_path("/dev/null")));
	assert_true(fail_is_host(open_path(socket_path())));
	worker_destroy(&worker);
}

static int group_setup(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int group_teardown(void **state)
{
	(void)state;
	return rmdir(directory);
}

#define ON_WORKER(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_WORKER(test_file_is_appended_to),
		ON_WORKER(test_parts_are_written_at_once),
		ON_WORKER(test_file_in_memory_is_written_at_once),
		ON_WORKER(test_parts_keep_their_order),
		ON_WORKER(test_file_gives_no_input),
		ON_WORKER(test_paths_that_can_not_be),
		ON_WORKER(test_fifo_waits_for_its_reader),
		ON_WORKER(test_character_device),
		ON_WORKER(test_pty),
		ON_WORKER(test_pty_that_nobody_reads),
		ON_WORKER(test_socket_clients_come_and_go),
		ON_WORKER(test_socket_keeps_the_last_output),
		ON_WORKER(test_socket_client_that_vanishes),
		ON_WORKER(test_socket_client_that_vanishes_at_the_end),
		ON_WORKER(test_socket_client_hung_up_unnoticed),
		ON_WORKER(test_socket_clients_that_do_not_read),
		ON_WORKER(test_socket_client_that_the_host_has_no_room_for),
		ON_WORKER(test_socket_file_left_behind),
		ON_WORKER(test_input_that_does_not_end),
		ON_WORKER(test_output_that_does_not_end),
		cmocka_unit_test(test_output_that_does_not_end_here),
		ON_WORKER(test_input_flood_stays_with_its_sender),
		ON_WORKER(test_descriptors_that_do_not_block),
		ON_WORKER(test_try_again),
		ON_WORKER(test_regular_file_on_stdin),
		ON_WORKER(test_input_that_fails),
		ON_WORKER(test_terminal_that_hangs_up),
		cmocka_unit_test(test_background),
		cmocka_unit_test(test_worker_that_never_ran),
		cmocka_unit_test(test_no_file_slots),
	};

	/* Started without a standard input, a test's terminal would have its number. */
	if (fcntl(0, F_GETFD) < 0)
		open("/dev/null", O_RDWR);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
