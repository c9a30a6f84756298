/* SPDX-License-Identifier: BSD-2-Clause */
/* What this image calls itself. The build gives both words (the same for the same commit). */
#include "hv/boot/boot.h"

#ifndef HV_VERSION
#define HV_VERSION "0.1"
#endif
#ifndef HV_BUILD_ID
#define HV_BUILD_ID "unknown"
#endif

const char hv_version[] = HV_VERSION;
const char hv_build_id[] = HV_BUILD_ID;
