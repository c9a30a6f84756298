/* SPDX-License-Identifier: BSD-2-Clause */
/* The file of an upgrade: a good one is taken, and whatever is changed in it refused with the right words. */
// SRC: ctrl-kernel/ops/error.c
// SRC: ctrl-kernel/ops/upgrade_file.c
// SRC: build/deps/src/mbedtls/library/sha256.c
// SRC: build/deps/src/mbedtls/library/platform_util.c
// SRC: build/deps/src/mbedtls/library/ecdsa.c
// SRC: build/deps/src/mbedtls/library/ecp.c
// SRC: build/deps/src/mbedtls/library/ecp_curves.c
// SRC: build/deps/src/mbedtls/library/bignum.c
// SRC: build/deps/src/mbedtls/library/bignum_core.c
// SRC: build/deps/src/mbedtls/library/constant_time.c
// SRC: build/deps/src/mbedtls/library/asn1write.c
// SRC: build/deps/src/mbedtls/library/asn1parse.c
// FLAGS: -isystem build/deps/src/mbedtls/include '-DMBEDTLS_CONFIG_FILE="ctrl-kernel/mbedtls_config.h"'
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/upgrades.h"

#define PROGRAM 5000u

struct file {
	uint8_t program[PROGRAM];
	struct upgrade_trailer t;
};
_Static_assert(sizeof(struct file) == PROGRAM + sizeof(struct upgrade_trailer), "as it lies");

static struct upgrade_signer signer;
static struct file file;

const char *rt_strerror(int hve)
{
	(void)hve;
	return "";
}

static int setup(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PROGRAM; i++)
		file.program[i] = (uint8_t)(i * 7);
	trailer_fill(&file.t, file.program, PROGRAM, signer.key);
	signer_sign(&signer, &file.t);
	return 0;
}

static int check_part(const void *from, size_t len, struct ops_error *e)
{
	const struct upgrade_wanted wanted = {.key = signer.key, .abi = 3, .store = 2, .vmm = 2};
	struct upgrade_trailer out = {.format = 99};
	uint8_t *copy = malloc(len ? len : 1); /* exactly: ASan sees every overrun */
	int r;

	memcpy(copy, from, len);
	r = upgrade_file_check(copy, len, &wanted, &out, e);
	free(copy);
	if (r == 0)
		assert_memory_equal(&out, &file.t, sizeof(out));
	else
		assert_int_equal(out.format, 99);
	return r;
}

static void refused(const char *words)
{
	struct ops_error e;

	assert_int_equal(check_part(&file, sizeof(file), &e), -1);
	assert_int_equal(e.code, OPS_BAD_UPGRADE);
	assert_non_null(strstr(e.text, words));
}

static void test_good(void **state)
{
	struct ops_error e;

	(void)state;
	assert_int_equal(check_part(&file, sizeof(file), &e), 0);
}

static void test_truncated(void **state)
{
	struct ops_error e;

	(void)state;
	for (size_t len = 0; len < sizeof(file); len += len < sizeof(file) - 300 ? 97 : 1)
		assert_int_equal(check_part(&file, len, &e), -1);
	for (size_t cut = 1; cut < 300; cut++)
		assert_int_equal(check_part((const uint8_t *)&file + cut, sizeof(file) - cut, &e),
				 -1);
	assert_non_null(strstr(e.text, "length"));
	assert_int_equal(check_part(&file.t, sizeof(file.t), &e), -1);
	assert_non_null(strstr(e.text, "too short"));
}

static void test_form(void **state)
{
	(void)state;
	file.t.magic[7] = 'X';
	refused("no trailer");
	setup(NULL);
	file.t.format = 2;
	refused("a format");
	setup(NULL);
	file.t.bytes++;
	refused("length");
	setup(NULL);
	file.t.bytes = UINT64_MAX;
	refused("length");
	setup(NULL);
	file.t.reserved = 1;
	refused("malformed");
	setup(NULL);
	memset(file.t.version, 'a', sizeof(file.t.version));
	refused("malformed");
	setup(NULL);
	file.t.build[0] = '\n';
	refused("malformed");
	setup(NULL);
	file.t.version[0] = '\0';
	refused("malformed");
}

static void test_signature(void **state)
{
	struct upgrade_signer other;
	struct ops_error e;

	(void)state;
	file.program[PROGRAM / 2] ^= 1;
	refused("checksum");
	setup(NULL);
	file.t.key_id[0] ^= 1;
	refused("another key");
	setup(NULL);
	file.t.abi ^= 1; /* after it was signed */
	refused("signature");
	setup(NULL);
	memset(file.t.signature, 0, sizeof(file.t.signature));
	refused("signature");
	memset(file.t.signature, 0xff, sizeof(file.t.signature));
	refused("signature");
	for (unsigned i = 0; i < sizeof(file.t.signature); i += 7) {
		setup(NULL);
		file.t.signature[i] ^= (uint8_t)(1 << i % 8);
		refused("signature");
	}
	/* Another's signature under our key's name. */
	setup(NULL);
	signer_make(&other);
	signer_sign(&other, &file.t);
	signer_free(&other);
	refused("signature");
	setup(NULL);
	assert_int_equal(check_part(&file, sizeof(file), &e), 0);
}

static void versions(uint32_t abi, uint32_t min, uint32_t max, uint32_t vmm, const char *words)
{
	struct ops_error e;

	file.t.abi = abi;
	file.t.store_min = min;
	file.t.store_max = max;
	file.t.vmm = vmm;
	signer_sign(&signer, &file.t);
	if (words)
		refused(words);
	else
		assert_int_equal(check_part(&file, sizeof(file), &e), 0);
}

static void test_versions(void **state)
{
	(void)state;
	versions(3, 2, 2, 2, NULL);
	versions(3, 0, UINT32_MAX, 2, NULL);
	versions(2, 1, 4, 2, "version 2 of the hypervisor");
	versions(4, 1, 4, 2, "version 4 of the hypervisor");
	versions(3, 3, 4, 2, "version 3 to 4, and this one's is 2");
	versions(3, 0, 1, 2, "version 0 to 1, and this one's is 2");
	versions(3, 4, 1, 2, "takes over");
	versions(3, 1, 4, 3, "version 3 of the device program");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_good, setup),
		cmocka_unit_test_setup(test_truncated, setup),
		cmocka_unit_test_setup(test_form, setup),
		cmocka_unit_test_setup(test_signature, setup),
		cmocka_unit_test_setup(test_versions, setup),
	};
	int failed;

	signer_make(&signer);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	signer_free(&signer);
	return failed;
}
