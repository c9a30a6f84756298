# SPDX-License-Identifier: BSD-2-Clause
# The image: ctrl and vmm programs, linked into hv, one ELF file that multiboot 1 and 2 loaders take; then the ISO
# and the network-boot folder.

HV_SRC := $(sort $(wildcard hv/*/*.c hv/*/*.S))
RT_SRC := $(sort $(wildcard ctrl-kernel/rt/*.[cS] ctrl-kernel/loop/*.c))
VMM_SRC := $(RT_SRC) $(sort $(wildcard ctrl-kernel/vmm/*.[cS] ctrl-kernel/vmm/virtio/*.c))
CTRL_SRC := $(RT_SRC) $(sort $(wildcard ctrl-kernel/*.c ctrl-kernel/ops/*.[cS] ctrl-kernel/api/*.c ctrl-kernel/blk/*.c ctrl-kernel/blk/*/*.c ctrl-kernel/backend/*.c ctrl-kernel/storage/*.c drivers/*.c net/*.c))

DEPS_SRC := $(SRC)
include net/lwip.mk ctrl-kernel/thirdparty.mk
CTRL_THIRD := $(addprefix $(SRC)/lwip/src/,$(LWIP_SRC)) $(CTRL_THIRD_SRCS)
CTRL_INC := -Inet -isystem $(SRC)/lwip/src/include $(CTRL_THIRD_CPPFLAGS)

obj = $(addprefix $(O)/obj/$(1)/,$(addsuffix .o,$(2)))
HV_OBJ := $(call obj,hv,$(HV_SRC))
VMM_OBJ := $(call obj,prog,$(VMM_SRC))
CTRL_OBJ := $(call obj,prog,$(CTRL_SRC)) $(call obj,third,$(CTRL_THIRD))

$(O)/obj/hv/%.c.o: %.c tools/mk/flags.mk
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(HV_CFLAGS) -MMD -MP -c $< -o $@
$(O)/obj/hv/%.S.o: %.S tools/mk/flags.mk
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(HV_CFLAGS) -MMD -MP -DIMAGE_CTRL='"$(O)/ctrl.elf"' -DIMAGE_VMM='"$(O)/vmm.elf"' -c $< -o $@
$(O)/obj/prog/%.c.o: %.c tools/mk/flags.mk $(NEWLIB)/lib/libc.a
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(PROG_CFLAGS) $(if $(filter ctrl-kernel/vmm/% ctrl-kernel/rt/% ctrl-kernel/loop/%,$<),,$(CTRL_INC)) -MD -MP -c $< -o $@
$(O)/obj/prog/%.S.o: %.S tools/mk/flags.mk $(NEWLIB)/lib/libc.a
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(PROG_CFLAGS) -DDSDT_AML='"$(O)/dsdt.aml"' -DUPGRADE_KEY='"$(O)/upgrade.pub"' -MMD -MP -c $< -o $@
$(CTRL_THIRD): | $(DEPS)/.fetched
$(O)/obj/third/%.c.o: %.c $(NEWLIB)/lib/libc.a tools/mk/image.mk
	$(call say,CC,$(notdir $<))
	$(Q)mkdir -p $(@D) && $(CC) $(THIRD_CFLAGS) $(CTRL_INC) -MD -MP -c $< -o $@
# Sources that use third-party headers need those to be there.
$(CTRL_OBJ) $(VMM_OBJ): | $(DEPS)/.fetched

# For speed: everything else is for size.
FAST_SRC := $(wildcard ctrl-kernel/backend/*.c ctrl-kernel/vmm/virtio/*.c ctrl-kernel/loop/*.c) ctrl-kernel/vmm/guest.c \
	net/switch.c net/fdb.c net/claim.c net/gro.c net/packet.c net/checksum.c net/spoof.c
$(call obj,prog,$(FAST_SRC)): PROG_CFLAGS += -O2

# cJSON's numbers are of this kind.
$(call obj,prog,ctrl-kernel/api/json.c): PROG_CFLAGS := $(filter-out $(NO_FPU),$(PROG_CFLAGS))

# Not optimized at link time: what the compiler itself calls (memcpy and its family, the stack guard's), and newlib.
NO_LTO := $(call obj,hv,hv/boot/main.c hv/lib/panic.c hv/lib/string.c $(wildcard hv/vm/*.c hv/vcpu/*.c)) \
	$(call obj,prog,ctrl-kernel/rt/mem.c ctrl-kernel/rt/rt.c ctrl-kernel/rt/syscalls.c)
$(NO_LTO): HV_CFLAGS += -fno-lto
$(NO_LTO): PROG_CFLAGS += -fno-lto

$(O)/dsdt.aml: ctrl-kernel/vmm/dsdt.asl
	$(call say,IASL,$<)
	$(Q)mkdir -p $(@D) && iasl -we -p $(O)/dsdt $< >$(O)/dsdt.log 2>&1 || { cat $(O)/dsdt.log; exit 1; }
$(O)/obj/prog/ctrl-kernel/vmm/dsdt.S.o: $(O)/dsdt.aml

# What names this build; rewritten only when it changes.
$(O)/build-id: FORCE
	$(Q)mkdir -p $(@D) && echo '$(VERSION) $(BUILD_ID)' | cmp -s - $@ || echo '$(VERSION) $(BUILD_ID)' >$@
$(O)/obj/hv/hv/boot/version.c.o: $(O)/build-id
$(O)/obj/prog/ctrl-kernel/ops/host.c.o: $(O)/build-id
$(O)/obj/prog/ctrl-kernel/ops/host.c.o: PROG_CFLAGS += -DSOCLE_VERSION='"$(VERSION)"' -DSOCLE_BUILD='"$(BUILD_ID)"'
$(O)/obj/hv/hv/boot/version.c.o: HV_CFLAGS += -DHV_VERSION='"$(VERSION)"' -DHV_BUILD_ID='"$(BUILD_ID)"'

define link_prog
	$(call say,LD,$@)
	$(Q)$(CC) $(filter-out $(NO_FPU),$(PROG_CFLAGS)) $(LDFLAGS) -T linker/prog.ld -Wl,-Map,$(@:.elf=.map) -o $(@:.elf=.debug) $(filter %.o,$^) \
		$(NEWLIB)/lib/libc.a $(LIBGCC)
	$(Q)objcopy --strip-all $(@:.elf=.debug) $@
endef
$(O)/vmm.elf: $(VMM_OBJ) linker/prog.ld
	$(link_prog)
$(O)/ctrl.elf: $(CTRL_OBJ) linker/prog.ld
	$(link_prog)

$(O)/obj/hv/hv/boot/images.S.o: $(O)/ctrl.elf $(O)/vmm.elf
$(O)/hv.debug: $(HV_OBJ) linker/hv.ld
	$(call say,LD,$@)
	$(Q)$(CC) $(HV_CFLAGS) $(LDFLAGS) -T linker/hv.ld -Wl,-Map,$(O)/hv.map -o $@ $(filter %.o,$^)
$(O)/socle.elf: $(O)/hv.debug
	$(call say,IMAGE,$@)
	$(Q)objcopy --strip-all -I elf64-x86-64 -O elf32-i386 $< $@
	$(Q)grub-file --is-x86-multiboot $@ && grub-file --is-x86-multiboot2 $@

$(O)/socle.iso: $(O)/socle.elf tools/mkiso.sh
	$(call say,ISO,$@)
	$(Q)tools/mkiso.sh $@ $(O)/socle.elf "$(ISO_CMDLINE)"
ISO_CMDLINE ?= ip=dhcp

.PHONY: pxe
pxe: $(O)/socle.elf
	$(Q)tools/mkpxe.sh $(O)/pxe $(O)/socle.elf "$(PXE_CMDLINE)" $(PXE_MODULES)
PXE_CMDLINE ?= ip=dhcp

-include $(HV_OBJ:.o=.d) $(VMM_OBJ:.o=.d) $(CTRL_OBJ:.o=.d)
