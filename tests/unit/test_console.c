// SPDX-License-Identifier: MIT
/* The console device, driven through its queues, with pipes, ptys and sockets behind it. */
#include "tests/unit/unit.h"
#include "tests/unit/driver.h"

#include <fcntl.h>
#include <linux/virtio_console.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "core/stream.h"
#include "core/terminal.h"
#include "virtio/console.h"

#define RECEIVE 0
#define TRANSMIT 1
#define CONTROL_RECEIVE 2
#define CONTROL_TRANSMIT 3
#define PORT_RECEIVE(port) ((port) ? 2 * (port) + 2 : 0)
#define PORT_TRANSMIT(port) (PORT_RECEIVE(port) + 1)
#define IDLE_US 200000

static char directory[] = "/tmp/test_console.XXXXXX";
static struct console_options options;
static struct request_line requests;
static struct terminal terminal;
static int type_fd, screen_fd; /* what the user types into and reads from */

/* Ports are the machine's to add: stand in for it. */
static int create_with_ports(const void *text, const struct virtio_deps *deps,
			     struct virtio_device **device)
{
	(void)text;
	return virtio_console.create(&options, deps, device);
}

static struct driver *create(uint64_t refused)
{
	static struct virtio_type type;
	struct driver_config config = { .type = &type, .refused = refused };

	type = virtio_console;
	type.create = create_with_ports;
	config.terminal = options.terminal ? &terminal : NULL;
	return driver_create(&config);
}

static void add_port(const char *name, const char *path, enum console_port_type type)
{
	options.ports[options.port_count++] = (struct console_port_options){
		.name = (char *)name, .path = (char *)path, .type = type };
}

static void give_terminal(void)
{
	int keyboard[2], screen[2];

	assert_int_equal(pipe2(keyboard, O_CLOEXEC), 0);
	assert_int_equal(pipe2(screen, O_CLOEXEC), 0);
	assert_int_equal(fcntl(keyboard[1], F_SETPIPE_SZ, UNIT_PIPE_BYTES), UNIT_PIPE_BYTES);
	assert_int_equal(fcntl(screen[1], F_SETPIPE_SZ, UNIT_PIPE_BYTES), UNIT_PIPE_BYTES);
	type_fd = keyboard[1];
	screen_fd = screen[0];
	terminal = (struct terminal){ .input_fd = keyboard[0], .output_fd = screen[1],
				      .requests = &requests };
	options.terminal = true;
}

static int setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	options = (struct console_options){ 0 };
	type_fd = screen_fd = terminal.input_fd = terminal.output_fd = -1;
	return request_line_init(&requests);
}

static void take_terminal(void)
{
	fd_close(&type_fd);
	fd_close(&screen_fd);
	fd_close(&terminal.output_fd);
	fd_close(&terminal.input_fd);
}

static int teardown(void **state)
{
	(void)state;
	take_terminal();
	request_line_destroy(&requests);
	return 0;
}

static void type(const char *text)
{
	assert_int_equal(write(type_fd, text, strlen(text)), strlen(text));
}

static void assert_shown(int fd, const void *text, size_t length)
{
	char *got = malloc(length + 1);
	size_t count = 0;

	while (count < length) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		ssize_t n;

		assert_int_equal(poll(&poll_fd, 1, DRIVER_TIMEOUT_MS), 1);
		n = read(fd, got + count, length - count);
		assert_true(n > 0);
		count += (size_t)n;
	}
	assert_memory_equal(got, text, length);
	free(got);
}

static void screen_shows(const char *text)
{
	assert_shown(screen_fd, text, strlen(text));
}

static void put(struct driver *driver, unsigned queue, const void *data, uint32_t length)
{
	struct driver_part part = driver_out(driver, data, length);

	assert_int_equal(driver_request(&driver->queues[queue], &part, 1), 0);
}

static void print(struct driver *driver, unsigned port, const char *text)
{
	put(driver, PORT_TRANSMIT(port), text, (uint32_t)strlen(text));
}

/* Offers buffers of `size` bytes until `text` has come. */
static void assert_typed(struct driver *driver, unsigned port, const char *text, uint32_t size)
{
	size_t count = 0, length = strlen(text);

	while (count < length) {
		struct driver_part part = driver_in(driver, size);
		uint32_t n = driver_request(&driver->queues[PORT_RECEIVE(port)], &part, 1);

		assert_in_range(n, 1, min_u64(size, length - count));
		assert_memory_equal(driver_at(driver, part.gpa), text + count, n);
		count += n;
	}
}

static struct virtio_console_config config_of(struct driver *driver)
{
	struct virtio_console_config config;
	uint64_t low = virtio_config_read(driver->device, 0, 8);
	uint64_t high = virtio_config_read(driver->device, 8, 4);

	memcpy(&config, &low, 8);
	memcpy((char *)&config + 8, &high, 4);
	return config;
}

/* ---- One port ---- */

