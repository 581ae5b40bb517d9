/* SPDX-License-Identifier: MIT */
/*
 * The healthy processes: each calls all public functions at random, with finite
 * time limits, reads every byte that it is given and writes every byte that it
 * may. What a call answers is not looked at beyond that: in a damaged arena any
 * error will do.
 *
 * Arguments are those that a program may pass: what the library gave, and
 * numbers (addresses, handles, ids) that are stale or plain wrong. Its own
 * handles, claims and messages are never forged.
 */
#include "calls.h"

#include <errno.h>
#include <string.h>

static volatile unsigned char sink;

/* ---- what goes in and out ---- */

void use(const void *data, size_t len)
{
	const unsigned char *p = data;
	unsigned char sum = 0;
	size_t i;

	for (i = 0; i < len; i++)
		sum = (unsigned char)(sum + p[i]);
	sink = sum;
}

int64_t some_wait(struct self *s)
{
	static const int64_t waits[] = {
		0, 0, 0, 0, 0, 0, 1, 1000, 10000, 50000, 100000, 2 * MS,
	};

	return waits[pick(&s->dice, sizeof(waits) / sizeof(*waits))];
}

const char *some_name(struct self *s)
{
	static const char *const names[] = {
		"a",
		"b",
		"c",
		"a-name-that-is-just-as-long-as-a-name-may-be-47",
	};

	return names[pick(&s->dice, 4)];
}

struct fr_addr some_addr(struct self *s)
{
	struct fr_addr addr = {GET(board->addrs[pick(&s->dice, 6)])};

	if (one_in(&s->dice, 20))
		addr.id = roll(&s->dice);
	else if (one_in(&s->dice, 20))
		addr.id = (uint64_t)pick(&s->dice, 3) << 32 |
			  pick(&s->dice, 20);
	return addr;
}

/* ---- arenas ---- */

static int do_version(struct self *s)
{
	(void)s;
	use(fr_version(), strlen(fr_version()));
	return 0;
}

static int do_cpus(struct self *s)
{
	(void)s;
	return (int)fr_cpus();
}

static int do_info(struct self *s)
{
	struct fr_arena_info info;

	fr_arena_info(s->arena, &info);
	use(&info, sizeof(info));
	return 0;
}

static int do_fd(struct self *s)
{
	return fr_arena_fd(s->arena);
}

static int do_attach(struct self *s)
{
	struct fr_arena *again;
	int rc;

	if (!s->part || !s->part->name)
		return 0;
	rc = fr_arena_attach(s->part->name, NULL, &again);
	if (rc == 0)
		fr_arena_detach(again);
	return rc;
}

static int do_attach_fd(struct self *s)
{
	struct fr_arena *again;
	int rc = fr_arena_attach_fd(fr_arena_fd(s->arena), &again);

	if (rc == 0)
		fr_arena_detach(again);
	return rc;
}

static int do_create(struct self *s)
{
	struct fr_arena_opts opts = {
		.slots = 2,
		.mailbox_bytes = 4096,
		.cells = 2,
		.events = 4,
		.types = 16,
	};
	const char *name = NULL;
	struct fr_arena *other;
	int rc;

	if (s->part && s->part->name && one_in(&s->dice, 2))
		name = s->part->name; /* is taken, and lived in */
	opts.replace = one_in(&s->dice, 2);
	rc = fr_arena_create(name, &opts, &other);
	if (rc == 0)
		fr_arena_detach(other);
	return rc;
}

static int do_unlink(struct self *s)
{
	(void)s;
	return fr_arena_unlink("fuzz.is.not.there");
}

static int do_remove_dead(struct self *s)
{
	if (s->part && s->part->name && one_in(&s->dice, 2))
		return fr_arena_remove_dead(s->part->name);
	return fr_arena_remove_dead("fuzz.is.not.there");
}

static void take_note(void *ctx, const char *fault)
{
	(void)ctx;
	use(fault, strlen(fault));
}

static int do_check(struct self *s)
{
	return fr_check(s->arena, take_note, NULL);
}

static int do_recover(struct self *s)
{
	return fr_recover(s->arena);
}

/* ---- processes ---- */

void release_one(struct self *s, unsigned i)
{
	use(s->held[i].body, s->held[i].len);
	fr_release(s->p, &s->held[i]);
	s->held[i] = s->held[--s->held_count];
}

void leave(struct self *s)
{
	struct fr_reply none = {0};

	if (!s->p)
		return;
	while (s->held_count)
		release_one(s, 0);
	if (s->in_hand)
		fr_complete(s->p, 0, &none);
	s->in_hand = false;
	s->result_count = s->claim_count = 0;
	memset(s->reserved, 0, sizeof(s->reserved));
	fr_leave(s->p);
	s->p = NULL;
}

int join(struct self *s)
{
	struct fr_join_opts opts = {
		.name = one_in(&s->dice, 4) ? NULL : some_name(s),
		.wait = one_in(&s->dice, 10)
				? FR_WAIT_POLL
				: (enum fr_wait_mode)pick(&s->dice, 2),
	};
	struct fr_addr reserved = {0};
	unsigned me = s->part ? s->part->index : 5;
	int rc;

	if (one_in(&s->dice, 10))
		reserved = some_addr(s);
	opts.reserved = reserved;
	rc = fr_join(s->arena, &opts, &s->p);
	if (rc == -EINVAL && reserved.id) {
		opts.reserved.id = 0;
		rc = fr_join(s->arena, &opts, &s->p);
	}
	if (rc < 0)
		s->p = NULL;
	else
		SET(board->addrs[me], fr_self(s->p).id);
	return rc;
}

