// SPDX-License-Identifier: MIT
/*
 * The reader of "value,key=value,flag" strings. It knows kinds of values, not
 * what they are for; and why a whole word is refused. Control thread, before the
 * machine exists.
 */
#include "base/option.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/log.h"

int option_uint_parse(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *value)
{
	char *end;
	unsigned long long number;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, text[0] == '0' && tolower(text[1]) == 'x' ? 16 : 10);
	if (*end)
		return -EINVAL;
	if (errno || number < minimum || number > maximum)
		return -ERANGE;
	*value = number;
	return 0;
}

int option_size_parse(const char *text, uint64_t unit, uint64_t *bytes)
{
	static const char suffixes[] = "BKMGT";
	const char *suffix;
	char *end;
	unsigned long long number;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	if (*end) {
		suffix = strchr(suffixes, toupper((unsigned char)*end));
		if (!suffix || !*suffix || (end[1] && strcasecmp(end + 1, "B") &&
					    strcasecmp(end + 1, "iB")))
			return -EINVAL;
		unit = UINT64_C(1) << (10 * (suffix - suffixes));
	}
	if (__builtin_mul_overflow((uint64_t)number, unit, bytes))
		return -ERANGE;
	return 0;
}

static int mac_parse(const char *text, struct option_mac *mac)
{
	unsigned byte[6];
	int length = 0;

	/* sscanf() would take blanks and signs as well. */
	if (text[strspn(text, "0123456789abcdefABCDEF:")])
		return -EINVAL;
	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &byte[0], &byte[1], &byte[2], &byte[3],
		   &byte[4], &byte[5], &length) != 6 || text[length])
		return -EINVAL;
	/* A multicast address is no station's, nor is the one that drivers take for none. */
	if ((byte[0] & 1) || !(byte[0] | byte[1] | byte[2] | byte[3] | byte[4] | byte[5]))
		return -EINVAL;
	for (int i = 0; i < 6; i++)
		mac->address[i] = (uint8_t)byte[i];
	mac->given = true;
	return 0;
}

static int choice_parse(const char *text, const char *const *choices, unsigned *index)
{
	for (unsigned i = 0; choices[i]; i++) {
		if (!strcmp(text, choices[i])) {
			*index = i;
			return 0;
		}
	}
	return -EINVAL;
}

static void *field_of(const struct option_key *key, void *options)
{
	return (char *)options + key->offset;
}

static int value_parse(const struct option_key *key, const char *value, void *field)
{
	uint64_t maximum = key->maximum ? key->maximum : UINT64_MAX;
	uint64_t number;
	int error;

	switch (key->kind) {
	case OPTION_STRING:
		free(*(char **)field);
		*(char **)field = strdup(value);
		return *(char **)field ? (*value ? 0 : -EINVAL) : -ENOMEM;
	case OPTION_FLAG:
		*(bool *)field = !strcmp(value, "on");
		return *(bool *)field || !strcmp(value, "off") ? 0 : -EINVAL;
	case OPTION_UINT:
		error = option_uint_parse(value, key->minimum, min_u64(maximum, UINT_MAX), &number);
		if (!error)
			*(unsigned *)field = (unsigned)number;
		return error;
	case OPTION_INT_FD:
		error = option_uint_parse(value, 0, INT_MAX, &number);
		if (!error)
			*(int *)field = (int)number;
		return error;
	case OPTION_SIZE:
		error = option_size_parse(value, 1, &number);
		if (!error && (number < key->minimum || number > maximum))
			error = -ERANGE;
		if (!error)
			*(uint64_t *)field = number;
		return error;
	case OPTION_CHOICE:
		return choice_parse(value, key->choices, field);
	case OPTION_MAC:
		return mac_parse(value, field);
	}
	return -EINVAL;
}

static void choices_print(const struct option_key *key, char *text, size_t size)
{
	size_t length = 0;

	for (unsigned i = 0; key->choices[i] && length < size; i++)
		length += (size_t)snprintf(text + length, size - length, "%s%s", i ? ", " : "",
					   key->choices[i]);
}

