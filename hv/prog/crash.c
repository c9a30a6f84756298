/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The last deaths of programs by fault, EXIT or hang, for whoever wants to know why: registers, a little of their memory,
 * and what the host log said until then. Not those that somebody asked for (PROG_DESTROY). Kept in hv, so that the next
 * control kernel can read what its predecessor died of.
 */
#include "hv/prog/crash.h"

#include "hv/lib/log.h"
#include "hv/lib/string.h"
#include "hv/mm/window.h"

_Static_assert(offsetof(struct uregs, entered) == sizeof(struct hv_prog_regs) &&
		       offsetof(struct uregs, rsp) == offsetof(struct hv_prog_regs, rsp),
	       "the registers are copied as they stand");

static struct spinlock lock;
static uint64_t newest;                           /* [L:lock] number of the last one; 0: none yet */
static struct hv_crash records[HV_CRASH_RECORDS]; /* [L:lock] by number */

const char *crash_cause(uint32_t cause)
{
	static const char *const names[] = {
		[0] = "division error", [1] = "debug exception",      [3] = "breakpoint",
		[4] = "overflow",       [5] = "bound range exceeded", [6] = "invalid instruction",
		[12] = "stack fault",   [13] = "general protection",  [14] = "page fault",
		[16] = "x87 exception", [17] = "alignment check",     [19] = "SIMD exception",
	};

	if (cause == HV_CAUSE_EXIT)
		return "exit";
	if (cause == HV_CAUSE_HUNG)
		return "hung";
	if (cause == HV_CAUSE_DESTROYED)
		return "destroyed";
	if (cause == HV_CAUSE_UNHEALTHY)
		return "not healthy";
	return cause < ARRAY_SIZE(names) && names[cause] ? names[cause] : "exception";
}

/*
 * From va on, as far as it is there -> bytes. By its page tables and windows: the address space need not be loaded
 * here. Not hv's half, and not device registers, where reading may do something.
 */
static uint32_t read_memory(const struct prog *p, uva_t va, uint8_t *to, uint32_t len)
{
	uint32_t done = 0;

	while (done < len && va < HV_VA_END) {
		uint32_t n = MIN(len - done, (uint32_t)(PAGE_SIZE - va % PAGE_SIZE));
		struct pt_entry e;

		if (!pt_lookup(&p->as, va, &e) || (e.prot & PT_UC))
			break;
		phys_read(to + done, e.hpa + (va - e.va), n);
		done += n;
		va += n;
	}
	memset(to + done, 0, len - done);
	return done;
}

void crash_record(const struct prog *p)
{
	struct hv_crash *c;

	spin_lock(&lock);
	c = &records[++newest % HV_CRASH_RECORDS];
	memset(c, 0, sizeof(*c));
	c->number = newest;
	c->time_ns = time_now();
	c->prog = p->id;
	c->image = p->image;
	c->cause = p->last.cause;
	c->code = p->last.code;
	memcpy(&c->regs, &p->regs, sizeof(c->regs));
	c->cr2 = p->last.cr2;
	if (p->vm) {
		c->vm = p->vm->id;
		str_copy(c->vm_name, p->vm->name, sizeof(c->vm_name));
	}
	str_copy(c->text, p->last.text, sizeof(c->text));
	c->code_bytes = read_memory(p, p->regs.rip, c->at_rip, sizeof(c->at_rip));
	c->stack_bytes = read_memory(p, p->regs.rsp, c->at_rsp, sizeof(c->at_rsp));
	log_tail(c->log, sizeof(c->log));
	spin_unlock(&lock);
}

int crash_read(uint64_t n, struct hv_crash *out)
{
	const struct hv_crash *c;
	int err = -HVE_NOENT;

	spin_lock(&lock);
	c = &records[(n ? n : newest) % HV_CRASH_RECORDS];
	if (c->number && (n == 0 || c->number == n)) {
		*out = *c;
		err = 0;
	}
	spin_unlock(&lock);
	return err;
}
