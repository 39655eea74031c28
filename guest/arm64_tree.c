// SPDX-License-Identifier: MIT
/* Flattened device trees, walked token by token; nodes are known by where they stand. */
#include "arm64.h"
#include "kit/tap.h"
#include "kit/text.h"

#define MAGIC	   0xd00dfeed
#define BEGIN_NODE 1
#define END_NODE   2
#define PROPERTY   3
#define NOP	   4
#define PATH_MAX   64

static const uint8_t *structure, *strings;

static uint32_t load(const void *at)
{
	const uint8_t *bytes = at;

	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	       bytes[3];
}

void tree_init(uint64_t tree_gpa)
{
	const uint8_t *tree = (const uint8_t *)tree_gpa;

	if (load(tree) != MAGIC)
		bail_out("no device tree at %lx", tree_gpa);
	structure = tree + load(tree + 8);
	strings = tree + load(tree + 12);
}

static const uint8_t *align4(const uint8_t *at)
{
	return (const uint8_t *)(((uintptr_t)at + 3) & ~(uintptr_t)3);
}

/* The next token; *at moves behind it and what belongs to it. */
static uint32_t next(const uint8_t **at, const uint8_t **content)
{
	uint32_t token = load(*at);

	*content = *at + 4;
	*at += 4;
	if (token == BEGIN_NODE)
		*at = align4(*at + strlen((const char *)*content) + 1);
	else if (token == PROPERTY)
		*at = align4(*at + 8 + load(*content));
	return token;
}

const void *tree_property(struct tree_node node, const char *name, uint32_t *bytes)
{
	const uint8_t *at = node.at, *content;
	uint32_t token;

	if (!at)
		return NULL;
	while ((token = next(&at, &content)) == PROPERTY || token == NOP) {
		if (token == NOP || strcmp((const char *)strings + load(content + 4), name))
			continue;
		if (bytes)
			*bytes = load(content);
		return content + 8;
	}
	return NULL;
}

static bool has_string(struct tree_node node, const char *property, const char *value)
{
	uint32_t bytes = 0;
	const char *text = tree_property(node, property, &bytes);
	const char *end = text + bytes;

	for (; text && text < end; text += strlen(text) + 1)
		if (!strcmp(text, value))
			return true;
	return false;
}

struct tree_node tree_find(struct tree_node after, const char *property, const char *value)
{
	const uint8_t *at = after.at ? after.at : structure, *content;
	uint32_t token;

	while ((token = next(&at, &content)) >= BEGIN_NODE && token <= NOP) {
		struct tree_node node = { at, (const char *)content };

		if (token == BEGIN_NODE && has_string(node, property, value))
			return node;
	}
	return (struct tree_node){ 0 };
}

/* "/a@1/b": names in full. */
struct tree_node tree_path(const char *path)
{
	const uint8_t *at = structure, *content;
	unsigned depth = 0, matched = 0; /* the root is at depth 1 */
	const char *rest = path;
	uint32_t token;

	while ((token = next(&at, &content)) >= BEGIN_NODE && token <= NOP) {
		const char *name = (const char *)content;
		size_t length = token == BEGIN_NODE ? strlen(name) : 0;

		if (token == END_NODE)
			depth--;
		if (token != BEGIN_NODE)
			continue;
		depth++;
		if (depth == 1) {
			matched = 1;
		} else if (depth == matched + 1 && rest[0] == '/' &&
			   !strncmp(rest + 1, name, length) &&
			   (rest[1 + length] == '/' || !rest[1 + length])) {
			rest += 1 + length;
			matched = depth;
			if (!*rest)
				return (struct tree_node){ at, name };
		}
	}
	return (struct tree_node){ 0 };
}

uint64_t tree_cells(struct tree_node node, const char *name, unsigned first, unsigned count)
{
	uint32_t bytes = 0;
	const uint8_t *cells = tree_property(node, name, &bytes);
	uint64_t value = 0;

	if (!cells || (first + count) * 4 > bytes)
		return 0;
	for (unsigned i = 0; i < count; i++)
		value = value << 32 | load(cells + (first + i) * 4);
	return value;
}
