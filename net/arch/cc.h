/* SPDX-License-Identifier: BSD-2-Clause */
/* lwIP's view of the compiler and of us. Included by lwIP only. */
#ifndef NET_ARCH_CC_H
#define NET_ARCH_CC_H

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/types.h>

#ifndef BYTE_ORDER
#define BYTE_ORDER LITTLE_ENDIAN
#endif
#ifndef SSIZE_MAX /* newlib has none */
#define SSIZE_MAX LONG_MAX
#endif
#define LWIP_TIMEVAL_PRIVATE 0
#define LWIP_ERRNO_STDINCLUDE 1
#define LWIP_NO_UNISTD_H 1

#define LWIP_CHKSUM_ALGORITHM 3

uint32_t net_random(void); /* net/random.c */
#define LWIP_RAND() net_random()

__attribute__((noreturn)) void net_lwip_died(const char *what, const char *file, int line);
#define LWIP_PLATFORM_DIAG(x)                                                                      \
	do {                                                                                       \
	} while (0)
#define LWIP_PLATFORM_ASSERT(x) net_lwip_died(x, __FILE__, __LINE__)

#endif
