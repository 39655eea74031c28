// SPDX-License-Identifier: MIT
/*
 * Reads the words of `ringvm run` into a machine_config, and shows what they
 * are. Plain options stand in the table below; the architecture and each device
 * type bring their own.
 */
#include "machine/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"
#include "core/arch.h"
#include "machine/device_types.h"
#include "virtio/console.h"

#define OPTIONS_MAX 48

struct run_option {
	const char *name;
	char letter;
	const char *argument; /* NULL: takes none */
	/* `value` is NULL for an option without an argument. 0 or a failure, logged. */
	int (*apply)(struct machine_config *config, const char *value);
	const char *help;
	bool tuning; /* help has it under its topic "tuning" */
};

static int string_set(char **field, const char *what, const char *value)
{
	if (!*value)
		return fail(EINVAL, "--%s: expected a value", what);
	free(*field);
	*field = strdup(value);
	return *field ? 0 : fail_host(ENOMEM, "--%s: out of memory", what);
}

static int kernel_set(struct machine_config *config, const char *value)
{
	if (config->kernel_path)
		return fail(EINVAL, "run: two kernels given, %s and %s; name one",
			    config->kernel_path, value);
	return string_set(&config->kernel_path, "kernel", value);
}

static int initrd_set(struct machine_config *config, const char *value)
{
	return string_set(&config->initrd_path, "initrd", value);
}

/* Given more than once, as a script that wraps ringvm does, they add up. */
static int params_add(struct machine_config *config, const char *value)
{
	char *joined;

	if (!config->parameters)
		return (config->parameters = strdup(value)) ?
			       0 : fail_host(ENOMEM, "--params: out of memory");
	if (asprintf(&joined, "%s %s", config->parameters, value) < 0)
		return fail_host(ENOMEM, "--params: out of memory");
	free(config->parameters);
	config->parameters = joined;
	return 0;
}

static int mem_set(struct machine_config *config, const char *value)
{
	if (option_size_parse(value, MIB, &config->memory_bytes))
		return fail(EINVAL, "--mem: '%s': expected a size such as 512M or 4G (a bare "
			    "number is in MiB)", value);
	return 0;
}

/* Page sizes are powers of two; which ones there are, the host knows. */
static int memory_backing_set(struct machine_config *config, const char *value)
{
	struct memory_backing *backing = &config->memory_backing;
	const char *size = strncmp(value, "hugetlb=", 8) ? NULL : value + 8;

	*backing = (struct memory_backing){ MEMORY_ANONYMOUS };
	if (!strcmp(value, "memfd"))
		backing->source = MEMORY_MEMFD;
	else if (size || !strcmp(value, "hugetlb"))
		backing->source = MEMORY_HUGETLB;
	else if (strcmp(value, "anonymous"))
		return fail(EINVAL, "--memory-backing: '%s': expected anonymous, memfd, hugetlb or "
			    "hugetlb=SIZE", value);
	if (size && (option_size_parse(size, 1, &backing->page_bytes) ||
		     backing->page_bytes < 64 * KIB ||
		     !is_power_of_two(backing->page_bytes)))
		return fail(EINVAL, "--memory-backing: '%s': expected the size of a huge page, "
			    "such as 2M or 1G", size);
	return 0;
}

static int cpus_set(struct machine_config *config, const char *value)
{
	uint64_t count;

	if (option_uint_parse(value, 1, 4096, &count))
		return fail(EINVAL, "--cpus: '%s': expected a number from 1 to 4096", value);
	config->vcpu_count = (unsigned)count;
	return 0;
}

static int name_set(struct machine_config *config, const char *value)
{
	return string_set(&config->name, "name", value);
}

static int console_set(struct machine_config *config, const char *value)
{
	if (!strcmp(value, "serial"))
		config->console = MACHINE_CONSOLE_SERIAL;
	else if (!strcmp(value, "virtio"))
		config->console = MACHINE_CONSOLE_VIRTIO;
	else
		return fail(EINVAL, "--console: '%s': expected serial or virtio", value);
	return 0;
}

static int reboot_set(struct machine_config *config, const char *value)
{
	if (!strcmp(value, "exit"))
		config->reboot = MACHINE_REBOOT_EXIT;
	else if (!strcmp(value, "restart"))
		config->reboot = MACHINE_REBOOT_RESTART;
	else
		return fail(EINVAL, "--reboot: '%s': expected exit or restart", value);
	return 0;
}

