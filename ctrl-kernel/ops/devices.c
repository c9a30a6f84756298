/* SPDX-License-Identifier: BSD-2-Clause */
/* See devices.h. */
#include "ctrl-kernel/ops/devices.h"
#include "ctrl-kernel/ops/sane.h"

#include <stdio.h>
#include <string.h>
#include "ctrl-kernel/rt/hex.h"
#include "ctrl-kernel/vmm/io_area.h"

#define VLAN_MAX 4094u /* IEEE 802.1Q 9.6 */
#define NIC_MTU 1500u
#define DISK_BURST_MS 1000u
#define NIC_BURST_MS 100u

/* ---- MAC addresses ---- */

bool devices_mac(const char *text, uint8_t mac[6])
{
	for (unsigned i = 0; i < 6; i++, text += 3) {
		int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);

		if (low < 0 || text[2] != (i < 5 ? ':' : '\0'))
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	return !(mac[0] & 1); /* IEEE 802 8.2: the bit of group addresses */
}

/* Locally administered (IEEE 802 8.4), the same for the same VM and place. */
static void mac_make(char out[18], const uint8_t uuid[16], unsigned place)
{
	snprintf(out, 18, "52:54:%02x:%02x:%02x:%02x", uuid[12], uuid[13], uuid[14],
		 (uuid[15] + place) & 0xff);
}

/* ---- completing ---- */

static bool disk_id_taken(const struct vm_spec *spec, const char *id)
{
	for (unsigned i = 0; i < spec->n_disks; i++)
		if (strcmp(spec->disks[i].id, id) == 0)
			return true;
	return false;
}

static bool nic_id_taken(const struct vm_spec *spec, const char *id)
{
	for (unsigned i = 0; i < spec->n_nics; i++)
		if (strcmp(spec->nics[i].id, id) == 0)
			return true;
	return false;
}

/* By its place; what is taken already is passed over. */
static void id_make(const struct vm_spec *spec, char id[OPS_NAME_MAX], const char *kind,
		    unsigned place, bool (*taken)(const struct vm_spec *spec, const char *id))
{
	char text[OPS_NAME_MAX];

	if (id[0])
		return;
	do
		snprintf(text, sizeof(text), "%s%u", kind, place++);
	while (taken(spec, text));
	memcpy(id, text, sizeof(text));
}

static uint32_t slot_bit(uint32_t slot)
{
	return slot < 32 ? 1u << slot : 0;
}

/* The lowest that is not in use; n_max of them, so there is one. */
static void slot_make(uint32_t *slot, uint32_t first, uint32_t *used)
{
	if (*slot)
		return;
	for (*slot = first; *used & slot_bit(*slot);)
		++*slot;
	*used |= slot_bit(*slot);
}

static void complete_slots(struct vm_spec *spec)
{
	uint32_t used = 0;

	for (unsigned i = 0; i < spec->n_disks; i++)
		used |= slot_bit(spec->disks[i].slot);
	for (unsigned i = 0; i < spec->n_nics; i++)
		used |= slot_bit(spec->nics[i].slot);
	for (unsigned i = 0; i < spec->n_disks; i++)
		slot_make(&spec->disks[i].slot, VMM_DISK_SLOT, &used);
	for (unsigned i = 0; i < spec->n_nics; i++)
		slot_make(&spec->nics[i].slot, VMM_NIC_SLOT, &used);
}

static void complete(struct vm_spec *spec, const uint8_t uuid[16])
{
	complete_slots(spec);
	for (unsigned i = 0; i < spec->n_disks; i++) {
		struct vm_disk *d = &spec->disks[i];

		id_make(spec, d->id, "disk", disk_place(d), disk_id_taken);
		if (d->image[0] || d->cdrom)
			d->read_only = true;
		if (d->burst_ms == 0)
			d->burst_ms = DISK_BURST_MS;
	}
	for (unsigned i = 0; i < spec->n_nics; i++) {
		struct vm_nic *n = &spec->nics[i];

		id_make(spec, n->id, "nic", nic_place(n), nic_id_taken);
		if (!n->mac[0])
			mac_make(n->mac, uuid, nic_place(n));
		if (n->burst_ms == 0)
			n->burst_ms = NIC_BURST_MS;
	}
}

/* ---- checking ---- */

static const char *field_of(char out[64], const char *list, unsigned i, const char *field)
{
	snprintf(out, 64, "%s.%u.%s", list, i, field);
	return out;
}

static bool printable(const char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			return false;
	return true;
}

