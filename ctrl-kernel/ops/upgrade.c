/* SPDX-License-Identifier: BSD-2-Clause */
/* Upgrades of the control kernel (upgrade.h). */
#include "ctrl-kernel/ops/upgrade.h"

#include "ctrl-kernel/ops/control.h"
#include "ctrl-kernel/ops/keep.h"
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/vmm/vmm_abi.h"

#define FILE_MAX (HV_CTRL_BYTES_MAX + sizeof(struct upgrade_trailer))

int upgrade_begin(uint64_t bytes, struct stream **out, struct ops_error *e)
{
	return stream_begin(bytes, FILE_MAX, out, e);
}

static int check(const struct stream_bytes *file, struct upgrade_trailer *what, struct ops_error *e)
{
	const struct upgrade_wanted wanted = {.key = upgrade_key,
					      .abi = HV_ABI_VERSION,
					      .store = KEEP_VERSION,
					      .vmm = VMM_CONFIG_VERSION};
	uint64_t pages = (file->bytes + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE;
	void *window;
	int r;

	if (pages == 0)
		return ops_fail(e, OPS_BAD_UPGRADE, NULL, "the body is empty");
	window = rt_mem_map(file->mem, 0, pages, HVP_READ);
	if (!window)
		return ops_fail(e, OPS_EXHAUSTED, NULL, "the file cannot be mapped");
	r = upgrade_file_check(window, file->bytes, &wanted, what, e);
	rt_mem_unmap(window, pages);
	return r;
}

static int hand_over(uint32_t mem, uint64_t bytes, struct ops_error *e)
{
	int r = hv_ctrl_replace(mem, bytes);

	if (r == -HVE_STATE)
		return ops_fail(e, OPS_BUSY, NULL, "an upgrade is under way already");
	if (r == -HVE_INVAL)
		return ops_fail(e, OPS_BAD_UPGRADE, NULL,
				"the hypervisor refuses it: it is not a program as linker/prog.ld "
				"makes them");
	return r ? ops_fail_hv(e, r, "handing the program over") : 0;
}

int upgrade_commit(struct stream *s, struct upgrade_trailer *what, struct ops_error *e)
{
	struct stream_bytes file;
	int r;

	stream_end(s, &file);
	r = check(&file, what, e);
	if (!r)
		r = hand_over(file.mem, what->bytes, e);
	hv_handle_close(file.mem);
	if (r)
		return -1;
	rt_log("upgrade to version %s, build %s", what->version, what->build);
	control_make_way();
	return 0;
}

const char *upgrade_outcome(void)
{
	static const char *const words[] = {
		[HV_UPGRADE_TRIAL] = "on trial",
		[HV_UPGRADE_DONE] = "done",
		[HV_UPGRADE_LATE] = "fell back: it did not become healthy in 5 s",
		[HV_UPGRADE_DIED] = "fell back: it ended before it was healthy",
		[HV_UPGRADE_NOT_STARTED] = "fell back: it could not be started",
	};
	uint32_t upgrade = rt_info()->upgrade;

	return upgrade < ARRAY_SIZE(words) ? words[upgrade] : "not known";
}
