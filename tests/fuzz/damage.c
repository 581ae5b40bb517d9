/* SPDX-License-Identifier: MIT */
/*
 * damage [--seconds N] [--damages N] [--seed N] [--first N] [--arenas N]
 *	[--failures N] [--verbose] [--test]
 *
 * A damaged arena hurts nobody (P2): one arena after the other, each with a few
 * healthy processes that call every public function at random (calls.c,
 * crew.c), while this process writes into it (harm.c), up to ten times; then
 * everybody goes home, and a fresh arena is made, so that no time is spent on
 * what is refused already. Errors are fine. Not fine: a crash, an access
 * outside of the mapping (guard.c), a call that does not come back: all have
 * finite time limits, and a process that makes no step in 20 s hangs.
 *
 * --seed: draws everything but the times at which things happen to meet; it is
 * printed. --first N --arenas 1 repeats one arena's choices. --test: the guards
 * and the watchdog first, then counts as a test does.
 *
 * Each failure is told with the damages of its arena and the stacks. The last
 * line: `fuzz: N damages, N arenas, N crashes, N hangs`.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANG_NS (20000 * MS)

struct board *board;
struct seat *seat;
struct run run = {.hang_ns = HANG_NS};

static uint64_t first, arenas_max = UINT64_MAX;
static uint64_t damages_max = UINT64_MAX;
static uint64_t seconds = 20, failures_max = 5;
static bool verbose, test;

static uint64_t arenas;

/* ---- random numbers, time ---- */

static uint64_t mixed(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

struct dice dice_of(uint64_t of, uint64_t stream)
{
	uint64_t s = mixed(of + mixed(stream + UINT64_C(0x9e3779b97f4a7c15)));

	return (struct dice){s ? s : 1};
}

uint64_t roll(struct dice *d)
{
	d->state ^= d->state >> 12;
	d->state ^= d->state << 25;
	d->state ^= d->state >> 27;
	return d->state * UINT64_C(0x2545f4914f6cdd1d);
}

uint32_t pick(struct dice *d, uint32_t below)
{
	return (uint32_t)((roll(d) >> 32) * below >> 32);
}

void sit_down(void)
{
	seat = &board->seat[ADD(board->seats, 1) % SEATS];
	SET(seat->pid, 0);
	SET(seat->signal, 0);
	SET(seat->looked, 0);
	SET(seat->sleeping, 0);
	SET(seat->function, -1);
	ADD(seat->ticks, 1);
	SET(seat->pid, (int32_t)getpid());
}

/* ---- one arena ---- */

static void spawn(const struct part_of *part)
{
	pid_t parent = getpid(), pid;

	fflush(NULL);
	pid = fork();
	if (pid == -1) {
		perror("fuzz: fork");
		exit(2);
	}
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		live(part);
	}
	run.children[part->index] = pid;
}

static void clear_board(void)
{
	board->stop = board->joined = board->seats = 0;
	board->farm_pid = 0;
	memset(board->addrs, 0, sizeof(board->addrs));
	memset(board->events, 0, sizeof(board->events));
	memset(board->seat, 0, sizeof(board->seat));
	run.logged = 0;
	run.told = false;
}

static struct fr_arena_opts some_opts(struct dice *d, unsigned processes)
{
	const uint64_t starts[] = {0, UINT64_MAX - 100, roll(d)};

	return (struct fr_arena_opts){
		/* The last mailbox, behind which nothing is, is in use, too. */
		.slots = one_in(d, 10) ? 65 + pick(d, 3)
				       : processes + pick(d, 3),
		.mailbox_bytes = 4096u << pick(d, 3),
		.cells = 1 + pick(d, 8),
		.main_cells = 1 + pick(d, 70),
		.arg_max = 64u << pick(d, 3),
		.result_max = 64u << pick(d, 3),
		.events = 2 + pick(d, 14),
		.types = 16,
		.start_position = starts[pick(d, 3)],
	};
}

/* Until so many have joined, or somebody has ended. */
static bool await_joined(unsigned count)
{
	int64_t until = now_ns() + 5000 * MS;
	siginfo_t info = {.si_pid = 0};

	while (GET(board->joined) < count) {
		if (now_ns() > until ||
		    waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) ==
			    -1 ||
		    info.si_pid)
			return false;
		nap(MS / 20);
	}
	return true;
}

