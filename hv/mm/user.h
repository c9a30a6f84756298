/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies between hv and the current program. The range is checked to lie in the lower half, SMAP is opened only
 * around the copy, and a fault inside it comes back as -HVE_FAULT (user.S, fix-up table).
 */
#ifndef HV_MM_USER_H
#define HV_MM_USER_H

#include "hv/lib/types.h"

int user_read(void *to, uva_t from, size_t len) MUST_CHECK;
int user_write(uva_t to, const void *from, size_t len) MUST_CHECK;

#endif
