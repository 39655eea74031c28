// SPDX-License-Identifier: MIT
/* Reads lists of processors; knows nothing of which there are. */
#include "base/cpu_list.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

/* A decimal number below CPU_SETSIZE at *text, which moves behind it. False: there is none. */
static bool number_take(const char **text, unsigned *number)
{
	unsigned long value;
	char *end;

	if (!isdigit((unsigned char)**text))
		return false;
	value = strtoul(*text, &end, 10);
	*text = end;
	*number = (unsigned)value;
	return value < CPU_SETSIZE;
}

/* "3" or "4-7" */
static bool range_take(const char **text, struct cpu_list *list)
{
	unsigned first, last;

	if (!number_take(text, &first))
		return false;
	last = first;
	if (**text == '-') {
		++*text;
		if (!number_take(text, &last) || last < first)
			return false;
	}
	if (last - first >= CPU_LIST_MAX - list->count)
		return false;
	while (first <= last)
		list->cpus[list->count++] = first++;
	return true;
}

int cpu_list_parse(struct cpu_list *list, const char *text)
{
	list->count = 0;
	while (range_take(&text, list)) {
		if (!*text)
			return 0;
		if (*text++ != ',')
			break;
	}
	list->count = 0;
	return -EINVAL;
}

const unsigned *cpu_list_at(const struct cpu_list *list, unsigned index)
{
	return list->count ? &list->cpus[index % list->count] : NULL;
}

bool cpu_list_has(const struct cpu_list *list, unsigned cpu)
{
	for (unsigned i = 0; i < list->count; i++)
		if (list->cpus[i] == cpu)
			return true;
	return false;
}
