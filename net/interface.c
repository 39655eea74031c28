// SPDX-License-Identifier: MIT
/*
 * Interface settings by the ioctls of any IPv4 socket. No state; control
 * thread, before the machine runs.
 */
#include "net/interface.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/option.h"

#define DEFAULT_PREFIX_BITS 24

static struct ifreq request_for(const char *name)
{
	struct ifreq request = { 0 };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return request;
}

static int interface_control(unsigned long number, struct ifreq *request)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error;

	if (fd < 0)
		return -errno;
	error = ioctl(fd, number, request) < 0 ? -errno : 0;
	close(fd);
	return error;
}

int interface_find(const char *name)
{
	struct ifreq request = request_for(name);

	return interface_control(SIOCGIFINDEX, &request);
}

int interface_mtu(const char *name, unsigned *mtu)
{
	struct ifreq request = request_for(name);
	int error = interface_control(SIOCGIFMTU, &request);

	*mtu = (unsigned)request.ifr_mtu;
	return error;
}

int interface_set_mtu(const char *name, unsigned mtu)
{
	struct ifreq request = request_for(name);

	request.ifr_mtu = (int)mtu;
	return interface_control(SIOCSIFMTU, &request);
}

int interface_set_up(const char *name)
{
	struct ifreq request = request_for(name);
	int error = interface_control(SIOCGIFFLAGS, &request);

	if (error || (request.ifr_flags & IFF_UP))
		return error;
	request.ifr_flags |= IFF_UP;
	return interface_control(SIOCSIFFLAGS, &request);
}

static int set_ipv4(const char *name, unsigned long number, struct in_addr address)
{
	struct ifreq request = request_for(name);
	struct sockaddr_in ipv4 = { .sin_family = AF_INET, .sin_addr = address };

	memcpy(&request.ifr_addr, &ipv4, sizeof(ipv4));
	return interface_control(number, &request);
}

int interface_set_address(const char *name, const char *text)
{
	uint64_t prefix_bits = DEFAULT_PREFIX_BITS;
	const char *slash = strchr(text, '/');
	char dotted[INET_ADDRSTRLEN];
	struct in_addr address, mask;
	int error;

	if (slash && option_uint_parse(slash + 1, 1, 32, &prefix_bits))
		return -EINVAL;
	if (snprintf(dotted, sizeof(dotted), "%.*s",
		     slash ? (int)(slash - text) : (int)strlen(text), text) >= (int)sizeof(dotted))
		return -EINVAL;
	if (inet_pton(AF_INET, dotted, &address) != 1)
		return -EINVAL;
	mask.s_addr = htonl(UINT32_MAX << (32 - prefix_bits));
	error = set_ipv4(name, SIOCSIFADDR, address);
	return error ? error : set_ipv4(name, SIOCSIFNETMASK, mask);
}
