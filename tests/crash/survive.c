/* SPDX-License-Identifier: MIT */
/*
 * What the survivors must still be able to do, and what must not be left.
 *
 * What a victim had committed is read from the ring, where it died: a record
 * that is READY, or that its receiver has marked since, must be received, once;
 * one that is not must never be. (Sleepers hold all that they receive until
 * they are told to release it, so that nothing is freed before it is counted.)
 */
#include "world.h"

#include "../harness.h"
#include "arena.h"
#include "ops.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

/* ---- looking ---- */

unsigned committed_in(const struct fr_arena *a, unsigned mailbox,
		      unsigned owner)
{
	const struct fr__ring *ring;
	const struct fr__record *rec;
	uint64_t p, head, plain;
	unsigned count = 0, state;
	uint32_t units;

	ring = fr__arena_ring(a, mailbox);
	head = __atomic_load_n(&ring->ctl->head.raw, __ATOMIC_ACQUIRE);
	for (p = head; p - head <= ring->mask; p += units) {
		rec = fr__ring_at(ring, p);
		plain = __atomic_load_n(&rec->tag.raw, __ATOMIC_ACQUIRE) ^
			ring->secret;
		/* layout.h: state (3) | owner (12) | units (17) | lap (32) */
		state = plain >> 61;
		units = plain >> 32 & 0x1ffff;
		if ((uint32_t)plain != (uint32_t)(p >> ring->shift) ||
		    state < 1 || state > 6 || units == 0)
			break;
		/* neither OPEN, CLAIMED nor DEAD */
		if (state >= 3 && state <= 5 && (plain >> 49 & 0xfff) == owner)
			count += rec->type & FR__PARTS ? rec->type & ~FR__PARTS
						       : 1;
	}
	return count;
}

struct fault_text {
	char text[800];
	size_t n;
};

static void note_fault(void *ctx, const char *fault)
{
	struct fault_text *t = ctx;

	if (t->n < sizeof(t->text))
		t->n += (size_t)snprintf(t->text + t->n, sizeof(t->text) - t->n,
					 "%s%s", t->n ? "; " : "", fault);
}

void check_arena(struct world *w, struct fr_arena *a)
{
	struct fault_text t = {.n = 0};
	int rc = fr_check(a, note_fault, &t);

	(void)w;
	if (rc != 0)
		GIVE_UP("fr_check() is %d: %s", rc, t.text);
}

static unsigned joined(const struct fr_arena *a)
{
	struct fr_arena_info info;

	fr_arena_info(a, &info);
	return info.joined;
}

/* ---- what is owed to those who sleep ---- */

/* Letters of victims that a sleeper has got. */
static uint32_t got_of_victims(struct sleeper *sl)
{
	return reached(&sl->got[WHO_V]) + reached(&sl->got[WHO_V2]) +
	       reached(&sl->got[WHO_D]);
}

static bool has_its_due(struct world *w, struct sleeper *sl)
{
	switch (sl->spec->owed) {
	case OWED_END:
		return reached(&sl->ended);
	case OWED_MAIL:
		return got_of_victims(sl) >= sl->expected;
	case OWED_EVENT:
		return reached(&sl->ended) ||
		       fr_event_wait(w->s, w->event, 0) == -EAGAIN;
	default:
		return true;
	}
}

static struct sleeper *somebody_waits(struct world *w)
{
	unsigned i;

	for (i = 0; i < w->sleeper_count; i++)
		if (!has_its_due(w, &w->sleepers[i]))
			return &w->sleepers[i];
	return NULL;
}

static bool all_asleep(struct world *w)
{
	unsigned i;

	for (i = 0; i < w->sleeper_count; i++)
		if (!reached(&w->sleepers[i].ended) &&
		    !sleeper_sleeps(w, &w->sleepers[i]))
			return false;
	return true;
}

