// SPDX-License-Identifier: MIT
/*
 * The words of `ringvm run`: any text, and known words in any order and with
 * any value. They are refused with -EINVAL or another clear error, or make a
 * machine whose numbers are within their bounds; the same words make the same
 * machine; nothing leaks. Numbers and sizes are held against a reading of their
 * own, and no device takes a key twice, of what the last word says. The first word
 * is a topic to ask for help with, as well.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/option.h"
#include "machine/config.h"
#include "machine/device_types.h"
#include "machine/options.h"
#include "tests/fuzz/fuzz.h"
#include "virtio/console.h"

#define TEXT_BYTES 4096
#define WORDS_MAX 320 /* more than there is room for devices */

/* A byte from 128 on stands for one of these; a newline ends a word. */
static const char *const known[] = {
	"--kernel", "-k", "--initrd", "-i", "--params", "-p", "--mem", "-m", "--cpus", "-c",
	"--console", "--console-port", "--reboot", "--ring", "--stop-timeout", "--sandbox",
	"--user", "--io-poll-us", "--name", "--nodefaults", "--loglevel", "--dev", "--disk",
	"-d", "--network", "-n", "--rng", "--", "--ker", "--console=", "serial", "virtio", "on",
	"off", "log", "exit", "restart", "split", "packed", "error", "debug", "path=", "name=",
	"readonly", "ro", "cache=", "direct", "queues=", "mode=", "tap", "fd=", "mac=",
	"02:00:00:00:00:01", "ifname=", "trans=", "root=", "serial=", "discard", "size=", "pty",
	"unix:/tmp/x", "/dev/null", "a.img", ",,", "512M", "4G", "0x10", "4096",
	"18446744073709551615", "18446744073709551616", "16777216T", "kernel", "\n-", "\n--",
	"=on", "=off", ",", "=",
};

/* ---- The words ---- */

static int words_make(struct fuzz_input *input, char *text, char **words)
{
	size_t length = 0;
	int count = 1;
	char *word = text;

	words[0] = (char *)"run";
	while (fuzz_more(input) && length < TEXT_BYTES - 64) {
		uint8_t byte = fuzz_u8(input);
		const char *added = known[byte % (sizeof(known) / sizeof(known[0]))];

		if (byte < 128)
			text[length++] = (char)byte;
		else
			length += strlen(strcpy(text + length, added));
	}
	text[length] = '\0';
	for (; count < WORDS_MAX && word; count++) {
		words[count] = word;
		word = strchr(word, '\n');
		if (word)
			*word++ = '\0';
	}
	words[count] = NULL;
	return count;
}

static int parse(struct machine_config *config, int count, char *const *words)
{
	char *own[WORDS_MAX + 1];
	int error;

	/* The reader puts them into another order. */
	memcpy(own, words, sizeof(own));
	fuzz_check(!machine_config_init(config));
	error = machine_options_parse(config, count, own);
	return error ? error : machine_config_complete(config);
}

/* ---- What a machine is ---- */

static void check_name(const char *name)
{
	fuzz_check(name && *name && *name != '.' && strlen(name) <= MACHINE_NAME_MAX);
	for (; *name; name++)
		fuzz_check(isalnum((unsigned char)*name) || strchr("._-+", *name));
}

static void check_devices(const struct machine_config *config)
{
	unsigned terminals = 0;

	fuzz_check(config->device_count <= MACHINE_DEVICES_MAX);
	for (unsigned i = 0; i < config->device_count; i++) {
		const struct device_config *device = &config->devices[i];

		fuzz_check(device->type && device->options);
		fuzz_check(strnlen(device->name, sizeof(device->name)) < sizeof(device->name));
		terminals += device->terminal;
		for (unsigned j = 0; j < i; j++)
			fuzz_check(strcmp(device->name, config->devices[j].name));
		for (const struct option_key *key = device->type->keys; key && key->name; key++)
			if (key->kind == OPTION_UINT && key->maximum &&
			    *(unsigned *)((char *)device->options + key->offset))
				fuzz_check(*(unsigned *)((char *)device->options + key->offset) <=
					   key->maximum);
	}
	fuzz_check(terminals == (config->console == MACHINE_CONSOLE_VIRTIO));
}

