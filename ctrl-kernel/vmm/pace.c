/* SPDX-License-Identifier: BSD-2-Clause */
/* See pace.h. */
#include "ctrl-kernel/vmm/pace.h"

uint32_t pace_next(struct pace *p, unsigned requests)
{
	if (!p->patient) {
		if (++p->turns < PACE_TRY)
			return 0;
		*p = (struct pace){.patient = true, .vain = PACE_VAIN - 1};
	} else if (requests > 1) {
		p->vain = 0;
	} else if (++p->vain >= PACE_VAIN) {
		*p = (struct pace){0};
		return 0;
	}
	return PACE_PATIENCE_NS;
}