/* What would have been right. */
static void expected_print(const struct option_key *key, char *expected, size_t size)
{
	switch (key->kind) {
	case OPTION_STRING:
		snprintf(expected, size, "a value");
		break;
	case OPTION_FLAG:
		snprintf(expected, size, "on or off");
		break;
	case OPTION_UINT:
	case OPTION_INT_FD:
		if (key->maximum)
			snprintf(expected, size, "a number from %llu to %llu",
				 (unsigned long long)key->minimum,
				 (unsigned long long)key->maximum);
		else
			snprintf(expected, size, "a number");
		break;
	case OPTION_SIZE:
		snprintf(expected, size, "a size such as 512M or 2G");
		break;
	case OPTION_CHOICE:
		snprintf(expected, size, "one of ");
		choices_print(key, expected + 7, size - 7);
		break;
	case OPTION_MAC:
		snprintf(expected, size, "a station's address such as 02:00:00:00:00:01");
		break;
	}
}

static int value_refuse(const char *what, const struct option_key *key, const char *value)
{
	char expected[256] = "";

	expected_print(key, expected, sizeof(expected));
	return fail(EINVAL, "%s: %s=%s: expected %s", what, key->name, value, expected);
}

int option_set(const struct option_key *key, const char *value, void *options)
{
	int error = value_parse(key, value, field_of(key, options));
	char expected[256] = "";

	if (error == -ENOMEM)
		return fail_host(ENOMEM, "--%s: out of memory", key->name);
	if (!error)
		return 0;
	expected_print(key, expected, sizeof(expected));
	return fail(EINVAL, "--%s: '%s': expected %s", key->name, value, expected);
}

static const struct option_key *key_find(const struct option_key *keys, const char *name)
{
	for (; keys->name; keys++)
		if (!strcmp(keys->name, name))
			return keys;
	return NULL;
}

static const struct option_key *key_positional(const struct option_key *keys)
{
	for (; keys->name; keys++)
		if (keys->positional)
			return keys;
	return NULL;
}

static int key_refuse(const char *what, const char *name, const struct option_key *keys)
{
	char known[512] = "";
	size_t length = 0;

	for (; keys->name && length < sizeof(known); keys++)
		length += (size_t)snprintf(known + length, sizeof(known) - length, " %s",
					   keys->name);
	return fail(EINVAL, "%s: unknown key '%s'; it knows:%s", what, name, known);
}

/* Which long options `name` may be short for; all but one are printed behind each other. */
static unsigned longs_like(const char *name, size_t length, const struct option *longs, char *text,
			   size_t size)
{
	const struct option *first = longs, *same;
	unsigned count = 0;
	size_t printed = 0;

	text[0] = '\0';
	for (; longs->name; longs++) {
		/* One may be there for itself and for a device. */
		for (same = first; strcmp(same->name, longs->name); same++)
			;
		if (same != longs || strncmp(longs->name, name, length))
			continue;
		if (!longs->name[length])
			return 1;
		if (printed < size)
			printed += (size_t)snprintf(text + printed, size - printed, "%s--%s",
						    count ? ", " : "", longs->name);
		count++;
	}
	return count;
}

int option_refuse(const char *command, const char *word, int value, const struct option *longs)
{
	bool is_long = !strncmp(word, "--", 2);
	size_t length = is_long ? strcspn(word + 2, "=") : 0;
	unsigned count;
	char like[256];

	if (value == ':')
		return fail(EINVAL, "%s: %s needs an argument; see 'ringvm %s --help'", command,
			    word, command);
	count = length ? longs_like(word + 2, length, longs, like, sizeof(like)) : 0;
	if (count > 1)
		return fail(EINVAL, "%s: %.*s can be %s; write out which", command,
			    (int)length + 2, word, like);
	if (count)
		return fail(EINVAL, "%s: %.*s takes no value; leave out '%s'", command,
			    (int)length + 2, word, word + 2 + length);
	return fail(EINVAL, "%s: unknown option '%s'; see 'ringvm %s --help'", command, word,
		    command);
}

