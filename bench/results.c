/* SPDX-License-Identifier: MIT */
/*
 * The JSON lines of a run, read again. A case is all of a line's fields but the
 * peer, the metric, figures and the machine; a field that this file has never
 * heard of belongs to it too. Fields that say nothing (0, false, null, a single
 * send, no placement) are left out of it, so that a line of a build that did not
 * have them yet is of the same case.
 */
#include "results.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT	  1
#define LINES_MAX 50000 /* arrays of so many are put on stacks */

static const char *const not_of_case[] = {
	"format", "peer",   "versus", "metric",	  "unit",    "median",
	"min",	  "max",    "rounds", "kills",	  "outcome", "pinned",
	"cpu",	  "kernel", "commit", "governor", "repeated", "fell_to",
};

static bool says_nothing(const json_t *value)
{
	const char *text = json_string_value(value);

	if (text)
		return *text == '\0' || strcmp(text, "single") == 0 ||
		       strcmp(text, "none") == 0;
	if (json_is_number(value))
		return json_number_value(value) == 0;
	return !json_is_true(value);
}

static bool of_case(const char *name, const json_t *value)
{
	if (says_nothing(value) ||
	    (name[0] == 'p' && isdigit((unsigned char)name[1])))
		return false;
	for (size_t i = 0; i < sizeof(not_of_case) / sizeof(*not_of_case); i++)
		if (strcmp(name, not_of_case[i]) == 0)
			return false;
	return true;
}

