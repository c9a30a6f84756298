/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is what was found in the survivor pages what a vmm leaves there (state.h)? Each device knows its own registers; the
 * rest is here.
 */
#include "ctrl-kernel/vmm/boot.h"
#include "ctrl-kernel/vmm/vm.h"

#include <stddef.h>
#include <string.h>

_Static_assert(sizeof(struct vmm_state) == 24 + 12 + 4 + 144 + 8 + PCI_SLOTS * PCI_CONFIG_BYTES +
						   8 + sizeof(struct virtio_state) + 8 &&
		       sizeof(struct virtio_device_state) == 856 &&
		       sizeof(struct vmm_status) == 232,
	       "a new field needs a rule, another layout another version");

static const char *head_check(const struct vmm_state *s)
{
	if (s->magic != STATE_MAGIC)
		return "it is no device state";
	if (s->version != STATE_VERSION)
		return "it has another version than this program";
	if (s->boot != BOOT_NEEDED && s->boot != BOOT_READY && s->boot != BOOT_DONE)
		return "it does not say whether the guest was booted";
	if (s->reserved || s->balloon_actual > UINT32_MAX)
		return "a reserved word is set";
	if (s->command_done != state_command((uint32_t)s->command_done))
		return "it does not say which command was the last";
	return NULL;
}

const char *state_check(const struct vmm_state *s)
{
	static char virtio_why[VIRTIO_WHY_MAX];
	const char *why = head_check(s);
	bool booted;

	if (why)
		return why;
	booted = s->boot != BOOT_NEEDED;
	why = platform_check(&s->pm);
	if (!why)
		why = rtc_check(&s->rtc, booted);
	if (!why)
		why = hotplug_check(&s->hotplug);
	if (!why)
		why = pci_check(&s->pci, booted, hotplug_half(&s->hotplug));
	if (!why && !virtio_state_check(&s->virtio, virtio_why))
		why = virtio_why;
	return why;
}

const char *status_check(const struct vmm_status *status, const struct vmm_state *s, bool runs)
{
	if (status->version != STATE_VERSION || status->phase > VMM_OFF ||
	    status->boot_kind > BOOT_MULTIBOOT || !memchr(status->text, 0, sizeof(status->text)))
		return "the status makes no sense";
	if (status->phase == VMM_FAILED && (s->boot == BOOT_DONE || runs))
		return "the status says that the boot failed, but the guest was booted";
	return NULL;
}
