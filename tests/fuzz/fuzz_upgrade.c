/* SPDX-License-Identifier: BSD-2-Clause */
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
/*
 * Files of upgrades with any content. The first byte chooses what to help with: the fields that must fit the rest are
 * put in place, so that the fuzzer gets past the first comparisons. Nothing is ever taken: there is nobody who signs.
 */
#include "tests/unit/upgrades.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

const char *rt_strerror(int hve)
{
	return "";
}

static void help(uint8_t kind, uint8_t *file, size_t size, const uint8_t *key)
{
	struct upgrade_trailer t, good;

	if (size <= sizeof(t))
		return;
	memcpy(&t, file + size - sizeof(t), sizeof(t));
	trailer_fill(&good, file, size - sizeof(t), key);
	if (kind & 1) {
		memcpy(t.magic, good.magic, sizeof(t.magic));
		t.format = good.format;
		t.bytes = good.bytes;
		t.reserved = 0;
	}
	if (kind & 2) {
		memcpy(t.version, good.version, sizeof(t.version));
		memcpy(t.build, good.build, sizeof(t.build));
	}
	if (kind & 4)
		memcpy(t.key_id, good.key_id, sizeof(t.key_id));
	if (kind & 8)
		memcpy(t.sha256, good.sha256, sizeof(t.sha256));
	memcpy(file + size - sizeof(t), &t, sizeof(t));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct upgrade_signer signer;
	static bool made;
	const struct upgrade_wanted wanted = {.key = signer.key, .abi = 3, .store = 2, .vmm = 2};
	struct upgrade_trailer out;
	struct ops_error e = {.text = ""};
	uint8_t *file;

	if (!made)
		signer_make(&signer);
	made = true;
	if (size < 2)
		return 0;
	file = malloc(size - 1); /* exactly: ASan sees every overrun */
	memcpy(file, data + 1, size - 1);
	help(data[0], file, size - 1, signer.key);
	if (upgrade_file_check(file, size - 1, &wanted, &out, &e) == 0)
		abort();
	if (e.code != OPS_BAD_UPGRADE || e.text[0] == 0)
		abort(); /* refused without a word */
	free(file);
	return 0;
}
