/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What was found in the configuration that lasts and could not be used (lasting_api.c): it is written again as it was, shown
 * over the API, and dropped there by whoever does not want it any more.
 */
#ifndef API_KEPT_H
#define API_KEPT_H

#include <stdbool.h>

struct out;

#define KEPT_IMAGES "kept_images"
#define KEPT_NETWORKS "kept_networks"
#define KEPT_VMS "kept_vms"

/* list: one of the above. text: the element's JSON, malloc'ed; it is taken over. why: in words; NULL: not known. False: no
 * memory; the text was freed. */
bool kept_add(const char *list, char *text, const char *why);
bool kept_any(void);
void kept_write(struct out *o, const char *list); /* the array with that key */

#endif
