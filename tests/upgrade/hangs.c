/* SPDX-License-Identifier: BSD-2-Clause */
/* A control kernel that takes over, and then computes for ever. */
#include "ctrl-kernel/ops/keep.h"
#include "ctrl-kernel/ops/recover.h"

int main(void);

int main(void)
{
	vms_init();
	keep_init();
	if (keep_found())
		recover();
	for (;;)
		__asm__ volatile("");
}