static void test_plain_console(void **state)
{
	struct driver *driver;

	(void)state;
	give_terminal();
	driver = create(0);
	assert_int_equal(driver->device->queue_count, 2);
	assert_false(driver->device->offered & BIT64(VIRTIO_CONSOLE_F_MULTIPORT));
	assert_false(driver->device->offered & BIT64(VIRTIO_CONSOLE_F_SIZE)); /* no tty */
	driver_begin(driver);
	print(driver, 0, "Debian GNU/Linux 12 debian hvc0\r\n");
	screen_shows("Debian GNU/Linux 12 debian hvc0\r\n");
	type("root\r");
	assert_typed(driver, 0, "root\r", 4096);
	driver_destroy(driver);
}

static void test_output_in_any_framing(void **state)
{
	struct driver *driver;
	struct driver_part parts[5];
	char one = 'a';

	(void)state;
	give_terminal();
	driver = create(0);
	driver_begin(driver);
	for (unsigned i = 0; i < 4; i++, one++)
		parts[i] = driver_out(driver, &one, 1);
	parts[4] = driver_in(driver, 8); /* nothing is written into it */
	assert_int_equal(driver_request(&driver->queues[TRANSMIT], parts, 5), 0);
	screen_shows("abcd");
	/* A chain that has nothing to read. */
	assert_int_equal(driver_request(&driver->queues[TRANSMIT], parts + 4, 1), 0);
	/* A buffer that can't be written. */
	type("x");
	assert_int_equal(driver_request(&driver->queues[RECEIVE], parts, 1), 0);
	assert_typed(driver, 0, "x", 1);
	driver_destroy(driver);
}

static void test_input_is_split_not_lost(void **state)
{
	struct driver *driver;
	char text[1001];

	(void)state;
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = (char)('!' + i % 90);
	text[1000] = '\0';
	give_terminal();
	driver = create(0);
	driver_begin(driver);
	type(text);
	assert_typed(driver, 0, text, 7);
	driver_destroy(driver);
}

/* The host may have to zero a page for each: the rest comes in the next buffer. */
static void test_input_goes_to_few_parts(void **state)
{
	struct driver *driver;
	struct driver_part parts[6];

	(void)state;
	give_terminal();
	driver = create(0);
	driver_begin(driver);
	type("abcdefgh");
	for (char next = 'a'; next < 'h'; next += 4) {
		for (unsigned i = 0; i < 6; i++)
			parts[i] = driver_in(driver, 1);
		assert_int_equal(driver_request(&driver->queues[0], parts, 6), 4);
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(*(char *)driver_at(driver, parts[i].gpa), next + (char)i);
	}
	driver_destroy(driver);
}

/* No thread spins: all of them take a small part of the time that passes. */
static void assert_idle(void)
{
	struct timespec before, after;
	int64_t taken_us;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	usleep(IDLE_US);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	taken_us = (after.tv_sec - before.tv_sec) * 1000000 +
		   (after.tv_nsec - before.tv_nsec) / 1000;
	assert_in_range(taken_us, 0, IDLE_US / 10);
}

static void test_input_without_buffers_waits(void **state)
{
	struct driver *driver;
	static char bytes[4096];
	size_t sent = 0, received = 0;

	(void)state;
	give_terminal();
	driver = create(0);
	driver_begin(driver);
	fcntl(type_fd, F_SETFL, O_NONBLOCK);
	for (int idle = 0; idle < 20; usleep(1000)) {
		ssize_t n = write(type_fd, bytes, sizeof(bytes));

		sent += n > 0 ? (size_t)n : 0;
		idle += n <= 0;
	}
	assert_in_range(sent, UNIT_PIPE_BYTES, UNIT_PIPE_BYTES + 2 * STREAM_INPUT_BYTES);
	assert_idle();
	while (received < sent) {
		uint64_t mark = driver_mark(driver);
		struct driver_part part = driver_in(driver, 4096);

		received += driver_request(&driver->queues[RECEIVE], &part, 1);
		driver_rewind(driver, mark);
	}
	assert_int_equal(received, sent);
	driver_destroy(driver);
}

static void test_end_of_input_is_not_the_end(void **state)
{
	struct driver *driver;

	(void)state;
	give_terminal();
	type("last");
	fd_close(&type_fd);
	driver = create(0);
	driver_begin(driver);
	assert_typed(driver, 0, "last", 64);
	print(driver, 0, "alive");
	screen_shows("alive");
	driver_destroy(driver);
}

static void test_closed_output_is_dropped(void **state)
{
	struct driver *driver;
	char bytes[4096] = "";

	(void)state;
	give_terminal();
	driver = create(0);
	driver_begin(driver);
	fd_close(&screen_fd);
	for (int i = 0; i < 100; i++) {
		uint64_t mark = driver_mark(driver);

		put(driver, TRANSMIT, bytes, sizeof(bytes));
		driver_rewind(driver, mark);
	}
	type("input lives");
	assert_typed(driver, 0, "input lives", 64);
	driver_destroy(driver);
}

