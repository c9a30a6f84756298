/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hypervisor, run time and event loop for host tests of the control kernel: handles, memory objects, VMs and programs
 * with reference counts, so that a test can prove that nothing leaked. Every hypercall can be made to fail.
 */
#ifndef TESTS_FAKEHV_H
#define TESTS_FAKEHV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "hv/abi/hv_abi.h"
#include "hv/abi/hv_vm.h"
#include "ctrl-kernel/vmm/vmm_abi.h"

struct fake_object; /* a live hv object */

struct fake_vm { /* what a test may look at and set */
	uint32_t vcpus, weight, cap;
	char name[HV_VM_NAME_MAX];
	struct hv_vm_info info;
	uint64_t mapped_low, mapped_high; /* pages */
	char input[4096];
	unsigned input_len, input_room;
};

void fake_reset(uint64_t free_pages); /* forgets all; an information page with one handle: itself */
struct hv_info *fake_info(void);
void fake_close_self(void);
void fake_forget_kept(void);                        /* all slots of MEM_KEEP */
uint32_t fake_module(const void *data, size_t len); /* a memory object's handle */
void fake_no_virt(const char *reason);

/* Counts, for leak checks. */
unsigned fake_objects(void);
unsigned fake_handles(void);
unsigned fake_mappings(void);
uint64_t fake_free_pages(void);
uint64_t fake_total_pages(void);
void fake_more_memory(uint64_t pages);
/* From now on the n-th hypercall that can fail (1: the next) fails with that error; 0: none. */
void fake_fail(unsigned n, int hve);
bool fake_failed(void); /* it did */

/* The VM created last. */
struct fake_vm *fake_vm(void);
struct vmm_status *fake_status(void);
const struct vmm_config *fake_config(void);
void *fake_area(void); /* its I/O area */
void fake_io(void);    /* its vmm says that something is submitted there: event */
/* A record of hv; crashes are numbered from 1 in the order of these calls. */
void fake_crash(const struct hv_crash *crash);
void fake_status_raise(void);                               /* changes + 1, event */
void fake_vm_state(uint32_t state, uint32_t reason);        /* event */
void fake_vmm_dies(uint32_t cause, const char *last_words); /* event */
void fake_console_write(const char *text, size_t len);      /* event */
uint64_t fake_posts(void);                                  /* bits posted to the vmm */
const char *fake_log(void);                                 /* all text so far */
void fake_log_clear(void);
uint64_t fake_replaced(void); /* bytes of the program that CTRL_REPLACE brought, and forgets it */

/* Loop and clock. */
void fake_loop(void);           /* until there is nothing left to do now */
void fake_turn(void);           /* one round of jobs */
void fake_advance(uint64_t ns); /* and what is due then */
bool fake_timer_armed(void);

#endif
