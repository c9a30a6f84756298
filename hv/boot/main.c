/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hv from its first C line to the scheduler: the table of contents. start.S calls hv_main on the boot tables; hv_run
 * continues on the CPU's own stack and hv's own tables.
 */
#include "hv/boot/boot.h"

#include "hv/boot/multiboot.h"
#include "hv/boot/ranges.h"
#include "hv/boot/smp.h"
#include "hv/boot/start.h"
#include "hv/cpu/asm.h"
#include "hv/cpu/speculation.h"
#include "hv/cpu/x86.h"
#include "hv/lib/log.h"
#include "hv/lib/string.h"
#include "hv/mm/frame.h"
#include "hv/mm/init.h"
#include "hv/plat/init.h"
#include "hv/prog/prog.h"

#define BOOT_REACH (4ull << 30) /* start.S maps so much */
#define PIC_MASTER_MASK 0x21u
#define PIC_SLAVE_MASK 0xa1u

/* entry.S knows struct uregs by number. */
_Static_assert(offsetof(struct uregs, r15) == UREGS_R15 &&
		       offsetof(struct uregs, r11) == UREGS_R11 &&
		       offsetof(struct uregs, rax) == UREGS_RAX &&
		       offsetof(struct uregs, rip) == UREGS_RIP &&
		       offsetof(struct uregs, rsp) == UREGS_RSP &&
		       offsetof(struct uregs, entered) == UREGS_ENTERED &&
		       sizeof(struct uregs) == UREGS_SIZE &&
		       (unsigned)TRAP_SYSCALL == ASM_TRAP_SYSCALL,
	       "entry.S");

static struct boot_info boot_info;
static hpa_t low_page; /* below 1 MiB: the trampoline */

extern uintptr_t __stack_chk_guard;
uintptr_t __stack_chk_guard RO_AFTER_INIT;

static void *boot_at(void *ctx, hpa_t start, uint64_t len)
{
	(void)ctx;
	if (len > BOOT_REACH || start > BOOT_REACH - len)
		return NULL;
	return (void *)(start + HV_DIRECT);
}

static struct boot_range image_range(void)
{
	return (struct boot_range){(hpa_t)boot_start, hv_to_phys(image_end)};
}

/* A canary with a zero byte: strings do not copy it (and an overflow by one byte is still seen). */
static inline __attribute__((always_inline)) void init_canary(void)
{
	__stack_chk_guard = cpu_random() << 8;
}

/*
 * The firmware's timer must not leave an interrupt pending at the CPU: plat_init masks the local APIC's LINT0, and a
 * request that is withdrawn only after that reaches a CPU with nothing behind it (QEMU then raises #GP).
 */
static void quiet_pics(void)
{
	outb(PIC_MASTER_MASK, 0xff);
	outb(PIC_SLAVE_MASK, 0xff);
}

static void report_boot_info(void)
{
	log_printf("boot: multiboot %d%s, command line \"%s\"", boot_info.multiboot2 ? 2 : 1,
		   boot_info.efi ? ", UEFI" : "", boot_info.cmdline);
	for (unsigned i = 0; i < boot_info.n_modules; i++)
		log_printf(
			"boot: module %u, %llu bytes, \"%s\"", i,
			(unsigned long long)(boot_info.modules[i].end - boot_info.modules[i].start),
			boot_info.modules[i].string);
	if (boot_info.modules_dropped != 0)
		log_printf("boot: %u modules are ignored: malformed, more than %u, or no memory "
			   "for them",
			   boot_info.modules_dropped, BOOT_MODULES_MAX);
}

static void read_boot_info(uint32_t magic, hpa_t info)
{
	const struct boot_phys phys = {boot_at, NULL};
	struct boot_range image = image_range();

	if (multiboot_parse(magic, info, &phys, &boot_info) != 0)
		panic("not started by a multiboot loader (magic %x, information at %llx)", magic,
		      (unsigned long long)info);
	ranges_remove(boot_info.ram, &boot_info.n_ram, 1ull << cpu_features.phys_bits, ~0ull);
	if (boot_info.n_ram == 0)
		panic("the loader reports no usable memory");
	modules_settle(&boot_info, &image, &phys);
	low_page = boot_low_page(&boot_info);
	if (low_page != 0)
		smp_write_trampoline(low_page);
	report_boot_info();
}

/* RAM below 1 MiB is left to the firmware, the trampoline apart. */
static void init_frames(void)
{
	struct boot_range image = image_range();

	for (unsigned i = 0; i < boot_info.n_ram; i++)
		if (boot_info.ram[i].end > BOOT_LOW_END)
			frame_add_ram(MAX(boot_info.ram[i].start, BOOT_LOW_END),
				      boot_info.ram[i].end);
	frame_reserve(image.start, image.end);
	for (unsigned i = 0; i < boot_info.n_modules; i++)
		frame_reserve(boot_info.modules[i].start,
			      ALIGN_UP(boot_info.modules[i].end, PAGE_SIZE));
	frame_init_done();
}

static void report_memory(void)
{
	struct frame_stats s;

	frame_stats(&s);
	log_printf("memory: %llu MiB, %llu MiB free",
		   (unsigned long long)(s.total >> (20 - PAGE_SHIFT)),
		   (unsigned long long)(s.free >> (20 - PAGE_SHIFT)));
}

static void report_up(void)
{
	if (vendor == NULL)
		log_printf("virtual machines cannot be started: %s", vendor_reason);
	log_printf("hv up, %u CPUs, %s", n_cpus,
		   vendor == NULL ? "no virtualization" : vendor->name);
}

/* test.exact=1 is for figures under QEMU (svm_event.c) and Bochs (vmx_apic.c). */
static bool has_word(const char *cmdline, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = cmdline; *at; at++)
		if ((at == cmdline || at[-1] == ' ') && strncmp(at, word, len) == 0 &&
		    (at[len] == ' ' || at[len] == 0))
			return true;
	return false;
}

static void init_virtualization(void)
{
	vendor_init();
	if (vendor == NULL || vendor->cpu_enable(this_cpu()) == 0)
		return;
	vendor = NULL;
	vendor_reason = "the CPU's virtualization extension could not be switched on";
}

/* On the boot CPU's own stack and hv's own tables. */
static void hv_run(void)
{
	cpu_init(this_cpu());
	speculation_init(boot_info.cmdline);
	plat_init(boot_info.rsdp_len == 0 ? NULL : boot_info.rsdp_copy, boot_info.rsdp_len);
	init_virtualization();
	sched_init_cpu();
	smp_start(low_page);
	heartbeat_init();
	report_up();
	prog_start_ctrl(&boot_info);
	sched_loop();
}

NORETURN void hv_main(uint32_t magic, uint32_t info)
{
	quiet_pics();
	uart_init();
	log_printf("Socle %s, build %s", hv_version, hv_build_id);
	(void)cpu_init_early();
	cpu_detect();
	init_canary();
	log_printf("cpu: %s", cpu_features.model_name);
	read_boot_info(magic, info);
	cpu_features.exact = has_word(boot_info.cmdline, "test.exact=1");
	cpu_features.tcg_care = cpu_features.tcg && !cpu_features.exact;
	init_frames();
	mm_init_tables();
	if (mm_map_cpu_area(0) != 0)
		panic("not enough memory for the stacks of the boot CPU");
	report_memory();
	cpu_run_on(cpu_stack_top(this_cpu()), hv_run);
}
