/* SPDX-License-Identifier: MIT */
/*
 * File descriptors: eventfds and transfers that finish. Any thread, no state.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A close-on-exec, non-blocking eventfd of count 0, or -errno. Non-blocking is
 * not a taste: an io_uring write to a blocking eventfd goes to a helper thread.
 */
int event_fd_create(void);

/* Adds one to the count: wakes a poller, triggers an irqfd. Never blocks. */
void event_fd_signal(int fd);

/* Sets the count to zero; returns what it was. */
uint64_t event_fd_drain(int fd);

/* Whether the count is not zero; leaves it. */
bool event_fd_pending(int fd);

/*
 * Opens /dev/null as each of stdin, stdout and stderr that is closed: else the
 * next file opened would be it, and get what is written there. First thing in
 * main(). 0 or -errno.
 */
int fd_open_standard(void);

/*
 * An empty file without a name, in memory: with MFD_* that say of which pages, and
 * closed by exec, and never to be run. -errno.
 */
int fd_memory_file(const char *name, unsigned flags);

/* Whether it is a file on a file system that is nowhere but in memory. */
bool fd_in_memory(int fd);

/*
 * A file was found in use: false after half a second of tries, else waits a
 * moment. The ring of a process that has just ended lets go of its files a little
 * later: whoever starts it anew shall not find its own disk or tap in use. Keeps
 * errno; `tries` begins at 0.
 */
bool fd_may_be_free_soon(unsigned *tries);

/* Whether an error of open(2) says that there is no such directory, and none could be made. */
bool fd_no_such_directory(int error);

/* What to do about a file that could not be opened: half a sentence, to stand behind the error. */
const char *fd_open_advice(int error);
/* The same of a call that opens no name: about the limit of open files, or `otherwise`. */
const char *fd_limit_advice(int error, const char *otherwise);

/* Closes *fd if it is >= 0 and sets it to -1. */
void fd_close(int *fd);

/*
 * Transfer `length` bytes, resuming after short transfers and EINTR. Return the
 * bytes moved (fewer than `length` only at end of file) or -errno.
 */
ssize_t fd_read_full(int fd, void *buffer, size_t length);
ssize_t fd_pread_full(int fd, void *buffer, size_t length, uint64_t offset);
ssize_t fd_write_full(int fd, const void *buffer, size_t length);

#endif
