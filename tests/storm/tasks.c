/* SPDX-License-Identifier: MIT */
/* Tasks: each yields one result, and the right one, whoever died. */
#include "member.h"

#include <string.h>

void task_make(struct dice *d, uint32_t number, struct task_arg *arg)
{
	*arg = (struct task_arg){
		.from = me,
		.number = number,
		/* Some last so long that their workers are killed. */
		.spin_us = one_in(d, 500)  ? 60000
			   : one_in(d, 20) ? pick(d, 3000)
					   : pick(d, 100),
		.fails = one_in(d, 16),
		.x = roll(d),
	};
}

void task_check(const struct fr_result *r, const struct task_arg *arg,
		bool cancelled)
{
	struct task_result y;
	bool well = false;

	if (r->kind != arg->number ||
	    cancelled != (r->status == FR_TASK_CANCELLED)) {
		fault("task %u: status %d, kind %u%s", arg->number, r->status,
		      r->kind, cancelled ? ", was cancelled" : "");
		return;
	}
	switch (r->status) {
	case FR_TASK_DONE:
		well = !arg->fails && r->value == 7 && r->len == sizeof(y);
		if (well) {
			memcpy(&y, r->data, sizeof(y));
			well = y.from == arg->from && y.number == arg->number &&
			       y.y == task_answer(arg->x);
		}
		break;
	case FR_TASK_FAILED:
		well = arg->fails && r->value == -EIO;
		ADD(oracle->failed_tasks, 1);
		break;
	case FR_TASK_BURIED:
		well = r->attempt == 3;
		break;
	case FR_TASK_CANCELLED:
		well = true;
		ADD(oracle->cancelled_tasks, 1);
		break;
	}
	if (!well)
		fault("task %u: status %d, value %d, attempt %u, %zu bytes",
		      arg->number, r->status, r->value, r->attempt, r->len);
}

static void spin(uint32_t us)
{
	int64_t until = now_ns() + us * US;

	while (now_ns() < until)
		;
}

/* ctx: the worker's struct member, or NULL. */
int run_task(void *ctx, const struct fr_task *task, struct fr_reply *out)
{
	struct task_arg arg;
	struct task_result y;

	go_in(IN_TASK);
	progress();
	if (task->len != sizeof(arg)) {
		fault("a task of %zu bytes", task->len);
		return -EINVAL;
	}
	memcpy(&arg, task->arg, sizeof(arg));
	if (arg.number != task->kind || task->attempt < 1 || task->attempt > 3)
		fault("task %u is of kind %u, attempt %u", arg.number,
		      task->kind, task->attempt);
	if (ctx && arg.x % 4 == 0)
		member_word(ctx);
	spin(arg.spin_us);
	y = (struct task_result){arg.from, arg.number, task_answer(arg.x)};
	memcpy(out->data, &y, sizeof(y));
	out->len = sizeof(y);
	go_out(IN_TASK);
	return arg.fails ? -EIO : 7;
}

void member_submit(struct member *m)
{
	struct sent_task *s = &m->tasks[m->task_count];
	struct fr_task task = {.arg = &s->arg, .len = sizeof(s->arg)};
	int rc;

	if (m->task_count == TASKS)
		return;
	task_make(&m->dice, m->next_task, &s->arg);
	task.kind = m->next_task;
	s->cancelled = false;
	rc = fr_submit(m->p, &task, &s->id);
	if (rc == 0) {
		m->task_count++;
		m->next_task++;
		ADD(oracle->submitted, 1);
	} else if (rc != -EAGAIN) {
		fault_rc("fr_submit", rc);
	}
}

static void take_result(struct member *m, struct fr_result *r)
{
	unsigned i;

	for (i = 0; i < m->task_count && m->tasks[i].id.id != r->id.id; i++)
		;
	if (i == m->task_count) {
		fault("a result, kind %u, of no task or a second one", r->kind);
	} else {
		task_check(r, &m->tasks[i].arg, m->tasks[i].cancelled);
		m->tasks[i] = m->tasks[--m->task_count];
		ADD(oracle->results, 1);
		ADD(oracle->buried, r->status == FR_TASK_BURIED);
	}
	fr_result_release(m->p, r);
}

void member_collect(struct member *m, int64_t wait_ns)
{
	struct fr_result r;
	int rc, n = 8;

	progress();
	while ((rc = fr_collect(m->p, wait_ns, &r)) == 0 && n-- > 0) {
		take_result(m, &r);
		wait_ns = 0;
	}
	if (rc == 0)
		take_result(m, &r);
	else if (rc == -ENODATA && m->task_count > 0)
		fault("%u tasks have no result", m->task_count);
	else if (rc != -ENODATA && rc != -EAGAIN && rc != -ETIMEDOUT &&
		 rc != -EINTR)
		fault_rc("fr_collect", rc);
}

void do_cancel_task(struct member *m)
{
	struct sent_task *s = &m->tasks[pick(&m->dice, m->task_count)];
	int rc;

	if (m->task_count == 0)
		return;
	rc = fr_task_cancel(m->p, s->id);
	if (rc == 0)
		s->cancelled = true;
	else if (rc != -EBUSY && rc != -EALREADY)
		fault_rc("fr_task_cancel", rc);
}

void do_take(struct member *m)
{
	struct fr_task task;
	struct fr_reply out;
	int rc = fr_take(m->p, one_in(&m->dice, 2) ? 0 : MS, &task, &out);

	if (rc == 0) {
		rc = run_task(NULL, &task, &out);
		rc = fr_complete(m->p, rc, &out);
		if (rc < 0)
			fault_rc("fr_complete", rc);
	} else if (rc != -EAGAIN && rc != -ETIMEDOUT && rc != -EINTR) {
		fault_rc("fr_take", rc);
	}
}
