/* SPDX-License-Identifier: MIT */
/*
 * A process of the mesh, supervised or a stranger, from its joining to its end.
 * What a call answers is looked at: an error that cannot be is a fault.
 */
#include "member.h"

#include <sched.h>
#include <stdlib.h>

struct member *member_new(struct fr_process *p, struct fr_event_group *group,
			  void (*serve)(void))
{
	struct member *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	m->p = p;
	m->group = group;
	m->serve = serve;
	m->dice = dice_of(oracle->seed,
			  (uint64_t)incarnation(me)->seat << 32 | me);
	SET(incarnation(me)->addr, fr_self(p).id);
	go_out(IN_START);
	return m;
}

/* ---- recovery ---- */

/* Was somebody killed, and is not recovered yet? */
static bool somebody_is_dead(struct member *m)
{
	unsigned i;

	for (i = 0; i < oracle->seats; i++) {
		const struct incarnation *in =
			incarnation(GET(oracle->seat[i].now));

		if (oracle->seat[i].role > ROLE_FARM_WORKER &&
		    GET(in->killed) && GET(in->addr) &&
		    fr_alive(m->p, (struct fr_addr){in->addr}) == 1)
			return true;
	}
	return false;
}

/* Watch for one for a moment; recover whoever is there to be. */
static void do_recover(struct member *m)
{
	int64_t until = now_ns() + 200 * US;
	bool dead;
	int rc;

	while (!(dead = somebody_is_dead(m)) && now_ns() < until)
		sched_yield();
	if (!dead && !one_in(&m->dice, 8))
		return;
	if (dead)
		go_in(IN_RECOVERY);
	rc = fr_recover(fr_process_arena(m->p));
	go_out(IN_RECOVERY);
	if (rc < 0)
		fault_rc("fr_recover", rc);
	else
		ADD(oracle->recovered, (uint64_t)rc);
}

/* ---- life and end ---- */

void member_step(struct member *m)
{
	static void (*const things[])(struct member * m) = {
		do_send,	do_send,	do_send,       do_send,
		do_send,	do_send,	do_batch,      do_batch,
		do_claim,	do_claim,	do_claim,      do_close_claim,
		do_close_claim, do_close_claim, do_call,       do_reply,
		do_event,	member_submit,	member_submit, do_cancel_task,
		do_take,	do_recover,	do_recover,    do_recover,
		do_reserve,
	};

	progress();
	things[pick(&m->dice, sizeof(things) / sizeof(*things))](m);
	if (!one_in(&m->dice, 6)) /* else senders find it full */
		take_mail(m);
	if (one_in(&m->dice, 4))
		member_collect(m, 0);
	if (one_in(&m->dice, 16)) /* idle; an open claim stays open */
		member_receive(m, pick(&m->dice, 4 * (uint32_t)MS));
}

/* Send nothing any more. */
void member_quiet(struct member *m)
{
	while (m->claim_count > 0)
		do_close_claim(m);
	while (m->owed_count > 0)
		do_reply(m);
	SET(my_seat()->quiet, me);
}

/* Nobody sends to us any more: there must be room for the largest message. */
static void check_room(struct member *m)
{
	static unsigned char most[1 << 16];
	struct fr_arena_info info;
	struct fr_message msg;
	int rc;

	fr_arena_info(fr_process_arena(m->p), &info);
	rc = fr_send(m->p, fr_self(m->p), (struct fr_type){0}, most,
		     info.message_max, 0);
	if (rc == 0)
		rc = fr_receive(m->p, 0, &msg);
	if (rc == 0)
		fr_release(m->p, &msg);
	else
		fault_rc("a mailbox in the end: the largest message", rc);
}

/* Take all that is there. */
void member_drain(struct member *m)
{
	int64_t until = now_ns() + PATIENCE;
	int rc = fr_recover(fr_process_arena(m->p));

	if (rc < 0)
		fault_rc("fr_recover", rc);
	while (member_receive(m, 0) > 0)
		;
	while (m->task_count > 0 && now_ns() < until) {
		member_collect(m, 2 * MS);
		member_receive(m, 0);
	}
	if (m->task_count > 0)
		fault("%u tasks have no result in the end", m->task_count);
	member_collect(m, 0);
	release_held(m, 0);
	check_room(m);
}

static void end(struct member *m)
{
	member_quiet(m);
	while (!GET(oracle->drain)) {
		member_receive(m, MS);
		member_collect(m, 0);
	}
	member_drain(m);
	SET(my_seat()->done, me);
	while (!GET(oracle->leave))
		member_receive(m, MS);
	free(m);
}

int member_live(struct member *m)
{
	while (!GET(oracle->ending))
		member_step(m);
	end(m);
	SET(incarnation(me)->ended, 1);
	return 0;
}