static int check_source(const struct vm_disk *d, unsigned i, struct ops_error *e)
{
	char at[64];

	if (d->image[0] && (d->pool[0] || d->volume[0]))
		return ops_fail(e, OPS_INVALID, field_of(at, "disks", i, "image"),
				"a disk is a volume of a pool or an image, not both");
	if (!d->pool[0] != !d->volume[0])
		return ops_fail(e, OPS_INVALID,
				field_of(at, "disks", i, d->pool[0] ? "volume" : "pool"),
				"a volume is named by its pool and its name");
	if (!d->image[0] && !d->pool[0] && !d->cdrom)
		return ops_fail(e, OPS_INVALID, field_of(at, "disks", i, "volume"),
				"the disk has nothing behind it: give pool and volume, or image");
	if (d->image[0] && ops_name_check(d->image, field_of(at, "disks", i, "image"), e))
		return -1;
	return 0;
}

static int check_burst(uint32_t ms, const char *list, unsigned i, struct ops_error *e)
{
	char at[64];

	if (ms <= VM_BURST_MAX_MS)
		return 0;
	return ops_fail(e, OPS_INVALID, field_of(at, list, i, "limits.burst_ms"),
			"a burst is at most %u ms", VM_BURST_MAX_MS);
}

static int check_disk(const struct vm_spec *spec, unsigned i, struct ops_error *e)
{
	const struct vm_disk *d = &spec->disks[i];
	char at[64];

	if (ops_name_check(d->id, field_of(at, "disks", i, "id"), e) || check_source(d, i, e) ||
	    check_burst(d->burst_ms, "disks", i, e))
		return -1;
	if (!printable(d->serial))
		return ops_fail(e, OPS_INVALID, field_of(at, "disks", i, "serial"),
				"a serial number is of printable ASCII characters");
	if (d->slot < VMM_DISK_SLOT || d->slot >= VMM_DISK_SLOT + VMM_DISKS_MAX)
		return ops_fail(e, OPS_INVALID, field_of(at, "disks", i, "slot"),
				"a disk's slot is %u to %u", VMM_DISK_SLOT,
				VMM_DISK_SLOT + VMM_DISKS_MAX - 1);
	for (unsigned j = 0; j < i; j++) {
		if (strcmp(spec->disks[j].id, d->id) == 0)
			return ops_fail(e, OPS_INVALID, field_of(at, "disks", i, "id"),
					"two disks have the id \"%s\"", d->id);
		if (spec->disks[j].slot == d->slot)
			return ops_fail(e, OPS_INVALID, field_of(at, "disks", i, "slot"),
					"two disks have the slot %u", d->slot);
	}
	return 0;
}

static int check_address(const struct vm_nic *n, unsigned i, unsigned j, struct ops_error *e)
{
	struct ipaddr a, b;
	char at[64];

	snprintf(at, sizeof(at), "nics.%u.addresses.%u", i, j);
	if (strcmp(n->addresses[j], NIC_ADDRESS_DHCP) == 0)
		return 0;
	if (!ipaddr_parse(n->addresses[j], &a) || !ipaddr_is_station(&a))
		return ops_fail(
			e, OPS_INVALID, at,
			"\"%s\" is neither an IPv4 or IPv6 address that a NIC can have, nor "
			"\"" NIC_ADDRESS_DHCP "\"",
			n->addresses[j]);
	for (unsigned k = 0; k < j; k++)
		if (ipaddr_parse(n->addresses[k], &b) && ipaddr_same(&a, &b))
			return ops_fail(e, OPS_INVALID, at, "the address is given twice");
	return 0;
}

static int check_addresses(const struct vm_nic *n, unsigned i, struct ops_error *e)
{
	char at[64];

	if (n->n_addresses && !n->anti_spoof)
		return ops_fail(e, OPS_INVALID, field_of(at, "nics", i, "addresses"),
				"addresses are what anti_spoof holds a NIC to: give both");
	for (unsigned j = 0; j < n->n_addresses; j++)
		if (check_address(n, i, j, e))
			return -1;
	return 0;
}

