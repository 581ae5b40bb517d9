/* SPDX-License-Identifier: MIT */
/*
 * Killed at every instruction.
 *
 * For each operation (ops_*.c), in each state of its ring: a victim runs it
 * once, stepped, and every instruction is noted. Then it runs it again and
 * again, each time in an arena of its own, is brought k instructions into it,
 * and killed, and the survivors are tried (survive.c): for every k up to 2,000,
 * and beyond that just before and just after each instruction that stores to
 * the arena and each system call; where one of those comes more often by the
 * same calls, its first two, its last two and one drawn at random. Each of
 * these points is visited
 *
 *	kill	and a survivor calls fr_recover() at once, as a supervisor does: all
 *		that is owed to those who slept before is there without any traffic,
 *		and nobody who should know sleeps on
 *	stop	by SIGSTOP: the others go on; then SIGCONT, and the victim's own
 *		operation comes to its end
 *
 * and at the stores and system calls (and each 61st instruction) also
 *
 *	slice	killed, and nobody is told: those who sleep find out by themselves,
 *		within the slice
 *	asleep	at a futex wait: killed in it
 *
 * Pairs of victims are killed on a coarse grid (trace2, pair).
 *
 *	crash [-o OPERATION] [-s STATE] [-k KIND K [L]] [-r SEED] [-j JOBS] [-v] [-p] [-l]
 *
 * does a part of it; K and L may be ranges (100-200), KIND one of the words
 * above. A failure prints the line that repeats it. -v tells every point, -p
 * every store to the arena and system call; -l lists.
 */
#include "../harness.h"
#include "choose.h"
#include "ops.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OPS_MAX	   200
#define FLIGHT_MAX 96  /* points at a time */
#define GRID	   12u /* firsts of a pair; twice as many seconds */
#define TELL_MAX   10  /* failures told in full, of each operation */
#define STUCK_MAX  3   /* that hang, before an operation is given up */

struct options {
	const char *op, *state;
	struct wish wish;
	uint64_t seed;
	unsigned jobs;
	bool verbose;
	bool places; /* tell those that store */
};
static struct options options = {
	.wish = {.kind = -1, .k_to = UINT32_MAX, .l_to = UINT32_MAX},
	.seed = 1,
};

static const struct op *ops[OPS_MAX];
static unsigned op_count;

struct flight {
	struct world w;
	struct job job;
	pid_t pid;
	bool parked;
};
static struct flight *flights; /* shared with the points */
static struct trace *trace;    /* shared too, like what follows */
static struct trace *seconds_of[GRID];
static bool *hit; /* the first victim was killed just there */

struct tally {
	unsigned points, kills, stops, failures, missed;
	unsigned stuck;
};

static struct tally all;
static unsigned operations;
static const char *program;
static unsigned seconds; /* of one point */

static const struct op *running;
static enum ring_state running_state;

/* ---- telling ---- */

static struct trace *trace2_of(uint32_t k)
{
	unsigned i = 0;

	while (i < GRID - 1 && seconds_of[i]->of != k)
		i++;
	return seconds_of[i];
}

static void tell_failure(const struct flight *f, const char *why,
			 struct tally *tally)
{
	const struct job *job = &f->job;
	bool second = job->kind == JOB_PAIR;
	char text[600];

	tally->failures++;
	if (strstr(why, "is stuck"))
		tally->stuck++;
	if (tally->failures > TELL_MAX && !options.verbose)
		return;
	printf("crash: FAILED: %s%s%s, %s at %u", running->name,
	       running_state ? ", " : "", ring_state_name(running_state),
	       job_names[job->kind], job->k);
	if (second)
		printf(" and %u", job->l);
	printf(": %s\n", why);
	if (job->kind != JOB_TRACE && job->k < trace->count) {
		tell_place(trace->at[job->k].rip, text, sizeof(text));
		printf("  at %s\n", text);
	}
	if (second) {
		tell_place(trace2_of(job->k)->at[job->l].rip, text,
			   sizeof(text));
		printf("  and %s\n", text);
	}
	printf("  again: %s -r %llu -o '%s'%s%s", program,
	       (unsigned long long)options.seed, running->name,
	       running_state ? " -s " : "", ring_state_name(running_state));
	if (job->kind != JOB_TRACE)
		printf(" -k %s %u", job_names[job->kind], job->k);
	if (second)
		printf(" %u", job->l);
	printf("\n");
	fflush(stdout);
}

