/* SPDX-License-Identifier: BSD-2-Clause */
/* Picks the CPU's virtualization extension at boot. Without one everything works but starting VMs. */
#include "hv/vcpu/vcpu.h"
#include "hv/lib/log.h"

const struct vendor *vendor;
const char *vendor_reason = "hv has not looked yet";

void vendor_init(void)
{
	vendor_reason = cpu_features.amd
				? vendor_svm.probe()
				: "this version supports AMD-V (SVM) only; this CPU is no AMD CPU";
	if (vendor_reason) {
		log_printf("virtualization: none: %s", vendor_reason);
		return;
	}
	vendor = &vendor_svm;
	log_printf("virtualization: %s", vendor->name);
}