static void check_machine(const struct machine_config *config)
{
	check_name(config->name);
	check_devices(config);
	fuzz_check(config->kernel_path && *config->kernel_path);
	fuzz_check(config->dev_path && *config->dev_path);
	fuzz_check(!config->initrd_path || *config->initrd_path);
	fuzz_check(!config->user || *config->user);
	fuzz_check(config->vcpu_count >= 1 && config->vcpu_count <= 4096);
	fuzz_check(config->memory_bytes >= 2 * 1024 * 1024 && config->memory_bytes % 65536 == 0);
	fuzz_check(config->stop_timeout_s <= 86400 && config->io_poll_us <= 1000);
	fuzz_check(config->console <= MACHINE_CONSOLE_VIRTIO);
	fuzz_check(config->sandbox <= MACHINE_SANDBOX_LOG);
	fuzz_check(config->command_line);
	fuzz_check(!config->parameters || strstr(config->command_line, config->parameters));
	if (config->no_defaults)
		fuzz_check(!strcmp(config->command_line,
				   config->parameters ? config->parameters : ""));
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void check_same(const struct machine_config *a, const struct machine_config *b)
{
	fuzz_check(same_text(a->name, b->name) && same_text(a->kernel_path, b->kernel_path));
	fuzz_check(same_text(a->command_line, b->command_line));
	fuzz_check(a->memory_bytes == b->memory_bytes && a->vcpu_count == b->vcpu_count);
	fuzz_check(a->device_count == b->device_count && a->no_defaults == b->no_defaults);
	for (unsigned i = 0; i < a->device_count; i++)
		fuzz_check(!strcmp(a->devices[i].name, b->devices[i].name));
}

/* ---- Numbers ---- */

/* The digits at the front of `text` in 128 bits; how many there are. */
static size_t digits(const char *text, unsigned base, unsigned __int128 *number)
{
	static const char letters[] = "0123456789abcdef";
	size_t count = 0;

	for (*number = 0; text[count]; count++) {
		const char *letter = strchr(letters, tolower((unsigned char)text[count]));

		if (!letter || (unsigned)(letter - letters) >= base)
			break;
		if (*number <= UINT64_MAX)
			*number = *number * base + (unsigned)(letter - letters);
	}
	return count;
}

static void check_uint(const char *text, uint64_t minimum, uint64_t maximum)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	unsigned __int128 number;
	uint64_t value = 0;
	int error = option_uint_parse(text, minimum, maximum, &value);
	size_t count = digits(hex ? text + 2 : text, hex ? 16 : 10, &number);

	if (!count || (hex ? text + 2 : text)[count])
		fuzz_check(error == -EINVAL || error == -ERANGE);
	else if (number < minimum || number > maximum)
		fuzz_check(error == -ERANGE);
	else
		fuzz_check(!error && value == (uint64_t)number);
}

static void check_size(const char *text)
{
	static const char suffixes[] = "BKMGT";
	unsigned __int128 number;
	uint64_t bytes = 0;
	int error = option_size_parse(text, 1024, &bytes);
	size_t count = digits(text, 10, &number);
	const char *suffix = count && text[count] ? strchr(suffixes, toupper(text[count])) : NULL;

	if (!count || (text[count] && !suffix)) {
		fuzz_check(error);
	} else if (!text[count] || !text[count + 1]) {
		number *= suffix ? (uint64_t)1 << (10 * (suffix - suffixes)) : 1024;
		fuzz_check(number > UINT64_MAX ? error == -ERANGE :
						 !error && bytes == (uint64_t)number);
	}
}

/* ---- Keys ---- */

/*
 * What a device takes once it does not take twice: each key of it is there again,
 * unless commas at the front become part of the value before them.
 */
static void check_once(const struct option_key *keys, size_t options_size, const char *text)
{
	void *options = calloc(1, options_size);
	char *twice = NULL;

	fuzz_check(options);
	if (*text && *text != ',' && !options_parse("--device", text, keys, options)) {
		options_free(keys, options);
		memset(options, 0, options_size);
		fuzz_check(asprintf(&twice, "%s,%s", text, text) >= 0);
		fuzz_check(options_parse("--device", twice, keys, options) == -EINVAL);
	}
	options_free(keys, options);
	free(options);
	free(twice);
}

static void check_keys(const char *text)
{
	for (unsigned i = 0; device_types[i]; i++)
		if (device_types[i]->keys)
			check_once(device_types[i]->keys, device_types[i]->options_size, text);
	check_once(console_port_keys, sizeof(struct console_port_options), text);
}

/* ---- Help ---- */

/* An unknown topic is one that nothing is said of. */
static void check_help(const char *topic)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	bool told;

	fuzz_check(out);
	told = machine_options_help(out, *topic ? topic : NULL);
	fuzz_check(!fclose(out) && told == !!bytes);
	free(text);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = fuzz_input(data, size);
	char *words[WORDS_MAX + 1], text[TEXT_BYTES];
	struct machine_config first, second;
	int count, error;

	log_set_level(LOG_LEVEL_ERROR);
	count = words_make(&input, text, words);
	error = parse(&first, count, words);
	fuzz_check(error <= 0);
	if (!error)
		check_machine(&first);
	fuzz_check(parse(&second, count, words) == error);
	if (!error)
		check_same(&first, &second);
	machine_config_destroy(&second);
	machine_config_destroy(&first);
	check_help(words[1]);
	for (int i = 1; i < count; i++) {
		check_uint(words[i], size % 5, UINT64_MAX >> size % 64);
		check_size(words[i]);
	}
	check_keys(words[count - 1]);
	return 0;
}
