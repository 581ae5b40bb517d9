/* SPDX-License-Identifier: MIT */
/* Those who sleep meanwhile: what each waits for, and how they are started. */
#include "world.h"

#include "../harness.h"
#include "arena.h"
#include "ops.h"
#include "trace.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct sleeper *find_sleeper(struct world *w,
			     int (*run)(struct world *, struct sleeper *))
{
	unsigned i;

	for (i = 0; i < w->sleeper_count; i++)
		if (w->sleepers[i].spec->run == run)
			return &w->sleepers[i];
	return NULL;
}

static struct fr_process *sleeper_joins(struct world *w, struct sleeper *sl,
					const char *name)
{
	struct fr_process *p = join(w->arena, name);

	sl->addr = fr_self(p);
	advance(&sl->joined);
	return p;
}

static void got_on(struct world *w, struct sleeper *sl)
{
	advance(&sl->progress);
	advance(&w->changed);
}

static struct sleeper *of_signal;

static void on_release(int sig)
{
	(void)sig;
	__atomic_store_n(&of_signal->released, 1, __ATOMIC_SEQ_CST);
}

/* Each sender's in order and once; what of a victim's is missing was never
 * committed, which survive.c counts. */
static void note_letter(struct sleeper *sl, const struct fr_message *m)
{
	enum who who;
	uint32_t number = read_letter(m, &who);

	if (who <= WHO_S2 ? number != sl->got[who]
			  : sl->got[who] && number <= sl->last[who])
		GIVE_UP("message %u of sender %u comes as its %u., after %u",
			number, who, sl->got[who], sl->last[who]);
	sl->last[who] = number;
	__atomic_fetch_add(&sl->got[who], 1, __ATOMIC_SEQ_CST);
}

/* With its own body; the caller may be gone. */
static void reply_to(struct fr_process *p, const struct fr_message *m)
{
	int rc;

	if (!m->call)
		return;
	rc = fr_reply(p, m->call, m->body, m->len);
	if (rc != -ESRCH)
		MUST_RC(rc, 0);
}

int sleep_for_mail(struct world *w, struct sleeper *sl)
{
	const struct sigaction action = {.sa_handler = on_release};
	struct fr_message held[UNITS], m;
	struct fr_process *p;
	unsigned n = 0;
	int rc;

	of_signal = sl;
	sigaction(SIGUSR1, &action, NULL);
	p = sleeper_joins(w, sl, "mail");
	for (;;) {
		rc = fr_receive(p, FR_FOREVER, &m);
		if (rc != -EINTR)
			MUST_RC(rc, 0);
		if (rc == 0 && m.type.id == FR_TYPE_EXIT.id)
			break;
		if (rc == 0) {
			note_letter(sl, &m);
			reply_to(p, &m);
			MUST(n < UNITS);
			held[n++] = m;
		}
		if (reached(&sl->released)) {
			fr_release_batch(p, held, n);
			n = 0;
			if (sl->released == 1)
				sl->released = 2;
		}
		got_on(w, sl);
	}
	fr_release(p, &m);
	fr_leave(p);
	return 0;
}

int sleep_for_room(struct world *w, struct sleeper *sl)
{
	struct fr_process *p = sleeper_joins(w, sl, NULL);
	struct fr_addr to = w->victims[sl->spec->of].addr;
	uint32_t number = 0;

	do {
		sl->rc = send_letter(p, to, WHO_W, number++, 8, FR_FOREVER);
		got_on(w, sl);
	} while (sl->rc == 0);
	MUST_RC(sl->rc, -ESRCH);
	fr_leave(p);
	return 0;
}

int sleep_for_tasks(struct world *w, struct sleeper *sl)
{
	struct fr_process *p = sleeper_joins(w, sl, NULL);
	struct fr_reply reply;
	struct fr_task task;
	uint32_t kind;

	do {
		MUST_RC(fr_take(p, FR_FOREVER, &task, &reply), 0);
		kind = task.kind;
		MUST_RC(complete_work(p, &task, &reply), 0);
		got_on(w, sl);
	} while (kind != KIND_STOP);
	fr_leave(p);
	return 0;
}

static int collect(struct world *w, struct sleeper *sl, unsigned count)
{
	struct fr_process *p = sleeper_joins(w, sl, NULL);
	struct fr_result r;
	unsigned i, seen = 0;

	for (i = 0; i < count; i++)
		MUST_RC(submit_work(p, KIND_WORK, i, NULL), 0);
	for (i = 0; i < count; i++) {
		MUST_RC(fr_collect(p, FR_FOREVER, &r), 0);
		MUST(r.value >= 0 && r.value < (int)count);
		check_result(&r, (uint32_t)r.value);
		MUST(!(seen & 1u << r.value));
		seen |= 1u << r.value;
		fr_result_release(p, &r);
		got_on(w, sl);
	}
	MUST_RC(fr_collect(p, 0, &r), -ENODATA);
	fr_leave(p);
	return 0;
}

int sleep_for_result(struct world *w, struct sleeper *sl)
{
	return collect(w, sl, 1);
}

int sleep_for_results(struct world *w, struct sleeper *sl)
{
	return collect(w, sl, 2);
}

