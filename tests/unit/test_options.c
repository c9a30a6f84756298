/* SPDX-License-Identifier: BSD-2-Clause */
/* Boot options of the control kernel: what is known, what is wrong, what nobody knows. */
// SRC: tests/unit/fakehv.c
// SRC: ctrl-kernel/ops/options.c
// SRC: ctrl-kernel/ops/error.c
// SRC: ctrl-kernel/ops/host.c
// SRC: net/netconf.c
// SRC: build/deps/src/mbedtls/library/sha256.c
// SRC: build/deps/src/mbedtls/library/platform_util.c
// FLAGS: -isystem build/deps/src/mbedtls/include '-DMBEDTLS_CONFIG_FILE="ctrl-kernel/mbedtls_config.h"'
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/fakehv.h"
#include "ctrl-kernel/ops/host.h"
#include "ctrl-kernel/ops/options.h"

static int setup(void **state)
{
	static bool once;

	(void)state;
	if (!once)
		fake_reset(1000);
	once = true;
	fake_log_clear();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_log_clear();
	return 0;
}

static void test_good(void **state)
{
	struct options o;

	(void)state;
	options_parse("", &o);
	assert_true(o.net.dhcp);
	assert_false(o.insecure);
	options_parse("  ip=10.0.2.15/24,gw=10.0.2.2\tmgmt.insecure=1 console.guests=all "
		      "test.hooks=1 mitigations=off "
		      "console=com1 vlan=7 nic=e1000 ",
		      &o);
	assert_false(o.net.dhcp);
	assert_int_equal(o.net.ip[3], 15);
	assert_int_equal(o.net.vlan, 7);
	assert_true(o.insecure);
	assert_true(o.test_hooks);
	assert_string_equal(o.console_guests, "all");
	assert_string_equal(fake_log(), "");
}

static void expect_warning(const char *cmdline, const char *word)
{
	struct options o;
	unsigned before, after;

	fake_log_clear();
	host_notes(&before);
	options_parse(cmdline, &o);
	host_notes(&after);
	assert_int_equal(after, before + 1);
	assert_non_null(strstr(fake_log(), word));
	assert_false(o.insecure);
}

static void test_bad(void **state)
{
	char longword[300];

	(void)state;
	expect_warning("mgmt.insecure=yes", "mgmt.insecure=yes");
	expect_warning("mgmt.insecure", "mgmt.insecure");
	expect_warning("flux=1", "flux=1");
	expect_warning("console.guests=a/b", "console.guests=a/b");
	expect_warning("console.guests=", "console.guests=");
	expect_warning("ip=1.2.3", "ip");
	expect_warning("console=com9", "console=com9");
	expect_warning("quiet", "quiet");
	memset(longword, 'w', sizeof(longword));
	longword[299] = '\0';
	expect_warning(longword, "too long");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad, setup, teardown),
	};
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	fake_close_self();
	return r;
}
