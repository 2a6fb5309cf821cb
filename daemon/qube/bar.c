/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The line of progress. */
#include "bar.h"

#include "common/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A rate of less time than this would jump about. */
enum { BAR_WIDTH = 24, PART_MAX = 160, RATE_AFTER_MS = 500 };

/* Adds part if the line stays within width. */
static void add(char *out, size_t cap, unsigned int width, const char *part)
{
	size_t len = strlen(out);

	if (len + strlen(part) <= width && len + strlen(part) < cap)
		memcpy(out + len, part, strlen(part) + 1);
}

static void put_bar(char *part, size_t cap, const struct cli_bar *b)
{
	int filled = (int)((double)b->done_bytes / (double)b->total_bytes * BAR_WIDTH);
	char bar[BAR_WIDTH + 1];

	memset(bar, '#', (size_t)filled);
	memset(bar + filled, '.', (size_t)(BAR_WIDTH - filled));
	bar[BAR_WIDTH] = '\0';
	snprintf(part, cap, " [%s]", bar);
}

static void put_rate(char *rate, char *left, size_t cap, const struct cli_bar *b)
{
	uint64_t speed = b->moved_bytes * 1000 / b->moved_ms;
	uint64_t s;
	char size[32];

	cli_format_size(size, sizeof(size), speed);
	snprintf(rate, cap, ", %s/s", size);
	if (!speed)
		return;
	s = (b->total_bytes - b->done_bytes) / speed;
	snprintf(left, cap, ", %" PRIu64 ":%02" PRIu64 " left", s / 60, s % 60);
}

void cli_bar_line(char *out, size_t cap, const struct cli_bar *b, unsigned int width)
{
	char head[PART_MAX];
	char name[64];
	char stage[64];
	char bar[PART_MAX];
	char bytes[PART_MAX];
	char rate[PART_MAX] = "";
	char left[PART_MAX] = "";
	char done[32];
	char total[32];
	size_t room;

	cli_escape(name, sizeof(name), b->title);
	cli_escape(stage, sizeof(stage), b->stage);
	snprintf(head, sizeof(head), "%s: %s", name, stage);
	if (width < strlen(head))
		head[width] = '\0';
	snprintf(out, cap, "%s", head);
	if (!b->total_bytes || b->done_bytes > b->total_bytes)
		return;
	cli_format_size(done, sizeof(done), b->done_bytes);
	cli_format_size(total, sizeof(total), b->total_bytes);
	snprintf(bytes, sizeof(bytes), " %s of %s", done, total);
	put_bar(bar, sizeof(bar), b);
	if (b->moved_ms >= RATE_AFTER_MS)
		put_rate(rate, left, sizeof(rate), b);
	/* The bar gives way to the bytes behind it. */
	room = strlen(head) + strlen(bytes);
	if (room + strlen(bar) <= width)
		add(out, cap, width, bar);
	add(out, cap, width, bytes);
	add(out, cap, width, rate);
	if (*rate && strstr(out, rate))
		add(out, cap, width, left);
}
