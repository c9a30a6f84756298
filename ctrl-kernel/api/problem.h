/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Error documents: application/problem+json (RFC 9457) with a stable `code`.
 */
#ifndef API_PROBLEM_H
#define API_PROBLEM_H

#include "ctrl-kernel/api/buf.h"
#include "ctrl-kernel/api/json.h"
#include "ctrl-kernel/ops/ops.h"

#define PROBLEM_TYPE "application/problem+json"

struct problem {
	unsigned status;
	const char *code;
	const char *detail;
	const char *instance;             /* the path asked for; NULL: none */
	const char *pointer;              /* of the one value at fault; NULL or "": none */
	const struct json_errors *errors; /* or several; NULL: none */
};

void problem_write(struct buf *b, const struct problem *p);
/* What an operation's error is called here. */
unsigned problem_status(enum ops_code code);
const char *problem_code(enum ops_code code);
/* Codes of errors below the application: 400 bad_request, 404 not_found ... */
const char *problem_http_code(unsigned status);

#endif
