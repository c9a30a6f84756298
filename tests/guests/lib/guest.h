/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a test guest has: serial output, CPU access, traps, APIC, further CPUs, an end. One guest shows one property:
 * it prints what it saw, and "ok NAME" or "FAILED NAME: why" last.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void guest_main(void);
void ap_main(unsigned n);                        /* on another CPU; weak default halts */
__attribute__((noreturn)) void guest_exit(void); /* ACPI power-off, else halt */

void print(const char *format, ...)
	__attribute__((format(printf, 1, 2))); /* %s %c %d %u %x %lu %lx with width */
__attribute__((noreturn)) void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
__attribute__((noreturn)) void done(void); /* prints ok */
#define check(c, ...) ((c) ? (void)0 : fail(__VA_ARGS__))
extern const char guest_name[];

/* Traps. An exception in guarded code resumes at the next statement: */
struct frame {
	uint64_t error, rip, cs, rflags, rsp, ss;
};
typedef void (*handler_t)(uint64_t vector, struct frame *f);
void on_vector(unsigned vector, handler_t h);
/* Runs fn(arg); returns the vector of the exception it caused, or -1. Not nested. */
int catch_trap(void (*fn)(void *), void *arg);
void idt_init(void);
void trap(uint64_t vector, struct frame *f);

extern uint32_t boot_magic, boot_info, ap_count;
/* INIT, SIPI to all others; waits until `n` more CPUs run ap_main. */
bool ap_start(unsigned n);

static inline void outb(uint16_t p, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(p));
}
static inline void outw(uint16_t p, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(p));
}
static inline void outl(uint16_t p, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(p));
}
static inline uint8_t inb(uint16_t p)
{
	uint8_t v;
	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(p));
	return v;
}
static inline uint16_t inw(uint16_t p)
{
	uint16_t v;
	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(p));
	return v;
}
static inline uint32_t inl(uint16_t p)
{
	uint32_t v;
	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(p));
	return v;
}
static inline uint64_t rdmsr(uint32_t m)
{
	uint32_t a, d;
	__asm__ volatile("rdmsr" : "=a"(a), "=d"(d) : "c"(m));
	return a | (uint64_t)d << 32;
}
static inline void wrmsr(uint32_t m, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(m), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}
static inline uint64_t rdtsc(void)
{
	uint32_t a, d;
	__asm__ volatile("rdtsc" : "=a"(a), "=d"(d) : : "memory");
	return a | (uint64_t)d << 32;
}
static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
			 : "0"(leaf), "2"(sub));
}
static inline void sti(void)
{
	__asm__ volatile("sti" : : : "memory");
}
static inline void cli(void)
{
	__asm__ volatile("cli" : : : "memory");
}
/* Interrupts are off before, whenever what they change has been looked at: also the second time. */
static inline void sti_hlt(void)
{
	__asm__ volatile("sti\n\thlt" : : : "memory");
}
static inline void pause(void)
{
	__asm__ volatile("pause");
}
static inline uint32_t mmio_read(uint64_t a)
{
	return *(volatile uint32_t *)a;
}
static inline void mmio_write(uint64_t a, uint32_t v)
{
	*(volatile uint32_t *)a = v;
}

/* x2APIC */
enum {
	X2_ID = 0x802,
	X2_TPR = 0x808,
	X2_EOI = 0x80b,
	X2_SVR = 0x80f,
	X2_ICR = 0x830,
	X2_LVT_TIMER = 0x832,
	X2_TMICT = 0x838,
	X2_TMCCT = 0x839,
	X2_TDCR = 0x83e,
	X2_SELF = 0x83f,
	MSR_TSC_DEADLINE = 0x6e0,
	MSR_APIC_BASE = 0x1b
};
void x2apic_enable(void);
void pic_mask_all(void);

#endif
