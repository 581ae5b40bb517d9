/* SPDX-License-Identifier: MIT */
#include "storm.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct oracle *oracle;
uint32_t me;

const char *const role_names[ROLES] = {
	"boss", "farmer", "farm worker", "worker", "mesh", "stranger",
};
const char *const in_names[IN_KINDS] = {
	"start", "claim", "task", "event", "recovery", "call",
};

/* ---- random numbers, time ---- */

uint64_t mixed(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

struct dice dice_of(uint64_t seed, uint64_t of)
{
	uint64_t s = mixed(seed + mixed(of + UINT64_C(0x9e3779b97f4a7c15)));

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

int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec;
}

/* ---- the oracle's memory ---- */

void oracle_open(uint64_t incarnations)
{
	size_t bytes = sizeof(*oracle) +
		       incarnations * (sizeof(struct incarnation) +
				       SEATS_MAX * sizeof(struct stream));

	/* Most of it is never touched. */
	oracle = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (oracle == MAP_FAILED) {
		perror("storm: no memory for the oracle");
		exit(2);
	}
	oracle->max = (uint32_t)incarnations;
}

struct incarnation *incarnation(uint32_t number)
{
	return &oracle->incarnation[number < oracle->max ? number : 0];
}

struct stream *stream(uint32_t from, unsigned to_seat)
{
	struct stream *all = (void *)&oracle->incarnation[oracle->max];

	from = from < oracle->max ? from : 0;
	return &all[(size_t)from * SEATS_MAX + to_seat % SEATS_MAX];
}

struct seat *my_seat(void)
{
	return &oracle->seat[incarnation(me)->seat];
}

void be_born(unsigned seat)
{
	struct incarnation *i;

	me = ADD(oracle->count, 1) + 1; /* 0 is nobody */
	if (me >= oracle->max) {
		fault("more than %u processes", oracle->max);
		_exit(1);
	}
	i = incarnation(me);
	i->seat = seat;
	i->in = IN_START;
	i->pid = (int32_t)getpid();
	SET(oracle->seat[seat].now, me);
	progress();
}

void go_in(uint32_t what)
{
	struct incarnation *i = incarnation(me);

	SET(i->in, i->in | what);
}

void go_out(uint32_t what)
{
	struct incarnation *i = incarnation(me);

	SET(i->in, i->in & ~what);
}

void progress(void)
{
	ADD(my_seat()->progress, 1);
}

/* ---- faults ---- */

void fault(const char *format, ...)
{
	char line[400];
	va_list args;
	int n = 0;

	if (me)
		n = snprintf(line, sizeof(line),
			     "storm: %s %u (pid %d, "
			     "incarnation %u): ",
			     role_names[my_seat()->role], my_seat()->index,
			     (int)getpid(), me);
	else
		n = snprintf(line, sizeof(line), "storm: ");
	va_start(args, format);
	vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
	va_end(args);
	if (ADD(oracle->failures, 1) < 40)
		dprintf(STDERR_FILENO, "%s\n", line);
}

void fault_rc(const char *what, int rc)
{
	fault("%s answers %d (%s)", what, rc,
	      rc < 0 ? strerror(-rc) : "no error");
}
