// SPDX-License-Identifier: MIT
/* Names of machines and their control socket. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "base/log.h"
#include "machine/control.h"
#include "machine/instance.h"
#include "tests/unit/message.h"

static char directory[] = "/tmp/test_control.XXXXXX";

static int group_setup(void **state)
{
	(void)state;
	return !mkdtemp(directory) || setenv("XDG_RUNTIME_DIR", directory, 1);
}

static int group_teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

static void count_visit(const char *name, pid_t pid, void *argument)
{
	(void)name;
	(void)pid;
	++*(int *)argument;
}

static void test_name_is_taken_and_free_again(void **state)
{
	struct instance one, two;
	int count = 0;

	(void)state;
	assert_int_equal(instance_acquire(&one, "one"), 0);
	assert_int_equal(instance_pid("one"), getpid());
	assert_int_equal(instance_pid("two"), 0);
	assert_int_equal(instance_acquire(&two, "one"), -EBUSY);
	assert_int_equal(instance_list(count_visit, &count), 0);
	assert_int_equal(count, 1);
	instance_release(&one);
	assert_int_equal(instance_pid("one"), 0);
	assert_int_equal(instance_acquire(&two, "one"), 0);
	instance_release(&two);
}

/* As after kill -9: the file stays, the lock does not. */
static void test_name_of_the_dead_is_free(void **state)
{
	struct instance ghost;
	int status, ready[2];
	char byte;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (!child) {
		if (instance_acquire(&ghost, "ghost") || write(ready[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(instance_pid("ghost"), child);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	assert_int_equal(instance_pid("ghost"), 0);
	assert_int_equal(instance_acquire(&ghost, "ghost"), 0);
	assert_int_equal(instance_pid("ghost"), getpid());
	instance_release(&ghost);
	close(ready[0]);
	close(ready[1]);
}

/* 'ringvm stop' and 'list' look at names while somebody starts a machine of that name. */
static void test_name_that_is_looked_at_is_free(void **state)
{
	struct instance seen;
	pid_t child;

	(void)state;
	assert_int_equal(instance_acquire(&seen, "seen"), 0);
	close(seen.lock_fd); /* leaves the file behind, as the dead do */
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (child == 0)
		instance_pid("seen");
	for (int i = 0; i < 3000; i++) {
		assert_int_equal(instance_acquire(&seen, "seen"), 0);
		close(seen.lock_fd);
	}
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_directory_that_others_can_write_is_refused(void **state)
{
	char path[PATH_MAX];
	struct instance one;
	int count = 0;

	(void)state;
	snprintf(path, sizeof(path), "%s/ringvm", directory);
	assert_int_equal(chmod(path, 0777), 0);
	assert_int_equal(instance_acquire(&one, "one"), -EPERM);
	/* Nor is what it says believed. */
	assert_int_equal(instance_pid("one"), -EPERM);
	assert_int_equal(instance_list(count_visit, &count), -EPERM);
	assert_int_equal(chmod(path, 0700), 0);
	setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
	assert_int_equal(instance_acquire(&one, "one"), -ENOENT);
	assert_int_equal(instance_pid("one"), 0);
	assert_int_equal(instance_list(count_visit, &count), 0);
	setenv("XDG_RUNTIME_DIR", directory, 1);
	assert_int_equal(count, 0);
}

/* Who looks for names waits for nothing that lies there. */
static void test_what_is_no_lock_is_no_name(void **state)
{
	char path[PATH_MAX];
	int count = 0;

	(void)state;
	snprintf(path, sizeof(path), "%s/ringvm/fifo.lock", directory);
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(path, sizeof(path), "%s/ringvm/link.lock", directory);
	assert_int_equal(symlink("fifo.lock", path), 0);
	assert_int_equal(instance_pid("fifo"), 0);
	assert_int_equal(instance_pid("link"), 0);
	assert_int_equal(instance_list(count_visit, &count), 0);
	assert_int_equal(count, 0);
	unlink(path);
	snprintf(path, sizeof(path), "%s/ringvm/fifo.lock", directory);
	unlink(path);
}

/* That nobody can be asked does not mean that nobody is there. */
static void test_names_that_can_not_be_looked_at(void **state)
{
	struct rlimit least, most;
	struct instance one;
	int pid, list, free_fd, count = 0;

	(void)state;
	assert_int_equal(instance_acquire(&one, "one"), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &most), 0);
	free_fd = dup(0);
	close(free_fd);
	least = (struct rlimit){ (rlim_t)free_fd, most.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &least), 0);
	pid = instance_pid("one");
	least.rlim_cur++; /* the directory alone */
	setrlimit(RLIMIT_NOFILE, &least);
	list = instance_list(count_visit, &count);
	setrlimit(RLIMIT_NOFILE, &most);
	assert_int_equal(pid, -EMFILE);
	assert_int_equal(list, -EMFILE);
	assert_int_equal(count, 0);
	instance_release(&one);
}

static struct worker worker;

static void echo(struct control_handler *handler, const char *request, char *reply, size_t size)
{
	(void)handler;
	snprintf(reply, size, "got %s", request);
}

static struct control_handler handler = { echo };
static struct control *control;

static int server_setup(void **state)
{
	(void)state;
	return worker_create(&worker, &(struct worker_config){ "control", 32, 16 }) ||
	       control_create(&control, "served", &worker, &handler) || !control ||
	       worker_start(&worker);
}

static int server_teardown(void **state)
{
	(void)state;
	worker_stop(&worker);
	control_close(control);
	control_destroy(control);
	worker_destroy(&worker);
	return 0;
}

static void test_line_in_line_out(void **state)
{
	char reply[CONTROL_LINE_BYTES];

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(control_call("served", getpid(), "status", reply, sizeof(reply)), 0);
		assert_string_equal(reply, "got status");
	}
	/* Another has the name, or nobody any more: the one that was meant has ended. */
	assert_int_equal(control_call("absent", getpid(), "status", reply, sizeof(reply)), -ESRCH);
}

static int connect_raw(const char *name)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(instance_socket(name, &address), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Whatever its directory allows. */
static void test_socket_is_the_users_alone(void **state)
{
	const struct worker_config config = { "open", 16, 16 };
	mode_t mask = umask(0);
	struct sockaddr_un address;
	struct control *own;
	struct stat status;
	struct worker mine;

	(void)state;
	assert_int_equal(worker_create(&mine, &config), 0);
	assert_int_equal(control_create(&own, "open", &mine, &handler), 0);
	umask(mask);
	assert_int_equal(instance_socket("open", &address), 0);
	assert_int_equal(stat(address.sun_path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	control_close(own);
	control_destroy(own);
	worker_destroy(&mine);
}

/* Who connects and says nothing, too much, or leaves, is no trouble to the next. */
static void test_rude_clients(void **state)
{
	char reply[CONTROL_LINE_BYTES], noise[4096];
	int silent[16];

	(void)state;
	memset(noise, 'x', sizeof(noise));
	for (int i = 0; i < 16; i++)
		silent[i] = connect_raw("served");
	assert_int_equal(control_call("served", getpid(), "status", reply, sizeof(reply)), 0);
	for (int i = 0; i < 16; i++)
		close(silent[i]);
	silent[0] = connect_raw("served");
	send(silent[0], noise, sizeof(noise), MSG_NOSIGNAL);
	assert_int_equal(control_call("served", getpid(), "again", reply, sizeof(reply)), 0);
	assert_string_equal(reply, "got again");
	close(silent[0]);
}

/* The worker does nothing until it is told to. */
struct pause {
	struct worker_task task;
	sem_t begun, over;
};

static void pause_run(struct worker_task *task)
{
	struct pause *pause = container_of(task, struct pause, task);

	sem_post(&pause->begun);
	while (sem_wait(&pause->over) < 0)
		;
}

static void pause_begin(struct pause *pause)
{
	sem_init(&pause->begun, 0, 0);
	sem_init(&pause->over, 0, 0);
	worker_post(&worker, &pause->task);
	sem_wait(&pause->begun);
}

static void *destroy_soon(void *own)
{
	usleep(100000);
	control_destroy(own);
	return NULL;
}

/* Called while it ends, it is said to have ended; before, that it does not answer. */
static void test_call_of_one_that_ends(void **state)
{
	const struct worker_config config = { "leaving", 16, 16 };
	char reply[CONTROL_LINE_BYTES], text[64];
	struct sockaddr_un address;
	struct control *own;
	struct worker mine;
	pthread_t thread;
	int error;

	(void)state;
	assert_int_equal(worker_create(&mine, &config), 0);
	assert_int_equal(control_create(&own, "leaving", &mine, &handler), 0);
	control_close(own);
	worker_destroy(&mine);
	assert_int_equal(instance_socket("leaving", &address), 0);
	unlink(address.sun_path);
	snprintf(text, sizeof(text), "it has no control socket; press its power button with 'kill %d'",
		 (int)getpid());
	message_begin();
	error = control_call("leaving", getpid(), "status", reply, sizeof(reply));
	assert_true(message_end(text));
	assert_int_equal(fail_error(error), ENOENT);
	assert_int_equal(pthread_create(&thread, NULL, destroy_soon, own), 0);
	assert_int_equal(control_call("leaving", getpid(), "status", reply, sizeof(reply)), -ESRCH);
	pthread_join(thread, NULL);
	/* The same of one that it has reached. */
	assert_int_equal(worker_create(&mine, &config), 0);
	assert_int_equal(control_create(&own, "leaving", &mine, &handler), 0);
	control_close(own);
	worker_destroy(&mine);
	assert_int_equal(pthread_create(&thread, NULL, destroy_soon, own), 0);
	assert_int_equal(control_call("leaving", getpid(), "status", reply, sizeof(reply)), -ESRCH);
	pthread_join(thread, NULL);
}

/* More of them than it keeps, while it does something else, as for a reset of the guest. */
static void test_many_clients_at_once(void **state)
{
	static struct pause pause = { .task.run = pause_run };
	char reply[CONTROL_LINE_BYTES];
	int fds[5], silent;

	(void)state;
	silent = connect_raw("served");
	assert_int_equal(control_call("served", getpid(), "status", reply, sizeof(reply)), 0);
	pause_begin(&pause);
	for (int i = 0; i < 5; i++) {
		fds[i] = connect_raw("served");
		assert_int_equal(write(fds[i], "status\n", 7), 7);
	}
	sem_post(&pause.over);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(fd_read_full(fds[i], reply, sizeof(reply)), 11);
		assert_memory_equal(reply, "got status\n", 11);
		close(fds[i]);
	}
	/* Nor did they cost it the place of one that has not spoken yet. */
	assert_int_equal(write(silent, "late\n", 5), 5);
	assert_int_equal(fd_read_full(silent, reply, sizeof(reply)), 9);
	assert_memory_equal(reply, "got late\n", 9);
	close(silent);
}

struct signaller {
	pthread_t target;
	struct pause *pause;
};

/* While there is no place in the queue of connections, and when there is. */
static void *signal_often(void *argument)
{
	struct signaller *signaller = argument;

	for (int i = 0; i < 100; i++) {
		pthread_kill(signaller->target, SIGUSR1);
		usleep(1000);
		if (i == 50)
			sem_post(&signaller->pause->over);
	}
	return NULL;
}

static void ignore(int number)
{
	(void)number;
}

/* SO_SNDTIMEO makes a signal end connect(), whatever SA_RESTART says. */
static void test_signals_while_it_is_called(void **state)
{
	const struct sigaction action = { .sa_handler = ignore, .sa_flags = SA_RESTART };
	/* They outlive a test that fails. */
	static struct pause pause = { .task.run = pause_run };
	static struct signaller signaller = { .pause = &pause };
	char reply[CONTROL_LINE_BYTES];
	struct sockaddr_un address;
	int waiting[64], count = 0;
	pthread_t thread;

	(void)state;
	signaller.target = pthread_self();
	pause_begin(&pause);
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(instance_socket("served", &address), 0);
	do {
		waiting[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	} while (!connect(waiting[count++], (struct sockaddr *)&address, sizeof(address)) &&
		 count < 64);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(pthread_create(&thread, NULL, signal_often, &signaller), 0);
	assert_int_equal(control_call("served", getpid(), "status", reply, sizeof(reply)), 0);
	assert_string_equal(reply, "got status");
	pthread_join(thread, NULL);
	while (count)
		close(waiting[--count]);
}

/* How often from now on the host has no file for a client. */
static _Atomic unsigned refusals;

int __real_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	if (!refusals)
		return __real_accept4(fd, address, length, flags);
	refusals--;
	errno = EMFILE;
	return -1;
}

/* It is told of a client once, and can't take it then. */
static void test_client_waits_for_a_file(void **state)
{
	char reply[CONTROL_LINE_BYTES];

	(void)state;
	refusals = 3;
	message_begin();
	assert_int_equal(control_call("served", getpid(), "status", reply, sizeof(reply)), 0);
	assert_true(message_end("control socket: accept: Too many open files; raise the limit"));
	assert_string_equal(reply, "got status");
	assert_int_equal(refusals, 0);
}

static void test_second_of_a_name_is_refused(void **state)
{
	struct control *second;
	struct worker other;

	(void)state;
	assert_int_equal(worker_create(&other, &(struct worker_config){ "other", 32, 16 }), 0);
	assert_int_equal(control_create(&second, "served", &other, &handler), -EBUSY);
	setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
	assert_int_equal(control_create(&second, "served", &other, &handler), 0);
	assert_null(second); /* runs without */
	setenv("XDG_RUNTIME_DIR", directory, 1);
	worker_destroy(&other);
}

struct ending {
	struct control_handler handler;
	struct worker worker;
	struct worker_timer timer;
};

static void ending_handle(struct control_handler *own, const char *request, char *reply,
			  size_t size)
{
	(void)request;
	snprintf(reply, size, "ok");
	worker_quit(&container_of(own, struct ending, handler)->worker);
}

static void ending_expired(struct worker_timer *timer)
{
	worker_quit(&container_of(timer, struct ending, timer)->worker);
}

/* Hears the end and nothing before it. */
static void assert_end(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
	close(fd);
}

/*
 * The machine's worker runs once more after its end, while clients come and go, and
 * its name is its own until all of it is gone.
 */
static void test_clients_outlive_the_socket(void **state)
{
	const struct worker_config config = { "ending", 16, 16 };
	struct ending ending = { .handler.handle = ending_handle, .timer.expired = ending_expired };
	struct control *own;
	char byte;
	int idle, stopping, early, late, asking;

	(void)state;
	assert_int_equal(worker_create(&ending.worker, &config), 0);
	assert_int_equal(control_create(&own, "ending", &ending.worker, &ending.handler), 0);
	idle = connect_raw("ending");
	stopping = connect_raw("ending");
	assert_int_equal(write(stopping, "stop\n", 5), 5);
	worker_run(&ending.worker);
	early = connect_raw("ending"); /* not accepted any more */
	control_close(own);
	assert_end(idle);
	close(stopping);
	late = connect_raw("ending");
	asking = connect_raw("ending");
	assert_int_equal(write(asking, "stop\n", 5), 5);
	assert_int_equal(worker_timer_start(&ending.worker, &ending.timer, 10000000), 0);
	worker_run(&ending.worker);
	assert_int_equal(instance_pid("ending"), getpid());
	assert_int_equal(recv(late, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	worker_destroy(&ending.worker);
	control_destroy(own);
	assert_int_equal(instance_pid("ending"), 0);
	assert_end(early);
	assert_end(late);
	assert_end(asking);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_name_is_taken_and_free_again),
		cmocka_unit_test(test_name_of_the_dead_is_free),
		cmocka_unit_test(test_name_that_is_looked_at_is_free),
		cmocka_unit_test(test_directory_that_others_can_write_is_refused),
		cmocka_unit_test(test_what_is_no_lock_is_no_name),
		cmocka_unit_test(test_names_that_can_not_be_looked_at),
		cmocka_unit_test(test_clients_outlive_the_socket),
		cmocka_unit_test(test_socket_is_the_users_alone),
		cmocka_unit_test(test_call_of_one_that_ends),
		cmocka_unit_test_setup_teardown(test_line_in_line_out, server_setup,
						server_teardown),
		cmocka_unit_test_setup_teardown(test_rude_clients, server_setup,
						server_teardown),
		cmocka_unit_test_setup_teardown(test_many_clients_at_once, server_setup,
						server_teardown),
		cmocka_unit_test_setup_teardown(test_signals_while_it_is_called, server_setup,
						server_teardown),
		cmocka_unit_test_setup_teardown(test_client_waits_for_a_file, server_setup,
						server_teardown),
		cmocka_unit_test_setup_teardown(test_second_of_a_name_is_refused, server_setup,
						server_teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
