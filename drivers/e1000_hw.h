/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers, bits and descriptors common to Intel's 8254x family and the 82574 (Intel PCI/PCI-X Family of Gigabit
 * Ethernet Controllers Software Developer's Manual "8254x", section 13; Intel 82574 Datasheet "82574", section 10).
 */
#ifndef DRIVERS_E1000_HW_H
#define DRIVERS_E1000_HW_H

#include <stdint.h>

enum e1000_reg {
	E1000_CTRL = 0x0000,
	E1000_STATUS = 0x0008,
	E1000_EECD = 0x0010,
	E1000_EERD = 0x0014,
	E1000_CTRL_EXT = 0x0018,
	E1000_ICR = 0x00c0,
	E1000_ITR = 0x00c4,
	E1000_IMS = 0x00d0,
	E1000_IMC = 0x00d8,
	E1000_EIAC = 0x00dc, /* 82574 */
	E1000_IVAR = 0x00e4, /* 82574 */
	E1000_RCTL = 0x0100,
	E1000_TCTL = 0x0400,
	E1000_TIPG = 0x0410,
	E1000_RDBAL = 0x2800,
	E1000_RDBAH = 0x2804,
	E1000_RDLEN = 0x2808,
	E1000_RDH = 0x2810,
	E1000_RDT = 0x2818,
	E1000_RDTR = 0x2820,
	E1000_TDBAL = 0x3800,
	E1000_TDBAH = 0x3804,
	E1000_TDLEN = 0x3808,
	E1000_TDH = 0x3810,
	E1000_TDT = 0x3818,
	E1000_TIDV = 0x3820, /* of 1.024 us */
	E1000_TXDCTL = 0x3828,
	E1000_MPC = 0x4010,  /* frames lost for want of room; cleared by reading */
	E1000_RNBC = 0x40a0, /* frames that found no descriptor; cleared by reading */
	E1000_RXCSUM = 0x5000,
	E1000_RAL0 = 0x5400,
	E1000_RAH0 = 0x5404,
	E1000_MANC = 0x5820,
	E1000_REGS_LEN = 0x6000
};

#define E1000_CTRL_FD (1u << 0)
#define E1000_CTRL_ASDE (1u << 5) /* reserved in the 82574, written as 0 there */
#define E1000_CTRL_SLU (1u << 6)
#define E1000_CTRL_RST (1u << 26)
#define E1000_CTRL_VME (1u << 30)
#define E1000_STATUS_LU (1u << 1)
#define E1000_STATUS_1000 (1u << 7)  /* 1 Gb/s; 0: 10 or 100 Mb/s */
#define E1000_EECD_AUTO_RD (1u << 9) /* 82574: the NVM has been read */
#define E1000_CTRL_EXT_DRV_LOAD (1u << 28)
#define E1000_CTRL_EXT_PBA (1u << 31)      /* 82574: MSI-X with clear of pending bits */
#define E1000_TXDCTL_COUNT_DESC (1u << 22) /* 82574: must be 1 */
#define E1000_RAH_AV (1u << 31)
#define E1000_MANC_ARP (1u << 13) /* 8254x: firmware would take ARP frames */

#define E1000_INT_TXDW (1u << 0)
#define E1000_INT_LSC (1u << 2)
#define E1000_INT_RXDMT (1u << 4)
#define E1000_INT_RXO (1u << 6)
#define E1000_INT_RXT (1u << 7)
#define E1000_INT_RXQ0 (1u << 20)  /* 82574 with MSI-X */
#define E1000_INT_TXQ0 (1u << 22)  /* 82574 with MSI-X */
#define E1000_INT_OTHER (1u << 24) /* 82574 with MSI-X */

#define E1000_RCTL_EN (1u << 1)
#define E1000_RCTL_UPE (1u << 3)
#define E1000_RCTL_MPE (1u << 4)
#define E1000_RCTL_BAM (1u << 15)
#define E1000_RCTL_SECRC (1u << 26) /* buffers of 2048 bytes: BSIZE 0 */

#define E1000_RXCSUM_IP (1u << 8)
#define E1000_RXCSUM_TCP_UDP (1u << 9)

#define E1000_TCTL_EN (1u << 1)
#define E1000_TCTL_PSP (1u << 3)      /* pads to 60 bytes */
#define E1000_TCTL_CT (0x0fu << 4)    /* collision threshold */
#define E1000_TCTL_COLD (0x40u << 12) /* full duplex */
#define E1000_TIPG_COPPER (8u | 8u << 10 | 6u << 20)

/* 82574 10.2.4.9: all causes of queue 0 and "other" to vector 0, each marked valid. */
#define E1000_IVAR_ALL_0 (1u << 3 | 1u << 11 | 1u << 19)

struct e1000_rx_desc { /* legacy: 8254x 3.2.3, 82574 7.1.4 */
	uint64_t addr;
	uint16_t len;
	uint16_t checksum;
	uint8_t status;
	uint8_t errors;
	uint16_t special;
};
_Static_assert(sizeof(struct e1000_rx_desc) == 16, "hardware layout");
#define E1000_RXD_DD (1u << 0)
#define E1000_RXD_EOP (1u << 1)
#define E1000_RXD_IXSM (1u << 2)  /* the checksum bits say nothing */
#define E1000_RXD_TCPCS (1u << 5) /* the sum of TCP or UDP has been checked */
#define E1000_RXD_ERRORS 0x97u    /* RXE, CXE, SEQ, SE, CE; not the checksum bits */
#define E1000_RXD_BAD_SUM 0x60u   /* TCPE, IPE */

/*
 * Legacy (8254x 3.3.3, 82574 7.2.10), data (8254x 3.3.7, 82574 7.2.12) and context (8254x 3.3.6, 82574 7.2.11)
 * descriptors have one layout, and different names for it.
 */
struct e1000_tx_desc {
	uint64_t addr; /* context: the eight bytes that E1000_TXC_* place */
	uint16_t len;  /* context: PAYLEN, low bits */
	uint8_t type;  /* 0 or E1000_TXD_DATA; context: PAYLEN's high bits */
	uint8_t command;
	uint8_t status;
	uint8_t options;  /* data: E1000_TXD_TXSM; context: HDRLEN */
	uint16_t special; /* context: MSS */
};
_Static_assert(sizeof(struct e1000_tx_desc) == 16, "hardware layout");
#define E1000_TXD_DATA (1u << 4) /* type */
#define E1000_TXD_EOP (1u << 0)  /* command */
#define E1000_TXD_IFCS (1u << 1)
#define E1000_TXD_TSE (1u << 2)
#define E1000_TXD_RS (1u << 3)
#define E1000_TXD_DEXT (1u << 5)
#define E1000_TXD_IDE (1u << 7)  /* its interrupt waits for TIDV */
#define E1000_TXC_TCP (1u << 0)  /* command of a context; else UDP */
#define E1000_TXC_IPV4 (1u << 1) /* with TSE; else IPv6 */
#define E1000_TXD_IXSM (1u << 0) /* options */
#define E1000_TXD_TXSM (1u << 1)
#define E1000_TXD_DD (1u << 0) /* status */
#define E1000_TXC_IPCSS 0u     /* bits of addr where they begin */
#define E1000_TXC_IPCSO 8u
#define E1000_TXC_IPCSE 16u
#define E1000_TXC_TUCSS 32u
#define E1000_TXC_TUCSO 40u

#endif