void wait_for_owed(struct world *w, bool must_be_rung)
{
	const struct timespec moment = {0, 20 * MS};
	struct sleeper *sl;
	uint32_t before;

	w->doing = must_be_rung ? "waiting for those that recovery has woken"
				: "waiting for those that wake by themselves";
	while ((sl = somebody_waits(w)) != NULL) {
		look_at_children(w);
		before = reached(&w->changed);
		if (!must_be_rung) {
			advance(&w->parked);
			nanosleep(&moment, NULL);
		} else if (all_asleep(w) && all_asleep(w) &&
			   before == reached(&w->changed) &&
			   sl == somebody_waits(w)) {
			GIVE_UP("recovery is done, nobody is awake, and sleeper "
				"%u has not got its due",
				(unsigned)(sl - w->sleepers));
		} else {
			breathe(w);
		}
	}
	w->doing = NULL;
}

/* ---- traffic ---- */

static void release_mail(struct world *w, struct sleeper *sl)
{
	while (reached(&sl->released) != 2) {
		kill(sl->pid, SIGUSR1);
		breathe(w);
	}
}

static void mail_flows(struct world *w, struct sleeper *sl, unsigned count)
{
	unsigned i;

	release_mail(w, sl);
	for (i = 0; i < count; i++, sl->s_letters++)
		MUST_RC(send_letter(w->s, sl->addr, WHO_S, sl->s_letters,
				    8 + sl->s_letters * 31 % 200, FR_FOREVER),
			0);
	while (reached(&sl->got[WHO_S]) < sl->s_letters)
		breathe(w);
}

static bool take_one(struct world *w, int64_t wait_ns)
{
	struct fr_reply reply;
	struct fr_task task;
	int rc = fr_take(w->s, wait_ns, &task, &reply);

	if (rc == -EAGAIN || rc == -ETIMEDOUT)
		return false;
	MUST_RC(rc, 0);
	MUST_RC(complete_work(w->s, &task, &reply), 0);
	return true;
}

/* A task of our own: done by a worker, or by ourselves if there is none. */
static void tasks_flow(struct world *w)
{
	bool workers = find_sleeper(w, sleep_for_tasks) != NULL;
	struct fr_result r;

	MUST_RC(submit_work(w->s, KIND_WORK, 7, NULL), 0);
	/* If the stopped one was to wake a worker, only a slice does. */
	advance(&w->parked);
	if (!workers)
		while (take_one(w, 0))
			;
	MUST_RC(fr_collect(w->s, FR_FOREVER, &r), 0);
	check_result(&r, 7);
	fr_result_release(w->s, &r);
}

static void events_work(struct world *w)
{
	struct fr_event e;

	MUST_RC(fr_event_reserve(w->s, w->group, &e), 0);
	MUST_RC(fr_event_wait(w->s, e, 0), -EAGAIN);
	MUST_RC(fr_event_set(w->s, e), 0);
	MUST_RC(fr_event_wait(w->s, e, FR_FOREVER), 0);
	MUST_RC(fr_event_release(w->s, e), 0);
}

/* count letters to a process of our own, and back to us. */
static void letters_to(struct world *w, struct fr_process *p, uint32_t count)
{
	struct fr_message m;
	uint32_t i, number;
	enum who who;

	for (i = 0, number = 0; i < count; i++) {
		MUST_RC(send_letter(w->s, fr_self(p), WHO_S, i,
				    8 + i * 37 % 200, 0),
			0);
		if (i % 8 != 7 && i + 1 < count)
			continue;
		for (; number <= i; number++) {
			MUST_RC(fr_receive(p, 0, &m), 0);
			MUST(read_letter(&m, &who) == number && who == WHO_S);
			MUST(m.from.id == fr_self(w->s).id);
			fr_release(p, &m);
		}
	}
	MUST_RC(fr_receive(p, 0, &m), -EAGAIN);
}

static void one_comes_and_goes(struct world *w)
{
	struct fr_process *p = join(w->arena, "n");
	struct fr_addr found;

	MUST_RC(fr_lookup(w->s, "n", &found, 1), 1);
	MUST(found.id == fr_self(p).id);
	letters_to(w, p, 20);
	fr_leave(p);
	MUST_RC(fr_lookup(w->s, "n", &found, 1), 0);
}

