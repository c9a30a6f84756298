/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first program: the control kernel, with the machine's rights and the boot modules; and the next instance of it
 * when it has ended, however it came to that; perhaps from another program (upgrade.c). VMs and their vmm programs run
 * on meanwhile.
 *
 *   boot --> instance 1 --ends--> instance 2 --ends--> ...   the third end within 60 s: none follows,
 *                                                                 but the monitor (monitor.h)
 *
 * The boot modules stay with hv until an instance has kept something in slot 0 (keep.c): one that dies before leaves
 * nothing that counts, and the next one gets them again.
 */
#include "hv/prog/handle.h"
#include "hv/prog/monitor.h"
#include "hv/prog/prog.h"

#include "hv/boot/boot.h"
#include "hv/lib/log.h"
#include "hv/lib/string.h"

/* Its share beside guests that spin on every CPU: a tenth of ten of them still gets half a CPU. */
#define CTRL_WEIGHT 1000u

_Static_assert(BOOT_MODULES_MAX <= HV_MODULES_MAX, "all modules fit into the information page");
_Static_assert(sizeof(((struct boot_info *)0)->cmdline) <= HV_CMDLINE_MAX,
	       "so does the command line");

#define BUDGET HV_CTRL_ENDS
#define BUDGET_NS HV_CTRL_ENDS_NS

uint64_t prog_boot_epoch;

static struct boot_module {
	struct mem *mem; /* counted; NULL: none, or it is the control kernel's now */
	uint64_t bytes;
	char string[sizeof(((struct hv_module *)0)->string)];
} modules[BOOT_MODULES_MAX];
static char cmdline[HV_CMDLINE_MAX]; /* [I] */
static uint32_t instances;
static uint32_t counted;      /* ends that no upgrade brought about */
static uint32_t forgiven;     /* so many of them do not count any more */
static uint64_t ends[BUDGET]; /* when the last of them were, by number */
static uint64_t image_sum;    /* [I] of the program in the image */

/* The image lies in pages that nobody can write; memory may go bad all the same (FNV-1a over words). */
static uint64_t sum_of_image(void)
{
	uint64_t n = (uint64_t)image_ctrl_end - (uint64_t)image_ctrl;
	uint64_t h = 0xcbf29ce484222325ull, word;

	for (uint64_t i = 0; i + sizeof(word) <= n; i += sizeof(word)) {
		memcpy(&word, image_ctrl + i, sizeof(word));
		h = (h ^ word) * 0x100000001b3ull;
	}
	return h;
}

static void take_modules(const struct boot_info *bi)
{
	for (unsigned i = 0; i < bi->n_modules; i++) {
		hpa_t start = bi->modules[i].start, end = bi->modules[i].end;
		uint64_t pages = ALIGN_UP(end - start, PAGE_SIZE) >> PAGE_SHIFT;
		int err = mem_from_frames(start, pages, &account_modules, &modules[i].mem);

		if (err != 0)
			log_printf("hv: boot module \"%s\" is not usable (error %d)\n",
				   bi->modules[i].string, -err);
		modules[i].bytes = end - start;
		str_copy(modules[i].string, bi->modules[i].string, sizeof(modules[i].string));
	}
}

static int give_modules(struct prog *p)
{
	for (unsigned i = 0; i < BOOT_MODULES_MAX; i++) {
		const struct boot_module *m = &modules[i];
		struct hv_module *out = &p->info->modules[p->info->n_modules];
		int err;

		if (!m->mem)
			continue;
		err = handle_add(p, &m->mem->obj, HVR_READ | HVR_GRANT, &out->mem);
		if (err != 0)
			return err;
		out->bytes = m->bytes;
		str_copy(out->string, m->string, sizeof(out->string));
		p->info->n_modules++;
	}
	return 0;
}

void ctrl_modules_given(void)
{
	for (unsigned i = 0; i < BOOT_MODULES_MAX; i++) {
		if (modules[i].mem)
			object_put(&modules[i].mem->obj);
		modules[i].mem = NULL;
	}
}

static int start_one(void)
{
	struct prog_config config = {.image = image_ctrl,
				     .image_end = image_ctrl_end,
				     .kind = HV_IMAGE_CTRL,
				     .rights = HVPR_HW | HVPR_VM,
				     .weight = CTRL_WEIGHT};
	struct prog *p;
	int err;

	upgrade_choose(&config);
	err = prog_create(&config, &p);
	if (err != 0)
		return err;
	p->info->instance = ++instances;
	str_copy(p->info->cmdline, cmdline, sizeof(p->info->cmdline));
	spin_lock(&hv_lock);
	err = give_modules(p);
	if (err == 0) {
		__atomic_store_n(&prog_ctrl, p, __ATOMIC_RELEASE);
		upgrade_starts(p);
		err = prog_start(p);
	}
	spin_unlock(&hv_lock);
	object_put(&p->obj); /* its life keeps it */
	return err;
}

static int start(void)
{
	int err = start_one();

	if (err != 0 && upgrade_not_started())
		err = start_one();
	return err;
}

void prog_start_ctrl(const struct boot_info *bi)
{
	int err;

	prog_boot_epoch = plat_boot_epoch;
	image_sum = sum_of_image();
	str_copy(cmdline, bi->cmdline, sizeof(cmdline));
	take_modules(bi);
	err = start();
	if (err != 0)
		panic("the control kernel in this image cannot be started (error %d)", -err);
}

/* Is there a word on the command line that begins so? */
static bool has_word(const char *begin)
{
	size_t n = strlen(begin);

	for (const char *at = cmdline; *at; at++)
		if ((at == cmdline || at[-1] == ' ') && strncmp(at, begin, n) == 0)
			return true;
	return false;
}

static bool image_is_good(void)
{
	bool good = sum_of_image() == image_sum;

	if (!good)
		log_printf("hv: the control kernel in memory is not what was loaded; the memory is "
			   "bad\n");
	return good;
}

/* Now, and how many of the ends before were less than a minute ago. */
static bool within_budget(void)
{
	uint64_t now = time_now(), *slot = &ends[++counted % BUDGET];
	uint64_t oldest = ends[(counted + 1) % BUDGET]; /* BUDGET - 1 ends before this one */

	*slot = now;
	if (counted - forgiven < BUDGET)
		return true;
	if (has_word("test.hooks=1") && has_word("test.soak="))
		return true;
	return now - oldest > BUDGET_NS;
}

static void report_start(void)
{
	log_printf("hv: instance %u of the control kernel is started; VMs run on\n", instances);
}

void ctrl_ended(void)
{
	bool planned = upgrade_ended();
	int err = -HVE_LIMIT;

	if (image_is_good()) {
		if (planned || within_budget())
			err = start();
		else
			log_printf("hv: the control kernel ended %u times within a minute\n",
				   BUDGET);
	}
	if (err == 0) {
		report_start();
		return;
	}
	log_printf("hv: the host is no longer managed; running VMs run on\n");
	monitor_start();
}

int ctrl_restart(void)
{
	int err;

	if (prog_ctrl || !image_is_good())
		return -HVE_STATE;
	forgiven = counted;
	err = start();
	if (err == 0)
		report_start();
	return err;
}
