// SPDX-License-Identifier: MIT
/*
 * Strings, formatting and command line parameters. Plain byte loops, but for the two that move
 * much: a CPU whose ring 0 is emulated does a million iterations a second, and string instructions
 * are cheaper there than loops.
 */
#include "kit/text.h"
#include "kit/arch.h"

void *memcpy(void *to, const void *from, size_t count)
{
	uint64_t *to8 = to;
	const uint64_t *from8 = from;
	uint8_t *to1;
	const uint8_t *from1;

	for (; count >= 8; count -= 8)
		*to8++ = *from8++;
	to1 = (uint8_t *)to8;
	from1 = (const uint8_t *)from8;
	while (count--)
		*to1++ = *from1++;
	return to;
}

void *memmove(void *to, const void *from, size_t count)
{
	uint8_t *to1 = to;
	const uint8_t *from1 = from;

	if (to1 <= from1)
		return memcpy(to, from, count);
	while (count--)
		to1[count] = from1[count];
	return to;
}

void *memset(void *to, int value, size_t count)
{
	uint64_t *to8 = to;
	uint64_t value8 = (uint8_t)value * UINT64_C(0x0101010101010101);
	uint8_t *to1;

	for (; count >= 8; count -= 8)
		*to8++ = value8;
	to1 = (uint8_t *)to8;
	while (count--)
		*to1++ = (uint8_t)value;
	return to;
}

int memcmp(const void *a, const void *b, size_t count)
{
	const uint8_t *a1 = a;
	const uint8_t *b1 = b;

	for (; count >= 8 && *(const uint64_t *)a1 == *(const uint64_t *)b1; count -= 8) {
		a1 += 8;
		b1 += 8;
	}
	for (; count; count--, a1++, b1++)
		if (*a1 != *b1)
			return *a1 - *b1;
	return 0;
}

size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

int strncmp(const char *a, const char *b, size_t count)
{
	for (; count; count--, a++, b++)
		if (*a != *b || !*a)
			return (uint8_t)*a - (uint8_t)*b;
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

struct output {
	char *to;
	size_t size, length;
};

static void output_byte(struct output *output, char byte)
{
	if (output->length + 1 < output->size)
		output->to[output->length++] = byte;
}

static void output_number(struct output *output, uint64_t value, unsigned base, unsigned width)
{
	char digits[24];
	unsigned count = 0;

	do {
		digits[count++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (count < width && count < sizeof(digits))
		digits[count++] = '0';
	while (count)
		output_byte(output, digits[--count]);
}

static uint64_t next_number(va_list *args, unsigned longs, bool with_sign)
{
	if (longs)
		return va_arg(*args, uint64_t);
	return with_sign ? (uint64_t)va_arg(*args, int) : va_arg(*args, unsigned);
}

static void output_directive(struct output *output, const char **format, va_list *args)
{
	unsigned width = 0;
	unsigned longs = 0;
	uint64_t value;
	const char *text;

	for (; **format >= '0' && **format <= '9'; (*format)++)
		width = width * 10 + (unsigned)(**format - '0');
	for (; **format == 'l' || **format == 'z'; (*format)++)
		longs++;
	switch (*(*format)++) {
	case 's':
		for (text = va_arg(*args, const char *); *text; text++)
			output_byte(output, *text);
		break;
	case 'c':
		output_byte(output, (char)va_arg(*args, int));
		break;
	case 'd':
		value = next_number(args, longs, true);
		if ((int64_t)value < 0)
			output_byte(output, '-');
		output_number(output, (int64_t)value < 0 ? -value : value, 10, width);
		break;
	case 'u':
		output_number(output, next_number(args, longs, false), 10, width);
		break;
	case 'x':
		output_number(output, next_number(args, longs, false), 16, width);
		break;
	default:
		output_byte(output, '%');
	}
}

size_t text_vformat(char *to, size_t size, const char *format, va_list args)
{
	struct output output = { to, size, 0 };
	va_list copy;

	va_copy(copy, args);
	while (*format) {
		if (*format != '%') {
			output_byte(&output, *format++);
			continue;
		}
		format++;
		output_directive(&output, &format, &copy);
	}
	va_end(copy);
	to[output.length] = 0;
	return output.length;
}

size_t text_format(char *to, size_t size, const char *format, ...)
{
	va_list args;
	size_t length;

	va_start(args, format);
	length = text_vformat(to, size, format, args);
	va_end(args);
	return length;
}

static const char *param_find(const char *name)
{
	size_t length = strlen(name);
	const char *at = platform.params;

	while (*at) {
		if (!strncmp(at, name, length) &&
		    (at[length] == '=' || at[length] == ' ' || !at[length]))
			return at + length;
		while (*at && *at != ' ')
			at++;
		while (*at == ' ')
			at++;
	}
	return NULL;
}

bool param_is_set(const char *name)
{
	return param_find(name) != NULL;
}

uint64_t param_number(const char *name, uint64_t otherwise)
{
	const char *at = param_find(name);
	uint64_t value = 0;
	unsigned base = 10;

	if (!at || *at != '=')
		return otherwise;
	at++;
	if (at[0] == '0' && at[1] == 'x') {
		base = 16;
		at += 2;
	}
	for (; *at && *at != ' '; at++) {
		unsigned digit =
			*at <= '9' ? (unsigned)(*at - '0') : (unsigned)((*at | 32) - 'a' + 10);

		if (digit >= base)
			return otherwise;
		value = value * base + digit;
	}
	return value;
}
