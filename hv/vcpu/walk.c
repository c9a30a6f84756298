/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest memory through the guest's own page tables (APM2 chapter 5): what hv needs to fetch an instruction and to move
 * the operands of string instructions. Accesses go page by page through windows; accessed and dirty bits are set as the
 * CPU sets them. Nothing here trusts an entry: a bad one is a page fault for the guest or -HVE_INVAL (not RAM).
 * The nested tables are read without a lock: entries go only while no vCPU runs (vm/vm.c); one that comes is one store.
 */
#include "hv/cpu/x86.h"
#include "hv/lib/string.h"
#include "hv/vcpu/vcpu.h"

#define PTE_P (1ull << 0)
#define PTE_W (1ull << 1)
#define PTE_U (1ull << 2)
#define PTE_A (1ull << 5)
#define PTE_D (1ull << 6)
#define PTE_PS (1ull << 7)
#define PTE_NX (1ull << 63)
#define PTE_FRAME 0x000ffffffffff000ull

/* Page-fault error code (APM2 8.4.2). */
#define PF_PRESENT 1u
#define PF_WRITE 2u
#define PF_USER 4u
#define PF_RESERVED 8u
#define PF_FETCH 16u

#define WALK_TRIES                                                                                 \
	8u /* another vCPU changes an entry under us: again; then the guest runs the instruction again */

struct walk {
	const struct vcpu_context *c;
	struct pt *npt;
	bool write, fetch;
	bool smap; /* supervisor data accesses to user pages are refused */
	/* what came out */
	uint64_t leaf, all; /* the last entry; the AND of all (U, W) */
	bool nx;
	unsigned shift;
	unsigned n;
	hpa_t at[WALK_LEVELS];
	uint64_t value[WALK_LEVELS];
};

/* Nobody takes entries out meanwhile: this is a turn of the VM's, or it has stopped. */
static int ram_lookup(struct pt *npt, gpa_t gpa, unsigned prot, hpa_t *hpa)
{
	struct pt_entry e;

	if (UNLIKELY(!pt_lookup(npt, gpa, &e))) {
		int rc = guest_fill(npt, gpa);

		if (rc)
			return rc;
		if (!pt_lookup(npt, gpa, &e))
			return -HVE_BUSY;
	}
	if ((e.prot & prot) != prot || (e.prot & PT_UC))
		return -HVE_INVAL;
	*hpa = e.hpa + (gpa - e.va);
	return 0;
}

