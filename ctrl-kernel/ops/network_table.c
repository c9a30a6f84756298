/* SPDX-License-Identifier: BSD-2-Clause */
/* See network_table.h. */
#include "ctrl-kernel/ops/network_table.h"

#include <string.h>
#include "ctrl-kernel/ops/keep_ram.h"
#include "ctrl-kernel/ops/sane.h"
#include "ctrl-kernel/rt/hvcall.h"
#include "net/nat.h"

#define MAGIC 0x5354454eull /* "NETS" */
#define VERSION 1u
#define KEEP_SLOT_NAT (KEEP_SLOT_RAM_0 - 1u)

struct record {
	uint32_t live, current; /* of spec[] */
	struct network_spec spec[2];
};

struct table { /* kept */
	uint64_t magic;
	uint32_t version, reserved;
	struct record records[NETWORKS_MAX];
};
_Static_assert(sizeof(struct network_spec) == 696 && VERSION == 1,
	       "another layout is another version");

#define TABLE_PAGES ((sizeof(struct table) + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE)
_Static_assert(TABLE_PAGES + NETWORKS_MAX <= HV_GROW_MAX, "one call");
_Static_assert(sizeof(struct dhcp_lease) * DHCPD_LEASES_MAX <= HV_PAGE_SIZE,
	       "a page of leases each");

/* Before network_table_init() nothing is kept: tests of other parts go without. */
static struct table unkept, *table = &unkept; /* [owns] mapping */
static uint32_t object; /* [owns] its pages, and behind them a page of leases for each record */
static struct dhcp_lease *leases[NETWORKS_MAX]; /* [owns] mappings */

/* What is kept in the slot; made, of so many zero pages, where there is nothing. 0: no memory. */
static uint32_t kept(unsigned slot, uint64_t pages)
{
	uint64_t mem = 0;

	if (hv_mem_kept(slot, &mem) == 0)
		return (uint32_t)mem;
	if (hv_mem_create(0, &mem) == 0 && hv_mem_grow_to((uint32_t)mem, pages) == 0 &&
	    hv_mem_keep((uint32_t)mem, slot) == 0)
		return (uint32_t)mem;
	hv_handle_close((uint32_t)mem);
	return 0;
}

void network_table_init(bool *made)
{
	object = kept(KEEP_SLOT_NETWORKS, TABLE_PAGES);
	table = object ? rt_mem_map(object, 0, TABLE_PAGES, HVP_READ | HVP_WRITE) : NULL;
	if (!table)
		rt_die("no memory for the table of networks");
	*made = table->magic != MAGIC || table->version != VERSION;
	if (!*made)
		return;
	memset(table, 0, sizeof(*table));
	table->version = VERSION;
	__atomic_store_n(&table->magic, MAGIC, __ATOMIC_RELEASE);
}

static bool forward_sane(const struct network_forward *f)
{
	return text_ends(f->protocol, sizeof(f->protocol)) &&
	       text_ends(f->address, sizeof(f->address));
}

static bool sane(const struct network_spec *s)
{
	if (!text_ends(s->name, sizeof(s->name)) || !text_ends(s->mode, sizeof(s->mode)) ||
	    !text_ends(s->uplink, sizeof(s->uplink)) || !text_ends(s->subnet, sizeof(s->subnet)) ||
	    !text_ends(s->dhcp_first, sizeof(s->dhcp_first)) ||
	    !text_ends(s->dhcp_last, sizeof(s->dhcp_last)) || !text_ends(s->dns, sizeof(s->dns)) ||
	    s->n_forwards > NETWORK_FORWARDS_MAX || !is_bool(&s->dhcp))
		return false;
	for (unsigned i = 0; i < s->n_forwards; i++)
		if (!forward_sane(&s->forwards[i]))
			return false;
	return true;
}

bool network_table_read(unsigned i, struct network_spec *out)
{
	struct record *r = &table->records[i];

	if (r->live != 1 || r->current > 1 || !sane(&r->spec[r->current])) {
		r->live = 0;
		return false;
	}
	*out = r->spec[r->current];
	return true;
}

int network_table_add(const struct network_spec *spec, unsigned *record, struct ops_error *e)
{
	for (unsigned i = 0; i < NETWORKS_MAX; i++) {
		struct record *r = &table->records[i];

		if (r->live)
			continue;
		r->spec[0] = *spec;
		r->current = 0;
		__atomic_store_n(&r->live, 1, __ATOMIC_RELEASE);
		*record = i;
		return 0;
	}
	return ops_fail(e, OPS_LIMIT, NULL, "there are %u networks already; delete some",
			NETWORKS_MAX);
}

void network_table_change(unsigned record, const struct network_spec *spec)
{
	struct record *r = &table->records[record];
	uint32_t other = 1 - r->current;

	r->spec[other] = *spec;
	__atomic_store_n(&r->current, other, __ATOMIC_RELEASE);
}

struct nat_flows_kept *network_table_flows(void)
{
	uint64_t pages = (sizeof(struct nat_flows_kept) + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE;
	uint32_t mem = kept(KEEP_SLOT_NAT, pages);
	void *flows = mem ? rt_mem_map(mem, 0, pages, HVP_READ | HVP_WRITE) : NULL;

	if (mem)
		hv_handle_close(mem); /* hv and the mapping hold it */
	if (!flows)
		rt_log("no memory for flows of NAT that outlive the control kernel; they end with "
		       "it");
	return flows;
}

struct dhcp_lease *network_table_leases(unsigned record)
{
	uint64_t now = 0;

	if (leases[record])
		return leases[record];
	if (!object || hv_mem_grow(object, TABLE_PAGES + record + 1, &now) ||
	    now < TABLE_PAGES + record + 1)
		return NULL;
	leases[record] = rt_mem_map(object, TABLE_PAGES + record, 1, HVP_READ | HVP_WRITE);
	return leases[record];
}

void network_table_remove(unsigned record)
{
	if (leases[record])
		memset(leases[record], 0, HV_PAGE_SIZE);
	__atomic_store_n(&table->records[record].live, 0, __ATOMIC_RELEASE);
}
