/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The MC146818 clock and its CMOS RAM. Time is computed from the host's clock at each read, plus the offset the
 * guest made by setting it. Alarm, periodic and update interrupts do not exist: the registers hold what is
 * written, IRQ 8 never comes, and the DSDT gives the device no interrupt. Guests take time from the paravirtual
 * clock and wake-ups from the LAPIC timer.
 */
#include "ctrl-kernel/vmm/layout.h"
#include "ctrl-kernel/vmm/vm.h"

#include "ctrl-kernel/rt/rt.h"

enum rtc_reg {
	RTC_SECONDS = 0,
	RTC_MINUTES = 2,
	RTC_HOURS = 4,
	RTC_WEEKDAY = 6,
	RTC_DAY = 7,
	RTC_MONTH = 8,
	RTC_YEAR = 9,
	RTC_A = 0x0a,
	RTC_B = 0x0b,
	RTC_C = 0x0c,
	RTC_D = 0x0d,
	RTC_CENTURY = 0x32, /* FADT.CENTURY */
};

#define A_UPDATE 0x80u /* the time registers change within 244 us */
#define A_32KHZ 0x26u
#define B_SET 0x80u
#define B_BINARY 0x04u
#define B_24H 0x02u
#define B_WRITABLE 0xffu
#define D_VALID 0x80u
#define HOUR_PM 0x80u

#define NS_PER_S 1000000000ull
#define UPDATE_NS 244000ull
#define DAY_S 86400
/* The guest's time is set to 1970 to 9999, ours is what 64 bits of ns hold. */
#define OFFSET_MAX 253402300799
#define OFFSET_MIN (-(int64_t)(UINT64_MAX / NS_PER_S))

struct date {
	unsigned year, month, day, weekday, hour, minute, second; /* weekday 1 = Sunday */
};

static uint64_t utc_ns(const struct vm *vm)
{
	return vm->config->epoch_at_zero_ns + rt_now();
}

/* Days since 1970-01-01 of a date in the Gregorian calendar, and back; years begin in March to put the leap day
 * last. Years 1970 to 9999. */
