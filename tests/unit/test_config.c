// SPDX-License-Identifier: MIT
/* The words of `ringvm run`: what they make, and what is refused. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "core/arch.h"
#include "machine/config.h"
#include "machine/options.h"
#include "tests/unit/message.h"
#include "virtio/blk.h"
#include "virtio/console.h"
#include "virtio/net.h"
#include "virtio/rng.h"

static struct machine_config config;

/* Reads a command line of words between spaces; a '~' in a word stands for a space. */
static int parse(const char *line)
{
	char text[2048], *argv[768] = { "run" }, *rest = text;
	int argc = 1, error;

	machine_config_destroy(&config);
	assert_int_equal(machine_config_init(&config), 0);
	assert_in_range(snprintf(text, sizeof(text), "%s", line), 0, sizeof(text) - 1);
	for (char *word = strtok_r(rest, " ", &rest); word; word = strtok_r(rest, " ", &rest)) {
		for (char *at = word; (at = strchr(at, '~')); at++)
			*at = ' ';
		assert_in_range(argc, 1, ARRAY_SIZE(argv) - 2);
		argv[argc++] = word;
	}
	error = machine_options_parse(&config, argc, argv);
	return error ? error : machine_config_complete(&config);
}

static int teardown(void **state)
{
	(void)state;
	machine_config_destroy(&config);
	config = (struct machine_config){ 0 };
	return 0;
}

static void test_defaults(void **state)
{
	(void)state;
	assert_int_equal(parse("bzImage"), 0);
	assert_string_equal(config.kernel_path, "bzImage");
	assert_string_equal(config.dev_path, "/dev/kvm");
	assert_int_equal(config.memory_bytes, 512 * MIB);
	assert_int_equal(config.vcpu_count, 1);
	assert_int_equal(config.console, MACHINE_CONSOLE_SERIAL);
	assert_int_equal(config.reboot, MACHINE_REBOOT_EXIT);
	assert_false(config.packed_ring);
	assert_string_equal(config.command_line, "console=ttyS0 panic=-1");
	assert_int_equal(config.device_count, 1);
	assert_ptr_equal(config.devices[0].type, &virtio_rng);
	assert_string_equal(config.devices[0].name, "rng0");
	assert_int_equal(strncmp(config.name, "guest-", 6), 0);
}

static void test_nodefaults(void **state)
{
	(void)state;
	assert_int_equal(parse("-k vmlinux --nodefaults -p quiet"), 0);
	assert_string_equal(config.command_line, "quiet");
	assert_int_equal(config.device_count, 0);
	assert_int_equal(parse("-k vmlinux --nodefaults --rng"), 0);
	assert_int_equal(config.device_count, 1);
	assert_string_equal(config.command_line, "");
}

/* The words that a key takes; on x86 a flag's, on arm64 a choice's. */
static const char *const *words_of(const struct option_key *key)
{
	static const char *const flag_words[] = { "off", "on", NULL };

	return key->kind == OPTION_FLAG ? flag_words : key->choices;
}

static unsigned field_of(const struct option_key *key)
{
	const char *field = (const char *)config.arch_options + key->offset;

	return key->kind == OPTION_FLAG ? *(const bool *)field : *(const unsigned *)field;
}

/* An option of the architecture's takes the values of its kind, and says what they are. */
static void test_arch_options(void **state)
{
	const struct option_key *key = arch_options.keys;
	char line[64];

	(void)state;
	assert_non_null(key->name);
	assert_true(key->kind == OPTION_FLAG || key->kind == OPTION_CHOICE);
	for (unsigned i = 0; words_of(key)[i]; i++) {
		snprintf(line, sizeof(line), "bzImage --%s %s", key->name, words_of(key)[i]);
		assert_int_equal(parse(line), 0);
		assert_int_equal(field_of(key), i);
	}
	snprintf(line, sizeof(line), "bzImage --%s maybe", key->name);
	assert_int_equal(parse(line), -EINVAL);
}

static void test_rng_is_there_once(void **state)
{
	(void)state;
	assert_int_equal(parse("vmlinux --rng"), 0);
	assert_int_equal(config.device_count, 1);
}

