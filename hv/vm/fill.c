/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages that a VM has given back (prog/release.c) and touches again: a zeroed frame, charged to it as the one before. In
 * pages of 4 KiB, also where 2 MiB had been given back: the guest may want no more than that.
 *
 * Entries come under npt_lock while others read the tables; none goes while a vCPU runs. A missing translation is never
 * cached (APM2 5.5.2, SDM3 29.4.3.1), so nothing is flushed.
 */
#include "hv/vm/vm.h"

static const struct vm_span *span_at(const struct vm *vm, gpa_t gpa)
{
	for (unsigned i = 0; i < vm->n_spans; i++) {
		const struct vm_span *s = &vm->spans[i];

		if (gpa >= s->gpa && (gpa - s->gpa) >> PAGE_SHIFT < s->pages)
			return s;
	}
	return NULL;
}

int vm_fill(struct vm *vm, gpa_t gpa)
{
	const struct vm_span *s = vm->has_holes ? span_at(vm, gpa) : NULL;
	hpa_t hpa;
	int rc;

	if (!s)
		return -HVE_NOENT;
	rc = mem_fill(s->mem, s->page_off + ((gpa - s->gpa) >> PAGE_SHIFT), MEM_RESERVE_PAGES,
		      &hpa);
	if (!rc) {
		spin_lock(&vm->npt_lock);
		rc = pt_map(&vm->npt, gpa & ~(PAGE_SIZE - 1), hpa, PAGE_SHIFT,
			    s->prot | PT_BORROWED);
		spin_unlock(&vm->npt_lock);
	}
	if (rc == -HVE_EXIST) /* another vCPU was faster */
		rc = 0;
	if (rc)
		vm_stall(vm, gpa);
	return rc ? -HVE_NOMEM : 0;
}

int guest_fill(struct pt *npt, gpa_t gpa)
{
	int rc = vm_fill(CONTAINER_OF(npt, struct vm, npt), gpa);

	return rc == -HVE_NOMEM ? -HVE_BUSY : rc ? -HVE_INVAL : 0;
}
