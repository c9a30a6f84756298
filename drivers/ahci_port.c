/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A port of an AHCI controller with a drive on it. With NCQ reads and writes are queued by up to 32, and what cannot be queued
 * (flush, TRIM) is sent alone; without it one command is in flight at a time.
 *
 *	start:  link is up ─► ready ─► IDENTIFY DEVICE ─► run
 *	reset:  engines stop ─► COMRESET ─► link is up ─► ready ─► run
 *
 * After any error the port is reset. Which of several queued commands failed could be read from the drive's log 10h; instead
 * all are sent again one by one (blkctl.h), which needs no command that could fail as well. With PxCMD.CR = 0 the controller has let
 * go of all commands, and after COMRESET so has the drive.
 */
#include "drivers/ahci.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "drivers/bits.h"
#include "drivers/disks.h"
#include "ctrl-kernel/rt/rt.h"

#define MS 1000000ull
#define LOOK_NS (2 * MS)
#define STOP_NS (500 * MS)      /* 10.1.2 */
#define LINK_NS (2000 * MS)     /* SATA: some 100 ms */
#define SPIN_UP_NS (30000 * MS) /* drives say BSY until they have spun up */
#define IDENTIFY_NS (10000 * MS)
#define BYTES_MAX (512u << 10)
#define DISCARD_BYTES(sector) ((uint64_t)ATA_TRIM_RANGES * ATA_TRIM_BLOCKS * (sector))

static uint32_t reg(const struct ahci_port *p, unsigned at)
{
	return mmio_read32(p->regs + at);
}

static void set(struct ahci_port *p, unsigned at, uint32_t value)
{
	mmio_write32(p->regs + at, value);
}

static void set64(struct ahci_port *p, unsigned at, uint64_t value)
{
	set(p, at, (uint32_t)value);
	set(p, at + 4, (uint32_t)(value >> 32));
}

static void command_bits(struct ahci_port *p, uint32_t off, uint32_t on)
{
	set(p, AHCI_PX_CMD, (reg(p, AHCI_PX_CMD) & ~off) | on);
}

static unsigned slots(const struct ahci_port *p)
{
	unsigned n = AHCI_CAP_SLOTS(p->hba->cap);

	return n < p->drive.depth ? n : p->drive.depth;
}

/* ---- commands ---- */

static volatile struct ahci_table *table_of(const struct ahci_port *p, unsigned slot)
{
	return (volatile struct ahci_table *)((char *)p->mem.va + AHCI_MEM_TABLES) + slot;
}

static void header(struct ahci_port *p, unsigned slot, uint32_t flags)
{
	volatile struct ahci_header *h = (volatile struct ahci_header *)p->mem.va + slot;

	h->flags = flags;
	h->moved = 0;
	h->table = p->mem.hpa + AHCI_MEM_TABLES + slot * sizeof(struct ahci_table);
	p->fresh |= 1u << slot;
}

static bool issue(struct blkctl *ctl, struct blkcmd *c)
{
	struct ahci_port *p = (struct ahci_port *)ctl;

	header(p, c->slot,
	       ahci_command(table_of(p, c->slot), c, &p->drive,
			    (volatile uint64_t *)((char *)p->mem.va + AHCI_MEM_TRIM),
			    p->mem.hpa + AHCI_MEM_TRIM));
	if (p->drive.queued && (c->op == BLK_READ || c->op == BLK_WRITE))
		set(p, AHCI_PX_SACT, 1u << c->slot); /* before PxCI (5.6.4.1) */
	return true;
}

static void kick(struct blkctl *ctl)
{
	struct ahci_port *p = (struct ahci_port *)ctl;

	dma_barrier(); /* the tables before the register */
	set(p, AHCI_PX_CI, p->fresh);
	p->sent |= p->fresh;
	p->fresh = 0;
}

static void end_all_done(struct ahci_port *p)
{
	uint32_t done = p->sent & ~(reg(p, AHCI_PX_SACT) | reg(p, AHCI_PX_CI));

	for (unsigned slot = 0; slot < AHCI_SLOTS_MAX; slot++) {
		struct blkcmd *c;

		if (!(done >> slot & 1))
			continue;
		p->sent &= ~(1u << slot);
		c = blkctl_sent(&p->ctl, slot);
		if (c)
			blkctl_end(&p->ctl, c, BLK_OK);
	}
}

static struct blkcmd *only_one(struct ahci_port *p)
{
	if (p->sent == 0 || (p->sent & (p->sent - 1)))
		return NULL;
	return blkctl_sent(&p->ctl, (unsigned)__builtin_ctz(p->sent));
}

/*
 * Errors first: a command that fails may leave PxCI as if it were done. Queued commands that ended before it have left
 * PxSACT, and the failed one has not.
 */
