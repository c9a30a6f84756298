/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a gateway reads of the DNS (RFC 1035) that it carries between guests and a resolver: is it a query, or an answer, of
 * the form it must have, and which question is it about? And the questions that have no answer yet: only what fits one of
 * them is carried back. Pure.
 *
 *	guest ─► query ok? ─► asked: guest, port, id, question ─► resolver
 *	guest ◄─ answer ok, as asked, not longer than the guest takes? ◄─ resolver
 */
#ifndef NET_DNS_H
#define NET_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ctrl-kernel/rt/rt.h"

#define DNS_PORT 53u
#define DNS_BYTES_PLAIN 512u /* of an answer over UDP to who says nothing (RFC 1035, 2.3.4) */
#define DNS_BYTES_MAX 1232u  /* that fit every link in one piece: fragments are not carried */
#define DNS_ASKED_MAX 1024u
#define DNS_GUEST_ASKED_MAX 64u /* of one address */
#define DNS_ASKED_S 10u         /* then nobody waits any more */

struct dns_message {
	uint16_t id;
	uint64_t question; /* a hash of name (in small letters), type and class */
	uint16_t bytes;    /* of answers that its sender takes: RFC 6891, 6.2.3 */
	uint16_t bytes_at; /* where it says so; 0: it does not */
};

/* One question of opcode QUERY, and nothing behind it but an OPT record. */
bool dns_query(const uint8_t *m, size_t n, struct dns_message *out) MUST_CHECK;
/* One question, and as many records as it says, each whole. */
bool dns_answer(const uint8_t *m, size_t n, struct dns_message *out) MUST_CHECK;

struct dns_asked {
	uint64_t question;
	uint32_t guest, until_s; /* until_s 0: free */
	uint16_t port, id, bytes;
};

struct dns_table {
	struct dns_asked asked[DNS_ASKED_MAX];
};

/* A guest asks, or asks again. False: there are too many questions. */
bool dns_ask(struct dns_table *t, uint32_t guest, uint16_t port, const struct dns_message *m,
	     uint32_t now_s) MUST_CHECK;
/* Was an answer of `bytes` asked for? Each question has one. */
bool dns_answered(struct dns_table *t, uint32_t guest, uint16_t port, const struct dns_message *m,
		  size_t bytes, uint32_t now_s) MUST_CHECK;

#endif
