/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What net/ stands on, for host programs: a clock, the information page, a log, and a NIC that keeps what is sent.
 * The loop is the real one; net_run() lets it turn until the clock has moved on.
 */
#ifndef TESTS_NET_FAKES_H
#define TESTS_NET_FAKES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/rt/hvcall.h"
#include "ctrl-kernel/rt/rt.h"
#include "net/net.h"
#include "net/nic.h"

static uint64_t fake_now = 1000000000, fake_end;
static unsigned fake_waits;
static jmp_buf fake_out;
static char fake_log[8192];

struct hv_result hv_raw(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
			uint64_t f)
{
	(void)b, (void)c, (void)d, (void)e, (void)f;
	if (n == HVC_HEARTBEAT)
		return (struct hv_result){0, 0};
	if (n != HVC_EVENT_WAIT)
		abort();
	if (a > fake_end) {
		fake_now = fake_end;
		longjmp(fake_out, 1);
	}
	if (a > fake_now) {
		fake_now = a;
		fake_waits++;
	}
	return (struct hv_result){0, 0};
}

uint64_t rt_now(void)
{
	return fake_now;
}

void rt_log(const char *format, ...)
{
	size_t used = strlen(fake_log);
	va_list args;

	if (used > sizeof(fake_log) - 300)
		used = 0;
	va_start(args, format);
	used += (size_t)vsnprintf(fake_log + used, 280, format, args);
	va_end(args);
	snprintf(fake_log + used, 2, "\n");
}

void rt_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	abort();
}

static void net_run(uint64_t ms)
{
	fake_end = fake_now + ms * 1000000;
	if (setjmp(fake_out) == 0)
		loop_run();
}

#define SENT_MAX 64u
static struct {
	uint8_t frame[NIC_FRAME_MAX];
	size_t len;
} sent[SENT_MAX];
static unsigned n_sent;
static bool ring_full;

static int fake_start(struct nic *nic)
{
	(void)nic;
	return 0;
}

static enum nic_send fake_send(struct nic *nic, const struct nic_frame *frame)
{
	const struct nic_seg *segs = frame->seg;
	size_t len = 0;

	(void)nic;
	if (ring_full)
		return NIC_FULL;
	if (n_sent == SENT_MAX)
		n_sent = 0;
	for (unsigned i = 0; i < frame->n_segs; i++) {
		if (segs[i].len > NIC_FRAME_MAX - len)
			abort();
		memcpy(sent[n_sent].frame + len, segs[i].data, segs[i].len);
		len += segs[i].len;
	}
	sent[n_sent++].len = len;
	return NIC_TAKEN;
}

static const struct nic_ops fake_ops = {.start = fake_start, .send = fake_send};
static struct nic fake_nic = {.name = "fake@00:01.0",
			      .mac = {0x52, 0x54, 0, 0x12, 0x34, 0x56},
			      .link = true,
			      .irq_kind = "none",
			      .ops = &fake_ops};

/* The frame lies in a block of exactly its size. */
static void inject(const void *frame, size_t len)
{
	void *copy = malloc(len ? len : 1);

	memcpy(copy, frame, len);
	fake_nic.rx(&fake_nic, &(struct nic_rx){.seg = &(struct nic_seg){copy, len}, .n_segs = 1},
		    1);
	free(copy);
}

static void fake_info(void)
{
	struct hv_info *info = mmap((void *)HV_VA_INFO, HV_PAGE_SIZE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (info != (void *)HV_VA_INFO)
		abort();
	info->random[0] = 1;
}

static void net_begin(const char *const *options)
{
	struct net_config cfg;
	char warning[128];

	fake_info();
	netconf_default(&cfg);
	for (; *options; options++)
		if (netconf_option(&cfg, *options, warning, sizeof(warning)) != NETCONF_TAKEN)
			abort();
	net_init(&cfg, &fake_nic);
}

#endif
