/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a guest may write to our terminal. The input is untrusted, byte for byte. States follow
 * ECMA-48: a control sequence is ESC [ parameters (0x30..0x3f) intermediates (0x20..0x2f) and a
 * final byte (0x40..0x7e); strings (OSC, DCS, APC, PM, SOS) run until ST or BEL. */
#include "filter.h"

#include "utf8.h"

#include <stdbool.h>
#include <string.h>

enum {
	GROUND,
	UTF8,	      /* within a character */
	ESCAPE,	      /* ESC seen */
	ESCAPE_MORE,  /* ESC and an intermediate byte: dropped with its final byte */
	SEQUENCE,     /* within ESC [ */
	BAD_SEQUENCE, /* the same, already refused: dropped up to its final byte */
	STRING,	      /* within a string that is dropped */
	STRING_ESC    /* ESC within it */
};

enum { ESC = 0x1b, BEL = 0x07, CAN = 0x18, SUB = 0x1a };
/* A string without an end must not swallow a session. */
enum { STRING_MAX = 65536, PARAM_MAX = 9999 };

struct out {
	char *at;
};

void cli_filter_init(struct cli_filter *f, uint32_t mode)
{
	memset(f, 0, sizeof(*f));
	f->mode = mode;
}

static bool is_plain(unsigned char c)
{
	return (c >= 0x20 && c <= 0x7e) || c == '\t' || c == '\n' || c == '\r' || c == '\b' ||
	       c == BEL;
}

static void put(struct out *o, const void *bytes, size_t len)
{
	memcpy(o->at, bytes, len);
	o->at += len;
}

static void put_mark(struct out *o)
{
	put(o, "_", 1);
}

/* The next number of a parameter list: ends at ';' or at the end. -1: not a list of numbers. */
static int next_param(const unsigned char **at, const unsigned char *end)
{
	int n = 0;

	while (*at < end && **at != ';') {
		if (**at < '0' || **at > '9')
			return -1;
		n = n * 10 + (**at - '0');
		if (n > PARAM_MAX)
			return -1;
		(*at)++;
	}
	if (*at < end)
		(*at)++;
	return n;
}

/* All parameters plain numbers. */
static bool are_numbers(const unsigned char *at, const unsigned char *end)
{
	while (at < end)
		if (next_param(&at, end) < 0)
			return false;
	return true;
}

/* The private modes that only change how things are drawn or which keys are sent: 1 cursor keys,
 * 12 and 25 cursor, 1049 alternate screen, 2004 bracketed paste. Not: mouse reports, focus
 * reports, column switching, and everything that answers. */
static bool are_modes(const unsigned char *at, const unsigned char *end, uint32_t *used)
{
	if (at == end)
		return false;
	while (at < end) {
		switch (next_param(&at, end)) {
		case 1:
			*used |= CLI_SCREEN_KEYS;
			break;
		case 12:
		case 25:
			*used |= CLI_SCREEN_CURSOR;
			break;
		case 1049:
			*used |= CLI_SCREEN_OTHER;
			break;
		case 2004:
			*used |= CLI_SCREEN_PASTE;
			break;
		default:
			return false;
		}
	}
	return true;
}

/* f->held is a whole ESC [ ... FINAL: does it only draw? */
static bool is_allowed_sequence(struct cli_filter *f)
{
	const unsigned char *at = f->held + 2;
	const unsigned char *end = f->held + f->n_held - 1;
	unsigned char final = *end;
	uint32_t used = f->used;

	if (final == 'h' || final == 'l') {
		if (at == end || *at != '?' || !are_modes(at + 1, end, &used))
			return false;
	} else if (!memchr("ABCDEFGHJKLMPSTXd@fmr", final, 21) || !are_numbers(at, end)) {
		return false;
	}
	/* With more than one number it starts xterm's mouse highlighting. */
	if (final == 'T' && memchr(at, ';', (size_t)(end - at)))
		return false;
	if (final == 'm')
		used |= CLI_SCREEN_ATTRIBUTES;
	if (final == 'r')
		used |= CLI_SCREEN_REGION;
	f->used = used;
	return true;
}

static void ground_byte(struct cli_filter *f, struct out *o, unsigned char c)
{
	size_t len;

	f->state = GROUND;
	f->n_held = 0;
	if (is_plain(c)) {
		put(o, &c, 1);
		return;
	}
	if (f->mode == CLI_FILTER_PLAIN) {
		put_mark(o);
		return;
	}
	if (c == ESC) {
		f->held[f->n_held++] = c;
		f->state = ESCAPE;
		return;
	}
	len = cli_utf8_length(c);
	if (c < 0x80 || len == 0) {
		put_mark(o);
		return;
	}
	f->held[f->n_held++] = c;
	f->want = (uint32_t)len;
	f->state = UTF8;
}

static void utf8_byte(struct cli_filter *f, struct out *o, unsigned char c)
{
	uint32_t decoded;

	if ((c & 0xc0) != 0x80) {
		put_mark(o);
		ground_byte(f, o, c);
		return;
	}
	f->held[f->n_held++] = c;
	if (f->n_held < f->want)
		return;
	if (cli_utf8_decode(&decoded, f->held, f->want) && cli_utf8_printable(decoded))
		put(o, f->held, f->want);
	else
		put_mark(o);
	f->n_held = 0;
	f->state = GROUND;
}

static void escape_byte(struct cli_filter *f, struct out *o, unsigned char c)
{
	const unsigned char pair[] = { ESC, c };

	switch (c) {
	case '[':
		f->held[f->n_held++] = c;
		f->state = SEQUENCE;
		return;
	case ']': /* OSC: titles, colours, the clipboard */
	case 'P': /* DCS: DECRQSS answers */
	case '_': /* APC */
	case '^': /* PM */
	case 'X': /* SOS */
		f->dropped = 0;
		f->state = STRING;
		return;
	case '7': /* save the cursor */
	case '8': /* restore it */
	case 'M': /* reverse index */
		put(o, pair, sizeof(pair));
		break;
	case '=': /* keypad modes */
	case '>':
		f->used |= CLI_SCREEN_KEYS;
		put(o, pair, sizeof(pair));
		break;
	default:
		if (c < 0x20 || c > 0x7e) { /* a control ends the sequence and counts itself */
			ground_byte(f, o, c);
			return;
		}
		if (c <= 0x2f) {
			f->state = ESCAPE_MORE;
			return;
		}
	}
	f->n_held = 0;
	f->state = GROUND;
}

static void sequence_byte(struct cli_filter *f, struct out *o, unsigned char c)
{
	if (c < 0x20 || c > 0x7e) {
		ground_byte(f, o, c);
		return;
	}
	if (c < 0x40) {
		/* Intermediates belong to none that is allowed. One byte is kept for the final. */
		if (c < 0x30 || f->n_held + 1 >= CLI_FILTER_HELD)
			f->state = BAD_SEQUENCE;
		else
			f->held[f->n_held++] = c;
		return;
	}
	if (f->state == SEQUENCE) {
		f->held[f->n_held++] = c;
		if (is_allowed_sequence(f))
			put(o, f->held, f->n_held);
	}
	f->n_held = 0;
	f->state = GROUND;
}

static void string_byte(struct cli_filter *f, struct out *o, unsigned char c)
{
	bool ended = c == BEL || c == CAN || c == SUB || (f->state == STRING_ESC && c == '\\');

	if (f->state == STRING_ESC && c != '\\' && c != ESC && !ended) {
		/* ESC ends a string in every terminal; what follows begins anew. */
		f->n_held = 0;
		f->held[f->n_held++] = ESC;
		f->state = ESCAPE;
		escape_byte(f, o, c);
		return;
	}
	f->state = c == ESC ? STRING_ESC : STRING;
	if (ended || ++f->dropped > STRING_MAX) {
		f->n_held = 0;
		f->state = GROUND;
	}
}

size_t cli_filter(struct cli_filter *f, char *out, const void *untrusted, size_t len)
{
	const unsigned char *untrusted_bytes = untrusted;
	struct out o = { out };

	for (size_t i = 0; i < len; i++) {
		unsigned char c = untrusted_bytes[i];

		switch (f->state) {
		case UTF8:
			utf8_byte(f, &o, c);
			break;
		case ESCAPE:
			escape_byte(f, &o, c);
			break;
		case ESCAPE_MORE:
			if (c < 0x20 || c > 0x7e)
				ground_byte(f, &o, c);
			else if (c >= 0x30)
				f->state = GROUND;
			break;
		case SEQUENCE:
		case BAD_SEQUENCE:
			sequence_byte(f, &o, c);
			break;
		case STRING:
		case STRING_ESC:
			string_byte(f, &o, c);
			break;
		default:
			ground_byte(f, &o, c);
		}
	}
	return (size_t)(o.at - out);
}

size_t cli_filter_reset(const struct cli_filter *f, char out[64])
{
	static const struct {
		uint32_t used;
		const char *undo;
	} table[] = {
		{ CLI_SCREEN_REGION, "\0337\033[r\0338" }, /* [r moves the cursor */
		{ CLI_SCREEN_OTHER, "\033[?1049l" },	   { CLI_SCREEN_PASTE, "\033[?2004l" },
		{ CLI_SCREEN_KEYS, "\033[?1l\033>" },	   { CLI_SCREEN_CURSOR, "\033[?25h" },
		{ CLI_SCREEN_ATTRIBUTES, "\033[m" },
	};
	struct out o = { out };

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (f->used & table[i].used)
			put(&o, table[i].undo, strlen(table[i].undo));
	return (size_t)(o.at - out);
}