static void tell_point(const struct flight *f, const char *what)
{
	char text[600] = "";

	if (!options.verbose)
		return;
	if (f->w.missed && f->job.k < trace->count)
		tell_place(trace->at[f->job.k].rip, text, sizeof(text));
	printf("%s%s%s %s %u %u: %s %s\n", running->name,
	       running_state ? " " : "", ring_state_name(running_state),
	       job_names[f->job.kind], f->job.k, f->job.l, what, text);
	fflush(stdout);
}

/* ---- running points, many at a time ---- */

static void take_off(struct flight *f, const struct job *job, unsigned number)
{
	unsigned cpu = number % (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	sigset_t none;
	cpu_set_t set;
	pid_t pid;

	memset(&f->w, 0, sizeof(f->w));
	f->w.op = running;
	f->w.state = running_state;
	f->job = *job;
	f->parked = false;
	fflush(NULL);
	pid = fork();
	if (pid == -1) {
		perror("fork");
		abort();
	}
	if (pid > 0) {
		f->pid = pid; /* shared: not in the child */
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* One processor for a victim and its tracer: a stop costs a third. */
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGSEGV, SIG_DFL); /* cmocka would go on with its next test */
	signal(SIGBUS, SIG_DFL);
	signal(SIGFPE, SIG_DFL);
	signal(SIGILL, SIG_DFL);
	point(&f->w, job, trace, trace2_of(job->k), seconds);
}

static void count_point(const struct job *job, struct tally *tally)
{
	tally->points++;
	if (job->kind == JOB_STOP)
		tally->stops++;
	else if (job->kind == JOB_PAIR)
		tally->kills += 2;
	else if (job->kind != JOB_TRACE)
		tally->kills++;
}

static void land(struct flight *f, int status, struct jobs *jobs,
		 struct tally *tally)
{
	char why[1400];

	f->pid = 0;
	alarm(seconds * 3); /* the harness's watchdog: no point has ended */
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2) {
		tell_point(f, "missed");
		f->job.tries++;
		jobs->at[jobs->count++] = f->job; /* where it was */
		return;
	}
	count_point(&f->job, tally);
	tally->missed += f->w.missed;
	if (!f->w.missed && f->job.kind != JOB_TRACE && f->job.kind != JOB_STOP)
		hit[f->job.k] = true;
	if (status == 0) {
		tell_point(f, f->w.missed ? "ok, but elsewhere" : "ok");
		return;
	}
	if (WIFSIGNALED(status))
		snprintf(why, sizeof(why), "a survivor dies by signal %d (%s)",
			 WTERMSIG(status), f->w.doing ? f->w.doing : "");
	else
		snprintf(why, sizeof(why), "%s", f->w.why);
	tell_failure(f, why, tally);
}

static unsigned in_the_air(bool parked_too)
{
	unsigned i, n = 0;

	for (i = 0; i < FLIGHT_MAX; i++) {
		if (flights[i].pid <= 0)
			continue;
		if (!flights[i].parked && reached(&flights[i].w.parked))
			flights[i].parked = true;
		n += parked_too || !flights[i].parked;
	}
	return n;
}

static struct flight *free_flight(void)
{
	unsigned i;

	for (i = 0; i < FLIGHT_MAX; i++)
		if (flights[i].pid == 0)
			return &flights[i];
	return NULL;
}

static bool land_all(struct jobs *jobs, struct tally *tally)
{
	bool any = false;
	int status;
	unsigned i;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (i = 0; i < FLIGHT_MAX; i++)
			if (flights[i].pid == pid) {
				land(&flights[i], status, jobs, tally);
				any = true;
			}
	return any;
}

/* Do all of them, the last first. */
static void run_jobs(struct jobs *jobs, struct tally *tally)
{
	const struct timespec moment = {0, 5 * MS};
	struct flight *f;
	unsigned number = 0;
	sigset_t ended;

	sigemptyset(&ended);
	sigaddset(&ended, SIGCHLD);
	while (jobs->count > 0 || in_the_air(true) > 0) {
		if (tally->stuck >= STUCK_MAX && jobs->count > 0) {
			printf("crash: %s: too many are stuck, %u points are "
			       "left out\n",
			       running->name, jobs->count);
			jobs->count = 0;
		}
		while (jobs->count > 0 && in_the_air(false) < options.jobs &&
		       (f = free_flight()) != NULL) {
			struct job job = jobs->at[--jobs->count];

			take_off(f, &job, number++);
		}
		if (!land_all(jobs, tally))
			sigtimedwait(&ended, NULL, &moment);
	}
}

/* ---- one operation ---- */

