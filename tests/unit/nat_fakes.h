/* SPDX-License-Identifier: BSD-2-Clause */
/* What stands around a gateway (net/nat.c) on the host: a clock, the host's address, a guest's port; and packets by hand. */
#ifndef TESTS_NAT_FAKES_H
#define TESTS_NAT_FAKES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "net/nat.h"
#include "net/packet.h"

#define GATEWAY 0xc0a8d501u /* 192.168.213.1 */
#define GUEST 0xc0a8d564u   /* .100 */
#define HOST_IP 0x0a00020fu /* 10.0.2.15 */
#define REMOTE 0x08080808u
#define RESOLVER 0x0a000203u

static uint64_t now_ns = 1000000000ull;
static struct nat_host host = {HOST_IP, RESOLVER};
static uint8_t sent[1600], got[1600];
static size_t n_sent, n_got; /* bytes of the last; 0: none */
static const uint8_t guest_mac[6] = {2, 0, 0, 0, 0, 7};
static struct vswitch sw;
static struct switch_port guest;
static struct dhcp_lease leases[DHCPD_LEASES_MAX];
static struct nat *nat;

uint64_t rt_now(void)
{
	return now_ns;
}

void nat_host(struct nat_host *out)
{
	*out = host;
}

void nat_host_send(const uint8_t *packet, size_t bytes)
{
	memcpy(sent, packet, bytes);
	n_sent = bytes;
}

static bool to_guest(struct switch_port *port, const struct packet *p)
{
	(void)port;
	packet_copy(p, got);
	n_got = p->bytes;
	return true;
}

static const struct switch_port_ops guest_ops = {.deliver = to_guest};

static const struct nat_config nat_default = {
	.gateway = GATEWAY,
	.prefix = 24,
	.dhcp_first = GUEST,
	.dhcp_n = 100,
	.n_forwards = 1,
	.forwards = {{NAT_TCP, 2222, 22, GUEST}},
};

static inline bool nat_start(void)
{
	memset(leases, 0, sizeof(leases));
	switch_init(&sw, 1);
	guest = (struct switch_port){
		.ops = &guest_ops,
		.config = {.learn = 4, .has_mac = true, .mac = {2, 0, 0, 0, 0, 7}}};
	if (switch_plug(&sw, &guest) != SWITCH_OK)
		return false;
	guest.up = true;
	nat = nat_open(&nat_default, &sw, leases, 77);
	return nat != NULL;
}

static inline void nat_stop(void)
{
	nat_close(nat);
	switch_unplug(&guest);
	switch_free(&sw);
}

static inline void from_guest(const uint8_t *frame, size_t bytes)
{
	struct nic_seg seg = {frame, bytes};
	struct packet p;

	n_sent = n_got = 0;
	if (packet_make(&p, &seg, 1, NULL))
		(void)switch_input(&guest, &p, now_ns);
}

#endif
