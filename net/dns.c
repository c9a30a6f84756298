/* SPDX-License-Identifier: BSD-2-Clause */
/* See dns.h. */
#include "net/dns.h"

#include "net/packet.h"

enum header { /* RFC 1035, 4.1.1 */
	      H_ID = 0,
	      H_FLAGS = 2,
	      H_QUESTIONS = 4,
	      H_ANSWERS = 6,
	      H_AUTHORITIES = 8,
	      H_ADDITIONAL = 10,
	      H_BYTES = 12
};
#define FLAG_ANSWER 0x8000u
#define FLAGS_OPCODE 0x7800u

#define LABEL_KIND 0xc0u /* 4.1.4: both bits a pointer, none a label */
#define NAME_MAX 255u    /* 2.3.4 */
#define QUESTION_REST 4u /* type and class */

enum record {
	R_TYPE = 0,
	R_CLASS = 2,
	R_DATA_BYTES = 8,
	R_DATA = 10
};                   /* 4.1.3, from behind the name */
#define TYPE_OPT 41u /* RFC 6891; its class is a size */

struct cursor {
	const uint8_t *m;
	size_t n, at;
};

/* ---- names ---- */

/* Pointers lead to before what they stand in, each further: so there are no loops. */
static bool pointer(const struct cursor *c, size_t p, size_t before, size_t *to)
{
	if (p + 2 > c->n)
		return false;
	*to = (c->m[p] & ~LABEL_KIND) << 8 | c->m[p + 1];
	return *to >= H_BYTES && *to < before;
}

static bool skip_name(struct cursor *c, bool pointers)
{
	size_t p = c->at, before = c->at, bytes = 0;
	bool jumped = false;

	while (p < c->n) {
		unsigned len = c->m[p];

		if ((len & LABEL_KIND) == LABEL_KIND) {
			if (!jumped)
				c->at = p + 2;
			jumped = true;
			if (!pointers || !pointer(c, p, before, &before))
				return false;
			p = before;
			continue;
		}
		bytes += 1 + len;
		p += 1 + len;
		if ((len & LABEL_KIND) || bytes > NAME_MAX || p > c->n)
			return false;
		if (len == 0) {
			if (!jumped)
				c->at = p;
			return true;
		}
	}
	return false;
}

/* ---- questions ---- */

static uint8_t small(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c;
}

static bool question(struct cursor *c, uint64_t *hash)
{
	size_t from = c->at;

	if (!skip_name(c, false) || c->n - c->at < QUESTION_REST)
		return false;
	*hash = 0xcbf29ce484222325;  /* FNV-1a */
	for (; from < c->at; from++) /* lengths are no letters: below 64 */
		*hash = (*hash ^ small(c->m[from])) * 0x100000001b3;
	for (c->at += QUESTION_REST; from < c->at; from++)
		*hash = (*hash ^ c->m[from]) * 0x100000001b3;
	return true;
}

static bool begin(struct cursor *c, bool is_answer, struct dns_message *out)
{
	uint16_t flags;

	if (c->n < H_BYTES || c->n > UINT16_MAX)
		return false;
	flags = packet_get16(c->m + H_FLAGS);
	out->id = packet_get16(c->m + H_ID);
	out->bytes = DNS_BYTES_PLAIN;
	out->bytes_at = 0;
	c->at = H_BYTES;
	return !(flags & FLAG_ANSWER) == !is_answer && (flags & FLAGS_OPCODE) == 0 &&
	       packet_get16(c->m + H_QUESTIONS) == 1 && question(c, &out->question);
}

/* ---- records ---- */

/* Names in their data, which may be short of letters too: bytes before, names, bytes behind. */
static bool data_ok(const struct cursor *record, unsigned type, size_t at, size_t bytes)
{
	static const struct {
		uint8_t type, before, names, behind;
	} rows[] = {
		{1, 4, 0, 0},   /* A */
		{2, 0, 1, 0},   /* NS */
		{5, 0, 1, 0},   /* CNAME */
		{6, 0, 2, 20},  /* SOA */
		{12, 0, 1, 0},  /* PTR */
		{15, 2, 1, 0},  /* MX */
		{28, 16, 0, 0}, /* AAAA (RFC 3596) */
		{33, 6, 1, 0},  /* SRV (RFC 2782) */
		{39, 0, 1, 0},  /* DNAME (RFC 6672) */
	};
	struct cursor c = {record->m, at + bytes, at};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].type != type)
			continue;
		c.at += rows[i].before;
		for (unsigned n = 0; n < rows[i].names; n++)
			if (!skip_name(&c, true))
				return false;
		return c.at + rows[i].behind == c.n;
	}
	return true;
}