void others_go_on(struct world *w)
{
	unsigned i;
	int rc;

	w->doing = "the victim is stopped, the others go on";
	rc = fr_recover(w->arena);
	if (rc != 0 && !(rc == 1 && w->op->flags & OP_DEAD))
		GIVE_UP("fr_recover() is %d: a stopped process is alive", rc);
	for (i = 0; i < w->sleeper_count; i++)
		if (w->sleepers[i].spec->run == sleep_for_mail)
			mail_flows(w, &w->sleepers[i], 3);
	tasks_flow(w);
	events_work(w);
	one_comes_and_goes(w);
	w->doing = NULL;
}

/* ---- the sleepers' end ---- */

static void wait_end(struct world *w, struct sleeper *sl)
{
	int status;

	while (!reached(&sl->ended))
		breathe(w);
	if (sl->pid == 0)
		return;
	while (waitpid(sl->pid, &status, 0) == -1)
		if (errno != EINTR)
			GIVE_UP("waitpid: %s", strerror(errno));
	sleeper_ended(w, sl, status);
}

static void end_mail(struct world *w, struct sleeper *sl)
{
	if (w->state == RING_PASSED) {
		write_letter(w->open.body, WHO_S2, 0, w->open.len);
		fr_commit(w->s2, &w->open);
		w->s2_letters = 1;
	}
	mail_flows(w, sl, 150);
	MUST_RC(fr_send_exit(w->s, sl->addr, FR_FOREVER), 0);
	wait_end(w, sl);
	if (got_of_victims(sl) != sl->expected)
		GIVE_UP("%u messages of the victims were committed, and %u "
			"were received",
			sl->expected, got_of_victims(sl));
	MUST(sl->got[WHO_S2] == w->s2_letters);
}

static void end_worker(struct world *w, struct sleeper *sl)
{
	struct fr_result r;

	MUST_RC(submit_work(w->s, KIND_STOP, 9, NULL), 0);
	MUST_RC(fr_collect(w->s, FR_FOREVER, &r), 0);
	check_result(&r, 9);
	fr_result_release(w->s, &r);
	wait_end(w, sl);
}

static void end_collector(struct world *w, struct sleeper *sl)
{
	bool workers = find_sleeper(w, sleep_for_tasks) != NULL;

	while (!reached(&sl->ended)) {
		if (!workers)
			take_one(w, 200 * MS);
		breathe(w);
	}
	wait_end(w, sl);
}

static void end_namer(struct world *w, struct sleeper *sl)
{
	struct fr_process *p = NULL;

	if (!reached(&sl->ended))
		p = join(w->arena, "victim");
	wait_end(w, sl);
	fr_leave(p);
}

static void end_one(struct world *w, struct sleeper *sl)
{
	if (sl->spec->run == sleep_for_mail) {
		w->doing = "mail flows through the same ring";
		end_mail(w, sl);
	} else if (sl->spec->run == sleep_for_tasks) {
		w->doing = "the worker goes on";
		end_worker(w, sl);
	} else if (sl->spec->run == sleep_for_name) {
		w->doing = "a name is waited for";
		end_namer(w, sl);
	} else if (sl->spec->run == sleep_for_event) {
		w->doing = "an event is waited for";
		if (!reached(&sl->ended))
			fr_event_set(w->s, w->event);
		wait_end(w, sl);
	} else if (sl->spec->run == sleep_for_room ||
		   sl->spec->run == sleep_for_reply ||
		   sl->spec->run == sleep_for_event_from) {
		w->doing = "somebody waits for one that is gone";
		wait_end(w, sl);
	} else {
		w->doing = "every task gets its result";
		end_collector(w, sl);
	}
	w->doing = NULL;
}

void end_sleepers(struct world *w)
{
	unsigned i;

	/* Workers last: others' tasks need them. */
	for (i = 0; i < w->sleeper_count; i++)
		if (w->sleepers[i].spec->run != sleep_for_tasks)
			end_one(w, &w->sleepers[i]);
	for (i = 0; i < w->sleeper_count; i++)
		if (w->sleepers[i].spec->run == sleep_for_tasks)
			end_one(w, &w->sleepers[i]);
}

/* ---- everything works, nothing has leaked ---- */

#define SLOTS_MAX 16

