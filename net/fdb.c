/* SPDX-License-Identifier: BSD-2-Clause */
/* See fdb.h. */
#include "net/fdb.h"

#include <stdlib.h>
#include <string.h>

#define FDB_END UINT16_MAX

static unsigned hash(const struct fdb *f, const uint8_t mac[6], uint16_t vid)
{
	uint64_t x = f->secret;

	for (unsigned i = 0; i < 6; i++)
		x = x << 8 | mac[i];
	x ^= (uint64_t)vid << 48 ^ (uint64_t)f->secret << 13;
	x *= 0x9e3779b97f4a7c15ull;
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ull;
	return (unsigned)(x >> 40) % FDB_BUCKETS;
}

void fdb_init(struct fdb *f, uint32_t secret)
{
	*f = (struct fdb){.free = FDB_END, .secret = secret};
	memset(f->bucket, 0xff, sizeof(f->bucket));
}

void fdb_free(struct fdb *f)
{
	free(f->entry);
	f->entry = NULL;
	f->room = f->reserved = 0;
}

int fdb_reserve(struct fdb *f, struct fdb_owner *o, unsigned given, unsigned limit)
{
	unsigned need = f->reserved + given + limit;
	struct fdb_entry *more;

	if (need >= FDB_END)
		return -1;
	if (need > f->room) {
		more = realloc(f->entry, need * sizeof(*more));
		if (!more)
			return -1;
		f->entry = more;
		for (; f->room < need; f->room++) {
			more[f->room] = (struct fdb_entry){.next = f->free};
			f->free = (uint16_t)f->room;
		}
	}
	f->reserved = need;
	*o = (struct fdb_owner){.limit = limit, .reserved = given + limit};
	return 0;
}

/* The link that leads to an entry out of its bucket. */
static void drop(struct fdb *f, uint16_t *link)
{
	uint16_t i = *link;
	struct fdb_entry *e = &f->entry[i];

	if (!e->given)
		e->owner->learned--;
	*link = e->next;
	*e = (struct fdb_entry){.next = f->free};
	f->free = i;
}

/* Those of an owner, or only the old ones of it. */
static void drop_where(struct fdb *f, const struct fdb_owner *o, bool old_only, uint32_t now_s)
{
	for (unsigned b = 0; b < FDB_BUCKETS; b++) {
		uint16_t *link = &f->bucket[b];

		while (*link != FDB_END) {
			struct fdb_entry *e = &f->entry[*link];

			if (e->owner == o &&
			    (!old_only || (!e->given && now_s - e->seen_s >= FDB_AGE_S)))
				drop(f, link);
			else
				link = &e->next;
		}
	}
}

void fdb_forget(struct fdb *f, struct fdb_owner *o)
{
	drop_where(f, o, false, 0);
	f->reserved -= o->reserved;
}

static uint16_t *find(struct fdb *f, const uint8_t mac[6], uint16_t vid)
{
	uint16_t *link = &f->bucket[hash(f, mac, vid)];

	while (*link != FDB_END) {
		struct fdb_entry *e = &f->entry[*link];

		if (e->vid == vid && memcmp(e->mac, mac, 6) == 0)
			break;
		link = &e->next;
	}
	return link;
}

static void add(struct fdb *f, struct fdb_owner *o, const uint8_t mac[6], uint16_t vid, bool given,
		uint32_t now_s)
{
	uint16_t i = f->free, *bucket = &f->bucket[hash(f, mac, vid)];
	struct fdb_entry *e = &f->entry[i];

	f->free = e->next;
	*e = (struct fdb_entry){
		.owner = o, .vid = vid, .seen_s = now_s, .next = *bucket, .given = given};
	memcpy(e->mac, mac, 6);
	*bucket = i;
	o->learned += !given;
}

int fdb_give(struct fdb *f, struct fdb_owner *o, const uint8_t mac[6], uint16_t vid)
{
	uint16_t *link = find(f, mac, vid);

	if (*link != FDB_END) {
		if (f->entry[*link].given)
			return -1;
		drop(f, link);
	}
	add(f, o, mac, vid, true, 0);
	return 0;
}

/* Once a second at most it looks whether one of its own is old: that walks the table. */
static bool has_room(struct fdb *f, struct fdb_owner *o, uint32_t now_s)
{
	if (o->learned < o->limit)
		return true;
	if (o->limit == 0 || o->swept_s == now_s)
		return false;
	o->swept_s = now_s;
	drop_where(f, o, true, now_s);
	return o->learned < o->limit;
}

enum fdb_learned fdb_learn(struct fdb *f, struct fdb_owner *o, const uint8_t mac[6], uint16_t vid,
			   uint32_t now_s)
{
	uint16_t *link = find(f, mac, vid);
	struct fdb_entry *e = *link == FDB_END ? NULL : &f->entry[*link];

	if (e && e->owner == o) {
		e->seen_s = now_s;
		return FDB_KNOWN;
	}
	if (e && e->given)
		return FDB_ANOTHERS;
	if (!has_room(f, o, now_s))
		return FDB_FULL;
	link = find(f, mac, vid);
	if (*link != FDB_END)
		drop(f, link); /* it has moved here */
	add(f, o, mac, vid, false, now_s);
	return FDB_LEARNED;
}

struct fdb_owner *fdb_find(struct fdb *f, const uint8_t mac[6], uint16_t vid, uint32_t now_s)
{
	uint16_t *link = find(f, mac, vid);
	struct fdb_entry *e;

	if (*link == FDB_END)
		return NULL;
	e = &f->entry[*link];
	if (!e->given && now_s - e->seen_s >= FDB_AGE_S) {
		drop(f, link);
		return NULL;
	}
	return e->owner;
}
