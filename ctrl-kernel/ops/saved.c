/* SPDX-License-Identifier: BSD-2-Clause */
/* Is that a saved VM, and can this VM be made from it? (saved.h) */
#include "ctrl-kernel/ops/saved.h"

#include <stdio.h>
#include <string.h>
#include "mbedtls/sha256.h"

#define MEMORY_MAX (1ull << 46)

void saved_sum(const void *first, uint64_t pages, uint8_t sha256[32])
{
	static const uint8_t zeros[sizeof(((struct saved_header *)0)->sha256)];
	const size_t at = offsetof(struct saved_header, sha256), behind = at + sizeof(zeros);
	const uint8_t *bytes = first;
	mbedtls_sha256_context sha;

	mbedtls_sha256_init(&sha);
	mbedtls_sha256_starts(&sha, 0);
	mbedtls_sha256_update(&sha, bytes, at);
	mbedtls_sha256_update(&sha, zeros, sizeof(zeros));
	mbedtls_sha256_update(&sha, bytes + behind, pages * SAVED_PAGE - behind);
	mbedtls_sha256_finish(&sha, sha256);
	mbedtls_sha256_free(&sha);
}

bool saved_header_sane(const struct saved_header *h, uint64_t bytes)
{
	if (bytes < SAVED_PAGE || bytes % SAVED_PAGE || h->magic != SAVED_MAGIC ||
	    h->version != SAVED_VERSION || h->vcpus < 1 || h->vcpus > HV_VCPUS_MAX ||
	    h->memory == 0 || h->memory > MEMORY_MAX || h->memory % SAVED_PAGE ||
	    h->pages > h->memory / SAVED_PAGE)
		return false;
	return bytes / SAVED_PAGE == saved_memory(h->vcpus, h->memory) + h->pages;
}

/* As many bits as pages, and none behind the end of memory. */
static bool bitmap_sane(const struct saved_header *h, const uint8_t *bitmap)
{
	uint64_t n = 0, bits = h->memory / SAVED_PAGE;

	for (uint64_t i = 0; i < saved_bitmap_pages(h->memory) * SAVED_PAGE * 8; i += 8) {
		uint8_t byte = bitmap[i / 8];

		if (i + 8 > bits && (byte >> (i < bits ? bits - i : 0)))
			return false;
		n += (unsigned)__builtin_popcount(byte);
	}
	return n == h->pages;
}

static const char *wrong_version(const struct saved_header *h, char *room, size_t size)
{
	if (h->magic != SAVED_MAGIC)
		return "this image is not a saved VM";
	snprintf(room, size,
		 "this VM was saved in format %u.%u.%u, and %u.%u.%u is understood here",
		 h->version, h->state_version, h->vmm_version, SAVED_VERSION, HV_STATE_VERSION,
		 VMM_CONFIG_VERSION);
	return room;
}

const char *saved_check(const void *first, uint64_t bytes, const struct vm_spec *spec, char *room,
			size_t size)
{
	const struct saved_header *h = first;
	uint8_t sum[32];

	if (h->magic != SAVED_MAGIC || h->version != SAVED_VERSION ||
	    h->state_version != HV_STATE_VERSION || h->vmm_version != VMM_CONFIG_VERSION)
		return wrong_version(h, room, size);
	if (!saved_header_sane(h, bytes))
		return "this saved VM is incomplete or damaged";
	if (h->vcpus != spec->vcpus || h->memory != spec->memory) {
		snprintf(room, size,
			 "the saved VM has %u vCPUs and %llu bytes of memory, this one has %u and "
			 "%llu",
			 h->vcpus, (unsigned long long)h->memory, spec->vcpus,
			 (unsigned long long)spec->memory);
		return room;
	}
	saved_sum(first, saved_memory(h->vcpus, h->memory), sum);
	if (memcmp(sum, h->sha256, sizeof(sum)) != 0 ||
	    !bitmap_sane(h, (const uint8_t *)first + saved_bitmap(h->vcpus) * SAVED_PAGE))
		return "this saved VM is damaged: its checksum does not match";
	return NULL;
}
