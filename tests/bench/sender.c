// SPDX-License-Identifier: MIT
/*
 * Sends by a packet socket on the tap, past the queueing discipline. Behind the Ethernet header
 * each frame holds the processor's counter at the time of sending: guests on ring 3 read the same.
 */
#include "sender.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define BATCH	       64
#define FRAME_MAX      1514
#define ETHERNET_BYTES 14
#define EXPERIMENT     0x88b5
#define BYPASS_QDISC   20 /* PACKET_QDISC_BYPASS */

static int open_socket(const char *interface)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(interface),
	};
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    setsockopt(fd, SOL_PACKET, BYPASS_QDISC, &one, sizeof(one)) < 0) {
		perror("measure: packet socket");
		return -1;
	}
	return fd;
}

static void send_flood(struct sender *sender, int fd, uint8_t *frame)
{
	struct iovec part = { frame, sender->bytes };
	struct mmsghdr messages[BATCH];

	memset(messages, 0, sizeof(messages));
	for (unsigned i = 0; i < BATCH; i++) {
		messages[i].msg_hdr.msg_iov = &part;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	while (!sender->end) {
		uint64_t now = __rdtsc();
		int sent;

		memcpy(frame + ETHERNET_BYTES, &now, sizeof(now));
		sent = sendmmsg(fd, messages, BATCH, 0);
		if (sent > 0)
			sender->sent += (unsigned)sent;
	}
}

static void send_rate(struct sender *sender, int fd, uint8_t *frame)
{
	struct timespec next;

	clock_gettime(CLOCK_MONOTONIC, &next);
	while (!sender->end) {
		uint64_t now;

		next.tv_nsec += 1000000000 / sender->rate;
		if (next.tv_nsec >= 1000000000) {
			next.tv_sec++;
			next.tv_nsec -= 1000000000;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
		now = __rdtsc();
		memcpy(frame + ETHERNET_BYTES, &now, sizeof(now));
		sender->sent += send(fd, frame, sender->bytes, 0) > 0;
	}
}

static void *run(void *argument)
{
	uint8_t frame[FRAME_MAX] = {
		255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 9, EXPERIMENT >> 8, EXPERIMENT & 0xff
	};
	struct sender *sender = argument;
	int fd = open_socket(sender->interface);

	if (fd < 0)
		return NULL;
	if (sender->rate)
		send_rate(sender, fd, frame);
	else
		send_flood(sender, fd, frame);
	close(fd);
	return NULL;
}

bool sender_start(struct sender *sender)
{
	sender->end = false;
	sender->sent = 0;
	if (sender->bytes > FRAME_MAX || sender->bytes < ETHERNET_BYTES + sizeof(uint64_t))
		return false;
	return !pthread_create(&sender->thread, NULL, run, sender);
}

void sender_stop(struct sender *sender)
{
	sender->end = true;
	pthread_join(sender->thread, NULL);
}