static void test_last_output_is_flushed(void **state)
{
	struct driver *driver;
	static char bytes[50000];

	(void)state;
	give_terminal();
	memset(bytes, 'z', sizeof(bytes));
	driver = create(0);
	driver_begin(driver);
	put(driver, TRANSMIT, bytes, sizeof(bytes));
	driver_destroy(driver); /* the guest has powered off */
	assert_shown(screen_fd, bytes, sizeof(bytes));
}

/* The user's keys count before the guest has a driver, and when it never gets one. */
static void test_escape_key_needs_no_guest(void **state)
{
	struct driver *driver;
	struct pollfd poll_fd = { .events = POLLIN };

	(void)state;
	give_terminal();
	terminal.escapes = true;
	driver = create(0);
	type("not yet\1x");
	poll_fd.fd = requests.event_fd;
	assert_int_equal(poll(&poll_fd, 1, DRIVER_TIMEOUT_MS), 1);
	assert_int_equal(request_take(&requests), REQUEST_QUIT);
	type("\1\1");
	driver_begin(driver);
	assert_typed(driver, 0, "not yet\1", 64);
	driver_destroy(driver);
}

/* ---- Window size and emergency writes ---- */

static void set_window(int master, unsigned short columns, unsigned short rows)
{
	struct winsize window = { .ws_col = columns, .ws_row = rows };

	assert_int_equal(ioctl(master, TIOCSWINSZ, &window), 0);
}

static int give_tty(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char name[64];

	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
	terminal = (struct terminal){ .input_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC),
				      .requests = &requests };
	terminal.output_fd = dup(terminal.input_fd);
	options.terminal = true;
	set_window(master, 80, 25);
	return master;
}

static void test_window_size(void **state)
{
	int master = give_tty();
	struct driver *driver = create(0);
	uint32_t generation;

	(void)state;
	assert_true(driver->device->offered & BIT64(VIRTIO_CONSOLE_F_SIZE));
	assert_int_equal(le16toh(config_of(driver).cols), 80);
	assert_int_equal(le16toh(config_of(driver).rows), 25);
	driver_begin(driver);
	generation = virtio_config_generation(driver->device);
	event_fd_drain(driver->device->config_fd);
	set_window(master, 132, 43);
	terminal_window_changed(&terminal);
	assert_true(event_fd_pending(driver->device->config_fd));
	assert_int_not_equal(virtio_config_generation(driver->device), generation);
	assert_int_equal(le16toh(config_of(driver).cols), 132);
	assert_int_equal(le16toh(config_of(driver).rows), 43);
	/* The driver can't change it. */
	virtio_config_write(driver->device, 0, 4, 0);
	assert_int_equal(le16toh(config_of(driver).cols), 132);
	driver_destroy(driver);
	assert_null(terminal.resized);
	close(master);
}

static void test_emergency_write(void **state)
{
	size_t offset = offsetof(struct virtio_console_config, emerg_wr);
	struct driver *driver;
	char got[1024];
	ssize_t n;

	(void)state;
	give_terminal();
	driver = create(0);
	assert_true(driver->device->offered & BIT64(VIRTIO_CONSOLE_F_EMERG_WRITE));
	/* Nothing is set up. Only the low byte counts. */
	virtio_config_write(driver->device, offset, 4, 0x12345600 | 'p');
	virtio_config_write(driver->device, offset, 1, 'a');
	virtio_config_write(driver->device, offset + 1, 1, '-');
	virtio_config_write(driver->device, 0, 8, '-');
	virtio_config_write(driver->device, offset, 2, 'n');
	screen_shows("pan");
	/* A storm is cut short, and what comes is whole. */
	for (int i = 0; i < 100000; i++)
		virtio_config_write(driver->device, offset, 4, 's');
	driver_begin(driver);
	print(driver, 0, "end");
	fcntl(screen_fd, F_SETFL, O_NONBLOCK);
	for (bool ended = false; !ended;) {
		struct pollfd poll_fd = { .fd = screen_fd, .events = POLLIN };

		assert_int_equal(poll(&poll_fd, 1, DRIVER_TIMEOUT_MS), 1);
		n = read(screen_fd, got, sizeof(got));
		for (ssize_t i = 0; i < n; i++) {
			assert_non_null(strchr("send", got[i]));
			ended |= got[i] == 'd';
		}
	}
	driver_reset(driver);
	assert_int_equal(config_of(driver).emerg_wr, 0);
	driver_destroy(driver);
}

/* ---- A host that does not read ---- */

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double held_since; /* by fill(): it is not earlier than this that a chain waits */

/* Writes chains until one does not come back within 100 ms; returns the bytes that were taken. */
static size_t fill(struct driver *driver, unsigned queue, const char *bytes, uint32_t length)
{
	size_t taken = 0;
	uint16_t head;
	uint32_t written;

	for (;;) {
		struct driver_part part = driver_out(driver, bytes, length);

		held_since = now();
		assert_true(driver_add(&driver->queues[queue], &part, 1) >= 0);
		driver_publish(&driver->queues[queue]);
		driver_kick(&driver->queues[queue]);
		if (!driver_wait(&driver->queues[queue], &head, &written, 100))
			return taken;
		taken += length;
		assert_true(taken < 16 * MIB);
	}
}

