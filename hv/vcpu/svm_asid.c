/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address space identifiers (APM2 15.16). Each CPU hands them out in turn; all of one generation are different, and a new
 * generation begins with a flush of the whole TLB of that CPU. So an ASID just handed out names no old translation:
 *   a vCPU that comes to another CPU gets a new one there (what it left behind on a CPU it comes back to is never
 *   named again), and a flush of one guest's translations is a new ASID as well where the CPU cannot flush by ASID.
 *
 * The vCPU that begins a generation may leave its turn without having entered the guest, so the flush is due until one
 * that asked for it has been in guest mode on this CPU.
 */
#include "hv/vcpu/svm_vmcb.h"

static void flush_all(struct svm_vcpu *a)
{
	a->vmcb->tlb_control = TLB_FLUSH_ALL;
	a->after |= AFTER_FLUSH;
}

static void asid_new(struct svm_vcpu *a, struct svm_cpu *s)
{
	if (s->asid_next >= svm_features.asids) {
		s->asid_generation++;
		s->asid_next = 1; /* 0 is the host's */
		s->flush_due = true;
		flush_all(a);
	}
	a->vmcb->asid = s->asid_next++;
	a->asid_generation = s->asid_generation;
	svm_dirty(a, CLEAN_ASID);
}

void svm_asid_load(struct svm_vcpu *a, struct svm_cpu *s, unsigned cpu)
{
	if (UNLIKELY(s->flush_due))
		flush_all(a);
	if (a->cpu == cpu && a->asid_generation == s->asid_generation)
		return;
	if (a->cpu != cpu)
		svm_dirty(a,
			  CLEAN_ALL); /* this CPU has cached nothing of the VMCB (APM2 15.15.2) */
	a->cpu = cpu;
	asid_new(a, s);
}

/* APM2 15.16, 15.25.9: guest-physical translations, too, are tagged with the ASID, so a new one is enough. */
void svm_npt_changed(struct vcpu *v)
{
	svm_of(v)->asid_generation = 0; /* of no CPU: the next load takes a new ASID */
}

/* The vCPU's own turn, between load and save. */
void svm_flush(struct vcpu *v)
{
	struct svm_vcpu *a = svm_of(v);

	if (!svm_features.flush_by_asid) {
		asid_new(a, this_cpu()->vendor);
		return;
	}
	if (!(a->after & AFTER_FLUSH)) {
		a->vmcb->tlb_control = TLB_FLUSH_GUEST;
		a->after |= AFTER_FLUSH;
	}
}

void svm_flushed(struct svm_vcpu *a)
{
	struct svm_cpu *s = this_cpu()->vendor;

	/* An entry that was refused may have flushed nothing; that guest is not entered again. */
	if (a->vmcb->tlb_control == TLB_FLUSH_ALL &&
	    (uint32_t)a->vmcb->exit_code != SVM_EXIT_INVALID)
		s->flush_due = false;
	a->vmcb->tlb_control = 0;
}
