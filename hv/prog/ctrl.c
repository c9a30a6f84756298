/* SPDX-License-Identifier: BSD-2-Clause */
/* The first program: the control kernel, with the machine's rights and the boot modules. Called once, by boot/. */
#include "hv/prog/handle.h"
#include "hv/prog/prog.h"

#include "hv/boot/boot.h"
#include "hv/lib/log.h"
#include "hv/lib/string.h"

/* Its share beside guests that spin on every CPU: a tenth of ten of them still gets half a CPU. */
#define CTRL_WEIGHT 1000u

_Static_assert(BOOT_MODULES_MAX <= HV_MODULES_MAX, "all modules fit into the information page");
_Static_assert(sizeof(((struct boot_info *)0)->cmdline) <= HV_CMDLINE_MAX,
	       "so does the command line");

uint64_t prog_boot_epoch;

/* A module's pages become a memory object; closing the last handle gives them back. */
static int give_module(struct prog *p, hpa_t start, hpa_t end, struct hv_module *out)
{
	uint64_t pages = ALIGN_UP(end - start, PAGE_SIZE) >> PAGE_SHIFT;
	struct mem *m;
	int err = mem_from_frames(start, pages, &account_modules, &m);

	if (err != 0)
		return err;
	err = handle_add(p, &m->obj, HVR_READ | HVR_GRANT, &out->mem);
	object_put(&m->obj);
	if (err == 0)
		out->bytes = end - start;
	return err;
}

static void give_modules(struct prog *p, const struct boot_info *bi)
{
	for (unsigned i = 0; i < bi->n_modules; i++) {
		struct hv_module *out = &p->info->modules[p->info->n_modules];
		int err = give_module(p, bi->modules[i].start, bi->modules[i].end, out);

		if (err != 0) {
			log_printf("hv: boot module \"%s\" is not usable (error %d)\n",
				   bi->modules[i].string, -err);
			continue;
		}
		str_copy(out->string, bi->modules[i].string, sizeof(out->string));
		p->info->n_modules++;
	}
}

void prog_start_ctrl(const struct boot_info *bi)
{
	struct prog_config config = {.image = image_ctrl,
				     .image_end = image_ctrl_end,
				     .kind = HV_IMAGE_CTRL,
				     .rights = HVPR_HW | HVPR_VM,
				     .weight = CTRL_WEIGHT};
	struct prog *p;
	int err = prog_create(&config, &p);

	if (err != 0)
		panic("the control kernel in this image cannot be loaded (error %d)", -err);
	prog_ctrl = p;
	prog_boot_epoch = plat_boot_epoch;
	str_copy(p->info->cmdline, bi->cmdline, sizeof(p->info->cmdline));
	give_modules(p, bi);
	spin_lock(&hv_lock);
	err = prog_start(p);
	spin_unlock(&hv_lock);
	if (err != 0)
		panic("the control kernel cannot be started (error %d)", -err);
	object_put(&p->obj); /* its life keeps it */
}
