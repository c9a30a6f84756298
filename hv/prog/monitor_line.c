/* SPDX-License-Identifier: BSD-2-Clause */
/* Line editor and parser of the monitor. Every byte may come, also those that no keyboard sends. */
#include "hv/prog/monitor_line.h"

#include "hv/lib/string.h"

enum key {
	KEY_ABANDON = 0x03,   /* Ctrl-C */
	KEY_BACKSPACE = 0x08, /* Ctrl-H */
	KEY_LF = 0x0a,
	KEY_CR = 0x0d,
	KEY_ESCAPE = 0x1b,
	KEY_DELETE = 0x7f
};
enum sequence { SEQUENCE_NONE, SEQUENCE_ESC, SEQUENCE_INSIDE };

#define NUMBER_DIGITS 9u /* fits into 32 bits */

void line_clear(struct line *l)
{
	l->len = 0;
	l->text[0] = 0;
}

/* Arrow keys and their like: ESC [ ... final byte (ECMA-48 5.4). True: the byte belongs to one. */
static bool in_sequence(struct line *l, uint8_t byte)
{
	if (l->sequence == SEQUENCE_INSIDE) {
		if (byte >= 0x40 && byte <= 0x7e)
			l->sequence = SEQUENCE_NONE;
		return byte >= ' ';
	}
	if (l->sequence == SEQUENCE_ESC) {
		l->sequence = byte == '[' || byte == 'O' ? SEQUENCE_INSIDE : SEQUENCE_NONE;
		return byte >= ' ';
	}
	if (byte == KEY_ESCAPE)
		l->sequence = SEQUENCE_ESC;
	return byte == KEY_ESCAPE;
}

static void add(struct line *l, uint8_t byte, const char **echo)
{
	if (l->len == LINE_MAX) {
		*echo = "\a";
		return;
	}
	l->text[l->len++] = (char)byte;
	l->text[l->len] = 0;
	*echo = &l->text[l->len - 1];
}

static void erase_one(struct line *l, const char **echo)
{
	if (l->len == 0)
		return;
	l->text[--l->len] = 0;
	*echo = "\b \b";
}

bool line_key(struct line *l, uint8_t byte, const char **echo)
{
	bool after_cr = l->after_cr;

	*echo = "";
	l->after_cr = byte == KEY_CR;
	if (in_sequence(l, byte))
		return false;
	l->sequence = SEQUENCE_NONE;
	if (byte == KEY_CR || (byte == KEY_LF && !after_cr)) {
		*echo = "\n";
		return true;
	}
	if (byte == KEY_ABANDON) {
		line_clear(l);
		*echo = "^C\n";
		return true;
	}
	if (byte == KEY_BACKSPACE || byte == KEY_DELETE) {
		erase_one(l, echo);
	} else if (byte >= ' ' && byte <= '~') {
		add(l, byte, echo);
	}
	return false;
}

/* ---- commands ---- */

static const struct {
	const char *name;
	enum monitor_verb verb;
	bool number;
} verbs[] = {
	{"help", VERB_HELP, false},       {"list", VERB_LIST, false},
	{"pause", VERB_PAUSE, true},      {"resume", VERB_RESUME, true},
	{"log", VERB_LOG, false},         {"dump", VERB_DUMP, false},
	{"restart", VERB_RESTART, false}, {"reboot", VERB_REBOOT, false},
	{"off", VERB_OFF, false},
};

/* The next word -> its length; *at behind it, *word at it. */
static size_t next_word(const char **at, const char **word)
{
	while (**at == ' ')
		(*at)++;
	*word = *at;
	while (**at && **at != ' ')
		(*at)++;
	return (size_t)(*at - *word);
}

static bool parse_number(const char *word, size_t len, uint32_t *number)
{
	uint32_t n = 0;

	if (len == 0 || len > NUMBER_DIGITS)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (word[i] < '0' || word[i] > '9')
			return false;
		n = n * 10 + (uint32_t)(word[i] - '0');
	}
	*number = n;
	return true;
}

enum monitor_verb line_parse(const char *text, uint32_t *number)
{
	const char *word;
	size_t len = next_word(&text, &word);
	unsigned i = 0;

	if (len == 0)
		return VERB_NONE;
	while (i < ARRAY_SIZE(verbs) &&
	       (strlen(verbs[i].name) != len || memcmp(verbs[i].name, word, len) != 0))
		i++;
	if (i == ARRAY_SIZE(verbs))
		return VERB_UNKNOWN;
	if (verbs[i].number) {
		len = next_word(&text, &word);
		if (!parse_number(word, len, number))
			return VERB_NEEDS_NUMBER;
	}
	return next_word(&text, &word) ? VERB_TOO_MANY : verbs[i].verb;
}
