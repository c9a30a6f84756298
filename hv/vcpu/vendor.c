/* SPDX-License-Identifier: BSD-2-Clause */
/* Picks the CPU's virtualization extension at boot. Without one everything works but starting VMs. */
#include "hv/vcpu/vcpu.h"
#include "hv/lib/log.h"

const struct vendor *vendor;
const struct vendor_apic *vendor_apic;
const char *vendor_reason = "hv has not looked yet";

void vendor_init(void)
{
	const struct vendor *found = cpu_features.intel ? &vendor_vmx : &vendor_svm;

	vendor_reason = found->probe();
	if (vendor_reason) {
		log_printf("virtualization: none: %s", vendor_reason);
		return;
	}
	vendor = found;
	if (vendor->apic_init)
		vendor_apic = vendor->apic_init();
	log_printf("virtualization: %s%s%s", vendor->name, vendor_apic ? ", APIC in the CPU" : "",
		   vendor_apic && vendor_apic->notified ? " with posted interrupts" : "");
}
