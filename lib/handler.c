/* SPDX-License-Identifier: MIT */
/*
 * Handlers by type, and the life of a process.
 *
 * The table of handlers is the process's own: liburcu's lock-free hash table.
 *
 *			find	handle, unhandle
 *	find (dispatch)	beside	beside
 *	handle		beside	mutex
 *
 * A dispatch copies function and ctx inside an RCU read side and calls after
 * it, so that a handler may handle and unhandle, itself too.
 */
#define URCU_INLINE_SMALL_FUNCTIONS
#include "forkring/message.h"
#include "forkring/task.h"
#include "process.h"
#include "type.h"

#include <stdio.h>
#include <stdlib.h>
#include <urcu/urcu-bp.h>
/* after the flavour */
#include <urcu/rculfhash.h>

#define ANCESTORS_MAX 16 /* types; also the bound if they form a circle */
#define MESSAGES_PER_ROUND 64

struct handler {
	struct cds_lfht_node node;
	uint32_t type;
	fr_handler_fn *fn;
	void *ctx;
};

struct fr__handlers {
	struct cds_lfht *table;
	pthread_mutex_t mutex; /* of who changes it */
};

static int match(struct cds_lfht_node *node, const void *key)
{
	return caa_container_of(node, struct handler, node)->type ==
	       *(const uint32_t *)key;
}

/* Numbers are small and dense: spread them over the table's buckets. */
static unsigned long hash_of(uint32_t type)
{
	return type * 2654435761ul;
}

int fr__handlers_init(struct fr_process *p)
{
	struct fr__handlers *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->table = cds_lfht_new_flavor(64, 64, 64, 0, &urcu_bp_flavor, NULL);
	if (!h->table) {
		free(h);
		return -ENOMEM;
	}
	pthread_mutex_init(&h->mutex, NULL);
	p->handlers = h;
	return 0;
}

/* Take a handler out and free it; false: there is none. type NULL: any. */
static bool take_out(struct fr__handlers *h, const uint32_t *type)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;

	urcu_bp_read_lock();
	if (type)
		cds_lfht_lookup(h->table, hash_of(*type), match, type, &iter);
	else
		cds_lfht_first(h->table, &iter);
	node = cds_lfht_iter_get_node(&iter);
	if (node)
		cds_lfht_del(h->table, node);
	urcu_bp_read_unlock();
	if (!node)
		return false;
	urcu_bp_synchronize_rcu();
	free(caa_container_of(node, struct handler, node));
	return true;
}

void fr__handlers_free(struct fr_process *p)
{
	struct fr__handlers *h = p->handlers;

	while (take_out(h, NULL))
		;
	cds_lfht_destroy(h->table, NULL);
	pthread_mutex_destroy(&h->mutex);
	free(h);
	p->handlers = NULL;
}

int fr_handle(struct fr_process *p, struct fr_type type, fr_handler_fn *fn,
	      void *ctx)
{
	struct fr__handlers *h = p->handlers;
	struct cds_lfht_node *old;
	struct handler *new;
	int rc = fr__own(p);

	if (rc < 0)
		return rc;
	if (!fn || (type.id && !fr__type_valid(p->arena, type)))
		return -EINVAL;
	new = malloc(sizeof(*new));
	if (!new)
		return -ENOMEM;
	cds_lfht_node_init(&new->node);
	new->type = type.id;
	new->fn = fn;
	new->ctx = ctx;
	pthread_mutex_lock(&h->mutex);
	urcu_bp_read_lock();
	old = cds_lfht_add_replace(h->table, hash_of(type.id), match, &type.id,
				   &new->node);
	urcu_bp_read_unlock();
	pthread_mutex_unlock(&h->mutex);
	if (old) {
		urcu_bp_synchronize_rcu();
		free(caa_container_of(old, struct handler, node));
	}
	return 0;
}

int fr_unhandle(struct fr_process *p, struct fr_type type)
{
	struct fr__handlers *h = p->handlers;
	bool found;

	if (fr__own(p) < 0)
		return -ECHILD;
	pthread_mutex_lock(&h->mutex);
	found = take_out(h, &type.id);
	pthread_mutex_unlock(&h->mutex);
	return found ? 0 : -ENOENT;
}

/* The handler of exactly this type. */
static bool find(struct fr__handlers *h, uint32_t type, fr_handler_fn **fn,
		 void **ctx)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;

	urcu_bp_read_lock();
	cds_lfht_lookup(h->table, hash_of(type), match, &type, &iter);
	node = cds_lfht_iter_get_node(&iter);
	if (node) {
		struct handler *e =
			caa_container_of(node, struct handler, node);

		*fn = e->fn;
		*ctx = e->ctx;
	}
	urcu_bp_read_unlock();
	return node != NULL;
}

static int stop(void *ctx, struct fr_process *p, struct fr_message *m)
{
	(void)ctx;
	(void)p;
	(void)m;
	return FR_STOP;
}

/* The handler of a type, its own or the next above; false: nobody. */
static bool find_nearest(struct fr_process *p, struct fr_type type,
			 fr_handler_fn **fn, void **ctx)
{
	struct fr_type t = type;
	unsigned i;

	for (i = 0; i < ANCESTORS_MAX && t.id != 0; i++) {
		if (find(p->handlers, t.id, fn, ctx))
			return true;
		t = fr__type_parent(p->arena, t);
	}
	if (type.id == FR_TYPE_EXIT.id) {
		*fn = stop;
		return true;
	}
	return find(p->handlers, 0, fn, ctx);
}

