/* SPDX-License-Identifier: MIT */
/* The healthy processes: types, messages, handlers, calls. */
#include "calls.h"

#include <errno.h>
#include <string.h>

#define BODY 20000u

static unsigned char body[BODY];

static size_t some_len(struct self *s)
{
	static const uint32_t most[] = {9, 41, 200, 2100, BODY};

	return pick(&s->dice, most[pick(&s->dice, 5)]);
}

static struct fr_type some_type(struct self *s)
{
	struct fr_type type = s->types[pick(&s->dice, TYPES)];

	if (one_in(&s->dice, 20))
		type.id = (uint32_t)roll(&s->dice);
	return type;
}

static int do_intern(struct self *s)
{
	unsigned i = pick(&s->dice, TYPES);
	struct fr_type parent = {0};

	if (one_in(&s->dice, 3))
		parent = some_type(s);
	return fr_type_intern(s->p, some_name(s), parent, &s->types[i]);
}

static int do_type_name(struct self *s)
{
	char name[FR_NAME_MAX + 1];
	int rc = fr_type_name(s->p, some_type(s), name);

	if (rc == 0)
		use(name, strlen(name));
	return rc;
}

static int do_send(struct self *s)
{
	return fr_send(s->p, some_addr(s), some_type(s), body, some_len(s),
		       some_wait(s));
}

static int do_send_name(struct self *s)
{
	return fr_send_name(s->p, some_name(s), some_type(s), body, some_len(s),
			    some_wait(s));
}

static int do_send_batch(struct self *s)
{
	struct fr_part parts[6];
	unsigned count = pick(&s->dice, 7), i;

	for (i = 0; i < count; i++)
		parts[i] = (struct fr_part){some_type(s), body, some_len(s)};
	return fr_send_batch(s->p, some_addr(s), parts, count, some_wait(s));
}

static int do_send_exit(struct self *s)
{
	return fr_send_exit(s->p, some_addr(s), some_wait(s));
}

static int do_claim(struct self *s)
{
	struct fr_claim *c = &s->claims[s->claim_count];
	int rc;

	if (s->claim_count == CLAIMS)
		return 0;
	rc = fr_claim(s->p, some_addr(s), some_type(s), some_len(s),
		      some_wait(s), c);
	if (rc == 0) {
		memset(c->body, 'c', c->len);
		s->claim_count++;
	}
	return rc;
}

static void end_claim(struct self *s, bool commit)
{
	unsigned i = pick(&s->dice, s->claim_count);

	if (s->claim_count == 0)
		return;
	memset(s->claims[i].body, 'd', s->claims[i].len);
	if (commit)
		fr_commit(s->p, &s->claims[i]);
	else
		fr_cancel(s->p, &s->claims[i]);
	s->claims[i] = s->claims[--s->claim_count];
}

static int do_commit(struct self *s)
{
	end_claim(s, true);
	return 0;
}

static int do_cancel(struct self *s)
{
	end_claim(s, false);
	return 0;
}

static int do_release(struct self *s)
{
	if (s->held_count)
		release_one(s, pick(&s->dice, s->held_count));
	return 0;
}

static int do_release_batch(struct self *s)
{
	unsigned i;

	for (i = 0; i < s->held_count; i++)
		use(s->held[i].body, s->held[i].len);
	fr_release_batch(s->p, s->held, s->held_count);
	s->held_count = 0;
	return 0;
}

/* Read it, and keep the number of a call that wants a reply. */
static void note_message(struct self *s, const struct fr_message *m)
{
	use(m->body, m->len);
	if (m->call)
		s->calls[pick(&s->dice, CALLS)] = m->call;
}

static int do_receive(struct self *s)
{
	int rc;

	if (s->held_count == HELD)
		return do_release(s);
	rc = fr_receive(s->p, some_wait(s), &s->held[s->held_count]);
	if (rc == 0)
		note_message(s, &s->held[s->held_count++]);
	return rc;
}

static int do_receive_batch(struct self *s)
{
	unsigned i = s->held_count;
	int rc = fr_receive_batch(s->p, some_wait(s), &s->held[i], HELD - i);

	if (rc > 0)
		s->held_count += (unsigned)rc;
	for (; i < s->held_count; i++)
		note_message(s, &s->held[i]);
	return rc;
}

int on_message(void *ctx, struct fr_process *p, struct fr_message *m)
{
	struct self *s = ctx;

	tick();
	if (s)
		note_message(s, m);
	if (s && one_in(&s->dice, 8))
		fr_release(p, m);
	return s && one_in(&s->dice, 8) ? FR_STOP : FR_CONTINUE;
}

static int do_call(struct self *s)
{
	static unsigned char reply[4096];
	size_t max = pick(&s->dice, sizeof(reply));
	int rc = fr_call(s->p, some_addr(s), some_type(s), body, some_len(s),
			 some_wait(s), reply, max);

	if (rc > 0)
		use(reply, (size_t)rc <= max ? (size_t)rc : SIZE_MAX);
	return rc;
}

static int do_reply(struct self *s)
{
	uint64_t call = s->calls[pick(&s->dice, CALLS)];

	if (one_in(&s->dice, 10))
		call = roll(&s->dice);
	return fr_reply(s->p, call, body, pick(&s->dice, 300));
}

static int do_handle(struct self *s)
{
	struct fr_type any = {0};

	return fr_handle(s->p, one_in(&s->dice, 4) ? any : some_type(s),
			 on_message, s);
}

static int do_unhandle(struct self *s)
{
	return fr_unhandle(s->p, some_type(s));
}

static int do_dispatch(struct self *s)
{
	unsigned i = pick(&s->dice, s->held_count);
	int rc;

	if (s->held_count == 0)
		return 0;
	rc = fr_dispatch(s->p, &s->held[i]);
	if (!s->held[i].body) /* the handler released it */
		s->held[i] = s->held[--s->held_count];
	return rc;
}

static int an_action(void *ctx, struct fr_process *p)
{
	struct self *s = ctx;

	(void)p;
	tick();
	return pick(&s->dice, 10) ? FR_IDLE : FR_CONTINUE;
}

static int do_run(struct self *s)
{
	struct fr_task_run tasks = {.run = run_task};
	struct fr_run_opts opts = {
		.ctx = s,
		.action = one_in(&s->dice, 2) ? an_action : NULL,
		.tasks = one_in(&s->dice, 2) ? &tasks : NULL,
		.unhandled = on_message,
		.limit_ns = 1 + pick(&s->dice, 3 * (uint32_t)MS),
	};

	return fr_run(s->p, &opts);
}

/* ---- the table ---- */

const struct call mail_calls[] = {
	{"fr_type_intern", do_intern, 8},
	{"fr_type_name", do_type_name, 8},
	{"fr_send", do_send, 60},
	{"fr_send_name", do_send_name, 20},
	{"fr_send_batch", do_send_batch, 20},
	{"fr_send_exit", do_send_exit, 3},
	{"fr_claim", do_claim, 20},
	{"fr_commit", do_commit, 24},
	{"fr_cancel", do_cancel, 8},
	{"fr_receive", do_receive, 60},
	{"fr_receive_batch", do_receive_batch, 20},
	{"fr_release", do_release, 50},
	{"fr_release_batch", do_release_batch, 20},
	{"fr_call", do_call, 16, FARMS},
	{"fr_reply", do_reply, 24},
	{"fr_handle", do_handle, 6},
	{"fr_unhandle", do_unhandle, 3},
	{"fr_dispatch", do_dispatch, 12},
	{"fr_run", do_run, 12, FARMS},
};
const unsigned mail_count = sizeof(mail_calls) / sizeof(*mail_calls);
