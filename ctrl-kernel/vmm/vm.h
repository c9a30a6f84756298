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
	const struct guest *ram;         /* [borrows] */
	struct console_area *console;    /* [borrows] NULL: there is none */
	struct bus bus;
	enum vm_request request;
	uint32_t slots_seq;   /* hotplug.c: of the configuration that it follows */
	uint32_t slots_asked; /* of which the guest was told */
	bool heard;           /* the guest handles its event */
	uint64_t io_mapped;   /* pages of the I/O area */
	bool quiet;           /* VMM_CMD_QUIET: nothing is begun */
	const volatile struct hv_mailbox *parked; /* [borrows] the access that is being answered */
};

/* vm.c; host tests bring their own. */
void vm_slots(struct vm *vm, uint32_t slots); /* vmm_status.slots, slots_seq */
void vm_tell(void);                           /* the VM's owner: the status has changed */
void vm_io_map(void);                         /* all of the I/O area that there is by now */
void vm_irq(struct vm *vm, unsigned gsi, bool level);
void vm_msi(struct vm *vm, uint64_t address, uint32_t data);
void vm_msi_last(struct vm *vm, uint64_t address,
		 uint32_t data); /* at the end of this turn, or before */
void vm_io_tell(void);           /* the VM's owner: something has been submitted in the I/O area */
void *vm_io_page(uint32_t page); /* of the I/O area; inside it, by vmm_config */
/* What is claimed by the instance before is claimed; what is not claimed at all is given up. */
void vm_claim(uint32_t space, uint64_t base, uint64_t len, uint32_t kind, uint32_t bit);
void vm_unclaim(uint32_t space, uint64_t base, uint64_t len);

/* ---- devices: each is attach (ranges), reset, and a check of its part of the state: NULL, or what is wrong.
 * booted: not BOOT_NEEDED; before that a reset may have been cut off half-way ---- */
void pci_attach(struct vm *vm);
void pci_reset(struct vm *vm);
/* half: slots whose device was being put in or taken out (hotplug_half) */
const char *pci_check(const struct pci_state *pci, bool booted, uint32_t half);
void pci_bars_restore(struct vm *vm); /* when all devices are attached, and the state has passed */
void platform_attach(struct vm *vm);
void platform_reset(struct vm *vm);
const char *platform_check(const struct pm_state *pm);
void platform_power_button(struct vm *vm);
void platform_sci_update(struct vm *vm); /* what events there are has changed */
uint64_t platform_reset_port(struct vm *vm, bool write, uint64_t value); /* 0xcf9, for pci.c */
void hotplug_attach(struct vm *vm);
void hotplug_reset(struct vm *vm); /* first of all: which devices there are when the guest boots */
const char *hotplug_check(const struct hotplug_state *s);
uint32_t hotplug_half(const struct hotplug_state *s);
uint32_t hotplug_there(const struct vm *vm);
void hotplug_sync(struct vm *vm); /* the configuration's disks and NICs may have changed */
bool hotplug_event(const struct vm *vm);
void hotplug_heard(struct vm *vm,
		   bool heard); /* the guest has set whether it wants to hear of it */
void rtc_attach(struct vm *vm);
void rtc_reset(struct vm *vm);
const char *rtc_check(const struct rtc_state *rtc, bool booted);
void virtio_attach(struct vm *vm); /* virtio/devices.c */
void virtio_reset(struct vm *vm);
/* Of VMM_SLOTS_HOT: which the configuration wants to be there; of which it says where they lie in the I/O area. */
uint32_t virtio_present(const struct vmm_config *config);
uint32_t virtio_laid_out(const struct vmm_config *config);
/* A device in a slot, as after power-on; and none. */
void virtio_plug(struct vm *vm, unsigned slot);
void virtio_unplug(struct vm *vm, unsigned slot);
/* Goes on where the instance before left off; when the VM's other devices are there. */
void virtio_resume(struct vm *vm);
void virtio_doorbells(uint64_t word); /* hv_vm_page.doorbells, taken */
unsigned virtio_requests(void);       /* that were taken since the last call */
void virtio_io(void);                 /* VMM_EVENT_IO */
bool virtio_resetting(void); /* a device that was reset has something under way: it is not over */
/* Could an instance have left that? Else false and why. */
#define VIRTIO_WHY_MAX 64u
bool virtio_state_check(const struct virtio_state *s, char why[VIRTIO_WHY_MAX]);

/* ---- vm.c, for main.c and park.c ---- */
void vm_attach(void); /* maps the VM and claims its devices; finds what an instance before left */
void vm_start(void);  /* boots it, unless it runs */
void vm_carry_out(enum vm_request what);
void vm_boot_go_on(void); /* a reset that waited for devices, if they are ready */
extern struct vm the_vm;
extern struct vmm_status *the_status;
extern volatile struct hv_vm_page *the_page;

/* ---- park.c ---- */
void park_scan(void *unused);

#endif
