/* SPDX-License-Identifier: MIT */
/*
 * The progress bar.
 *
 *	[==============>               ]  47 %   3.21 GB/s   0:12 left
 *
 * While the walk goes on nobody knows what is still to come, so it shows how
 * many files it has found instead. A line is drawn by one write(2), over the
 * one before, with blanks where that was longer; it is cut to the terminal's
 * width, since a line that wraps cannot be drawn over.
 */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_NS	 INT64_C(100000000)
#define BAR_COLUMNS	 30
#define LINE_MAX_COLUMNS 200

int64_t progress_clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void progress_begin(struct progress *p, int fd, bool wanted)
{
	*p = (struct progress){
		.fd = wanted && isatty(fd) ? fd : -1,
		.start_ns = progress_clock_ns(),
	};
	p->last_ns = p->start_ns;
}

static unsigned columns(int fd)
{
	struct winsize w;
	unsigned n = 80;

	if (ioctl(fd, TIOCGWINSZ, &w) == 0 && w.ws_col)
		n = w.ws_col;
	return n < LINE_MAX_COLUMNS ? n : LINE_MAX_COLUMNS;
}

/* Write text over the line that is there. */
static void put(struct progress *p, const char *text, unsigned len)
{
	char line[LINE_MAX_COLUMNS * 2 + 3];
	unsigned blanks = p->drawn > len ? p->drawn - len : 0;
	unsigned n = 0;

	line[n++] = '\r';
	memcpy(line + n, text, len);
	n += len;
	memset(line + n, ' ', blanks);
	n += blanks;
	if (!len)
		line[n++] = '\r';
	/* A terminal that takes no more is no reason to stop counting. */
	if (write(p->fd, line, n) < 0)
		p->fd = -1;
	p->drawn = len;
}

static void format_rate(char *text, size_t size, double bytes_per_s)
{
	static const char units[][5] = {"B/s", "kB/s", "MB/s", "GB/s"};
	unsigned unit = 0;

	while (bytes_per_s >= 1000 && unit < 3) {
		bytes_per_s /= 1000;
		unit++;
	}
	snprintf(text, size, "%6.2f %s", bytes_per_s, units[unit]);
}

static void format_left(char *text, size_t size, double seconds)
{
	uint64_t s = seconds < 360000 ? (uint64_t)(seconds + 0.5) : 360000;

	if (s >= 3600)
		snprintf(text, size, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64,
			 s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(text, size, "%" PRIu64 ":%02" PRIu64, s / 60, s % 60);
}

static unsigned format(char *text, size_t size, double seconds,
		       const struct progress_state *s)
{
	char rate[32], left[32], bar[BAR_COLUMNS + 1];
	double part;
	unsigned filled;

	format_rate(rate, sizeof(rate), s->bytes / seconds);
	if (!s->total)
		return (unsigned)snprintf(text, size,
					  "%" PRIu64 " files found   %s",
					  s->files, rate);
	part = s->bytes < s->total ? (double)s->bytes / s->total : 1;
	filled = (unsigned)(part * BAR_COLUMNS);
	memset(bar, ' ', BAR_COLUMNS);
	memset(bar, '=', filled);
	if (filled < BAR_COLUMNS)
		bar[filled] = '>';
	bar[BAR_COLUMNS] = '\0';
	if (s->bytes)
		format_left(left, sizeof(left), seconds / part - seconds);
	else
		strcpy(left, "?");
	return (unsigned)snprintf(text, size, "[%s] %3.0f %%  %s   %s left",
				  bar, part * 100, rate, left);
}

void progress_draw(struct progress *p, const struct progress_state *s)
{
	char text[LINE_MAX_COLUMNS];
	unsigned len, width;
	int64_t now;

	if (p->fd < 0)
		return;
	now = progress_clock_ns();
	if (now - p->last_ns < REDRAW_NS)
		return;
	p->last_ns = now;
	len = format(text, sizeof(text), (now - p->start_ns) / 1e9, s);
	width = columns(p->fd) - 1;
	put(p, text, len < width ? len : width);
}

void progress_clear(struct progress *p)
{
	if (p->fd >= 0 && p->drawn)
		put(p, "", 0);
}
