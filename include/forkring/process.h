/* SPDX-License-Identifier: MIT */
/*
 * Processes: joining an arena, names, addresses, and how to wait.
 */
#ifndef FORKRING_PROCESS_H
#define FORKRING_PROCESS_H

#include "base.h"

#include <stdbool.h>

FR_BEGIN_DECLS

struct fr_arena;
struct fr_process;

/* How a process waits, whatever it waits for. */
enum fr_wait_mode {
	/* Spin for a moment if that has helped lately, then sleep. While as
	 * many others of the arena are awake as there are CPUs, nobody spins,
	 * and tasks and results may be noticed up to 0.5 ms late: so their
	 * wake-ups cost those that are at work less. Who only receives
	 * may notice a message up to 5 us late, if much has come just before:
	 * so it keeps out of the way of those who send. */
	FR_WAIT_ADAPTIVE,
	/* Give the CPU away at once: no spinning beyond 0.4 us, least CPU. */
	FR_WAIT_SLEEP,
	/* Never sleep: least latency, one core for itself. A signal alone does
	 * not end such a wait; fr_interrupt() does. */
	FR_WAIT_POLL,
};

struct fr_join_opts {
	/* Found and broadcast to by this name; several may hold the same one.
	 * NULL: nameless, reached by address only. Copied. */
	const char *name;
	enum fr_wait_mode wait;
	/* Join in the slot that was reserved under this address. */
	struct fr_addr reserved;
};

/*
 * Become a process of the arena: a slot, an address, a mailbox. One system
 * process may join several times; each handle is a participant of its own.
 *
 * Processes found dead are recovered first (unless a reserved slot is joined).
 *
 * -ENOSPC every slot is held · -EINVAL a bad name, or a reservation that is not
 * there · -ESTALE in a forked child: the arena was removed or replaced, since
 * all of its processes were dead: detach, attach anew · -ENAMETOOLONG · -ENOLCK, -ENOMEM · -EBADMSG.
 */
FR_API int fr_join(struct fr_arena *arena, const struct fr_join_opts *opts,
		   struct fr_process **ret);

/*
 * Leave: the name, the address and whatever was sent but not received are gone,
 * the slot is free for the next. No other thread may be using the handle.
 * Messages received and tasks taken must have been released and completed first;
 * open claims are cancelled. NULL does nothing. In a forked child: frees the child's
 * copy only.
 */
FR_API void fr_leave(struct fr_process *process);

/* Own address. */
FR_API struct fr_addr fr_self(const struct fr_process *process);

/* The arena that the process joined. */
FR_API struct fr_arena *fr_process_arena(const struct fr_process *process);

/*
 * Reserve a slot for a process that will join later (opts.reserved): its
 * address is good at once, and what is sent to it waits in its mailbox.
 * fr_unreserve() gives back a reservation that nobody joined.
 *
 * -ENOSPC every slot is held · -ECHILD · fr_unreserve: -ESRCH not a reservation
 * of this process.
 */
FR_API int fr_reserve(struct fr_process *process, struct fr_addr *ret);
FR_API int fr_unreserve(struct fr_process *process, struct fr_addr reserved);

/*
 * The processes that hold a name: writes up to max addresses and returns how
 * many there are (more than max when the array was too short; 0: nobody).
 * Reads shared memory only: never blocks, asks nobody.
 *
 * -EINVAL, -ENAMETOOLONG a bad name · -ECHILD · -EBADMSG.
 */
FR_API int fr_lookup(struct fr_process *process, const char *name,
		     struct fr_addr *addrs, unsigned max);

/*
 * Wait until at least one process holds the name, and give its address.
 * -EAGAIN, -ETIMEDOUT nobody in time · -EINTR · -EINVAL, -ENAMETOOLONG ·
 * -ECHILD · -EBADMSG.
 */
FR_API int fr_wait_name(struct fr_process *process, const char *name,
			int64_t wait_ns, struct fr_addr *ret);

/*
 * 1: joined, or reserved for one that will join; 0: gone, or never was.
 * -ECHILD.
 */
FR_API int fr_alive(struct fr_process *process, struct fr_addr addr);

/*
 * Copy a process's name into name[FR_NAME_MAX + 1]: "" when it has none.
 * -ESRCH gone · -ECHILD.
 */
FR_API int fr_process_name(struct fr_process *process, struct fr_addr addr,
			   char *name);

/*
 * Its pid, as its own pid namespace sees it. -ESRCH gone, or reserved and not
 * started · -ECHILD.
 */
FR_API int fr_process_pid(struct fr_process *process, struct fr_addr addr);

/*
 * What the supervisor's report shall say if this process fails: one line, of which
 * 63 bytes are kept; the last call counts. Any thread, signal handlers too.
 */
FR_API void fr_last_words(struct fr_process *process, const char *text);

/*
 * End the wait that a thread of this process is in, if any, with -EINTR; if
 * none is, the next wait that would sleep. May be called from any thread and
 * from a signal handler: this is how a handler reaches the main loop.
 */
FR_API void fr_interrupt(struct fr_process *process);

/*
 * Recover every process of the arena that is proven dead (never merely stopped
 * or slow): what it had claimed, taken, reserved and named is given back, its
 * task goes to another worker, its waiters are told, its slot is free. Returns
 * how many were recovered. Whoever joins does this, and whoever waits; call it to
 * have it done now. The arena need only be attached. Does not block; several may
 * call at a time, from any thread.
 */
FR_API int fr_recover(struct fr_arena *arena);

FR_END_DECLS

#endif
