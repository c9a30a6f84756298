/* SPDX-License-Identifier: BSD-2-Clause */
// SRC: hv/plat/rtc.c
/* The real-time clock: BCD and binary, 12 and 24 hours, centuries, updates in progress, nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "hv/plat/acpi.h"
#include "hv/plat/init.h"

struct acpi_info acpi;
static uint8_t cmos[128], selected;
static unsigned updating; /* readings of register A until the update is over */
static bool ticking;      /* the seconds change at each reading */

uint8_t inb(uint16_t port)
{
	if (port != 0x71)
		return 0xff;
	if (selected == 10)
		return updating != 0 ? updating--, 0x80 : 0;
	if (selected == 0 && ticking)
		cmos[0] = (uint8_t)((cmos[0] + 1) % 60);
	return cmos[selected];
}

void outb(uint16_t port, uint8_t v)
{
	assert_int_equal(port, 0x70);
	assert_int_equal(v & 0x80, 0);
	selected = v;
}

void cpu_pause(void)
{
}

void time_delay_us(uint64_t us)
{
	(void)us;
}

static uint8_t code(unsigned v, bool binary)
{
	return (uint8_t)(binary ? v : v / 10 << 4 | v % 10);
}

static void set(time_t t, bool binary, bool h24, bool century)
{
	struct tm tm;
	unsigned hour;

	gmtime_r(&t, &tm);
	hour = (unsigned)tm.tm_hour;
	memset(cmos, 0, sizeof(cmos));
	cmos[0] = code((unsigned)tm.tm_sec, binary);
	cmos[2] = code((unsigned)tm.tm_min, binary);
	cmos[4] = h24 ? code(hour, binary)
		      : (uint8_t)(code((hour + 11) % 12 + 1, binary) | (hour >= 12 ? 0x80 : 0));
	cmos[7] = code((unsigned)tm.tm_mday, binary);
	cmos[8] = code((unsigned)tm.tm_mon + 1, binary);
	cmos[9] = code((unsigned)tm.tm_year % 100, binary);
	cmos[11] = (uint8_t)((binary ? 4 : 0) | (h24 ? 2 : 0));
	acpi.century = century ? 0x32 : 0;
	if (century)
		cmos[0x32] = code((unsigned)(tm.tm_year + 1900) / 100, binary);
}

static void test_all_codings(void **state)
{
	(void)state;
	for (time_t t = 1; t < 4102444800; t += 86400 * 11 + 3607)
		for (unsigned how = 0; how < 8; how++) {
			bool century = (how & 4) != 0 ||
				       t >= 3155760000; /* 2070: two digits mean 1970 */

			set(t, how & 1, how & 2, century);
			assert_int_equal(plat_rtc_epoch(), t);
		}
}

static void test_leap_days(void **state)
{
	static const time_t days[] = {951782400 /* 2000-02-29 */, 1709164800 /* 2024-02-29 */,
				      4107542400 /* 2100-03-01 */};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		set(days[i], false, true, true);
		assert_int_equal(plat_rtc_epoch(), days[i]);
	}
}

static void test_update_in_progress(void **state)
{
	(void)state;
	set(1700000000, false, true, true);
	updating = 50;
	assert_int_equal(plat_rtc_epoch(), 1700000000);
	updating = 10000000; /* for ever */
	assert_int_equal(plat_rtc_epoch(), 0);
	updating = 0;
	ticking = true; /* never twice the same */
	assert_int_equal(plat_rtc_epoch(), 0);
	ticking = false;
}

static void test_nonsense(void **state)
{
	(void)state;
	memset(cmos, 0xff, sizeof(cmos));
	assert_int_equal(plat_rtc_epoch(), 0);
	memset(cmos, 0, sizeof(cmos));
	assert_int_equal(plat_rtc_epoch(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_codings),
		cmocka_unit_test(test_leap_days),
		cmocka_unit_test(test_update_in_progress),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