static void test_console_does_not_stop_its_guest(void **state)
{
	static char bytes[1024];
	struct driver *driver;
	uint16_t head;
	uint32_t written;
	double start;

	(void)state;
	give_terminal();
	driver = create(0);
	driver_begin(driver);
	for (unsigned i = 0; i < 64; i++)
		put(driver, TRANSMIT, bytes, sizeof(bytes));
	fill(driver, TRANSMIT, bytes, sizeof(bytes));
	/* Held for a second, then dropped, as is all that follows. */
	assert_true(driver_wait(&driver->queues[TRANSMIT], &head, &written, DRIVER_TIMEOUT_MS));
	start = now();
	for (int i = 0; i < 100; i++)
		put(driver, TRANSMIT, bytes, sizeof(bytes));
	assert_true(now() - start < 10);
	/* Until the host reads again. */
	fcntl(screen_fd, F_SETFL, O_NONBLOCK);
	for (int idle = 0; idle < 20; usleep(1000)) {
		ssize_t n = read(screen_fd, bytes, sizeof(bytes));

		idle = n > 0 ? 0 : idle + 1;
	}
	print(driver, 0, "back");
	screen_shows("back");
	driver_destroy(driver);
}

/*
 * Reads a page each 300 ms, as a pipe has room when a page of it is empty; then the rest. False if
 * the host was slower than that by itself: ringvm may then take it for one that does not read, and
 * drop the rest.
 */
static bool read_slowly(size_t bytes)
{
	static char page[65536];
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE), received = 0;
	double last = held_since;

	while (received < bytes) {
		struct pollfd screen = { .fd = screen_fd, .events = POLLIN };
		ssize_t n;

		if (received < 3 * page_bytes)
			usleep(300000);
		if (now() - last > 0.8 || poll(&screen, 1, 3000) != 1)
			return false;
		last = now();
		n = read(screen_fd, page, page_bytes);
		assert_true(n > 0);
		received += (size_t)n;
	}
	return true;
}

/* The chain that did not fit is held for longer than a stall takes. False: not judged. */
static bool slow_host_loses_nothing(void)
{
	static char chunk[4096];
	struct driver *driver;
	size_t sent;
	uint16_t head;
	uint32_t written;
	bool judged;

	give_terminal();
	driver = create(0);
	driver_begin(driver);
	sent = fill(driver, TRANSMIT, chunk, sizeof(chunk)) + sizeof(chunk);
	judged = read_slowly(sent);
	if (judged)
		assert_true(driver_wait(&driver->queues[TRANSMIT], &head, &written,
					DRIVER_TIMEOUT_MS));
	driver_destroy(driver);
	take_terminal();
	return judged;
}

static void test_slow_host_loses_nothing(void **state)
{
	unsigned tries = 20;

	(void)state;
	while (!slow_host_loses_nothing())
		assert_true(--tries);
}

static const char *path_of(const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void open_ports(struct driver *driver);

static void test_data_port_waits(void **state)
{
	static uint8_t big[300000 + 16 * 65536];
	uint32_t bytes = 300000 + 16 * (uint32_t)sysconf(_SC_PAGESIZE);
	struct driver *driver;
	struct driver_part part;
	char path[64];
	uint16_t head;
	uint32_t written;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 13 + i / 256);
	snprintf(path, sizeof(path), "%s", path_of("fifo"));
	assert_int_equal(mkfifo(path, 0600), 0);
	add_port("data", path, CONSOLE_PORT_DATA);
	driver = create(0);
	driver_begin(driver);
	open_ports(driver);
	/* One chain larger than all buffers, 16 pages of a FIFO among them; nobody reads for longer than a console would wait. */
	part = driver_out(driver, big, bytes);
	driver_add(&driver->queues[TRANSMIT], &part, 1);
	driver_publish(&driver->queues[TRANSMIT]);
	driver_kick(&driver->queues[TRANSMIT]);
	assert_false(driver_wait(&driver->queues[TRANSMIT], &head, &written, 1500));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_shown(fd, big, bytes);
	assert_true(driver_wait(&driver->queues[TRANSMIT], &head, &written, DRIVER_TIMEOUT_MS));
	driver_destroy(driver);
	close(fd);
	unlink(path);
}

/* However many the guest has filled: its end takes the time of one, a second. */
static void test_unread_ports_end_together(void **state)
{
	static uint8_t big[60000];
	struct timespec begin, end;
	struct driver *driver;

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		add_port(NULL, "pty", CONSOLE_PORT_CONSOLE);
	driver = create(0);
	driver_begin(driver);
	for (unsigned i = 0; i < 6; i++)
		put(driver, PORT_TRANSMIT(i), big, sizeof(big));
	clock_gettime(CLOCK_MONOTONIC, &begin);
	driver_destroy(driver);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_in_range(end.tv_sec - begin.tv_sec, 0, 3);
}