int guest_phys_read(struct pt *npt, gpa_t gpa, void *to, size_t len)
{
	uint8_t *p = to;
	hpa_t hpa;

	while (len) {
		size_t n = MIN(len, PAGE_SIZE - (gpa & (PAGE_SIZE - 1)));
		int rc = ram_lookup(npt, gpa, PT_R, &hpa);

		if (rc)
			return rc;
		phys_read(p, hpa, n);
		p += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

int guest_phys_write(struct pt *npt, gpa_t gpa, const void *from, size_t len)
{
	const uint8_t *p = from;
	hpa_t hpa;

	while (len) {
		size_t n = MIN(len, PAGE_SIZE - (gpa & (PAGE_SIZE - 1)));
		int rc = ram_lookup(npt, gpa, PT_W, &hpa);

		if (rc)
			return rc;
		phys_write(hpa, p, n);
		p += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

static bool wide_entries(const struct vcpu_context *c)
{
	return (c->cr4 & CR4_PAE) || (c->efer & EFER_LMA);
}

static uint64_t entry_read(hpa_t at, bool wide)
{
	uint64_t value = phys_read64(at & ~7ull);

	if (LIKELY(wide))
		return value;
	return (uint32_t)(value >> (at & 4) * 8);
}

/* Sets bits in an entry unless it has changed since it was read (as the CPU does, APM2 5.4.2). */
static bool entry_mark(hpa_t at, bool wide, uint64_t old, uint64_t bits)
{
	uint8_t *w = window_open(at & ~(PAGE_SIZE - 1));
	void *p = w + (at & (PAGE_SIZE - 1));
	uint32_t old32 = (uint32_t)old;
	bool same;

	if (wide)
		same = __atomic_compare_exchange_n((uint64_t *)p, &old, old | bits, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	else
		same = __atomic_compare_exchange_n((uint32_t *)p, &old32, old32 | (uint32_t)bits,
						   false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	window_close(w);
	return same;
}

static bool nx_on(const struct walk *w)
{
	return wide_entries(w->c) && (w->c->efer & EFER_NXE);
}

/* The page-fault error code of this access; `present`: the translation was there. */
static uint32_t fault_code(const struct walk *w, uint32_t why)
{
	if (w->write)
		why |= PF_WRITE;
	if (w->c->cpl == 3)
		why |= PF_USER;
	if (w->fetch && (nx_on(w) || (w->c->cr4 & CR4_SMEP)))
		why |= PF_FETCH;
	return why;
}

/* May this access use the page whose translation is complete? (APM2 5.6) */
static bool allowed(const struct walk *w)
{
	bool user_page = w->all & PTE_U;

	if (w->fetch && w->nx)
		return false;
	if (w->c->cpl == 3)
		return user_page && (!w->write || (w->all & PTE_W));
	if (user_page && w->fetch && (w->c->cr4 & CR4_SMEP))
		return false;
	if (user_page && !w->fetch && w->smap)
		return false;
	return !w->write || (w->all & PTE_W) || !(w->c->cr0 & CR0_WP);
}

/* Bits that must be zero: beyond the physical width, NX while it is off. Entries of four bytes have none we check;
 * PAE's PDPTEs are lenient because an emulator sets A in them. */
static bool reserved_bits(const struct walk *w, uint64_t e)
{
	if (!wide_entries(w->c))
		return false;
	if (e & PTE_FRAME & ~((1ull << cpu_features.phys_bits) - 1))
		return true;
	return (e & PTE_NX) && !nx_on(w);
}

struct level {
	unsigned shift; /* of what an entry maps */
	bool can_be_leaf, pdpte;
};

static struct level level_at(const struct vcpu_context *c, unsigned depth)
{
	if (c->efer & EFER_LMA)
		return (struct level){.shift = 39 - 9 * depth,
				      .can_be_leaf = depth == 1 || depth == 2};
	if (c->cr4 & CR4_PAE)
		return (struct level){
			.shift = 30 - 9 * depth, .can_be_leaf = depth == 1, .pdpte = !depth};
	return (struct level){.shift = 22 - 10 * depth,
			      .can_be_leaf = !depth && (c->cr4 & CR4_PSE)};
}

/* Where the entry for gva is in the table at guest-physical address `table`. */
static gpa_t entry_gpa(const struct walk *w, gpa_t table, gva_t gva, struct level l)
{
	if (!wide_entries(w->c))
		return table + 4 * (gva >> l.shift & 0x3ff);
	return table + 8 * (gva >> l.shift & (l.pdpte ? 3 : 0x1ff));
}

static gpa_t root_gpa(const struct vcpu_context *c)
{
	if (c->efer & EFER_LMA)
		return c->cr3 & PTE_FRAME;
	return c->cr3 & ((c->cr4 & CR4_PAE) ? 0xffffffe0u : 0xfffff000u);
}

static gpa_t leaf_gpa(const struct walk *w, gva_t gva)
{
	uint64_t in_page = (1ull << w->shift) - 1;

	if (!wide_entries(w->c) && w->shift == 22) /* PSE-36: bits 39:32 in 20:13 */
		return (w->leaf & 0xffc00000u) | (w->leaf >> 13 & 0xff) << 32 | (gva & in_page);
	return (w->leaf & PTE_FRAME & ~in_page) | (gva & in_page);
}

/* Reads one entry and marks it accessed. 0, -HVE_FAULT with *code, -HVE_INVAL: not RAM, -HVE_BUSY: again. */
static int step(struct walk *w, gpa_t gpa, struct level l, bool *leaf, uint32_t *code)
{
	bool wide = wide_entries(w->c);
	hpa_t at;
	int rc = ram_lookup(w->npt, gpa, PT_R | PT_W, &at);
	uint64_t e;

	if (rc)
		return rc;
	e = entry_read(at, wide);
	if (!(e & PTE_P)) {
		*code = fault_code(w, 0);
		return -HVE_FAULT;
	}
	if (!l.pdpte && reserved_bits(w, e)) {
		*code = fault_code(w, PF_PRESENT | PF_RESERVED);
		return -HVE_FAULT;
	}
	*leaf = l.shift == 12 || (l.can_be_leaf && (e & PTE_PS));
	if (!l.pdpte) {
		w->all &= e;
		w->nx |= wide && (e & PTE_NX);
	}
	if (!*leaf && !l.pdpte && !(e & PTE_A)) {
		if (!entry_mark(at, wide, e, PTE_A))
			return -HVE_BUSY;
		e |= PTE_A;
	}
	w->leaf = e;
	w->shift = l.shift;
	w->at[w->n] = at;
	w->value[w->n++] = e;
	return 0;
}

/* The leaf is found: permissions, then its A and D bits. */
static int finish(struct walk *w, uint32_t *code)
{
	uint64_t bits = PTE_A | (w->write ? PTE_D : 0);

	if (!allowed(w)) {
		*code = fault_code(w, PF_PRESENT);
		return -HVE_FAULT;
	}
	if ((w->leaf & bits) == bits)
		return 0;
	if (!entry_mark(w->at[w->n - 1], wide_entries(w->c), w->leaf, bits))
		return -HVE_BUSY;
	w->value[w->n - 1] |= bits;
	return 0;
}

static int walk_once(struct walk *w, gva_t gva, uint32_t *code)
{
	gpa_t table = root_gpa(w->c);
	bool leaf = false;
	int rc;

	w->n = 0;
	w->all = PTE_U | PTE_W;
	w->nx = false;
	for (unsigned depth = 0; depth < WALK_LEVELS && !leaf; depth++) {
		struct level l = level_at(w->c, depth);

		rc = step(w, entry_gpa(w, table, gva, l), l, &leaf, code);
		if (rc)
			return rc;
		table = w->leaf & PTE_FRAME;
	}
	return finish(w, code);
}

/* gva -> gpa for an access as described in *w. -HVE_BUSY: the tables keep changing; let the guest try again. */
static int walk_translate(struct walk *w, gva_t gva, gpa_t *gpa, struct walk_fault *fault)
{
	uint32_t code = 0;
	int rc = -HVE_BUSY;

	if (!(w->c->efer & EFER_LMA))
		gva &= 0xffffffffu;
	w->n = 0;
	if (!(w->c->cr0 & CR0_PG)) {
		*gpa = gva;
		return 0;
	}
	/* LA57 is not shown to guests; one that sets it anyway gets no emulation. */
	if (w->c->cr4 & CR4_LA57)
		return -HVE_INVAL;
	for (unsigned i = 0; i < WALK_TRIES && rc == -HVE_BUSY; i++)
		rc = walk_once(w, gva, &code);
	if (rc == -HVE_FAULT)
		*fault = (struct walk_fault){.error = code, .address = gva};
	if (rc)
		return rc;
	*gpa = leaf_gpa(w, gva);
	return 0;
}

static struct walk walk_for(struct vcpu *v, const struct vcpu_context *c, bool write, bool fetch)
{
	return (struct walk){.c = c,
			     .npt = v->npt,
			     .write = write,
			     .fetch = fetch,
			     .smap = (c->cr4 & CR4_SMAP) && !(v->rflags & RFLAGS_AC)};
}

int guest_translate(struct vcpu *v, gva_t gva, bool write, gpa_t *gpa, struct walk_fault *fault)
{
	struct vcpu_context c;
	struct walk w;

	int rc;

	vendor->context(v, &c);
	w = walk_for(v, &c, write, false);
	rc = walk_translate(&w, gva, gpa, fault);
	/* What it is wanted for must not fail half-way. */
	return !rc && guest_fill(w.npt, *gpa) == -HVE_BUSY ? -HVE_BUSY : rc;
}

int guest_read(struct vcpu *v, gva_t gva, void *to, size_t len, bool fetch,
	       struct walk_fault *fault)
{
	struct vcpu_context c;
	uint8_t *p = to;
	gpa_t gpa;

	vendor->context(v, &c);
	while (len) {
		size_t n = MIN(len, PAGE_SIZE - (gva & (PAGE_SIZE - 1)));
		struct walk w = walk_for(v, &c, false, fetch);
		int rc = walk_translate(&w, gva, &gpa, fault);

		if (!rc)
			rc = guest_phys_read(v->npt, gpa, p, n);
		if (rc)
			return rc;
		p += n;
		gva += n;
		len -= n;
	}
	return 0;
}

int guest_write(struct vcpu *v, gva_t gva, const void *from, size_t len, struct walk_fault *fault)
{
	const uint8_t *p = from;
	struct vcpu_context c;
	gpa_t gpa;

	vendor->context(v, &c);
	while (len) {
		size_t n = MIN(len, PAGE_SIZE - (gva & (PAGE_SIZE - 1)));
		struct walk w = walk_for(v, &c, true, false);
		int rc = walk_translate(&w, gva, &gpa, fault);

		if (!rc)
			rc = guest_phys_write(v->npt, gpa, p, n);
		if (rc)
			return rc;
		p += n;
		gva += n;
		len -= n;
	}
	return 0;
}

static bool same_context(const struct vcpu_context *a, const struct vcpu_context *b)
{
	return a->cr3 == b->cr3 && a->cr0 == b->cr0 && a->cr4 == b->cr4 && a->efer == b->efer &&
	       a->cpl == b->cpl;
}

/* Do all entries of the last walk still say the same? */
static bool fetch_page_holds(const struct fetch_page *f, const struct vcpu_context *c, gva_t page)
{
	return f->page == page && same_context(&f->context, c) && phys_match(f->entry, f->n);
}

/* An entry of four bytes is half of an aligned word. */
static struct phys_word entry_word(hpa_t at, uint64_t value, bool wide)
{
	unsigned shift = wide ? 0 : (at & 4) * 8;

	return (struct phys_word){.at = at & ~7ull,
				  .value = value << shift,
				  .mask = wide ? ~0ull : 0xffffffffull << shift};
}

static int fetch_page_fill(struct vcpu *v, const struct vcpu_context *c, gva_t page)
{
	struct walk w = walk_for(v, c, false, true);
	struct fetch_page *f = &v->fetch;
	struct walk_fault unused;
	gpa_t gpa;
	hpa_t frame;

	f->page = ~0ull;
	if (walk_translate(&w, page, &gpa, &unused) || ram_lookup(v->npt, gpa, PT_R | PT_X, &frame))
		return -HVE_FAULT;
	f->context = *c;
	f->frame = frame;
	f->n = w.n;
	for (unsigned i = 0; i < w.n; i++)
		f->entry[i] = entry_word(w.at[i], w.value[i], wide_entries(c));
	f->page = page;
	return 0;
}

size_t guest_fetch(struct vcpu *v, const struct vcpu_context *c, gva_t gva, void *to, size_t len)
{
	gva_t page = gva & ~(PAGE_SIZE - 1);
	size_t n = MIN(len, PAGE_SIZE - (gva - page));

	if (!fetch_page_holds(&v->fetch, c, page) && fetch_page_fill(v, c, page))
		return 0;
	phys_read(to, v->fetch.frame + (gva - page), n);
	return n;
}

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

bool guest_code_is(struct vcpu *v, const struct vcpu_context *c, gva_t gva, const uint8_t *bytes)
{
	gva_t page = gva & ~(PAGE_SIZE - 1);
	const uint8_t *at;
	void *w;
	bool same;

	if (gva - page > PAGE_SIZE - INSN_MAX || !fetch_page_holds(&v->fetch, c, page))
		return false;
	w = window_open(v->fetch.frame);
	at = (const uint8_t *)w + (gva - page);
	/* Fifteen bytes as two words that overlap. */
	same = load64(at) == load64(bytes) && load64(at + 7) == load64(bytes + 7);
	window_close(w);
	return same;
}
