// SPDX-License-Identifier: MIT
/*
 * The control socket: clients that connect, send requests in pieces, too much,
 * zeros or nothing, hang up, and come in numbers. Whoever sends one line of a
 * bounded length, at once or while the machine has a place for it, gets the answer
 * to that line, once, and the end; anyone else gets the end alone; the machine's
 * own side never waits.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "machine/control.h"
#include "machine/instance.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/played_ring.h"

#define PLACES 4 /* of clients that the machine keeps */
#define CLIENTS 8
#define SENT_MAX 2048
#define ASKING 248 /* and what is above, of a step's first byte */

struct client {
	int fd;			/* -1: there is none */
	bool kept, answered;	/* by the machine; then it is gone at the end of the step */
	bool said_all;		/* sends no more */
	unsigned number;	/* of connections */
	char sent[SENT_MAX], expected[CONTROL_LINE_BYTES + 1];
	size_t length;
};

static struct worker worker;
static struct control *control;
static struct client clients[CLIENTS];
static unsigned connections, requests;
static char last_request[CONTROL_LINE_BYTES];

static void handle(struct control_handler *own, const char *request, char *reply, size_t size)
{
	(void)own;
	fuzz_check(strlen(request) < sizeof(last_request) && !strchr(request, '\n'));
	strcpy(last_request, request);
	requests++;
	snprintf(reply, size, "%u %s", requests, request);
}

static struct control_handler handler = { handle };

/* ---- The model ---- */

/* What the machine makes of what it has: an answer, the end, or nothing yet. */
static void model_look(struct client *client)
{
	size_t seen = client->length < CONTROL_LINE_BYTES - 1 ? client->length :
								CONTROL_LINE_BYTES - 1;
	size_t text = strnlen(client->sent, seen);
	char *newline = memchr(client->sent, '\n', text);
	int length;

	if (!client->kept)
		return;
	if (newline) {
		*newline = '\0';
		fuzz_check(!strcmp(last_request, client->sent));
		length = snprintf(client->expected, CONTROL_LINE_BYTES - 1, "%u %s", requests,
				  client->sent);
		fuzz_check(length > 0); /* too long a one is cut, as the machine's */
		strcat(client->expected, "\n");
		client->answered = true;
		client->kept = false;
	} else if (seen == CONTROL_LINE_BYTES - 1 || client->said_all) {
		client->kept = false;
	}
}

static void check_client(struct client *client)
{
	char reply[2 * CONTROL_LINE_BYTES];
	ssize_t length = 0, part;

	if (client->fd < 0)
		return;
	do {
		part = recv(client->fd, reply + length, sizeof(reply) - (size_t)length,
			    MSG_DONTWAIT);
		length += part > 0 ? part : 0;
	} while (part > 0);
	if (client->kept) {
		fuzz_check(!length && part < 0 && errno == EAGAIN);
		return;
	}
	/* What was sent and not read may turn the end into a reset, after the answer. */
	fuzz_check(part == 0 || errno == ECONNRESET);
	if (part == 0 && client->answered)
		fuzz_check((size_t)length == strlen(client->expected) &&
			   !memcmp(reply, client->expected, (size_t)length));
	if (!client->answered)
		fuzz_check(!length);
	fd_close(&client->fd);
}

static void run(void)
{
	played_ring_run(&worker);
}

/* ---- What clients do ---- */

