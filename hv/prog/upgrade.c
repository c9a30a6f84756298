/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which program the control kernel is started from. At first it is the one in the boot file; the control kernel can hand
 * over another (CTRL_REPLACE), which must prove itself:
 *
 *             CTRL_REPLACE           start                CTRL_HEALTHY
 *   nothing ----------------> given -------> on trial ---------------------> it is the current one
 *      ^                        |               |  died, or not healthy in time
 *      '--- could not start ----'---------------'  dropped; the next instance is started from the current one
 *
 * All of this is changed by the control kernel's own calls, and between its instances: it needs no lock. The pages are
 * hv's. A program never maps them (space.c copies what is not in hv's image), so they go whenever they are not needed.
 */
#include "hv/prog/elf.h"
#include "hv/prog/hypercall.h"

#include "hv/lib/log.h"
#include "hv/lib/string.h"
#include "hv/mm/window.h"

#define TRIAL_S 5u
#define NS_PER_S 1000000000ull
#define PAGES_MAX (HV_CTRL_BYTES_MAX / PAGE_SIZE)
#define WAKE_EVENT (1ull << (HV_EVENT_BITS - 1)) /* it ends before it looks at what that is */

struct build {
	uint8_t *image; /* [owns] NULL: none, or that in the boot file */
	uint64_t bytes;
	uint64_t sum;
	unsigned pages;
	uint32_t number; /* 0: the boot file's */
};
static struct build current, candidate;
static struct prog *on_trial; /* counted */
static enum hv_upgrade outcome;
static uint32_t upgrades;
static struct timer trial_timer;

/* FNV-1a over words, the rest over bytes: pages of hv that nobody writes to, but memory goes bad. */
static uint64_t sum_of(const uint8_t *image, uint64_t bytes)
{
	uint64_t h = 0xcbf29ce484222325ull, word, i = 0;

	for (; i + sizeof(word) <= bytes; i += sizeof(word)) {
		memcpy(&word, image + i, sizeof(word));
		h = (h ^ word) * 0x100000001b3ull;
	}
	for (; i < bytes; i++)
		h = (h ^ image[i]) * 0x100000001b3ull;
	return h;
}

static void drop(struct build *b)
{
	hv_pages_free(&account_hv, b->image, b->pages);
	*b = (struct build){.image = NULL};
}

static void give_up(enum hv_upgrade why, const char *words)
{
	log_printf("hv: upgrade %u of the control kernel %s: falling back\n", candidate.number,
		   words);
	outcome = why;
	drop(&candidate);
}

/* ---- the calls ---- */

static int copy_in(struct mem *m, uint8_t *to, uint64_t bytes)
{
	for (uint64_t at = 0; at < bytes; at += PAGE_SIZE) {
		uint64_t run;
		hpa_t hpa;

		if (mem_lookup(m, at / PAGE_SIZE, &hpa, &run) != 0)
			return -HVE_INVAL;
		phys_read(to + at, hpa, MIN(bytes - at, PAGE_SIZE));
	}
	return 0;
}

int hc_ctrl_replace(struct prog *p, struct object *o, uint64_t *value)
{
	struct build b = {.bytes = arg1(p), .pages = 1};
	struct elf_image elf;
	int err;

	if (p != prog_ctrl)
		return -HVE_RIGHTS;
	if (candidate.image)
		return -HVE_STATE;
	if (b.bytes == 0 || b.bytes > HV_CTRL_BYTES_MAX)
		return -HVE_INVAL;
	while (b.pages * PAGE_SIZE < b.bytes)
		b.pages *= 2;
	b.image = hv_pages_alloc(&account_hv, b.pages);
	if (!b.image)
		return -HVE_NOMEM;
	/* Copied, then checked: the caller may write to its memory all the while. */
	err = copy_in(as_mem(o), b.image, b.bytes);
	if (err == 0)
		err = elf_read(b.image, b.bytes, &elf);
	if (err != 0) {
		drop(&b);
		return err;
	}
	b.sum = sum_of(b.image, b.bytes);
	b.number = ++upgrades;
	candidate = b;
	outcome = HV_UPGRADE_TRIAL;
	*value = b.number;
	return 0;
}

int hc_ctrl_healthy(struct prog *p, struct object *o, uint64_t *value)
{
	(void)o, (void)value;
	if (p != prog_ctrl)
		return -HVE_RIGHTS;
	if (p != on_trial)
		return 0;
	timer_cancel(&trial_timer);
	on_trial = NULL;
	object_put(&p->obj);
	drop(&current);
	current = candidate;
	candidate = (struct build){.image = NULL};
	outcome = p->info->upgrade = HV_UPGRADE_DONE;
	log_printf("hv: upgrade %u of the control kernel is healthy\n", current.number);
	return 0;
}

/* ---- time is over ---- */

/* Wherever it is: it is woken, or leaves ring 3, and looks (trap.c). */
static void trial_over(struct timer *t)
{
	struct prog *p = on_trial;

	(void)t;
	(void)__atomic_fetch_or(&p->due, PROG_DUE_TRIAL, __ATOMIC_SEQ_CST);
	prog_events_post(p, WAKE_EVENT);
	sched_kick(&p->ent);
}

void upgrade_end_overdue(struct prog *p)
{
	char text[64];

	if (p != on_trial)
		return; /* it became healthy just then */
	(void)hv_snprintf(text, sizeof(text), "it did not become healthy in %u s", TRIAL_S);
	prog_die(p, HV_CAUSE_UNHEALTHY, 0, text);
}

/* ---- between two instances ---- */

static bool intact(const struct build *b)
{
	return b->image && sum_of(b->image, b->bytes) == b->sum;
}

void upgrade_choose(struct prog_config *config)
{
	const struct build *b = candidate.image ? &candidate : &current;

	if (candidate.image && !intact(&candidate)) {
		give_up(HV_UPGRADE_NOT_STARTED, "is not what was loaded; the memory is bad");
		b = &current;
	}
	if (b == &current && current.image && !intact(&current)) {
		log_printf(
			"hv: upgrade %u of the control kernel is not what was loaded; the memory "
			"is bad. Back to the boot file's\n",
			current.number);
		drop(&current);
	}
	if (!b->image)
		return;
	config->image = b->image;
	config->image_end = b->image + b->bytes;
}

void upgrade_starts(struct prog *p)
{
	p->info->build = candidate.image ? candidate.number : current.number;
	p->info->upgrade = outcome;
	if (!candidate.image)
		return;
	object_get(&p->obj);
	on_trial = p;
	timer_init(&trial_timer, trial_over);
	timer_arm(&trial_timer, time_now() + TRIAL_S * NS_PER_S);
}

static void trial_ends(void)
{
	struct prog *p = on_trial;

	if (!p)
		return;
	timer_cancel(&trial_timer);
	on_trial = NULL;
	object_put(&p->obj);
}

bool upgrade_not_started(void)
{
	if (!candidate.image)
		return false;
	trial_ends();
	give_up(HV_UPGRADE_NOT_STARTED, "could not be started");
	return true;
}

bool upgrade_ended(void)
{
	bool late = on_trial && on_trial->last.cause == HV_CAUSE_UNHEALTHY;

	if (!candidate.image)
		return false;
	if (!on_trial)
		return true; /* it made way for it */
	trial_ends();
	if (late)
		give_up(HV_UPGRADE_LATE, "did not become healthy in time");
	else
		give_up(HV_UPGRADE_DIED, "ended before it was healthy");
	return true;
}
