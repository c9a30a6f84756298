/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random bytes for guests: ChaCha20 (RFC 8439, 2.3) whose key is replaced by its own output before any of that is given
 * away, so that who reads the state learns nothing of what was given before. The CPU's generator goes into the first key.
 */
#ifndef VMM_VIRTIO_CSPRNG_H
#define VMM_VIRTIO_CSPRNG_H

#include <stddef.h>
#include <stdint.h>

#define CHACHA_BLOCK 64u
#define CSPRNG_BLOCKS 8u

struct csprng {
	uint32_t key[8];
	unsigned used; /* of pool; what is used is zero */
	uint8_t pool[CSPRNG_BLOCKS * CHACHA_BLOCK];
};

/* RFC 8439, 2.3: key, block counter, nonce -> one block of key stream. */
void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3],
		    uint8_t out[CHACHA_BLOCK]);

/* `seed`: hv's; the first word is the stack protector's too. The CPU's generators go in as well, where there are any. */
void csprng_init(struct csprng *g, const uint64_t seed[4]);
void csprng_bytes(struct csprng *g, void *to, size_t n);

#endif