static int sandbox_set(struct machine_config *config, const char *value)
{
	if (!strcmp(value, "on"))
		config->sandbox = MACHINE_SANDBOX_ON;
	else if (!strcmp(value, "off"))
		config->sandbox = MACHINE_SANDBOX_OFF;
	else if (!strcmp(value, "log"))
		config->sandbox = MACHINE_SANDBOX_LOG;
	else
		return fail(EINVAL, "--sandbox: '%s': expected on, off or log", value);
	return 0;
}

static int user_set(struct machine_config *config, const char *value)
{
	return string_set(&config->user, "user", value);
}

static int ring_set(struct machine_config *config, const char *value)
{
	if (!strcmp(value, "split"))
		config->packed_ring = false;
	else if (!strcmp(value, "packed"))
		config->packed_ring = true;
	else
		return fail(EINVAL, "--ring: '%s': expected split or packed", value);
	return 0;
}

static int stop_timeout_set(struct machine_config *config, const char *value)
{
	uint64_t seconds;

	if (option_uint_parse(value, 0, 86400, &seconds))
		return fail(EINVAL, "--stop-timeout: '%s': expected seconds, 0 to 86400", value);
	config->stop_timeout_s = (unsigned)seconds;
	return 0;
}

static int io_poll_us_set(struct machine_config *config, const char *value)
{
	uint64_t us;

	if (option_uint_parse(value, 0, 1000, &us))
		return fail(EINVAL, "--io-poll-us: '%s': expected microseconds, 0 to 1000", value);
	config->io_poll_us = (unsigned)us;
	return 0;
}

static int io_threads_set(struct machine_config *config, const char *value)
{
	uint64_t count;

	if (option_uint_parse(value, 1, 256, &count))
		return fail(EINVAL, "--io-threads: '%s': expected a number from 1 to 256", value);
	config->io_threads = (unsigned)count;
	return 0;
}

static int processors_set(struct cpu_list *list, const char *what, const char *value)
{
	return cpu_list_parse(list, value) ?
		       fail(EINVAL, "--%s: '%s': expected the host's processors, such as 0,4-7",
			    what, value) : 0;
}

static int io_affinity_set(struct machine_config *config, const char *value)
{
	return processors_set(&config->io_processors, "io-affinity", value);
}

static int cpu_affinity_set(struct machine_config *config, const char *value)
{
	return processors_set(&config->cpu_processors, "cpu-affinity", value);
}

static int trace_boot_set(struct machine_config *config, const char *value)
{
	(void)value;
	config->trace_boot = true;
	return 0;
}

static int nodefaults_set(struct machine_config *config, const char *value)
{
	(void)value;
	config->no_defaults = true;
	return 0;
}

static int loglevel_set(struct machine_config *config, const char *value)
{
	static const char *const levels[] = { "error", "warning", "info", "debug" };

	(void)config;
	for (unsigned i = 0; i < ARRAY_SIZE(levels); i++) {
		if (!strcmp(value, levels[i])) {
			log_set_level((enum log_level)i);
			return 0;
		}
	}
	return fail(EINVAL, "--loglevel: '%s': expected error, warning, info or debug", value);
}

static int dev_set(struct machine_config *config, const char *value)
{
	return string_set(&config->dev_path, "dev", value);
}

