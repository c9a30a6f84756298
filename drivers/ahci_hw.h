/* SPDX-License-Identifier: BSD-2-Clause */
/* AHCI 1.3.1 registers (section 3) and structures in memory (4.2), and the ATA commands (ACS-3) that ahci*.c use. */
#ifndef DRIVERS_AHCI_HW_H
#define DRIVERS_AHCI_HW_H

#include <stdint.h>

enum ahci_reg { /* 3.1 */
		AHCI_CAP = 0x00,
		AHCI_GHC = 0x04,
		AHCI_IS = 0x08,
		AHCI_PI = 0x0c,
		AHCI_CAP2 = 0x24,
		AHCI_BOHC = 0x28,
		AHCI_PORTS = 0x100,
		AHCI_PORT_BYTES = 0x80
};
#define AHCI_CAP_SLOTS(cap) (((cap) >> 8 & 0x1f) + 1)
#define AHCI_CAP_NCQ (1u << 30)
#define AHCI_CAP_64 (1u << 31)
#define AHCI_GHC_RESET 1u
#define AHCI_GHC_INTERRUPTS 2u
#define AHCI_GHC_AHCI (1u << 31)
#define AHCI_CAP2_HANDOVER 1u
#define AHCI_BOHC_BIOS 1u
#define AHCI_BOHC_OS 2u

enum ahci_port_reg { /* 3.3 */
		     AHCI_PX_CLB = 0x00,
		     AHCI_PX_FB = 0x08,
		     AHCI_PX_IS = 0x10,
		     AHCI_PX_IE = 0x14,
		     AHCI_PX_CMD = 0x18,
		     AHCI_PX_TFD = 0x20,
		     AHCI_PX_SIG = 0x24,
		     AHCI_PX_SSTS = 0x28,
		     AHCI_PX_SCTL = 0x2c,
		     AHCI_PX_SERR = 0x30,
		     AHCI_PX_SACT = 0x34,
		     AHCI_PX_CI = 0x38
};
#define AHCI_CMD_START 0x1u
#define AHCI_CMD_SPIN_UP 0x2u
#define AHCI_CMD_POWER 0x4u
#define AHCI_CMD_FIS 0x10u
#define AHCI_CMD_FIS_RUNS 0x4000u
#define AHCI_CMD_RUNS 0x8000u
#define AHCI_TFD_BUSY 0x88u /* BSY, DRQ */
#define AHCI_TFD_ERR 0x1u
#define AHCI_SSTS_DET 0xfu
#define AHCI_DET_NONE 0u
#define AHCI_DET_UP 3u
#define AHCI_IS_DONE 0x0000002bu   /* register, PIO, set device bits, descriptor */
#define AHCI_IS_CHANGE 0x00400040u /* PhyRdy, connection */
#define AHCI_IS_ERRORS 0x79000000u /* task file, host bus, interface, overflow */

#define AHCI_SIG_DISK 0x00000101u
#define AHCI_SIG_ATAPI 0xeb140101u
#define AHCI_SIG_MULTIPLIER 0x96690101u

struct ahci_header {    /* 4.2.2 */
	uint32_t flags; /* length of the FIS in dwords, AHCI_H_..., entries << 16 */
	uint32_t moved;
	uint64_t table;
	uint32_t reserved[4];
};
#define AHCI_H_WRITE 0x40u
_Static_assert(sizeof(struct ahci_header) == 32, "AHCI 4.2.2");

struct ahci_prd { /* 4.2.3.3 */
	uint64_t hpa;
	uint32_t reserved;
	uint32_t count; /* bytes - 1 */
};
#define AHCI_PRDS 56u
struct ahci_table { /* 4.2.3 */
	uint8_t fis[64];
	uint8_t packet[16];
	uint8_t reserved[48];
	struct ahci_prd prd[AHCI_PRDS];
};
_Static_assert(sizeof(struct ahci_table) == 1024, "AHCI 4.2.3");

enum ata { /* ACS-3 section 7 */
	   ATA_DSM = 0x06,
	   ATA_READ_EXT = 0x25,
	   ATA_WRITE_EXT = 0x35,
	   ATA_WRITE_FUA_EXT = 0x3d,
	   ATA_READ_QUEUED = 0x60,
	   ATA_WRITE_QUEUED = 0x61,
	   ATA_FLUSH_EXT = 0xea,
	   ATA_IDENTIFY = 0xec
};
#define ATA_FIS_COMMAND 0x27u
#define ATA_FIS_C 0x80u
#define ATA_LBA 0x40u
#define ATA_QUEUED_FUA 0x80u
#define ATA_DSM_TRIM 1u
#define ATA_TRIM_BLOCKS 0xffffu /* of one range */
#define ATA_TRIM_RANGES 64u     /* in 512 bytes */

#endif
