// SPDX-License-Identifier: MIT
/* A KVM device that can't be opened: what the user is told to do. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/arch.h"
#include "core/vm.h"
#include "tests/unit/message.h"

#define NOBODY 65534

static char path[] = "/tmp/ringvm-vm-XXXXXX";

/* Is told `advice`, and nothing else. */
static void refuses(const char *dev_path, int error, const char *advice)
{
	const struct vm_config config = { .dev_path = dev_path, .vcpu_count = 1 };
	char line[512];
	struct vm vm;
	int failure;

	snprintf(line, sizeof(line), "ringvm: %s: %s\n", dev_path, advice);
	message_begin();
	failure = vm_create(&vm, &config, NULL);
	assert_true(message_end(line));
	assert_true(fail_is_host(failure));
	assert_int_equal(fail_error(failure), error);
}

static void test_no_device(void **state)
{
	char advice[256];

	(void)state;
	snprintf(advice, sizeof(advice), "No such file or directory; %s", arch_kvm_advice);
	refuses("/nowhere/kvm", ENOENT, advice);
	refuses("/tmp", EISDIR, "open: Is a directory; name the KVM device with --dev");
	refuses("/dev/null", ENODEV, "not a KVM device; name the right one with --dev");
}

static void file_set(uid_t owner, gid_t group, mode_t mode)
{
	assert_return_code(chown(path, owner, group), errno);
	assert_return_code(chmod(path, mode), errno);
}

static int setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 || close(fd);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

/* Root may open anything, so it is nobody meanwhile. */
static void refuses_nobody(const char *advice)
{
	const gid_t none = NOBODY;
	gid_t groups[64];
	int count = getgroups(64, groups);

	assert_in_range(count, 0, 64);
	assert_return_code(setgroups(1, &none), errno);
	assert_return_code(setegid(NOBODY), errno);
	assert_return_code(seteuid(NOBODY), errno);
	refuses(path, EACCES, advice);
	assert_return_code(seteuid(0), errno);
	assert_return_code(setegid(0), errno);
	assert_return_code(setgroups((size_t)count, groups), errno);
}

static void test_denied(void **state)
{
	const struct group *group = NULL;
	gid_t nameless = 40000;
	char join[256], let[256];

	(void)state;
	snprintf(let, sizeof(let), "Permission denied; let this user open it ('sudo chmod 0666 %s') "
		 "or run as root", path);
	if (geteuid()) {
		/* Its owner, so what its group may is of no use. */
		assert_return_code(chmod(path, 0060), errno);
		refuses(path, EACCES, let);
		return;
	}
	while (getgrgid(nameless))
		nameless++;
	file_set(0, nameless, 0660);
	refuses_nobody(let);
	file_set(0, 0, 0660);
	refuses_nobody(let);
	for (gid_t gid = 1; !group && gid < 1000; gid++)
		group = getgrgid(gid);
	if (!group)
		return; /* a small system: none has a name */
	snprintf(join, sizeof(join), "Permission denied; join its group ('sudo usermod -aG %s $USER', "
		 "then log in again) or run as root", group->gr_name);
	file_set(0, group->gr_gid, 0660);
	refuses_nobody(join);
	file_set(0, group->gr_gid, 0640);
	refuses_nobody(let);
	file_set(0, group->gr_gid, 0620);
	refuses_nobody(let);
	file_set(NOBODY, group->gr_gid, 0060);
	refuses_nobody(let);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_device),
		cmocka_unit_test_setup_teardown(test_denied, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
