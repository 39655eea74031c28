/* SPDX-License-Identifier: MIT */
/* The few model-specific registers that we name ourselves (Intel SDM, volume 4). */
#ifndef X86_MSR_H
#define X86_MSR_H

#define MSR_TSC            0x10
#define MSR_MISC_ENABLE    0x1a0
#define MSR_MTRR_VARIABLE  0x200 /* base and mask, 8 pairs */
#define MSR_MTRR_FIXED_64K 0x250
#define MSR_MTRR_FIXED_16K 0x258 /* 2 of them */
#define MSR_MTRR_FIXED_4K  0x268 /* 8 of them */
#define MSR_MTRR_DEFAULT   0x2ff

#define MISC_ENABLE_FAST_STRINGS 0x1
#define MTRR_DEFAULT_ENABLE      0x800
#define MTRR_WRITE_BACK          6

#endif
