/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control kernel. main() is its table of contents: what is done at start, in this order; then the loop runs for
 * ever. Guests from boot modules start before the network, and without it.
 */
#include <malloc.h>
#include <stdlib.h>
#include "drivers/disks.h"
#include "drivers/driver.h"
#include "net/net.h"
#include "net/nic.h"
#include "ctrl-kernel/api/api.h"
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/ops/autostart.h"
#include "ctrl-kernel/ops/control.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/jobs.h"
#include "ctrl-kernel/ops/keep.h"
#include "ctrl-kernel/ops/modules.h"
#include "ctrl-kernel/ops/networks.h"
#include "ctrl-kernel/ops/options.h"
#include "ctrl-kernel/ops/pools.h"
#include "ctrl-kernel/ops/recover.h"
#include "ctrl-kernel/ops/start.h"
#include "ctrl-kernel/rt/rt.h"

#define API_PORT 8080u
#define CONFIG_IMAGE "socle.json"
#define CONFIG_MAX 262144u
#define ADDRESS_WAIT_S 30u
#define NS_PER_S 1000000000ull
#define HEAP_STEP (512 << 10)
#define HEAP_KEEP (4 << 20)

int main(void);

static const struct nic_driver *const nic_drivers[] = {&nic_virtio, &nic_e1000e, &nic_e1000};
static const struct disk_driver *const disk_drivers[] = {&disk_virtio, &disk_nvme, &disk_ahci};

static struct options options;

/* The heap grows in big steps and shrinks late: its size does not follow every request up and down. */
static void init_heap(void)
{
	mallopt(M_TOP_PAD, HEAP_STEP);
	mallopt(M_TRIM_THRESHOLD, HEAP_KEEP);
}

static void init_options(void)
{
	options_parse(rt_info()->cmdline, &options);
	run_test_hooks = options.test_hooks;
	mirror_select(options.console_guests);
}

static void init_config(void)
{
	struct image *image = image_find(CONFIG_IMAGE);
	struct ops_error e;
	char *text;

	if (!image)
		return;
	if (image_read(image, CONFIG_MAX, &text, &e)) {
		host_note(CONFIG_IMAGE, 0, "%s", e.text);
		return;
	}
	config_apply(text, image->bytes);
	free(text);
}

/* ---- "management ready" ---- */

static struct loop_timer address_timer;

static void say_ready(const char *address, bool ipv6)
{
	rt_log("management ready: http://%s%s%s:%u/ (no login: mgmt.insecure=1)", ipv6 ? "[" : "",
	       address, ipv6 ? "]" : "", API_PORT);
	rt_log("ready after %llu ms", (unsigned long long)(rt_now() / 1000000));
}

/* With a static address at once, else when DHCP has one, however late. */
static void on_address(void)
{
	static bool said;
	struct net_status s;

	net_status(&s);
	if (said || !s.has_ipv4)
		return;
	said = true;
	loop_timer_cancel(&address_timer);
	say_ready(s.ipv4, false);
}

static void no_address(void *ctx)
{
	struct net_status s;

	(void)ctx;
	net_status(&s);
	if (s.nic && !s.nic->link)
		rt_log("no address yet: %s has no link; is the cable in?", s.nic->name);
	else
		rt_log("no address yet: no answer from a DHCP server; ip=A.B.C.D/NN,gw=... sets "
		       "one");
	if (s.n_ipv6)
		say_ready(s.ipv6[s.n_ipv6 - 1], true); /* the first is link-local */
}

static void init_api(struct nic *nics)
{
	const char *why;

	if (!options.insecure) {
		rt_log("management ready: no listener (give mgmt.insecure=1 for plain HTTP on port "
		       "%u without login)",
		       API_PORT);
		return;
	}
	if (!api_listen(API_PORT, &why)) {
		host_note("network", 0, "cannot listen on port %u: %s", API_PORT, why);
		return;
	}
	if (!nics) {
		host_note("network", 0,
			  "there is no network card with a driver: management cannot "
			  "be reached; VMs from socle.json run");
		return;
	}
	loop_timer_init(&address_timer, no_address, NULL);
	loop_timer_set(&address_timer, ADDRESS_WAIT_S * NS_PER_S);
	net_watch(on_address);
	on_address();
	control_serves();
}

int main(void)
{
	struct nic *nics;

	loop_long_turn();
	init_heap();
	rt_log("control kernel %s, build %s", socle_version, socle_build);
	init_options();
	vms_init();
	keep_init();
	jobs_init();
	networks_init();
	if (keep_found()) {
		recover();
	} else {
		modules_import();
		init_config();
		keep_ready();
	}
	autostart_begin();
	pci_scan();
	nics = nic_probe_all(nic_drivers, ARRAY_SIZE(nic_drivers));
	net_init(&options.net, nics);
	networks_nics(nics);
	disk_probe_all(disk_drivers, ARRAY_SIZE(disk_drivers));
	pools_init();
	api_lasting_init();
	init_api(nics);
	control_soak(options.test_hooks ? options.test_soak : 0, options.test_soak_ms);
	loop_run();
}