static void test_devices_keep_their_order(void **state)
{
	static const char *const names[] = { "disk0", "net0", "disk1", "net1", "rng0" };

	(void)state;
	assert_int_equal(parse("-d a.img,ro --network mode=none -k bzImage -d b.img -n tap"), 0);
	assert_int_equal(config.device_count, ARRAY_SIZE(names));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_string_equal(config.devices[i].name, names[i]);
	assert_ptr_equal(config.devices[2].type, &virtio_blk);
	assert_ptr_equal(config.devices[3].type, &virtio_net);
}

static void test_plain_options(void **state)
{
	(void)state;
	assert_int_equal(parse("--kernel=bz --initrd rd --mem 1G --cpus=4 --name web-1 "
			       "--reboot restart --ring packed --stop-timeout 3 --dev /dev/other"), 0);
	assert_string_equal(config.initrd_path, "rd");
	assert_int_equal(config.memory_bytes, GIB);
	assert_int_equal(config.vcpu_count, 4);
	assert_string_equal(config.name, "web-1");
	assert_int_equal(config.reboot, MACHINE_REBOOT_RESTART);
	assert_true(config.packed_ring);
	assert_int_equal(config.stop_timeout_s, 3);
	assert_string_equal(config.dev_path, "/dev/other");
	assert_int_equal(parse("-kbz -m256 -c2"), 0);
	assert_int_equal(config.memory_bytes, 256 * MIB);
	assert_int_equal(config.vcpu_count, 2);
	assert_int_equal(parse("bz -m 100000001B"), 0);
	assert_int_equal(config.memory_bytes % (64 * KIB), 0);
}

static void test_threads(void **state)
{
	(void)state;
	assert_int_equal(parse("bz"), 0);
	assert_int_equal(config.io_threads, 0);
	assert_null(cpu_list_at(&config.io_processors, 0));
	assert_null(cpu_list_at(&config.cpu_processors, 0));
	assert_int_equal(parse("bz --io-threads 2 --io-affinity 3,1 --cpu-affinity 0,4-6"), 0);
	assert_int_equal(config.io_threads, 2);
	assert_int_equal(*cpu_list_at(&config.io_processors, 1), 1);
	assert_int_equal(*cpu_list_at(&config.cpu_processors, 3), 6);
}

static void test_memory_backing(void **state)
{
	(void)state;
	assert_int_equal(parse("bz"), 0);
	assert_int_equal(config.memory_backing.source, MEMORY_ANONYMOUS);
	assert_int_equal(parse("bz --memory-backing memfd"), 0);
	assert_int_equal(config.memory_backing.source, MEMORY_MEMFD);
	assert_int_equal(parse("bz --memory-backing hugetlb"), 0);
	assert_int_equal(config.memory_backing.source, MEMORY_HUGETLB);
	assert_int_equal(config.memory_backing.page_bytes, 0);
	assert_int_equal(parse("bz --memory-backing hugetlb=1G"), 0);
	assert_int_equal(config.memory_backing.page_bytes, GIB);
	assert_int_equal(parse("bz --memory-backing hugetlb=1G --memory-backing anonymous"), 0);
	assert_int_equal(config.memory_backing.source, MEMORY_ANONYMOUS);
}

static void test_command_line(void **state)
{
	(void)state;
	assert_int_equal(parse("bz -p a=1~b -p c -d disk"), 0);
	assert_string_equal(config.command_line,
			    "console=ttyS0 panic=-1 root=/dev/vda rw a=1 b c");
	assert_int_equal(parse("bz -d disk -p x~root=/dev/vdb"), 0);
	assert_null(strstr(config.command_line, "/dev/vda"));
	assert_int_equal(parse("bz -d disk -i rd"), 0);
	assert_null(strstr(config.command_line, "root="));
	assert_int_equal(parse("bz -d disk -p notroot=1"), 0);
	assert_non_null(strstr(config.command_line, "root=/dev/vda"));
	assert_int_equal(parse("bz --console virtio"), 0);
	assert_string_equal(config.command_line, "console=hvc0 panic=-1");
	assert_int_equal(parse("bz --console virtio -d disk -p root=LABEL=x"), 0);
	assert_string_equal(config.command_line, "console=hvc0 panic=-1 root=LABEL=x");
	assert_int_equal(parse("bz -d disk -i rd -p root=LABEL=x"), 0);
	assert_string_equal(config.command_line, "console=ttyS0 panic=-1 root=LABEL=x");
}

