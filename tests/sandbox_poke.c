// SPDX-License-Identifier: MIT
/*
 * What a shell can't do to a machine that is looked at from outside:
 *
 *   signal PID NAME SIGNAL   to the first thread of the process whose name begins so
 *   connect PATH             to a console's socket, with two clients, twice
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int name_begins(const char *pid, const char *thread, const char *name)
{
	char path[128], line[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%.16s/task/%.16s/comm", pid, thread);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	return !strncmp(line, name, strlen(name));
}

static int signal_thread(const char *pid, const char *name, int number)
{
	struct dirent *entry;
	char path[64];
	DIR *threads;

	snprintf(path, sizeof(path), "/proc/%.16s/task", pid);
	threads = opendir(path);
	while (threads && (entry = readdir(threads)))
		if (entry->d_name[0] != '.' && name_begins(pid, entry->d_name, name))
			return syscall(SYS_tgkill, atoi(pid), atoi(entry->d_name), number) ? 1 : 0;
	fprintf(stderr, "sandbox_poke: %s has no thread %s\n", pid, name);
	return 1;
}

static int connected(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		perror(path);
		exit(1);
	}
	return fd;
}

/* Of two clients the second is sent away: then the first has been taken. */
static int be_clients(const char *path)
{
	int first = connected(path), second = connected(path);
	char byte;

	alarm(60);
	send(first, "line\n", 5, MSG_NOSIGNAL);
	while (recv(second, &byte, 1, 0) > 0)
		;
	return close(first) || close(second);
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "signal"))
		return signal_thread(argv[2], argv[3], atoi(argv[4]));
	if (argc == 3 && !strcmp(argv[1], "connect"))
		return be_clients(argv[2]) || be_clients(argv[2]);
	return 2;
}
