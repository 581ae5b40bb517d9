/* SPDX-License-Identifier: MIT */
/*
 * Events: wait here until another process says so there.
 *
 * A group holds N events (semaphores shared by processes, made of futexes, there
 * before any fork). One is reserved, its handle goes to another process in a message, that
 * one sets it, the reserver waits and gives it back:
 *
 *	FR_WITH_EVENT(self, group, ev, FR_FOREVER, &rc)
 *		fr_send(self, worker, type, &ev.event, sizeof(ev.event), FR_FOREVER);
 *	// here the worker has called fr_event_set(), or rc says why not
 *
 * A set event stays set, and frees all who wait, until it is cleared.
 */
#ifndef FORKRING_EVENT_H
#define FORKRING_EVENT_H

#include "base.h"

FR_BEGIN_DECLS

struct fr_arena;
struct fr_process;
struct fr_event_group;

/* One reservation of one event: index and generation, plain data. {0}: none. */
struct fr_event {
	uint64_t id;
};

/*
 * A group of count events of the arena, for this process and what it forks.
 * The events stay the group's for the life of the arena; fr_event_group_free()
 * frees the handle only (NULL does nothing); call it before the arena is detached.
 *
 * -EINVAL count is 0 · -ENOSPC the arena has fewer left (fr_arena_opts.events) ·
 * -ENOMEM.
 */
FR_API int fr_event_group_create(struct fr_arena *arena, unsigned count,
				 struct fr_event_group **ret);
FR_API void fr_event_group_free(struct fr_event_group *group);

/*
 * Reserve a free event of the group; it is unset. -ENOSPC all are reserved ·
 * -ECHILD.
 */
FR_API int fr_event_reserve(struct fr_process *process,
			    struct fr_event_group *group, struct fr_event *ret);

/*
 * Set, clear. Any process. Setting what is set does nothing.
 * -ESTALE given back since · -ECHILD.
 */
FR_API int fr_event_set(struct fr_process *process, struct fr_event event);
FR_API int fr_event_clear(struct fr_process *process, struct fr_event event);

/*
 * Wait until it is set. Any process, any number at a time.
 * -EAGAIN, -ETIMEDOUT not set in time · -EINTR · -ESTALE given back ·
 * -ECHILD · -EBADMSG.
 */
FR_API int fr_event_wait(struct fr_process *process, struct fr_event event,
			 int64_t wait_ns);

/*
 * Wait until it is set by one process, which alone will: -EOWNERDEAD when that is
 * gone, or dead, and the event still unset; or -ESTALE, if it had reserved the event
 * itself, and that was freed with it. Else as fr_event_wait().
 */
FR_API int fr_event_wait_from(struct fr_process *process, struct fr_event event,
			      struct fr_addr setter, int64_t wait_ns);

/*
 * Counting use: each post lets one fr_event_take() through. Beside set, clear
 * and wait, which it does not touch. Up to 1023 posts may be waiting.
 * Errors as for set and wait; fr_event_post: -EOVERFLOW.
 */
FR_API int fr_event_post(struct fr_process *process, struct fr_event event);
FR_API int fr_event_take(struct fr_process *process, struct fr_event event,
			 int64_t wait_ns);

/*
 * Give a reserved event back: its handle is stale from here on, and who still
 * waits gets -ESTALE. -ESTALE already given back, or not this process's.
 */
FR_API int fr_event_release(struct fr_process *process, struct fr_event event);

/*
 * Between a handle and its index in the group (0..count-1): the index is what
 * several processes that know the group can agree on; the handle is safe
 * against an index that was given back and reserved anew.
 * fr_event_index: -EINVAL not of this group. fr_event_at: -EINVAL no such index ·
 * -ENOENT nobody has reserved it.
 */
FR_API int fr_event_index(const struct fr_event_group *group,
			  struct fr_event event);
FR_API int fr_event_at(const struct fr_event_group *group, unsigned index,
		       struct fr_event *ret);

/* Of FR_WITH_EVENT; not called directly. */
struct fr_event_scope {
	struct fr_event event;
	struct fr_process *process;
	int64_t wait_ns;
	int *rc;
	int state;
};
FR_API struct fr_event_scope fr_event_scope_begin(struct fr_process *process,
						  struct fr_event_group *group,
						  int64_t wait_ns, int *rc);
FR_API void fr_event_scope_wait(struct fr_event_scope *scope);
FR_API void fr_event_scope_end(struct fr_event_scope *scope);

/*
 * The scope that reserves an event, waits for it at its end, and gives it back.
 * Inside it scope.event is the handle. *rc: 0, or the error of reserving or
 * waiting. When nothing could be reserved the body does not run; leaving by break
 * or return gives the event back without waiting, and *rc is 0.
 */
#define FR_WITH_EVENT(process, group, scope, wait_ns, rc)                      \
	for (struct fr_event_scope scope                                       \
	     __attribute__((cleanup(fr_event_scope_end))) =                    \
		     fr_event_scope_begin(process, group, wait_ns, rc);        \
	     scope.state == 1; fr_event_scope_wait(&scope))

FR_END_DECLS

#endif
