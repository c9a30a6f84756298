/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual CPU as the neutral code sees it, and the interface to the CPU vendor's extension. Outside
 * hv/vcpu/svm* and vmx* nobody knows a VMCB or a VMCS. vcpu/ knows nothing of a VM's devices: vm/ drives it.
 */
#ifndef HV_VCPU_VCPU_H
#define HV_VCPU_VCPU_H

#include "hv/abi/hv_state.h"
#include "hv/cpu/cpu.h"
#include "hv/mm/mem.h"
#include "hv/mm/window.h"
#include "hv/sched/sched.h"

struct vm;
struct vlapic;

enum insn_mode { INSN_16, INSN_32, INSN_64 };
#define INSN_MAX 15u /* bytes (APM3 1.1) */

/* Why the guest left, in neutral terms. Filled by vendor->run(). */
struct vcpu_exit {
	union {
		struct {
			enum hv_exit_kind kind;
			uint8_t len; /* instruction length, 0: not known yet (vcpu_insn_len finds it) */
			uint16_t
				opcode; /* without operands, as insn_len_plain takes it; 0: none such */
		};
		uint64_t head; /* the three in one store */
	};
	union {
		struct {
			uint16_t port;
			uint8_t width; /* 1, 2, 4 */
			bool in, string, rep;
			uint8_t addr_width; /* string: 2, 4, 8; 0: decode it */
			uint8_t seg;        /* string out: enum hv_seg */
		} pio;
		struct {
			gpa_t gpa;
			bool write, fetch, present; /* present: a mapping was there (protection) */
			bool table;                 /* the guest's own page table lies there */
			uint8_t bytes_len; /* decode assist: instruction bytes already here */
			uint8_t bytes[INSN_MAX];
		} mmio;
		struct {
			uint8_t vector;
			bool has_error;
			uint32_t error;
		} exception;
		uint16_t apic_offset; /* into the APIC's page */
		struct {
			uint8_t number;
			bool write;
			uint8_t gpr;
		} cr;
	};
	uint64_t raw; /* the vendor's code, for reports */
};

struct vcpu_event { /* to inject */
	enum { EVENT_NONE, EVENT_INTR, EVENT_NMI, EVENT_EXCEPTION } type;
	uint8_t vector;
	bool has_error;
	uint32_t error;
	uint64_t address; /* #PF: CR2 */
};

/* The event of a saved vCPU (hv_state.h): its types are these. */
static inline struct vcpu_event vcpu_saved_event(const struct hv_state_vcpu *in)
{
	_Static_assert((int)EVENT_INTR == (int)HV_SEV_INTR && (int)EVENT_NMI == (int)HV_SEV_NMI &&
			       (int)EVENT_EXCEPTION == (int)HV_SEV_EXCEPTION,
		       "the same numbers");
	return (struct vcpu_event){.type = in->event.type,
				   .vector = in->event.vector,
				   .has_error = in->event.has_error != 0,
				   .error = in->event.error,
				   .address = in->regs.cr2};
}

/* What the page walk and the decoder need to know, cheaply. */
struct vcpu_context {
	uint64_t cr0, cr3, cr4, efer;
	uint8_t cpl;
	enum insn_mode mode; /* of the code segment */
};

/* Lengths of instructions that exited here before (insn.c). A stale entry is harmless: see there. */
#define INSN_LENGTHS 16u
struct insn_length {
	uint64_t rip, cr3;
	uint16_t opcode;
	uint8_t len; /* 0: free */
};

/* The last page instructions were fetched from, and every table entry that led there: each is compared before it is
 * believed, so this is as good as a new walk (walk.c). */
#define WALK_LEVELS 4u
struct fetch_page {
	struct vcpu_context context; /* [p] of the walk */
	gva_t page;                  /* ~0: nothing here */
	hpa_t frame;
	unsigned n;
	struct phys_word entry[WALK_LEVELS];
};

/* A memory-moving instruction as used on device memory (decode.c). */
struct insn {
	uint8_t len;
	bool reads, writes; /* memory */
	enum {
		INSN_LOAD,
		INSN_LOAD_ZX,
		INSN_LOAD_SX,
		INSN_STORE,
		INSN_STORE_IMM,
		INSN_ALU,
		INSN_MOVS,
		INSN_STOS,
		INSN_LODS,
		INSN_XCHG,
		INSN_TEST,
		INSN_CMP
	} op;
	uint8_t width;     /* bytes accessed in memory: 1, 2, 4, 8 */
	uint8_t reg_width; /* of the destination register */
	uint8_t gpr;       /* enum hv_gpr; high_byte: AH.. */
	bool high_byte, rep;
	uint8_t alu;       /* /r group: add or adc sbb and sub xor cmp */
	bool alu_mem_dest; /* memory is the first operand */
	bool alu_imm;      /* the other operand is imm, not gpr */
	uint8_t addr_width;
	uint8_t seg; /* of the memory operand */
	uint64_t imm;
};

