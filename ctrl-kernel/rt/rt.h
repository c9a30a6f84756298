/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The run time of a ring-3 program: newlib's system calls over hypercalls, the information page, messages, and
 * places for mappings. crt0 calls main(); returning from it is HVC_EXIT.
 */
#ifndef RT_RT_H
#define RT_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "hv/abi/hv_abi.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MUST_CHECK __attribute__((warn_unused_result))

static inline const struct hv_info *rt_info(void)
{
	return (const struct hv_info *)HV_VA_INFO;
}

/* One line to the host log: "name: text". Lines over 240 bytes are cut. */
void rt_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The name before each line; at start it is "ctrl" or "vmm". At most 23 bytes are kept. */
void rt_name_set(const char *name);
/* A bug: last words, then HVC_EXIT. assert() and abort() end here too. */
__attribute__((noreturn)) void rt_die(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
const char *rt_strerror(int hve); /* HVE_xxx or -HVE_xxx */
uint64_t rt_now(void);            /* monotonic ns from the TSC, no hypercall */

/* Address space for MEM_MAP and MMIO_MAP: page ranges at or above 4 GiB; NULL when exhausted. */
void *rt_va_alloc(uint64_t pages, uint64_t align_pages);
void rt_va_free(void *va, uint64_t pages);
/* Both steps. */
void *rt_mem_map(uint32_t mem, uint64_t page_off, uint64_t pages, uint32_t prot);
void rt_mem_unmap(void *va, uint64_t pages);

#endif
