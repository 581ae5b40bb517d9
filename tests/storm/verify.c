/* SPDX-License-Identifier: MIT */
/*
 * What must be so in the end: of the messages, by what the oracle says; and of
 * the arena, when everybody has gone.
 */
#include "storm.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what the oracle says ---- */

static void check_stream(uint32_t from, unsigned seat)
{
	struct stream *s = stream(from, seat);
	uint32_t to = (uint32_t)(s->tried >> 32);
	uint32_t tried = (uint32_t)s->tried, got = 0, noted = 0;

	if (to == 0)
		return;
	if (incarnation(to)->killed || !incarnation(to)->ended) {
		oracle->excused++;
		return;
	}
	if (s->received >> 32 == to)
		got = (uint32_t)s->received;
	if (s->noted >> 32 == to)
		noted = (uint32_t)s->noted;
	if (got < noted || got > tried)
		fault("%s %u, incarnation %u, got %u messages of incarnation "
		      "%u (%s %u%s), which has noted %u and tried %u",
		      role_names[oracle->seat[seat].role],
		      oracle->seat[seat].index, to, got, from,
		      role_names[oracle->seat[incarnation(from)->seat].role],
		      oracle->seat[incarnation(from)->seat].index,
		      incarnation(from)->killed ? ", killed" : "", noted,
		      tried);
	/* Who lived on has noted all. */
	if (!incarnation(from)->killed && got != tried)
		fault("incarnation %u lived and has tried %u, and %u came",
		      from, tried, got);
	oracle->verified++;
}

void check_messages(void)
{
	unsigned seat;
	uint32_t n;

	for (n = 1; n <= oracle->count && n < oracle->max; n++)
		for (seat = 0; seat < oracle->seats; seat++)
			check_stream(n, seat);
}

/* ---- what is left ---- */

static void tell_fault(void *ctx, const char *text)
{
	fault("%s: %s", (const char *)ctx, text);
}

static void check_arena(struct fr_arena *a, const char *when)
{
	struct fr_arena_info info;
	int rc = fr_recover(a);

	if (rc < 0)
		fault_rc("fr_recover", rc);
	rc = fr_check(a, tell_fault, (void *)(uintptr_t)when);
	if (rc != 0)
		fault("%s: fr_check() finds %d faults", when, rc);
	fr_arena_info(a, &info);
	if (info.joined != 0)
		fault("%s: %u slots are held", when, info.joined);
}

/* A mailbox is empty, and takes the largest message. */
static void check_mailbox(struct fr_process *p, size_t max)
{
	static unsigned char most[1 << 16];
	struct fr_message m;
	int rc = fr_receive(p, 0, &m);

	if (rc != -EAGAIN)
		fault("a mailbox is not empty: %d", rc);
	rc = fr_send(p, fr_self(p), (struct fr_type){0}, most, max, 0);
	if (rc == 0)
		rc = fr_receive(p, 0, &m);
	if (rc == 0)
		fr_release(p, &m);
	else
		fault_rc("the largest message to oneself", rc);
}

/* All cells can be used. */
static void check_cells(struct fr_process *p, unsigned cells)
{
	struct fr_task task = {.kind = 1};
	struct fr_task_id ids[64];
	struct fr_result r;
	unsigned n = 0, i;
	int rc = 0;

	while (n < 64 && (rc = fr_submit(p, &task, &ids[n])) == 0)
		n++;
	if (n != cells || (n < 64 && rc != -EAGAIN))
		fault("%u of %u cells can be used: %d", n, cells, rc);
	for (i = 0; i < n; i++) {
		rc = fr_task_cancel(p, ids[i]);
		if (rc == 0)
			rc = fr_collect(p, 0, &r);
		if (rc == 0)
			fr_result_release(p, &r);
		else
			fault_rc("cancel and collect", rc);
	}
}

static void check_slots(struct fr_arena *a)
{
	struct fr_arena_info info;
	struct fr_process **p;
	unsigned i, n;
	int rc = 0;

	fr_arena_info(a, &info);
	p = calloc(info.slots + 1, sizeof(*p));
	if (!p)
		abort();
	for (n = 0; n <= info.slots && rc == 0; n += rc == 0)
		rc = fr_join(a, NULL, &p[n]);
	if (n != info.slots || rc != -ENOSPC)
		fault("%u of %u slots can be joined: %d", n, info.slots, rc);
	for (i = 0; i < n; i++) {
		check_mailbox(p[i], info.message_max);
		check_cells(p[i], i == 0 ? info.main_cells : info.cells);
	}
	for (i = 0; i < n; i++)
		fr_leave(p[i]);
	free(p);
}

static void check_events(struct fr_arena *a)
{
	struct fr_arena_info info;
	struct fr_event_group *group;
	struct fr_event event;
	struct fr_process *p;
	unsigned i;
	int rc = fr_join(a, NULL, &p);

	fr_arena_info(a, &info);
	if (rc == 0)
		rc = fr_event_group_create(
			a, info.events - oracle->group_events, &group);
	for (i = 0; rc == 0 && i < info.events - oracle->group_events; i++)
		rc = fr_event_reserve(p, group, &event);
	if (rc < 0) {
		fault_rc("reserving every event", rc);
		return;
	}
	fr_event_group_free(group);
	fr_leave(p); /* gives them back */
}

static unsigned names_left(bool remove)
{
	DIR *dir = opendir("/dev/shm");
	struct dirent *e;
	unsigned count = 0;

	while (dir && (e = readdir(dir)) != NULL)
		if (strstr(e->d_name, oracle->name)) {
			count++;
			if (remove)
				unlinkat(dirfd(dir), e->d_name, 0);
		}
	if (dir)
		closedir(dir);
	return count;
}

void check_what_is_left(void)
{
	const struct fr_arena_opts opts = {.replace = true};
	struct fr_arena *a;
	int rc = fr_arena_attach(oracle->name, NULL, &a);

	if (names_left(false) != 1)
		fault("%u names in /dev/shm, not one", names_left(false));
	if (rc < 0) {
		fault_rc("fr_arena_attach in the end", rc);
		return;
	}
	check_arena(a, "in the end");
	check_slots(a);
	check_events(a);
	check_arena(a, "after the last look");
	rc = fr_arena_remove_dead(oracle->name);
	if (rc != -EBUSY)
		fault_rc("fr_arena_remove_dead while we are there", rc);
	fr_arena_detach(a);
	/* Everybody has gone: the next start under this name works at once. */
	rc = fr_arena_create(oracle->name, &opts, &a);
	if (rc < 0)
		fault_rc("fr_arena_create in the old one's place", rc);
	else
		fr_arena_detach(a);
	if (names_left(true) != 0)
		fault("a name is left");
}
