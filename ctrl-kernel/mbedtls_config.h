/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the control kernel takes of mbedTLS: SHA-256 (image checksums, identifiers). MBEDTLS_CONFIG_FILE names this file.
 */
#ifndef MBEDTLS_CONFIG_OF_SOCLE_H
#define MBEDTLS_CONFIG_OF_SOCLE_H

#define MBEDTLS_SHA256_C

#endif