static void harm(struct fr_arena *arena, struct dice *d)
{
	struct harm *h = harm_open(arena);
	unsigned count = one_in(d, 4) ? 1 + pick(d, DAMAGES_MAX) : DAMAGES_MAX;

	while (h && run.logged < count) {
		if (!one_in(d, 4))
			nap(pick(d, (uint32_t)MS));
		harm_once(h, d, &run.log[run.logged++]);
		run.damages++;
	}
	nap(pick(d, 4 * (uint32_t)MS));
	harm_close(h);
}

/* The farm's arena has no name: by way of its process's descriptor. */
static int attach_farm(struct fr_arena **ret)
{
	char path[64];
	int fd, rc;

	if (!await_joined(1))
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", board->farm_pid,
		 board->farm_fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	rc = fr_arena_attach_fd(fd, ret);
	close(fd);
	return rc;
}

static int begin_farm(struct part_of *part, struct fr_arena **ret)
{
	int rc;

	part->role = FARMER;
	spawn(part);
	rc = attach_farm(ret);
	if (rc < 0) {
		run.crashes++;
		printf("fuzz: no farm to damage: %s\n", strerror(-rc));
	}
	return rc;
}

/* Do we see the library's mappings? Else all of this shows nothing. */
static void must_be_guarded(struct fr_arena *arena)
{
	struct fr_arena_info info;
	size_t bytes;

	fr_arena_info(arena, &info);
	if (last_mapping(&bytes) && bytes == info.bytes)
		return;
	fprintf(stderr, "fuzz: an arena without guard pages\n");
	exit(2);
}

static int begin(struct part_of *part, struct dice *d, const char *name,
		 struct fr_arena **ret)
{
	unsigned count = 2 + pick(d, PROCESSES - 1), i;
	bool foreman = one_in(d, 5);
	const struct fr_arena_opts opts =
		some_opts(d, count + (foreman ? 3 : 0));
	int rc;

	part->name = one_in(d, 4) ? NULL : name;
	rc = fr_arena_create(part->name, &opts, &part->arena);
	if (rc < 0)
		return rc;
	must_be_guarded(part->arena);
	*ret = part->arena;
	for (i = 0; i < count; i++) {
		part->index = i;
		part->role = foreman && i == 0 ? FOREMAN : MEMBER;
		spawn(part);
	}
	if (!one_in(d, 4))
		await_joined(count);
	return 0;
}

static void one_arena(void)
{
	struct dice d = dice_of(run.seed, run.number);
	struct part_of part = {.seed = roll(&d)};
	struct fr_arena *arena = NULL;
	char name[FR_NAME_MAX + 1];
	int rc;

	snprintf(name, sizeof(name), "fuzz.%d.%llu", (int)getpid(),
		 (unsigned long long)run.number);
	clear_board();
	rc = one_in(&d, 8) ? begin_farm(&part, &arena)
			   : begin(&part, &d, name, &arena);
	if (rc < 0 && part.role != FARMER) {
		fprintf(stderr, "fuzz: no arena: %s\n", strerror(-rc));
		exit(2);
	}
	if (rc == 0)
		harm(arena, &d);
	SET(board->stop, 1);
	reap_all();
	if (arena)
		fr_arena_detach(arena);
	if (board->ended_badly || board->killed) {
		run.crashes += board->ended_badly;
		run.hangs += board->killed;
		printf("fuzz: %u children crashed, %u did not end\n",
		       board->ended_badly, board->killed);
		tell_damages();
		board->ended_badly = board->killed = 0;
	}
	arenas++;
}

/* ---- does it see what it is to see? ---- */

static unsigned passed, failed;

static void verdict(const char *what, bool well)
{
	*(well ? &passed : &failed) += 1;
	printf("%s %s\n", well ? "ok" : "not ok", what);
}

/* What is counted when a process with an arena does this. */
static uint64_t planted(void (*fn)(struct fr_arena *arena), uint64_t *counter)
{
	uint64_t before = *counter, counted;
	struct fr_arena *arena;

	clear_board();
	if (fr_arena_create(NULL, NULL, &arena) < 0)
		return 0;
	must_be_guarded(arena);
	fflush(NULL);
	run.children[0] = fork();
	if (run.children[0] == 0) {
		be_silent();
		dup2(STDERR_FILENO, STDOUT_FILENO); /* nor a stack */
		fn(arena);
		_exit(0);
	}
	run.quiet = true;
	reap_all();
	run.quiet = false;
	fr_arena_detach(arena);
	counted = *counter - before;
	*counter = before;
	return counted;
}

static void touch(int64_t offset)
{
	size_t bytes;
	unsigned char *at = last_mapping(&bytes);

	at += offset < 0 ? offset : (int64_t)bytes + offset;
	SET(board->expected, (uint64_t)(uintptr_t)at);
	*(volatile unsigned char *)at = 1;
}

