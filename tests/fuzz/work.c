/* SPDX-License-Identifier: MIT */
/* The healthy processes: tasks and events. */
#include "calls.h"

#include <errno.h>
#include <string.h>

static unsigned char argument[4096];

static struct fr_event some_event(struct self *s)
{
	struct fr_event event = {GET(board->events[pick(&s->dice, EVENTS)])};

	if (one_in(&s->dice, 20))
		event.id = roll(&s->dice);
	return event;
}

static struct fr_task_id some_id(struct self *s)
{
	struct fr_task_id id = s->ids[pick(&s->dice, IDS)];

	if (one_in(&s->dice, 20))
		id.id = roll(&s->dice);
	return id;
}

/* ---- tasks ---- */

int run_task(void *ctx, const struct fr_task *task, struct fr_reply *reply)
{
	(void)ctx;
	tick();
	use(task->arg, task->len);
	memset(reply->data, 'r', reply->max);
	reply->len = task->len < reply->max ? task->len : reply->max;
	return task->kind % 3 == 0 ? -EIO : 0;
}

static int do_submit(struct self *s)
{
	struct fr_arena_info info;
	struct fr_task task = {.arg = argument,
			       .kind = (uint32_t)roll(&s->dice)};

	fr_arena_info(s->arena, &info);
	task.len = pick(&s->dice, (uint32_t)info.arg_max + 1);
	return fr_submit(s->p, &task, &s->ids[pick(&s->dice, IDS)]);
}

static int do_take(struct self *s)
{
	struct fr_task task;
	int rc = fr_take(s->p, some_wait(s), &task, &s->reply);

	if (rc == 0) {
		s->in_hand = true;
		use(task.arg, task.len);
		memset(s->reply.data, 't', s->reply.max);
	}
	return rc;
}

static int do_complete(struct self *s)
{
	int rc;

	if (!s->in_hand)
		return do_take(s);
	s->reply.len = pick(&s->dice, (uint32_t)s->reply.max + 1);
	rc = fr_complete(s->p, (int)pick(&s->dice, 5) - 1, &s->reply);
	s->in_hand = false;
	return rc;
}

static int do_result_release(struct self *s)
{
	if (s->result_count > 0) {
		struct fr_result *r = &s->results[--s->result_count];

		use(r->data, r->len);
		fr_result_release(s->p, r);
	}
	return 0;
}

static int do_collect(struct self *s)
{
	struct fr_result *r = &s->results[s->result_count];
	int rc;

	if (s->result_count == RESULTS)
		return do_result_release(s);
	rc = fr_collect(s->p, some_wait(s), r);
	if (rc == 0) {
		use(r->data, r->len);
		s->result_count++;
	}
	return rc;
}

static int do_task_cancel(struct self *s)
{
	return fr_task_cancel(s->p, some_id(s));
}

static int do_outstanding(struct self *s)
{
	return (int)fr_outstanding(s->p);
}

/* ---- events ---- */

static int do_group(struct self *s)
{
	fr_event_group_free(s->group);
	s->group = NULL;
	return fr_event_group_create(s->arena, 1 + pick(&s->dice, 3),
				     &s->group);
}

static int do_event_reserve(struct self *s)
{
	struct fr_event event;
	int rc;

	if (!s->group)
		return do_group(s);
	rc = fr_event_reserve(s->p, s->group, &event);
	if (rc == 0)
		SET(board->events[pick(&s->dice, EVENTS)], event.id);
	return rc;
}

static int do_event_set(struct self *s)
{
	return fr_event_set(s->p, some_event(s));
}

static int do_event_clear(struct self *s)
{
	return fr_event_clear(s->p, some_event(s));
}

static int do_event_wait(struct self *s)
{
	return fr_event_wait(s->p, some_event(s), some_wait(s));
}

static int do_event_wait_from(struct self *s)
{
	return fr_event_wait_from(s->p, some_event(s), some_addr(s),
				  some_wait(s));
}

static int do_event_post(struct self *s)
{
	return fr_event_post(s->p, some_event(s));
}

static int do_event_take(struct self *s)
{
	return fr_event_take(s->p, some_event(s), some_wait(s));
}

static int do_event_release(struct self *s)
{
	return fr_event_release(s->p, some_event(s));
}

static int do_event_index(struct self *s)
{
	struct fr_event event;
	int rc;

	if (!s->group)
		return do_group(s);
	rc = fr_event_index(s->group, some_event(s));
	return rc < 0 ? rc : fr_event_at(s->group, (unsigned)rc, &event);
}

static int do_event_scope(struct self *s)
{
	int rc = 0;

	if (!s->group)
		return do_group(s);
	FR_WITH_EVENT(s->p, s->group, scope, some_wait(s), &rc)
	{
		SET(board->events[pick(&s->dice, EVENTS)], scope.event.id);
		if (one_in(&s->dice, 2))
			fr_event_set(s->p, scope.event);
		if (one_in(&s->dice, 8))
			break;
	}
	return rc;
}

/* ---- the table ---- */

const struct call work_calls[] = {
	{"fr_submit", do_submit, 50, FARMS},
	{"fr_take", do_take, 40, FARMS},
	{"fr_complete", do_complete, 40, FARMS},
	{"fr_collect", do_collect, 40, FARMS},
	{"fr_result_release", do_result_release, 30, FARMS},
	{"fr_task_cancel", do_task_cancel, 8, FARMS},
	{"fr_outstanding", do_outstanding, 2},
	{"fr_event_group_create, fr_event_group_free", do_group, 2},
	{"fr_event_reserve", do_event_reserve, 12},
	{"fr_event_set", do_event_set, 10},
	{"fr_event_clear", do_event_clear, 6},
	{"fr_event_wait", do_event_wait, 10},
	{"fr_event_wait_from", do_event_wait_from, 6},
	{"fr_event_post", do_event_post, 10},
	{"fr_event_take", do_event_take, 10},
	{"fr_event_release", do_event_release, 10},
	{"fr_event_index, fr_event_at", do_event_index, 6},
	{"FR_WITH_EVENT", do_event_scope, 8},
};
const unsigned work_count = sizeof(work_calls) / sizeof(*work_calls);
