/* SPDX-License-Identifier: MIT */
/*
 * The output. Lines are put together by hand in one large buffer: there may be
 * a million of them, and this is the one part that nobody does beside us.
 */
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OUT_BYTES (64 << 10)

struct out {
	int fd;
	int err; /* -errno of the first write that failed */
	unsigned width;
	size_t used;
	char bytes[OUT_BYTES];
};

static void flush(struct out *o)
{
	size_t done = 0;

	while (done < o->used && !o->err) {
		ssize_t n = write(o->fd, o->bytes + done, o->used - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			o->err = -errno;
	}
	o->used = 0;
}

static void put(struct out *o, const char *s, size_t len)
{
	while (len) {
		size_t n = OUT_BYTES - o->used;

		if (n > len)
			n = len;
		memcpy(o->bytes + o->used, s, n);
		o->used += n;
		s += n;
		len -= n;
		if (o->used == OUT_BYTES)
			flush(o);
	}
}

/* A number at the right end of its column. */
static void put_number(struct out *o, uint64_t n)
{
	char digits[32];
	char *end = digits + sizeof(digits), *p = end;

	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	while (p > digits && end - p < (ptrdiff_t)o->width)
		*--p = ' ';
	put(o, p, (size_t)(end - p));
}

static void put_line(struct out *o, const struct count *c, const char *name,
		     size_t len)
{
	put_number(o, c->lines);
	put(o, " ", 1);
	put_number(o, c->words);
	put(o, " ", 1);
	put_number(o, c->bytes);
	if (name) {
		put(o, " ", 1);
		put(o, name, len);
	}
	put(o, "\n", 1);
}

static bool is_file(const struct file *f)
{
	return f->kind != FILE_MESSAGE && !f->dropped;
}

static unsigned width_of(const struct list *list)
{
	uint64_t sum = 0;
	unsigned width = 1, least = 1;

	for (size_t i = 0; i < list->count; i++) {
		const struct file *f = &list->files[i];

		if (f->wide)
			least = 7;
		else if (is_file(f))
			sum += f->size;
	}
	for (; sum >= 10; sum /= 10)
		width++;
	return width > least ? width : least;
}

static void message(struct out *o, const struct file *f)
{
	/* Where both go to one place, they stay in order. */
	flush(o);
	fprintf(stderr, "wordcount: %s: %s\n", f->path ? f->path : "-",
		f->err == FILE_LOST ? "lost with the worker that counted it"
				    : strerror(f->err));
}

int output_list(const struct list *list, int fd, bool only_total,
		struct output_sums *ret)
{
	static struct out o;
	size_t files = 0;

	o = (struct out){.fd = fd, .width = width_of(list)};
	*ret = (struct output_sums){0};
	for (size_t i = 0; i < list->count; i++) {
		const struct file *f = &list->files[i];

		files += is_file(f);
		if (f->err) {
			ret->failures++;
			message(&o, f);
		}
		if (!f->opened)
			continue;
		ret->files++;
		ret->count.lines += f->count.lines;
		ret->count.words += f->count.words;
		ret->count.bytes += f->count.bytes;
		if (!only_total)
			put_line(&o, &f->count, f->path, f->path_len);
	}
	if (files > 1 || only_total)
		put_line(&o, &ret->count, "total", 5);
	flush(&o);
	return o.err;
}
