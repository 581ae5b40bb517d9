/* SPDX-License-Identifier: MIT */
/*
 * storm [--seconds N] [--seed N] [--rate N] [--processes N] [--choices N]
 *	[--test]
 *
 * A soak on two CPUs: in one named arena a supervisor's main, workers that do
 * everybody's tasks, a mesh of processes that send messages, call each other,
 * wait for events, submit and take tasks; children of the supervisor, and
 * strangers that came by the arena's name and whom nobody waits for but other
 * processes' looks; beside it a farm. Meanwhile a killer sends SIGKILL, SIGSTOP
 * and SIGCONT to them, --rate a second. The mains and one of the mesh are only
 * stopped, so that what any victim sent to them must arrive.
 *
 * An oracle (oracle.c, send.c) knows of every message and task. In the end
 * all who live send nothing any more, take what is there, and go. Then
 *	each message that was published for one who lived on came once, in order
 *	each task of one who lived on has one result, and the right one
 *	fr_recover() leaves nothing, fr_check() finds nothing, every slot can be
 *	joined, every mailbox is empty and takes its largest message, every cell
 *	can be used, every event reserved, and /dev/shm is as it was.
 *
 * --seed repeats the choices of victims, signals and pauses (--choices N prints
 * the first N of a seed); what they hit is a matter of time. --processes:
 * workers, mesh and strangers together. The last line: `storm: N kills, N
 * stops, N messages, N tasks, N failures`.
 */
#include "storm.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define END_PATIENCE (60 * SECOND)

static uint64_t seconds = 20, seed, rate = 200, processes = 12, choices;
static bool test;

struct start {
	pid_t pid;
	int64_t at; /* when it is to be started again; 0: it runs */
};
static struct start starts[SEATS_MAX]; /* of strangers, boss and farmer */
static struct dice dice;
static struct killer *killer;

/* ---- the cast ---- */

static void cast_one(enum role role, unsigned index, bool immortal)
{
	oracle->seat[oracle->seats++] = (struct seat){
		.role = role,
		.index = index,
		.immortal = immortal,
	};
}

static void cast(void)
{
	unsigned i;

	oracle->workers = (unsigned)(processes + 2) / 3;
	oracle->strangers = (unsigned)(processes + 5) / 6;
	oracle->mesh =
		(unsigned)processes - oracle->workers - oracle->strangers;
	oracle->group_events = 2 * oracle->mesh + 8;
	cast_one(ROLE_BOSS, 0, true);
	cast_one(ROLE_FARMER, 0, true);
	for (i = 0; i < FARM_WORKERS; i++)
		cast_one(ROLE_FARM_WORKER, i, false);
	for (i = 0; i < oracle->workers; i++)
		cast_one(ROLE_WORKER, i, false);
	for (i = 0; i < oracle->mesh; i++)
		cast_one(ROLE_MESH, i, i == 0);
	for (i = 0; i < oracle->strangers; i++)
		cast_one(ROLE_STRANGER, i, false);
}

static int be_stranger(unsigned seat)
{
	char name[FR_NAME_MAX + 1];
	const struct fr_join_opts join = {.name = name};
	struct fr_arena *arena;
	struct fr_process *p;
	int rc;

	be_born(seat);
	snprintf(name, sizeof(name), "%s-%u", role_names[ROLE_STRANGER],
		 oracle->seat[seat].index);
	rc = fr_arena_attach(oracle->name, NULL, &arena);
	if (rc == 0)
		rc = fr_join(arena, &join, &p);
	if (rc < 0) {
		fault_rc("attach and join", rc);
		return 1;
	}
	member_live(member_new(p, NULL, NULL));
	fr_leave(p);
	fr_arena_detach(arena);
	return 0;
}

static void start(unsigned seat)
{
	pid_t parent = getpid(), pid;
	enum role role = oracle->seat[seat].role;

	fflush(NULL);
	pid = fork();
	if (pid == -1) {
		fault_rc("fork", -errno);
		return;
	}
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
		if (getppid() != parent)
			_exit(1);
		_exit(role == ROLE_BOSS	    ? be_boss()
		      : role == ROLE_FARMER ? be_farmer()
					    : be_stranger(seat));
	}
	starts[seat] = (struct start){.pid = pid};
}

/* ---- while it lasts ---- */

static void ended(unsigned seat, int status)
{
	struct seat *s = &oracle->seat[seat];
	bool killed = false;
	uint32_t n;

	/* The seat's last one; it may have been killed before it sat down. */
	for (n = GET(s->now); n && incarnation(n)->pid == starts[seat].pid;
	     n = 0)
		killed = incarnation(n)->killed;
	starts[seat].pid = 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && killed)
		starts[seat].at = now_ns() + pick(&dice, 30 * (uint32_t)MS);
	else if (status != 0 || !GET(oracle->leave))
		if (s->role != ROLE_FARMER || status != 0)
			fault("%s %u has ended with status %#x",
			      role_names[s->role], s->index, (unsigned)status);
}

