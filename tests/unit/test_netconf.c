/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: net/netconf.c
/* Boot options of the network: what is taken, what is refused, and that a refused word changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "net/net.h"

static struct net_config c;
static char warning[160];

static enum netconf_result option(const char *word)
{
	warning[0] = 0;
	return netconf_option(&c, word, warning, sizeof(warning));
}

static int fresh(void **state)
{
	(void)state;
	netconf_default(&c);
	return 0;
}

static void refused(const char *word)
{
	struct net_config before = c;

	assert_int_equal(option(word), NETCONF_REFUSED);
	assert_memory_equal(&c, &before, sizeof(c));
	assert_non_null(strstr(warning, "Boot option "));
	assert_non_null(strchr(warning, '='));
}

static void test_default(void **state)
{
	(void)state;
	assert_true(c.dhcp);
	assert_int_equal(c.vlan, 0);
	assert_string_equal(c.nic, "");
}

static void test_static(void **state)
{
	static const uint8_t ip[4] = {10, 0, 2, 15}, gw[4] = {10, 0, 2, 2}, none[4];

	(void)state;
	assert_int_equal(option("ip=10.0.2.15/24,gw=10.0.2.2"), NETCONF_TAKEN);
	assert_false(c.dhcp);
	assert_memory_equal(c.ip, ip, 4);
	assert_memory_equal(c.gateway, gw, 4);
	assert_int_equal(c.prefix, 24);
	assert_int_equal(option("ip=10.0.2.15/31"), NETCONF_TAKEN);
	assert_memory_equal(c.gateway, none, 4);
	assert_int_equal(option("ip=10.0.2.15/32"), NETCONF_TAKEN);
	assert_int_equal(option("ip=dhcp"), NETCONF_TAKEN);
	assert_true(c.dhcp);
}

static void test_bad_ip(void **state)
{
	static const char *const bad[] = {
		"ip=",
		"ip=DHCP",
		"ip=10.0.2",
		"ip=10.0.2.15",
		"ip=10.0.2.15/",
		"ip=10.0.2.15/0",
		"ip=10.0.2.15/33",
		"ip=10.0.2.15/24x",
		"ip=10.0.2.256/24",
		"ip=10.0.2.015/24",
		"ip=10..2.15/24",
		"ip=10.0.2.15/24,",
		"ip=10.0.2.15/24,gw=",
		"ip=10.0.2.15/24,gw=1",
		"ip=10.0.2.15/24,gw=10.0.3.1",
		"ip=10.0.2.15/24,gw=10.0.2.1x",
		"ip=10.0.2.0/24",
		"ip=10.0.2.255/24",
		"ip=127.0.0.1/8",
		"ip=224.0.0.1/8",
		"ip=0.0.0.1/8",
		"ip=10.0.2.15/24,gw=10.0.2.255",
		"ip=99999999999.0.2.15/24",
		"ip=-1.0.2.15/24",
		"ip=10.0.2.15/4294967320",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused(bad[i]);
}

static void test_vlan_and_nic(void **state)
{
	(void)state;
	assert_int_equal(option("vlan=4094"), NETCONF_TAKEN);
	assert_int_equal(c.vlan, 4094);
	refused("vlan=0");
	refused("vlan=4095");
	refused("vlan=");
	refused("vlan=5a");
	assert_int_equal(option("nic=00:03.0"), NETCONF_TAKEN);
	assert_string_equal(c.nic, "00:03.0");
	refused("nic=");
	refused("nic=eth0;rm");
	refused("nic=0123456789012345678901234567890123456789");
}

static void test_others(void **state)
{
	(void)state;
	assert_int_equal(option("console=ttyS0"), NETCONF_OTHER);
	assert_int_equal(option("ipx=1"), NETCONF_OTHER);
	assert_int_equal(option(""), NETCONF_OTHER);
	assert_int_equal(option("ip"), NETCONF_OTHER);
}

static void test_long_word(void **state)
{
	char word[600] = "ip=";

	(void)state;
	memset(word + 3, '1', sizeof(word) - 4);
	refused(word);
}

static void test_selector(void **state)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
	static const char name[] = "e1000@00:03.0";

	(void)state;
	assert_true(netconf_nic_matches("e1000", name, mac));
	assert_true(netconf_nic_matches("e1000@00:03.0", name, mac));
	assert_true(netconf_nic_matches("52:54:00:12:34:56", name, mac));
	assert_true(netconf_nic_matches("52:54:0:12:34:56", name, mac));
	assert_true(netconf_nic_matches("00:03.0", name, mac));
	assert_true(netconf_nic_matches("0:3.0", name, mac));
	assert_true(netconf_nic_matches("0000:00:03.0", name, mac));
	assert_false(netconf_nic_matches("0001:00:03.0", name, mac));
	assert_false(netconf_nic_matches("e1000e", name, mac));
	assert_false(netconf_nic_matches("e100", name, mac));
	assert_false(netconf_nic_matches("52:54:00:12:34:57", name, mac));
	assert_false(netconf_nic_matches("52:54:00:12:34", name, mac));
	assert_false(netconf_nic_matches("00:03.1", name, mac));
	assert_false(netconf_nic_matches("00:03", name, mac));
	assert_false(netconf_nic_matches("", name, mac));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_default, fresh),
		cmocka_unit_test_setup(test_static, fresh),
		cmocka_unit_test_setup(test_bad_ip, fresh),
		cmocka_unit_test_setup(test_vlan_and_nic, fresh),
		cmocka_unit_test_setup(test_others, fresh),
		cmocka_unit_test_setup(test_long_word, fresh),
		cmocka_unit_test_setup(test_selector, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
