# SPDX-License-Identifier: BSD-2-Clause
# The key that upgrades are signed with, and the files of upgrades: this build's program, and for the tests some that do not do.
# SIGNING_KEY: a private key on P-256; without one the build makes one and keeps it, also across `make clean`. PUBLIC_KEY instead: for those
# who build what others sign.

SIGNING_KEY ?= $(O)/signing.key
PUBLIC_KEY ?=

$(O)/signing.key:
	$(call say,KEY,$@)
	$(Q)mkdir -p $(@D) && umask 077 && openssl ecparam -name prime256v1 -genkey -noout -out $@
# x and y of it; rewritten only when it changes.
$(O)/upgrade.pub: $(if $(PUBLIC_KEY),$(PUBLIC_KEY),$(SIGNING_KEY)) FORCE
	$(Q)openssl pkey $(if $(PUBLIC_KEY),-pubin) -in $< -pubout -outform DER | tail -c 65 >$@.new && \
		if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
$(O)/obj/prog/ctrl-kernel/ops/upgrade_key.S.o: $(O)/upgrade.pub

define sign
	$(call say,SIGN,$@)
	$(Q)tools/sign.sh $(SIGNING_KEY) $< $@ '$(1)' '$(BUILD_ID)'
endef
$(O)/ctrl.upgrade: $(O)/ctrl.elf tools/sign.sh $(SIGNING_KEY)
	$(call sign,$(VERSION))

# tests/upgrade/NAME.c in the place of main.c.
UPGRADE_TESTS := $(basename $(notdir $(wildcard tests/upgrade/*.c)))
CTRL_BUT_MAIN := $(filter-out $(O)/obj/prog/ctrl-kernel/main.c.o,$(CTRL_OBJ))

$(addprefix $(O)/upgrade/,$(addsuffix .elf,$(UPGRADE_TESTS))): $(O)/upgrade/%.elf: $(O)/obj/prog/tests/upgrade/%.c.o $(CTRL_BUT_MAIN) linker/prog.ld
	$(Q)mkdir -p $(@D)
	$(link_prog)
# The program as it is, but with another version.
$(O)/upgrade/newer.elf: $(O)/obj/newer/host.c.o $(filter-out %/ops/host.c.o,$(CTRL_OBJ)) linker/prog.ld
	$(Q)mkdir -p $(@D)
	$(link_prog)
$(O)/obj/newer/host.c.o: ctrl-kernel/ops/host.c $(O)/build-id | $(DEPS)/.fetched
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D) && $(CC) $(PROG_CFLAGS) $(CTRL_INC) -DSOCLE_VERSION='"9.9.9"' -DSOCLE_BUILD='"newer"' -MD -MP -c $< -o $@
$(O)/upgrade/%.upgrade: $(O)/upgrade/%.elf tools/sign.sh $(SIGNING_KEY)
	$(call sign,9.9.9)

.PHONY: upgrades
upgrades: $(addprefix $(O)/upgrade/,$(addsuffix .upgrade,newer $(UPGRADE_TESTS)))

-include $(O)/obj/newer/host.c.d $(patsubst %,$(O)/obj/prog/tests/upgrade/%.c.d,$(UPGRADE_TESTS))
