/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the control kernel takes of mbedTLS: SHA-256 (image checksums, identifiers), and what the check of an ECDSA
 * signature over P-256 needs (ops/upgrade_file.c). MBEDTLS_CONFIG_FILE names this file.
 */
#ifndef MBEDTLS_CONFIG_OF_SOCLE_H
#define MBEDTLS_CONFIG_OF_SOCLE_H

#define MBEDTLS_SHA256_C

#define MBEDTLS_HAVE_ASM /* multiplication: a check is one turn of the loop */
#define MBEDTLS_BIGNUM_C
#define MBEDTLS_ECP_C
#define MBEDTLS_ECP_DP_SECP256R1_ENABLED
#define MBEDTLS_ECP_NIST_OPTIM
/* No table of multiples: a check is rare, the image small. */
#define MBEDTLS_ECP_FIXED_POINT_OPTIM 0
#define MBEDTLS_ECDSA_C
/* ECDSA insists on these; no DER comes near us, and the linker drops them. */
#define MBEDTLS_ASN1_PARSE_C
#define MBEDTLS_ASN1_WRITE_C

#endif
