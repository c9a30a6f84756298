/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine: what hv says about it, the clock, and the list of complaints about options and configuration that
 * somebody should see later (GET /v1/host).
 */
#ifndef OPS_HOST_H
#define OPS_HOST_H

#include "hv/abi/hv_abi.h"
#include "ctrl-kernel/ops/ops.h"

#define HOST_NOTES_MAX 32u

struct host_note { /* something in the boot options or in socle.json that was not applied */
	char source[OPS_NAME_MAX]; /* "boot option", "socle.json" */
	unsigned line;             /* 0: none */
	char text[200];
};

extern const char socle_version[];
extern const char socle_build[]; /* of this program; hv_info.build_id is hv's */

/* A fresh copy of hv's information. */
void host_info(struct hv_host_info *out);
/* Bytes that VMs and images may take: what is free but for a reserve, so that hv and the control kernel go on, and for what
 * VMs may take back (pages; vms.c says). */
#define HOST_RESERVE_PAGES 1024u
uint64_t host_memory_spare(void);
void host_memory_owed(uint64_t (*fn)(void));
uint64_t host_memory_total(void); /* bytes */
uint64_t host_heap_used(void);    /* bytes the control kernel's malloc has given out */
/* UTC nanoseconds of a monotonic time; 0: the machine's clock could not be read. */
uint64_t host_utc_ns(uint64_t monotonic_ns);

/* What hv wrote down about the n-th death of a program, texts terminated; 0: the latest. False: there is none. */
bool host_crash(uint64_t n, struct hv_crash *out) MUST_CHECK;
const char *host_crash_cause(uint32_t cause, char *room, size_t size); /* in words */

/* Prints it and keeps it for GET /v1/host; beyond HOST_NOTES_MAX only printed. */
void host_note(const char *source, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
const struct host_note *host_notes(unsigned *n);

/* 16 bytes that nobody can predict from the others. */
void host_random(uint8_t out[16]);

#endif
