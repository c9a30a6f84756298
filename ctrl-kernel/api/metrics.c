/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * GET /metrics: Prometheus text format 0.0.4.
 */
#include "ctrl-kernel/api/api.h"

#include <string.h>
#include "net/net.h"
#include "net/nic.h"
#include "ctrl-kernel/ops/disks.h"
#include "ctrl-kernel/ops/host.h"

#define NS_PER_S 1000000000ull

static void family(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void value(struct buf *b, const char *name, const char *label, const char *label_value,
		  uint64_t n)
{
	if (label)
		buf_printf(b, "%s{%s=\"%s\"} %llu\n", name, label, label_value,
			   (unsigned long long)n);
	else
		buf_printf(b, "%s %llu\n", name, (unsigned long long)n);
}

static void single(struct buf *b, const char *name, const char *type, const char *help, uint64_t n)
{
	family(b, name, type, help);
	value(b, name, NULL, NULL, n);
}

static void seconds(struct buf *b, uint64_t ns)
{
	buf_printf(b, "%llu.%09llu\n", (unsigned long long)(ns / NS_PER_S),
		   (unsigned long long)(ns % NS_PER_S));
}

/* ---- host ---- */

static void host_memory(struct buf *b, const struct hv_host_info *h)
{
	static const char name[] = "socle_host_memory_bytes";

	family(b, name, "gauge", "Memory of the host by use; total is all of it.");
	value(b, name, "use", "total", h->mem_total * HV_PAGE_SIZE);
	value(b, name, "use", "free", h->mem_free * HV_PAGE_SIZE);
	value(b, name, "use", "hypervisor", h->mem_hv * HV_PAGE_SIZE);
	value(b, name, "use", "control", h->mem_ctrl * HV_PAGE_SIZE);
	value(b, name, "use", "vms", h->mem_vms * HV_PAGE_SIZE);
	value(b, name, "use", "boot_modules", h->mem_modules * HV_PAGE_SIZE);
}

static void host_metrics(struct buf *b)
{
	struct hv_crash crash;
	struct hv_host_info h;

	host_info(&h);
	family(b, "socle_build_info", "gauge", "Always 1; the labels say what runs.");
	buf_printf(b, "socle_build_info{version=\"%s\",build_id=\"%s\"} 1\n", socle_version,
		   rt_info()->build_id);
	single(b, "socle_host_cpus", "gauge", "CPUs in use.", h.cpus);
	host_memory(b, &h);
	single(b, "socle_host_objects", "gauge", "Live objects of the hypervisor.", h.objects);
	single(b, "socle_host_heap_bytes", "gauge", "Heap in use in the control kernel.",
	       host_heap_used());
	family(b, "socle_host_uptime_seconds", "gauge", "Time since the hypervisor started.");
	buf_text(b, "socle_host_uptime_seconds ");
	seconds(b, h.uptime_ns);
	single(b, "socle_host_crashes_total", "counter",
	       "Deaths of the control kernel and of device programs by fault, exit or hang.",
	       host_crash(0, &crash) ? crash.number : 0);
	family(b, "socle_host_idle_seconds_total", "counter", "Idle time, sum over all CPUs.");
	buf_text(b, "socle_host_idle_seconds_total ");
	seconds(b, h.idle_ns);
}

/* ---- network and API ---- */

static void net_metrics(struct buf *b)
{
	static const struct {
		const char *name, *help;
		size_t offset;
	} rows[] = {
		{"socle_nic_receive_frames_total", "Frames received.",
		 offsetof(struct nic_stats, rx_frames)},
		{"socle_nic_receive_bytes_total", "Bytes received.",
		 offsetof(struct nic_stats, rx_bytes)},
		{"socle_nic_receive_drops_total", "Frames dropped for want of a buffer.",
		 offsetof(struct nic_stats, rx_dropped)},
		{"socle_nic_receive_overruns_total", "Times the NIC had no descriptor.",
		 offsetof(struct nic_stats, rx_overruns)},
		{"socle_nic_transmit_frames_total", "Frames sent.",
		 offsetof(struct nic_stats, tx_frames)},
		{"socle_nic_transmit_bytes_total", "Bytes sent.",
		 offsetof(struct nic_stats, tx_bytes)},
		{"socle_nic_transmit_drops_total", "Frames dropped because the ring was full.",
		 offsetof(struct nic_stats, tx_dropped)},
		{"socle_nic_link_changes_total", "Link changes.",
		 offsetof(struct nic_stats, link_changes)},
	};
	struct net_status s;

	net_status(&s);
	for (unsigned i = 0; s.nic && i < ARRAY_SIZE(rows); i++) {
		uint64_t n;

		memcpy(&n, (const char *)&s.nic->stats + rows[i].offset, sizeof(n));
		family(b, rows[i].name, "counter", rows[i].help);
		value(b, rows[i].name, "nic", s.nic->name, n);
	}
}

static void disk_metrics(struct buf *b)
{
	static const struct {
		const char *name, *type, *help;
		size_t offset; /* of a uint64_t in struct blkdev */
	} rows[] = {
		{"socle_disk_bytes", "gauge", "Size.", offsetof(struct blkdev, bytes)},
		{"socle_disk_reads_total", "counter", "Reads that succeeded.",
		 offsetof(struct blkdev, stats.reads)},
		{"socle_disk_read_bytes_total", "counter", "Bytes read.",
		 offsetof(struct blkdev, stats.read_bytes)},
		{"socle_disk_writes_total", "counter", "Writes that succeeded.",
		 offsetof(struct blkdev, stats.writes)},
		{"socle_disk_written_bytes_total", "counter", "Bytes written.",
		 offsetof(struct blkdev, stats.write_bytes)},
		{"socle_disk_flushes_total", "counter", "Flushes that succeeded.",
		 offsetof(struct blkdev, stats.flushes)},
		{"socle_disk_discards_total", "counter", "Discards that succeeded.",
		 offsetof(struct blkdev, stats.discards)},
		{"socle_disk_errors_total", "counter", "Requests that the drive failed.",
		 offsetof(struct blkdev, stats.errors)},
		{"socle_disk_timeouts_total", "counter", "Commands without an answer in time.",
		 offsetof(struct blkdev, stats.timeouts)},
		{"socle_disk_resets_total", "counter", "Resets of the drive's controller.",
		 offsetof(struct blkdev, stats.resets)},
		{"socle_disk_in_flight", "gauge", "Requests under way.",
		 offsetof(struct blkdev, stats.in_flight)},
	};

	for (unsigned i = 0; disk_first() && i < ARRAY_SIZE(rows); i++) {
		family(b, rows[i].name, rows[i].type, rows[i].help);
		for (const struct blkdev *d = disk_first(); d; d = d->next) {
			uint64_t n;

			memcpy(&n, (const char *)d + rows[i].offset, sizeof(n));
			value(b, rows[i].name, "disk", d->name, n);
		}
	}
}

static void api_metrics_own(struct buf *b)
{
	static const char *const classes[] = {"0xx", "1xx", "2xx", "3xx", "4xx", "5xx"};
	static const char name[] = "socle_http_requests_total";

	single(b, "socle_http_connections", "gauge", "Open connections.", api_counters.connections);
	single(b, "socle_http_connections_refused_total", "counter",
	       "Connections refused because there were too many.", api_counters.refused);
	family(b, name, "counter", "Requests answered, by class of status.");
	for (unsigned i = 2; i < ARRAY_SIZE(classes); i++)
		value(b, name, "class", classes[i], api_counters.requests[i]);
}

/* ---- VMs ---- */

enum unit { COUNT, PAGES, NANOSECONDS };

static const struct vm_metric {
	const char *name, *type, *help;
	size_t offset; /* of a uint64_t in struct vm_stats */
	enum unit unit;
} vm_metrics[] = {
	{"socle_vm_cpu_seconds_total", "counter", "CPU time of the VM's vCPUs.",
	 offsetof(struct vm_stats, info.cpu_ns), NANOSECONDS},
	{"socle_vm_vmm_cpu_seconds_total", "counter", "CPU time of the VM's device program.",
	 offsetof(struct vm_stats, vmm_cpu_ns), NANOSECONDS},
	{"socle_vm_ram_bytes", "gauge", "Guest memory in use.",
	 offsetof(struct vm_stats, info.ram_pages), PAGES},
	{"socle_vm_held_bytes", "gauge", "Host memory behind guest memory.",
	 offsetof(struct vm_stats, info.held_pages), PAGES},
	{"socle_vm_balloon_bytes", "gauge", "What the guest's balloon holds.",
	 offsetof(struct vm_stats, balloon.actual_pages), PAGES},
	{"socle_vm_overhead_bytes", "gauge", "Memory of the hypervisor for this VM.",
	 offsetof(struct vm_stats, info.overhead_pages), PAGES},
	{"socle_vm_vmm_bytes", "gauge", "Memory of the VM's device program.",
	 offsetof(struct vm_stats, vmm_pages), PAGES},
	{"socle_vm_parks_total", "counter", "Accesses that the device program answered.",
	 offsetof(struct vm_stats, info.parks), COUNT},
	{"socle_vm_doorbells_total", "counter", "Doorbells rung by the guest.",
	 offsetof(struct vm_stats, info.doorbells), COUNT},
	{"socle_vm_interrupts_total", "counter", "Interrupts injected.",
	 offsetof(struct vm_stats, info.irqs_injected), COUNT},
	{"socle_vm_console_input_dropped_bytes_total", "counter",
	 "Console input that the guest did not take.",
	 offsetof(struct vm_stats, info.console_dropped), COUNT},
};

static void vm_line(struct buf *b, const struct vm_metric *m, const struct vm *vm)
{
	uint64_t n;

	memcpy(&n, (const char *)&vm->stats + m->offset, sizeof(n));
	buf_printf(b, "%s{vm=\"%s\"} ", m->name, vm->spec.name);
	if (m->unit == NANOSECONDS) {
		seconds(b, n);
		return;
	}
	if (m->unit == PAGES)
		n = vm->stats.live ? n * HV_PAGE_SIZE : 0;
	buf_printf(b, "%llu\n", (unsigned long long)n);
}

static void vm_exits(struct buf *b)
{
	family(b, "socle_vm_exits_total", "counter", "Exits of the VM's vCPUs by kind.");
	for (const struct vm *vm = vm_first(); vm; vm = vm->next)
		for (unsigned i = 0; i < HV_EXIT_KINDS; i++)
			if (exit_names[i])
				buf_printf(b, "socle_vm_exits_total{vm=\"%s\",kind=\"%s\"} %llu\n",
					   vm->spec.name, exit_names[i],
					   (unsigned long long)vm->stats.info.exits[i]);
}

static void vm_states(struct buf *b)
{
	family(b, "socle_vms", "gauge", "VMs by state.");
	for (unsigned s = VM_DEFINED; s <= VM_CRASHED; s++)
		value(b, "socle_vms", "state", vm_state_name(s), vm_count(s));
	family(b, "socle_vm_info", "gauge", "Always 1; the labels say what the VM is.");
	for (const struct vm *vm = vm_first(); vm; vm = vm->next) {
		char uuid[37];

		vm_uuid_text(vm->uuid, uuid);
		buf_printf(b, "socle_vm_info{vm=\"%s\",uuid=\"%s\",state=\"%s\"} 1\n",
			   vm->spec.name, uuid, vm_state_name(vm->state));
	}
}

void api_metrics(struct api_call *call)
{
	struct buf b = {0};
	unsigned n_images;
	uint64_t image_bytes = image_bytes_total(&n_images);

	for (struct vm *vm = vm_first(); vm; vm = vm->next)
		vm_stats(vm);
	host_metrics(&b);
	single(&b, "socle_images", "gauge", "Images.", n_images);
	single(&b, "socle_image_bytes", "gauge", "Bytes in images.", image_bytes);
	api_pool_metrics(&b);
	api_network_metrics(&b);
	vm_states(&b);
	for (unsigned i = 0; i < ARRAY_SIZE(vm_metrics) && vm_first(); i++) {
		family(&b, vm_metrics[i].name, vm_metrics[i].type, vm_metrics[i].help);
		for (const struct vm *vm = vm_first(); vm; vm = vm->next)
			vm_line(&b, &vm_metrics[i], vm);
	}
	if (vm_first()) {
		vm_exits(&b);
		vmdisks_metrics(&b);
		vmmem_metrics(&b);
	}
	net_metrics(&b);
	disk_metrics(&b);
	api_metrics_own(&b);
	api_reply(call, 200, "text/plain; version=0.0.4; charset=utf-8", &b, "");
}
