/* SPDX-License-Identifier: MIT */
/* The command line, and the cases that it chooses. */
#include "options.h"

#include "payload.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 2
#define KILLS_MAX 100000

static _Noreturn void usage(const char *what, const char *value,
			    const char *want)
{
	fprintf(stderr, "forkring-bench: %s%s%s: %s (see --help)\n", what,
		value ? " " : "", value ? value : "", want);
	exit(EXIT_USAGE);
}

static const char help[] =
	"Usage: forkring-bench [OPTION]...\n"
	"Measure forkring beside others at the same work, in turns.\n"
	"\n"
	"  --quick          fewer and shorter rounds: under a minute in all\n"
	"  --workload NAME  only stream, rtt, fanin, farm or recover (may be\n"
	"                   repeated)\n"
	"  --peer NAME      only this one (may be repeated)\n"
	"  --size N         messages of N bytes (may be repeated)\n"
	"  --mode NAME      round trips: only poll or sleep\n"
	"  --producers N    fan-in from N, 1 to 64\n"
	"  --workers N      farm of N, 1 to 64\n"
	"  --rounds N       rounds of each case: 5, or 3 with --quick\n"
	"  --kills N        of each case of recover, at least: 500, or 50 with\n"
	"                   --quick\n"
	"  --seconds S      measured in each round: 0.4, or 0.12 with --quick\n"
	"  --watchdog S     end what takes so much longer than that: 20\n"
	"  --json FILE      also write the figures there, one object a line\n"
	"  --report DIR     make a page of them: DIR/index.html, with plots\n"
	"  --compare FILE   compare them with those of an older run\n"
	"  --from FILE      measure nothing: take the figures for --report and\n"
	"                   --compare from there\n"
	"  --list           show the chosen peers and cases, measure nothing\n"
	"  --help           this text\n";

static double number(const char *option, const char *text, double min,
		     double max, const char *want)
{
	char *end;
	double v;

	errno = 0;
	v = strtod(text, &end);
	if (end == text || *end || errno || !(v >= min && v <= max))
		usage(option, text, want);
	return v;
}

static unsigned whole(const char *option, const char *text, unsigned max,
		      const char *want)
{
	double v = number(option, text, 1, max, want);

	if (v != (double)(unsigned)v)
		usage(option, text, want);
	return (unsigned)v;
}

/* Options for which lines are read again. */
static const char *reads_lines(const char *option, const char *value)
{
#ifndef FR_JANSSON
	usage(option, NULL, "built without jansson: install libjansson-dev and "
			    "build again");
#endif
	(void)option;
	return value;
}

static void choose_workload(struct choice *ch, const char *name)
{
	for (unsigned i = 0; i < WORKLOADS; i++) {
		if (strcmp(name, workload_names[i]) == 0) {
			ch->workload[i] = ch->any_workload = true;
			return;
		}
	}
	usage("--workload", name, "give stream, rtt, fanin, farm or recover");
}

static void choose_peer(struct choice *ch, const char *name)
{
	for (unsigned i = 0; peers[i]; i++) {
		if (strcmp(name, peers[i]->name) != 0)
			continue;
		for (unsigned k = 0; k < ch->peers; k++)
			if (ch->peer[k] == peers[i])
				return;
		if (ch->peers < PEERS_MAX)
			ch->peer[ch->peers++] = peers[i];
		return;
	}
	usage("--peer", name, "no such peer; --list shows them");
}

static void choose_size(struct choice *ch, const char *text)
{
	static const char want[] = "give a multiple of 8 from 8 to 4096";
	unsigned size = whole("--size", text, PAYLOAD_MAX, want);

	if (size % 8)
		usage("--size", text, want);
	if (ch->sizes == CHOICES_MAX)
		usage("--size", text, "that is too many sizes: at most 16");
	ch->size[ch->sizes++] = size;
}

static void choose_mode(struct choice *ch, const char *name)
{
	if (strcmp(name, "poll") == 0)
		ch->mode = POLL;
	else if (strcmp(name, "sleep") == 0)
		ch->mode = SLEEP;
	else
		usage("--mode", name, "give poll or sleep");
}

