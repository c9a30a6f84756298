/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM's memory in figures: the host's, and what the guest says. */
#include "ctrl-kernel/api/api.h"

static const struct {
	const char *key;
	bool bytes; /* else a count */
} rows[IO_BALLOON_STATS] = {
	/* virtio 1.2, 5.5.6.4, by tag */
	{"swapped_in", true},      {"swapped_out", true}, {"major_faults", false},
	{"minor_faults", false},   {"free", true},        {"total", true},
	{"available", true},       {"caches", true},      {"hugetlb_taken", false},
	{"hugetlb_failed", false},
};

static uint64_t bytes_of(const struct vm_stats *s, uint64_t pages)
{
	return s->live ? pages * HV_PAGE_SIZE : 0;
}

void vmmem_write(struct out *o, const struct vm *vm, const struct vm_stats *s)
{
	const struct balloon_stats *b = &s->balloon;

	out_object(o, "memory");
	out_u64(o, "ram", bytes_of(s, s->info.ram_pages));
	out_u64(o, "held", bytes_of(s, s->info.held_pages));
	out_u64(o, "target", vm->spec.memory_target ? vm->spec.memory_target : vm->spec.memory);
	out_u64(o, "balloon", bytes_of(s, b->actual_pages));
	out_u64(o, "overhead", bytes_of(s, s->info.overhead_pages));
	out_u64(o, "vmm", bytes_of(s, s->vmm_pages));
	if (s->live && b->told) {
		out_object(o, "guest");
		for (unsigned i = 0; i < IO_BALLOON_STATS; i++)
			if (b->stats[i] != IO_BALLOON_UNKNOWN)
				out_u64(o, rows[i].key, b->stats[i]);
		out_close(o, '}');
	} else {
		out_null(o, "guest");
	}
	out_close(o, '}');
}

static void metric(struct buf *b, const char *name, const char *help, bool bytes)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
		   bytes ? "gauge" : "counter");
	for (struct vm *vm = vm_first(); vm; vm = vm->next) {
		const struct vm_stats *s = vm_stats(vm);

		for (unsigned i = 0; s->live && s->balloon.told && i < IO_BALLOON_STATS; i++)
			if (rows[i].bytes == bytes && s->balloon.stats[i] != IO_BALLOON_UNKNOWN)
				buf_printf(b, "%s{vm=\"%s\",what=\"%s\"} %llu\n", name,
					   vm->spec.name, rows[i].key,
					   (unsigned long long)s->balloon.stats[i]);
	}
}

void vmmem_metrics(struct buf *b)
{
	metric(b, "socle_vm_guest_memory_bytes", "What the guest says of its memory.", true);
	metric(b, "socle_vm_guest_memory_events_total", "What the guest has counted of its memory.",
	       false);
}
