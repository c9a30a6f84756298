/* SPDX-License-Identifier: BSD-2-Clause */
/* The smallest guest: starts, speaks, and switches itself off. */
#include "guest.h"

void guest_main(void)
{
	print("hello from a guest, magic %x", boot_magic);
	done();
}
