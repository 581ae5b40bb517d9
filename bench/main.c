/* SPDX-License-Identifier: MIT */
/*
 * forkring-bench: forkring and others at the same work, in the same run.
 *
 * Question: how many messages or tasks a second, how long is a round trip, and
 * how long until others go on after a kill (recover.c)?
 * Topology, waiting mode: those of each case (options.c); a pinned case
 * gives each process a CPU of its own, or puts both on one.
 * Statistic: the peers take turns, A B A B ..., each turn with a warm-up of its
 * own; median, least and greatest of the rounds; ratios of neighbouring turns.
 *
 * Before and after each case across two CPUs the round trip of a bare cache line
 * is taken, as a canary: on virtual machines two CPUs can move apart. A case in
 * which they did is measured again, once.
 */
#ifdef FR_JANSSON
#include "compare.h"
#include "html.h"
#endif
#include "options.h"
#include "peers.h"
#include "solo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#ifndef FR_COMMIT
#define FR_COMMIT ""
#endif

static void list(const struct choice *ch, const struct cases *cases)
{
	char text[128];

	if (ch->list_peers)
		printf("Peers:\n");
	for (unsigned i = 0; i < ch->peers && ch->list_peers; i++)
		printf("  %-14s %s\n", ch->peer[i]->name, ch->peer[i]->note);
	if (ch->list_cases)
		printf("Cases:\n");
	for (unsigned i = 0; i < cases->n && ch->list_cases; i++)
		printf("  %s\n", case_text(&cases->c[i], text, sizeof(text)));
}

struct bench {
	const struct choice *choice;
	struct machine machine;
	struct report report;
	struct control *shared;
	unsigned rounds, kills;
	double seconds, watchdog, burn_speed;
	bool trouble;
};

static struct timing timing_of(const struct bench *b, double seconds)
{
	double warm = seconds / 4 < 0.02 ? 0.02 : seconds / 4;

	return (struct timing){
		.warm_ns = (uint64_t)(warm * 1e9),
		.measure_ns = (uint64_t)(seconds * 1e9),
		.watchdog_ns = (uint64_t)(b->watchdog * 1e9),
	};
}

/* Many processes on few CPUs need longer until each had its turn; and idle ones
 * sleep for a second. */
static double seconds_of(const struct bench *b, const struct bench_case *c)
{
	return c->workload == FANIN  ? 2 * b->seconds
	       : c->workload == IDLE ? 2
				     : b->seconds;
}

/* Who does the workloads without queues, and how; recover.c aside. */
static const struct {
	const struct peer *peer;
	solo_fn *run;
} solos[WORKLOADS] = {
	[IDLE] = {&peer_forkring, idle_run},
	[MEMORY] = {&peer_forkring, idle_run},
	[NAMES] = {&peer_forkring, names_run},
	[LIMITS] = {&peer_raw, limits_run},
};

static bool takes_part(const struct peer *peer, const struct bench_case *c)
{
	return without_queues(c->workload) ? peer == solos[c->workload].peer
					   : peer->can(c);
}

/* A bare cache line's round trip between the two CPUs; 0: not to be had. */
static double canary(const struct bench *b, const struct bench_case *c)
{
	const struct bench_case line = {RTT, POLL, CROSS, 8, 1, 0};
	struct trial t = {.c = &line, .peer = &peer_raw, .shared = b->shared};
	struct timing timing = timing_of(b, 0.03);
	struct sample s;

	if (c->placement != CROSS ||
	    run_trial(&t, &b->machine, &timing, &s) != DONE)
		return 0;
	return s.value[0];
}

/* One trial; of an open loop the peak before, by the same without periods. */
static enum outcome run_round(struct bench *b, struct trial *t,
			      const struct timing *timing, struct sample *ret)
{
	enum outcome o = run_trial(t, &b->machine, timing, ret);
	double peak = ret->value[0];

	if (t->c->workload != OPEN || o != DONE)
		return o;
	if (peak < 1) {
		fprintf(stderr, "forkring-bench: %s: no message came in the "
				"time for the peak: --seconds\n",
			t->peer->name);
		return FAILED;
	}
	t->period_ps = (uint64_t)(1e14 / t->c->load / peak);
	return run_trial(t, &b->machine, timing, ret);
}