static void collect(struct blkctl *ctl)
{
	struct ahci_port *p = (struct ahci_port *)ctl;
	uint32_t is = reg(p, AHCI_PX_IS) & AHCI_IS_ERRORS;
	struct blkcmd *one;

	if (!((p->errors | is) & AHCI_IS_ERRORS)) {
		end_all_done(p);
		return;
	}
	one = only_one(p);
	if (!one && !ctl->lone)
		end_all_done(p);
	blkctl_fail(ctl, one, "a command failed");
}

static void check(struct blkctl *ctl)
{
	struct ahci_port *p = (struct ahci_port *)ctl;

	if ((reg(p, AHCI_PX_SSTS) & AHCI_SSTS_DET) != AHCI_DET_UP)
		blkctl_fail(ctl, NULL, "the link to the drive is down");
}

/* ---- start and reset ---- */

static void stage_set(struct ahci_port *p, enum ahci_stage stage, uint64_t ns)
{
	p->stage = stage;
	p->deadline_ns = rt_now() + ns;
	loop_timer_set(&p->timer, LOOK_NS);
}

/* The engines are stopped, or were never started. */
static void give_up(struct ahci_port *p, const char *why)
{
	loop_timer_cancel(&p->timer);
	p->stage = AHCI_STAGE_OFF;
	command_bits(p, AHCI_CMD_START | AHCI_CMD_FIS, 0);
	set(p, AHCI_PX_IE, 0);
	if (p->known) {
		blkctl_gone(&p->ctl, why);
		return;
	}
	rt_log("disk: %s: %s", p->ctl.name, why);
	disk_started();
}

static void run(struct ahci_port *p)
{
	loop_timer_cancel(&p->timer);
	p->stage = AHCI_STAGE_RUN;
	p->known = true;
	blkctl_up(&p->ctl);
}

static void limits_set(struct ahci_port *p)
{
	p->ctl.limits = (struct blkctl_limits){.bytes_max = BYTES_MAX,
					       .segs_max = AHCI_PRDS,
					       .seg_bytes_max = BYTES_MAX,
					       .align = 2,
					       .alone = 1u << BLK_FLUSH | 1u << BLK_DISCARD,
					       .fua = p->drive.fua};
}

static void identified(struct ahci_port *p)
{
	const uint8_t *id = (const uint8_t *)p->mem.va + AHCI_MEM_DATA;
	struct blkdev *b = &p->unit.dev;
	const char *why;

	if (!ata_identify(id, &p->drive, b, &why)) {
		give_up(p, why);
		return;
	}
	if (!(p->hba->cap & AHCI_CAP_NCQ)) {
		p->drive.queued = false;
		p->drive.depth = 1;
	}
	if (p->drive.trim)
		p->unit.discard_bytes = DISCARD_BYTES(b->sector_bytes);
	limits_set(p);
	if (blkctl_slots(&p->ctl, slots(p)) != 0) {
		give_up(p, "no memory");
		return;
	}
	run(p);
	blkctl_add(&p->ctl, &p->unit, "");
	disk_started();
}

static void look_identify(struct ahci_port *p)
{
	if ((p->errors & AHCI_IS_ERRORS) || (reg(p, AHCI_PX_TFD) & AHCI_TFD_ERR))
		give_up(p, "the drive does not identify itself");
	else if (!(reg(p, AHCI_PX_CI) & 1))
		identified(p);
}

static bool is_disk(struct ahci_port *p)
{
	switch (reg(p, AHCI_PX_SIG)) {
	case AHCI_SIG_DISK:
		return true;
	case AHCI_SIG_ATAPI:
		give_up(p, "an ATAPI drive, which is not used");
		return false;
	case AHCI_SIG_MULTIPLIER:
		give_up(p, "a port multiplier, which is not used");
		return false;
	default:
		give_up(p, "neither a disk nor an ATAPI drive");
		return false;
	}
}

static void ready(struct ahci_port *p)
{
	if (!is_disk(p))
		return;
	set(p, AHCI_PX_SERR, UINT32_MAX);
	set(p, AHCI_PX_IS, UINT32_MAX);
	p->sent = p->fresh = p->errors = 0;
	set(p, AHCI_PX_IE, AHCI_IS_DONE | AHCI_IS_ERRORS);
	command_bits(p, 0, AHCI_CMD_START);
	if (p->known) {
		run(p);
		return;
	}
	header(p, 0, ahci_identify(table_of(p, 0), p->mem.hpa + AHCI_MEM_DATA));
	kick(&p->ctl);
	stage_set(p, AHCI_STAGE_IDENTIFY, IDENTIFY_NS);
}

