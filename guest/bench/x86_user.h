/* SPDX-License-Identifier: MIT */
/* What x86_user.c and x86_user_entry.S share. */
#ifndef GUEST_BENCH_X86_USER_H
#define GUEST_BENCH_X86_USER_H

#define SELECTOR_USER_DATA 0x23
#define SELECTOR_USER_CODE 0x2b
#define SELECTOR_TSS	   0x30
#define VECTOR_UNDEFINED   6

#endif
