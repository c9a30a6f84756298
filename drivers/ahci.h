/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of the AHCI driver: ahci.c has the controller and looks for drives, ahci_port.c runs a port that has one. */
#ifndef DRIVERS_AHCI_H
#define DRIVERS_AHCI_H

#include "drivers/ahci_cmd.h"
#include "drivers/driver.h"

#define AHCI_PORTS_MAX 32u
#define AHCI_SLOTS_MAX 32u

struct ahci;

enum ahci_stage {
	AHCI_STAGE_OFF,
	AHCI_STAGE_STOP,     /* the engines are to end: PxCMD.CR, then FR */
	AHCI_STAGE_RESET,    /* COMRESET is on the wire */
	AHCI_STAGE_LINK,     /* PxSSTS.DET is to be 3 */
	AHCI_STAGE_READY,    /* the drive is busy starting */
	AHCI_STAGE_IDENTIFY, /* ... is under way */
	AHCI_STAGE_RUN
};

struct ahci_port {
	struct blkctl ctl;
	struct blkunit unit;
	struct ahci *hba; /* [borrows] */
	unsigned index;
	volatile char *regs;
	struct dma mem; /* enum ahci_memory */
	struct ata_drive drive;
	enum ahci_stage stage;
	bool known;      /* the drive is: this is a reset */
	uint32_t sent;   /* slots that the hardware has */
	uint32_t fresh;  /* ... and those it is to get with the next kick */
	uint32_t errors; /* of PxIS, not looked at yet */
	struct loop_timer timer;
	uint64_t deadline_ns;
};

struct ahci {
	const struct pci_dev *pci; /* [borrows] */
	char name[BLKCTL_NAME];
	volatile char *regs;
	uint32_t mapped;                        /* ports whose registers are */
	uint32_t cap, ports;                    /* ports: implemented, and not decided about yet */
	struct ahci_port *port[AHCI_PORTS_MAX]; /* [owns] those with a drive */
	const char *irq_kind;
	struct loop_timer timer;
	uint64_t deadline_ns;
	void (*look)(struct ahci *h); /* what the timer does */
};

enum ahci_memory {
	AHCI_MEM_LIST = 0,
	AHCI_MEM_FIS = 0x400,
	AHCI_MEM_DATA = 0x600, /* of IDENTIFY */
	AHCI_MEM_TRIM = 0x800,
	AHCI_MEM_TABLES = 0xa00
};

/* A drive answers on this port, which was just reset with its controller. The port lives on. */
void ahci_port_begin(struct ahci *h, unsigned index);
/* Interrupt: is of PxIS. */
void ahci_port_irq(struct ahci_port *p, uint32_t is);
/* The engine of a port does not stop: no port may go on, for it may write to memory at any time. */
void ahci_dead(struct ahci *h, const char *why);

#endif
