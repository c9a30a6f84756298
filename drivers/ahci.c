/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AHCI 1.3.1 controllers: taken from the firmware, reset, looked at for drives. Every machine with a Q35 chipset has one,
 * mostly with nothing on it: nothing waits, and what has no drive costs no memory.
 *
 *	handover ─► reset of the controller ─► links come up ─► ports with a drive go on in ahci_port.c
 */
#include "drivers/ahci.h"

#include <stdio.h>
#include <stdlib.h>
#include "drivers/bits.h"
#include "drivers/disks.h"
#include "ctrl-kernel/rt/rt.h"

#define CLASS_AHCI 0x010601u
#define BAR 5u
#define REGS_MAX (AHCI_PORTS + AHCI_PORTS_MAX * AHCI_PORT_BYTES) /* ICH9 has less, and 6 ports */
#define MS 1000000ull
#define LOOK_NS (2 * MS)
#define HANDOVER_NS (2000 * MS) /* 10.6.3 */
#define RESET_NS (1000 * MS)    /* 10.4.3 */
#define EMPTY_NS (200 * MS) /* a drive that is there has answered the reset by then (SATA: 10 ms) */
#define LINK_NS (5000 * MS)

static uint32_t reg(const struct ahci *h, unsigned at)
{
	return mmio_read32(h->regs + at);
}

static volatile char *port_regs(const struct ahci *h, unsigned i)
{
	return h->regs + AHCI_PORTS + i * AHCI_PORT_BYTES;
}

static void step(struct ahci *h, void (*look)(struct ahci *h), uint64_t ns)
{
	h->look = look;
	h->deadline_ns = rt_now() + ns;
	loop_timer_set(&h->timer, LOOK_NS);
}

static void on_irq(void *ctx)
{
	struct ahci *h = ctx;
	uint32_t is = reg(h, AHCI_IS) & h->mapped;

	for (unsigned i = 0; i < AHCI_PORTS_MAX; i++) {
		volatile char *at = port_regs(h, i) + AHCI_PX_IS;
		uint32_t port_is;

		if (!(is >> i & 1))
			continue;
		port_is = mmio_read32(at);
		mmio_write32(at, port_is);
		mmio_write32(h->regs + AHCI_IS, 1u << i); /* after the port's (10.7.2.1) */
		if (h->port[i])
			ahci_port_irq(h->port[i], port_is);
	}
}

/* ---- drives ---- */

/* The first one also takes the interrupt. */
static void drive_found(struct ahci *h, unsigned port)
{
	if (h->irq_kind || pci_irq_bind(h->pci, on_irq, h, &h->irq_kind) == 0)
		ahci_port_begin(h, port);
	else
		rt_log("disk: %s: no interrupt left; it is not used", h->name);
}

static void look_for_drives(struct ahci *h)
{
	bool late = rt_now() > h->deadline_ns;
	uint64_t waited = rt_now() - (h->deadline_ns - LINK_NS);

	for (unsigned i = 0; i < AHCI_PORTS_MAX; i++) {
		unsigned det;

		if (!(h->ports >> i & 1))
			continue;
		det = mmio_read32(port_regs(h, i) + AHCI_PX_SSTS) & AHCI_SSTS_DET;
		if (det == AHCI_DET_UP)
			drive_found(h, i);
		else if (late && det != AHCI_DET_NONE)
			rt_log("disk: %s/%u: there is something, but no link to it", h->name, i);
		if (det == AHCI_DET_UP || late || (det == AHCI_DET_NONE && waited > EMPTY_NS))
			h->ports &= ~(1u << i);
	}
	if (h->ports)
		loop_timer_set(&h->timer, LOOK_NS);
	else
		disk_started();
}

static void was_reset(struct ahci *h)
{
	mmio_write32(h->regs + AHCI_GHC, AHCI_GHC_AHCI);
	h->cap = reg(h, AHCI_CAP);
	h->ports = reg(h, AHCI_PI) & h->mapped;
	pci_enable(h->pci, true);
	for (unsigned i = 0; i < AHCI_PORTS_MAX; i++) {
		volatile char *cmd = port_regs(h, i) + AHCI_PX_CMD;

		if (h->ports >> i & 1)
			mmio_write32(cmd, mmio_read32(cmd) | AHCI_CMD_SPIN_UP | AHCI_CMD_POWER);
	}
	mmio_write32(h->regs + AHCI_IS, UINT32_MAX);
	mmio_write32(h->regs + AHCI_GHC, AHCI_GHC_AHCI | AHCI_GHC_INTERRUPTS);
	step(h, look_for_drives, LINK_NS);
	look_for_drives(h);
}

