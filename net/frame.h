/* SPDX-License-Identifier: BSD-2-Clause */
/* Ethernet frames before lwIP sees them: shape, VLAN tags. Pure. */
#ifndef NET_FRAME_H
#define NET_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define ETH_ADDRS_LEN 12u
#define ETH_HEADER_LEN 14u
#define ETH_TAG_LEN 4u
#define ETH_PAYLOAD_MAX 1500u
#define ETH_FRAME_MIN 60u /* without FCS */
#define ETH_TYPE_VLAN 0x8100u
#define ETH_TYPE_ARP 0x0806u
#define ETH_VID_MASK 0xfffu
#define ETH_TYPE_IPV4 0x0800u
#define ETH_TYPE_IPV6 0x86ddu
#define IPV4_HEADER_LEN 20u /* without options */
#define IPV6_HEADER_LEN 40u
#define ARP_LEN 28u /* of ARP for IPv4 over Ethernet (RFC 826) */

enum frame_verdict { FRAME_OK, FRAME_MALFORMED, FRAME_OTHER_VLAN };

/* vlan 0: untagged frames and priority tags only. *tag_len is what to cut out after the addresses: 0 or 4. */
enum frame_verdict frame_check(const uint8_t *frame, size_t len, uint16_t vlan, size_t *tag_len);
void frame_tag(uint8_t tag[ETH_TAG_LEN], uint16_t vlan);

#endif
