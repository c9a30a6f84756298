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

static void id_make(char id[OPS_NAME_MAX], const char *kind, unsigned place)
{
	if (!id[0])
		snprintf(id, OPS_NAME_MAX, "%s%u", kind, place);
}

static void complete(struct vm_spec *spec, const uint8_t uuid[16])
{
	for (unsigned i = 0; i < spec->n_disks; i++) {
		struct vm_disk *d = &spec->disks[i];

		id_make(d->id, "disk", i);
		if (d->image[0] || d->cdrom)
			d->read_only = true;
	}
	for (unsigned i = 0; i < spec->n_nics; i++) {
		id_make(spec->nics[i].id, "nic", i);
		if (!spec->nics[i].mac[0])
			mac_make(spec->nics[i].mac, uuid, i);
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

static int check_disk(const struct vm_spec *spec, unsigned i, struct ops_error *e)
{
	const struct vm_disk *d = &spec->disks[i];
	char at[64];

	if (ops_name_check(d->id, field_of(at, "disks", i, "id"), e) || check_source(d, i, e))
		return -1;
	if (!printable(d->serial))
		return ops_fail(e, OPS_INVALID, field_of(at, "disks", i, "serial"),
				"a serial number is of printable ASCII characters");
	for (unsigned j = 0; j < i; j++)
		if (strcmp(spec->disks[j].id, d->id) == 0)
			return ops_fail(e, OPS_INVALID, field_of(at, "disks", i, "id"),
					"two disks have the id \"%s\"", d->id);
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
	if (check_vlans(n, i, e))
		return -1;
	for (unsigned j = 0; j < i; j++)
		if (strcmp(spec->nics[j].id, n->id) == 0)
			return ops_fail(e, OPS_INVALID, field_of(at, "nics", i, "id"),
					"two NICs have the id \"%s\"", n->id);
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

static uint32_t disk_queues(const struct vm_spec *spec)
{
	return spec->vcpus < VMM_IO_QUEUES_MAX ? spec->vcpus : VMM_IO_QUEUES_MAX;
}

uint32_t devices_balloon_pages(const struct vm_spec *spec)
{
	uint64_t pages = spec->memory_target ? (spec->memory - spec->memory_target) / HV_PAGE_SIZE
					     : 0;

	return pages < UINT32_MAX ? (uint32_t)pages : UINT32_MAX;
}

uint64_t devices_io_pages(const struct vm_spec *spec)
{
	return IO_BALLOON_PAGES + (uint64_t)spec->n_disks * disk_queues(spec) * IO_DISK_PAGES +
	       (uint64_t)spec->n_nics * 2 * IO_NIC_PAGES;
}

static void layout_disk(const struct vm_spec *spec, unsigned i, struct vmm_disk *out,
			uint32_t *page)
{
	const struct vm_disk *d = &spec->disks[i];

	out->present = 1;
	out->flags = (out->flags & VMM_DISK_WRITE_CACHE) | (d->read_only ? VMM_DISK_READ_ONLY : 0) |
		     (d->cdrom ? VMM_DISK_CD : 0);
	out->queues = disk_queues(spec);
	out->area = *page;
	memset(out->serial, 0, sizeof(out->serial));
	memcpy(out->serial, d->serial, strlen(d->serial));
	*page += out->queues * (uint32_t)IO_DISK_PAGES;
}

void devices_layout(const struct vm_spec *spec, struct vmm_config *config)
{
	uint32_t page = IO_BALLOON_PAGES;

	for (unsigned i = 0; i < spec->n_disks; i++)
		layout_disk(spec, i, &config->disks[i], &page);
	for (unsigned i = 0; i < spec->n_nics; i++) {
		struct vmm_nic *nic = &config->nics[i];

		nic->present = 1;
		nic->pairs = 1;
		nic->area = page;
		nic->mtu = NIC_MTU;
		(void)devices_mac(spec->nics[i].mac, nic->mac); /* checked when it was defined */
		page += 2 * (uint32_t)IO_NIC_PAGES;
	}
	config->io_pages = page;
	config->balloon_pages = devices_balloon_pages(spec);
}