/* Instructions on device memory decoded before (vm/mmio.c). Used again only if the bytes in memory are the same. */
#define DECODED_INSNS 4u
struct decoded_insn {
	gva_t rip;
	bool reusable; /* 64-bit code, all bytes known */
	uint8_t bytes[INSN_MAX];
	struct insn insn;
};

/* The port or device-memory access under way; it stays while the vCPU is parked (vm/pio.c, vm/mmio.c). */
struct vcpu_io {
	bool mmio, writing;
	const struct insn *insn; /* [borrows] in vcpu.decoded */
	gpa_t read_at, write_at;
	uint64_t value;
};

#define VCPU_ARCH_ROOM 512u /* bytes for the vendor's own struct */

struct vcpu {
	struct sched_ent ent;
	struct vm *vm;         /* [I] [borrows] */
	unsigned index;        /* [I] */
	uint64_t gpr[HV_GPRS]; /* [p] always current outside guest mode */
	uint64_t rip, rflags;  /* [p] */
	struct vcpu_exit exit; /* [p] */
	struct pt *npt;        /* [I] [borrows] the VM's; entries go only while it is off its CPU */
	void *arch;            /* [I] the vendor's struct, in arch_room */
	struct fpu fpu;        /* [owns] */
	struct vlapic *lapic;  /* [owns] vm/vlapic.c */
	uint32_t
		attention; /* [a] ATT_*: look before entering the guest; set by anyone, then sched_kick */
	uint64_t seq;           /* [p] of the parked access */
	bool parked;            /* [L:vm->park_lock] */
	uint64_t answer;        /* [L:vm->park_lock] of the vmm; with ATT_ANSWER */
	bool halted;            /* [p] in HLT: nothing runs until an event is delivered */
	bool wait_sipi;         /* [p] in INIT */
	bool nmi_pending;       /* [p] */
	struct vcpu_event held; /* [p] an interrupt whose delivery was broken off by an exception */
	struct vcpu_io io;      /* [p] */
	uint32_t claim_hint[2]; /* [p] by enum hv_space (vm/claim.c) */
	struct fetch_page fetch;
	struct insn_length lengths[INSN_LENGTHS];   /* [p] */
	struct decoded_insn decoded[DECODED_INSNS]; /* [p] */
	uint64_t exits[HV_EXIT_KINDS];              /* [p] */
	uint8_t sipi_vector;    /* [a] start page of the last SIPI (vm/vlapic.c); with ATT_SIPI */
	uint64_t clock_msr;     /* [p] KVM_SYSTEM_TIME as written (vm/pvclock.c) */
	uint32_t clock_version; /* [p] */
	uint8_t arch_room[VCPU_ARCH_ROOM] ALIGNED(64);
};

enum vcpu_attention {
	ATT_IRQ = 1, /* an interrupt may be pending (LAPIC, PIC) */
	ATT_NMI = 2,
	ATT_INIT = 4, /* INIT received */
	ATT_SIPI = 8,
	ATT_CLOCK = 32,   /* pvclock page to be refreshed */
	ATT_ANSWER = 64,  /* the parked access was answered */
	ATT_SETTLE = 128, /* of a paused VM: carry out the answer, nothing else, and rest again */
};

/*
 * A local APIC that the CPU keeps in a page of its own for a guest in x2APIC mode (vm/vlapic_virt.c). By the vCPU itself in its
 * turn; enable(false) also while it has none.
 */
struct vendor_apic {
	bool notified; /* VEC_POSTED brings what is in the descriptor to a running guest without an exit */
	/* One that could be delivered but for IF may be delivered all the same: a defect. Writes of TPR and self-IPIs exit;
	 * hv lets EOIs exit that another waits behind, and wants a window while IF is 0. */
	bool leaks;
	uint32_t *(*page)(struct vcpu *v); /* hv's address; laid out as the xAPIC's registers */
	void (*enable)(struct vcpu *v, bool on, hpa_t descriptor);
	void (*state)(struct vcpu *v, uint8_t irr_top, uint8_t isr_top); /* after enable; 0: none */
	void (*request)(struct vcpu *v, uint8_t irr_top); /* IRR of the page has changed */
	void (*watch_eois)(struct vcpu *v, const uint64_t vectors[4]); /* these exit: HV_EXIT_EOI */
};

