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

void nic_deliver(struct nic *nic, const void *frame, size_t len)
{
	nic->stats.rx_frames++;
	nic->stats.rx_bytes += len;
	if (nic->rx)
		nic->rx(nic, frame, len);
	else
		nic->stats.rx_dropped++;
}

size_t nic_gather(void *to, size_t room, const struct nic_seg *segs, unsigned n)
{
	size_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		if (segs[i].len > room - len)
			return 0;
		__builtin_memcpy((char *)to + len, segs[i].data, segs[i].len);
		len += segs[i].len;
	}
	return len;
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
