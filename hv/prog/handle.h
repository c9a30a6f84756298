/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program's handle table: numbers to objects and rights. Anybody may put handles in (HANDLE_GRANT), under the grant
 * lock; only the program's own calls take them out. So an object found by handle_find stays while the call runs and
 * is not counted for it.
 */
#ifndef HV_PROG_HANDLE_H
#define HV_PROG_HANDLE_H

#include "hv/prog/prog.h"

/* Counts the object. LIMIT: table full, NOMEM, STATE: the program is dying. */
int handle_add(struct prog *p, struct object *o, uint32_t rights, uint32_t *h) MUST_CHECK;
/* Own calls. type 0: any; HVE_HANDLE, HVE_RIGHTS when one of `rights` is missing. */
int handle_find(struct prog *p, uint64_t h, unsigned type, uint32_t rights,
		struct object **out) MUST_CHECK;
uint32_t handle_rights(struct prog *p, uint64_t h); /* 0: none */
/* Own calls; drops the count. */
int handle_close(struct prog *p, uint64_t h) MUST_CHECK;
void handle_close_object(struct prog *p, const struct object *o); /* every handle to it */
void handle_close_all(struct prog *p); /* death: and none can be added any more */

#endif