static void test_reset_with_output_held_back(void **state)
{
	static char bytes[4096];
	struct driver *driver;
	struct driver_part part;

	(void)state;
	give_terminal();
	driver = create(0);
	for (int i = 0; i < 3; i++) {
		driver_begin(driver);
		fill(driver, TRANSMIT, bytes, sizeof(bytes));
		driver_reset(driver); /* does not wait for the host */
	}
	/* And with a chain that was taken in part. */
	driver_begin(driver);
	part = driver_in(driver, 200000);
	part.writable = false;
	driver_add(&driver->queues[TRANSMIT], &part, 1);
	driver_publish(&driver->queues[TRANSMIT]);
	driver_kick(&driver->queues[TRANSMIT]);
	usleep(20000);
	driver_reset(driver);
	driver_destroy(driver);
}

static void test_pause_loses_nothing(void **state)
{
	static char bytes[4096];
	struct driver *driver;
	size_t sent, received = 0;
	uint16_t head;
	uint32_t written;

	(void)state;
	give_terminal();
	driver = create(0);
	driver_begin(driver);
	sent = fill(driver, TRANSMIT, bytes, sizeof(bytes)) + sizeof(bytes);
	assert_int_equal(virtio_device_pause(driver->device, DRIVER_TIMEOUT_MS), 0);
	type("while paused");
	usleep(20000);
	virtio_device_resume(driver->device);
	while (received < sent) {
		ssize_t n = read(screen_fd, bytes, sizeof(bytes));

		assert_true(n > 0);
		received += (size_t)n;
	}
	assert_int_equal(received, sent);
	assert_true(driver_wait(&driver->queues[TRANSMIT], &head, &written, DRIVER_TIMEOUT_MS));
	assert_typed(driver, 0, "while paused", 64);
	driver_destroy(driver);
}

/* ---- Ports ---- */

struct message {
	struct virtio_console_control control;
	char body[64];
	size_t body_bytes;
};

static void tell(struct driver *driver, uint32_t id, uint16_t event, uint16_t value)
{
	struct virtio_console_control control = { htole32(id), htole16(event), htole16(value) };

	put(driver, CONTROL_TRANSMIT, &control, sizeof(control));
}

/* The next message; false if none comes at once. */
static bool heard_in(struct driver *driver, struct message *message, uint32_t size, int timeout_ms)
{
	static struct driver_part offered;
	struct driver_queue *queue = &driver->queues[CONTROL_RECEIVE];
	uint16_t head;
	uint32_t written;

	if (!offered.bytes) {
		offered = driver_in(driver, size);
		driver_add(queue, &offered, 1);
		driver_publish(queue);
		driver_kick(queue);
	}
	if (!driver_wait(queue, &head, &written, timeout_ms)) {
		if (!timeout_ms)
			offered.bytes = 0;
		return false;
	}
	memset(message, 0, sizeof(*message));
	if (written >= sizeof(message->control)) {
		memcpy(&message->control, driver_at(driver, offered.gpa), 8);
		message->body_bytes = written - 8;
		memcpy(message->body, (char *)driver_at(driver, offered.gpa) + 8, written - 8);
	}
	offered.bytes = 0;
	return true;
}

static void assert_heard(struct driver *driver, uint32_t id, uint16_t event, uint16_t value,
			 const char *body)
{
	struct message message;

	assert_true(heard_in(driver, &message, 64, DRIVER_TIMEOUT_MS));
	assert_int_equal(le32toh(message.control.id), id);
	assert_int_equal(le16toh(message.control.event), event);
	assert_int_equal(le16toh(message.control.value), value);
	assert_int_equal(message.body_bytes, body ? strlen(body) : 0);
	assert_memory_equal(message.body, body ? body : "", message.body_bytes);
}

/* Nothing more is to be said. The buffer stays with the device: the last of a test. */
static void assert_silence(struct driver *driver)
{
	struct message message;

	assert_false(heard_in(driver, &message, 64, 100));
	heard_in(driver, &message, 64, 0);
}

