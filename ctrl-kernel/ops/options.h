/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Boot options: words of the multiboot command line. Those of the network are parsed by net/netconf.c; every
 * word that nobody knows gets a warning.
 */
#ifndef OPS_OPTIONS_H
#define OPS_OPTIONS_H

#include "net/net.h"
#include "ctrl-kernel/ops/ops.h"

struct options {
	struct net_config net;
	bool insecure;         /* mgmt.insecure=1 */
	unsigned test_soak;    /* so many instances end by themselves, soon and somehow */
	unsigned test_soak_ms; /* within so many ms (control.h) */
	bool test_hooks;       /* test.hooks=1 */
	char console_guests[OPS_NAME_MAX]; /* a VM's name, "all" or "" */
};

/* Fills *out from the command line; warnings go to host_note(). */
void options_parse(const char *cmdline, struct options *out);

#endif
