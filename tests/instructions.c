/* SPDX-License-Identifier: MIT */
/*
 * instructions N: what instructions.sh counts, each operation N times (a multiple
 * of 32).
 *
 * One process, joined twice. Whatever a call asks for is there before, and no call
 * waits: one that would have to is an error. Each operation is a function of the
 * name that it has in instructions.txt, and does it RUN times.
 */
#include <forkring.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUN	32 /* they fit a mailbox, a batch, a process's cells */
#define BODY	64

#define COUNTED static __attribute__((noinline))

static struct fr_process *alice, *bob;
static struct fr_addr to, back; /* bob, and alice */
static struct fr_type type;
static unsigned char body[BODY];
static struct fr_part parts[RUN];
static struct fr_message messages[RUN];

COUNTED int send(void)
{
	int rc = 0;

	for (unsigned i = 0; i < RUN && rc == 0; i++)
		rc = fr_send(alice, to, type, body, sizeof(body), 0);
	return rc;
}

COUNTED int receive(void)
{
	struct fr_message m;
	int rc = 0;

	for (unsigned i = 0; i < RUN && rc == 0; i++) {
		rc = fr_receive(bob, 0, &m);
		if (rc == 0)
			fr_release(bob, &m);
	}
	return rc;
}

static int all(int rc)
{
	return rc < 0 ? rc : rc == RUN ? 0 : -EAGAIN;
}

/* In another mailbox than single messages: each of them finds units as its like has
 * freed them. */
COUNTED int send_batch(void)
{
	return all(fr_send_batch(bob, back, parts, RUN, 0));
}

COUNTED int receive_batch(void)
{
	int rc = fr_receive_batch(alice, 0, messages, RUN);

	if (rc > 0)
		fr_release_batch(alice, messages, (unsigned)rc);
	return all(rc);
}

/* Submitted by alice, done by bob. */
COUNTED int task(void)
{
	struct fr_task given = {.arg = body, .len = sizeof(body)}, taken;
	struct fr_task_id id;
	struct fr_reply reply;
	struct fr_result r;
	int rc = 0;

	for (unsigned i = 0; i < RUN && rc == 0; i++)
		rc = fr_submit(alice, &given, &id);
	for (unsigned i = 0; i < RUN && rc == 0; i++) {
		rc = fr_take(bob, 0, &taken, &reply);
		if (rc == 0)
			rc = fr_complete(bob, 0, &reply);
	}
	for (unsigned i = 0; i < RUN && rc == 0; i++) {
		rc = fr_collect(alice, 0, &r);
		if (rc == 0)
			fr_result_release(alice, &r);
	}
	return rc;
}

/* Of a name that has been looked up before. */
COUNTED int lookup(void)
{
	struct fr_addr found;
	int rc = 1;

	for (unsigned i = 0; i < RUN && rc == 1; i++)
		rc = fr_lookup(alice, "bob", &found, 1);
	return rc == 1 ? 0 : -ENOENT;
}

static int join(struct fr_arena *arena)
{
	int rc =
		fr_join(arena, &(struct fr_join_opts){.name = "alice"}, &alice);

	if (rc == 0)
		rc = fr_join(arena, &(struct fr_join_opts){.name = "bob"},
			     &bob);
	if (rc == 0)
		rc = fr_type_intern(alice, "counted", (struct fr_type){0},
				    &type);
	if (rc < 0)
		return rc;
	to = fr_self(bob);
	back = fr_self(alice);
	for (unsigned i = 0; i < RUN; i++)
		parts[i] = (struct fr_part){type, body, sizeof(body)};
	return 0;
}

static int run(unsigned long n)
{
	int (*const operations[])(void) = {
		send, receive, send_batch, receive_batch, task, lookup,
	};
	const unsigned count = sizeof(operations) / sizeof(operations[0]);
	int rc = 0;

	for (; n > 0 && rc == 0; n -= RUN)
		for (unsigned i = 0; i < count && rc == 0; i++)
			rc = operations[i]();
	return rc;
}

int main(int argc, char **argv)
{
	unsigned long n = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	struct fr_arena *arena;
	int rc;

	if (n == 0 || n % RUN) {
		fprintf(stderr, "instructions N: a multiple of %d\n", RUN);
		return 2;
	}
	rc = fr_arena_create(NULL, NULL, &arena);
	if (rc == 0) {
		rc = join(arena);
		if (rc == 0)
			rc = run(n);
		fr_leave(bob);
		fr_leave(alice);
		fr_arena_detach(arena);
	}
	if (rc < 0)
		fprintf(stderr, "instructions: %s\n", strerror(-rc));
	return rc < 0;
}
