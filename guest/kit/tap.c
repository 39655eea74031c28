// SPDX-License-Identifier: MIT
/* Test Anything Protocol on the serial port: counts tests, prints one line each and the plan last.
 */
#include "kit/tap.h"
#include "kit/arch.h"
#include "kit/text.h"

static unsigned test_count;

static void say(const char *prefix, const char *format, va_list args, const char *suffix)
{
	char line[256];
	size_t length = text_format(line, sizeof(line), "%s", prefix);

	length += text_vformat(line + length, sizeof(line) - length, format, args);
	length += text_format(line + length, sizeof(line) - length, "%s\n", suffix);
	arch_put(line, length);
}

bool ok(bool good, const char *name, ...)
{
	char prefix[32];
	va_list args;

	text_format(prefix, sizeof(prefix), "%sok %u - ", good ? "" : "not ", ++test_count);
	va_start(args, name);
	say(prefix, name, args, "");
	va_end(args);
	return good;
}

void skip(const char *reason, const char *name, ...)
{
	char prefix[32], suffix[128];
	va_list args;

	text_format(prefix, sizeof(prefix), "ok %u - ", ++test_count);
	text_format(suffix, sizeof(suffix), " # SKIP %s", reason);
	va_start(args, name);
	say(prefix, name, args, suffix);
	va_end(args);
}

void note(const char *text, ...)
{
	va_list args;

	va_start(args, text);
	say("# ", text, args, "");
	va_end(args);
}

void bail_out(const char *reason, ...)
{
	va_list args;

	va_start(args, reason);
	say("Bail out! ", reason, args, "");
	va_end(args);
	arch_power_off();
}

void tap_end(void)
{
	char line[32];

	if (test_count)
		arch_put(line, text_format(line, sizeof(line), "1..%u\n", test_count));
}
