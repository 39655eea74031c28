// SPDX-License-Identifier: MIT
/* Bytes off the two ends of a chain, whatever pieces it came in. */
#include "tests/unit/unit.h"

#include <string.h>

#include "base/bytes.h"
#include "virtio/chain.h"

/* "abcdef" to read in pieces of 1, 3, 2 and ten bytes to write in pieces of 4, 1, 5. */
struct fixture {
	char readable[6], writable[10];
	struct iovec iov[6];
	struct chain chain;
};

static void make(struct fixture *fixture)
{
	char *r = fixture->readable, *w = fixture->writable;

	memcpy(r, "abcdef", 6);
	memset(w, '.', 10);
	fixture->iov[0] = (struct iovec){ r, 1 };
	fixture->iov[1] = (struct iovec){ r + 1, 3 };
	fixture->iov[2] = (struct iovec){ r + 4, 2 };
	fixture->iov[3] = (struct iovec){ w, 4 };
	fixture->iov[4] = (struct iovec){ w + 4, 1 };
	fixture->iov[5] = (struct iovec){ w + 5, 5 };
	fixture->chain = (struct chain){
		.readable = fixture->iov,
		.readable_count = 3,
		.readable_bytes = 6,
		.writable = fixture->iov + 3,
		.writable_count = 3,
		.writable_bytes = 10,
	};
}

static void pull_copies_across_pieces(void **state)
{
	struct fixture fixture;
	struct chain *chain = &fixture.chain;
	char data[6] = { 0 };

	(void)state;
	make(&fixture);
	assert_true(chain_pull(chain, data, 2));
	assert_memory_equal(data, "ab", 2);
	assert_int_equal(chain->readable_bytes, 4);
	assert_int_equal(chain->readable_count, 2);
	assert_int_equal(chain->readable[0].iov_len, 2);
	assert_true(chain_pull(chain, data, 0));
	assert_true(chain_pull(chain, data, 4));
	assert_memory_equal(data, "cdef", 4);
	assert_int_equal(chain->readable_count, 0);
	assert_int_equal(chain->readable_bytes, 0);
}

static void pull_of_too_much_takes_nothing(void **state)
{
	struct fixture fixture;
	char data[8] = "-------";

	(void)state;
	make(&fixture);
	assert_false(chain_pull(&fixture.chain, data, 7));
	assert_string_equal(data, "-------");
	assert_int_equal(fixture.chain.readable_count, 3);
	assert_true(chain_pull(&fixture.chain, data, 6));
}

static void put_copies_across_pieces(void **state)
{
	struct fixture fixture;

	(void)state;
	make(&fixture);
	assert_true(chain_put(&fixture.chain, "1234567", 7));
	assert_memory_equal(fixture.writable, "1234567...", 10);
	assert_int_equal(fixture.chain.writable_bytes, 3);
	assert_int_equal(fixture.chain.writable_count, 1);
	assert_false(chain_put(&fixture.chain, "8901", 4));
	assert_memory_equal(fixture.writable, "1234567...", 10);
	assert_true(chain_put(&fixture.chain, "890", 3));
	assert_memory_equal(fixture.writable, "1234567890", 10);
	assert_int_equal(fixture.chain.writable_count, 0);
}

static void skip_passes_without_copying(void **state)
{
	struct fixture fixture;
	char byte;

	(void)state;
	make(&fixture);
	assert_true(chain_skip_readable(&fixture.chain, 5));
	assert_true(chain_pull(&fixture.chain, &byte, 1));
	assert_int_equal(byte, 'f');
	assert_false(chain_skip_readable(&fixture.chain, 1));
	assert_true(chain_skip_writable(&fixture.chain, 9));
	assert_false(chain_skip_writable(&fixture.chain, UINT64_MAX));
	assert_true(chain_put(&fixture.chain, "!", 1));
	assert_memory_equal(fixture.writable, ".........!", 10);
}

static void take_last_cuts_the_end(void **state)
{
	struct fixture fixture;

	(void)state;
	make(&fixture);
	for (unsigned i = 10; i--;)
		assert_ptr_equal(chain_take_last(&fixture.chain), fixture.writable + i);
	assert_null(chain_take_last(&fixture.chain));
	assert_int_equal(fixture.chain.writable_count, 0);
	assert_int_equal(fixture.chain.writable_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pull_copies_across_pieces),
		cmocka_unit_test(pull_of_too_much_takes_nothing),
		cmocka_unit_test(put_copies_across_pieces),
		cmocka_unit_test(skip_passes_without_copying),
		cmocka_unit_test(take_last_cuts_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
