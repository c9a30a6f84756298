/* SPDX-License-Identifier: BSD-2-Clause */
/* A control kernel that starts and then does nothing: it waits for events for ever, and never says that it serves. */
#include "ctrl-kernel/rt/hvcall.h"

int main(void);

int main(void)
{
	for (;;)
		(void)hv_event_wait(UINT64_MAX);
}
