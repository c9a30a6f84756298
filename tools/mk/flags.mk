# SPDX-License-Identifier: BSD-2-Clause
# Compiler flags of the three programs and of third-party code.

WARN := -Wall -Wextra -Wshadow -Wconversion -Wimplicit-fallthrough -Wmissing-prototypes \
	-Wstrict-prototypes -Wvla -Wundef -Werror
COMMON := -std=gnu11 -m64 -g -ffreestanding -fno-pic -fno-pie -mno-red-zone \
	-ftrivial-auto-var-init=zero -fcf-protection=none -ffunction-sections -fdata-sections \
	-fno-asynchronous-unwind-tables -fno-strict-aliasing -ffile-prefix-map=$(CURDIR)=. \
	-fstack-protector-strong -mstack-protector-guard=global -I.
# Across files: what is called on every exit and for every request is a few instructions in another file.
LTO := -flto=auto

# Indirect branches and returns go through hv/cpu/thunks.S; at boot most are turned back (hv/cpu/speculation_cpu.c).
THUNKS := -mindirect-branch=thunk-extern -mindirect-branch-register -mfunction-return=thunk-extern
HV_CFLAGS := $(COMMON) -O2 $(LTO) -mcmodel=kernel -mgeneral-regs-only $(THUNKS) $(WARN)

GCC_INCLUDE := $(shell $(CC) -print-file-name=include)
PROG_BASE := $(COMMON) -Os -mcmodel=small -nostdinc -isystem $(GCC_INCLUDE) -isystem $(NEWLIB)/include
# Without FPU registers: so the guest's may stay in them while a program runs (hv/prog/trap.c).
NO_FPU := -mgeneral-regs-only
PROG_CFLAGS := $(PROG_BASE) $(NO_FPU) $(LTO) $(WARN)
# Third-party code is built as it is: its warnings are not ours to mend.
THIRD_CFLAGS := $(PROG_BASE) -w
LIBGCC := $(shell $(CC) -print-libgcc-file-name)

LDFLAGS := -nostdlib -static -Wl,--gc-sections -Wl,--build-id=none -Wl,-z,noexecstack \
	-Wl,-z,max-page-size=4096 -Wl,--no-warn-rwx-segments -Wl,--fatal-warnings
