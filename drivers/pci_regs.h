/* SPDX-License-Identifier: BSD-2-Clause */
/* PCI configuration space: the offsets and bits that pci.c and pci_irq.c use (PCI 3.0 section 6, appendix H). */
#ifndef DRIVERS_PCI_REGS_H
#define DRIVERS_PCI_REGS_H

#define PCI_VENDOR 0x00u
#define PCI_COMMAND 0x04u
#define PCI_STATUS 0x06u
#define PCI_REVISION 0x08u
#define PCI_HEADER_TYPE 0x0eu
#define PCI_BAR0 0x10u
#define PCI_SUBSYSTEM 0x2cu
#define PCI_CAP_POINTER 0x34u
#define PCI_INTERRUPT_LINE 0x3cu

#define PCI_CMD_IO 0x1u
#define PCI_CMD_MEM 0x2u
#define PCI_CMD_MASTER 0x4u
#define PCI_CMD_INTX_OFF 0x400u
#define PCI_STATUS_CAPS 0x10u

#define PCI_HEADER_DEVICE 0u
#define PCI_HEADER_BRIDGE 1u
#define PCI_HEADER_MULTI 0x80u
#define PCI_CLASS_HOST_BRIDGE 0x0600u

#define PCI_BAR_IO 0x1u
#define PCI_BAR_TYPE 0x6u
#define PCI_BAR_64 0x4u
#define PCI_BAR_PREFETCH 0x8u

#define PCI_CAP_FIRST 0x40u
#define PCI_CAP_MSI 0x05u
#define PCI_CAP_VENDOR 0x09u
#define PCI_CAP_EXPRESS 0x10u
#define PCI_CAP_MSIX 0x11u
#define PCI_EXP_LINK_CONTROL 0x10u
#define PCI_EXP_ASPM 0x3u

#define PCI_MSI_CONTROL 2u
#define PCI_MSI_ENABLE 0x1u
#define PCI_MSI_VECTORS 0x70u /* multiple message enable */
#define PCI_MSI_64 0x80u
#define PCI_MSI_MASKS 0x100u

#define PCI_MSIX_CONTROL 2u
#define PCI_MSIX_TABLE 4u
#define PCI_MSIX_ENABLE 0x8000u
#define PCI_MSIX_MASK_ALL 0x4000u
#define PCI_MSIX_SIZE 0x7ffu
#define PCI_MSIX_ENTRY 16u /* bytes: address low, high, data, vector control */

#endif