static const struct run_option plain_options[] = {
	{ "kernel", 'k', "FILE", kernel_set, "what to boot; also the first bare word" },
	{ "initrd", 'i', "FILE", initrd_set, "initial RAM disk" },
	{ "params", 'p', "TEXT", params_add, "kernel parameters, after the default ones" },
	{ "mem", 'm', "SIZE", mem_set, "memory: 512M (default), 4G; bare numbers are MiB" },
	{ "cpus", 'c', "N", cpus_set, "virtual processors; 1 (default)" },
	{ "console", 0, "KIND", console_set, "on this terminal: serial (ttyS0, default) or "
	  "virtio (hvc0)" },
	{ "console-port", 0, "PORT", machine_config_add_console_port,
	  "another console or channel: name=N,path=P" },
	{ "reboot", 0, "WHAT", reboot_set, "when the guest resets: exit (default) or restart" },
	{ "stop-timeout", 0, "SEC", stop_timeout_set,
	  "from power button to power cut; 10 (default)" },
	{ "sandbox", 0, "on|off|log", sandbox_set,
	  "give up what a run does not need; on (default)" },
	{ "user", 0, "NAME", user_set, "as root: run the guest as this user" },
	{ "name", 0, "NAME", name_set, "for ringvm stop and list; guest-PID (default)" },
	{ "nodefaults", 0, NULL, nodefaults_set, "no rng device, no kernel parameters of ours" },
	{ "trace-boot", 0, NULL, trace_boot_set, "say at the end when what was reached" },
	{ "loglevel", 0, "LEVEL", loglevel_set, "error, warning, info (default) or debug" },
	{ "dev", 0, "PATH", dev_set, "the KVM device; /dev/kvm (default)" },
	{ "cpu-affinity", 0, "LIST", cpu_affinity_set,
	  "processors of the host, one a virtual processor: 0,4-7", true },
	{ "memory-backing", 0, "KIND", memory_backing_set,
	  "anonymous (default), memfd, hugetlb or hugetlb=SIZE of a page", true },
	{ "io-threads", 0, "N", io_threads_set,
	  "at most N threads serve all devices; else each disk and tap own ones", true },
	{ "io-affinity", 0, "LIST", io_affinity_set,
	  "processors of the host, one a thread that serves devices", true },
	{ "io-poll-us", 0, "US", io_poll_us_set,
	  "how long to look for requests before sleeping; 50 (default)", true },
	{ "ring", 0, "FORMAT", ring_set,
	  "of the queues: split (default), packed if the guest can", true },
};

static unsigned arch_option_count(void)
{
	unsigned count = 0;

	while (arch_options.keys[count].name)
		count++;
	return count;
}

/* In getopt's terms: val is an index, plain options first, the architecture's, then types. */
struct option_list {
	struct option longs[OPTIONS_MAX];
	char letters[2 * OPTIONS_MAX + 4];
	int index_of_letter[128];
	unsigned count;
};

enum { VALUE_BASE = 1000 };

static void list_add(struct option_list *list, const char *name, char letter, bool argument,
		     unsigned index)
{
	size_t length = strlen(list->letters);

	list->longs[list->count++] = (struct option){
		name, argument ? required_argument : no_argument, NULL, VALUE_BASE + (int)index
	};
	if (!letter)
		return;
	list->index_of_letter[(unsigned char)letter] = VALUE_BASE + (int)index;
	list->letters[length++] = letter;
	if (argument)
		list->letters[length++] = ':';
}

/* "-": a bare word comes as option 1, in its place; ":": a missing argument as ':'. */
static void list_fill(struct option_list *list)
{
	unsigned index = 0;

	*list = (struct option_list){ .letters = "-:" };
	for (unsigned i = 0; i < ARRAY_SIZE(plain_options); i++, index++)
		list_add(list, plain_options[i].name, plain_options[i].letter,
			 plain_options[i].argument, index);
	for (unsigned i = 0; i < arch_option_count(); i++, index++)
		list_add(list, arch_options.keys[i].name, 0, true, index);
	for (unsigned i = 0; device_types[i]; i++, index++)
		if (device_types[i]->option)
			list_add(list, device_types[i]->option, device_types[i]->option_letter,
				 device_types[i]->keys, index);
}

static int option_apply(struct machine_config *config, unsigned index, const char *value)
{
	if (index < ARRAY_SIZE(plain_options))
		return plain_options[index].apply(config, value);
	index -= ARRAY_SIZE(plain_options);
	if (index < arch_option_count())
		return option_set(&arch_options.keys[index], value, config->arch_options);
	return machine_config_add_device(config, device_types[index - arch_option_count()], value);
}

