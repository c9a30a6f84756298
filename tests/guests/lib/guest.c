/* SPDX-License-Identifier: BSD-2-Clause */
/* The library of the test guests; see guest.h. */
#include <stdarg.h>
#include "guest.h"

enum { UART = 0x3f8, PM1A_CNT = 0x604, SLP_EN_S5 = 0x2000 | 5 << 10 };

static struct {
	uint16_t low, selector;
	uint8_t ist, type;
	uint16_t mid;
	uint32_t high, zero;
} idt[256] __attribute__((aligned(16)));
struct {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed)) idt_ptr = {sizeof(idt) - 1, (uint64_t)idt};
extern uint8_t trap_stubs[], ap_entry[], ap_entry_end[];
static handler_t handlers[256];
static volatile int caught;
static volatile bool catching;
static void *catch_jmp[5];

static void put(char c)
{
	while (!(inb(UART + 5) & 0x20))
		pause();
	outb(UART, (uint8_t)c);
}

static void put_number(uint64_t v, unsigned base, unsigned width, char fill)
{
	char digits[24];
	unsigned n = 0;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (width > n && width--)
		put(fill);
	while (n)
		put(digits[--n]);
}

static const char *format_one(const char *f, va_list *ap)
{
	char fill = ' ';
	unsigned width = 0, longs = 0;

	if (*f == '0')
		fill = *f++;
	while (*f >= '0' && *f <= '9')
		width = width * 10 + (unsigned)(*f++ - '0');
	for (; *f == 'l'; f++)
		longs++;
	if (*f == 's') {
		for (const char *s = va_arg(*ap, const char *); *s; s++)
			put(*s);
	} else if (*f == 'c') {
		put((char)va_arg(*ap, int));
	} else if (*f == 'd' && !longs) {
		int v = va_arg(*ap, int);

		if (v < 0)
			put('-');
		put_number((uint64_t)(v < 0 ? -(int64_t)v : v), 10, width, fill);
	} else {
		uint64_t v = longs ? va_arg(*ap, uint64_t) : va_arg(*ap, uint32_t);

		put_number(v, *f == 'x' ? 16 : 10, width, fill);
	}
	return f + 1;
}

static void vprint(const char *f, va_list *ap)
{
	while (*f) {
		if (*f != '%')
			put(*f++);
		else
			f = format_one(f + 1, ap);
	}
}

void print(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vprint(format, &ap);
	va_end(ap);
	put('\n');
}

void guest_exit(void)
{
	for (;;) {
		cli();
		outw(PM1A_CNT, SLP_EN_S5);
		__asm__ volatile("hlt");
	}
}

void fail(const char *format, ...)
{
	va_list ap;

	for (const char *s = "FAILED "; *s; s++)
		put(*s);
	for (const char *s = guest_name; *s; s++)
		put(*s);
	put(':');
	put(' ');
	va_start(ap, format);
	vprint(format, &ap);
	va_end(ap);
	put('\n');
	guest_exit();
}

void done(void)
{
	print("ok %s", guest_name);
	guest_exit();
}

void on_vector(unsigned vector, handler_t h)
{
	handlers[vector] = h;
}

void trap(uint64_t vector, struct frame *f)
{
	if (handlers[vector]) {
		handlers[vector](vector, f);
	} else if (catching && vector < 32) {
		catching = false;
		caught = (int)vector;
		__builtin_longjmp(catch_jmp, 1);
	} else {
		fail("unexpected vector %lu, error %lx, rip %lx", vector, f->error, f->rip);
	}
}

int catch_trap(void (*fn)(void *), void *arg)
{
	caught = -1;
	catching = true;
	if (__builtin_setjmp(catch_jmp) == 0)
		fn(arg);
	catching = false;
	return caught;
}

void idt_init(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint64_t a = (uint64_t)trap_stubs + i * 16;

		idt[i].low = (uint16_t)a;
		idt[i].selector = 8;
		idt[i].type = 0x8e;
		idt[i].mid = (uint16_t)(a >> 16);
		idt[i].high = (uint32_t)(a >> 32);
	}
	__asm__ volatile("lidt %0" : : "m"(idt_ptr));
}

__attribute__((weak)) void ap_main(unsigned n)
{
	(void)n;
}

bool ap_start(unsigned n)
{
	uint8_t *to = (uint8_t *)0x8000;
	uint64_t deadline;

	for (size_t i = 0; i < (size_t)(ap_entry_end - ap_entry); i++)
		to[i] = ap_entry[i];
	wrmsr(X2_ICR, 0xc4500); /* INIT, all but self */
	wrmsr(X2_ICR, 0xc4608); /* SIPI, vector 8 */
	wrmsr(X2_ICR, 0xc4608);
	deadline = rdtsc() + 2000000000ull;
	while (*(volatile uint32_t *)&ap_count < n && rdtsc() < deadline)
		pause();
	return ap_count >= n;
}

void x2apic_enable(void)
{
	pic_mask_all();
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 0xc00);
	wrmsr(X2_SVR, 0x1ff);
	wrmsr(X2_TPR, 0);
}

void pic_mask_all(void)
{
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
}

void *memset(void *to, int byte, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((volatile uint8_t *)to)[i] = (uint8_t)byte;
	return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
	return to;
}
