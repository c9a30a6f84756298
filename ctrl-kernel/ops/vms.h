/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtual machines as their owner sees them. A VM is a description and a state; only while it runs, is paused or is
 * being started there are objects of hv and a vmm program behind it (start.h). Its console ring stays from the first
 * start to the VM's deletion.
 *
 *   define -> DEFINED --start--> RUNNING <--pause, resume--> PAUSED
 *                ^                  |  stop, guest power-off (also from PAUSED) -> STOPPED
 *             (delete when          |  triple fault, vmm died ...               -> CRASHED
 *              nothing runs)        +--- reset: stays RUNNING
 *   STOPPED and CRASHED start like DEFINED. Whatever ends a run frees the guest's memory, and is told (state, answers) when
 *   nothing of the run is under way at a drive any more; until then the VM is pending: VM_STOPPING.
 */
#ifndef OPS_VMS_H
#define OPS_VMS_H

#include "hv/abi/hv_vm.h"
#include "ctrl-kernel/backend/balloon.h"
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/ops/console.h"
#include "ctrl-kernel/ops/hvc.h"
#include "ctrl-kernel/ops/ops.h"
#include "ctrl-kernel/vmm/vmm_abi.h"
#include "net/ipaddr.h"

#define VMS_MAX 256u
#define VM_MEMORY_MIN (1ull << 20)
#define VM_WEIGHT_DEFAULT 100u
#define VM_WEIGHT_MAX 10000u
#define VM_VOLUME_NAME_MAX 128u /* LVM2's */
#define AUTOSTART_DELAY_MAX_S 3600u
#define NIC_TRUNK_MAX 32u
#define NIC_ADDRESSES_MAX 8u
#define NIC_ADDRESS_DHCP "dhcp"
#define VM_CAP_MAX (HV_VCPUS_MAX * 100u)

enum vm_state { VM_DEFINED, VM_RUNNING, VM_PAUSED, VM_STOPPED, VM_CRASHED };
enum vm_pending { VM_IDLE, VM_STARTING, VM_RESETTING, VM_SAVING, VM_RESTORING, VM_STOPPING };

#define VM_BURST_MAX_MS 60000u

struct vm_module {
	char image[OPS_NAME_MAX];
	char string[64];
};

/* Its source: a volume of a pool, or an image, which is read-only. A cdrom may have neither: nothing is in it. */
struct vm_disk {
	char id[OPS_NAME_MAX]; /* "": "disk0" ... by its place */
	char pool[OPS_NAME_MAX], volume[VM_VOLUME_NAME_MAX];
	char image[OPS_NAME_MAX];
	char serial[VMM_SERIAL_MAX + 1];
	uint64_t bytes_per_s; /* 0: no limit */
	uint32_t ops_per_s;   /* 0: no limit */
	uint32_t burst_ms;    /* how much of both may be saved up */
	bool read_only, cdrom;
	uint32_t slot; /* on PCI bus 0; 0: the first that is free */
};

struct vm_nic {
	char id[OPS_NAME_MAX]; /* "": "nic0" ... by its place */
	char network[OPS_NAME_MAX];
	char mac[18];  /* "52:54:00:..."; "": made from the VM's UUID */
	uint32_t vlan; /* of its frames without a tag; 0: its network's */
	uint32_t n_trunk;
	uint32_t trunk[NIC_TRUNK_MAX]; /* further VLANs, with tags */
	uint64_t bytes_per_s; /* 0: no limit; what the guest sends, and what it gets, each */
	uint32_t frames_per_s;
	uint32_t burst_ms;
	bool isolated;    /* hears of no other isolated port */
	bool tagged_only; /* with `trunk`: no frames without a tag */
	bool anti_spoof;  /* sends from its own MAC only */
	uint32_t slot;    /* as a disk's */
	/* With anti_spoof: it sends from these only, and nobody else does. NIC_ADDRESS_DHCP: what its network's DHCP server
	 * has given it. None: from any. */
	uint32_t n_addresses;
	char addresses[NIC_ADDRESSES_MAX][IPADDR_TEXT_MAX];
};

struct vm_spec {
	char name[OPS_NAME_MAX];
	uint32_t vcpus;
	uint64_t memory;        /* bytes */
	uint64_t memory_target; /* that its balloon is to leave it; 0: all */
	char kernel[OPS_NAME_MAX];
	char initrd[OPS_NAME_MAX]; /* "": none */
	char cmdline[VMM_CMDLINE_MAX];
	uint32_t n_modules; /* for multiboot kernels; not together with initrd */
	struct vm_module modules[VMM_MODULES_MAX];
	uint32_t weight;
	uint32_t cap; /* percent of one CPU, 0: none */
	bool autostart;
	bool virtio_console;
	bool from_boot; /* by socle.json of the boot modules: its definition lasts with them, and nowhere else */
	uint32_t autostart_order;   /* lower first */
	uint32_t autostart_delay_s; /* before it, after the one before */
	uint32_t n_disks, n_nics;
	struct vm_disk disks[VMM_DISKS_MAX];
	struct vm_nic nics[VMM_NICS_MAX];
};

