/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes files of upgrades and a key, for the test and the fuzz target of their check. */
#ifndef TESTS_UPGRADES_H
#define TESTS_UPGRADES_H

#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/ops/upgrade_file.h"
#include "mbedtls/ecdsa.h"
#include "mbedtls/sha256.h"

#define SIGNED_BYTES offsetof(struct upgrade_trailer, signature)

struct upgrade_signer {
	mbedtls_ecp_group group;
	mbedtls_mpi secret;
	mbedtls_ecp_point point;
	uint8_t key[UPGRADE_KEY_BYTES];
};

/* Good enough for a test, and the same each time. */
static int numbers(void *unused, unsigned char *out, size_t len)
{
	static uint32_t state = 1;

	(void)unused;
	for (size_t i = 0; i < len; i++) {
		state = state * 1664525 + 1013904223;
		out[i] = (uint8_t)(state >> 24);
	}
	return 0;
}

static inline void signer_make(struct upgrade_signer *s)
{
	size_t len;

	mbedtls_ecp_group_init(&s->group);
	mbedtls_mpi_init(&s->secret);
	mbedtls_ecp_point_init(&s->point);
	if (mbedtls_ecp_group_load(&s->group, MBEDTLS_ECP_DP_SECP256R1) ||
	    mbedtls_ecp_gen_keypair(&s->group, &s->secret, &s->point, numbers, NULL) ||
	    mbedtls_ecp_point_write_binary(&s->group, &s->point, MBEDTLS_ECP_PF_UNCOMPRESSED, &len,
					   s->key, sizeof(s->key)) ||
	    len != sizeof(s->key))
		abort();
}

static inline void signer_free(struct upgrade_signer *s)
{
	mbedtls_ecp_point_free(&s->point);
	mbedtls_mpi_free(&s->secret);
	mbedtls_ecp_group_free(&s->group);
}

static inline void signer_sign(struct upgrade_signer *s, struct upgrade_trailer *t)
{
	mbedtls_mpi r, v;
	uint8_t sum[32];

	mbedtls_mpi_init(&r);
	mbedtls_mpi_init(&v);
	mbedtls_sha256((const uint8_t *)t, SIGNED_BYTES, sum, 0);
	if (mbedtls_ecdsa_sign(&s->group, &r, &v, &s->secret, sum, sizeof(sum), numbers, NULL) ||
	    mbedtls_mpi_write_binary(&r, t->signature, 32) ||
	    mbedtls_mpi_write_binary(&v, t->signature + 32, 32))
		abort();
	mbedtls_mpi_free(&r);
	mbedtls_mpi_free(&v);
}

/* All but the signature, for that program. */
static inline void trailer_fill(struct upgrade_trailer *t, const uint8_t *program, uint64_t bytes,
				const uint8_t *key)
{
	uint8_t sum[32];

	memset(t, 0, sizeof(*t));
	memcpy(t->magic, UPGRADE_MAGIC, sizeof(t->magic));
	t->format = UPGRADE_FORMAT;
	t->abi = 3;
	t->store_min = 1;
	t->store_max = 4;
	t->vmm = 2;
	t->bytes = bytes;
	mbedtls_sha256(program, bytes, t->sha256, 0);
	strcpy(t->version, "1.2.3");
	strcpy(t->build, "test");
	mbedtls_sha256(key, UPGRADE_KEY_BYTES, sum, 0);
	memcpy(t->key_id, sum, sizeof(t->key_id));
}

#endif
