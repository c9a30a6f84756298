/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest and a world that say anything to a gateway. Records: a byte (side, and whether time passes), two of length, the
 * bytes; from the guest a frame whose addresses are put right or not. What leaves has the host's address and no wrong length. The first
 * bytes are also what an instance before left of its flows.
 */
// SRC: net/checksum.c
// SRC: net/dhcpd.c
// SRC: net/fdb.c
// SRC: net/frame.c
// SRC: net/dns.c net/nat.c
// SRC: net/nat_flow.c
// SRC: net/nat_packet.c
// SRC: net/packet.c
// SRC: net/claim.c net/spoof.c
// SRC: net/switch.c
#include <stdlib.h>

#include "tests/unit/nat_fakes.h"

static void guest_says(const uint8_t *data, size_t n, bool right)
{
	uint8_t *frame = malloc(n + 14);

	memcpy(frame, nat_port(nat)->config.mac, 6);
	memcpy(frame + 6, guest_mac, 6);
	packet_put16(frame + 12, ETH_TYPE_IPV4);
	memcpy(frame + 14, data, n);
	if (right && n >= 20) {
		frame[14] = 0x45;
		packet_put16(frame + 16, (uint16_t)n);
		packet_put16(frame + 20, 0);
		packet_put32(frame + 26, GUEST);
	}
	if (right)
		from_guest(frame, n + 14);
	else
		from_guest(data, n);
	free(frame);
	if (n_sent && (packet_get32(sent + 12) != HOST_IP || packet_get16(sent + 2) != n_sent))
		abort();
}

static void world_says(const uint8_t *data, size_t n)
{
	uint8_t *packet = malloc(n);

	memcpy(packet, data, n);
	if (n >= 20)
		packet_put32(packet + 16, HOST_IP);
	(void)nat_input(packet, n);
	free(packet);
}

static struct nat_flows_kept kept;

/* Flows as the input has them. */
static void leave(const uint8_t *data, size_t size)
{
	static struct nat_flows_kept empty;

	nat_keep(&kept);
	if (!empty.magic) {
		if (!nat_start())
			abort();
		nat_stop();
		empty = kept;
	}
	kept = empty;
	memcpy(kept.flow, data, size < 8 * sizeof(kept.flow[0]) ? size : 8 * sizeof(kept.flow[0]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	leave(data, size);
	if (!nat_start())
		abort();
	while (size > 3) {
		size_t n = (data[1] | (size_t)data[2] << 8) % 1501;
		uint8_t how = data[0];

		data += 3;
		size -= 3;
		if (n > size)
			n = size;
		now_ns += (uint64_t)(how >> 4) << 33;
		if (how & 1)
			world_says(data, n);
		else
			guest_says(data, n, how & 2);
		data += n;
		size -= n;
	}
	nat_stop();
	return 0;
}