/* The handshake, as far as the ports of the options are concerned. */
static void open_ports(struct driver *driver)
{
	uint32_t count = le32toh(config_of(driver).max_nr_ports);

	tell(driver, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (uint32_t id = 0; id < count; id++)
		assert_heard(driver, id, VIRTIO_CONSOLE_PORT_ADD, 0, NULL);
	for (uint32_t id = 0; id < count; id++) {
		const struct console_port_options *port =
			id || !options.terminal ? &options.ports[id - options.terminal] : NULL;

		tell(driver, id, VIRTIO_CONSOLE_PORT_READY, 1);
		if (!port || port->type == CONSOLE_PORT_CONSOLE)
			assert_heard(driver, id, VIRTIO_CONSOLE_CONSOLE_PORT, 1, NULL);
		if (port && port->name)
			assert_heard(driver, id, VIRTIO_CONSOLE_PORT_NAME, 1, port->name);
		if (!port || strncmp(port->path, "unix:", 5))
			assert_heard(driver, id, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
		tell(driver, id, VIRTIO_CONSOLE_PORT_OPEN, 1);
	}
}

static void test_handshake(void **state)
{
	struct driver *driver;

	(void)state;
	give_terminal();
	add_port("com.example.log", "/dev/null", CONSOLE_PORT_DATA);
	add_port("second", "/dev/null", CONSOLE_PORT_CONSOLE);
	add_port(NULL, "/dev/null", CONSOLE_PORT_DATA);
	driver = create(0);
	assert_int_equal(driver->device->queue_count, 10);
	assert_int_equal(le32toh(config_of(driver).max_nr_ports), 4);
	for (int i = 0; i < 3; i++) {
		driver_begin(driver);
		open_ports(driver);
		/* Asked again, it has nothing to add. */
		tell(driver, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
		tell(driver, 1, VIRTIO_CONSOLE_PORT_READY, 1);
		assert_silence(driver);
		driver_reset(driver); /* all forgotten */
	}
	driver_destroy(driver);
}

static void test_messages_without_sense(void **state)
{
	struct driver *driver;
	static const uint32_t ids[] = { 0, 1, 2, 0x10000, UINT32_MAX };
	uint8_t garbage[64];

	(void)state;
	memset(garbage, 0xff, sizeof(garbage));
	give_terminal();
	add_port("p", "/dev/null", CONSOLE_PORT_DATA);
	driver = create(0);
	driver_begin(driver);
	/* Before its turn, of nobody, of no kind, too short, and far too long. */
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		tell(driver, ids[i], VIRTIO_CONSOLE_PORT_READY, 1);
		tell(driver, ids[i], VIRTIO_CONSOLE_PORT_OPEN, 1);
		for (unsigned event = 8; event < 0x10000; event <<= 1)
			tell(driver, ids[i], (uint16_t)(event | (event >> 3)), 0xffff);
	}
	tell(driver, 0, VIRTIO_CONSOLE_DEVICE_READY, 0);
	for (uint32_t length = 1; length < 8; length++)
		put(driver, CONTROL_TRANSMIT, "\0\0\0\0\0\0\1\0", length);
	put(driver, CONTROL_TRANSMIT, garbage, sizeof(garbage));
	{
		struct driver_part large = driver_in(driver, 65536);

		large.writable = false;
		assert_int_equal(driver_request(&driver->queues[CONTROL_TRANSMIT], &large, 1), 0);
		large.writable = true;
		assert_int_equal(driver_request(&driver->queues[CONTROL_TRANSMIT], &large, 1), 0);
	}
	assert_silence(driver);
	driver_reset(driver);
	driver_begin(driver);
	open_ports(driver);
	driver_destroy(driver);
}

static void test_small_control_buffers(void **state)
{
	struct driver *driver;
	struct message message;

	(void)state;
	add_port("longname", "/dev/null", CONSOLE_PORT_DATA);
	driver = create(0);
	driver_begin(driver);
	tell(driver, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	/* Too small for any message: comes back empty, and the message is not lost. */
	assert_true(heard_in(driver, &message, 7, DRIVER_TIMEOUT_MS));
	assert_int_equal(message.control.event, 0);
	assert_heard(driver, 0, VIRTIO_CONSOLE_PORT_ADD, 0, NULL);
	tell(driver, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_true(heard_in(driver, &message, 8 + 4, DRIVER_TIMEOUT_MS));
	assert_int_equal(le16toh(message.control.event), VIRTIO_CONSOLE_PORT_NAME);
	assert_int_equal(message.body_bytes, 4);
	assert_memory_equal(message.body, "long", 4);
	driver_destroy(driver);
}

/* A driver that goes on as if it had the feature. */
static void force_control_queues(struct driver *driver)
{
	struct virtio_console_control ready = { .event = htole16(VIRTIO_CONSOLE_DEVICE_READY),
						.value = htole16(1) };
	struct driver_part message = driver_out(driver, &ready, sizeof(ready));
	struct driver_part room = driver_in(driver, sizeof(ready));

	driver_begin_early(driver);
	assert_true(driver_add(&driver->queues[CONTROL_RECEIVE], &room, 1) >= 0);
	assert_true(driver_add(&driver->queues[CONTROL_TRANSMIT], &message, 1) >= 0);
	for (unsigned i = CONTROL_RECEIVE; i < driver->device->queue_count; i++) {
		driver_publish(&driver->queues[i]);
		driver_expect_absent(driver, i);
		driver_kick_always(&driver->queues[i]);
	}
}

static void test_multiport_refused(void **state)
{
	struct driver *driver;

	(void)state;
	give_terminal();
	add_port("p", "/dev/null", CONSOLE_PORT_DATA);
	driver = create(BIT64(VIRTIO_CONSOLE_F_MULTIPORT));
	driver_begin(driver);
	for (unsigned i = 0; i < driver->device->queue_count; i++)
		assert_int_equal(virtio_queue_size(driver->device, i) != 0, i < 2);
	driver_reset(driver);
	force_control_queues(driver);
	print(driver, 0, "plain");
	screen_shows("plain");
	type("typed");
	assert_typed(driver, 0, "typed", 64); /* without PORT_OPEN */
	assert_false(driver_has_used(&driver->queues[CONTROL_RECEIVE]));
	assert_false(driver_has_used(&driver->queues[CONTROL_TRANSMIT]));
	driver_reset(driver);
	assert_int_not_equal(virtio_queue_size(driver->device, 3), 0);
	driver_destroy(driver);
}

static void test_resize_of_a_port(void **state)
{
	int master = give_tty();
	struct driver *driver;
	struct message message;

	(void)state;
	add_port("p", "/dev/null", CONSOLE_PORT_DATA);
	driver = create(0);
	driver_begin(driver);
	terminal_window_changed(&terminal); /* nobody asked yet */
	tell(driver, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	assert_heard(driver, 0, VIRTIO_CONSOLE_PORT_ADD, 0, NULL);
	assert_heard(driver, 1, VIRTIO_CONSOLE_PORT_ADD, 0, NULL);
	tell(driver, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_heard(driver, 0, VIRTIO_CONSOLE_CONSOLE_PORT, 1, NULL);
	assert_true(heard_in(driver, &message, 64, DRIVER_TIMEOUT_MS));
	assert_int_equal(le16toh(message.control.event), VIRTIO_CONSOLE_RESIZE);
	assert_int_equal(message.body_bytes, 4);
	assert_memory_equal(message.body, "\120\0\31\0", 4); /* 80 columns, 25 rows */
	assert_heard(driver, 0, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
	set_window(master, 132, 43);
	terminal_window_changed(&terminal);
	assert_true(heard_in(driver, &message, 64, DRIVER_TIMEOUT_MS));
	assert_int_equal(le16toh(message.control.event), VIRTIO_CONSOLE_RESIZE);
	assert_memory_equal(message.body, "\204\0\53\0", 4);
	/* However often it changes while the driver takes no message, it is one message. */
	for (int i = 0; i < 1000; i++)
		terminal_window_changed(&terminal);
	usleep(20000);
	assert_true(heard_in(driver, &message, 64, DRIVER_TIMEOUT_MS));
	assert_silence(driver);
	driver_destroy(driver);
	close(master);
}

static int client(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void test_socket_port(void **state)
{
	struct driver *driver;
	char path[80];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "unix:%s", path_of("socket"));
	give_terminal();
	add_port("agent", path, CONSOLE_PORT_DATA);
	add_port("two", "/dev/null", CONSOLE_PORT_CONSOLE);
	driver = create(0);
	driver_begin(driver);
	open_ports(driver);
	print(driver, 1, "before");
	for (int i = 0; i < 3; i++) {
		fd = client(path + 5);
		assert_heard(driver, 1, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
		assert_shown(fd, "before", 6);
		assert_int_equal(write(fd, "question", 8), 8);
		assert_typed(driver, 1, "question", 64);
		print(driver, 1, "answer");
		assert_shown(fd, "answer", 6);
		close(fd);
		assert_heard(driver, 1, VIRTIO_CONSOLE_PORT_OPEN, 0, NULL);
		print(driver, 1, "before");
	}
	/* The ports do not mix. */
	print(driver, 0, "zero");
	screen_shows("zero");
	driver_destroy(driver);
}

static void test_input_waits_until_the_guest_opens(void **state)
{
	struct driver *driver;
	struct driver_part part;
	uint16_t head;
	uint32_t written;
	char path[80];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "unix:%s", path_of("socket"));
	add_port("agent", path, CONSOLE_PORT_DATA);
	driver = create(0);
	driver_begin(driver);
	fd = client(path + 5);
	assert_int_equal(write(fd, "early", 5), 5);
	part = driver_in(driver, 64);
	driver_add(&driver->queues[RECEIVE], &part, 1);
	driver_publish(&driver->queues[RECEIVE]);
	driver_kick(&driver->queues[RECEIVE]);
	assert_false(driver_wait(&driver->queues[RECEIVE], &head, &written, 100));
	tell(driver, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	assert_heard(driver, 0, VIRTIO_CONSOLE_PORT_ADD, 0, NULL);
	tell(driver, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_heard(driver, 0, VIRTIO_CONSOLE_PORT_NAME, 1, "agent");
	assert_heard(driver, 0, VIRTIO_CONSOLE_PORT_OPEN, 1, NULL);
	tell(driver, 0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	assert_true(driver_wait(&driver->queues[RECEIVE], &head, &written, DRIVER_TIMEOUT_MS));
	assert_int_equal(written, 5);
	assert_memory_equal(driver_at(driver, part.gpa), "early", 5);
	/* And again, once it has closed. */
	tell(driver, 0, VIRTIO_CONSOLE_PORT_OPEN, 0);
	assert_int_equal(write(fd, "late", 4), 4);
	part = driver_in(driver, 64);
	driver_add(&driver->queues[RECEIVE], &part, 1);
	driver_publish(&driver->queues[RECEIVE]);
	driver_kick(&driver->queues[RECEIVE]);
	assert_false(driver_wait(&driver->queues[RECEIVE], &head, &written, 100));
	close(fd);
	driver_destroy(driver);
}

static void test_socket_without_client_never_stalls(void **state)
{
	static char bytes[4096];
	struct driver *driver;
	char path[80];

	(void)state;
	snprintf(path, sizeof(path), "unix:%s", path_of("socket"));
	add_port("log", path, CONSOLE_PORT_CONSOLE);
	driver = create(0);
	driver_begin(driver);
	for (int i = 0; i < 100; i++)
		put(driver, TRANSMIT, bytes, sizeof(bytes));
	driver_destroy(driver);
}

static void test_options(void **state)
{
	struct console_port_options port = { 0 };
	struct virtio_deps deps = { .name = "console0" };
	struct virtio_device *device;

	(void)state;
	assert_int_equal(options_parse("--console-port", "name=a,path=/x,type=data",
				       console_port_keys, &port), 0);
	assert_string_equal(port.name, "a");
	assert_string_equal(port.path, "/x");
	assert_int_equal(port.type, CONSOLE_PORT_DATA);
	options_free(console_port_keys, &port);
	port = (struct console_port_options){ 0 };
	assert_int_equal(options_parse("--console-port", "name=a", console_port_keys, &port),
			 -EINVAL);
	options_free(console_port_keys, &port);
	port = (struct console_port_options){ 0 };
	assert_int_equal(options_parse("--console-port", "path=pty", console_port_keys, &port), 0);
	assert_int_equal(port.type, CONSOLE_PORT_CONSOLE);
	options_free(console_port_keys, &port);

	assert_int_equal(virtio_console.create(&options, &deps, &device), -EINVAL); /* no port */
	add_port("with space", "/dev/null", CONSOLE_PORT_DATA);
	assert_int_equal(virtio_console.create(&options, &deps, &device), -EINVAL);
	options.port_count = 0;
	add_port("twice", "/dev/null", CONSOLE_PORT_DATA);
	add_port("twice", "/dev/null", CONSOLE_PORT_DATA);
	assert_int_equal(virtio_console.create(&options, &deps, &device), -EINVAL);
	options.port_count = 0;
	add_port("", "/dev/null", CONSOLE_PORT_DATA);
	assert_int_equal(virtio_console.create(&options, &deps, &device), -EINVAL);
}

static void test_port_that_can_not_be_opened(void **state)
{
	struct worker worker;
	struct worker *workers[] = { &worker };
	struct virtio_deps deps = { .name = "console0", .workers = workers, .worker_count = 1 };
	struct virtio_device *device;

	(void)state;
	assert_int_equal(worker_create(&worker, &(struct worker_config){ "io-test", 64, 16 }), 0);
	assert_int_equal(worker_start(&worker), 0);
	add_port("good", "/dev/null", CONSOLE_PORT_DATA);
	add_port("bad", "/nonexistent/file", CONSOLE_PORT_DATA);
	assert_int_equal(virtio_console.create(&options, &deps, &device), -ENOENT);
	worker_stop(&worker);
	worker_destroy(&worker);
}

static int group_setup(void **state)
{
	(void)state;
	strcpy(strrchr(directory, '/'), "/test_console.XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int group_teardown(void **state)
{
	(void)state;
	return rmdir(directory);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_plain_console),
		CASE(test_output_in_any_framing),
		CASE(test_input_is_split_not_lost),
		CASE(test_input_goes_to_few_parts),
		CASE(test_input_without_buffers_waits),
		CASE(test_end_of_input_is_not_the_end),
		CASE(test_closed_output_is_dropped),
		CASE(test_last_output_is_flushed),
		CASE(test_escape_key_needs_no_guest),
		CASE(test_window_size),
		CASE(test_emergency_write),
		CASE(test_console_does_not_stop_its_guest),
		CASE(test_slow_host_loses_nothing),
		CASE(test_data_port_waits),
		CASE(test_unread_ports_end_together),
		CASE(test_reset_with_output_held_back),
		CASE(test_pause_loses_nothing),
		CASE(test_handshake),
		CASE(test_messages_without_sense),
		CASE(test_small_control_buffers),
		CASE(test_multiport_refused),
		CASE(test_resize_of_a_port),
		CASE(test_socket_port),
		CASE(test_input_waits_until_the_guest_opens),
		CASE(test_socket_without_client_never_stalls),
		CASE(test_options),
		CASE(test_port_that_can_not_be_opened),
	};

	return driver_run_on_both_rings(tests, group_setup, group_teardown);
}
