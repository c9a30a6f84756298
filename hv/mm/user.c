/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies to and from the current program. The range is checked here, the faults are caught in user.S. */
#include "hv/mm/user.h"

#include "hv/abi/hv_abi.h"

_Static_assert(HVE_FAULT == 3, "user.S returns it by number");

int user_copy(void *to, const void *from, size_t len) MUST_CHECK; /* user.S */

static bool in_lower_half(uva_t start, size_t len)
{
	uint64_t end;

	return !ADD_OVERFLOW(start, len, &end) && end <= HV_VA_END;
}

int user_read(void *to, uva_t from, size_t len)
{
	return in_lower_half(from, len) ? user_copy(to, (const void *)from, len) : -HVE_FAULT;
}

int user_write(uva_t to, const void *from, size_t len)
{
	return in_lower_half(to, len) ? user_copy((void *)to, from, len) : -HVE_FAULT;
}