/* Reap our own, and start strangers again. */
static void look_after(void)
{
	unsigned i;
	int status;

	for (i = 0; i < oracle->seats; i++) {
		if (starts[i].pid &&
		    waitpid(starts[i].pid, &status, WNOHANG) == starts[i].pid)
			ended(i, status);
		if (starts[i].at && now_ns() >= starts[i].at)
			start(i);
	}
}

static void nap(int64_t ns)
{
	const struct timespec ts = {0, ns < MS ? ns : MS};

	if (ns > 0)
		nanosleep(&ts, NULL);
}

static bool await(const uint32_t *word, int64_t patience)
{
	int64_t until = now_ns() + patience;

	while (!__atomic_load_n(word, __ATOMIC_SEQ_CST) && now_ns() < until &&
	       !GET(oracle->failures)) {
		look_after();
		nap(MS);
	}
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static bool begin(void)
{
	unsigned i;

	start(BOSS);
	start(FARMER);
	if (!await(&oracle->seat[BOSS].now, END_PATIENCE))
		return false;
	while (!GET(incarnation(oracle->seat[BOSS].now)->addr) &&
	       !GET(oracle->failures)) {
		look_after();
		nap(MS);
	}
	for (i = 0; i < oracle->seats; i++)
		if (oracle->seat[i].role == ROLE_STRANGER)
			start(i);
	return !GET(oracle->failures);
}

static void rage(void)
{
	int64_t until = now_ns() + (int64_t)seconds * SECOND, watched = 0, now;

	while ((now = now_ns()) < until && !GET(oracle->failures)) {
		nap(killer_step(killer));
		look_after();
		if (now - watched >= SECOND) {
			killer_watch(killer);
			watched = now;
		}
	}
	killer_end(killer);
}

/* ---- the end ---- */

static bool is_part(enum role role, bool done)
{
	return role != ROLE_FARM_WORKER && (!done || role != ROLE_WORKER);
}

/* All who live have said so (or one has not: who). */
static unsigned not_yet(bool done)
{
	unsigned i;

	for (i = 0; i < oracle->seats; i++) {
		struct seat *s = &oracle->seat[i];
		uint32_t now = GET(s->now);

		if (is_part(s->role, done) &&
		    (now == 0 || GET(incarnation(now)->killed) ||
		     GET(s->quiet) != now || (done && GET(s->done) != now)))
			return i;
	}
	return i;
}

static bool await_all(bool done)
{
	int64_t until = now_ns() + END_PATIENCE;
	unsigned who;

	while ((who = not_yet(done)) < oracle->seats && now_ns() < until) {
		look_after();
		killer_watch(killer);
		nap(MS);
	}
	if (who < oracle->seats)
		fault("%s %u, pid %d, does not come to its end",
		      role_names[oracle->seat[who].role],
		      oracle->seat[who].index,
		      incarnation(oracle->seat[who].now)->pid);
	return who == oracle->seats;
}

static void all_gone(void)
{
	int64_t until = now_ns() + END_PATIENCE;
	unsigned i;

	for (i = 0; i < oracle->seats; i++) {
		while (starts[i].pid && now_ns() < until) {
			look_after();
			nap(MS);
		}
		if (starts[i].pid == 0)
			continue;
		fault("%s %u does not end", role_names[oracle->seat[i].role],
		      oracle->seat[i].index);
		kill(starts[i].pid, SIGKILL);
		waitpid(starts[i].pid, NULL, 0);
	}
}

static void calm(void)
{
	bool well = !GET(oracle->failures);

	SET(oracle->ending, 1);
	if (well)
		well = await_all(false);
	SET(oracle->drain, 1);
	if (well)
		await_all(true);
	SET(oracle->leave, 1);
	all_gone();
}

/* ---- numbers ---- */

static void tell_in(const char *what, const uint64_t *in)
{
	unsigned i;

	printf("%s in", what);
	for (i = 0; i < IN_KINDS; i++)
		printf(" %s %llu%s", in_names[i], (unsigned long long)in[i],
		       i + 1 < IN_KINDS ? "," : "\n");
}

static void tell_roles(const char *what, const uint64_t *roles)
{
	unsigned i;

	printf("%s:", what);
	for (i = 0; i < ROLES; i++)
		printf(" %s %llu%s", role_names[i],
		       (unsigned long long)roles[i],
		       i + 1 < ROLES ? "," : "\n");
}

#define LLU(x) ((unsigned long long)(x))

static void tell(const struct tally *t)
{
	tell_roles("kills", t->killed_role);
	tell_roles("stops", t->stopped_role);
	tell_in("killed", t->killed_in);
	tell_in("stopped", t->stopped_in);
	printf("hit with an open claim or a task: %llu; choices that hit "
	       "nobody: %llu\n",
	       LLU(t->busy), LLU(t->void_choices));
	printf("processes: %u, restarts %llu, added %llu, farm restarts %llu, "
	       "recovered by the mesh %llu\n",
	       oracle->count, LLU(oracle->restarts), LLU(oracle->added),
	       LLU(oracle->farm_restarts), LLU(oracle->recovered));
	printf("messages: %llu in %llu streams to the living and %llu to the "
	       "dead, batches %llu, claims cancelled %llu, lost with their "
	       "senders %llu; calls %llu, events %llu\n",
	       LLU(oracle->messages), LLU(oracle->verified),
	       LLU(oracle->excused), LLU(oracle->batches),
	       LLU(oracle->cancelled_claims), LLU(oracle->holes),
	       LLU(oracle->calls), LLU(oracle->events));
	printf("tasks: %llu, results %llu, of them buried %llu, cancelled "
	       "%llu, failed %llu; of the farm %llu, results %llu, buried "
	       "%llu\n",
	       LLU(oracle->submitted), LLU(oracle->results),
	       LLU(oracle->buried), LLU(oracle->cancelled_tasks),
	       LLU(oracle->failed_tasks), LLU(oracle->farm_submitted),
	       LLU(oracle->farm_results), LLU(oracle->farm_buried));
}

/* ---- the run ---- */

static uint64_t number_of(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (*text == '\0' || *end != '\0') {
		fprintf(stderr, "storm: %s is no number\n", text);
		exit(2);
	}
	return n;
}

static void options(int argc, char **argv)
{
	static const struct option known[] = {
		{"seconds", 1, NULL, 's'},
		{"seed", 1, NULL, 'r'},
		{"rate", 1, NULL, 'k'},
		{"processes", 1, NULL, 'p'},
		{"choices", 1, NULL, 'c'},
		{"test", 0, NULL, 't'},
		{0},
	};
	uint64_t *const numbers[] = {
		['s'] = &seconds,   ['r'] = &seed,    ['k'] = &rate,
		['p'] = &processes, ['c'] = &choices,
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == '?')
			exit(2);
		if (c == 't')
			test = true;
		else
			*numbers[c] = number_of(optarg);
	}
	if (rate < 1 || rate > 100000 || processes < 4 ||
	    processes > SEATS_MAX - 2 - FARM_WORKERS || seconds > 100000) {
		fprintf(stderr, "storm: rate 1 to 100000, processes 4 to %u\n",
			SEATS_MAX - 2 - FARM_WORKERS);
		exit(2);
	}
}

