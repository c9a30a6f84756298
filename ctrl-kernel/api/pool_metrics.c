/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Figures of pools and volumes for GET /metrics. At most METRICS_VOLUMES_MAX volumes have some: more would make the answer
 * as long as the list.
 */
#include <stddef.h>
#include <string.h>
#include "ctrl-kernel/api/api.h"
#include "ctrl-kernel/ops/pools.h"

#define METRICS_VOLUMES_MAX 256u

struct metric {
	const char *name, *type, *help;
	size_t offset; /* of a uint64_t */
};

static const struct metric pool_metrics[] = {
	{"socle_pool_bytes", "gauge", "Size of the pool.", offsetof(struct pool_info, bytes)},
	{"socle_pool_free_bytes", "gauge", "What is free of it.", offsetof(struct pool_info, free)},
};

static const struct metric volume_metrics[] = {
	{"socle_volume_bytes", "gauge", "Size of the volume.", offsetof(struct volume_info, bytes)},
	{"socle_volume_reads_total", "counter", "Reads.",
	 offsetof(struct volume_info, stats.reads)},
	{"socle_volume_read_bytes_total", "counter", "Bytes read.",
	 offsetof(struct volume_info, stats.read_bytes)},
	{"socle_volume_writes_total", "counter", "Writes.",
	 offsetof(struct volume_info, stats.writes)},
	{"socle_volume_written_bytes_total", "counter", "Bytes written.",
	 offsetof(struct volume_info, stats.write_bytes)},
	{"socle_volume_flushes_total", "counter", "Flushes.",
	 offsetof(struct volume_info, stats.flushes)},
	{"socle_volume_errors_total", "counter", "Requests that failed.",
	 offsetof(struct volume_info, stats.errors)},
};

static unsigned long long value_at(const void *info, size_t offset)
{
	uint64_t n;

	memcpy(&n, (const char *)info + offset, sizeof(n));
	return n;
}

static void pool_family(struct buf *b, const struct metric *m)
{
	struct pool_info p;

	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
	for (unsigned n = 0; pool_nth(n, &p); n++)
		buf_printf(b, "%s{pool=\"%s\"} %llu\n", m->name, p.name, value_at(&p, m->offset));
}

static void volume_family(struct buf *b, const struct metric *m)
{
	unsigned left = METRICS_VOLUMES_MAX;
	struct volume_info v;
	struct pool_info p;

	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
	for (unsigned n = 0; left && pool_nth(n, &p); n++) {
		unsigned cursor = 0;

		for (; left && pool_volume_next(p.name, &cursor, &v); left--)
			buf_printf(b, "%s{pool=\"%s\",volume=\"%s\"} %llu\n", m->name, p.name,
				   v.name, value_at(&v, m->offset));
	}
}

void api_pool_metrics(struct buf *b)
{
	struct volume_info v;
	struct pool_info p;
	bool any = false;

	for (unsigned i = 0; i < ARRAY_SIZE(pool_metrics); i++)
		pool_family(b, &pool_metrics[i]);
	for (unsigned n = 0; !any && pool_nth(n, &p); n++) {
		unsigned cursor = 0;

		any = pool_volume_next(p.name, &cursor, &v);
	}
	for (unsigned i = 0; any && i < ARRAY_SIZE(volume_metrics); i++)
		volume_family(b, &volume_metrics[i]);
}
