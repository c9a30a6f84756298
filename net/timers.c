/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lwIP's periodic work on the loop's timers, in place of its own timeouts.c: each piece ticks only while it has
 * something to do, so that an idle machine wakes once a second and not each 100 ms. The second's tick also looks who
 * has work again.
 */
#include "net/timers.h"
#include "ctrl-kernel/loop/loop.h"
#include "ctrl-kernel/rt/rt.h"
#include "lwip/dhcp.h"
#include "lwip/etharp.h"
#include "lwip/mld6.h"
#include "lwip/nd6.h"
#include "lwip/netif.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"

#define NS_PER_MS 1000000ull
#define SECONDS_PER_COARSE (DHCP_COARSE_TIMER_MSECS / 1000)

struct ticker {
	unsigned ms;
	void (*run)(void);
	bool (*needed)(void);
	struct loop_timer timer;
};

static bool tcp_needed(void)
{
	return tcp_active_pcbs || tcp_tw_pcbs;
}

static bool dhcp_needed(void)
{
	const struct dhcp *d = netif_default ? netif_dhcp_data(netif_default) : NULL;

	return d && d->request_timeout > 0;
}

static bool mld_needed(void)
{
	const struct mld_group *g = netif_default ? netif_mld6_data(netif_default) : NULL;

	for (; g; g = g->next)
		if (g->timer > 0)
			return true;
	return false;
}

static void second(void);
static bool always(void)
{
	return true;
}

static struct ticker tickers[] = {
	{.ms = 1000, .run = second, .needed = always},
	{.ms = TCP_TMR_INTERVAL, .run = tcp_tmr, .needed = tcp_needed},
	{.ms = DHCP_FINE_TIMER_MSECS, .run = dhcp_fine_tmr, .needed = dhcp_needed},
	{.ms = MLD6_TMR_INTERVAL, .run = mld6_tmr, .needed = mld_needed},
};

static void arm_needed(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(tickers); i++)
		if (!tickers[i].timer.armed && tickers[i].needed())
			loop_timer_set(&tickers[i].timer, tickers[i].ms * NS_PER_MS);
}

static void on_tick(void *ctx)
{
	struct ticker *t = ctx;

	t->run();
	PBUF_CHECK_FREE_OOSEQ();
	arm_needed();
}

static void second(void)
{
	static unsigned seconds;

	etharp_tmr();
	nd6_tmr();
	if (++seconds % SECONDS_PER_COARSE == 0)
		dhcp_coarse_tmr();
}

void net_timers_start(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(tickers); i++)
		loop_timer_init(&tickers[i].timer, on_tick, &tickers[i]);
	arm_needed();
}

void net_timers_look(void)
{
	arm_needed();
}

/* lwIP: a connection became active. */
void tcp_timer_needed(void)
{
	arm_needed();
}

u32_t sys_now(void)
{
	return (u32_t)(rt_now() / NS_PER_MS);
}
