# SPDX-License-Identifier: BSD-2-Clause
# Test guests: tests/guests/NAME/main.c + lib -> build/guests/NAME (ELF, multiboot 1 and PVH).

GUESTS := $(filter-out lib,$(notdir $(patsubst %/main.c,%,$(wildcard tests/guests/*/main.c))))
GUEST_CFLAGS := -std=gnu11 -m64 -O2 -g -ffreestanding -fno-pic -fno-pie -mno-red-zone -mgeneral-regs-only -mcmodel=small \
	-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables -Wall -Wextra -Werror -Itests/guests/lib

$(O)/guests/%.elf64: tests/guests/%/main.c tests/guests/lib/guest.c tests/guests/lib/start.S $(wildcard tests/guests/lib/*.h) tests/guests/lib/guest.ld
	$(call say,GUEST,$*)
	$(Q)mkdir -p $(@D) && printf 'const char guest_name[] = "%s";\n' $* >$@.c && \
		$(CC) $(GUEST_CFLAGS) -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments \
		-Wl,-z,max-page-size=4096 -T tests/guests/lib/guest.ld -o $@ tests/guests/lib/start.S tests/guests/lib/guest.c $@.c $<
$(O)/guests/%: $(O)/guests/%.elf64
	$(Q)objcopy --strip-debug -O elf32-i386 $< $@

.PHONY: guests
guests: $(addprefix $(O)/guests/,$(GUESTS))
.SECONDARY:
