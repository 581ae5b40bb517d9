/* SPDX-License-Identifier: MIT */
/* The command line. */
#include "options.h"

#include "payload.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define KILLS_MAX 100000
#define TASK_NS_MAX 10000000

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
	"Which cases, instead of the usual ones; these may be repeated:\n"
	"  --workload NAME  stream, rtt, fanin, farm, fanout, mesh, open, idle,\n"
	"                   memory, names, limits or recover\n"
	"  --peer NAME      see --list\n"
	"  --size N         messages of N bytes, 8 to 65536\n"
	"  --producers N    fan-in from N, mesh of N, 1 to 64\n"
	"  --workers N      farm of N, fan-out to N, 1 to 64\n"
	"  --task-ns N      farm: tasks of N nanoseconds, 0 to 10000000\n"
	"  --load N         open loop: at N percent of the peak, 1 to 100\n"
	"these may not:\n"
	"  --mode NAME      round trips: only poll or sleep\n"
	"  --style NAME     streams: only single, batched or in_place\n"
	"\n"
	"  --quick          fewer cases, fewer and shorter rounds: three minutes\n"
	"                   instead of thirty, with all peers\n"
	"  --rounds N       rounds of each case: 5, or 3 with --quick\n"
	"  --kills N        of each case of recover, at least: 500, or 50 with\n"
	"                   --quick\n"
	"  --seconds S      measured in each round: 0.2, or 0.05 with --quick\n"
	"  --watchdog S     end what takes so much longer than that: 5, or 2\n"
	"                   with --quick\n"
	"  --json FILE      also write the figures there, one object a line\n"
	"  --report DIR     make a page of them: DIR/index.html, with plots\n"
	"  --compare FILE   compare them with those of an older run\n"
	"  --from FILE      measure nothing: take the figures for --report and\n"
	"                   --compare from there\n"
	"  --list           show the chosen peers and cases, measure nothing;\n"
	"                   --list-peers, --list-workloads: only these\n"
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

static unsigned whole(const char *option, const char *text, unsigned min,
		      unsigned max, const char *want)
{
	double v = number(option, text, min, max, want);

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
	usage("--workload", name, "no such workload; --help shows them");
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

static void choose_number(struct list *list, const char *option,
			  const char *text, unsigned min, unsigned max,
			  const char *want)
{
	if (list->n == CHOICES_MAX)
		usage(option, text, "that is too many of them: at most 16");
	list->v[list->n++] = whole(option, text, min, max, want);
}

static void choose_size(struct choice *ch, const char *text)
{
	static const char want[] = "give a multiple of 8 from 8 to 65536";

	choose_number(&ch->sizes, "--size", text, 8, PAYLOAD_MAX, want);
	if (ch->sizes.v[ch->sizes.n - 1] % 8)
		usage("--size", text, want);
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

static void choose_style(struct choice *ch, const char *name)
{
	for (unsigned i = 0; i < STYLES; i++) {
		if (strcmp(name, style_names[i]) == 0) {
			ch->style = (int)i;
			return;
		}
	}
	usage("--style", name, "give single, batched or in_place");
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
		{"style", required_argument, NULL, 'y'},
		{"producers", required_argument, NULL, 'P'},
		{"workers", required_argument, NULL, 'W'},
		{"task-ns", required_argument, NULL, 'T'},
		{"load", required_argument, NULL, 'L'},
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
		{"list-peers", no_argument, NULL, 'A'},
		{"list-workloads", no_argument, NULL, 'B'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int o;

	*ch = (struct choice){.mode = -1, .style = -1};
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
		case 'y':
			choose_style(ch, optarg);
			break;
		case 'P':
			choose_number(&ch->producers, "--producers", optarg, 1,
				      PROCS_MAX, procs);
			break;
		case 'W':
			choose_number(&ch->workers, "--workers", optarg, 1,
				      PROCS_MAX, procs);
			break;
		case 'T':
			choose_number(&ch->task_ns, "--task-ns", optarg, 0,
				      TASK_NS_MAX,
				      "give a number from 0 to 10000000");
			break;
		case 'L':
			choose_number(&ch->load, "--load", optarg, 1, 100,
				      "give a number from 1 to 100");
			break;
		case 'r':
			ch->rounds = whole("--rounds", optarg, 1, ROUNDS_MAX,
					   "give a number from 1 to 99");
			break;
		case 'k':
			ch->kills = whole("--kills", optarg, 1, KILLS_MAX,
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
			ch->list_peers = ch->list_cases = true;
			break;
		case 'A':
			ch->list_peers = true;
			break;
		case 'B':
			ch->list_cases = true;
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
