/* SPDX-License-Identifier: BSD-2-Clause */
/* See kept.h; and /v1/host/configuration/kept. */
#include "ctrl-kernel/api/kept.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ctrl-kernel/api/api.h"
#include "ctrl-kernel/ops/lasting.h"

#define ID_MAX 17u /* 16 hex digits */

static struct kept {
	const char *list;
	char *text;    /* [owns] */
	char why[192]; /* "": not known */
	char id[ID_MAX];
	struct kept *next;
} * first;

/* Follows from what it is, so that it stays the same in the next instance, and after a reboot. */
static void make_id(struct kept *k)
{
	uint64_t x = 0xcbf29ce484222325; /* FNV-1a */

	for (const char *c = k->list; *c; c++)
		x = (x ^ (uint8_t)*c) * 0x100000001b3;
	for (const char *c = k->text; *c; c++)
		x = (x ^ (uint8_t)*c) * 0x100000001b3;
	snprintf(k->id, sizeof(k->id), "%016llx", (unsigned long long)x);
}

bool kept_add(const char *list, char *text, const char *why)
{
	struct kept **at = &first, *k = calloc(1, sizeof(*k));

	if (!text || !k) {
		free(text);
		free(k);
		return false;
	}
	k->list = list;
	k->text = text;
	snprintf(k->why, sizeof(k->why), "%s", why ? why : "");
	make_id(k);
	while (*at)
		at = &(*at)->next;
	*at = k;
	return true;
}

bool kept_any(void)
{
	return first != NULL;
}

void kept_write(struct out *o, const char *list)
{
	out_array(o, list);
	for (const struct kept *k = first; k; k = k->next)
		if (strcmp(k->list, list) == 0)
			out_json(o, NULL, k->text);
	out_close(o, ']');
}

/* ---- resources ---- */

static const char *kind_of(const struct kept *k)
{
	if (strcmp(k->list, KEPT_IMAGES) == 0)
		return "image";
	return strcmp(k->list, KEPT_NETWORKS) == 0 ? "network" : "vm";
}

static void write_kept(struct out *o, const struct kept *k)
{
	out_object(o, NULL);
	out_str(o, "id", k->id);
	out_str(o, "kind", kind_of(k));
	out_optional(o, "detail", k->why);
	out_json(o, "value", k->text);
	out_close(o, '}');
}

static struct kept **find(struct api_call *call)
{
	struct kept **at = &first;
	char detail[128];

	while (*at && strcmp((*at)->id, call->name) != 0)
		at = &(*at)->next;
	if (*at)
		return at;
	snprintf(detail, sizeof(detail), "nothing with the id \"%.40s\" is kept", call->name);
	api_reply_problem(call, 404, detail,
			  "Link: </v1/host/configuration/kept>; rel=\"collection\"\r\n");
	return NULL;
}

void api_kept_list(struct api_call *call)
{
	struct buf b = {0};
	struct out o = {.b = &b};

	out_object(&o, NULL);
	out_array(&o, "items");
	for (const struct kept *k = first; k; k = k->next)
		write_kept(&o, k);
	out_close(&o, ']');
	out_close(&o, '}');
	api_reply_json(call, 200, &b, "");
}

void api_kept_get(struct api_call *call)
{
	struct kept **at = find(call);
	struct buf b = {0};
	struct out o = {.b = &b};

	if (!at)
		return;
	write_kept(&o, *at);
	api_reply_json(call, 200, &b, "");
}

/* Answered when the disk does not have it any more. */
void api_kept_delete(struct api_call *call)
{
	struct kept **at = find(call), *k = at ? *at : NULL;

	if (!k)
		return;
	*at = k->next;
	free(k->text);
	free(k);
	lasting_changed();
	api_reply_empty(call);
}
