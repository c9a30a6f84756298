# SPDX-License-Identifier: BSD-2-Clause
# An image for the hypercall test: hv as it is, and tests/prog in the place of both programs.

HCTEST_OBJ := $(call obj,prog,$(RT_SRC) $(sort $(wildcard tests/prog/*.c)))

$(O)/hctest.elf: $(HCTEST_OBJ) linker/prog.ld
	$(link_prog)
$(O)/obj/hctest/images.S.o: hv/boot/images.S $(O)/hctest.elf
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(HV_CFLAGS) -DIMAGE_CTRL='"$(O)/hctest.elf"' -DIMAGE_VMM='"$(O)/hctest.elf"' -c $< -o $@
$(O)/hv-hctest.debug: $(filter-out %/images.S.o,$(HV_OBJ)) $(O)/obj/hctest/images.S.o linker/hv.ld
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -T linker/hv.ld -o $@ $(filter %.o,$^)
$(O)/hv-hctest.elf: $(O)/hv-hctest.debug
	$(call say,IMAGE,$@)
	$(Q)objcopy --strip-all -I elf64-x86-64 -O elf32-i386 $< $@

-include $(HCTEST_OBJ:.o=.d)
