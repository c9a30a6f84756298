# SPDX-License-Identifier: BSD-2-Clause
# Socle: one bootable file is the whole virtualization host. `make help` lists what there is.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash

O ?= build
DEPS := $(O)/deps
SRC := $(DEPS)/src
NEWLIB := $(DEPS)/newlib/x86_64-elf
CC := gcc
V ?= 0
ifeq ($(V),0)
Q := @
say = @printf '  %-7s %s\n' $(1) $(2)
endif

# The same commit gives the same bytes, wherever and whenever it is built.
export SOURCE_DATE_EPOCH := $(shell git log -1 --format=%ct 2>/dev/null || echo 1700000000)
export LC_ALL := C.UTF-8
BUILD_ID := $(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)
VERSION := 0.1.0

.PHONY: all help setup deps clean distclean FORCE
all: $(O)/socle.elf $(O)/socle.iso $(if $(PUBLIC_KEY),,$(O)/ctrl.upgrade)

help:
	@sed -n 's/^#? //p' $(MAKEFILE_LIST)

#? make            builds build/socle.elf (multiboot 1 and 2) and build/socle.iso (GRUB, BIOS and UEFI)
#?                 and build/ctrl.upgrade, signed with SIGNING_KEY=file or a key made for this folder
#? make run        sets up, builds, boots in QEMU, starts a Linux guest and puts you on its console (Ctrl-] leaves)
#? make test       sets up and runs everything: lint, unit, fuzz (short), system; last line: N passed, N failed
#? make lint       format, include arrows, file and function length, cppcheck
#? make unit       unit tests on the host (ASan, UBSan)
#? make system     system tests in QEMU and Bochs
#? make test-intel Bochs' tests, the long ones too: all guests, and Linux, on AMD and Intel models (minutes)
#? make soak       10,000 deaths of the control kernel beside guests that check every answer
#? make bench      the figures of docs/performance.md, measured now
#? make fuzz       long fuzzing (SECONDS_EACH=600)
#? make pxe        a TFTP folder build/pxe for iPXE, GRUB i386-pc and GRUB x86_64-efi
#? make setup      installs the packages the above need (apt; through sudo when not root)
#? make clean      removes what was built but keeps the dependencies; make distclean removes all

include tools/mk/flags.mk
include tools/mk/deps.mk
include tools/mk/image.mk
include tools/mk/upgrade.mk
include tools/mk/hctest.mk
include tools/mk/guests.mk
include tools/mk/test.mk

setup:
	$(Q)tools/setup.sh

clean:
	$(Q)find $(O) -mindepth 1 -maxdepth 1 ! -name deps ! -name guest ! -name signing.key -exec rm -rf {} + 2>/dev/null || true

distclean:
	$(Q)rm -rf $(O)