static void test_consoles(void **state)
{
	const struct console_options *console;

	(void)state;
	assert_int_equal(parse("bz --console-port name=log,path=out.txt --console-port "
			       "name=second,path=pty"), 0);
	assert_int_equal(config.device_count, 2);
	assert_ptr_equal(config.devices[0].type, &virtio_console);
	assert_false(config.devices[0].terminal);
	console = config.devices[0].options;
	assert_int_equal(console->port_count, 2);
	assert_string_equal(console->ports[1].name, "second");
	assert_false(console->terminal);
	assert_int_equal(parse("bz --console virtio --console-port name=log,path=out.txt"), 0);
	assert_int_equal(config.device_count, 2);
	assert_true(config.devices[0].terminal);
	console = config.devices[0].options;
	assert_true(console->terminal);
}

static void test_refusals(void **state)
{
	static const char *const wrong[] = {
		"", "bz bz2", "-k a -k b", "bz --mem 0", "bz --mem x", "bz --mem 1M", "bz -c 0",
		"bz -c 4097", "bz --bogus", "bz -z", "bz -m", "bz --console vga",
		"bz --reboot maybe", "bz --ring round", "bz --name a/b", "bz --name .a", "bz --name ''",
		"bz --loglevel loud", "bz --stop-timeout x", "bz -d", "bz -d ro", "bz -d a,bogus=1",
		"bz -n mode=bridge", "bz --rng=1", "bz --console-port bogus=1",
		"bz --memory-backing huge", "bz --memory-backing hugetlb=", "bz --memory-backing hugetlb=3M",
		"bz --memory-backing hugetlb=4K", "bz --io-threads 0", "bz --io-threads 257", "bz --io-affinity 1-", "bz --cpu-affinity x",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (parse(wrong[i]) != -EINVAL)
			fail_msg("accepted '%s'", wrong[i]);
}

static void test_says_what_is_wrong(void **state)
{
	static const struct {
		const char *words, *line;
	} wrong[] = {
		{ "bz --trace-boot=yes", "--trace-boot takes no value; leave out '=yes'" },
		{ "bz --rng=foo", "--rng takes no value; leave out '=foo'" },
		{ "bz --nodef=1", "--nodef takes no value; leave out '=1'" },
		{ "bz --io 4", "--io can be --io-threads, --io-affinity, --io-poll-us; write out "
		  "which" },
		{ "bz --io=4", "--io can be --io-threads, --io-affinity, --io-poll-us; write out "
		  "which" },
		{ "bz -m", "-m needs an argument; see 'ringvm run --help'" },
		{ "bz --disk", "--disk needs an argument; see 'ringvm run --help'" },
		{ "bz --bogus", "unknown option '--bogus'; see 'ringvm run --help'" },
		{ "bz --rngs=1", "unknown option '--rngs=1'; see 'ringvm run --help'" },
		{ "bz --=1", "unknown option '--=1'; see 'ringvm run --help'" },
		{ "bz -z", "unknown option '-z'; see 'ringvm run --help'" },
	};
	char line[160];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(line, sizeof(line), "ringvm: run: %s\n", wrong[i].line);
		message_begin();
		assert_int_equal(parse(wrong[i].words), -EINVAL);
		assert_true(message_end(line));
	}
}

