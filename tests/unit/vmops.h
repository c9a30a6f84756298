/* SPDX-License-Identifier: BSD-2-Clause */
/* For tests of VMs in the operation layer: a fake hypervisor with two images, one pool with one volume, and the proof that
 * nothing is left. */
#ifndef TESTS_VMOPS_H
#define TESTS_VMOPS_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/fakehv.h"
#include "ctrl-kernel/ops/autostart.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/images.h"
#include "ctrl-kernel/ops/keep.h"
#include "ctrl-kernel/ops/lasting.h"
#include "ctrl-kernel/ops/modules.h"
#include "ctrl-kernel/ops/start.h"
#include "ctrl-kernel/ops/vms.h"
#include "ctrl-kernel/ops/vmdisks.h"
#include "ctrl-kernel/storage/volume.h"
#include "ctrl-kernel/vmm/io_area.h"

#define PAGES 100000u /* 390 MiB */

static struct ops_error done_error;
static unsigned done_count;

/* ---- one pool "p" with one volume "v" of 1 MiB, in this program's memory ---- */

static struct blkdev *volume;
static struct blk_request *volume_request; /* [borrows] under way */
static unsigned volume_opens;
static bool volumes_known;

static void volume_submit(struct blkdev *b, struct blk_request *r)
{
	assert_ptr_equal(b, volume);
	assert_null(volume_request);
	volume_request = r;
}

int volume_use(const char *pool, const char *name, bool write, struct blkdev **out,
	       struct ops_error *e)
{
	static const struct blkdev_ops ops = {volume_submit};

	if (!volumes_known)
		return ops_fail(e, OPS_NOT_READY, NULL, "the drives are being read");
	if (strcmp(pool, "p") != 0)
		return ops_fail(e, OPS_NO_POOL, NULL, "no pool");
	if (strcmp(name, "v") != 0)
		return ops_fail(e, OPS_NO_VOLUME, NULL, "no volume");
	assert_true(write);
	assert_int_equal(volume_opens, 0);
	volume_opens++;
	*out = volume = calloc(1, sizeof(*volume));
	volume->ops = &ops;
	volume->bytes = 1 << 20;
	volume->sector_bytes = 512;
	volume->physical_bytes = 4096;
	volume->write_cache = true;
	return 0;
}

void volume_close(struct blkdev *dev)
{
	assert_ptr_equal(dev, volume);
	volume_opens--;
	volume = NULL;
	free(dev);
}

/* No configuration that lasts. */
bool lasting_behind(void)
{
	return false;
}

int lasting_wait(ops_done_fn fn, void *ctx, struct ops_error *e)
{
	(void)fn, (void)ctx, (void)e;
	abort();
}

static inline void done(void *ctx, const struct ops_error *e)
{
	(void)ctx;
	done_count++;
	done_error = e ? *e : (struct ops_error){0};
}

static inline void upload(const char *name, const char *text)
{
	struct stream *w;
	struct image *image;
	struct ops_error e;
	bool replaced;

	assert_int_equal(image_begin(name, STREAM_SIZE_UNKNOWN, &w, &e), 0);
	assert_int_equal(stream_write(w, text, strlen(text), &e), 0);
	assert_int_equal(image_commit(name, w, &image, &replaced, &e), 0);
}

static inline int setup(void **state)
{
	static bool once;

	(void)state;
	fake_reset(PAGES);
	if (!once)
		vms_init();
	once = true;
	run_test_hooks = false;
	mirror_select("");
	upload("kernel", "a kernel");
	upload("initrd", "an initrd");
	done_count = 0;
	volumes_known = true;
	return 0;
}

static inline int teardown(void **state)
{
	struct ops_error e;

	(void)state;
	fake_fail(0, 0);
	while (vm_first()) {
		struct vm *vm = vm_first();

		if (vm->run)
			assert_int_equal(vm_stop(vm, &e), 0);
		assert_int_equal(vm_delete(vm, &e), 0);
	}
	fake_loop();
	while (image_first())
		assert_int_equal(image_delete(image_first()->name, &e), 0);
	assert_int_equal(fake_handles(), 1); /* itself */
	fake_close_self();
	assert_int_equal(fake_objects(), 0);
	assert_int_equal(fake_mappings(), 0);
	assert_int_equal(fake_free_pages(), fake_total_pages());
	fake_log_clear();
	return 0;
}

static inline struct vm_spec spec_for(const char *name)
{
	struct vm_spec spec;

	vm_spec_default(&spec);
	snprintf(spec.name, sizeof(spec.name), "%s", name);
	spec.vcpus = 2;
	spec.memory = 64 << 20;
	snprintf(spec.kernel, sizeof(spec.kernel), "kernel");
	snprintf(spec.initrd, sizeof(spec.initrd), "initrd");
	snprintf(spec.cmdline, sizeof(spec.cmdline), "console=ttyS0");
	spec.n_disks = 1;
	snprintf(spec.disks[0].image, sizeof(spec.disks[0].image), "initrd");
	return spec;
}

static inline struct vm *define(const char *name)
{
	struct vm_spec spec = spec_for(name);
	struct ops_error e;
	struct vm *vm;

	assert_int_equal(vm_define(&spec, &vm, &e), 0);
	return vm;
}

static inline void vmm_says(uint32_t phase, const char *text)
{
	struct vmm_status *s = fake_status();

	s->phase = phase;
	snprintf(s->text, sizeof(s->text), "%s", text);
	fake_status_raise();
	fake_loop();
}

static inline struct vm *running(const char *name)
{
	struct vm *vm = define(name);
	struct ops_error e;

	assert_int_equal(vm_start(vm, done, NULL, &e), 0);
	fake_loop();
	assert_int_equal(done_count, 0);
	fake_vm()->info.state = HV_VM_RUNNING;
	vmm_says(VMM_RUNNING, "");
	assert_int_equal(done_count, 1);
	done_count = 0;
	assert_int_equal(vm->state, VM_RUNNING);
	return vm;
}

#endif
