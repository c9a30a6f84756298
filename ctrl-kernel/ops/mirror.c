/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console.guests=NAME|all: guest console lines on the machine's serial port, each with "[name] " before it. What
 * could confuse a terminal is left out.
 */
#include "ctrl-kernel/ops/console.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include "hv/abi/hv_vm.h"
#include "ctrl-kernel/rt/hvcall.h"

#define FLUSH_NS 200000000ull
#define READ_MAX 1024u

static char selected[OPS_NAME_MAX];

void mirror_select(const char *which)
{
	snprintf(selected, sizeof(selected), "%s", which);
}

static void mirror_print(struct console_mirror *m)
{
	char text[256]; /* what one HVC_LOG_WRITE takes */
	int n = snprintf(text, sizeof(text), "[%s] %.*s\n", m->name, (int)m->len, m->line);

	if (n >= (int)sizeof(text)) {
		n = sizeof(text);
		text[n - 1] = '\n';
	}
	hv_log_write(text, (size_t)n);
	m->len = 0;
}

static void mirror_flush(void *ctx)
{
	struct console_mirror *m = ctx;

	if (m->len)
		mirror_print(m);
}

static void mirror_byte(struct console_mirror *m, uint8_t c)
{
	if (c == '\n') {
		mirror_print(m);
		return;
	}
	if ((c < 0x20 && c != '\t') || c == 0x7f)
		return;
	/* The longest name, "[] " and the end of the line must fit beside it. */
	if (m->len + OPS_NAME_MAX - strlen("[] \n") >= sizeof(m->line) + strlen(m->name))
		mirror_print(m);
	if (m->len < sizeof(m->line))
		m->line[m->len++] = (char)c;
}

void mirror_update(struct console *c)
{
	struct console_mirror *m = c->mirror;
	uint8_t buf[READ_MAX];
	uint64_t lost;
	size_t n;

	if (!m)
		return;
	do {
		n = console_read(c, m->at, buf, sizeof(buf), &m->at, &lost);
		for (size_t i = 0; i < n; i++)
			mirror_byte(m, buf[i]);
	} while (n == sizeof(buf));
	if (m->len)
		loop_timer_set(&m->flush, FLUSH_NS);
	else
		loop_timer_cancel(&m->flush);
}

void mirror_attach(struct console *c, const char *name)
{
	struct console_mirror *m;

	if (c->mirror || (strcmp(selected, "all") != 0 && strcmp(selected, name) != 0))
		return;
	m = calloc(1, sizeof(*m));
	if (!m) {
		rt_log("no memory to mirror the console of %s", name);
		return;
	}
	m->name = name;
	loop_timer_init(&m->flush, mirror_flush, m);
	c->mirror = m;
}

void mirror_skip(struct console *c)
{
	uint64_t lost;

	if (c->mirror)
		(void)console_read(c, UINT64_MAX, NULL, 0, &c->mirror->at, &lost);
}

void mirror_detach(struct console *c)
{
	if (!c->mirror)
		return;
	loop_timer_cancel(&c->mirror->flush);
	mirror_flush(c->mirror);
	free(c->mirror);
	c->mirror = NULL;
}
