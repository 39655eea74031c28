// SPDX-License-Identifier: MIT
/* The instructions that core/syscall_filter.c makes filters of, and no others. */
#include "tests/unit/filter_verdict.h"

#include <string.h>

#include "tests/unit/unit.h"

uint32_t filter_verdict(const struct syscall_filter *filter, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (unsigned at = 0; at < filter->length; at++) {
		const struct sock_filter *code = &filter->code[at];

		switch (code->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(code->k + sizeof(a) <= sizeof(*data));
			memcpy(&a, (const char *)data + code->k, sizeof(a));
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= code->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			at += a == code->k ? code->jt : code->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			at += a >= code->k ? code->jt : code->jf;
			break;
		case BPF_RET | BPF_K:
			return code->k;
		default:
			fail_msg("instruction %#x", code->code);
		}
	}
	fail_msg("the program runs off its end");
	return 0;
}
