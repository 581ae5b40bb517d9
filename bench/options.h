/* SPDX-License-Identifier: MIT */
/* What was asked for on the command line, and the cases that follow. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "bench.h"

#define EXIT_USAGE  2
#define CASES_MAX   1024
#define CHOICES_MAX 16

struct list {
	unsigned n, v[CHOICES_MAX];
};

/* What was chosen; nothing of a kind: all of it. */
struct choice {
	bool workload[WORKLOADS], any_workload;
	const struct peer *peer[PEERS_MAX];
	unsigned peers;
	struct list sizes, producers, workers, task_ns, load;
	int mode, style;	     /* of round trips, of streams; -1: all */
	unsigned rounds, kills;	     /* 0: the usual number */
	double seconds, watchdog;
	bool quick, list_peers, list_cases;
	const char *json;    /* file to write, or NULL */
	const char *report;  /* directory to write, or NULL */
	const char *compare; /* file of an older run, or NULL */
	const char *from;    /* file of a run to take instead of one, or NULL */
};

struct cases {
	struct bench_case c[CASES_MAX];
	unsigned n;
};

/* Ends the program with status 2 and one line that says what to do. */
void options_parse(struct choice *ch, int argc, char **argv);

/* cases.c: the cases that were chosen. */
void cases_choose(struct cases *cases, const struct choice *ch);

#endif
