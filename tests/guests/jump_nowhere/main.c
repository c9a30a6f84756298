/* SPDX-License-Identifier: BSD-2-Clause */
/* A jump to an address where there is no memory fetches ones, which are no instruction: #UD, as on a machine. */
#include "guest.h"

enum { NOWHERE = 0xd0001000u };

static void jump(void *where)
{
	((void (*)(void))where)();
}

void guest_main(void)
{
	int vector = catch_trap(jump, (void *)(uint64_t)NOWHERE);

	check(vector == 6, "vector %d", vector);
	done();
}
