/* SPDX-License-Identifier: MIT */
/* A run's results as one HTML page that needs nothing else. */
#ifndef BENCH_HTML_H
#define BENCH_HTML_H

#include "results.h"

struct peer;

/* What the lines do not tell. */
struct page {
	const char *dir;
	const char *command; /* that was given */
	const char *how;     /* what was measured how long, in words */
	const struct peer *const *peers; /* their notes; NULL at the end */
};

/* Can the page be made there? If not, what to do is told of on stderr. */
bool html_ready(const char *dir);

/* dir/index.html and dir/results.json. False: told of on stderr. */
bool html_write(const struct page *page, const struct results *all);

/* Text in HTML, whatever is in it. */
void html_text(FILE *f, const char *text);

#endif
