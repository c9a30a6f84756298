/* SPDX-License-Identifier: BSD-2-Clause */
/* Hypercalls about memory objects: made, grown, mapped, asked. */
#include "hv/prog/hypercall.h"

#include "hv/mm/user.h"

/* Page-table entries that one MEM_MAP or VM_MAP may write: with interrupts off, so about a millisecond. */
#define LEAVES_MAX 16384u
#define LARGE_PAGES (LARGE_SIZE / PAGE_SIZE)
#define INFO_FLAGS_SHIFT 48
#define SPAN_LEAVES_MAX 4096u /* looked at by one MEM_SPANS */

uint32_t rights_for(uint64_t prot)
{
	if (!(prot & HVP_READ) || (prot & ~(uint64_t)(HVP_READ | HVP_WRITE | HVP_EXEC)))
		return 0;
	return HVR_READ | (prot & HVP_WRITE ? HVR_WRITE : 0u) | (prot & HVP_EXEC ? HVR_EXEC : 0u);
}

unsigned pt_prot_of(uint64_t prot)
{
	return PT_R | (prot & HVP_WRITE ? PT_W : 0u) | (prot & HVP_EXEC ? PT_X : 0u);
}

/* As mem_map_into will do it: a large entry where a whole large frame falls on a large address. */
int mem_range_check(struct mem *m, uint64_t page_off, uint64_t pages, uint64_t va)
{
	uint64_t leaves = 0, end, run;
	hpa_t hpa;
	int err;

	if (pages == 0 || pages > HV_MAP_MAX || ADD_OVERFLOW(page_off, pages, &end) ||
	    va % PAGE_SIZE)
		return -HVE_INVAL;
	while (page_off < end) {
		uint64_t n;

		err = mem_lookup(m, page_off, &hpa, &run);
		if (err != 0 && err != -HVE_NOENT)
			return -HVE_INVAL;
		n = MIN(run, end - page_off);
		if (err == 0)
			leaves += n == LARGE_PAGES && (va | hpa) % LARGE_SIZE == 0 ? 1 : n;
		if (leaves > LEAVES_MAX)
			return -HVE_LIMIT;
		page_off += n;
		va += n << PAGE_SHIFT;
	}
	return 0;
}

int hc_mem_create(struct prog *p, struct object *o, uint64_t *value)
{
	uint64_t flags = arg0(p);
	struct mem *m;
	int err;

	(void)o;
	if (flags & ~(uint64_t)(HVM_DMA | HVM_HV))
		return -HVE_INVAL;
	if (((flags & HVM_DMA) && !(p->rights & HVPR_HW)) ||
	    ((flags & HVM_HV) && !(p->rights & HVPR_VM)))
		return -HVE_RIGHTS;
	err = mem_create((uint32_t)flags, &p->acct, &m);
	if (err != 0)
		return err;
	err = answer_handle(p, &m->obj, HVR_ALL & ~(HVR_POST | HVR_RUN), value);
	object_put(&m->obj);
	return err;
}

int hc_mem_grow(struct prog *p, struct object *o, uint64_t *value)
{
	uint64_t before = as_mem(o)->pages, now = before;
	int err = mem_grow(as_mem(o), arg1(p), &now);

	*value = now;
	return err == -HVE_NOMEM && now > before ? 0 : err;
}

int hc_mem_map(struct prog *p, struct object *o, uint64_t *value)
{
	uint64_t page_off = arg1(p), pages = arg2(p), va = arg3(p), prot = arg4(p);
	uint32_t rights = rights_for(prot);
	int err;

	(void)value;
	if (!rights || ((prot & HVP_WRITE) && (prot & HVP_EXEC)))
		return -HVE_INVAL;
	if ((handle_rights(p, arg0(p)) & rights) != rights)
		return -HVE_RIGHTS;
	err = mem_range_check(as_mem(o), page_off, pages, va);
	if (err != 0)
		return err;
	return space_map(p, va, as_mem(o), page_off, pages, pt_prot_of(prot));
}

int hc_mem_unmap(struct prog *p, struct object *o, uint64_t *value)
{
	(void)o, (void)value;
	return space_unmap(p, arg0(p), arg1(p));
}

int hc_mem_phys(struct prog *p, struct object *o, uint64_t *value)
{
	uint64_t run;
	hpa_t hpa;
	int err;

	if (!(as_mem(o)->flags & HVM_DMA))
		return -HVE_STATE;
	err = mem_lookup(as_mem(o), arg1(p), &hpa, &run);
	if (err == 0)
		*value = hpa;
	return err;
}

static int look_up(struct mem *m, uint64_t page, struct hv_span *out)
{
	hpa_t hpa = HV_SPAN_HOLE;
	int err = mem_lookup(m, page, &hpa, &out->pages);

	out->hpa = hpa;
	return err == -HVE_NOENT ? 0 : err;
}

static bool goes_on(const struct hv_span *last, const struct hv_span *next)
{
	if (last->hpa == HV_SPAN_HOLE || next->hpa == HV_SPAN_HOLE)
		return last->hpa == next->hpa;
	return last->hpa + last->pages * PAGE_SIZE == next->hpa;
}

/* Leaves that follow each other in host-physical memory are one span. */
int hc_mem_spans(struct prog *p, struct object *o, uint64_t *value)
{
	struct hv_span span[HV_SPANS_MAX], next;
	uint64_t page = arg1(p), room = arg3(p), n = 0;
	int err;

	if (room == 0 || room > HV_SPANS_MAX)
		return -HVE_INVAL;
	err = look_up(as_mem(o), page, &next);
	if (err != 0)
		return err;
	for (unsigned leaves = 0; leaves < SPAN_LEAVES_MAX; leaves++) {
		if (n > 0 && goes_on(&span[n - 1], &next))
			span[n - 1].pages += next.pages;
		else if (n < room)
			span[n++] = next;
		else
			break;
		page += next.pages;
		if (look_up(as_mem(o), page, &next) != 0)
			break;
	}
	err = user_write(arg2(p), span, n * sizeof(span[0]));
	if (err == 0)
		*value = n;
	return err;
}

/* As for guests: what is kept for the control kernel stays. */
int hc_mem_fill(struct prog *p, struct object *o, uint64_t *value)
{
	uint64_t page = arg1(p), pages = arg2(p), size = as_mem(o)->pages;
	int err = 0;

	(void)value;
	if (pages == 0 || pages > HV_GROW_MAX || page >= size || pages > size - page)
		return -HVE_INVAL;
	for (hpa_t hpa; pages > 0 && err == 0; page++, pages--)
		err = mem_fill(as_mem(o), page, MEM_RESERVE_PAGES, &hpa);
	return err;
}

int hc_mem_info(struct prog *p, struct object *o, uint64_t *value)
{
	(void)p;
	*value = as_mem(o)->pages | (uint64_t)as_mem(o)->flags << INFO_FLAGS_SHIFT;
	return 0;
}