static int check_vlans(const struct vm_nic *n, unsigned i, struct ops_error *e)
{
	char at[64];

	if (n->vlan > VLAN_MAX)
		return ops_fail(e, OPS_INVALID, field_of(at, "nics", i, "vlan"),
				"a VLAN is 1 to %u, or 0 for none", VLAN_MAX);
	for (unsigned j = 0; j < n->n_trunk; j++) {
		snprintf(at, sizeof(at), "nics.%u.trunk.%u", i, j);
		if (n->trunk[j] == 0 || n->trunk[j] > VLAN_MAX)
			return ops_fail(e, OPS_INVALID, at, "a VLAN with a tag is 1 to %u",
					VLAN_MAX);
		for (unsigned k = 0; k < j; k++)
			if (n->trunk[k] == n->trunk[j])
				return ops_fail(e, OPS_INVALID, at, "VLAN %u is given twice",
						n->trunk[j]);
	}
	if (n->tagged_only && n->n_trunk == 0)
		return ops_fail(e, OPS_INVALID, field_of(at, "nics", i, "tagged_only"),
				"without a trunk there are no frames with a tag");
	return 0;
}

static int check_nic(const struct vm_spec *spec, unsigned i, struct ops_error *e)
{
	const struct vm_nic *n = &spec->nics[i];
	uint8_t mac[6];
	char at[64];

	if (ops_name_check(n->id, field_of(at, "nics", i, "id"), e) ||
	    ops_name_check(n->network, field_of(at, "nics", i, "network"), e))
		return -1;
	if (!devices_mac(n->mac, mac))
		return ops_fail(e, OPS_INVALID, field_of(at, "nics", i, "mac"),
				"a MAC address is like 52:54:00:12:34:56, and no group's");
	if (check_vlans(n, i, e) || check_burst(n->burst_ms, "nics", i, e))
		return -1;
	if (n->slot < VMM_NIC_SLOT || n->slot >= VMM_NIC_SLOT + VMM_NICS_MAX)
		return ops_fail(e, OPS_INVALID, field_of(at, "nics", i, "slot"),
				"a NIC's slot is %u to %u", VMM_NIC_SLOT,
				VMM_NIC_SLOT + VMM_NICS_MAX - 1);
	for (unsigned j = 0; j < i; j++) {
		if (strcmp(spec->nics[j].id, n->id) == 0)
			return ops_fail(e, OPS_INVALID, field_of(at, "nics", i, "id"),
					"two NICs have the id \"%s\"", n->id);
		if (spec->nics[j].slot == n->slot)
			return ops_fail(e, OPS_INVALID, field_of(at, "nics", i, "slot"),
					"two NICs have the slot %u", n->slot);
	}
	return check_addresses(n, i, e);
}

static int check(const struct vm_spec *spec, struct ops_error *e)
{
	for (unsigned i = 0; i < spec->n_disks; i++)
		if (check_disk(spec, i, e))
			return -1;
	for (unsigned i = 0; i < spec->n_nics; i++)
		if (check_nic(spec, i, e))
			return -1;
	return 0;
}

int devices_complete(struct vm_spec *spec, const uint8_t uuid[16], struct ops_error *e)
{
	complete(spec, uuid);
	return check(spec, e);
}

/* ---- sanity of a record that lay in memory ---- */

bool devices_sane(const struct vm_spec *spec)
{
	struct ops_error e;

	if (spec->n_disks > VMM_DISKS_MAX || spec->n_nics > VMM_NICS_MAX)
		return false;
	for (unsigned i = 0; i < spec->n_disks; i++) {
		const struct vm_disk *d = &spec->disks[i];

		if (!text_ends(d->id, sizeof(d->id)) || !text_ends(d->pool, sizeof(d->pool)) ||
		    !text_ends(d->volume, sizeof(d->volume)) ||
		    !text_ends(d->image, sizeof(d->image)) ||
		    !text_ends(d->serial, sizeof(d->serial)) || !is_bool(&d->read_only) ||
		    !is_bool(&d->cdrom))
			return false;
	}
	for (unsigned i = 0; i < spec->n_nics; i++) {
		const struct vm_nic *n = &spec->nics[i];

		if (n->n_addresses > NIC_ADDRESSES_MAX || n->n_trunk > NIC_TRUNK_MAX ||
		    !is_bool(&n->tagged_only))
			return false;
		for (unsigned j = 0; j < n->n_addresses; j++)
			if (!text_ends(n->addresses[j], sizeof(n->addresses[j])))
				return false;
		if (!text_ends(n->id, sizeof(n->id)) ||
		    !text_ends(n->network, sizeof(n->network)) ||
		    !text_ends(n->mac, sizeof(n->mac)) || !is_bool(&n->isolated) ||
		    !is_bool(&n->anti_spoof))
			return false;
	}
	return check(spec, &e) == 0;
}

/* ---- layout ---- */

