/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside ops: what upload.c needs from the table in images.c.
 */
#ifndef OPS_IMAGE_TABLE_H
#define OPS_IMAGE_TABLE_H

#include "ctrl-kernel/ops/images.h"

int image_check_free(const struct image *image, struct ops_error *e) MUST_CHECK;
/* May an image of that name be put there? */
int image_room(const char *name, struct ops_error *e) MUST_CHECK;
/* Takes it over; frees the one that had the name, which nobody uses. -> whether there was one. */
bool image_insert(struct image *image);

#endif