static void use_tasks(struct world *w, struct fr_process **p, unsigned count)
{
	struct fr_result r;
	unsigned i, k, seen;

	for (i = 0; i < count; i++) {
		for (k = 0; k < CELLS; k++)
			MUST_RC(submit_work(p[i], KIND_WORK, i * CELLS + k,
					    NULL),
				0);
		MUST_RC(submit_work(p[i], KIND_WORK, 0, NULL), -EAGAIN);
	}
	for (i = 0; i < count * CELLS; i++)
		MUST(take_one(w, 0));
	MUST(!take_one(w, 0));
	for (i = 0; i < count; i++) {
		for (k = 0, seen = 0; k < CELLS; k++) {
			MUST_RC(fr_collect(p[i], 0, &r), 0);
			check_result(&r, (uint32_t)r.value);
			MUST((unsigned)r.value / CELLS == i);
			seen |= 1u << (unsigned)r.value % CELLS;
			fr_result_release(p[i], &r);
		}
		MUST(seen == (1u << CELLS) - 1);
		MUST_RC(fr_collect(p[i], 0, &r), -ENODATA);
	}
}

static void use_events(struct world *w)
{
	struct fr_event e[EVENTS], more;
	unsigned i;

	for (i = 0; i < EVENTS; i++) {
		MUST_RC(fr_event_reserve(w->s, w->group, &e[i]), 0);
		MUST_RC(fr_event_wait(w->s, e[i], 0), -EAGAIN);
		MUST_RC(fr_event_take(w->s, e[i], 0), -EAGAIN);
	}
	MUST_RC(fr_event_reserve(w->s, w->group, &more), -ENOSPC);
	for (i = 0; i < EVENTS; i++) {
		MUST_RC(fr_event_set(w->s, e[i]), 0);
		MUST_RC(fr_event_wait(w->s, e[i], 0), 0);
		MUST_RC(fr_event_release(w->s, e[i]), 0);
	}
}

static void use_names(struct world *w, struct fr_process **p, unsigned count)
{
	struct fr_addr found[2];
	char name[16];
	unsigned i;

	for (i = 1; i < count; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		MUST_RC(fr_lookup(w->s, name, found, 2), 1);
		MUST(found[0].id == fr_self(p[i]).id);
		MUST_RC(fr_process_name(w->s, found[0], name), 0);
	}
	MUST_RC(fr_lookup(w->s, "victim", found, 2), 0);
	MUST_RC(fr_lookup(w->s, "mail", found, 2), 0);
}

/* Give back what we have kept through all of it. */
static void tidy_up(struct world *w)
{
	if (w->s2)
		fr_leave(w->s2);
	w->s2 = NULL;
	if (w->event.id)
		fr_event_release(w->s, w->event);
	if (w->reserved.id)
		fr_unreserve(w->s, w->reserved);
}

void exercise(struct world *w)
{
	struct fr_process *p[SLOTS_MAX], *more;
	struct fr_arena_info info;
	unsigned i;
	char name[16];

	w->doing = "all is tried: before";
	tidy_up(w);
	fr_arena_info(w->arena, &info);
	if (info.joined != 1)
		GIVE_UP("%u slots are in use, not 1", info.joined);
	check_arena(w, w->arena);
	w->doing = "all is tried: joining in every slot";
	p[0] = w->s;
	for (i = 1; i < info.slots; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		p[i] = join(w->arena, name);
	}
	MUST_RC(fr_join(w->arena, NULL, &more), -ENOSPC);
	use_names(w, p, info.slots);
	w->doing = "all is tried: mail";
	for (i = 0; i < info.slots; i++)
		letters_to(w, p[i], 80);
	w->doing = "all is tried: tasks";
	use_tasks(w, p, info.slots);
	w->doing = "all is tried: events";
	use_events(w);
	w->doing = "all is tried: leaving";
	check_arena(w, w->arena);
	for (i = 0; i < info.slots; i++)
		fr_leave(p[i]);
	w->doing = "all is tried: after";
	check_arena(w, w->arena);
	MUST(joined(w->arena) == 0);
	fr_event_group_free(w->group);
	fr_arena_detach(w->arena);
	if (w->name[0])
		MUST_RC(fr_arena_unlink(w->name), -ENOENT);
	w->doing = NULL;
}
