/* SPDX-License-Identifier: MIT */
/*
 * The killer: no process of any arena. A choice is a seat, SIGKILL or SIGSTOP,
 * how long a stop lasts, and the pause to the next choice; all are drawn from
 * the seed, as many rolls for each choice, whatever happens meanwhile. A choice
 * is void if nobody sits there just now.
 *
 * Signals go by pidfd, so that nobody else is ever hit, whose pid it may be by
 * then. A victim is marked as killed before it is.
 */
#include "storm.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WEDGED (15 * SECOND)

struct choice {
	unsigned seat;
	bool kill;
	bool at_start; /* also if it is at its start; or the next, at that */
	int64_t stop_ns;
	int64_t pause_ns;
};

/* What the killer knows of a seat. */
struct victim {
	uint32_t number; /* incarnation */
	int fd;		 /* its pidfd; -1: none */
	bool stopped;
	int64_t until; /* stopped */
	uint64_t progress;
	int64_t since;
};

struct killer {
	struct dice dice;
	uint64_t rate;
	uint64_t drawn, hash; /* choices so far */
	int64_t next;
	struct victim victim[SEATS_MAX];
	bool awaited[SEATS_MAX]; /* the next in that seat is killed at once */
	struct tally tally;
};

/* ---- choices ---- */

/* In this order, each of them, whatever the ones before said. */
static struct choice draw(struct dice *d, uint64_t rate)
{
	int64_t most = 18 * SECOND / (int64_t)rate / 10;
	struct choice c;
	uint32_t r;

	c.seat = pick(d, oracle->seats);
	c.kill = one_in(d, 2);
	c.at_start = one_in(d, 6);
	r = pick(d, 8);
	c.stop_ns = (int64_t)pick(d, r == 0 ? 40 * MS : 4 * MS);
	/* Often at once: who recovers the last one is hit, too. */
	r = pick(d, 3);
	c.pause_ns =
		(int64_t)pick(d, (uint32_t)(r == 0 ? most / 8 : most * 3 / 2));
	return c;
}

static uint64_t hash_of(uint64_t hash, const struct choice *c)
{
	hash = mixed(hash + c->seat * 4 + c->kill * 2 + c->at_start);
	return mixed(mixed(hash + (uint64_t)c->stop_ns) +
		     (uint64_t)c->pause_ns);
}

bool killer_repeats(const struct killer *k)
{
	struct dice d = dice_of(oracle->seed, 0);
	uint64_t hash = 0, n;

	for (n = 0; n < k->drawn; n++) {
		struct choice c = draw(&d, k->rate);

		hash = hash_of(hash, &c);
	}
	return hash == k->hash;
}

void killer_tell_choices(uint64_t rate, uint64_t count)
{
	struct dice d = dice_of(oracle->seed, 0);

	while (count-- > 0) {
		struct choice c = draw(&d, rate);

		printf("%s %u: %s", role_names[oracle->seat[c.seat].role],
		       oracle->seat[c.seat].index,
		       c.kill && !oracle->seat[c.seat].immortal ? "kill"
								: "stop");
		printf(" %" PRId64 " us, pause %" PRId64 " us\n",
		       c.stop_ns / US, c.pause_ns / US);
	}
}

struct killer *killer_new(uint64_t rate)
{
	struct killer *k = calloc(1, sizeof(*k));
	unsigned i;

	if (!k)
		abort();
	k->dice = dice_of(oracle->seed, 0);
	k->rate = rate;
	k->next = now_ns();
	for (i = 0; i < SEATS_MAX; i++)
		k->victim[i].fd = -1;
	return k;
}

/* ---- victims ---- */

static void forget(struct victim *v)
{
	if (v->fd >= 0)
		close(v->fd);
	*v = (struct victim){.fd = -1};
}

/* Who sits there now; NULL: nobody who is alive. */
static struct victim *look_at(struct killer *k, unsigned seat)
{
	struct victim *v = &k->victim[seat];
	uint32_t now = GET(oracle->seat[seat].now);
	struct incarnation *i = incarnation(now);

	if (now != v->number)
		forget(v);
	if (now == 0 || GET(i->killed) || GET(i->ended))
		return NULL;
	if (v->fd < 0) {
		v->fd = (int)syscall(SYS_pidfd_open, i->pid, 0);
		v->number = now;
		v->since = now_ns();
		/* One of ours? A pid that has a new owner is not. */
		if (v->fd < 0 || getpgid(i->pid) != getpgid(0) ||
		    GET(oracle->seat[seat].now) != now) {
			forget(v);
			return NULL;
		}
	}
	return v;
}

static int send_signal(const struct victim *v, int signal)
{
	return (int)syscall(SYS_pidfd_send_signal, v->fd, signal, NULL, 0);
}

static void count_in(uint32_t in, uint64_t *counters, uint64_t *busy)
{
	unsigned k;

	for (k = 0; k < IN_KINDS; k++)
		counters[k] += in >> k & 1;
	*busy += (in & (IN_CLAIM | IN_TASK)) != 0;
}

