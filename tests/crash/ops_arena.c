/* SPDX-License-Identifier: MIT */
/* The arena itself: made, attached, detached, removed. */
#include "ops.h"

#include "../harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const struct fr_arena_opts little = {
	.slots = 4,
	.mailbox_bytes = UNITS * 64,
	.cells = CELLS,
	.arg_max = 64,
	.result_max = 64,
	.events = EVENTS,
	.types = 16,
};

static void setup_name(struct world *w)
{
	strcpy(w->name, new_name());
}

/* An arena that nobody is attached to. */
static void setup_dead_arena(struct world *w)
{
	struct fr_arena_opts opts = little;
	struct fr_arena *a;

	setup_name(w);
	opts.keep = true;
	MUST_RC(fr_arena_create(w->name, &opts, &a), 0);
	fr_arena_detach(a);
}

static void run_create(struct world *w, struct victim *v)
{
	v->rc = fr_arena_create(w->name[0] ? w->name : NULL, &little,
				&v->arena);
}

static void run_replace(struct world *w, struct victim *v)
{
	struct fr_arena_opts opts = little;

	opts.replace = true;
	v->rc = fr_arena_create(w->name, &opts, &v->arena);
}

/* While we were stopped another may have taken the name. */
static void end_create(struct world *w, struct victim *v)
{
	(void)w;
	if (v->rc != -EEXIST)
		MUST_RC(v->rc, 0);
	if (v->rc == 0)
		fr_arena_detach(v->arena);
}

static void run_attach(struct world *w, struct victim *v)
{
	v->rc = fr_arena_attach(w->name, NULL, &v->arena);
}

static void prepare_attach_fd(struct world *w, struct victim *v)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)w->survivor, v->fd);
	v->fd = open(path, O_RDWR | O_CLOEXEC);
	MUST(v->fd >= 0);
}

static void feed_fd(struct world *w)
{
	w->victims[V].fd = fr_arena_fd(w->arena);
}

static void run_attach_fd(struct world *w, struct victim *v)
{
	(void)w;
	v->rc = fr_arena_attach_fd(v->fd, &v->arena);
}

static void end_attach(struct world *w, struct victim *v)
{
	end_zero(w, v);
	fr_arena_detach(v->arena);
}

static void prepare_attached(struct world *w, struct victim *v)
{
	run_attach(w, v);
	MUST_RC(v->rc, 0);
}

static void prepare_created(struct world *w, struct victim *v)
{
	run_create(w, v);
	MUST_RC(v->rc, 0);
}

static void run_detach(struct world *w, struct victim *v)
{
	(void)w;
	fr_arena_detach(v->arena);
}

static void run_unlink(struct world *w, struct victim *v)
{
	v->rc = fr_arena_unlink(w->name);
}

static void run_remove_dead(struct world *w, struct victim *v)
{
	v->rc = fr_arena_remove_dead(w->name);
}

/* It may be the stopped one's fault that it is busy, or another's that it is
 * gone. */
static void end_remove_dead(struct world *w, struct victim *v)
{
	(void)w;
	if (v->rc != -ENOENT && v->rc != -EBUSY)
		MUST_RC(v->rc, 0);
}

/*
 * Whatever the victim has left under the name: it is whole, can be used, and
 * another can take its place. In the end it is ours.
 */
static void survive_alone(struct world *w)
{
	struct fr_arena_opts opts = little;
	struct fr_process *p;
	int rc = -ENOENT;

	if (w->name[0])
		rc = fr_arena_attach(w->name, NULL, &w->arena);
	if (rc != -ENOENT) {
		MUST_RC(rc, 0);
		check_arena(w, w->arena);
		p = join(w->arena, "s");
		MUST_RC(send_letter(p, fr_self(p), WHO_S, 0, 8, 0), 0);
		fr_leave(p);
		fr_arena_detach(w->arena);
	}
	opts.replace = true;
	MUST_RC(fr_arena_create(w->name[0] ? w->name : NULL, &opts, &w->arena),
		0);
	w->s = join(w->arena, "s");
	w->s_addr = fr_self(w->s);
	MUST_RC(fr_event_group_create(w->arena, EVENTS, &w->group), 0);
}

static const struct op rows[] = {
	{
		.name = "create",
		.flags = OP_ALONE | OP_EARLY | OP_UNJOINED,
		.setup = setup_name,
		.run = run_create,
		.end = end_create,
		.survive = survive_alone,
	},
	{
		.name = "create nameless",
		.flags = OP_ALONE | OP_EARLY | OP_UNJOINED,
		.run = run_create,
		.end = end_create,
		.survive = survive_alone,
	},
	{
		.name = "create, replacing",
		.flags = OP_ALONE | OP_EARLY | OP_UNJOINED,
		.setup = setup_dead_arena,
		.run = run_replace,
		.end = end_create,
		.survive = survive_alone,
	},
	{
		.name = "attach",
		.flags = OP_EARLY | OP_UNJOINED | OP_NAMED_ARENA,
		.run = run_attach,
		.end = end_attach,
	},
	{
		.name = "attach_fd",
		.flags = OP_EARLY | OP_UNJOINED,
		.feed = feed_fd,
		.prepare = prepare_attach_fd,
		.run = run_attach_fd,
		.end = end_attach,
	},
	{
		.name = "detach",
		.flags = OP_EARLY | OP_UNJOINED | OP_NAMED_ARENA,
		.prepare = prepare_attached,
		.run = run_detach,
	},
	{
		.name = "detach, creator",
		.flags = OP_ALONE | OP_EARLY | OP_UNJOINED,
		.setup = setup_name,
		.prepare = prepare_created,
		.run = run_detach,
		.survive = survive_alone,
	},
	{
		.name = "unlink",
		.flags = OP_UNJOINED | OP_NAMED_ARENA,
		.run = run_unlink,
		.end = end_zero,
	},
	{
		.name = "remove_dead",
		.flags = OP_ALONE | OP_EARLY | OP_UNJOINED,
		.setup = setup_dead_arena,
		.run = run_remove_dead,
		.end = end_remove_dead,
		.survive = survive_alone,
	},
};

const struct op_table arena_ops = OP_TABLE(rows);