static void knock(struct client *client)
{
	struct sockaddr_un address;

	*client = (struct client){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	fuzz_check(client->fd >= 0 && !instance_socket("fuzzed", &address));
	fuzz_check(!connect(client->fd, (struct sockaddr *)&address, sizeof(address)));
}

static void come(struct client *client)
{
	if (client->fd >= 0)
		return;
	knock(client);
	client->number = connections++;
	client->kept = true;
	for (unsigned i = 0; i < CLIENTS; i++)
		if (clients[i].fd >= 0 && clients[i].number + PLACES == client->number)
			clients[i].kept = false;
	run();
}

/*
 * As many as can wait, with a line each, while the machine does something else: none
 * takes a place.
 */
static void come_asking(struct fuzz_input *input)
{
	unsigned count = 0, expected = requests;

	for (unsigned i = 0; i < CLIENTS && count <= PLACES; i++) {
		struct client *client = &clients[i];

		if (client->fd >= 0)
			continue;
		knock(client);
		client->length = fuzz_u8(input) % 32;
		for (size_t j = 0; j < client->length; j++)
			client->sent[j] = (char)(fuzz_u8(input) | ' '); /* no zero, no newline */
		expected++;
		snprintf(client->expected, sizeof(client->expected), "%u %s\n", expected,
			 client->sent);
		client->sent[client->length] = '\n';
		fuzz_check(send(client->fd, client->sent, client->length + 1, MSG_NOSIGNAL) ==
			   (ssize_t)client->length + 1);
		client->answered = true;
		count++;
	}
	run();
	fuzz_check(requests == expected);
}

static void say(struct fuzz_input *input, struct client *client, bool line)
{
	size_t length = fuzz_number(input, 2) % 300, start = client->length;
	uint8_t filler = fuzz_u8(input);

	if (client->fd < 0 || client->said_all || client->length + length + 1 > SENT_MAX)
		return;
	for (size_t i = 0; i < length; i++)
		client->sent[client->length++] = (char)(i < 32 ? fuzz_u8(input) : filler);
	if (line)
		client->sent[client->length++] = '\n';
	if (client->length == start)
		return;
	if (send(client->fd, client->sent + start, client->length - start,
		 MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		fuzz_check(!client->kept);
	run();
	model_look(client);
}

static void hang_up(struct client *client, bool whole)
{
	if (client->fd < 0)
		return;
	client->said_all = true;
	if (whole)
		fd_close(&client->fd);
	else
		shutdown(client->fd, SHUT_WR);
	run();
	if (!whole)
		model_look(client);
}

static void step(struct fuzz_input *input)
{
	uint8_t choice = fuzz_u8(input);
	struct client *client = &clients[choice % CLIENTS];
	unsigned before = requests;

	if (choice >= ASKING) {
		come_asking(input);
		for (unsigned i = 0; i < CLIENTS; i++)
			check_client(&clients[i]);
		return;
	}
	switch (choice / CLIENTS % 8) {
	case 0 ... 2:
		come(client);
		break;
	case 3:
		say(input, client, false);
		break;
	case 4:
	case 5:
		say(input, client, true);
		break;
	case 6:
		hang_up(client, false);
		break;
	default:
		hang_up(client, true);
		break;
	}
	if (client->fd >= 0)
		fuzz_check(requests - before == client->answered);
	for (unsigned i = 0; i < CLIENTS; i++)
		check_client(&clients[i]);
}

/* ---- Set-up ---- */

static char directory[] = "/tmp/fuzz_control.XXXXXX";

static void remove_directory(void)
{
	char path[sizeof(directory) + 16];

	control_close(control);
	control_destroy(control);
	snprintf(path, sizeof(path), "%s/ringvm", directory);
	rmdir(path);
	rmdir(directory);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_level(LOG_LEVEL_ERROR);
	fuzz_check(mkdtemp(directory) && !setenv("XDG_RUNTIME_DIR", directory, 1));
	played_ring_worker(&worker);
	fuzz_check(!control_create(&control, "fuzzed", &worker, &handler) && control);
	atexit(remove_directory);
	for (unsigned i = 0; i < CLIENTS; i++)
		clients[i].fd = -1;
	run();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = fuzz_input(data, size);

	while (fuzz_more(&input))
		step(&input);
	for (unsigned i = 0; i < CLIENTS; i++)
		if (clients[i].fd >= 0)
			hang_up(&clients[i], true);
	run();
	return 0;
}