static void tell_places(const struct trace *t)
{
	char text[600];
	size_t i;

	for (i = 0; i < t->count; i++) {
		if (!(t->at[i].flags & WATCHED))
			continue;
		tell_place(t->at[i].rip, text, sizeof(text));
		printf("%6zu %s %s\n", i,
		       t->at[i].flags & PLACE_STORES   ? "store  "
		       : t->at[i].flags & PLACE_SLEEPS ? "sleep  "
						       : "syscall",
		       text);
	}
}

static void do_pairs(struct tally *tally)
{
	uint32_t firsts[GRID], places[GRID * 2];
	struct jobs jobs = {scratch(JOBS_MAX, sizeof(struct job)), 0};
	unsigned n, m, i, j;

	n = choose_grid(trace, firsts, GRID);
	for (i = 0; i < n; i++) {
		seconds_of[i]->count = 0;
		seconds_of[i]->of = firsts[i];
		add_job(&jobs, &options.wish, JOB_TRACE2, firsts[i], 0);
	}
	run_jobs(&jobs, tally);
	for (i = 0; i < n; i++) {
		if (seconds_of[i]->count == 0)
			continue;
		trace_plan(seconds_of[i]);
		m = choose_grid(seconds_of[i], places, GRID * 2);
		for (j = 0; j < m; j++)
			add_job(&jobs, &options.wish, JOB_PAIR, firsts[i],
				places[j]);
	}
	run_jobs(&jobs, tally);
	scrap(jobs.at, JOBS_MAX, sizeof(struct job));
}

static void tell_op(const struct tally *t, const struct counts *c,
		    int64_t began)
{
	printf("crash: %-20s %-11s %6zu instructions, %3u stores to the arena by "
	       "%2u of them, %2u system calls: %4u killed, %4u stopped, %u "
	       "failures (%.1f s",
	       running->name, ring_state_name(running_state), trace->count,
	       c->stores, c->places, c->syscalls, t->kills, t->stops,
	       t->failures, (double)(now_ns() - began) / 1e9);
	if (t->missed)
		printf(", %u elsewhere", t->missed);
	if (trace->undecoded)
		printf(", %zu not decoded", trace->undecoded);
	printf(")\n");
	fflush(stdout);
}

static void do_op(const struct op *op, enum ring_state state,
		  struct tally *tally)
{
	struct tally one = {.stuck = tally->stuck};
	struct jobs jobs = {scratch(JOBS_MAX, sizeof(struct job)), 1};
	int64_t began = now_ns();
	struct counts counts;

	running = op;
	running_state = state;
	choose_seed(options.seed);
	trace->count = 0;
	hit = scratch(PLACES_MAX + 1, sizeof(*hit));
	jobs.at[0].kind = JOB_TRACE;
	run_jobs(&jobs, &one);
	if (one.failures == 0 || trace->count > 1) {
		trace_plan(trace);
		if (options.places)
			tell_places(trace);
		if (op->run2)
			do_pairs(&one);
		else
			choose_jobs(&jobs, &options.wish, trace);
		run_jobs(&jobs, &one);
	}
	scrap(jobs.at, JOBS_MAX, sizeof(struct job));
	counts = count_trace(trace, hit);
	scrap(hit, PLACES_MAX + 1, sizeof(*hit));
	if (!op->run2 && options.wish.kind < 0 && counts.missed > 0) {
		printf("crash: FAILED: %s%s%s: at %u instructions that store "
		       "nobody was killed\n",
		       op->name, state ? ", " : "", ring_state_name(state),
		       counts.missed);
		one.failures++;
	}
	tell_op(&one, &counts, began);
	tally->stuck = one.stuck;
	tally->points += one.points;
	tally->kills += one.kills;
	tally->stops += one.stops;
	tally->failures += one.failures;
}

static bool has_state(const struct op *op, enum ring_state state)
{
	return ((op->states ? op->states : IN(RING_ANY)) & IN(state)) != 0;
}

/* A test: all rows of that name. */
static void an_operation(void **state)
{
	const char *name = *state;
	struct tally tally = {0};
	unsigned i, s;

	for (i = 0; i < op_count; i++)
		for (s = 0; s < RING_STATES; s++) {
			if (strcmp(ops[i]->name, name) != 0 ||
			    !has_state(ops[i], (enum ring_state)s) ||
			    (options.state &&
			     strcmp(options.state, ring_state_name(s)) != 0))
				continue;
			do_op(ops[i], (enum ring_state)s, &tally);
		}
	operations++;
	all.points += tally.points;
	all.failures += tally.failures;
	assert_int_equal(tally.failures, 0);
	assert_true(tally.points > 0);
}

/* ---- the program ---- */

static void *shared_for_good(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return at;
}