static void go_on(struct killer *k, struct victim *v)
{
	struct incarnation *i = incarnation(v->number);

	/* Its word stands as long as it is stopped. */
	if (!GET(i->killed)) {
		count_in(GET(i->in), k->tally.stopped_in, &k->tally.busy);
		send_signal(v, SIGCONT);
	}
	v->stopped = false;
	v->since = now_ns();
}

static bool kill_one(struct killer *k, struct victim *v, const struct choice *c)
{
	struct incarnation *i = incarnation(v->number);
	enum role role = oracle->seat[c->seat].role;

	/* Who dies at its start again and again is not started any more. */
	if ((GET(i->in) & IN_START) && !c->at_start &&
	    (role == ROLE_WORKER || role == ROLE_FARM_WORKER))
		return false;
	SET(i->killed, 1);
	if (send_signal(v, SIGKILL) == -1)
		return false;
	k->tally.kills++;
	k->tally.killed_role[role]++;
	return true;
}

static bool stop_one(struct killer *k, struct victim *v, const struct choice *c)
{
	if (v->stopped || send_signal(v, SIGSTOP) == -1)
		return false;
	v->stopped = true;
	v->until = now_ns() + c->stop_ns;
	k->tally.stops++;
	k->tally.stopped_role[oracle->seat[c->seat].role]++;
	return true;
}

static void hit(struct killer *k, const struct choice *c)
{
	struct victim *v = look_at(k, c->seat);
	const struct seat *s = &oracle->seat[c->seat];
	bool kills = c->kill && !s->immortal;

	if (v && (kills ? kill_one(k, v, c) : stop_one(k, v, c)))
		return;
	if (!v && kills && c->at_start &&
	    (s->role == ROLE_MESH || s->role == ROLE_STRANGER))
		k->awaited[c->seat] = true;
	else
		k->tally.void_choices++;
}

/* Those whose stop is over go on; those who were awaited are killed. The
 * time to the next of that. */
static int64_t look_round(struct killer *k, int64_t now)
{
	int64_t wait = SECOND;
	unsigned i;

	for (i = 0; i < oracle->seats; i++) {
		struct choice c = {.seat = i, .at_start = true};
		struct victim *v = k->awaited[i] ? look_at(k, i) : NULL;

		if (v) {
			k->awaited[i] = false;
			kill_one(k, v, &c);
		}
		if (k->awaited[i])
			wait = wait < MS / 10 ? wait : MS / 10;
		v = &k->victim[i];
		if (v->stopped && v->until <= now)
			go_on(k, v);
		else if (v->stopped && v->until - now < wait)
			wait = v->until - now;
	}
	return wait;
}

int64_t killer_step(struct killer *k)
{
	int64_t now = now_ns(), wait = look_round(k, now);
	struct choice c;

	if (k->next > now)
		return k->next - now < wait ? k->next - now : wait;
	c = draw(&k->dice, k->rate);
	k->drawn++;
	k->hash = hash_of(k->hash, &c);
	k->next += c.pause_ns;
	hit(k, &c);
	return 0;
}

void killer_end(struct killer *k)
{
	unsigned i;

	for (i = 0; i < SEATS_MAX; i++)
		if (k->victim[i].stopped)
			go_on(k, &k->victim[i]);
}

/* ---- the watch ---- */

static void show_stack(pid_t pid)
{
	char text[16];
	char *const args[] = {
		"gdb", "-q", "-batch", "-nx",
		"-p",  text, "-ex",    "thread apply all bt",
		NULL,
	};
	extern char **environ;
	pid_t gdb;
	int status;

	snprintf(text, sizeof(text), "%d", (int)pid);
	if (posix_spawnp(&gdb, "gdb", NULL, NULL, args, environ) == 0)
		while (waitpid(gdb, &status, 0) == -1 && errno == EINTR)
			;
}

void killer_watch(struct killer *k)
{
	int64_t now = now_ns();
	unsigned i;

	for (i = 0; i < oracle->seats; i++) {
		struct seat *s = &oracle->seat[i];
		struct victim *v = look_at(k, i);

		if (!v)
			continue;
		if (v->stopped || GET(s->progress) != v->progress ||
		    (s->role == ROLE_FARM_WORKER && GET(oracle->ending))) {
			v->progress = GET(s->progress);
			v->since = now;
		} else if (now - v->since >= WEDGED) {
			fault("%s %u, pid %d, in %#x, does not get on",
			      role_names[s->role], s->index,
			      incarnation(v->number)->pid,
			      incarnation(v->number)->in);
			show_stack(incarnation(v->number)->pid);
			v->since = now;
		}
	}
}

void killer_tally(struct killer *k, struct tally *ret)
{
	uint32_t n;

	*ret = k->tally;
	for (n = 1; n <= oracle->count && n < oracle->max; n++)
		if (incarnation(n)->killed)
			count_in(incarnation(n)->in, ret->killed_in,
				 &ret->busy);
	free(k);
}
