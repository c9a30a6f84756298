/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames of any bytes, any offload, any pieces, through a switch with every kind of port. What arrives is no longer than a
 * frame may be, is read to its end, and the books of the addresses balance.
 */
// SRC: net/checksum.c
// SRC: net/fdb.c
// SRC: net/frame.c
// SRC: net/packet.c
// SRC: net/claim.c net/spoof.c
// SRC: net/switch.c
#include <stdlib.h>
#include <string.h>

#include "net/switch.h"

#define N 6

static bool deliver(struct switch_port *port, const struct packet *p)
{
	uint8_t *flat = malloc(p->bytes + ETH_TAG_LEN + ETH_FRAME_MIN);
	struct packet_wire out;
	size_t at = 0;

	if (!port->up || (p->offload.csum_wanted && !(port->caps & PACKET_CAP_CSUM)) ||
	    (p->offload.gso && !port->caps))
		abort();
	if (!p->offload.gso && p->bytes > ETH_HEADER_LEN + ETH_PAYLOAD_MAX)
		abort();
	packet_wire(p, switch_tagged(port, p), &out);
	for (unsigned i = 0; i < out.frame.n_segs; at += out.seg[i++].len)
		memcpy(flat + at, out.seg[i].data, out.seg[i].len);
	at = flat[0];
	free(flat);
	return at != 0x77;
}

static const struct switch_port_ops ops = {.deliver = deliver};

static const struct switch_port_config config[N] = {
	{.learn = 4, .floods = true},
	{.learn = 2, .has_mac = true, .mac = {2, 0, 0, 0, 0, 1}, .isolated = true},
	{.learn = 2,
	 .has_mac = true,
	 .mac = {2, 0, 0, 0, 0, 2},
	 .anti_spoof = true,
	 .addrs_only = true,
	 .n_addrs = 2,
	 .addrs = {{4, {10, 0, 0, 1}}, {6, {0xfe, 0x80, [15] = 1}}}},
	{.trunk = true, .learn = 64, .floods = true},
	{.vid = 5,
	 .n_vids = 2,
	 .vids = {7, 8},
	 .learn = 4,
	 .n_addrs = 1,
	 .addrs = {{4, {10, 0, 0, 2}}}},
	{.vid = 7, .learn = 4, .rate = {.bytes_per_s = 1000000, .frames_per_s = 1000}},
};

static struct vswitch sw;
static struct switch_port port[N];

/* One frame: port, pieces, offload, length, bytes. -> bytes used */
static size_t one(const uint8_t *data, size_t size, uint64_t now)
{
	struct packet_offload o = {.gso = data[1] & 7, .csum_wanted = data[1] >> 3 & 1};
	size_t n = data[2] | (size_t)data[3] << 8, pieces = data[4] % 29u + 1, at = 0;
	struct nic_seg seg[29];
	uint8_t *frame;
	struct packet p;

	o.gso_bytes = packet_get16(data + 5);
	o.csum_start = packet_get16(data + 7) & 0x3ff;
	o.csum_offset = data[9];
	size -= 10;
	frame = calloc(1, n + 1);
	memcpy(frame, data + 10, n < size ? n : size);
	for (size_t i = 0; i < pieces; i++) {
		size_t part = i + 1 == pieces ? n - at : n / pieces;

		seg[i] = (struct nic_seg){frame + at, part};
		at += part;
	}
	port[1].promiscuous = data[0] & 0x80;
	port[0].up = !(data[0] & 0x40);
	port[0].caps = data[0] & 0x20 ? PACKET_CAP_CSUM | PACKET_CAP_TCP4 | PACKET_CAP_TCP6 : 0;
	if (packet_make(&p, seg, (unsigned)pieces, &o))
		(void)switch_input(&port[data[0] % N], &p, now);
	free(frame);
	return 10 + (n < size ? n : size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t now = 1000000000;

	switch_init(&sw, 1);
	for (unsigned i = 0; i < N; i++) {
		port[i] = (struct switch_port){.ops = &ops, .config = config[i]};
		if (switch_plug(&sw, &port[i]) != SWITCH_OK)
			abort();
		port[i].up = true;
	}
	while (size > 10) {
		size_t used = one(data, size, now);

		now += (uint64_t)data[0] << 28;
		data += used;
		size -= used;
	}
	for (unsigned i = 0; i < N; i++)
		switch_unplug(&port[i]);
	for (unsigned b = 0; b < FDB_BUCKETS; b++)
		if (sw.fdb.bucket[b] != UINT16_MAX)
			abort();
	if (sw.fdb.reserved)
		abort();
	switch_free(&sw);
	return 0;
}
