/* SPDX-License-Identifier: BSD-2-Clause */
/* See frame.h. */
#include "net/frame.h"

static unsigned get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

/*
 * The least payload of a protocol. lwIP (to 2.2.1 at least) reads a whole ARP packet, and the fixed part of an IP
 * header, without looking at the length; and virtual wires do not pad to 60 bytes. What ends earlier is malformed.
 */
static size_t payload_min(unsigned type)
{
	switch (type) {
	case ETH_TYPE_ARP:
		return ARP_LEN;
	case ETH_TYPE_IPV4:
		return IPV4_HEADER_LEN;
	case ETH_TYPE_IPV6:
		return IPV6_HEADER_LEN;
	default:
		return 0;
	}
}

enum frame_verdict frame_check(const uint8_t *frame, size_t len, uint16_t vlan, size_t *tag_len)
{
	unsigned type, vid = 0;
	size_t tag = 0;

	if (len < ETH_HEADER_LEN)
		return FRAME_MALFORMED;
	type = get16(frame + ETH_ADDRS_LEN);
	if (type == ETH_TYPE_VLAN) {
		tag = ETH_TAG_LEN;
		if (len < ETH_HEADER_LEN + tag)
			return FRAME_MALFORMED;
		vid = get16(frame + ETH_HEADER_LEN) & ETH_VID_MASK;
		type = get16(frame + ETH_ADDRS_LEN + tag);
	}
	if (vid != vlan)
		return FRAME_OTHER_VLAN;
	len -= ETH_HEADER_LEN + tag;
	if (len > ETH_PAYLOAD_MAX || len < payload_min(type))
		return FRAME_MALFORMED;
	*tag_len = tag;
	return FRAME_OK;
}

void frame_tag(uint8_t tag[ETH_TAG_LEN], uint16_t vlan)
{
	tag[0] = ETH_TYPE_VLAN >> 8;
	tag[1] = ETH_TYPE_VLAN & 0xff;
	tag[2] = (uint8_t)(vlan >> 8);
	tag[3] = (uint8_t)vlan;
}