const char *machine_options_architecture(const char *name, size_t length)
{
	static const struct {
		const char *name, *architecture;
	} options[] = {
		{ "dump-dtb", "arm64" }, { "irqchip", "arm64" }, { "mte", "arm64" },
		{ "pauth", "arm64" },	 { "pmu", "arm64" },	 { "pvh", "x86-64" },
		{ "steal-time", "arm64" }, { "sve", "arm64" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (strlen(options[i].name) == length && !strncmp(options[i].name, name, length))
			return options[i].architecture;
	return NULL;
}

/* Those of this architecture are known, and are not refused with '?'. */
static int word_refuse(const char *word, int value, const struct option *longs)
{
	const char *name = strncmp(word, "--", 2) ? "" : word + 2;
	size_t length = strcspn(name, "=");
	const char *other = machine_options_architecture(name, length);

	if (value == '?' && other)
		return fail(EINVAL, "run: --%.*s is there on %s only; leave it out", (int)length,
			    name, other);
	return option_refuse("run", word, value, longs);
}

int machine_options_parse(struct machine_config *config, int argc, char **argv)
{
	struct option_list list;
	int error = 0, value, word = 1;

	list_fill(&list);
	opterr = 0;
	optind = 0; /* begins anew, in the middle of a word as well */
	while (!error && (value = getopt_long(argc, argv, list.letters, list.longs, NULL)) != -1) {
		if (value == 1)
			error = kernel_set(config, optarg);
		else if (value == ':' || value == '?')
			error = word_refuse(argv[word], value, list.longs);
		else
			error = option_apply(config,
					     (unsigned)(value < 128 ? list.index_of_letter[value] :
								      value) - VALUE_BASE,
					     optarg);
		word = optind;
	}
	while (!error && optind < argc)
		error = kernel_set(config, argv[optind++]);
	return error;
}

static void help_line(FILE *out, char letter, const char *name, const char *argument,
		      const char *help)
{
	char letters[4] = "";
	char words[32];

	if (letter)
		snprintf(letters, sizeof(letters), "-%c,", letter);
	snprintf(words, sizeof(words), "--%s %s", name, argument ? argument : "");
	fprintf(out, "  %-3s %-20s %s\n", letters, words, help);
}

static const char *argument_word(const struct option_key *key)
{
	switch (key->kind) {
	case OPTION_FLAG:
		return "on|off";
	case OPTION_CHOICE:
		return "KIND";
	case OPTION_STRING:
		return "FILE";
	default:
		return "N";
	}
}

/* The console's: what there is to say of it stands with --console and --console-port. */
static bool is_plain_option(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(plain_options); i++)
		if (!strcmp(plain_options[i].name, name))
			return true;
	return false;
}

static void help_plain(FILE *out, bool tuning)
{
	for (unsigned i = 0; i < ARRAY_SIZE(plain_options); i++)
		if (plain_options[i].tuning == tuning)
			help_line(out, plain_options[i].letter, plain_options[i].name,
				  plain_options[i].argument, plain_options[i].help);
}

/* Of a plain option the keys are not what stands behind it. */
static bool has_topic(const struct virtio_type *type)
{
	return type->option && type->keys && !is_plain_option(type->option);
}

static void help_overview(FILE *out)
{
	fprintf(out, "usage: ringvm run [KERNEL] [options]\n\n");
	help_plain(out, false);
	for (unsigned i = 0; device_types[i]; i++)
		if (device_types[i]->option && !is_plain_option(device_types[i]->option))
			help_line(out, device_types[i]->option_letter, device_types[i]->option,
				  device_types[i]->keys ? "..." : NULL,
				  device_types[i]->option_help);
	fprintf(out, "More: ringvm run --help=tuning, =arch, =console-port");
	for (unsigned i = 0; device_types[i]; i++)
		if (has_topic(device_types[i]))
			fprintf(out, ", =%s", device_types[i]->option);
	fprintf(out, "\n");
}

static void help_tuning(FILE *out)
{
	fprintf(out, "Options of ringvm run that trade one cost for another:\n\n");
	help_plain(out, true);
}

static void help_arch(FILE *out)
{
	fprintf(out, "Options of ringvm run that only this architecture has:\n\n");
	for (const struct option_key *key = arch_options.keys; key->name; key++)
		help_line(out, 0, key->name, argument_word(key), key->help);
}

static void help_keys(FILE *out, const char *option, const struct option_key *keys)
{
	fprintf(out, "usage: ringvm run --%s KEY=VALUE,...", option);
	for (const struct option_key *key = keys; key->name; key++)
		if (key->positional)
			fprintf(out, "   (%s's value may stand first, without the key)",
				key->name);
	fprintf(out, "\n\n");
	for (const struct option_key *key = keys; key->name; key++)
		fprintf(out, "  %-12s %s\n", key->name, key->help);
}

bool machine_options_help(FILE *out, const char *topic)
{
	const struct virtio_type *type;

	if (!topic) {
		help_overview(out);
		return true;
	}
	if (!strcmp(topic, "tuning")) {
		help_tuning(out);
		return true;
	}
	if (!strcmp(topic, "arch")) {
		help_arch(out);
		return true;
	}
	if (!strcmp(topic, "console-port")) {
		help_keys(out, topic, console_port_keys);
		return true;
	}
	type = device_type_of_option(topic);
	if (!type || !has_topic(type))
		return false;
	help_keys(out, topic, type->keys);
	return true;
}
