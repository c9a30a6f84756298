/* SPDX-License-Identifier: BSD-2-Clause */
/* What is typed at the monitor (monitor.c): the line editor and the command in a line. Pure; no locks. */
#ifndef HV_PROG_MONITOR_LINE_H
#define HV_PROG_MONITOR_LINE_H

#include "hv/lib/types.h"

#define LINE_MAX 79u

struct line {
	char text[LINE_MAX + 1]; /* NUL-terminated */
	unsigned len;
	bool after_cr;          /* an LF now belongs to the CR before */
	unsigned char sequence; /* of an escape sequence under way: 0 none, 1 ESC came, 2 inside */
};

/* One byte from the terminal; *echo: what it is to show. True: the line is complete, line_clear() begins the next. */
bool line_key(struct line *l, uint8_t byte, const char **echo);
void line_clear(struct line *l);

enum monitor_verb {
	VERB_NONE, /* an empty line */
	VERB_HELP,
	VERB_LIST,
	VERB_PAUSE,
	VERB_RESUME,
	VERB_LOG,
	VERB_DUMP,
	VERB_RESTART,
	VERB_REBOOT,
	VERB_OFF,
	VERB_UNKNOWN,
	VERB_NEEDS_NUMBER, /* pause, resume: none, or none that can be */
	VERB_TOO_MANY      /* words */
};

/* *number: of pause and resume. */
enum monitor_verb line_parse(const char *text, uint32_t *number);

#endif