/* ---- the controller ---- */

static void give_up(struct ahci *h, const char *why)
{
	loop_timer_cancel(&h->timer);
	pci_enable(h->pci, false);
	rt_log("disk: %s: %s; it stays off", h->name, why);
	disk_started();
}

void ahci_dead(struct ahci *h, const char *why)
{
	pci_enable(h->pci, false);
	mmio_write32(h->regs + AHCI_GHC, AHCI_GHC_AHCI | AHCI_GHC_RESET);
	for (unsigned i = 0; i < AHCI_PORTS_MAX; i++) {
		struct ahci_port *p = h->port[i];

		if (!p || p->stage == AHCI_STAGE_OFF)
			continue;
		p->stage = AHCI_STAGE_OFF;
		loop_timer_cancel(&p->timer);
		if (!p->known)
			disk_started();
		blkctl_gone(&p->ctl, why);
	}
}

static void wait_reset(struct ahci *h)
{
	if (!(reg(h, AHCI_GHC) & AHCI_GHC_RESET))
		was_reset(h);
	else if (rt_now() > h->deadline_ns)
		give_up(h, "it does not come out of reset");
	else
		loop_timer_set(&h->timer, LOOK_NS);
}

/* An answer that does not come is no reason to leave the drives alone: the reset takes them anyway. */
static void wait_handover(struct ahci *h)
{
	if ((reg(h, AHCI_BOHC) & AHCI_BOHC_BIOS) && rt_now() < h->deadline_ns) {
		loop_timer_set(&h->timer, LOOK_NS);
		return;
	}
	mmio_write32(h->regs + AHCI_GHC, AHCI_GHC_AHCI);
	mmio_write32(h->regs + AHCI_GHC, AHCI_GHC_AHCI | AHCI_GHC_RESET);
	step(h, wait_reset, RESET_NS);
	wait_reset(h);
}

static void on_timer(void *ctx)
{
	struct ahci *h = ctx;

	h->look(h);
}

static void begin(struct ahci *h)
{
	mmio_write32(h->regs + AHCI_GHC, AHCI_GHC_AHCI);
	if (reg(h, AHCI_CAP2) & AHCI_CAP2_HANDOVER)
		mmio_write32(h->regs + AHCI_BOHC, reg(h, AHCI_BOHC) | AHCI_BOHC_OS);
	step(h, wait_handover, HANDOVER_NS);
	wait_handover(h);
}

static bool matches(const struct pci_dev *d)
{
	return d->class_code == CLASS_AHCI;
}

static void probe(struct pci_dev *d)
{
	struct ahci *h = calloc(1, sizeof(*h));
	uint64_t bytes = d->bars[BAR].size;

	if (!h)
		return;
	h->pci = d;
	snprintf(h->name, sizeof(h->name), "ahci@%02x:%02x.%x", d->bdf >> 8 & 0xff,
		 d->bdf >> 3 & 31, d->bdf & 7);
	loop_timer_init(&h->timer, on_timer, h);
	disk_starting();
	pci_enable(d, false);
	bytes = bytes < REGS_MAX ? bytes : REGS_MAX;
	h->regs = pci_map_bar(d, BAR, 0, bytes);
	h->mapped = bytes < REGS_MAX ? (1u << (bytes - AHCI_PORTS) / AHCI_PORT_BYTES) - 1
				     : UINT32_MAX;
	if (!h->regs || bytes < AHCI_PORTS + AHCI_PORT_BYTES)
		give_up(h, "its registers cannot be mapped");
	else if (!(reg(h, AHCI_CAP) & AHCI_CAP_64))
		give_up(h, "it reaches no memory above 4 GiB");
	else
		begin(h);
}

const struct disk_driver disk_ahci = {.name = "ahci", .matches = matches, .probe = probe};
