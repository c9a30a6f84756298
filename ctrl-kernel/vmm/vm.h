/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one VM of this program: its devices, and what they may ask of it. Devices see only the first part; main.c
 * and park.c drive the rest.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include "ctrl-kernel/vmm/bus.h"
#include "ctrl-kernel/vmm/guest.h"
#include "ctrl-kernel/vmm/state.h"

/* What a device access asked for; park.c carries it out instead of answering the access. */
enum vm_request { VM_REQ_NONE = 0, VM_REQ_RESET = 1, VM_REQ_OFF = 2 };

struct vm {
	const struct vmm_config *config; /* read-only page of ctrl */
	struct vmm_state *state;         /* survivor pages */
	struct bus bus;
	enum vm_request request;
};

/* vm.c; host tests bring their own. */
void vm_irq(struct vm *vm, unsigned gsi, bool level);

/* ---- devices: each is attach (ranges), reset, and a check of its part of the state: NULL, or what is wrong.
 * booted: BOOT_DONE; before that a reset may have been cut off half-way ---- */
void pci_attach(struct vm *vm);
void pci_reset(struct vm *vm);
const char *pci_check(const struct pci_state *pci, bool booted);
void platform_attach(struct vm *vm);
void platform_reset(struct vm *vm);
const char *platform_check(const struct pm_state *pm);
void platform_power_button(struct vm *vm);
uint64_t platform_reset_port(struct vm *vm, bool write, uint64_t value); /* 0xcf9, for pci.c */
void rtc_attach(struct vm *vm);
void rtc_reset(struct vm *vm);
const char *rtc_check(const struct rtc_state *rtc, bool booted);

/* ---- vm.c, for main.c and park.c ---- */
void vm_attach(void); /* maps the VM and claims its devices; finds what an instance before left */
void vm_tell(void);   /* the VM's owner: the status has changed */
void vm_start(void);  /* boots it, unless it runs */
void vm_carry_out(enum vm_request what);
extern struct vm the_vm;
extern struct vmm_status *the_status;
extern const volatile struct hv_vm_page *the_page;

/* ---- park.c ---- */
void park_scan(void *unused);

#endif