/* Of a disk; pairs of a NIC. */
static uint32_t queues(const struct vm_spec *spec)
{
	return spec->vcpus < VMM_IO_QUEUES_MAX ? spec->vcpus : VMM_IO_QUEUES_MAX;
}

uint32_t devices_balloon_pages(const struct vm_spec *spec)
{
	uint64_t pages = spec->memory_target ? (spec->memory - spec->memory_target) / HV_PAGE_SIZE
					     : 0;

	return pages < UINT32_MAX ? (uint32_t)pages : UINT32_MAX;
}

uint32_t devices_disk_pages(const struct vm_spec *spec)
{
	return queues(spec) * (uint32_t)IO_DISK_PAGES;
}

static uint32_t pair_pages(uint32_t pairs)
{
	return pairs * 2 * (uint32_t)IO_NIC_PAGES; /* receive, transmit */
}

uint32_t devices_nic_pages(const struct vm_spec *spec)
{
	return pair_pages(queues(spec));
}

uint64_t devices_io_pages(const struct vm_spec *spec)
{
	return IO_BALLOON_PAGES + (uint64_t)spec->n_disks * devices_disk_pages(spec) +
	       (uint64_t)spec->n_nics * devices_nic_pages(spec);
}

static void take_pages(struct vmm_config *config, uint32_t *area, uint32_t pages)
{
	*area = config->io_pages;
	config->io_pages += pages;
}

void devices_layout_disk(const struct vm_spec *spec, const struct vm_disk *d,
			 struct vmm_config *config)
{
	struct vmm_disk *out = &config->disks[disk_place(d)];

	if (!out->queues) {
		out->queues = queues(spec);
		take_pages(config, &out->area, devices_disk_pages(spec));
	}
	out->flags = (d->read_only ? VMM_DISK_READ_ONLY : 0) | (d->cdrom ? VMM_DISK_CD : 0);
	memset(out->serial, 0, sizeof(out->serial));
	memcpy(out->serial, d->serial, strlen(d->serial));
}

void devices_layout_nic(const struct vm_spec *spec, const struct vm_nic *n,
			struct vmm_config *config)
{
	struct vmm_nic *out = &config->nics[nic_place(n)];

	if (!out->pairs) {
		out->pairs = queues(spec);
		take_pages(config, &out->area, devices_nic_pages(spec));
	}
	out->mtu = NIC_MTU;
	out->link = 1;
	(void)devices_mac(n->mac, out->mac); /* checked when it was defined */
}

void devices_layout(const struct vm_spec *spec, struct vmm_config *config)
{
	config->slots_seq = 1;
	config->balloon_pages = devices_balloon_pages(spec);
	config->io_pages = IO_BALLOON_PAGES;
	for (unsigned i = 0; i < spec->n_disks; i++) {
		devices_layout_disk(spec, &spec->disks[i], config);
		config->disks[disk_place(&spec->disks[i])].present = 1;
	}
	for (unsigned i = 0; i < spec->n_nics; i++) {
		devices_layout_nic(spec, &spec->nics[i], config);
		config->nics[nic_place(&spec->nics[i])].present = 1;
	}
}

static bool inside(const struct vmm_config *config, uint32_t page, uint32_t pages)
{
	return pages && page <= config->io_pages && pages <= config->io_pages - page;
}

bool devices_disk_area(const struct vmm_config *config, unsigned place, uint32_t *page,
		       uint32_t *pages)
{
	const struct vmm_disk *d = &config->disks[place];

	if (d->queues > VMM_IO_QUEUES_MAX)
		return false;
	*page = d->area;
	*pages = d->queues * (uint32_t)IO_DISK_PAGES;
	return inside(config, *page, *pages);
}

bool devices_nic_area(const struct vmm_config *config, unsigned place, uint32_t *page,
		      uint32_t *pages)
{
	const struct vmm_nic *n = &config->nics[place];

	if (n->pairs > VMM_IO_QUEUES_MAX)
		return false;
	*page = n->area;
	*pages = pair_pages(n->pairs);
	return inside(config, *page, *pages);
}

bool devices_placed(const struct vm_spec *spec, const struct vmm_config *config)
{
	uint32_t page, pages;

	for (unsigned i = 0; i < spec->n_disks; i++)
		if (!devices_disk_area(config, disk_place(&spec->disks[i]), &page, &pages))
			return false;
	for (unsigned i = 0; i < spec->n_nics; i++)
		if (!devices_nic_area(config, nic_place(&spec->nics[i]), &page, &pages))
			return false;
	return true;
}
