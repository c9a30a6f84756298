/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * /healthz, /v1, /v1/host.
 */
#include "ctrl-kernel/api/api.h"

#include <stdio.h>
#include <string.h>
#include "net/net.h"
#include "net/nic.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/upgrade.h"

void api_health(struct api_call *call)
{
	struct buf b = {0};

	buf_text(&b, "ok\n");
	api_reply(call, 200, "text/plain", &b, "");
}

void api_root(struct api_call *call)
{
	static const char *const features[] = {"images", "vms",     "pools",       "console",
					       "stats",  "metrics", "boot_modules"};
	static const char *const links[] = {"/v1/host",  "/v1/images", "/v1/vms", "/v1/pools",
					    "/v1/disks", "/healthz",   "/metrics"};
	static const char *const names[] = {"host",  "images", "vms",    "pools",
					    "disks", "health", "metrics"};
	struct buf b = {0};
	struct out o = {.b = &b};

	out_object(&o, NULL);
	out_str(&o, "name", "socle");
	out_str(&o, "api", "v1");
	out_str(&o, "version", socle_version);
	out_str(&o, "build_id", rt_info()->build_id);
	out_array(&o, "features");
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
		out_str(&o, NULL, features[i]);
	out_close(&o, ']');
	out_object(&o, "links");
	for (unsigned i = 0; i < ARRAY_SIZE(links); i++)
		out_str(&o, names[i], links[i]);
	out_close(&o, '}');
	out_close(&o, '}');
	api_reply_json(call, 200, &b, "");
}

static void write_memory(struct out *o, const struct hv_host_info *h)
{
	out_object(o, "memory");
	out_u64(o, "total", h->mem_total * HV_PAGE_SIZE);
	out_u64(o, "free", h->mem_free * HV_PAGE_SIZE);
	out_object(o, "used");
	out_u64(o, "hypervisor", h->mem_hv * HV_PAGE_SIZE);
	out_u64(o, "control", h->mem_ctrl * HV_PAGE_SIZE);
	out_u64(o, "vms", h->mem_vms * HV_PAGE_SIZE);
	out_u64(o, "boot_modules", h->mem_modules * HV_PAGE_SIZE);
	out_close(o, '}');
	out_close(o, '}');
}

static void write_virtualization(struct out *o, const struct hv_host_info *h)
{
	static const char *const kinds[] = {"none", "svm", "vmx"};

	out_object(o, "virtualization");
	out_str(o, "kind", h->virt < ARRAY_SIZE(kinds) ? kinds[h->virt] : "none");
	if (h->virt == HV_VIRT_NONE)
		out_str(o, "reason", h->virt_reason);
	else
		out_null(o, "reason");
	out_close(o, '}');
}

/* hv's names, with a blank between them, as a list. */
static void write_names(struct out *o, const char *field, const char *names)
{
	char name[HV_SPEC_TEXT];

	out_array(o, field);
	for (const char *at = names; *at;) {
		size_t n = strcspn(at, " ");

		snprintf(name, sizeof(name), "%.*s", (int)n, at);
		out_str(o, NULL, name);
		at += n + (at[n] == ' ');
	}
	out_close(o, ']');
}

static void write_speculation(struct out *o, const struct hv_host_info *h)
{
	out_object(o, "speculation");
	write_names(o, "vulnerable", h->spec_issues);
	write_names(o, "open", h->spec_open);
	write_names(o, "defences", h->spec_defences);
	write_names(o, "off", h->spec_off);
	out_close(o, '}');
}

static void write_nic(struct out *o, const struct nic *nic)
{
	char mac[18];

	if (!nic) {
		out_null(o, "nic");
		return;
	}
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", nic->mac[0], nic->mac[1],
		 nic->mac[2], nic->mac[3], nic->mac[4], nic->mac[5]);
	out_object(o, "nic");
	out_str(o, "name", nic->name);
	out_str(o, "mac", mac);
	out_bool(o, "link", nic->link);
	out_str(o, "interrupt", nic->irq_kind ? nic->irq_kind : "none");
	out_u64(o, "rx_frames", nic->stats.rx_frames);
	out_u64(o, "rx_bytes", nic->stats.rx_bytes);
	out_u64(o, "rx_dropped", nic->stats.rx_dropped);
	out_u64(o, "rx_overruns", nic->stats.rx_overruns);
	out_u64(o, "tx_frames", nic->stats.tx_frames);
	out_u64(o, "tx_bytes", nic->stats.tx_bytes);
	out_u64(o, "tx_dropped", nic->stats.tx_dropped);
	out_u64(o, "link_changes", nic->stats.link_changes);
	out_close(o, '}');
}

static void write_network(struct out *o)
{
	struct net_status s;
	char text[24];

	net_status(&s);
	out_object(o, "network");
	write_nic(o, s.nic);
	out_bool(o, "dhcp", s.dhcp);
	snprintf(text, sizeof(text), "%s/%u", s.ipv4, s.prefix);
	if (s.has_ipv4)
		out_str(o, "ipv4", text);
	else
		out_null(o, "ipv4");
	if (s.gateway[0])
		out_str(o, "gateway", s.gateway);
	else
		out_null(o, "gateway");
	out_array(o, "ipv6");
	for (unsigned i = 0; i < s.n_ipv6 && i < NET_ADDR6_MAX; i++)
		out_str(o, NULL, s.ipv6[i]);
	out_close(o, ']');
	out_u64(o, "vlan", s.vlan);
	out_close(o, '}');
}

static void write_notes(struct out *o)
{
	unsigned n;
	const struct host_note *notes = host_notes(&n);

	out_array(o, "configuration_errors");
	for (unsigned i = 0; i < n; i++) {
		out_object(o, NULL);
		out_str(o, "source", notes[i].source);
		if (notes[i].line)
			out_u64(o, "line", notes[i].line);
		else
			out_null(o, "line");
		out_str(o, "detail", notes[i].text);
		out_close(o, '}');
	}
	out_close(o, ']');
}

static void write_control(struct out *o)
{
	const char *outcome = upgrade_outcome();

	out_object(o, "control");
	out_u64(o, "instance", rt_info()->instance);
	out_str(o, "build", socle_build);
	out_bool(o, "upgraded", rt_info()->build != 0);
	if (outcome)
		out_str(o, "last_upgrade", outcome);
	else
		out_null(o, "last_upgrade");
	out_close(o, '}');
}

void api_host(struct api_call *call)
{
	uint64_t heap = host_heap_used(); /* before this reply takes some */
	struct hv_host_info h;
	struct buf b = {0};
	struct out o = {.b = &b};

	host_info(&h);
	out_object(&o, NULL);
	out_str(&o, "version", socle_version);
	out_str(&o, "build_id", rt_info()->build_id);
	out_u64(&o, "uptime_ms", h.uptime_ns / 1000000);
	out_time(&o, "time", host_utc_ns(rt_now()));
	out_u64(&o, "cpus", h.cpus);
	out_str(&o, "cpu_model", h.cpu_model);
	out_u64(&o, "tsc_khz", h.tsc_khz);
	out_u64(&o, "cpu_idle_ms", h.idle_ns / 1000000);
	out_u64(&o, "objects", h.objects);
	out_u64(&o, "heap", heap);
	write_memory(&o, &h);
	write_control(&o);
	write_virtualization(&o, &h);
	write_speculation(&o, &h);
	write_network(&o);
	api_lasting_write(&o);
	write_notes(&o);
	out_close(&o, '}');
	api_reply_json(call, 200, &b, "");
}
