/* SPDX-License-Identifier: MIT */
/*
 * gnuplot(1), run as a program: a script in, a picture out, as SVG that becomes
 * part of an HTML page. Script and picture are files without a name.
 */
#include "gnuplot.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* 0 when it ran well, -errno when it could not be run, else its status. */
static int run(FILE *script, FILE *out)
{
	char *const argv[] = {(char[]){"gnuplot"}, (char[]){"-d"},
			      (char[]){"-"}, NULL};
	posix_spawn_file_actions_t actions;
	int rc, status;
	pid_t pid;

	fflush(script);
	rewind(script);
	rc = posix_spawn_file_actions_init(&actions);
	if (rc)
		return -rc;
	posix_spawn_file_actions_adddup2(&actions, fileno(script), 0);
	posix_spawn_file_actions_adddup2(&actions, fileno(out), 1);
	rc = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (rc)
		return -rc;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status;
}

FILE *gnuplot_begin(unsigned width, unsigned height)
{
	FILE *script = tmpfile();

	if (!script) {
		fprintf(stderr, "forkring-bench: no temporary file: %s\n",
			strerror(errno));
		exit(1);
	}
	fprintf(script,
		"set terminal svg size %u,%u font 'sans-serif,13' noenhanced\n",
		width, height);
	return script;
}

/* What means something to gnuplot or in SVG gives way. */
static void put(FILE *script, char c)
{
	bool odd = (unsigned char)c < 0x20 || (unsigned char)c >= 0x7f ||
		   strchr("'`\\<>&", c);

	fputc(odd ? '?' : c, script);
}

void gnuplot_string(FILE *script, const char *text)
{
	fputc('\'', script);
	for (; *text; text++)
		put(script, *text);
	fputc('\'', script);
}

void gnuplot_tic(FILE *script, bool first, const char *text, double at)
{
	fputs(first ? "'" : ", '", script);
	for (; *text; text++) {
		put(script, *text);
		if (*text == '%') /* this string is a format */
			fputc('%', script);
	}
	fprintf(script, "' %.9g", at);
}

/*
 * From <svg on. Each picture has the same ids, which must differ within a page;
 * its titles are names that nobody would want to see.
 */
static bool embed(const char *svg, FILE *page)
{
	static const char *const ids[] = {"id='", "id=\"", "href='#",
					  "href=\"#", "url(#"};
	static unsigned pictures;
	const char *p = strstr(svg, "<svg"), *end;
	size_t length = 1;

	if (!p || !strstr(p, "</svg>"))
		return false;
	pictures++;
	for (; *p; p += length) {
		length = 1;
		end = strncmp(p, "<title>", 7) == 0 ? strstr(p, "</title>")
						    : NULL;
		if (end) {
			length = (size_t)(end + 8 - p);
			continue;
		}
		for (unsigned i = 0; i < sizeof(ids) / sizeof(*ids); i++)
			if (strncmp(p, ids[i], strlen(ids[i])) == 0)
				length = strlen(ids[i]);
		fwrite(p, 1, length, page);
		if (length > 1)
			fprintf(page, "p%u-", pictures);
	}
	return true;
}

static char *whole(FILE *f)
{
	long size;
	char *ret;

	if (fseek(f, 0, SEEK_END) < 0 || (size = ftell(f)) < 0)
		return NULL;
	rewind(f);
	ret = calloc(1, (size_t)size + 1);
	if (ret && fread(ret, 1, (size_t)size, f) != (size_t)size) {
		free(ret);
		ret = NULL;
	}
	return ret;
}

bool gnuplot_end(FILE *script, FILE *page)
{
	FILE *out = tmpfile();
	char *svg = NULL;
	bool good = false;

	if (out && run(script, out) == 0 && (svg = whole(out)))
		good = embed(svg, page);
	if (!good)
		fprintf(stderr, "forkring-bench: gnuplot drew no picture\n");
	free(svg);
	if (out)
		fclose(out);
	fclose(script);
	return good;
}

bool gnuplot_ready(void)
{
	FILE *script = gnuplot_begin(100, 100), *out = tmpfile();
	int rc = out ? run(script, out) : -errno;

	if (rc == -ENOENT)
		fprintf(stderr, "forkring-bench: --report draws with gnuplot, "
				"which is not installed: install gnuplot-nox "
				"and run it again\n");
	else if (rc)
		fprintf(stderr,
			"forkring-bench: --report draws with gnuplot, "
			"which cannot be run: %s\n",
			rc < 0 ? strerror(-rc) : "it failed");
	if (out)
		fclose(out);
	fclose(script);
	return rc == 0;
}
