# SPDX-License-Identifier: BSD-2-Clause
# Tests and figures. Everything reports through pytest; tests/conftest.py prints the closing line.

# Debian's Python, which python3-pytest belongs to.
# Two files at a time.
PYTEST := /usr/bin/python3 -m pytest -q -p no:cacheprovider --tb=short --durations=12 -n 2 --dist loadfile
QUICK := -m 'not long'
TEST_GUEST := $(O)/guest/initrd.gz

$(TEST_GUEST): tools/getguest.sh
	$(call say,GUEST,'Debian cloud kernel and busybox initrd')
	$(Q)tools/getguest.sh $(O)/guest

.PHONY: soak test test-intel lint unit system bench fuzz run test-setup
test: test-setup
	$(Q)$(PYTEST) $(QUICK) tests
test-setup: setup
	$(Q)$(MAKE) --no-print-directory all guests upgrades $(O)/hv-hctest.elf $(TEST_GUEST)

lint:
	$(Q)$(PYTEST) tests/test_lint.py
unit: | $(DEPS)/.fetched
	$(Q)$(PYTEST) tests/test_unit.py
system: test-setup
	$(Q)$(PYTEST) $(QUICK) tests/system
test-intel: test-setup
	$(Q)$(PYTEST) tests/system/test_bochs*.py
soak: test-setup
	$(Q)SOAK=10000 $(PYTEST) tests/system/test_soak.py tests/system/test_soak_all.py
SECONDS_EACH ?= 600
fuzz: | $(DEPS)/.fetched
	$(Q)FUZZ_SECONDS=$(SECONDS_EACH) $(PYTEST) tests/test_fuzz.py
bench: test-setup
	$(Q)/usr/bin/python3 tests/bench.py
run: setup
	$(Q)$(MAKE) --no-print-directory $(O)/socle.elf $(TEST_GUEST)
	$(Q)tools/run.py
