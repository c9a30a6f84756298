/* SPDX-License-Identifier: BSD-2-Clause */
/* Guest memory: translation, copies, and the map of it that loaders hand to guests. Pure. */
#include "ctrl-kernel/vmm/guest.h"
#include "ctrl-kernel/vmm/layout.h"

#include <string.h>

uint64_t guest_low_end(const struct guest *g)
{
	return g->bytes < HV_GPA_HOLE ? g->bytes : HV_GPA_HOLE;
}

void *guest_at(const struct guest *g, uint64_t gpa, uint64_t len)
{
	uint64_t low = guest_low_end(g);

	if (gpa <= low && len <= low - gpa)
		return g->ram + gpa;
	if (g->bytes <= low || gpa < HV_GPA_HOLE_END)
		return NULL;
	gpa -= HV_GPA_HOLE_END;
	if (gpa > g->bytes - low || len > g->bytes - low - gpa)
		return NULL;
	return g->ram + low + gpa;
}

bool guest_read(const struct guest *g, uint64_t gpa, void *to, size_t len)
{
	const void *from = guest_at(g, gpa, len);

	if (!from)
		return false;
	memcpy(to, from, len);
	return true;
}

bool guest_write(const struct guest *g, uint64_t gpa, const void *from, size_t len)
{
	void *to = guest_at(g, gpa, len);

	if (!to)
		return false;
	memcpy(to, from, len);
	return true;
}

unsigned guest_map(const struct guest *g, struct ram_range out[RAM_RANGES_MAX])
{
	uint64_t low = guest_low_end(g);
	unsigned n = 0;

	out[n++] = (struct ram_range){0, GPA_LOW_END, RAM_USABLE};
	out[n++] = (struct ram_range){GPA_TABLES, GPA_MAIN - GPA_TABLES, RAM_RESERVED};
	out[n++] = (struct ram_range){GPA_MAIN, low - GPA_MAIN, RAM_USABLE};
	out[n++] = (struct ram_range){HV_GPA_ECAM, ECAM_BYTES, RAM_RESERVED};
	if (g->bytes > low)
		out[n++] = (struct ram_range){HV_GPA_HOLE_END, g->bytes - low, RAM_USABLE};
	return n;
}