int sleep_for_event(struct world *w, struct sleeper *sl)
{
	struct fr_process *p = sleeper_joins(w, sl, NULL);

	sl->rc = fr_event_wait(p, w->event, FR_FOREVER);
	if (sl->rc != -ESTALE)
		MUST_RC(sl->rc, 0);
	fr_leave(p);
	return 0;
}

int sleep_for_event_from(struct world *w, struct sleeper *sl)
{
	struct fr_process *p = sleeper_joins(w, sl, NULL);

	sl->rc = fr_event_wait_from(p, w->event, w->victims[sl->spec->of].addr,
				    FR_FOREVER);
	if (sl->rc != -EOWNERDEAD)
		MUST_RC(sl->rc, 0);
	fr_leave(p);
	return 0;
}

int sleep_for_reply(struct world *w, struct sleeper *sl)
{
	struct fr_process *p = sleeper_joins(w, sl, NULL);
	unsigned char body[24], reply[24];

	write_letter(body, WHO_W, 0, sizeof(body));
	sl->rc = fr_call(p, w->victims[sl->spec->of].addr, (struct fr_type){0},
			 body, sizeof(body), FR_FOREVER, reply, sizeof(reply));
	if (sl->rc != -EOWNERDEAD) {
		MUST_RC(sl->rc, sizeof(reply));
		MUST(memcmp(body, reply, sizeof(body)) == 0);
	}
	fr_leave(p);
	return 0;
}

int sleep_for_name(struct world *w, struct sleeper *sl)
{
	struct fr_process *p = sleeper_joins(w, sl, NULL);
	struct fr_addr found;

	MUST_RC(fr_wait_name(p, "victim", FR_FOREVER, &found), 0);
	fr_leave(p);
	return 0;
}

bool sleeper_sleeps(const struct world *w, const struct sleeper *sl)
{
	uintptr_t base = (uintptr_t)w->arena->base;
	uint64_t word;
	uint32_t value;

	return sleeps_on(sl->pid, &word, &value) && word >= base &&
	       word < base + w->arena->bytes &&
	       __atomic_load_n((uint32_t *)(uintptr_t)word, __ATOMIC_SEQ_CST) ==
		       value;
}

void wait_until_asleep(struct world *w, const struct sleeper *sl)
{
	while (!sleeper_sleeps(w, sl))
		breathe(w);
}

void sleeper_ended(struct world *w, struct sleeper *sl, int status)
{
	sl->pid = 0;
	look_at_children(w);
	if (status != 0)
		GIVE_UP("sleeper %u ends with status %#x",
			(unsigned)(sl - w->sleepers), (unsigned)status);
}

void freeze_sleepers(struct world *w,
		     int (*run)(struct world *, struct sleeper *))
{
	unsigned i;
	int status;

	for (i = 0; i < w->sleeper_count; i++) {
		struct sleeper *sl = &w->sleepers[i];

		if (sl->pid == 0 || sl->frozen || (run && sl->spec->run != run))
			continue;
		kill(sl->pid, SIGSTOP);
		if (waitpid(sl->pid, &status, WUNTRACED) != sl->pid)
			GIVE_UP("sleeper %u does not stop", i);
		sl->frozen = WIFSTOPPED(status);
		if (!sl->frozen)
			sleeper_ended(w, sl, status);
	}
}

void thaw_sleepers(struct world *w)
{
	unsigned i;

	for (i = 0; i < w->sleeper_count; i++)
		if (w->sleepers[i].frozen) {
			w->sleepers[i].frozen = false;
			kill(w->sleepers[i].pid, SIGCONT);
		}
}

/* Fill the mailbox of one who sleeps for mail, as the state wants it. */
static void feed(struct world *w, struct sleeper *sl)
{
	unsigned count = w->state == RING_HALF	   ? UNITS / 2
			 : w->state == RING_NEARLY ? UNITS - 3
			 : w->state == RING_PASSED ? 3
						   : 0;

	if (w->state == RING_PASSED)
		MUST_RC(fr_claim(w->s2, sl->addr, (struct fr_type){0}, 8, 0,
				 &w->open),
			0);
	for (; sl->s_letters < count; sl->s_letters++)
		MUST_RC(send_letter(w->s, sl->addr, WHO_S, sl->s_letters, 8, 0),
			0);
	while (reached(&sl->got[WHO_S]) < count)
		breathe(w);
	wait_until_asleep(w, sl);
}

static void start_sleeper(struct world *w, const struct sleeper_spec *spec)
{
	struct sleeper *sl = &w->sleepers[w->sleeper_count++];

	pid_t pid;

	sl->spec = spec;
	pid = child();
	if (pid == 0) {
		if (spec->run(w, sl) != 0)
			_exit(1);
		advance(&sl->ended);
		advance(&w->changed);
		_exit(0);
	}
	sl->pid = pid;
	while (!reached(&sl->joined))
		breathe(w);
	wait_until_asleep(w, sl);
	if (spec->run == sleep_for_mail)
		feed(w, sl);
}

void world_sleepers(struct world *w, enum stage stage)
{
	unsigned i;

	for (i = 0; i < SLEEPERS && w->op->sleepers[i].run; i++)
		if (w->op->sleepers[i].stage == stage)
			start_sleeper(w, &w->op->sleepers[i]);
}