static void link_is_up(struct ahci_port *p)
{
	set(p, AHCI_PX_SERR, UINT32_MAX);
	set64(p, AHCI_PX_CLB, p->mem.hpa + AHCI_MEM_LIST);
	set64(p, AHCI_PX_FB, p->mem.hpa + AHCI_MEM_FIS);
	command_bits(p, 0, AHCI_CMD_FIS | AHCI_CMD_SPIN_UP | AHCI_CMD_POWER);
	stage_set(p, AHCI_STAGE_READY, SPIN_UP_NS);
}

/* COMRESET lasts 1 ms at least (10.4.2). */
static void stopped(struct ahci_port *p)
{
	set(p, AHCI_PX_SCTL, (reg(p, AHCI_PX_SCTL) & ~AHCI_SSTS_DET) | 1);
	stage_set(p, AHCI_STAGE_RESET, 0);
}

static void look(struct ahci_port *p)
{
	switch (p->stage) {
	case AHCI_STAGE_STOP:
		if (!(reg(p, AHCI_PX_CMD) & AHCI_CMD_RUNS))
			command_bits(p, AHCI_CMD_FIS, 0);
		if (!(reg(p, AHCI_PX_CMD) & (AHCI_CMD_RUNS | AHCI_CMD_FIS_RUNS)))
			stopped(p);
		break;
	case AHCI_STAGE_RESET:
		set(p, AHCI_PX_SCTL, reg(p, AHCI_PX_SCTL) & ~AHCI_SSTS_DET);
		stage_set(p, AHCI_STAGE_LINK, LINK_NS);
		break;
	case AHCI_STAGE_LINK:
		if ((reg(p, AHCI_PX_SSTS) & AHCI_SSTS_DET) == AHCI_DET_UP)
			link_is_up(p);
		break;
	case AHCI_STAGE_READY:
		if (!(reg(p, AHCI_PX_TFD) & AHCI_TFD_BUSY))
			ready(p);
		break;
	case AHCI_STAGE_IDENTIFY:
		look_identify(p);
		break;
	default:
		break;
	}
}

static void too_late(struct ahci_port *p)
{
	static const char *const why[] = {
		[AHCI_STAGE_LINK] = "the drive does not answer a reset",
		[AHCI_STAGE_READY] = "the drive stays busy",
		[AHCI_STAGE_IDENTIFY] = "the drive does not identify itself"};

	if (p->stage == AHCI_STAGE_STOP)
		ahci_dead(p->hba, "its engine does not stop");
	else
		give_up(p, why[p->stage]);
}

static void on_timer(void *ctx)
{
	struct ahci_port *p = ctx;
	enum ahci_stage before = p->stage;

	look(p);
	if (p->stage == AHCI_STAGE_OFF || p->stage == AHCI_STAGE_RUN)
		return;
	if (p->stage == before && rt_now() > p->deadline_ns)
		too_late(p);
	else if (!p->timer.armed)
		loop_timer_set(&p->timer, LOOK_NS);
}

static void reset(struct blkctl *ctl)
{
	struct ahci_port *p = (struct ahci_port *)ctl;

	set(p, AHCI_PX_IE, 0);
	command_bits(p, AHCI_CMD_START, 0);
	stage_set(p, AHCI_STAGE_STOP, STOP_NS);
	look(p);
}

static const struct blkctl_ops ops = {
	.issue = issue, .kick = kick, .collect = collect, .check = check, .reset = reset};

void ahci_port_irq(struct ahci_port *p, uint32_t is)
{
	p->errors |= is & AHCI_IS_ERRORS;
	if (p->stage == AHCI_STAGE_IDENTIFY)
		look_identify(p);
	else
		blkctl_poll(&p->ctl);
}

void ahci_port_begin(struct ahci *h, unsigned index)
{
	unsigned n = AHCI_CAP_SLOTS(h->cap);
	struct ahci_port *p = calloc(1, sizeof(*p));

	if (!p || dma_alloc(&p->mem, AHCI_MEM_TABLES + n * sizeof(struct ahci_table), 1024) != 0) {
		rt_log("disk: %s/%u: no memory", h->name, index);
		free(p);
		return;
	}
	blkctl_init(&p->ctl, &ops, "ahci", h->pci);
	snprintf(p->ctl.name + strlen(p->ctl.name), sizeof(p->ctl.name) - strlen(p->ctl.name),
		 "/%u", index);
	p->hba = h;
	p->index = index;
	p->regs = h->regs + AHCI_PORTS + index * AHCI_PORT_BYTES;
	p->drive.depth = AHCI_SLOTS_MAX;
	loop_timer_init(&p->timer, on_timer, p);
	h->port[index] = p;
	disk_starting();
	link_is_up(p);
}
