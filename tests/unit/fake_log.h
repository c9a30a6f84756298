/* SPDX-License-Identifier: BSD-2-Clause */
/* What was logged: for fakehv.c. */
#ifndef TESTS_FAKE_LOG_H
#define TESTS_FAKE_LOG_H

#include <stdlib.h>
#include <string.h>
#include "tests/unit/fakehv.h"

static char *log_text;
static size_t log_len;

static void log_add(const char *text, size_t len)
{
	log_text = realloc(log_text, log_len + len + 1);
	memcpy(log_text + log_len, text, len);
	log_len += len;
	log_text[log_len] = '\0';
}

const char *fake_log(void)
{
	return log_text ? log_text : "";
}

void fake_log_clear(void)
{
	free(log_text);
	log_text = NULL;
	log_len = 0;
}

#endif
