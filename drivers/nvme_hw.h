/* SPDX-License-Identifier: BSD-2-Clause */
/* NVM Express 1.4: registers (section 3), queue entries (4), the commands (5, 6) and structures that nvme*.c use. */
#ifndef DRIVERS_NVME_HW_H
#define DRIVERS_NVME_HW_H

#include <stdint.h>

enum nvme_reg { /* 3.1 */
		NVME_CAP = 0x00,
		NVME_VS = 0x08,
		NVME_CC = 0x14,
		NVME_CSTS = 0x1c,
		NVME_AQA = 0x24,
		NVME_ASQ = 0x28,
		NVME_ACQ = 0x30,
		NVME_DOORBELLS = 0x1000
};

#define NVME_CAP_MQES(cap) ((unsigned)((cap)&0xffff))        /* entries of a queue - 1 */
#define NVME_CAP_TO(cap) ((unsigned)((cap) >> 24 & 0xff))    /* in 500 ms */
#define NVME_CAP_DSTRD(cap) ((unsigned)((cap) >> 32 & 0xf))  /* doorbells every 4 << it bytes */
#define NVME_CAP_CSS_NVM(cap) ((unsigned)((cap) >> 37 & 1))  /* the NVM command set */
#define NVME_CAP_MPSMIN(cap) ((unsigned)((cap) >> 48 & 0xf)) /* pages of 4 KiB << it at least */
#define NVME_CC_EN 1u
#define NVME_CC_SIZES                                                                              \
	(6u << 16 | 4u << 20) /* entries of 64 and 16 bytes; pages of 4 KiB, round robin */
#define NVME_CSTS_RDY 1u
#define NVME_CSTS_CFS 2u
#define NVME_VS_1_1 0x00010100u

struct nvme_sqe { /* 4.2 */
	uint8_t opcode, flags;
	uint16_t cid;
	uint32_t nsid;
	uint64_t reserved, metadata;
	uint64_t prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
_Static_assert(sizeof(struct nvme_sqe) == 64, "NVMe 4.2");

struct nvme_cqe { /* 4.6 */
	uint32_t result, reserved;
	uint16_t sq_head, sq_id;
	uint16_t cid;
	uint16_t status; /* bit 0: phase */
};
_Static_assert(sizeof(struct nvme_cqe) == 16, "NVMe 4.6");
#define NVME_PHASE 1u
#define NVME_STATUS(s) ((s) >> 1 & 0x7ff) /* type << 8 | code */
#define NVME_S_OPCODE 0x001u
#define NVME_S_RANGE 0x080u

enum nvme_admin { /* 5 */
		  NVME_CREATE_SQ = 0x01,
		  NVME_CREATE_CQ = 0x05,
		  NVME_IDENTIFY = 0x06,
		  NVME_SET_FEATURES = 0x09
};
enum nvme_cns { NVME_CNS_NS = 0, NVME_CNS_CTRL = 1, NVME_CNS_LIST = 2 };
#define NVME_FEATURE_QUEUES 0x07u
#define NVME_QUEUE_CONTIGUOUS 1u
#define NVME_CQ_INTERRUPTS 2u

enum nvme_io { /* 6 */
	       NVME_FLUSH = 0x00,
	       NVME_WRITE = 0x01,
	       NVME_READ = 0x02,
	       NVME_ZEROES = 0x08,
	       NVME_DSM = 0x09
};
#define NVME_FUA (1u << 30)           /* CDW12 */
#define NVME_DSM_DEALLOCATE (1u << 2) /* CDW11 */

struct nvme_dsm_range { /* 6.7 */
	uint32_t attributes, blocks;
	uint64_t lba;
};

enum nvme_id_ctrl { /* offsets, 5.15.2.2 */
		    ID_CTRL_SN = 4,
		    ID_CTRL_SN_LEN = 20,
		    ID_CTRL_MN = 24,
		    ID_CTRL_MN_LEN = 40,
		    ID_CTRL_MDTS = 77,
		    ID_CTRL_NN = 516,
		    ID_CTRL_ONCS = 520,
		    ID_CTRL_VWC = 525
};
#define NVME_ONCS_DSM 4u
#define NVME_ONCS_ZEROES 8u

enum nvme_id_ns { /* offsets, 5.15.2.1 */
		  ID_NS_SIZE = 0,
		  ID_NS_FEATURES = 24,
		  ID_NS_FLBAS = 26,
		  ID_NS_NPWG = 64,
		  ID_NS_ATTRIBUTES = 99,
		  ID_NS_FORMATS = 128
};
#define NVME_NS_OPTPERF 0x10u /* features: NPWG holds */
#define NVME_NS_PROTECTED 1u

#endif