struct vendor {
	const char *name;
	enum hv_virt virt;
	enum pt_format npt_format;
	bool (*npt_1g)(void); /* the nested tables may have 1 GiB leaves */
	/* NULL: usable, else why not (for people). Boot CPU. */
	const char *(*probe)(void);
	/* After probe; NULL: never one. */
	const struct vendor_apic *(*apic_init)(void);
	/* Each CPU, after probe. */
	int (*cpu_enable)(struct cpu *c);
	int (*vcpu_create)(struct vcpu *v, hpa_t npt_root, struct account *acct);
	void (*vcpu_destroy)(struct vcpu *v, struct account *acct);
	/* Begin and end of a turn on this CPU, around any number of run(). */
	void (*load)(struct vcpu *v, struct cpu *c);
	void (*save)(struct vcpu *v);
	/* One stay in guest mode; fills v->exit. Interrupts off before and after. */
	void (*run)(struct vcpu *v);
	/* Power-on values of what set() does not know: MSRs, debug registers. */
	void (*reset)(struct vcpu *v);
	/* All registers but the FPU as one block; the vCPU is not in guest mode. set() also forgets events under way, as
	 * INIT does, and translations made with the old ones from the next load on; within a turn flush() must follow. */
	void (*get)(struct vcpu *v, struct hv_vcpu_regs *out);
	void (*set)(struct vcpu *v, const struct hv_vcpu_regs *in);
	/* What get() and set() leave out of a saved vCPU: MSRs, debug registers, the event on its way in, shadow and NMI blocking.
	 * set_rest() comes after set(), and its values were checked (vm/state.c). */
	void (*get_rest)(struct vcpu *v, struct hv_state_vcpu *out);
	void (*set_rest)(struct vcpu *v, const struct hv_state_vcpu *in, uint64_t tsc_offset);
	void (*context)(struct vcpu *v, struct vcpu_context *out);
	void (*segment)(struct vcpu *v, enum hv_seg which, struct hv_segment *out);
	/* EVENT_INTR: IF and no shadow; EVENT_NMI: not in an NMI handler; both: nothing else being injected. */
	bool (*can_inject)(struct vcpu *v, unsigned event_type);
	void (*inject)(struct vcpu *v, const struct vcpu_event *e);
	/* EVENT_INTR, EVENT_NMI: exit as soon as one can be taken. */
	void (*window)(struct vcpu *v, unsigned event_type, bool wanted);
	void (*skip)(struct vcpu *v);  /* past the instruction of exit.len; clears the shadow */
	void (*flush)(struct vcpu *v); /* nested translations, before the next entry */
	/* Entries of the nested tables have gone: no translation made from them is used when it runs again. It is off its CPU. */
	void (*npt_changed)(struct vcpu *v);
	int (*msr)(
		struct vcpu *v, uint32_t msr, bool write,
		uint64_t *
			value); /* MSRs that live in the vendor's block: EFER, PAT, SYSENTER ...; NOENT: not its */
};
extern const struct vendor *vendor; /* [I] NULL: no VMs here; vendor_reason says why */
extern const char *vendor_reason;
extern const struct vendor_apic *vendor_apic; /* [I] NULL: the CPU keeps no APIC for guests */

extern const struct vendor vendor_svm, vendor_vmx;
void vendor_init(void); /* boot CPU: picks one */

/* ---- instructions that exit (insn.c) ---- */
/* Finds exit.len of the plain instruction at rip. False: it cannot be fetched, or is another by now: run it again. */
bool vcpu_insn_len(struct vcpu *v);
/* What vcpu_insn_len found here before, 0: nothing. */
static inline uint8_t vcpu_insn_len_known(const struct vcpu *v, uint64_t cr3, uint16_t opcode)
{
	const struct insn_length *e = &v->lengths[v->rip % INSN_LENGTHS];

	return e->rip == v->rip && e->cr3 == cr3 && e->opcode == opcode ? e->len : 0;
}
/* Before an instruction that exited is carried out: may vendor->skip be called after it? False: run it again. */
static inline bool vcpu_insn_known(struct vcpu *v)
{
	return LIKELY(v->exit.len) || vcpu_insn_len(v);
}
/* Up to 15 bytes at rip -> how many; 0: not fetchable. */
size_t vcpu_fetch(struct vcpu *v, uint8_t bytes[INSN_MAX]);
size_t vcpu_fetch_in(struct vcpu *v, const struct vcpu_context *c, uint8_t bytes[INSN_MAX]);
void vcpu_inject_fault(struct vcpu *v, uint8_t vector); /* #UD, or with error code 0: #GP, #SS */
void vcpu_inject_page_fault(struct vcpu *v, gva_t address, uint32_t error);
enum {
	VECTOR_DB = 1,
	VECTOR_UD = 6,
	VECTOR_SS = 12,
	VECTOR_GP = 13,
	VECTOR_PF = 14,
	VECTOR_AC = 17,
	VECTOR_MC = 18
};