static void run_rounds(struct bench *b, const struct bench_case *c,
		       struct series *series, unsigned n)
{
	struct timing timing = timing_of(b, seconds_of(b, c));

	for (unsigned i = 0; i < n * b->rounds; i++) {
		struct series *s = &series[i % n];
		struct trial t = {
			.c = c,
			.peer = s->peer,
			.shared = b->shared,
			.solo = solos[c->workload].run,
			.burn_steps = (uint64_t)(c->task_ns * b->burn_speed),
		};

		if (s->outcome == DONE)
			s->outcome = run_round(b, &t, &timing,
					       &s->sample[s->rounds]);
		if (s->outcome == DONE)
			s->rounds++;
		else
			b->trouble = true;
	}
}

static void run_case(struct bench *b, const struct bench_case *c)
{
	static struct series series[PEERS_MAX];
	struct canary line = {0};
	unsigned n;

	for (;;) {
		n = 0;
		for (unsigned i = 0; i < b->choice->peers; i++)
			if (takes_part(b->choice->peer[i], c))
				series[n++] = (struct series){
					.peer = b->choice->peer[i]};
		if (n == 0)
			return;
		line.before = canary(b, c);
		run_rounds(b, c, series, n);
		line.after = canary(b, c);
		if (!canary_moved(&line) || line.repeated)
			break;
		line.repeated = true;
	}
	report_case(&b->report, c, series, n, &line);
}

/* Only forkring can: elsewhere what the dead one had is lost. */
static void run_recovery(struct bench *b, const struct bench_case *c)
{
	const struct choice *ch = b->choice;
	struct recovery recovery;
	enum outcome o;

	for (unsigned i = 0; i < ch->peers; i++) {
		if (ch->peer[i] != &peer_forkring)
			continue;
		o = recover_run(c, b->kills, (uint64_t)(b->watchdog * 1e9),
				&recovery);
		b->trouble |= o != DONE;
		report_recovery(&b->report, c, o, &recovery);
	}
}

static void heading(const struct bench *b)
{
	double busy = machine_busy();

	printf("%s, CPUs: %u, %s, commit %s\n", b->machine.cpu, b->machine.cpus,
	       b->machine.kernel, b->report.commit);
	printf("clock governor: %s; rounds: %u, peers in turn, %.2f s each "
	       "(fan-in twice that)\n",
	       b->machine.governor, b->rounds, b->seconds);
	if (b->machine.cpus < 2)
		printf("one CPU only: cases across two CPUs are left out\n");
	else
		printf("pinned cases use CPU %d and CPU %d\n", b->machine.cpu_a,
		       b->machine.cpu_b);
	if (busy > 0.1)
		printf("other programs use %.0f %% of the CPUs: expect odd "
		       "figures\n",
		       100 * busy);
	for (unsigned i = 0; i < b->choice->peers; i++)
		printf("  %-14s %s\n", b->choice->peer[i]->name,
		       b->choice->peer[i]->note);
	fflush(stdout);
}

static const char *commit(void)
{
	const char *env = getenv("GIT_COMMIT");

	if (*FR_COMMIT)
		return FR_COMMIT;
	return env && *env ? env : "unknown";
}

/* ---- the lines, and what is made of them ---- */

/* Are they read again after the run? */
static bool lines_are_read(const struct choice *ch)
{
	return (ch->report || ch->compare) && !ch->from;
}

/* Open what the JSON lines go to. */
static void open_json(struct bench *b)
{
	const struct choice *ch = b->choice;
	struct stat st;

	if (ch->json)
		b->report.json =
			fopen(ch->json, lines_are_read(ch) ? "w+e" : "we");
	else if (lines_are_read(ch))
		b->report.json = tmpfile();
	else
		return;
	if (!b->report.json) {
		fprintf(stderr,
			"forkring-bench: cannot write %s: %s: give --json a "
			"file that can be written\n",
			ch->json ? ch->json : "a temporary file",
			strerror(errno));
		exit(1);
	}
	if (lines_are_read(ch) && fstat(fileno(b->report.json), &st) == 0 &&
	    !S_ISREG(st.st_mode)) {
		fprintf(stderr,
			"forkring-bench: %s cannot be read again for --report "
			"or --compare: give --json a regular file\n",
			ch->json);
		exit(1);
	}
}

