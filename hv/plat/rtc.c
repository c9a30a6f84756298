/* SPDX-License-Identifier: BSD-2-Clause */
/* The real-time clock (MC146818): read once at boot. It is taken to run in UTC. */
#include "hv/cpu/x86.h"
#include "hv/lib/string.h"
#include "hv/plat/acpi.h"
#include "hv/plat/init.h"

enum rtc_reg {
	RTC_SECOND = 0,
	RTC_MINUTE = 2,
	RTC_HOUR = 4,
	RTC_DAY = 7,
	RTC_MONTH = 8,
	RTC_YEAR = 9,
	RTC_A = 10,
	RTC_B = 11
};
#define A_UPDATING 0x80
#define B_24_HOURS 0x02
#define B_BINARY 0x04
#define HOUR_PM 0x80
#define RTC_INDEX 0x7fu /* bit 7 of port 0x70 would switch NMI off */
#define TRIES 5u
#define UPDATE_WAIT_US 10000u /* an update takes 2 ms at most */

struct rtc_time {
	uint8_t second, minute, hour, day, month, year, century, mode;
};

static uint8_t rtc_read(unsigned reg)
{
	outb(0x70, (uint8_t)(reg & RTC_INDEX));
	return inb(0x71);
}

static bool wait_stable(void)
{
	for (unsigned us = 0; us < UPDATE_WAIT_US; us += 10) {
		if ((rtc_read(RTC_A) & A_UPDATING) == 0)
			return true;
		time_delay_us(10);
	}
	return false;
}

static struct rtc_time read_raw(void)
{
	return (struct rtc_time){
		rtc_read(RTC_SECOND),
		rtc_read(RTC_MINUTE),
		rtc_read(RTC_HOUR),
		rtc_read(RTC_DAY),
		rtc_read(RTC_MONTH),
		rtc_read(RTC_YEAR),
		acpi.century != 0 && acpi.century < 0x80 ? rtc_read(acpi.century) : 0,
		rtc_read(RTC_B),
	};
}

static unsigned number(uint8_t v, uint8_t mode)
{
	return mode & B_BINARY ? v : (v >> 4) * 10u + (v & 0xf);
}

static unsigned hour_of(const struct rtc_time *t)
{
	unsigned hour = number(t->hour & (uint8_t)~HOUR_PM, t->mode);

	if (t->mode & B_24_HOURS)
		return number(t->hour, t->mode);
	return hour % 12 + (t->hour & HOUR_PM ? 12 : 0);
}

/* Days since 1970-01-01 of a Gregorian date; years counted from March so that leap days come last. */
static uint64_t days(unsigned year, unsigned month, unsigned day)
{
	unsigned y = month <= 2 ? year - 1 : year;
	unsigned m = month <= 2 ? month + 9 : month - 3;

	return 365ull * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static uint64_t epoch_of(const struct rtc_time *t)
{
	unsigned century = number(t->century, t->mode);
	unsigned year = number(t->year, t->mode);
	unsigned month = number(t->month, t->mode);
	unsigned day = number(t->day, t->mode);
	unsigned hour = hour_of(t);
	unsigned minute = number(t->minute, t->mode);
	unsigned second = number(t->second, t->mode);

	year += century >= 19 && century <= 29 ? century * 100 : year >= 70 ? 1900 : 2000;
	if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 ||
	    second > 59 || year < 1970)
		return 0;
	return ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
}

uint64_t plat_rtc_epoch(void)
{
	for (unsigned i = 0; i < TRIES; i++) {
		struct rtc_time a, b;

		if (!wait_stable())
			return 0;
		a = read_raw();
		b = read_raw();
		if (memcmp(&a, &b, sizeof(a)) == 0)
			return epoch_of(&a);
	}
	return 0;
}