static struct trace *new_trace(void)
{
	struct trace *t = shared_for_good(sizeof(*t));

	t->at = shared_for_good(PLACES_MAX * sizeof(*t->at));
	t->max = PLACES_MAX;
	return t;
}

static void range(const char *text, uint32_t *from, uint32_t *to)
{
	char *end;

	*from = *to = (uint32_t)strtoul(text, &end, 0);
	if (*end == '-')
		*to = (uint32_t)strtoul(end + 1, NULL, 0);
}

static void usage(void)
{
	fprintf(stderr, "usage: crash [-o OPERATION] [-s STATE] "
			"[-k KIND K [L]] [-r SEED] [-j JOBS] [-v] [-p] [-l]\n");
	exit(2);
}

static void list(void)
{
	unsigned i, s;

	for (i = 0; i < op_count; i++)
		for (s = 0; s < RING_STATES; s++)
			if (has_state(ops[i], (enum ring_state)s))
				printf("%s\t%s\n", ops[i]->name,
				       ring_state_name((enum ring_state)s));
	exit(0);
}

static void read_options(int argc, char **argv)
{
	int c, i;

	program = argv[0];
	options.jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	options.jobs += options.jobs / 2;
	while ((c = getopt(argc, argv, "o:s:k:r:j:vpl")) != -1) {
		switch (c) {
		case 'o':
			options.op = optarg;
			break;
		case 's':
			options.state = optarg;
			break;
		case 'k':
			for (i = 0; i < JOB_KINDS; i++)
				if (strcmp(optarg, job_names[i]) == 0)
					options.wish.kind = i;
			if (options.wish.kind < 0)
				usage();
			break;
		case 'r':
			options.seed = strtoull(optarg, NULL, 0);
			break;
		case 'j':
			options.jobs = (unsigned)strtoul(optarg, NULL, 0);
			break;
		case 'v':
			options.verbose = true;
			break;
		case 'p':
			options.places = true;
			break;
		case 'l':
			list();
			break;
		default:
			usage();
		}
	}
	if (optind < argc)
		range(argv[optind++], &options.wish.k_from, &options.wish.k_to);
	if (optind < argc)
		range(argv[optind++], &options.wish.l_from, &options.wish.l_to);
	if (optind < argc)
		usage();
}

static void gather_ops(void)
{
	static const struct op_table *const tables[] = {
		&arena_ops, &process_ops, &send_ops,  &receive_ops,
		&task_ops,  &event_ops,	  &sleep_ops, &recover_ops,
	};
	unsigned i, k;

	for (i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		for (k = 0; k < tables[i]->count && op_count < OPS_MAX; k++)
			ops[op_count++] = &tables[i]->rows[k];
}

/* May we trace a child? */
static bool can_trace(void)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		if (trace_me() < 0)
			_exit(1);
		raise(SIGSTOP);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return false;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return true;
}

static unsigned list_tests(struct CMUnitTest *tests)
{
	unsigned i, k, n = 0;

	for (i = 0; i < op_count; i++) {
		if (options.op && strcmp(options.op, ops[i]->name) != 0)
			continue;
		for (k = 0; k < i && strcmp(ops[k]->name, ops[i]->name) != 0;
		     k++)
			;
		if (k < i)
			continue;
		tests[n++] = (struct CMUnitTest){
			.name = ops[i]->name,
			.test_func = an_operation,
			.setup_func = test_setup,
			.teardown_func = test_teardown,
			.initial_state = (void *)(uintptr_t)ops[i]->name,
		};
	}
	return n;
}

int main(int argc, char **argv)
{
	const char *text = getenv("FR_TEST_TIMEOUT");
	struct CMUnitTest tests[OPS_MAX];
	sigset_t ended;
	unsigned i, n;
	int rc;

	gather_ops();
	read_options(argc, argv);
	if (!can_trace()) {
		printf("skip crash: ptrace is not permitted here\n");
		return 77;
	}
	seconds = text ? (unsigned)strtoul(text, NULL, 10) / 3 : 20;
	sigemptyset(&ended);
	sigaddset(&ended, SIGCHLD);
	sigprocmask(SIG_BLOCK, &ended, NULL);
	flights = shared_for_good(FLIGHT_MAX * sizeof(*flights));
	trace = new_trace();
	for (i = 0; i < GRID; i++)
		seconds_of[i] = new_trace();
	n = list_tests(tests);
	if (n == 0)
		usage();
	rc = _cmocka_run_group_tests("crash", tests, n, NULL, NULL);
	fflush(NULL);
	printf("crash: %u operations, %u points, %u failures\n", operations,
	       all.points, all.failures);
	return rc;
}
