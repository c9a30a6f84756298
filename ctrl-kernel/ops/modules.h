/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Boot modules become images.
 */
#ifndef OPS_MODULES_H
#define OPS_MODULES_H

#include "ctrl-kernel/ops/ops.h"

/* All modules of the information page. Those that cannot be images are noted and given back to hv. */
void modules_import(void);
/* The name a module's string gives it: name=... in it, else the last path component of its first word. */
bool module_name(const char *string, char out[OPS_NAME_MAX]);
#endif
