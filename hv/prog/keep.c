/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the control kernel leaves to its next instance: memory objects under numbers that it chooses. An object kept
 * here lives on when every handle to it has gone with the program; the next instance asks for it by number and pays for
 * it from then on. What is in them is between the instances.
 */
#include "hv/prog/handle.h"
#include "hv/prog/hypercall.h"

static struct kept {
	struct mem *mem; /* counted; NULL: free */
	uint32_t rights; /* of the handle by which it was given */
} kept[HV_KEEP_SLOTS];   /* [L:hv_lock] */

static int drop(struct kept *k)
{
	struct mem *m = k->mem;

	if (!m)
		return -HVE_NOENT;
	k->mem = NULL;
	object_put(&m->obj);
	return 0;
}

int hc_mem_keep(struct prog *p, struct object *o, uint64_t *value)
{
	uint64_t h = arg0(p), slot = arg1(p);
	int err;

	(void)value;
	if (slot >= HV_KEEP_SLOTS)
		return -HVE_INVAL;
	if (h == 0)
		return drop(&kept[slot]);
	err = handle_find(p, h, OBJECT_MEM, HVR_GRANT, &o);
	if (err != 0)
		return err;
	if (kept[slot].mem)
		return -HVE_EXIST;
	object_get(o);
	if (slot == 0) /* the caller's word that it needs nothing from hv to come back */
		ctrl_modules_given();
	kept[slot] = (struct kept){CONTAINER_OF(o, struct mem, obj), handle_rights(p, h)};
	return 0;
}

int hc_mem_kept(struct prog *p, struct object *o, uint64_t *value)
{
	uint64_t slot = arg0(p);
	struct mem *m;
	int err;

	(void)o;
	if (slot >= HV_KEEP_SLOTS)
		return -HVE_INVAL;
	m = kept[slot].mem;
	if (!m)
		return -HVE_NOENT;
	err = answer_handle(p, &m->obj, kept[slot].rights, value);
	if (err == 0 && m->acct != &account_modules)
		mem_recharge(m, &p->acct);
	return err;
}
