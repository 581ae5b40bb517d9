/* SPDX-License-Identifier: MIT */
/*
 * forkring_arena NAME [WORD]...: for forkring.sh, a process that has an arena
 * open. Attaches to it, or creates it, to be kept; does what the words say; prints
 * "ready"; and at SIGTERM leaves, detaches and ends with 0. A word is
 *
 *	join, join=NAME		join (once more)
 *	reserve			reserve a slot, by who joined last
 *	replace			first: create the arena in a dead one's place
 *	damage			damage an event that nobody uses
 *	unlock			lose all locks, as closefrom(3) does
 */
#include "forkring.h"

#include "arena.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static struct fr_arena *arena;
static struct fr_process *joined[8];
static unsigned count;

static void need(int rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "forkring_arena: %s: %s\n", what, strerror(-rc));
	exit(1);
}

static void open_arena(const char *name, bool replace)
{
	struct fr_arena_opts opts = {
		.slots = 8, .mailbox_bytes = 4096, .cells = 8, .events = 16,
		.types = 16, .keep = true, .replace = replace,
	};
	int rc = -ENOENT;

	if (!replace)
		rc = fr_arena_attach(name, NULL, &arena);
	if (rc == -ENOENT)
		rc = fr_arena_create(name, &opts, &arena);
	need(rc, name);
}

static void join(const char *name)
{
	struct fr_join_opts opts = {.name = name};

	if (count == sizeof(joined) / sizeof(*joined))
		need(-ENOSPC, "join");
	need(fr_join(arena, &opts, &joined[count]), "join");
	count++;
}

static void do_word(const char *word)
{
	struct fr_addr reserved;

	if (strcmp(word, "join") == 0)
		join(NULL);
	else if (strncmp(word, "join=", 5) == 0)
		join(word + 5);
	else if (strcmp(word, "reserve") == 0 && count > 0)
		need(fr_reserve(joined[count - 1], &reserved), word);
	else if (strcmp(word, "damage") == 0)
		fr__store_relaxed(&arena->events[9].truth, 1);
	else if (strcmp(word, "unlock") == 0)
		close(dup(fr_arena_fd(arena)));
	else
		need(-EINVAL, word);
}

int main(int argc, char **argv)
{
	bool replace = argc > 2 && strcmp(argv[2], "replace") == 0;
	sigset_t set;
	int i, got;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (argc < 2)
		need(-EINVAL, "arguments");
	open_arena(argv[1], replace);
	for (i = replace ? 3 : 2; i < argc; i++)
		do_word(argv[i]);
	puts("ready");
	fclose(stdout);
	sigwait(&set, &got);
	while (count > 0)
		fr_leave(joined[--count]);
	fr_arena_detach(arena);
	return 0;
}
