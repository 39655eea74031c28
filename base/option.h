/* SPDX-License-Identifier: MIT */
/*
 * "value,key=value,flag" strings, read into a struct by a table of keys: what
 * stands behind --disk, --network and every device's option. Control thread.
 */
#ifndef BASE_OPTION_H
#define BASE_OPTION_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
	OPTION_STRING, /* char *, malloc'ed; NULL when not given */
	OPTION_FLAG,   /* bool; "key", "key=on" or "key=off" */
	OPTION_UINT,   /* unsigned, between minimum and maximum */
	OPTION_INT_FD, /* int, an open file descriptor's number; -1 when not given */
	OPTION_SIZE,   /* uint64_t bytes; suffix K, M, G, T */
	OPTION_CHOICE, /* unsigned, the index of a word in `choices` */
	OPTION_MAC,    /* struct option_mac */
};

struct option_mac {
	bool given;
	uint8_t address[6];
};

/* The table ends with a key whose name is NULL, and has 64 at most. */
struct option_key {
	const char *name;
	enum option_kind kind;
	size_t offset; /* of the field in the options struct */
	const char *help;
	bool positional;            /* may stand first, without "key=" */
	bool required;
	uint64_t minimum, maximum;  /* OPTION_UINT, OPTION_SIZE; maximum 0: none */
	const char *const *choices; /* OPTION_CHOICE; NULL-terminated */
};

/*
 * Reads `text` into the zeroed or preset `options`: a key that is not given
 * keeps what is there (but an OPTION_INT_FD that is 0 becomes -1 first), and one
 * that is given twice is refused. `what` names the option in messages ("--disk").
 * A comma inside a value is written ",,". Returns 0 or a failure, logged once.
 */
int options_parse(const char *what, const char *text, const struct option_key *keys,
		  void *options);

/* One key's value on its own, as an option "--key VALUE" gives it. 0 or a failure, logged. */
int option_set(const struct option_key *key, const char *value, void *options);

/*
 * A word that getopt_long() has refused with ':' or '?', as `value` says, in a
 * command that has these long options: logs why, and returns -EINVAL.
 */
int option_refuse(const char *command, const char *word, int value, const struct option *longs);

/* Frees the strings; the struct itself is the caller's. */
void options_free(const struct option_key *keys, void *options);

/* "512M", "2G", "4096K", or a bare number of `unit` bytes; 0 or -EINVAL/-ERANGE, silent. */
int option_size_parse(const char *text, uint64_t unit, uint64_t *bytes);

/* A whole decimal or 0x number between the bounds; 0 or -EINVAL/-ERANGE, silent. */
int option_uint_parse(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *value);

#endif
