/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Figures of networks and their ports for GET /metrics. At most METRICS_PORTS_MAX ports have some: more would make the answer
 * as long as the list. A network's count all that its ports have had, also those that are gone.
 */
#include <stdio.h>
#include <string.h>
#include "ctrl-kernel/api/api.h"
#include "ctrl-kernel/ops/networks.h"
#include "ctrl-kernel/ops/start.h"
#include "net/nat.h"
#include "net/uplink.h"

#define METRICS_PORTS_MAX 256u

struct metric {
	const char *name, *help, *reason; /* reason NULL: the family has no such label */
	size_t offset;                    /* of a uint64_t */
};

#define COUNTER(field) offsetof(struct switch_counters, field)

/* Families of several reasons stand together. */
static const struct metric port_metrics[] = {
	{"sent_frames_total", "Frames sent by whoever has the port.", NULL, COUNTER(tx_frames)},
	{"sent_bytes_total", "Bytes of them.", NULL, COUNTER(tx_bytes)},
	{"received_frames_total", "Frames it was given.", NULL, COUNTER(rx_frames)},
	{"received_bytes_total", "Bytes of them.", NULL, COUNTER(rx_bytes)},
	{"flooded_frames_total", "Copies of what it sent to more than one port.", NULL,
	 COUNTER(flooded)},
	{"sent_drops_total", "Frames sent that were dropped.", "malformed", COUNTER(tx_malformed)},
	{"sent_drops_total", "", "spoofed", COUNTER(tx_spoofed)},
	{"sent_drops_total", "", "other_vlan", COUNTER(tx_vlan)},
	{"sent_drops_total", "", "reserved", COUNTER(tx_reserved)},
	{"sent_drops_total", "", "over_limit", COUNTER(tx_limited)},
	{"received_drops_total", "Frames for it that were dropped.", "no_room",
	 COUNTER(rx_no_room)},
	{"received_drops_total", "", "over_limit", COUNTER(rx_limited)},
};

#define NAT(field) offsetof(struct nat_stats, field)

static const struct metric nat_metrics[] = {
	{"to_world_packets_total", "Packets of guests that were sent on.", NULL, NAT(sent)},
	{"to_guests_packets_total", "Packets for guests that were sent on.", NULL, NAT(received)},
	{"dns_queries_total", "Of them questions to the DNS.", NULL, NAT(dns_queries)},
	{"dns_answers_total", "Answers to them.", NULL, NAT(dns_answers)},
	{"drops_total", "Packets that were not sent on.", "refused", NAT(refused)},
	{"drops_total", "", "fragment", NAT(fragments)},
	{"drops_total", "", "dns_refused", NAT(dns_refused)},
	{"drops_total", "", "dns_unasked", NAT(dns_unasked)},
	{"drops_total", "", "other", NAT(dropped)},
};

static void family(struct buf *b, const char *prefix, const struct metric *m)
{
	if (m->help[0])
		buf_printf(b, "# HELP %s%s %s\n# TYPE %s%s counter\n", prefix, m->name, m->help,
			   prefix, m->name);
}

static void sample(struct buf *b, const char *prefix, const struct metric *m, const char *labels,
		   const void *counters)
{
	uint64_t n;

	memcpy(&n, (const char *)counters + m->offset, sizeof(n));
	buf_printf(b, "%s%s{%s", prefix, m->name, labels);
	if (m->reason)
		buf_printf(b, ",reason=\"%s\"", m->reason);
	buf_printf(b, "} %llu\n", (unsigned long long)n);
}

/* ---- networks ---- */

static void network_family(struct buf *b, const struct metric *m)
{
	static const char prefix[] = "socle_network_";
	struct switch_counters sum;
	char labels[128];

	family(b, prefix, m);
	for (const struct network *n = network_first(); n; n = n->next) {
		switch_total(&n->sw, &sum);
		snprintf(labels, sizeof(labels), "network=\"%s\"", n->spec.name);
		sample(b, prefix, m, labels, &sum);
	}
}

static void nat_family(struct buf *b, const struct metric *m)
{
	static const char prefix[] = "socle_network_nat_";
	char labels[128];

	family(b, prefix, m);
	for (const struct network *n = network_first(); n; n = n->next) {
		snprintf(labels, sizeof(labels), "network=\"%s\"", n->spec.name);
		if (n->nat)
			sample(b, prefix, m, labels, nat_stats(n->nat));
	}
}

static void ports_family(struct buf *b)
{
	static const char name[] = "socle_network_ports";

	buf_printf(b, "# HELP %s Ports.\n# TYPE %s gauge\n", name, name);
	for (const struct network *n = network_first(); n; n = n->next)
		buf_printf(b, "%s{network=\"%s\"} %u\n", name, n->spec.name, n->sw.n_ports);
}

/* ---- ports ---- */

#define PORT "socle_network_port_"

struct port_sink { /* what is written of each port */
	struct buf *b;
	const struct metric *m; /* NULL: its link */
	unsigned left;
};

static void port(struct port_sink *s, const struct network *n, const char *kind, const char *vm,
		 const char *nic, const struct switch_port *p)
{
	char labels[384];

	if (s->left == 0)
		return;
	s->left--;
	snprintf(labels, sizeof(labels), "network=\"%s\",kind=\"%s\",vm=\"%s\",nic=\"%s\"",
		 n->spec.name, kind, vm, nic);
	if (s->m)
		sample(s->b, PORT, s->m, labels, &p->counters);
	else
		buf_printf(s->b, PORT "up{%s} %u\n", labels, p->up);
}

static void vm_ports(struct port_sink *s, const struct network *n, const struct vm *vm)
{
	for (unsigned i = 0; i < vm->spec.n_nics; i++) {
		struct netdev *dev = network_nic(vm, i);

		if (dev && strcmp(vm->spec.nics[i].network, n->spec.name) == 0)
			port(s, n, "vm", vm->spec.name, vm->spec.nics[i].id, netdev_port(dev));
	}
}

static void all_ports(struct buf *b, const struct metric *m)
{
	struct port_sink s = {b, m, METRICS_PORTS_MAX};

	for (const struct network *n = network_first(); n && s.left; n = n->next) {
		if (n->uplink)
			port(&s, n, "uplink", "", n->spec.uplink, uplink_port(n->uplink));
		if (n->nat)
			port(&s, n, "gateway", "", "", nat_port(n->nat));
		for (const struct vm *vm = vm_first(); vm; vm = vm->next)
			vm_ports(&s, n, vm);
	}
}

void api_network_metrics(struct buf *b)
{
	if (!network_first())
		return;
	ports_family(b);
	for (unsigned i = 0; i < ARRAY_SIZE(port_metrics); i++)
		network_family(b, &port_metrics[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(nat_metrics); i++)
		nat_family(b, &nat_metrics[i]);
	buf_text(b, "# HELP " PORT "up Its link.\n# TYPE " PORT "up gauge\n");
	all_ports(b, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(port_metrics); i++) {
		family(b, PORT, &port_metrics[i]);
		all_ports(b, &port_metrics[i]);
	}
}
