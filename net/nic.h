/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a NIC driver offers and what the network glue (net/netif.c) gives it. Drivers include this and know nothing
 * of lwIP or VMs. All calls come from the control kernel's loop.
 */
#ifndef NET_NIC_H
#define NET_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NIC_FRAME_MAX 1522u /* without FCS: 14 + 4 (VLAN) + 1500, and slack */

struct nic;

struct nic_seg { /* [borrows] read during send() only: the driver copies or finishes before it returns */
	const void *data;
	size_t len;
};

struct nic_ops {
	/* Receive and interrupts on; before it the device is quiet. 0 or -1 (logged). */
	int (*start)(struct nic *nic);
	/* 0, or -1 when the ring is full (counted; the caller drops the frame). */
	int (*send)(struct nic *nic, const struct nic_seg *segs, unsigned n);
	void (*set_promiscuous)(struct nic *nic, bool on);
	/* Multicast needed by IPv6 ND: accept all multicast from the start. */
	void (*update_stats)(
		struct nic *nic); /* folds the device's counters into stats; may be NULL */
};

struct nic_stats {
	uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
	uint64_t rx_dropped;  /* no buffer upstairs or malformed */
	uint64_t rx_overruns; /* the device had no descriptor */
	uint64_t tx_dropped;  /* ring full */
	uint64_t link_changes, irqs;
};

struct nic {
	char name[16]; /* "e1000@00:03.0" */
	uint8_t mac[6];
	bool link;
	const char *irq_kind; /* "msix", "msi", "intx" or "poll" */
	uint32_t bdf;
	struct nic_stats stats;
	const struct nic_ops *ops;
	void *priv; /* [owns] the driver's */
	/* Set by the glue before start(). frame is valid during the call only. */
	void (*rx)(struct nic *nic, const void *frame, size_t len);
	void (*link_changed)(struct nic *nic);
	void *user;
	bool started; /* the glue's: start() has been called */
	struct nic *next;
};

#endif