char *case_key(const json_t *json, const char *but, const char *nor)
{
	json_t *key = json_object(), *value;
	const char *name;
	char *ret;

	json_object_foreach((json_t *)json, name, value) {
		if (of_case(name, value) && (!but || strcmp(name, but) != 0) &&
		    (!nor || strcmp(name, nor) != 0))
			json_object_set(key, name, value);
	}
	ret = json_dumps(key, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(key);
	return ret;
}

/* ---- words ---- */

static void strip(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

const char *figure_words(double v, const char *unit, char *text, size_t size)
{
	static const char *const times[] = {"ns", "us", "ms", "s"};
	static const char *const bytes[] = {"bytes", "KiB", "MiB", "GiB"};
	static const char *const counts[] = {"", "k", "M", "G"};
	const char *const *names = counts;
	double step = 1000;
	unsigned i = 0;
	int digits = 0;

	if (!isfinite(v)) {
		snprintf(text, size, "-");
		return text;
	}
	if (strcmp(unit, "fraction") == 0) {
		snprintf(text, size, "%.3g %%", 100 * v);
		return text;
	}
	if (strcmp(unit, "1") == 0) {
		snprintf(text, size, "%.*f", v < 0.1 ? 4 : 2, v);
		return text;
	}
	if (strcmp(unit, "ns") == 0)
		names = times;
	else if (strcmp(unit, "bytes") == 0)
		names = bytes, step = 1024;
	while (i < 3 && fabs(v) >= step - 0.5) {
		v /= step;
		i++;
	}
	if (v != floor(v))
		digits = fabs(v) < 9.995 ? 2 : fabs(v) < 99.95;
	if (v != 0 && (fabs(v) < 0.095 || fabs(v) >= 1e6))
		snprintf(text, size, "%.2g %s", v, names[i]);
	else
		snprintf(text, size, "%.*f %s", digits, v, names[i]);
	if (names != counts)
		return text;
	/* Whether messages or tasks is known from the case. */
	if (strcmp(unit, "bytes/s") == 0)
		unit = "B/s";
	else if (strcmp(unit, "msg/s") == 0 || strcmp(unit, "task/s") == 0 ||
		 strcmp(unit, "1/s") == 0)
		unit = "/s";
	snprintf(text + strlen(text), size - strlen(text), "%s", unit);
	return text;
}

const char *result_field(const struct result *r, const char *name, char *text,
			 size_t size)
{
	const json_t *value = json_object_get(r->json, name);

	if (json_is_string(value))
		snprintf(text, size, "%s", json_string_value(value));
	else if (json_is_number(value))
		snprintf(text, size, "%.10g", json_number_value(value));
	else
		*text = '\0';
	strip(text);
	return text;
}

/* One field of a case, as one says it. */
static void field_words(const char *name, const json_t *value, char *text,
			size_t size)
{
	static const char *const words[][3] = {
		{"placement", "cross", "across two CPUs"},
		{"placement", "same", "on one CPU"},
		{"style", "in_place", "in place"},
		{"in_hand", "task", "killed with a task in hand"},
		{"in_hand", "claim", "killed with a claim in hand"},
	};
	const char *string = json_string_value(value);
	double v = json_number_value(value);
	char number[48];

	if (string) {
		snprintf(text, size, "%s", string);
		for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
			if (strcmp(name, words[i][0]) == 0 &&
			    strcmp(string, words[i][1]) == 0)
				snprintf(text, size, "%s", words[i][2]);
	} else if (json_is_true(value)) {
		snprintf(text, size, "with %s", name);
	} else if (strcmp(name, "size") == 0) {
		snprintf(text, size, "%s",
			 figure_words(v, "bytes", number, sizeof(number)));
	} else if (strcmp(name, "task_ns") == 0) {
		snprintf(text, size, "tasks of %s",
			 figure_words(v, "ns", number, sizeof(number)));
	} else if (strcmp(name, "load") == 0) {
		snprintf(text, size, "%g %% load", v);
	} else if (v == 1 && *name && name[strlen(name) - 1] == 's') {
		snprintf(text, size, "1 %.*s", (int)strlen(name) - 1, name);
	} else {
		snprintf(text, size, "%.10g %s", v, name);
	}
}

static bool goes_without_saying(const char *name, const json_t *value)
{
	const char *text = json_string_value(value);

	return strcmp(name, "workload") == 0 ||
	       (strcmp(name, "producers") == 0 &&
		json_number_value(value) == 1) ||
	       (text && strcmp(text, "adaptive") == 0);
}

const char *case_words(const struct result *r, const char *but, char *text,
		       size_t size)
{
	size_t used = (size_t)snprintf(text, size, "%s", r->workload);
	const char *name;
	json_t *value;
	char word[96];

	json_object_foreach(r->json, name, value) {
		if (!of_case(name, value) || goes_without_saying(name, value) ||
		    (but && strcmp(name, but) == 0))
			continue;
		field_words(name, value, word, sizeof(word));
		if (used < size)
			used += (size_t)snprintf(text + used, size - used,
						 ", %s", word);
	}
	strip(text);
	return text;
}

int result_direction(const struct result *r)
{
	/* How even it was, and what was asked for. */
	if (strncmp(r->metric, "share", 5) == 0 ||
	    strcmp(r->metric, "offered") == 0 || strcmp(r->unit, "1") == 0 ||
	    *r->unit == '\0')
		return 0;
	return strchr(r->unit, '/') ? 1 : -1;
}

/* ---- reading ---- */

static void *need(void *memory)
{
	if (memory)
		return memory;
	fprintf(stderr, "forkring-bench: no memory\n");
	exit(1);
}

static char *string_of(const json_t *json, const char *name)
{
	const char *value = json_string_value(json_object_get(json, name));
	char *ret = need(strdup(value ? value : ""));

	strip(ret);
	return ret;
}

static double number_of(const json_t *json, const char *name)
{
	const json_t *value = json_object_get(json, name);

	return json_is_number(value) ? json_number_value(value) : NAN;
}

double result_round(const struct result *r, unsigned round)
{
	const json_t *value =
		json_array_get(json_object_get(r->json, "values"), round);

	return json_is_number(value) ? json_number_value(value) : NAN;
}

static void set_numbers(struct results *all, struct result *r)
{
	unsigned i;

	for (i = all->count; i > 0; i--)
		if (strcmp(all->r[i - 1].key, r->key) == 0)
			break;
	r->group = i ? all->r[i - 1].group : all->groups++;
	for (i = all->count; i > 0; i--)
		if (strcmp(all->r[i - 1].peer, r->peer) == 0)
			break;
	r->who = i ? all->r[i - 1].who : all->peers++;
}

/* Takes text and json over. */
static void add(struct results *all, unsigned line, char *text, json_t *json)
{
	struct result *r;

	/* Room for 1, 2, 4, 8, ... */
	if ((all->count & (all->count - 1)) == 0)
		all->r = need(realloc(all->r,
				      (2 * all->count + 1) * sizeof(*all->r)));
	r = &all->r[all->count];
	*r = (struct result){
		.line = line,
		.text = text,
		.json = json,
		.key = need(case_key(json, NULL, NULL)),
		.peer = string_of(json, "peer"),
		.workload = string_of(json, "workload"),
		.metric = string_of(json, "metric"),
		.unit = string_of(json, "unit"),
		.outcome = string_of(json, "outcome"),
		.versus = string_of(json, "versus"),
		.median = number_of(json, "median"),
		.min = number_of(json, "min"),
		.max = number_of(json, "max"),
		.rounds = (unsigned)json_array_size(
			json_object_get(json, "values")),
	};
	set_numbers(all, r);
	all->count++;
}

static bool bad_line(const char *name, unsigned line, const char *why)
{
	fprintf(stderr,
		"forkring-bench: %s:%u: no line of results (%s): give "
		"a file that --json wrote\n",
		name, line, why);
	return false;
}

static bool take(struct results *all, const char *name, unsigned line,
		 const char *text, size_t size)
{
	static const char *const strings[] = {"peer", "workload", "metric"};
	json_error_t error = {.text = ""};
	json_t *json = json_loadb(text, size, 0, &error), *format;
	bool good = false;

	strip(error.text); /* it quotes the line */
	if (!json)
		return bad_line(name, line, error.text);
	format = json_object_get(json, "format");
	if (!json_is_integer(format)) {
		bad_line(name, line, "it has no format");
	} else if (json_integer_value(format) != FORMAT) {
		fprintf(stderr,
			"forkring-bench: %s:%u: format %lld; this "
			"forkring-bench reads format %d: measure again "
			"with this one\n",
			name, line, (long long)json_integer_value(format),
			FORMAT);
	} else if (all->count == LINES_MAX) {
		bad_line(name, line, "there are too many");
	} else {
		good = true;
		for (unsigned i = 0; i < 3 && good; i++)
			if (!json_is_string(json_object_get(json, strings[i])))
				good = bad_line(name, line,
						"it has no peer, "
						"workload or "
						"metric");
	}
	if (good)
		add(all, line, need(strndup(text, size)), json);
	else
		json_decref(json);
	return good;
}

bool results_read(struct results *ret, FILE *f, const char *name)
{
	size_t size = 0, length;
	char *text = NULL;
	unsigned line = 0;
	bool good = true;
	ssize_t n;

	*ret = (struct results){0};
	errno = 0;
	while (good && (n = getline(&text, &size, f)) > 0) {
		length = (size_t)n;
		line++;
		if (text[length - 1] == '\n')
			length--;
		good = take(ret, name, line, text, length);
	}
	if (good && ferror(f)) {
		fprintf(stderr,
			"forkring-bench: cannot read %s: %s: give a "
			"file that --json wrote\n",
			name, strerror(errno));
		good = false;
	} else if (good && ret->count == 0) {
		fprintf(stderr,
			"forkring-bench: %s holds no results: give a "
			"file that --json wrote\n",
			name);
		good = false;
	}
	free(text);
	if (!good)
		results_free(ret);
	return good;
}

bool results_open(struct results *ret, const char *path)
{
	FILE *f = fopen(path, "re");
	bool good;

	if (!f) {
		fprintf(stderr,
			"forkring-bench: cannot read %s: %s: give a "
			"file that --json wrote\n",
			path, strerror(errno));
		return false;
	}
	good = results_read(ret, f, path);
	fclose(f);
	return good;
}

void results_free(struct results *all)
{
	for (unsigned i = 0; i < all->count; i++) {
		struct result *r = &all->r[i];

		json_decref(r->json);
		free(r->text);
		free(r->key);
		free(r->peer);
		free(r->workload);
		free(r->metric);
		free(r->unit);
		free(r->outcome);
		free(r->versus);
	}
	free(all->r);
	*all = (struct results){0};
}

const struct result *results_find(const struct results *all, unsigned group,
				  const char *peer, const char *metric,
				  const char *versus)
{
	for (unsigned i = all->count; i-- > 0;) {
		const struct result *r = &all->r[i];

		if (r->group == group && strcmp(r->peer, peer) == 0 &&
		    strcmp(r->metric, metric) == 0 &&
		    strcmp(r->versus, versus) == 0)
			return r;
	}
	return NULL;
}
