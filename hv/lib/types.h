/* SPDX-License-Identifier: BSD-2-Clause */
/* Address kinds and the few words every hv file uses. Address kinds are never mixed. */
#ifndef HV_LIB_TYPES_H
#define HV_LIB_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t hpa_t; /* host-physical */
typedef uint64_t hva_t; /* hv's own virtual */
typedef uint64_t uva_t; /* a program's virtual */
typedef uint64_t gpa_t; /* guest-physical */
typedef uint64_t gva_t; /* guest-virtual */

#define PAGE_SHIFT 12u
#define PAGE_SIZE 4096ull
#define LARGE_SHIFT 21u
#define LARGE_SIZE (1ull << LARGE_SHIFT)
#define GIGA_SHIFT 30u
#define GIGA_SIZE (1ull << GIGA_SHIFT)

#define MUST_CHECK __attribute__((warn_unused_result))
#define NORETURN __attribute__((noreturn))
#define PACKED __attribute__((packed))
#define ALIGNED(n) __attribute__((aligned(n)))
/* Written only before mm_init_tables() puts W^X in force; read-only from then on (linker/hv.ld). */
#define RO_AFTER_INIT __attribute__((section(".ro_after_init")))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Both power-of-two alignments; `align` must be a power of two. */
#define ALIGN_UP(x, align) (((x) + ((align)-1)) & ~((align)-1))
#define ALIGN_DOWN(x, align) ((x) & ~((align)-1))

/* Checked arithmetic for outside sizes: true when the result does not fit. */
#define ADD_OVERFLOW(a, b, res) __builtin_add_overflow(a, b, res)
#define MUL_OVERFLOW(a, b, res) __builtin_mul_overflow(a, b, res)

#endif
