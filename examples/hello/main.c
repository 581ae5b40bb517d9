/* SPDX-License-Identifier: MIT */
/*
 * hello: two processes with names exchange messages by handlers.
 *
 *	hello alice bob		joins as alice, greets bob, answers greetings
 *	hello bob alice		the same the other way round, in a second terminal
 *	hello			both at once, one forked from the other
 *
 * The arena is named "hello"; whoever comes first creates it.
 */
#include <errno.h>
#include <forkring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define GREETINGS 3

struct talk {
	struct fr_type greeting, answer;
	int answers;
};

static int fail(const char *what, int rc)
{
	fprintf(stderr, "hello: %s: %s\n", what, strerror(-rc));
	return 1;
}

/* Somebody greets: answer to whoever it was. */
static int on_greeting(void *ctx, struct fr_process *self, struct fr_message *m)
{
	struct talk *talk = ctx;
	char name[FR_NAME_MAX + 1], text[128];

	if (fr_process_name(self, m->from, name) < 0)
		return FR_CONTINUE; /* gone by now */
	printf("%s says: %.*s\n", name, (int)m->len, (const char *)m->body);
	snprintf(text, sizeof(text), "and hello to you, %s", name);
	fr_send(self, m->from, talk->answer, text, strlen(text), FR_FOREVER);
	return FR_CONTINUE;
}

static int on_answer(void *ctx, struct fr_process *self, struct fr_message *m)
{
	struct talk *talk = ctx;

	(void)self;
	printf("answer: %.*s\n", (int)m->len, (const char *)m->body);
	talk->answers++;
	return FR_CONTINUE;
}

/* Both sides' life: wait for the other, greet it, answer it; then go when the
 * own greetings are answered and the other has said that it goes. */
static int live(struct fr_arena *arena, const char *me, const char *other)
{
	struct fr_join_opts opts = {.name = me};
	struct talk talk = {0};
	struct fr_process *self;
	struct fr_addr to;
	char text[64];
	int rc, i;

	rc = fr_join(arena, &opts, &self);
	if (rc < 0)
		return fail("join", rc);
	fr_type_intern(self, "greeting", (struct fr_type){0}, &talk.greeting);
	fr_type_intern(self, "answer", (struct fr_type){0}, &talk.answer);
	fr_handle(self, talk.greeting, on_greeting, &talk);
	fr_handle(self, talk.answer, on_answer, &talk);

	rc = fr_wait_name(self, other, FR_FOREVER, &to);
	for (i = 0; i < GREETINGS && rc == 0; i++) {
		snprintf(text, sizeof(text), "hello number %d", i + 1);
		rc = fr_send(self, to, talk.greeting, text, strlen(text),
			     FR_FOREVER);
	}
	/* Our exit message comes after our greetings, and so does its: when it
	 * is here, all that it sent before was handled. */
	if (rc == 0)
		rc = fr_send_exit(self, to, FR_FOREVER);
	if (rc == 0)
		rc = fr_run(self, NULL);
	/* The answers to our last greetings may still be on their way. */
	while (rc == 0 && talk.answers < GREETINGS) {
		struct fr_message m;

		rc = fr_receive(self, INT64_C(5000000000), &m);
		if (rc == 0) {
			fr_dispatch(self, &m);
			fr_release(self, &m);
		}
	}
	fr_leave(self);
	return rc < 0 ? fail("talk", rc) : 0;
}

int main(int argc, char **argv)
{
	const char *me = "alice", *other = "bob";
	struct fr_arena *arena;
	int rc, status = 0;
	pid_t child = 0;

	if (argc != 1 && argc != 3) {
		fprintf(stderr, "usage: hello [MY-NAME OTHER-NAME]\n");
		return 2;
	}
	if (argc == 3) {
		me = argv[1];
		other = argv[2];
		/* One that all its processes left behind dead is in nobody's way. */
		rc = fr_arena_create("hello",
				     &(struct fr_arena_opts){.replace = true},
				     &arena);
		if (rc == -EEXIST)
			rc = fr_arena_attach("hello", NULL, &arena);
	} else {
		rc = fr_arena_create(NULL, NULL, &arena);
	}
	if (rc < 0)
		return fail("arena", rc);
	if (argc == 1) {
		fflush(stdout);
		child = fork();
		if (child == 0)
			exit(live(arena, other, me));
	}
	rc = live(arena, me, other);
	if (child > 0)
		waitpid(child, &status, 0);
	fr_arena_detach(arena);
	return rc || status;
}