/* Options of one architecture are no unknown ones on another. */
static void test_other_architecture(void **state)
{
	const char *here = machine_options_architecture(arch_options.keys->name,
							strlen(arch_options.keys->name));
	const char *words = "bz --pvh=on", *line = "run: --pvh is there on x86-64 only; leave it out";

	(void)state;
	assert_non_null(here);
	for (const struct option_key *key = arch_options.keys; key->name; key++)
		assert_string_equal(machine_options_architecture(key->name, strlen(key->name)),
				    here);
	if (!strcmp(here, "x86-64")) {
		words = "bz --pmu on";
		line = "run: --pmu is there on arm64 only; leave it out";
	}
	message_begin();
	assert_int_equal(parse(words), -EINVAL);
	assert_true(message_end(line));
	assert_null(machine_options_architecture("pm", 2));
	assert_null(machine_options_architecture("", 0));
}

static void test_bus_has_a_last_slot(void **state)
{
	char line[64 + 5 * MACHINE_DEVICES_MAX] = "bz --nodefaults";

	(void)state;
	for (int i = 0; i < MACHINE_DEVICES_MAX; i++)
		strcat(line, " -d x");
	assert_int_equal(parse(line), 0);
	strcat(line, " -d x");
	assert_int_equal(parse(line), -ENOSPC);
	strcpy(line, "bz");
	for (int i = 0; i < CONSOLE_PORT_OPTIONS_MAX; i++)
		strcat(line, " --console-port path=x");
	assert_int_equal(parse(line), 0);
	strcat(line, " --console-port path=x");
	assert_true(parse(line) < 0);
}

static void test_help_fits_a_screen(void **state)
{
	static const char *const topics[] = { NULL, "disk", "network", "console-port", "tuning",
						"arch" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(topics); i++) {
		char *text = NULL, *end;
		size_t size = 0, lines = 0;
		FILE *out = open_memstream(&text, &size);

		assert_true(machine_options_help(out, topics[i]));
		fclose(out);
		for (char *line = text; (end = strchr(line, '\n')); line = end + 1, lines++)
			if (end - line > 100)
				fail_msg("too wide: %.*s", (int)(end - line), line);
		assert_in_range(lines, 3, 24);
		free(text);
	}
	assert_false(machine_options_help(stdout, "bogus"));
	assert_false(machine_options_help(stdout, "rng"));
	assert_false(machine_options_help(stdout, "console")); /* --console-port has its keys */
}

/* README names those that the overview leaves to "tuning". */
static void test_help_on_tuning(void **state)
{
	static const char *const tuning[] = {
		" --cpu-affinity ", " --io-affinity ", " --io-threads ", " --memory-backing ",
		" --io-poll-us ", " --ring ",
	};
	char *text[2] = { NULL };
	size_t size, lines = 0;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		FILE *out = open_memstream(&text[i], &size);

		assert_true(machine_options_help(out, i ? "tuning" : NULL));
		fclose(out);
	}
	for (size_t i = 0; i < ARRAY_SIZE(tuning); i++) {
		assert_null(strstr(text[0], tuning[i]));
		assert_non_null(strstr(text[1], tuning[i]));
	}
	for (const char *at = text[1]; (at = strstr(at, " --")); at++)
		lines++;
	assert_int_equal(lines, ARRAY_SIZE(tuning));
	free(text[0]);
	free(text[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_defaults, teardown),
		cmocka_unit_test_teardown(test_nodefaults, teardown),
		cmocka_unit_test_teardown(test_arch_options, teardown),
		cmocka_unit_test_teardown(test_rng_is_there_once, teardown),
		cmocka_unit_test_teardown(test_devices_keep_their_order, teardown),
		cmocka_unit_test_teardown(test_plain_options, teardown),
		cmocka_unit_test_teardown(test_threads, teardown),
		cmocka_unit_test_teardown(test_memory_backing, teardown),
		cmocka_unit_test_teardown(test_command_line, teardown),
		cmocka_unit_test_teardown(test_consoles, teardown),
		cmocka_unit_test_teardown(test_refusals, teardown),
		cmocka_unit_test_teardown(test_says_what_is_wrong, teardown),
		cmocka_unit_test_teardown(test_other_architecture, teardown),
		cmocka_unit_test_teardown(test_bus_has_a_last_slot, teardown),
		cmocka_unit_test(test_help_fits_a_screen),
		cmocka_unit_test(test_help_on_tuning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