static void touch_before(struct fr_arena *arena)
{
	(void)arena;
	touch(-1);
}

static void touch_behind(struct fr_arena *arena)
{
	(void)arena;
	touch(0);
}

static void touch_far_behind(struct fr_arena *arena)
{
	(void)arena;
	touch(INT64_C(1) << 32);
}

static void do_nothing(struct fr_arena *arena)
{
	fr_recover(arena);
}

static void go_round(struct fr_arena *arena)
{
	(void)arena;
	for (;;)
		sched_yield();
}

/* Is that access caught, and is it that one? */
static bool is_caught(void (*fn)(struct fr_arena *arena))
{
	uint64_t count = planted(fn, &run.crashes);
	unsigned i;

	for (i = 0; i < SEATS; i++)
		if (board->seat[i].address == board->expected)
			return count == 1;
	return count == 1 && sanitized();
}

static void check_ourselves(void)
{
	verdict("what is well is not counted",
		planted(do_nothing, &run.crashes) == 0);
	verdict("a byte in front of the mapping is out of bounds",
		is_caught(touch_before));
	verdict("a byte behind the mapping is out of bounds",
		is_caught(touch_behind));
	verdict("a byte far behind the mapping is out of bounds",
		is_caught(touch_far_behind));
	run.hang_ns = 500 * MS;
	verdict("a process that goes round in a circle hangs",
		planted(go_round, &run.hangs) == 1);
	run.hang_ns = HANG_NS;
}

/* ---- the run ---- */

static void tell_calls(void)
{
	uint64_t all = 0;
	unsigned i;

	for (i = 0; i < functions(); i++) {
		all += board->calls[i];
		printf("%-44s %9llu calls %9llu errors\n",
		       function_name((int)i),
		       (unsigned long long)board->calls[i],
		       (unsigned long long)board->errors[i]);
	}
	harm_tell(stdout);
	printf("%llu calls, %llu times the arena was found damaged\n",
	       (unsigned long long)all, (unsigned long long)board->refused);
}

static uint64_t number_of(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (*text == '\0' || *end != '\0') {
		fprintf(stderr, "fuzz: %s is no number\n", text);
		exit(2);
	}
	return n;
}

static void options(int argc, char **argv)
{
	static const struct option known[] = {
		{"seconds", 1, NULL, 's'},
		{"damages", 1, NULL, 'd'},
		{"seed", 1, NULL, 'r'},
		{"first", 1, NULL, 'f'},
		{"arenas", 1, NULL, 'a'},
		{"failures", 1, NULL, 'x'},
		{"verbose", 0, NULL, 'v'},
		{"test", 0, NULL, 't'},
		{0},
	};
	uint64_t *const numbers[] = {
		['s'] = &seconds, ['d'] = &damages_max, ['r'] = &run.seed,
		['f'] = &first,	  ['a'] = &arenas_max,	['x'] = &failures_max,
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == '?')
			exit(2);
		if (c == 'v' || c == 't')
			*(c == 'v' ? &verbose : &test) = true;
		else
			*numbers[c] = number_of(optarg);
	}
}

static void set_up(void)
{
	if (getrandom(&run.seed, sizeof(run.seed), 0) != sizeof(run.seed))
		run.seed = (uint64_t)now_ns();
	run.seed &= 0xffffffff; /* easily typed */
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (board == MAP_FAILED) {
		perror("fuzz: mmap");
		exit(2);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pthread_atfork(NULL, NULL, sit_down);
	catch_crashes();
}

int main(int argc, char **argv)
{
	int64_t until;

	set_up();
	options(argc, argv);
	if (test)
		check_ourselves();
	printf("fuzz: seed %llu\n", (unsigned long long)run.seed);
	until = now_ns() + (int64_t)seconds * 1000 * MS;
	for (run.number = first;
	     arenas < arenas_max && run.damages < damages_max &&
	     now_ns() < until && run.crashes + run.hangs < failures_max;
	     run.number++)
		one_arena();
	if (verbose)
		tell_calls();
	if (test) {
		verdict("a damaged arena hurts nobody",
			run.crashes + run.hangs == 0);
		printf("%u passed, %u failed, 0 skipped\n", passed, failed);
	}
	printf("fuzz: %llu damages, %llu arenas, %llu crashes, %llu hangs\n",
	       (unsigned long long)run.damages, (unsigned long long)arenas,
	       (unsigned long long)run.crashes, (unsigned long long)run.hangs);
	return run.crashes + run.hangs + failed > 0;
}