void options_parse(struct choice *ch, int argc, char **argv)
{
	static const char procs[] = "give a number from 1 to 64";
	static const char seconds[] = "give seconds, from 0.01 to 60";
	static const struct option options[] = {
		{"workload", required_argument, NULL, 'w'},
		{"peer", required_argument, NULL, 'p'},
		{"size", required_argument, NULL, 's'},
		{"mode", required_argument, NULL, 'm'},
		{"producers", required_argument, NULL, 'P'},
		{"workers", required_argument, NULL, 'W'},
		{"rounds", required_argument, NULL, 'r'},
		{"kills", required_argument, NULL, 'k'},
		{"seconds", required_argument, NULL, 't'},
		{"watchdog", required_argument, NULL, 'd'},
		{"json", required_argument, NULL, 'j'},
		{"report", required_argument, NULL, 'R'},
		{"compare", required_argument, NULL, 'C'},
		{"from", required_argument, NULL, 'F'},
		{"quick", no_argument, NULL, 'q'},
		{"list", no_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int o;

	*ch = (struct choice){.mode = -1, .watchdog = 20};
	opterr = 0;
	while ((o = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		switch (o) {
		case 'w':
			choose_workload(ch, optarg);
			break;
		case 'p':
			choose_peer(ch, optarg);
			break;
		case 's':
			choose_size(ch, optarg);
			break;
		case 'm':
			choose_mode(ch, optarg);
			break;
		case 'P':
			ch->producers = whole("--producers", optarg, PROCS_MAX,
					      procs);
			break;
		case 'W':
			ch->workers = whole("--workers", optarg, PROCS_MAX,
					    procs);
			break;
		case 'r':
			ch->rounds = whole("--rounds", optarg, ROUNDS_MAX,
					   "give a number from 1 to 99");
			break;
		case 'k':
			ch->kills = whole("--kills", optarg, KILLS_MAX,
					  "give a number from 1 to 100000");
			break;
		case 't':
			ch->seconds = number("--seconds", optarg, 0.01, 60,
					     seconds);
			break;
		case 'd':
			ch->watchdog = number("--watchdog", optarg, 0.1, 3600,
					      "give seconds, from 0.1 to 3600");
			break;
		case 'j':
			ch->json = optarg;
			break;
		case 'R':
			ch->report = reads_lines("--report", optarg);
			break;
		case 'C':
			ch->compare = reads_lines("--compare", optarg);
			break;
		case 'F':
			ch->from = reads_lines("--from", optarg);
			break;
		case 'q':
			ch->quick = true;
			break;
		case 'l':
			ch->list = true;
			break;
		case 'h':
			fputs(help, stdout);
			exit(0);
		case ':':
			usage(argv[optind - 1], NULL, "its value is missing");
		default:
			usage(argv[optind - 1], NULL, "no such option");
		}
	}
	if (optind < argc)
		usage(argv[optind], NULL, "only options are taken");
	if (ch->from && !ch->report && !ch->compare)
		usage("--from", ch->from, "give --report or --compare as well");
	if (ch->from && ch->json)
		usage("--json", ch->json, "--from measures nothing to write");
	for (unsigned i = 0; i < WORKLOADS && !ch->any_workload; i++)
		ch->workload[i] = true;
	if (ch->peers == 0)
		for (; peers[ch->peers]; ch->peers++)
			ch->peer[ch->peers] = peers[ch->peers];
}

/* ---- the cases ---- */

static void add(struct cases *cases, const struct choice *ch,
		struct bench_case c)
{
	if (ch->mode >= 0 && c.workload == RTT && c.mode != (enum mode)ch->mode)
		return;
	if (cases->n < CASES_MAX)
		cases->c[cases->n++] = c;
}

/* The usual sizes of a workload, unless some were chosen. */
static unsigned sizes_of(const struct choice *ch, enum workload w,
			 size_t *sizes)
{
	static const size_t usual[WORKLOADS][CHOICES_MAX] = {
		[STREAM] = {8, 64, 256, 1024, 4096},
		[RTT] = {8, 40, 64},
		[FANIN] = {64},
		[FARM] = {8, 64},
		[RECOVER] = {64},
	};
	unsigned n = 0;

	if (ch->sizes) {
		memcpy(sizes, ch->size, sizeof(ch->size));
		return ch->sizes;
	}
	memcpy(sizes, usual[w], sizeof(usual[w]));
	while (n < CHOICES_MAX && sizes[n])
		n++;
	return n;
}

static void add_stream(struct cases *cases, const struct choice *ch,
		       size_t size)
{
	add(cases, ch,
	    (struct bench_case){STREAM, ADAPTIVE, CROSS, size, 1, 0});
}

static void add_rtt(struct cases *cases, const struct choice *ch, size_t size)
{
	add(cases, ch, (struct bench_case){RTT, POLL, CROSS, size, 1, 0});
	add(cases, ch, (struct bench_case){RTT, SLEEP, CROSS, size, 1, 0});
	add(cases, ch, (struct bench_case){RTT, SLEEP, SAME, size, 1, 0});
}

static void add_fanin(struct cases *cases, const struct choice *ch, size_t size)
{
	static const unsigned usual[] = {3, 8, 32};
	struct bench_case c = {FANIN, ADAPTIVE, UNPINNED, size, 0, 0};

	for (unsigned i = 0; i < (ch->producers ? 1 : 3); i++) {
		c.producers = ch->producers ? ch->producers : usual[i];
		add(cases, ch, c);
	}
}

static void add_farm(struct cases *cases, const struct choice *ch, size_t size)
{
	static const unsigned usual[] = {2, 4};
	struct bench_case c = {FARM, ADAPTIVE, UNPINNED, size, 1, 0};

	for (unsigned i = 0; i < (ch->workers ? 1 : 2); i++) {
		c.workers = ch->workers ? ch->workers : usual[i];
		add(cases, ch, c);
	}
}

static void add_recover(struct cases *cases, const struct choice *ch,
			size_t size)
{
	struct bench_case c = {RECOVER, ADAPTIVE, UNPINNED, size, 0, 0};

	for (unsigned i = 0; i < 4; i++) {
		c.supervised = i < 2;
		c.loss = i % 2 ? LOSS_CLAIM : LOSS_TASK;
		c.producers = c.loss == LOSS_CLAIM ? 3 : 1;
		c.workers = c.loss == LOSS_TASK ? 2 : 0;
		add(cases, ch, c);
	}
}

void options_cases(struct cases *cases, const struct choice *ch)
{
	static void (*const adders[WORKLOADS])(
		struct cases *, const struct choice *, size_t) = {
		[STREAM] = add_stream,
		[RTT] = add_rtt,
		[FANIN] = add_fanin,
		[FARM] = add_farm,
		[RECOVER] = add_recover,
	};
	size_t sizes[CHOICES_MAX];

	cases->n = 0;
	for (unsigned w = 0; w < WORKLOADS; w++) {
		unsigned n = ch->workload[w] ? sizes_of(ch, w, sizes) : 0;

		for (unsigned i = 0; i < n; i++)
			adders[w](cases, ch, sizes[i]);
	}
}
