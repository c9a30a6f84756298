/* SPDX-License-Identifier: BSD-2-Clause */
/* The records of volumes in memory (keep_ram.h). */
#include "ctrl-kernel/ops/keep_ram.h"

#include <string.h>
#include "ctrl-kernel/rt/hvcall.h"

#define MAGIC 0x4d4152ull /* "RAM" */
#define VERSION 1u

struct record {
	uint32_t live, current; /* of now[] */
	uint64_t created_s;
	struct {
		char name[RAM_NAME_SIZE];
		uint64_t bytes;
	} now[2];
};

struct table { /* kept */
	uint64_t magic;
	uint32_t version, reserved;
	struct record records[RAM_VOLUMES_MAX];
};
_Static_assert(sizeof(struct record) == 160 && sizeof(struct table) == 10256 && VERSION == 1,
	       "another layout is another version");

#define TABLE_PAGES ((sizeof(struct table) + HV_PAGE_SIZE - 1) / HV_PAGE_SIZE)

static struct table *table; /* [owns] mapping */

static bool bytes_fit(uint32_t mem, uint64_t bytes)
{
	uint64_t info;

	return bytes && bytes % HV_PAGE_SIZE == 0 && hv_mem_info(mem, &info) == 0 &&
	       bytes / HV_PAGE_SIZE <= (info & 0xffffffffffffull);
}

static bool name_sane(const char name[RAM_NAME_SIZE])
{
	return memchr(name, '\0', RAM_NAME_SIZE) && ops_name_ok(name) && !ram_find(name);
}

static bool take_over(unsigned i)
{
	const struct record *rec = &table->records[i];
	struct ram_volume *v = ram_volume(i);
	uint64_t mem;

	if (rec->live != 1 || hv_mem_kept(KEEP_SLOT_RAM_0 + i, &mem))
		return false;
	if (rec->current > 1 || !name_sane(rec->now[rec->current].name) ||
	    !bytes_fit((uint32_t)mem, rec->now[rec->current].bytes)) {
		hv_handle_close((uint32_t)mem);
		return false;
	}
	memcpy(v->name, rec->now[rec->current].name, sizeof(v->name));
	v->bytes = rec->now[rec->current].bytes;
	v->created_s = rec->created_s;
	v->mem = (uint32_t)mem;
	return true;
}

static void take_over_all(void)
{
	for (unsigned i = 0; i < RAM_VOLUMES_MAX; i++) {
		if (take_over(i))
			continue;
		if (table->records[i].live)
			rt_log("the record of a volume in memory is damaged; it is dropped");
		table->records[i].live = 0;
		(void)hv_mem_keep(0, KEEP_SLOT_RAM_0 + i);
	}
}

static uint32_t table_mem(bool *found)
{
	uint64_t mem, now = 0;

	*found = hv_mem_kept(KEEP_SLOT_RAM, &mem) == 0;
	if (*found)
		return (uint32_t)mem;
	if (hv_mem_create(0, &mem) || hv_mem_grow((uint32_t)mem, TABLE_PAGES, &now) ||
	    now < TABLE_PAGES || hv_mem_keep((uint32_t)mem, KEEP_SLOT_RAM))
		rt_die("no memory for the table of volumes in memory");
	return (uint32_t)mem;
}

void keep_ram_init(void)
{
	bool found;
	uint32_t mem = table_mem(&found);

	table = rt_mem_map(mem, 0, TABLE_PAGES, HVP_READ | HVP_WRITE);
	hv_handle_close(mem); /* hv and the mapping hold it */
	if (!table)
		rt_die("the table of volumes in memory cannot be mapped");
	/* A new one is zeros: its instance died before this. */
	if (found && table->magic && (table->magic != MAGIC || table->version != VERSION))
		rt_die("the table of volumes in memory has version %u, not %u", table->version,
		       VERSION);
	take_over_all();
	table->version = VERSION;
	table->magic = MAGIC;
}

int keep_ram(unsigned i, struct ops_error *e)
{
	const struct ram_volume *v = ram_volume(i);
	struct record *rec;
	int r;

	if (!table)
		return 0;
	r = hv_mem_keep(v->mem, KEEP_SLOT_RAM_0 + i);
	if (r)
		return ops_fail_hv(e, r, "keeping the volume");
	rec = &table->records[i];
	rec->created_s = v->created_s;
	rec->current = 0;
	memcpy(rec->now[0].name, v->name, sizeof(v->name));
	rec->now[0].bytes = v->bytes;
	__atomic_store_n(&rec->live, 1, __ATOMIC_RELEASE);
	return 0;
}

void keep_ram_changed(unsigned i)
{
	const struct ram_volume *v = ram_volume(i);
	struct record *rec;
	uint32_t other;

	if (!table)
		return;
	rec = &table->records[i];
	other = 1 - rec->current;
	memcpy(rec->now[other].name, v->name, sizeof(v->name));
	rec->now[other].bytes = v->bytes;
	__atomic_store_n(&rec->current, other, __ATOMIC_RELEASE);
}

void keep_ram_gone(unsigned i)
{
	if (!table)
		return;
	__atomic_store_n(&table->records[i].live, 0, __ATOMIC_RELEASE);
	(void)hv_mem_keep(0, KEEP_SLOT_RAM_0 + i);
}