static void close_json(struct bench *b)
{
	int bad;

	if (!b->report.json)
		return;
	bad = ferror(b->report.json);
	if (fclose(b->report.json) == 0 && !bad)
		return;
	fprintf(stderr, "forkring-bench: %s is not complete: %s\n",
		b->choice->json ? b->choice->json : "a temporary file",
		strerror(errno));
	b->trouble = true;
}

#ifdef FR_JANSSON

static struct results old;

/* What can be known to be wrong before anything is measured. */
static bool prepare(const struct choice *ch)
{
	return (!ch->compare || results_open(&old, ch->compare)) &&
	       (!ch->report || html_ready(ch->report));
}

static bool make_page(const struct bench *b, const struct results *now,
		      char **argv)
{
	char command[1024] = "", how[256];
	struct page page = {.dir = b->choice->report,
			    .command = command,
			    .peers = peers};
	size_t used = 0;

	for (; *argv && used < sizeof(command); argv++)
		used += (size_t)snprintf(command + used, sizeof(command) - used,
					 "%s%s", used ? " " : "", *argv);
	snprintf(how, sizeof(how),
		 b->machine.cpus < 2
			 ? "%u rounds, %.2f s each (fan-in twice that)"
			 : "%u rounds, %.2f s each (fan-in twice that); pinned "
			   "cases on CPU %d and CPU %d",
		 b->rounds, b->seconds, b->machine.cpu_a, b->machine.cpu_b);
	if (!b->choice->from)
		page.how = how;
	return html_write(&page, now);
}

/* False: told of on stderr. */
static bool make_of_lines(const struct bench *b, char **argv)
{
	const struct choice *ch = b->choice;
	struct results now = {0};
	bool good = true;

	if (ch->from)
		good = results_open(&now, ch->from);
	else if (lines_are_read(ch)) {
		rewind(b->report.json);
		good = results_read(&now, b->report.json,
				    ch->json ? ch->json : "this run");
	}
	if (good && ch->compare)
		compare_print(&now, &old, ch->compare);
	if (good && ch->report)
		good = make_page(b, &now, argv);
	results_free(&now);
	results_free(&old);
	return good;
}

#else

static bool prepare(const struct choice *ch)
{
	(void)ch;
	return true;
}

static bool make_of_lines(const struct bench *b, char **argv)
{
	(void)b;
	(void)argv;
	return true;
}

#endif

static void measure(struct bench *b, const struct cases *cases)
{
	b->shared = control_map();
	if (!b->shared) {
		fprintf(stderr, "forkring-bench: no memory\n");
		exit(1);
	}
	/* Workers of a peer's own are this process's to reap if theirs dies. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	heading(b);
	for (unsigned i = 0; i < cases->n; i++)
		if (cases->c[i].workload == RECOVER)
			run_recovery(b, &cases->c[i]);
		else if (cases->c[i].placement != CROSS || b->machine.cpus >= 2)
			run_case(b, &cases->c[i]);
}

int main(int argc, char **argv)
{
	static struct choice choice;
	static struct cases cases;
	struct bench b = {.choice = &choice};

	options_parse(&choice, argc, argv);
	cases_choose(&cases, &choice);
	if (choice.list_peers || choice.list_cases) {
		list(&choice, &cases);
		return 0;
	}
	if (!prepare(&choice))
		return 1;
	b.rounds = choice.rounds ? choice.rounds : choice.quick ? 3 : 5;
	b.kills = choice.kills ? choice.kills : choice.quick ? 50 : 500;
	b.seconds = choice.seconds > 0 ? choice.seconds
		    : choice.quick     ? 0.05
				       : 0.2;
	b.watchdog = choice.watchdog > 0 ? choice.watchdog
		     : choice.quick	 ? 2
					 : 5;
	machine_look(&b.machine);
	b.report.machine = &b.machine;
	b.report.commit = commit();
	b.burn_speed = burn_speed();
	open_json(&b);
	if (!choice.from)
		measure(&b, &cases);
	if (b.trouble)
		fprintf(stderr, "forkring-bench: not every case went well\n");
	if (!make_of_lines(&b, argv))
		b.trouble = true;
	close_json(&b);
	return b.trouble;
}