int fr_dispatch(struct fr_process *p, struct fr_message *m)
{
	fr_handler_fn *fn;
	void *ctx = NULL;
	int rc = fr__own(p);

	if (rc < 0)
		return rc;
	return find_nearest(p, m->type, &fn, &ctx) ? fn(ctx, p, m) : -ENOMSG;
}

/* ---- the life of a process ---- */

static int complain(struct fr_process *p, const struct fr_message *m)
{
	char type[FR_NAME_MAX + 1] = "(none)", self[FR_NAME_MAX + 1] = "";

	if (m->type.id)
		fr_type_name(p, m->type, type);
	fr_process_name(p, fr_self(p), self);
	fprintf(stderr,
		"forkring: %s: a message of type %s that nobody handles: "
		"call fr_handle() for it\n",
		self[0] ? self : "(nameless)", type);
	return FR_CONTINUE;
}

/* Every message that is there, up to a bound, to its handler. *any: there was
 * one. */
static int deliver(struct fr_process *p, const struct fr_run_opts *o, bool *any)
{
	struct fr_message m;
	fr_handler_fn *fn;
	void *ctx = NULL;
	unsigned i;
	int rc = 0;

	for (i = 0; i < MESSAGES_PER_ROUND && rc == 0; i++) {
		rc = fr_receive(p, 0, &m);
		if (rc < 0)
			return rc == -EAGAIN ? 0 : rc;
		*any = true;
		if (find_nearest(p, m.type, &fn, &ctx)) {
			rc = fn(ctx, p, &m);
		} else if (o->unhandled) {
			rc = o->unhandled(o->ctx, p, &m);
		} else {
			rc = complain(p, &m);
			if (m.call)
				fr__call_refuse(p, m.call);
		}
		if (m.body)
			fr_release(p, &m);
	}
	return rc;
}

/* slept: we were woken, perhaps for a task; then others may be wanted too, before
 * this one is done. */
static int work(struct fr_process *p, const struct fr_task_run *tasks, bool *any,
		bool *slept)
{
	struct fr_task task;
	struct fr_reply reply;
	int rc = fr_take(p, 0, &task, &reply);

	if (*slept)
		fr__task_pass_on(p->arena);
	*slept = false;
	if (rc < 0)
		return rc == -EAGAIN ? 0 : rc;
	*any = true;
	rc = tasks->run(tasks->ctx, &task, &reply);
	if (reply.len > reply.max) {
		reply.len = 0;
		rc = -EMSGSIZE;
	}
	return fr_complete(p, rc, &reply);
}

struct idle {
	struct fr_process *p;
	bool tasks;
	bool slept;
};

static int idle_ready(void *ctx)
{
	struct idle *i = ctx;
	int rc = fr__mail_ready(i->p);

	return rc == 0 && i->tasks ? fr__task_ready(i->p) : rc;
}

static void idle_arm(void *ctx, enum fr__arm how)
{
	struct idle *i = ctx;

	if (i->tasks) {
		i->slept |= how != FR__DISARM;
		fr__task_arm(i->p, how);
	}
}

/* Wait for the next message or task. */
static int idle(struct fr_process *p, bool tasks, int64_t deadline, bool *slept)
{
	struct idle ctx = {p, tasks, false};
	struct fr__wait wait = {
		.marks = FR__MARK_MAIL | (tasks ? FR__MARK_TASK : 0),
		.ready = idle_ready,
		.arm = idle_arm,
		.ctx = &ctx,
		.nap = {tasks ? FR__NAP_TIMES : 0, FR__MARK_MAIL | FR__MARK_TASK,
			FR__NAP_NS},
	};
	int64_t left = deadline == FR__NEVER ? FR_FOREVER
					     : deadline - fr__now_ns();
	int rc;

	if (deadline != FR__NEVER && left <= 0)
		return FR__TIME_UP;
	rc = fr__bell_wait(&p->bell, &wait, left);
	*slept |= ctx.slept;
	return rc == -ETIMEDOUT ? FR__TIME_UP : rc < 0 ? rc : 0;
}

static int round_of(struct fr_process *p, const struct fr_run_opts *o,
		    int64_t deadline, bool *slept)
{
	bool busy = false;
	int rc = 0;

	if (o->action) {
		/* Woken, perhaps for a task: the action may take its time. */
		if (*slept)
			fr__task_pass_on(p->arena);
		rc = o->action(o->ctx, p);
		busy = rc == FR_CONTINUE;
		if (rc != FR_IDLE && rc != FR_CONTINUE)
			return rc;
		rc = 0;
	}
	if (o->tasks)
		rc = work(p, o->tasks, &busy, slept);
	if (rc == 0)
		rc = deliver(p, o, &busy);
	if (rc == 0 && !busy)
		rc = idle(p, o->tasks != NULL, deadline, slept);
	else if (rc == 0 && deadline != FR__NEVER && fr__now_ns() >= deadline)
		rc = FR__TIME_UP;
	return rc;
}

int fr__run(struct fr_process *p, const struct fr_run_opts *o, int64_t deadline)
{
	bool slept = false;
	int rc = 0;

	while (rc == 0)
		rc = round_of(p, o, deadline, &slept);
	if (slept)
		fr__task_pass_on(p->arena);
	return rc;
}

int fr_run(struct fr_process *p, const struct fr_run_opts *opts)
{
	static const struct fr_run_opts defaults;
	int rc = fr__own(p);

	opts = opts ? opts : &defaults;
	if (rc == 0 && (opts->limit_ns < 0 || (opts->tasks && !opts->tasks->run)))
		rc = -EINVAL;
	if (rc == 0)
		rc = fr__run(p, opts, fr__deadline(opts->limit_ns
							   ? opts->limit_ns
							   : FR_FOREVER));
	return rc < 0 ? rc : 0;
}