static inline uint64_t width_mask(unsigned width)
{
	return ~0ull >> (64 - 8 * width);
}
/* A register written as an operand of that many bytes: 4 clears the upper half, 1 and 2 leave the rest (APM1 3.1.2). */
static inline void vcpu_set_gpr(struct vcpu *v, unsigned gpr, unsigned width, uint64_t value)
{
	uint64_t keep = width >= 4 ? 0 : v->gpr[gpr] & ~width_mask(width);

	v->gpr[gpr] = keep | (value & width_mask(width));
}
/* String instructions: rSI, rDI or rCX as the address size has it, and one element further. */
uint64_t vcpu_index(const struct vcpu *v, unsigned gpr, unsigned addr_width);
void vcpu_index_step(struct vcpu *v, unsigned gpr, unsigned addr_width, unsigned width);

/* Linear address of seg:offset for an access of len bytes; HVE_FAULT: *vector says which fault it is. */
int vcpu_linear(struct vcpu *v, enum hv_seg seg, uint64_t offset, unsigned len, bool write,
		gva_t *gva, uint8_t *vector) MUST_CHECK;

/* ---- guest memory, by the guest's own page tables (walk.c) ---- */
struct walk_fault {
	uint32_t error; /* page-fault error code */
	gva_t address;
};
/* The first bytes at linear address gva, up to len and to the end of its page -> how many; 0: not fetchable. */
size_t guest_fetch(struct vcpu *v, const struct vcpu_context *c, gva_t gva, void *to, size_t len);
/* Are the INSN_MAX bytes at gva these? False also when that cannot be told quickly. */
bool guest_code_is(struct vcpu *v, const struct vcpu_context *c, gva_t gva, const uint8_t *bytes);
/* vm/fill.c: a page that was given back is there again. INVAL: not RAM; BUSY: no memory, and the VM is paused. */
int guest_fill(struct pt *npt, gpa_t gpa) MUST_CHECK;
/* Reads/writes len bytes at a linear address, page by page; HVE_FAULT fills *fault for injection as #PF. HVE_INVAL: not RAM.
 * BUSY: as guest_translate. */
int guest_read(struct vcpu *v, gva_t gva, void *to, size_t len, bool fetch,
	       struct walk_fault *fault) MUST_CHECK;
int guest_write(struct vcpu *v, gva_t gva, const void *from, size_t len,
		struct walk_fault *fault) MUST_CHECK;
/* Where a linear address lies in guest-physical memory, RAM or not. BUSY: in a page that was given back, and there is no
 * memory for another: the VM is paused; the instruction is run again. */
int guest_translate(struct vcpu *v, gva_t gva, bool write, gpa_t *gpa,
		    struct walk_fault *fault) MUST_CHECK;
int guest_phys_read(struct pt *npt, gpa_t gpa, void *to, size_t len) MUST_CHECK;
int guest_phys_write(struct pt *npt, gpa_t gpa, const void *from, size_t len) MUST_CHECK;

/* ---- decoding (decode.c: pure, compiled on the host too) ---- */
/* One memory-moving instruction as used on device memory. HVE_INVAL: none of those; HVE_LIMIT: needs more bytes. */
int insn_decode(const uint8_t *bytes, size_t len, enum insn_mode mode, struct insn *out) MUST_CHECK;
/* Length of an instruction without operands (CPUID, RDMSR, HLT ...) behind any prefixes; 0: not that. opcode: 0x00xx one
 * byte xx, 0x0fxx two bytes 0f xx, 0x01xx three bytes 0f 01 xx, 0xf3xx xx behind an F3 prefix (PAUSE). */
unsigned insn_len_plain(const uint8_t *bytes, size_t len, enum insn_mode mode, uint16_t opcode);
/* MOV to or from CR8: the register and the length; 0: not that. */
unsigned insn_decode_cr8(const uint8_t *bytes, size_t len, enum insn_mode mode, uint8_t *gpr);
/* MOV to or from a debug register: the general register and the length; 0: not that. */
unsigned insn_decode_dr(const uint8_t *bytes, size_t len, enum insn_mode mode, uint8_t *gpr);
/* INS, OUTS: the segment of the memory operand and the width of rSI, rDI, rCX; 0: not that. */
unsigned insn_decode_io_string(const uint8_t *bytes, size_t len, enum insn_mode mode, uint8_t *seg,
			       uint8_t *addr_width);

/* ---- arithmetic with flags, as the guest's ALU does it (alu.c: pure) ---- */
/* op: the /r group number of struct insn; width in bytes. Returns the result, updates the six status flags. */
uint64_t alu_compute(unsigned op, unsigned width, uint64_t a, uint64_t b, uint64_t *rflags);
#define ALU_AND 4u
#define ALU_CMP 7u

#endif