static bool skip_record(struct cursor *c)
{
	size_t bytes, data;

	if (!skip_name(c, true) || c->n - c->at < R_DATA)
		return false;
	bytes = packet_get16(c->m + c->at + R_DATA_BYTES);
	data = c->at + R_DATA;
	if (bytes > c->n - data || !data_ok(c, packet_get16(c->m + c->at + R_TYPE), data, bytes))
		return false;
	c->at = data + bytes;
	return true;
}

/* RFC 6891, 6.1.2: less than 512 is as good as 512. */
static bool opt(struct cursor *c, struct dns_message *out)
{
	size_t at = c->at + 1;

	if (c->n - c->at < 1 + R_DATA || c->m[c->at] != 0 ||
	    packet_get16(c->m + at + R_TYPE) != TYPE_OPT)
		return false;
	out->bytes_at = (uint16_t)(at + R_CLASS);
	out->bytes = packet_get16(c->m + out->bytes_at);
	if (out->bytes < DNS_BYTES_PLAIN)
		out->bytes = DNS_BYTES_PLAIN;
	return skip_record(c);
}

bool dns_query(const uint8_t *m, size_t n, struct dns_message *out)
{
	struct cursor c = {m, n, 0};
	unsigned additional;

	if (!begin(&c, false, out) || packet_get16(m + H_ANSWERS) ||
	    packet_get16(m + H_AUTHORITIES))
		return false;
	additional = packet_get16(m + H_ADDITIONAL);
	if (additional > 1 || (additional == 1 && !opt(&c, out)))
		return false;
	return c.at == n;
}

bool dns_answer(const uint8_t *m, size_t n, struct dns_message *out)
{
	struct cursor c = {m, n, 0};
	uint32_t records;

	if (!begin(&c, true, out))
		return false;
	records = packet_get16(m + H_ANSWERS) + (uint32_t)packet_get16(m + H_AUTHORITIES) +
		  packet_get16(m + H_ADDITIONAL);
	for (; records; records--) /* each has bytes of its own: no more than there are */
		if (!skip_record(&c))
			return false;
	return c.at == n;
}

/* ---- what was asked ---- */

static bool is_free(const struct dns_asked *a, uint32_t now_s)
{
	return a->until_s == 0 || (int32_t)(now_s - a->until_s) >= 0;
}

static bool is_same(const struct dns_asked *a, uint32_t guest, uint16_t port,
		    const struct dns_message *m)
{
	return a->guest == guest && a->port == port && a->id == m->id && a->question == m->question;
}

bool dns_ask(struct dns_table *t, uint32_t guest, uint16_t port, const struct dns_message *m,
	     uint32_t now_s)
{
	struct dns_asked *to = NULL, *same = NULL;
	unsigned of_guest = 0;

	for (unsigned i = 0; i < DNS_ASKED_MAX && !same; i++) {
		struct dns_asked *a = &t->asked[i];

		if (is_free(a, now_s))
			to = to ? to : a;
		else if (is_same(a, guest, port, m))
			same = a;
		else
			of_guest += a->guest == guest;
	}
	if (!same && of_guest >= DNS_GUEST_ASKED_MAX)
		return false;
	to = same ? same : to;
	if (!to)
		return false;
	*to = (struct dns_asked){.question = m->question,
				 .guest = guest,
				 .until_s = (now_s + DNS_ASKED_S) | 1,
				 .port = port,
				 .id = m->id,
				 .bytes = m->bytes};
	return true;
}

bool dns_answered(struct dns_table *t, uint32_t guest, uint16_t port, const struct dns_message *m,
		  size_t bytes, uint32_t now_s)
{
	for (unsigned i = 0; i < DNS_ASKED_MAX; i++) {
		struct dns_asked *a = &t->asked[i];

		if (is_free(a, now_s) || !is_same(a, guest, port, m) || bytes > a->bytes)
			continue;
		a->until_s = 0;
		return true;
	}
	return false;
}
