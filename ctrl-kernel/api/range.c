/* SPDX-License-Identifier: BSD-2-Clause */
/* Ranges of bytes in headers (api.h). */
#include <string.h>
#include "ctrl-kernel/api/api.h"

static bool digits(const char **at, uint64_t *out)
{
	const char *start = *at;

	for (*out = 0; **at >= '0' && **at <= '9'; (*at)++)
		if (__builtin_mul_overflow(*out, 10, out) ||
		    __builtin_add_overflow(*out, (uint64_t)(**at - '0'), out))
			return false;
	return *at != start;
}

bool api_range(const char *text, uint64_t size, uint64_t *from, uint64_t *end)
{
	uint64_t last;

	if (strncmp(text, "bytes=", 6) != 0)
		return false;
	text += 6;
	if (*text == '-') { /* so many at the end */
		text++;
		if (!digits(&text, &last) || *text)
			return false;
		*from = last < size ? size - last : 0;
		*end = last ? size : 0; /* none at all cannot be sent */
		return true;
	}
	if (!digits(&text, from) || *text++ != '-')
		return false;
	*end = size;
	if (!*text)
		return true;
	if (!digits(&text, &last) || *text || last < *from)
		return false;
	if (last < size)
		*end = last + 1;
	return true;
}

bool api_content_range(const char *text, uint64_t *from, uint64_t *end)
{
	uint64_t last, size;

	if (strncmp(text, "bytes ", 6) != 0)
		return false;
	text += 6;
	if (!digits(&text, from) || *text++ != '-' || !digits(&text, &last) || *text++ != '/')
		return false;
	if (strcmp(text, "*") != 0 && (!digits(&text, &size) || *text || last >= size))
		return false;
	if (last < *from || last == UINT64_MAX)
		return false;
	*end = last + 1;
	return true;
}