static int do_rejoin(struct self *s)
{
	leave(s);
	return join(s);
}

/* All the way out and in again: the header is read anew. */
static int do_reattach(struct self *s)
{
	int rc;

	if (!s->part || !s->part->name || s->part->role == FOREMAN)
		return do_rejoin(s);
	leave(s);
	fr_event_group_free(s->group);
	s->group = NULL;
	fr_arena_detach(s->arena);
	s->arena = NULL;
	rc = fr_arena_attach(s->part->name, NULL, &s->arena);
	if (rc < 0)
		s->arena = NULL;
	return rc == 0 ? join(s) : rc;
}

static int do_self(struct self *s)
{
	return fr_process_arena(s->p) == s->arena && fr_self(s->p).id ? 0 : -1;
}

static int do_reserve(struct self *s)
{
	unsigned i = pick(&s->dice, RESERVED);
	int rc = 0;

	if (s->reserved[i].id == 0)
		rc = fr_reserve(s->p, &s->reserved[i]);
	if (rc == 0)
		SET(board->addrs[pick(&s->dice, 6)], s->reserved[i].id);
	return rc;
}

static int do_unreserve(struct self *s)
{
	unsigned i = pick(&s->dice, RESERVED);
	struct fr_addr addr = s->reserved[i];

	if (one_in(&s->dice, 4))
		return fr_unreserve(s->p, some_addr(s));
	s->reserved[i].id = 0;
	return fr_unreserve(s->p, addr);
}

static int do_lookup(struct self *s)
{
	struct fr_addr addrs[3];
	int rc = fr_lookup(s->p, some_name(s), addrs, 3);

	if (rc > 0)
		use(addrs, sizeof(*addrs) * (rc < 3 ? (size_t)rc : 3));
	return rc;
}

static int do_wait_name(struct self *s)
{
	struct fr_addr addr;

	return fr_wait_name(s->p, some_name(s), some_wait(s), &addr);
}

static int do_alive(struct self *s)
{
	return fr_alive(s->p, some_addr(s));
}

static int do_process_name(struct self *s)
{
	char name[FR_NAME_MAX + 1];
	int rc = fr_process_name(s->p, some_addr(s), name);

	if (rc == 0)
		use(name, strlen(name));
	return rc;
}

static int do_process_pid(struct self *s)
{
	return fr_process_pid(s->p, some_addr(s));
}

static int do_last_words(struct self *s)
{
	fr_last_words(s->p, some_name(s));
	return 0;
}

static int do_interrupt(struct self *s)
{
	fr_interrupt(s->p);
	return 0;
}

/* ---- the table ---- */

static const struct call own_calls[] = {
	{"fr_version", do_version, 1},
	{"fr_cpus", do_cpus, 1},
	{"fr_arena_info", do_info, 2},
	{"fr_arena_fd", do_fd, 1},
	{"fr_arena_attach", do_attach, 3},
	{"fr_arena_attach_fd", do_attach_fd, 2},
	{"fr_arena_create", do_create, 1},
	{"fr_arena_unlink", do_unlink, 1},
	{"fr_arena_remove_dead", do_remove_dead, 1},
	{"fr_check", do_check, 8},
	{"fr_recover", do_recover, 8},
	{"fr_leave, fr_join", do_rejoin, 6, KEEPS},
	{"fr_arena_detach, fr_arena_attach, fr_join", do_reattach, 3, KEEPS},
	{"fr_self, fr_process_arena", do_self, 1},
	{"fr_reserve", do_reserve, 6},
	{"fr_unreserve", do_unreserve, 6},
	{"fr_lookup", do_lookup, 12},
	{"fr_wait_name", do_wait_name, 8},
	{"fr_alive", do_alive, 8},
	{"fr_process_name", do_process_name, 8},
	{"fr_process_pid", do_process_pid, 6},
	{"fr_last_words", do_last_words, 2},
	{"fr_interrupt", do_interrupt, 1},
};
static const unsigned own_count = sizeof(own_calls) / sizeof(*own_calls);

/* ---- all of them ---- */

const struct call *call_at(unsigned i)
{
	if (i < own_count)
		return &own_calls[i];
	i -= own_count;
	if (i < mail_count)
		return &mail_calls[i];
	i -= mail_count;
	return i < work_count ? &work_calls[i] : NULL;
}

void enter(unsigned function)
{
	tick();
	SET(seat->function, (int32_t)function);
	ADD(board->calls[function], 1);
}

void left(unsigned function, int rc)
{
	SET(seat->function, -1);
	if (rc < 0)
		ADD(board->errors[function], 1);
	if (rc == -EBADMSG || rc == -EPROTO)
		ADD(board->refused, 1);
	tick();
}

void call_one(struct self *s)
{
	static uint32_t all;
	const struct call *call;
	unsigned i;
	uint32_t at;
	int rc;

	if (all == 0)
		for (i = 0; (call = call_at(i)) != NULL; i++)
			all += call->weight;
	at = pick(&s->dice, all);
	for (i = 0; at >= (call = call_at(i))->weight; i++)
		at -= call->weight;
	if (call->not &s->is)
		return;
	enter(i);
	rc = call->call(s);
	left(i, rc);
}