static int64_t days_from_date(unsigned year, unsigned month, unsigned day)
{
	unsigned y = year - (month <= 2), m = (month + 9) % 12;

	return (int64_t)y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

static struct date date_from_time(int64_t time)
{
	int64_t days = time / DAY_S, rest = time % DAY_S;
	uint64_t z, era, doe, yoe, doy, mp;
	struct date d;

	if (rest < 0) {
		rest += DAY_S;
		days--;
	}
	if (days < 0)
		days = 0; /* a guest may set a clock before 1970; it reads the epoch */
	z = (uint64_t)days + 719468;
	era = z / 146097;
	doe = z % 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	d.day = (unsigned)(doy - (153 * mp + 2) / 5 + 1);
	d.month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
	d.year = (unsigned)(yoe + era * 400) + (d.month <= 2);
	d.weekday = (unsigned)((uint64_t)days + 4) % 7 + 1;
	d.hour = (unsigned)rest / 3600;
	d.minute = (unsigned)rest / 60 % 60;
	d.second = (unsigned)rest % 60;
	return d;
}

static uint8_t encode(uint8_t b, unsigned n)
{
	return (uint8_t)((b & B_BINARY) ? n : (n / 10 % 10) << 4 | n % 10);
}

static unsigned decode(uint8_t b, uint8_t v)
{
	return (b & B_BINARY) ? v : (v >> 4) * 10u + (v & 15u);
}

static uint8_t encode_hour(uint8_t b, unsigned hour)
{
	if (b & B_24H)
		return encode(b, hour);
	return encode(b, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned decode_hour(uint8_t b, uint8_t v)
{
	if (b & B_24H)
		return decode(b, v);
	return decode(b, v & (uint8_t)~HOUR_PM) % 12 + ((v & HOUR_PM) ? 12 : 0);
}

/* The present time into the CMOS cells, in the format of register B. */
static void cells_fill(struct vm *vm)
{
	struct rtc_state *rtc = &vm->state->rtc;
	uint8_t *cell = rtc->cmos, b = cell[RTC_B];
	struct date d = date_from_time((int64_t)(utc_ns(vm) / NS_PER_S) + rtc->offset_s);

	cell[RTC_SECONDS] = encode(b, d.second);
	cell[RTC_MINUTES] = encode(b, d.minute);
	cell[RTC_HOURS] = encode_hour(b, d.hour);
	cell[RTC_WEEKDAY] = encode(b, d.weekday);
	cell[RTC_DAY] = encode(b, d.day);
	cell[RTC_MONTH] = encode(b, d.month);
	cell[RTC_YEAR] = encode(b, d.year % 100);
	cell[RTC_CENTURY] = encode(b, d.year / 100);
}

/* The guest's time from the CMOS cells -> offset. Nonsense in them leaves the clock as it is. */
static void cells_apply(struct vm *vm)
{
	struct rtc_state *rtc = &vm->state->rtc;
	const uint8_t *cell = rtc->cmos;
	uint8_t b = cell[RTC_B];
	unsigned second = decode(b, cell[RTC_SECONDS]), minute = decode(b, cell[RTC_MINUTES]);
	unsigned hour = decode_hour(b, cell[RTC_HOURS]), day = decode(b, cell[RTC_DAY]);
	unsigned month = decode(b, cell[RTC_MONTH]);
	unsigned year = decode(b, cell[RTC_YEAR]) + decode(b, cell[RTC_CENTURY]) * 100;
	int64_t time;

	if (second > 59 || minute > 59 || hour > 23 || day < 1 || day > 31 || month < 1 ||
	    month > 12 || year < 1970 || year > 9999)
		return;
	time = days_from_date(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
	rtc->offset_s = time - (int64_t)(utc_ns(vm) / NS_PER_S);
}

static bool is_time(unsigned reg)
{
	return reg == RTC_SECONDS || reg == RTC_MINUTES || reg == RTC_HOURS ||
	       (reg >= RTC_WEEKDAY && reg <= RTC_YEAR) || reg == RTC_CENTURY;
}

static uint8_t cell_read(struct vm *vm, unsigned reg)
{
	struct rtc_state *rtc = &vm->state->rtc;
	bool set = rtc->cmos[RTC_B] & B_SET;

	switch (reg) {
	case RTC_A:
		if (!set && utc_ns(vm) % NS_PER_S >= NS_PER_S - UPDATE_NS)
			return rtc->cmos[RTC_A] | A_UPDATE;
		return rtc->cmos[RTC_A];
	case RTC_C:
		return 0; /* no interrupt source ever fires */
	case RTC_D:
		return D_VALID;
	default:
		if (!set && is_time(reg))
			cells_fill(vm);
		return rtc->cmos[reg];
	}
}

static void b_write(struct vm *vm, uint8_t value)
{
	uint8_t *b = &vm->state->rtc.cmos[RTC_B];
	uint8_t old = *b;

	if (!(old & B_SET) && (value & B_SET))
		cells_fill(vm); /* what the guest does not set stays as it was */
	if ((old & B_SET) && !(value & B_SET))
		cells_apply(vm);
	*b = value & B_WRITABLE;
}

static void cell_write(struct vm *vm, unsigned reg, uint8_t value)
{
	struct rtc_state *rtc = &vm->state->rtc;

	switch (reg) {
	case RTC_A:
		rtc->cmos[reg] = value & (uint8_t)~A_UPDATE;
		return;
	case RTC_B:
		b_write(vm, value);
		return;
	case RTC_C:
	case RTC_D:
		return;
	default:
		if (is_time(reg) && !(rtc->cmos[RTC_B] & B_SET)) {
			cells_fill(vm);
			rtc->cmos[reg] = value;
			cells_apply(vm);
		} else {
			rtc->cmos[reg] = value;
		}
	}
}

static uint64_t rtc_access(void *dev, uint64_t offset, unsigned width, bool write, uint64_t value)
{
	struct vm *vm = dev;
	uint8_t *index = &vm->state->rtc.index;

	if (width > 1 && write) { /* out %ax, $0x70 sets both */
		*index = value & (CMOS_BYTES - 1);
		cell_write(vm, *index, (uint8_t)(value >> 8));
		return 0;
	}
	if (offset == 0) {
		if (write)
			*index = value & (CMOS_BYTES - 1); /* bit 7 masks NMI on a PC */
		return UINT64_MAX;                         /* write-only on a PC */
	}
	if (!write)
		return cell_read(vm, *index);
	cell_write(vm, *index, (uint8_t)value);
	return 0;
}

/* A reset leaves the clock and the RAM alone, as the battery does; only interrupt enables clear. */
void rtc_reset(struct vm *vm)
{
	struct rtc_state *rtc = &vm->state->rtc;

	if (rtc->cmos[RTC_D] != D_VALID) { /* first power-on */
		rtc->cmos[RTC_A] = A_32KHZ;
		rtc->cmos[RTC_B] = B_24H;
		rtc->cmos[RTC_D] = D_VALID;
	}
	rtc->cmos[RTC_B] &= B_SET | B_BINARY | B_24H;
	rtc->index = 0;
}

const char *rtc_check(const struct rtc_state *rtc, bool booted)
{
	const uint8_t *cell = rtc->cmos;

	if (rtc->offset_s < OFFSET_MIN || rtc->offset_s > OFFSET_MAX)
		return "the clock is set to no time there is";
	if (rtc->index >= CMOS_BYTES)
		return "the CMOS index is out of range";
	for (unsigned i = 0; i < sizeof(rtc->reserved); i++)
		if (rtc->reserved[i])
			return "reserved bytes of the clock are set";
	if (cell[RTC_A] & A_UPDATE || cell[RTC_C] ||
	    (cell[RTC_D] != D_VALID && (booted || cell[RTC_D])))
		return "the clock's registers have bits that nobody sets";
	return NULL;
}

void rtc_attach(struct vm *vm)
{
	bus_add(&vm->bus, HV_SPACE_PIO, PORT_RTC_INDEX, 2, rtc_access, vm);
}
