/* SPDX-License-Identifier: MIT */
/*
 * A wc to compare with, where the system's own counts by another rule: one byte
 * after the other, the rule of GNU wc 9.1 in the C locale taken literally (see
 * examples/wordcount/count.h), and wc's columns. tests/wordcount.sh compares it
 * with wc itself wherever wc is older than 9.5.
 *
 *	wc_oracle [--files0-from=FILE] [PATH...]     PATH - is standard input
 *
 * Names are printed as they are.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct sums {
	uint64_t lines;
	uint64_t words;
	uint64_t bytes;
};

static bool is_space(int c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\v' || c == '\f' ||
	       c == '\r';
}

static bool is_print(int c)
{
	return c > ' ' && c <= '~';
}

static struct sums count(FILE *f)
{
	struct sums s = {0};
	bool in_word = false;
	int c;

	while ((c = getc_unlocked(f)) != EOF) {
		s.bytes++;
		s.lines += c == '\n';
		if (is_space(c)) {
			s.words += in_word;
			in_word = false;
		} else if (is_print(c)) {
			in_word = true;
		}
	}
	s.words += in_word;
	return s;
}

static void print(const struct sums *s, int width, const char *name)
{
	printf("%*" PRIu64 " %*" PRIu64 " %*" PRIu64, width, s->lines, width,
	       s->words, width, s->bytes);
	if (name)
		printf(" %s", name);
	putchar('\n');
}

static int width_of(char **paths, size_t n)
{
	uint64_t sum = 0;
	int width = 1, least = 1;

	for (size_t i = 0; i < n; i++) {
		bool input = !paths[i] || strcmp(paths[i], "-") == 0;
		struct stat st;

		if (input ? fstat(0, &st) : stat(paths[i], &st))
			continue;
		if (S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_size;
		else
			least = 7;
	}
	for (; sum >= 10; sum /= 10)
		width++;
	return width > least ? width : least;
}

/* The names in a file, each ended by a NUL; *paths ends with NULL. */
static size_t read_names(const char *list, char ***paths)
{
	FILE *f = strcmp(list, "-") ? fopen(list, "r") : stdin;
	size_t n = 0, max = 64, size;
	char *name;

	*paths = malloc(max * sizeof(**paths));
	if (!f || !*paths) {
		perror(list);
		exit(1);
	}
	for (;;) {
		name = NULL;
		size = 0;
		if (getdelim(&name, &size, '\0', f) < 0)
			break;
		if (n + 1 == max) {
			max *= 2;
			*paths = realloc(*paths, max * sizeof(**paths));
			if (!*paths)
				abort();
		}
		(*paths)[n++] = name;
	}
	free(name);
	(*paths)[n] = NULL;
	if (f != stdin)
		fclose(f);
	return n;
}

static int count_all(char **paths, size_t n)
{
	int width = width_of(paths, n), status = 0;
	struct sums total = {0};

	for (size_t i = 0; i < n; i++) {
		bool input = !paths[i] || strcmp(paths[i], "-") == 0;
		FILE *f = input ? stdin : fopen(paths[i], "r");
		struct sums s;

		if (!f) {
			fprintf(stderr, "wc_oracle: %s: %s\n", paths[i],
				strerror(errno));
			status = 1;
			continue;
		}
		s = count(f);
		total.lines += s.lines;
		total.words += s.words;
		total.bytes += s.bytes;
		print(&s, width, paths[i]);
		if (!input)
			fclose(f);
	}
	if (n > 1)
		print(&total, width, "total");
	return fflush(stdout) ? 1 : status;
}

int main(int argc, char **argv)
{
	static const char option[] = "--files0-from=";
	char **paths = argv + 1;
	size_t n = argc > 1 ? (size_t)(argc - 1) : 1;
	char *none[] = {NULL};

	if (argc < 2)
		paths = none;
	else if (strncmp(paths[0], option, strlen(option)) == 0)
		n = read_names(paths[0] + strlen(option), &paths);
	return count_all(paths, n);
}
