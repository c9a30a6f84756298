/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads and checks the file of an upgrade (upgrade_file.h). */
#include "ctrl-kernel/ops/upgrade_file.h"

#include <stdio.h>
#include <string.h>
#include "mbedtls/ecdsa.h"
#include "mbedtls/sha256.h"

#define SIGNED_BYTES offsetof(struct upgrade_trailer, signature)
#define NUMBER_BYTES 32u /* r, s */

static int refuse(struct ops_error *e, const char *why)
{
	return ops_fail(e, OPS_BAD_UPGRADE, NULL, "this is no upgrade for this host: %s", why);
}

static bool is_text(const char *text, size_t size)
{
	size_t n = 0;

	while (n < size && text[n] >= ' ' && text[n] <= '~')
		n++;
	return n > 0 && n < size && text[n] == '\0';
}

static int check_form(const struct upgrade_trailer *t, uint64_t len, struct ops_error *e)
{
	if (memcmp(t->magic, UPGRADE_MAGIC, sizeof(t->magic)) != 0)
		return refuse(e, "it has no trailer; tools/sign.sh puts one behind the program");
	if (t->format != UPGRADE_FORMAT)
		return refuse(e, "its trailer has a format that is not known here");
	if (t->bytes != len - sizeof(*t))
		return refuse(e, "its length is not what its trailer says");
	if (t->reserved != 0 || !is_text(t->version, sizeof(t->version)) ||
	    !is_text(t->build, sizeof(t->build)))
		return refuse(e, "its trailer is malformed");
	return 0;
}

static bool is_key(const uint8_t *key, const uint8_t id[UPGRADE_KEY_ID])
{
	uint8_t sum[32];

	mbedtls_sha256(key, UPGRADE_KEY_BYTES, sum, 0);
	return memcmp(sum, id, UPGRADE_KEY_ID) == 0;
}

static bool is_program(const uint8_t *file, const struct upgrade_trailer *t)
{
	uint8_t sum[32];

	mbedtls_sha256(file, t->bytes, sum, 0);
	return memcmp(sum, t->sha256, sizeof(sum)) == 0;
}

static bool verify(mbedtls_ecp_group *group, mbedtls_ecp_point *key, mbedtls_mpi *r, mbedtls_mpi *s,
		   const uint8_t *public_key, const struct upgrade_trailer *t)
{
	uint8_t sum[32];

	mbedtls_sha256((const uint8_t *)t, SIGNED_BYTES, sum, 0);
	return mbedtls_ecp_group_load(group, MBEDTLS_ECP_DP_SECP256R1) == 0 &&
	       mbedtls_ecp_point_read_binary(group, key, public_key, UPGRADE_KEY_BYTES) == 0 &&
	       mbedtls_ecp_check_pubkey(group, key) == 0 &&
	       mbedtls_mpi_read_binary(r, t->signature, NUMBER_BYTES) == 0 &&
	       mbedtls_mpi_read_binary(s, t->signature + NUMBER_BYTES, NUMBER_BYTES) == 0 &&
	       mbedtls_ecdsa_verify(group, sum, sizeof(sum), key, r, s) == 0;
}

static bool is_signed(const uint8_t *public_key, const struct upgrade_trailer *t)
{
	mbedtls_ecp_group group;
	mbedtls_ecp_point key;
	mbedtls_mpi r, s;
	bool good;

	mbedtls_ecp_group_init(&group);
	mbedtls_ecp_point_init(&key);
	mbedtls_mpi_init(&r);
	mbedtls_mpi_init(&s);
	good = verify(&group, &key, &r, &s, public_key, t);
	mbedtls_mpi_free(&s);
	mbedtls_mpi_free(&r);
	mbedtls_ecp_point_free(&key);
	mbedtls_ecp_group_free(&group);
	return good;
}

static int check_versions(const struct upgrade_trailer *t, const struct upgrade_wanted *w,
			  struct ops_error *e)
{
	char why[160];

	if (t->abi != w->abi)
		snprintf(
			why, sizeof(why),
			"it needs version %u of the hypervisor's interface, which has %u; boot the "
			"new image",
			t->abi, w->abi);
	else if (t->vmm != w->vmm)
		snprintf(
			why, sizeof(why),
			"it needs version %u of the device program, the boot file has %u; boot the "
			"new image",
			t->vmm, w->vmm);
	else if (w->store < t->store_min || w->store > t->store_max)
		snprintf(why, sizeof(why),
			 "it takes over stores of version %u to %u, and this one's is %u",
			 t->store_min, t->store_max, w->store);
	else
		return 0;
	return refuse(e, why);
}

int upgrade_file_check(const uint8_t *file, uint64_t len, const struct upgrade_wanted *wanted,
		       struct upgrade_trailer *out, struct ops_error *e)
{
	struct upgrade_trailer t;

	if (len <= sizeof(t))
		return refuse(e, "it is too short");
	memcpy(&t, file + len - sizeof(t), sizeof(t));
	if (check_form(&t, len, e))
		return -1;
	if (!is_key(wanted->key, t.key_id))
		return refuse(e, "it was signed with another key");
	if (!is_program(file, &t))
		return refuse(e, "its program is damaged: the checksum is another");
	if (!is_signed(wanted->key, &t))
		return refuse(e, "its signature is wrong");
	if (check_versions(&t, wanted, e))
		return -1;
	*out = t;
	return 0;
}
