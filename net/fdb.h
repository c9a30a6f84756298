/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which MAC address is behind which port of a switch (IEEE 802.1Q 8.8): learned from senders, forgotten after FDB_AGE_S
 * seconds of silence; and those that a port was given, which stay and do not move. Each port has room for so many learned
 * ones and the table has room for all ports' rooms, so no port can take another's. Pure.
 */
#ifndef NET_FDB_H
#define NET_FDB_H

#include <stdbool.h>
#include <stdint.h>

#include "ctrl-kernel/rt/rt.h"

#define FDB_AGE_S 300u
#define FDB_BUCKETS 1024u

struct fdb_owner {                         /* a port */
	unsigned learned, limit, reserved; /* reserved: of the table's room */
	uint32_t swept_s;                  /* when its old ones were looked for last */
};

struct fdb_entry {
	struct fdb_owner *owner; /* [borrows] NULL: free */
	uint8_t mac[6];
	uint16_t vid;
	uint32_t seen_s;
	uint16_t next; /* in the bucket, or of the free ones; FDB_END */
	bool given;
};

struct fdb {
	struct fdb_entry *entry; /* [owns] */
	unsigned room, reserved; /* entries; of them promised to ports */
	uint16_t free;
	uint16_t bucket[FDB_BUCKETS];
	uint32_t secret; /* so that nobody can aim at one bucket */
};

void fdb_init(struct fdb *f, uint32_t secret);
void fdb_free(struct fdb *f);
/* Makes room for `given` of a port's own addresses (one in two VLANs is two) and `limit` learned ones. 0, or -1: no memory. */
int fdb_reserve(struct fdb *f, struct fdb_owner *o, unsigned given, unsigned limit) MUST_CHECK;
void fdb_forget(struct fdb *f, struct fdb_owner *o); /* all of it, its room too */
/* One of the port's own. 0, or -1: it was given to a port before. */
int fdb_give(struct fdb *f, struct fdb_owner *o, const uint8_t mac[6], uint16_t vid) MUST_CHECK;
enum fdb_learned { FDB_KNOWN, FDB_LEARNED, FDB_FULL, FDB_ANOTHERS /* was given to another port */ };
enum fdb_learned fdb_learn(struct fdb *f, struct fdb_owner *o, const uint8_t mac[6], uint16_t vid,
			   uint32_t now_s);
struct fdb_owner *fdb_find(struct fdb *f, const uint8_t mac[6], uint16_t vid,
			   uint32_t now_s); /* NULL: not known */

#endif
