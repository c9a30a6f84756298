/* SPDX-License-Identifier: BSD-2-Clause */
/* See random.c. */
#ifndef NET_RANDOM_H
#define NET_RANDOM_H

#include <stdint.h>

void net_random_seed(const uint64_t seed[4]);
uint32_t net_random(void);
uint64_t net_siphash(const uint64_t k[2], const uint64_t *words, unsigned n);

#endif
