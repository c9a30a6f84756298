/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checksums and segmentation by the card (8254x 3.5 and 3.6, 82574 7.2.11 and 7.3): checks what is asked against the frame's
 * headers, which are a copy, and makes the context descriptor.
 *
 * A sum of 0, which UDP has to send as 0xffff: the manuals say nothing of it, and other drivers leave it to the card.
 */
#include "drivers/e1000_ring.h"
#include "net/checksum.h"
#include "net/frame.h"

#define PROTOCOL_TCP 6u
#define TCP_BYTES 20u
#define TCP_SUM 16u      /* of its header */
#define HEADERS_MAX 240u /* the card's memory for them (8254x 3.5.9) */
#define MSS_MIN 17u      /* 82574 7.2.11: more than 16 */
/*
 * The length field has 20 bits, but 4096 is what other drivers go to, for errata's sake; and 4 * MSS, for the card counts on
 * no more when it looks for room in its FIFO. On PCI-X the first one has less than 2016 (8254x specification update).
 */
#define PART_MAX 4096u
#define PART_MSS 4u
#define FIRST_MAX 1984u

/* These may be padded, and QEMU's 82574 takes that for payload when it sums; and a context costs more than their sum. */
#define SHORT_MAX 64u

/* The sum's place is one byte in a context, and behind the Ethernet header. */
static bool csum_ok(size_t copied, const struct packet_offload *o)
{
	unsigned at = (unsigned)o->csum_start + o->csum_offset;

	return o->csum_start >= ETH_HEADER_LEN && at <= UINT8_MAX && at + 2 <= copied;
}

static unsigned ip_at(const uint8_t *head)
{
	return ETH_HEADER_LEN +
	       (packet_get16(head + ETH_ADDRS_LEN) == ETH_TYPE_VLAN ? ETH_TAG_LEN : 0);
}

/* Bytes of the IP header of a TCP packet; 0: it is none of that kind. There are at least `bytes` from ip on. */
static unsigned ip_bytes(const uint8_t *ip, size_t bytes, uint8_t gso)
{
	unsigned type = packet_get16(ip - 2);

	if (gso == PACKET_TCP4 && type == ETH_TYPE_IPV4 && bytes >= IPV4_HEADER_LEN &&
	    ip[0] >> 4 == 4 && ip[9] == PROTOCOL_TCP)
		return (ip[0] & 15u) * 4;
	if (gso == PACKET_TCP6 && type == ETH_TYPE_IPV6 && bytes >= IPV6_HEADER_LEN &&
	    ip[0] >> 4 == 6 && ip[6] == PROTOCOL_TCP)
		return IPV6_HEADER_LEN;
	return 0;
}

/* csum_ok() has been asked: the TCP header's sum is in the copy, and so is all before it. */
static bool tso_ok(const uint8_t *head, size_t copied, const struct packet_offload *o)
{
	unsigned ip = ip_at(head), tcp = o->csum_start, len;

	if (o->csum_offset != TCP_SUM || tcp < ip + IPV4_HEADER_LEN)
		return false;
	len = ip_bytes(head + ip, tcp - ip, o->gso);
	if (len < IPV4_HEADER_LEN || tcp != ip + len || copied < tcp + TCP_BYTES)
		return false;
	len = (head[tcp + 12] >> 4) * 4u;
	return len >= TCP_BYTES && o->header_bytes == tcp + len && o->header_bytes <= copied &&
	       o->header_bytes <= HEADERS_MAX && o->gso_bytes >= MSS_MIN &&
	       o->header_bytes + o->gso_bytes <= NIC_FRAME_MAX;
}

/* The field holds the sum of the pseudo-header. None is sent as 0, which UDP has another meaning for. */
static void fill_csum(uint8_t *head, size_t bytes, const struct packet_offload *o)
{
	uint16_t sum = checksum_end(
		checksum_add(0, head + o->csum_start, bytes - o->csum_start, false));

	packet_put16(head + o->csum_start + o->csum_offset, sum ? sum : 0xffff);
}

static uint64_t place(unsigned value, unsigned bit)
{
	return (uint64_t)value << bit;
}

static void want_csum(const struct packet_offload *o, struct e1000_todo *todo)
{
	todo->has_context = true;
	todo->context.addr = place(o->csum_start, E1000_TXC_TUCSS) |
			     place(o->csum_start + o->csum_offset, E1000_TXC_TUCSO);
	todo->context.command = E1000_TXD_DEXT | (o->csum_offset == TCP_SUM ? E1000_TXC_TCP : 0);
	todo->type = E1000_TXD_DATA;
	todo->command |= E1000_TXD_DEXT;
	todo->options = E1000_TXD_TXSM;
}

/*
 * The lengths that the card fills in are 0 in the header that it gets, and so is the sum of IPv4; that of TCP is the
 * pseudo-header's without a length, which the card adds for each frame (8254x 3.5).
 */
static void want_tso(uint8_t *head, size_t bytes, const struct packet_offload *o,
		     struct e1000_todo *todo)
{
	unsigned ip = ip_at(head), payload = (unsigned)bytes - o->header_bytes;
	struct e1000_tx_desc *c = &todo->context;

	c->addr |= place(ip, E1000_TXC_IPCSS) | place(ip + 10, E1000_TXC_IPCSO);
	if (o->gso == PACKET_TCP4) {
		c->addr |= place(o->csum_start - 1u, E1000_TXC_IPCSE);
		c->command |= E1000_TXC_IPV4;
		todo->options |= E1000_TXD_IXSM;
		packet_put16(head + ip + 2, 0);
		packet_put16(head + ip + 10, 0);
	} else {
		packet_put16(head + ip + 4, 0);
	}
	packet_put16(head + o->csum_start + TCP_SUM,
		     (uint16_t)~checksum_end(checksum_pseudo(head + ip, 0)));
	c->command |= E1000_TXD_TSE;
	c->len = (uint16_t)payload;
	c->type = (uint8_t)(payload >> 16);
	c->options = (uint8_t)o->header_bytes;
	c->special = o->gso_bytes;
	todo->command |= E1000_TXD_TSE;
	todo->tso = true;
	if (PART_MSS * o->gso_bytes < PART_MAX)
		todo->part_max = PART_MSS * o->gso_bytes;
	if (todo->part_max < FIRST_MAX) /* headers are not to be divided (82574 7.3) */
		todo->first_max = todo->part_max > o->header_bytes ? todo->part_max
								   : o->header_bytes;
}

bool e1000_offload(uint8_t *head, size_t copied, size_t bytes, const struct packet_offload *o,
		   struct e1000_todo *todo)
{
	*todo = (struct e1000_todo){
		.command = E1000_TXD_IFCS, .first_max = FIRST_MAX, .part_max = PART_MAX};
	if (!o->csum_wanted)
		return o->gso == PACKET_WHOLE;
	if (!csum_ok(copied, o) || (o->gso != PACKET_WHOLE && !tso_ok(head, copied, o)))
		return false;
	if (bytes <= SHORT_MAX && bytes == copied && o->gso == PACKET_WHOLE) {
		fill_csum(head, bytes, o);
		return true;
	}
	want_csum(o, todo);
	/* What makes one frame is one already. */
	if (o->gso != PACKET_WHOLE && bytes > (size_t)o->header_bytes + o->gso_bytes)
		want_tso(head, bytes, o, todo);
	return true;
}
