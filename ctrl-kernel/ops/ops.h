/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The operation layer: everything the control kernel can be asked to do, as typed calls. Front ends (api/, later
 * others) translate their format to these calls and back; no rule about VMs or images lives anywhere else.
 *
 * An operation checks everything before it changes anything. It returns 0, or -1 with *e filled: a stable code, a
 * sentence for people, and the argument at fault ("boot.kernel", "boot.modules.2.image"; empty: none).
 */
#ifndef OPS_OPS_H
#define OPS_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ctrl-kernel/rt/rt.h"

#define OPS_NAME_MAX 64u /* with the NUL */

enum ops_code {
	OPS_OK = 0,
	OPS_INVALID,       /* an argument is wrong */
	OPS_NO_VM,         /* no VM of that name */
	OPS_NO_IMAGE,      /* no image of that name */
	OPS_NO_NETWORK,    /* no network of that name */
	OPS_NO_NIC,        /* the VM has no NIC of that name */
	OPS_EXISTS,        /* the name is taken */
	OPS_WRONG_STATE,   /* the VM's state does not allow this */
	OPS_BUSY,          /* in use, or another action is under way */
	OPS_MISSING_IMAGE, /* the VM names an image that is not there any more */
	OPS_NO_MEMORY,     /* not enough free memory on the host for what is asked */
	OPS_TOO_LARGE,     /* an upload that does not fit */
	OPS_NO_VIRT,       /* the machine has no usable SVM/VMX */
	OPS_BAD_IMAGE,     /* the vmm refused the boot image */
	OPS_BAD_UPGRADE,   /* the file of an upgrade was refused */
	OPS_ABORTED,       /* another request or the guest ended it */
	OPS_TIMEOUT,       /* the vmm did not answer in time */
	OPS_LIMIT,         /* a table of the control kernel or hv is full */
	OPS_EXHAUSTED,     /* the control kernel itself is out of memory */
	OPS_INTERNAL,
	OPS_NO_POOL,     /* no storage pool of that name */
	OPS_NO_VOLUME,   /* no volume of that name */
	OPS_NO_SPACE,    /* a pool has not enough room for what is asked */
	OPS_OCCUPIED,    /* a disk carries something and was not to be overwritten */
	OPS_UNSUPPORTED, /* that cannot be done with this kind of thing */
	OPS_MISMATCH,    /* what came is not what its checksum says */
	OPS_IO,          /* a drive failed */
	OPS_NOT_READY,   /* the drives are being read for the first time */
	OPS_NO_DISK,     /* the VM has no such disk */
	OPS_CODES, /* their number; operations that are remembered (jobs.h) have them: new ones come last */
};

struct ops_error {
	enum ops_code code;
	char field[64];
	char text[256];
};

/* How an operation that takes time ends; e is NULL on success. Called from the loop, never from the call itself. */
typedef void (*ops_done_fn)(void *ctx, const struct ops_error *e);

/* Both return -1, so that `return ops_fail(...)` reads well. */
int ops_fail(struct ops_error *e, enum ops_code code, const char *field, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* A hypercall's error in the words of this layer. */
int ops_fail_hv(struct ops_error *e, int hve, const char *doing);
/* 1 to 63 of A-Z a-z 0-9 . _ - , the first a letter or digit. */
bool ops_name_ok(const char *name);
int ops_name_check(const char *name, const char *field, struct ops_error *e) MUST_CHECK;

#endif