/* More processes than CPUs, wherever we are. */
static void use_two_cpus(void)
{
	cpu_set_t all, two;
	int i, n = 0;

	CPU_ZERO(&two);
	if (sched_getaffinity(0, sizeof(all), &all) == -1)
		return;
	for (i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &all)) {
			CPU_SET(i, &two);
			n++;
		}
	sched_setaffinity(0, sizeof(two), &two);
}

static void set_up(void)
{
	use_two_cpus();
	setvbuf(stdout, NULL, _IOLBF, 0);
	oracle_open(seconds * rate + 10000);
	oracle->seed = seed;
	snprintf(oracle->name, sizeof(oracle->name), "storm.%d", (int)getpid());
	dice = dice_of(seed, UINT64_MAX);
	cast();
}

static unsigned passed, failed;

static void verdict(const char *what, bool well)
{
	*(well ? &passed : &failed) += 1;
	if (test)
		printf("%s %s\n", well ? "ok" : "not ok", what);
}

int main(int argc, char **argv)
{
	struct tally tally;
	bool repeats;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = (uint64_t)now_ns();
	seed &= 0xffffffff; /* easily typed */
	options(argc, argv);
	set_up();
	if (choices) {
		killer_tell_choices(rate, choices);
		return 0;
	}
	printf("storm: seed %llu, %llu s, %u workers, %u in the mesh, %u "
	       "strangers, a farm of %u\n",
	       LLU(seed), LLU(seconds), oracle->workers, oracle->mesh,
	       oracle->strangers, FARM_WORKERS);
	killer = killer_new(rate);
	if (begin())
		rage();
	calm();
	check_messages();
	check_what_is_left();
	repeats = killer_repeats(killer);
	killer_tally(killer, &tally);
	tell(&tally);
	verdict("nobody is hurt by a death", oracle->failures == 0);
	verdict("the seed says who is hit, and when", repeats);
	verdict("it was a storm",
		tally.kills > 0 && tally.stops > 0 && tally.busy > 0 &&
			oracle->verified > 0 && oracle->results > 0);
	if (test)
		printf("%u passed, %u failed, 0 skipped\n", passed, failed);
	printf("storm: %llu kills, %llu stops, %llu messages, %llu tasks, %u "
	       "failures\n",
	       LLU(tally.kills), LLU(tally.stops), LLU(oracle->messages),
	       LLU(oracle->results + oracle->farm_results), oracle->failures);
	return failed != 0;
}
