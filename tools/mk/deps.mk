# SPDX-License-Identifier: BSD-2-Clause
# Third-party sources: fetched by pinned checksum, built once.

$(DEPS)/.fetched: tools/deps.lock tools/getdeps.sh
	$(call say,DEPS,'third-party sources: lwIP mbedTLS newlib cJSON llhttp')
	$(Q)tools/getdeps.sh tools/deps.lock $(DEPS)
	$(Q)touch $@

$(NEWLIB)/lib/libc.a: tools/newlib.sh | $(DEPS)/.fetched
	$(call say,DEPS,'newlib (about a minute)')
	$(Q)tools/newlib.sh $(SRC)/newlib $(DEPS)/newlib

deps: $(DEPS)/.fetched $(NEWLIB)/lib/libc.a