struct vm_stats {
	bool live; /* false: what the last run ended with */
	struct hv_vm_info info;
	uint64_t vmm_cpu_ns, vmm_pages;
	struct balloon_stats balloon;
};

struct vm_run;

struct vm_end {      /* how a run has ended, while that is not told yet */
	bool failed; /* it was a start: the state stays as it is */
	enum vm_state state;
	char code[24], reason[256];
	uint64_t ns;
	struct ops_error e; /* for who waits for the action that it has ended */
};

struct vm {
	struct vm_spec spec;
	uint8_t uuid[16];
	enum vm_state state;
	enum vm_pending pending;
	char reason_code[24]; /* why it is in this state */
	char reason[256];
	uint64_t changed_ns;   /* monotonic: when it got there */
	bool starts;           /* autostart.h: it is still to be started by itself */
	char start_error[256]; /* why the last start failed; "": it did not */
	struct vm_stats stats; /* refreshed by vm_stats() */
	int keep;              /* keep.h */
	struct console console;
	struct hvc hvc;
	struct vm_run *run; /* [owns] NULL: nothing in hv */
	uint32_t hv_id;     /* hv's number of what runs; 0: nothing, or not made yet */
	ops_done_fn done;   /* who waits for the pending action */
	void *done_ctx;
	struct loop_timer timeout;
	struct vm_end end;   /* pending: VM_STOPPING */
	ops_done_fn stopped; /* who waits for that */
	void *stopped_ctx;
	struct vm *next; /* in the order of definition */
};

/* fn() when the definitions that last (not from_boot) have changed. */
void vms_watch(void (*fn)(void));

struct vm *vm_first(void);
struct vm *vm_find(const char *name_or_uuid);
unsigned vm_count(enum vm_state state);
const char *vm_state_name(enum vm_state state);
void vm_uuid_text(const uint8_t uuid[16], char out[37]);

void vm_spec_default(struct vm_spec *spec);
int vm_define(const struct vm_spec *spec, struct vm **out, struct ops_error *e) MUST_CHECK;
/* The same with the identity that it had before the host was switched off. Its images may come later. */
int vm_define_as(const struct vm_spec *spec, const uint8_t uuid[16], struct vm **out,
		 struct ops_error *e) MUST_CHECK;
/* Another description for a VM of that name. While it runs only the automatic start may differ. */
int vm_redefine(struct vm *vm, const struct vm_spec *spec, struct ops_error *e) MUST_CHECK;
/* Inside ops: vm->spec has changed, and was checked. */
void vm_respec(const struct vm *vm);
int vm_delete(struct vm *vm, struct ops_error *e) MUST_CHECK;
const struct vm_stats *vm_stats(struct vm *vm);
/* What VMs may take again without asking: pages that are not theirs now, up to their targets. Not counted: what a guest takes
 * beyond its target (docs/devices.md). */
uint64_t vms_owed_pages(void);
void vm_insert(struct vm *vm); /* recovery: behind the others */

/* ---- lifecycle.c: actions. start and reset end later, by done (NULL: nobody waits). ---- */
void vms_init(void); /* once, before anything else here */
int vm_start(struct vm *vm, ops_done_fn done, void *ctx, struct ops_error *e) MUST_CHECK;
int vm_reset(struct vm *vm, ops_done_fn done, void *ctx, struct ops_error *e) MUST_CHECK;
int vm_stop(struct vm *vm, struct ops_error *e) MUST_CHECK; /* begins it */
/* False: it is not being stopped (any more). Else done, later. One for each vm_stop(). */
bool vm_stop_wait(struct vm *vm, ops_done_fn done, void *ctx) MUST_CHECK;
int vm_shutdown(struct vm *vm, struct ops_error *e) MUST_CHECK; /* presses the power button */
int vm_pause(struct vm *vm, struct ops_error *e) MUST_CHECK;
int vm_resume(struct vm *vm, struct ops_error *e) MUST_CHECK;
/* test.hooks=1 only: the vmm corrupts itself. */
int vm_test_crash(struct vm *vm, struct ops_error *e) MUST_CHECK;
int vm_test_state(struct vm *vm,
		  struct ops_error *e) MUST_CHECK; /* and its survivor pages before */

/* ---- save.c, restore.c. Each begins and is then a job. ---- */
struct job;
/* Into a new image of that name; the VM is stopped after it, or (checkpoint) goes on as it was. It stands still meanwhile. */
int vm_save(struct vm *vm, const char *image, bool checkpoint, struct job **out,
	    struct ops_error *e) MUST_CHECK;
/* Instead of a start: the VM goes on where it was saved. Its description must be the same in vCPUs and memory. */
int vm_restore(struct vm *vm, const char *image, struct job **out, struct ops_error *e) MUST_CHECK;
/* hvc: the virtio console; else the serial one. */
int vm_console_input(struct vm *vm, bool hvc, const void *data, size_t len,
		     struct ops_error *e) MUST_CHECK;
int vm_check_hvc(const struct vm *vm, struct ops_error *e) MUST_CHECK; /* has it such a console? */

#endif
