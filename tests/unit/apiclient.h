/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client in memory for tests of the REST interface: sends a request through http.c into the real routes and keeps
 * what came back. Include it in one file of a test.
 */
#ifndef TESTS_APICLIENT_H
#define TESTS_APICLIENT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/api/api.h"
#include "ctrl-kernel/api/http_conn.h"

static char reply_text[400000];
static size_t reply_len;
static bool reply_closed;
static struct http_conn *client;

static size_t client_send(void *io, const void *data, size_t len)
{
	(void)io;
	if (len > sizeof(reply_text) - 1 - reply_len)
		abort();
	memcpy(reply_text + reply_len, data, len);
	reply_len += len;
	reply_text[reply_len] = '\0';
	return len;
}

static void client_recved(void *io, size_t n)
{
	(void)io;
	(void)n;
}

static void client_close(void *io)
{
	(void)io;
	reply_closed = true;
}

static const struct http_io client_io = {client_send, client_recved, client_close, client_close};

static void client_open(void)
{
	reply_len = 0;
	reply_text[0] = '\0';
	reply_closed = false;
	client = malloc(sizeof(*client));
	http_begin(client, &api_app, &client_io, NULL);
}

static void client_end(void)
{
	if (client)
		http_end(client);
	free(client);
	client = NULL;
}

/* A fresh connection for each request; the answer may come later. body NULL: none. */
__attribute__((unused)) static void ask(const char *method, const char *target, const char *body)
{
	char head[600];
	int n;

	client_end();
	client_open();
	n = snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: h\r\n", method, target);
	if (body)
		n += snprintf(head + n, sizeof(head) - (size_t)n, "Content-Length: %zu\r\n",
			      strlen(body));
	n += snprintf(head + n, sizeof(head) - (size_t)n, "\r\n");
	http_input(client, head, (size_t)n);
	if (body && !reply_closed)
		http_input(client, body, strlen(body));
}

/* These bytes on a fresh connection. */
__attribute__((unused)) static void ask_raw(const char *text)
{
	client_end();
	client_open();
	http_input(client, text, strlen(text));
}

__attribute__((unused)) static unsigned reply_status(void)
{
	return reply_len > 12 ? (unsigned)atoi(reply_text + 9) : 0;
}

__attribute__((unused)) static const char *reply_body(void)
{
	const char *at = strstr(reply_text, "\r\n\r\n");

	return at ? at + 4 : "";
}

#endif
