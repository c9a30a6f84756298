/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds the network cards: each PCI network function is offered to the drivers of main.c's list. Also what all NIC
 * drivers share.
 */
#include <stdio.h>
#include "drivers/driver.h"
#include "drivers/nics.h"
#include "net/nic.h"
#include "ctrl-kernel/rt/rt.h"

#define CLASS_NETWORK 0x02u

void nic_set_name(struct nic *nic, const char *driver, uint32_t bdf)
{
	nic->bdf = bdf;
	snprintf(nic->name, sizeof(nic->name), "%s@%02x:%02x.%x", driver, bdf >> 8 & 0xff,
		 bdf >> 3 & 31, bdf & 7);
}

void nic_set_link(struct nic *nic, bool up)
{
	if (nic->link == up)
		return;
	nic->link = up;
	nic->stats.link_changes++;
	if (nic->link_changed)
		nic->link_changed(nic);
}

void nic_deliver(struct nic *nic, const struct nic_rx *frame, unsigned n)
{
	if (n == 0)
		return;
	nic->stats.rx_frames += n;
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < frame[i].n_segs; k++)
			nic->stats.rx_bytes += frame[i].seg[k].len;
	if (nic->rx)
		nic->rx(nic, frame, n);
	else
		nic->stats.rx_dropped += n;
}

size_t nic_gather(void *to, size_t room, const struct nic_frame *frame)
{
	size_t len = 0;

	for (unsigned i = 0; i < frame->n_segs; i++) {
		const struct nic_seg *s = &frame->seg[i];

		if (s->len > room - len)
			return 0;
		__builtin_memcpy((char *)to + len, s->data, s->len);
		len += s->len;
	}
	return len;
}

size_t nic_pieces(const struct nic_frame *frame)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < frame->n_pieces; i++)
		bytes += frame->piece[i].bytes;
	return bytes;
}

static struct nic *probe_one(struct pci_dev *d, const struct nic_driver *const drivers[],
			     unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (drivers[i]->matches(d))
			return drivers[i]->probe(d);
	rt_log("net: no driver for network card %04x:%04x at %02x:%02x.%x", d->vendor, d->device,
	       d->bdf >> 8, d->bdf >> 3 & 31, d->bdf & 7);
	return NULL;
}

struct nic *nic_probe_all(const struct nic_driver *const drivers[], unsigned n)
{
	struct nic *first = NULL, **end = &first;

	for (unsigned i = 0; i < pci_count(); i++) {
		struct pci_dev *d = pci_dev(i);

		if (d->class_code >> 16 != CLASS_NETWORK)
			continue;
		*end = probe_one(d, drivers, n);
		if (*end)
			end = &(*end)->next;
	}
	return first;
}