/* One text while it is read. */
struct reader {
	const char *what;
	const struct option_key *keys;
	void *options;
	uint64_t given; /* a bit a key, in the order of the table */
};

static int key_set(struct reader *reader, const struct option_key *key, const char *value)
{
	uint64_t bit = UINT64_C(1) << (key - reader->keys);
	int error;

	if (reader->given & bit)
		return fail(EINVAL, "%s: %s is given twice; give it once", reader->what, key->name);
	error = value_parse(key, value, field_of(key, reader->options));
	reader->given |= bit;
	if (error == -ENOMEM)
		return fail_host(ENOMEM, "%s: out of memory", reader->what);
	return error ? value_refuse(reader->what, key, value) : 0;
}

/*
 * One item between commas. The first may be the bare value of the positional
 * key, unless it is the name of a flag.
 */
static int item_parse(struct reader *reader, char *item, bool first)
{
	const struct option_key *key = key_find(reader->keys, item);
	const struct option_key *positional = key_positional(reader->keys);
	char *equals = strchr(item, '=');
	const char *value = "on";

	if (key && key->kind == OPTION_FLAG) {
		/* a flag by its name alone */
	} else if (first && positional && (!equals || strchr(item, '/') < equals) &&
		   (!equals || strchr(item, '/'))) {
		/* "a/b=c" is a path, "path=a" is not */
		key = positional;
		value = item;
	} else if (equals) {
		*equals = '\0';
		value = equals + 1;
		key = key_find(reader->keys, item);
	} else if (key) {
		return fail(EINVAL, "%s: %s: a value is missing; write %s=...", reader->what, item,
			    item);
	}
	return key ? key_set(reader, key, value) : key_refuse(reader->what, item, reader->keys);
}

/* Cuts the first item off *rest, turning ",," into "," in place. NULL at the end. */
static char *item_next(char **rest)
{
	char *item = *rest, *out = item, *in = item;

	if (!item)
		return NULL;
	for (; *in; in++) {
		if (*in == ',' && in[1] != ',')
			break;
		if (*in == ',')
			in++;
		*out++ = *in;
	}
	*rest = *in ? in + 1 : NULL;
	*out = '\0';
	return item;
}

static bool was_given(const struct option_key *key, void *options)
{
	void *field = field_of(key, options);

	return key->kind == OPTION_STRING ? *(char **)field != NULL :
	       key->kind == OPTION_INT_FD ? *(int *)field >= 0 : true;
}

int options_parse(const char *what, const char *text, const struct option_key *keys,
		  void *options)
{
	struct reader reader = { .what = what, .keys = keys, .options = options };
	char *copy = strdup(text);
	char *rest = copy, *item;
	bool first = true;
	int error = 0;

	if (!copy)
		return fail_host(ENOMEM, "%s: out of memory", what);
	for (const struct option_key *key = keys; key->name; key++)
		if (key->kind == OPTION_INT_FD && *(int *)field_of(key, options) == 0)
			*(int *)field_of(key, options) = -1;
	while (!error && (item = item_next(&rest))) {
		if (*item)
			error = item_parse(&reader, item, first);
		else if (!first || rest)
			error = fail(EINVAL, "%s: empty item in '%s'", what, text);
		first = false;
	}
	free(copy);
	for (const struct option_key *key = keys; !error && key->name; key++)
		if (key->required && !was_given(key, options))
			error = fail(EINVAL, "%s: %s is missing; write %s=... (%s)", what,
				     key->name, key->name, key->help);
	return error;
}

void options_free(const struct option_key *keys, void *options)
{
	for (const struct option_key *key = keys; key->name; key++) {
		if (key->kind == OPTION_STRING) {
			free(*(char **)field_of(key, options));
			*(char **)field_of(key, options) = NULL;
		}
	}
}
