// SPDX-License-Identifier: MIT
/*
 * Serial input: `bytes` bytes of "a..z\n" over and over, pasted at once, must all come and in
 * order. At 20 us for a byte on an emulated CPU the list keeps the amount small.
 */
#include "kit/arch.h"
#include "kit/tap.h"
#include "kit/text.h"

#define QUIET_NS UINT64_C(5000000000)

void guest_main(void)
{
	uint64_t wanted = param_number("bytes", 1000);
	uint64_t came = 0, wrong = 0;
	uint64_t last_ns = arch_now_ns();

	while (came < wanted && arch_now_ns() - last_ns < QUIET_NS) {
		unsigned column = (unsigned)(came % 27);
		int byte = arch_get();

		if (byte < 0)
			continue;
		if (byte != (column == 26 ? '\n' : 'a' + (int)column) && wrong++ < 5)
			note("byte %lu is %x", came, byte);
		came++;
		last_ns = arch_now_ns();
	}
	ok(came == wanted, "%lu bytes of %lu came", came, wanted);
	ok(wrong == 0, "in order");
}
