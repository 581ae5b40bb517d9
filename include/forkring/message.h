/* SPDX-License-Identifier: MIT */
/*
 * Messages: typed records from any process to any process's mailbox.
 *
 *	int rc = fr_send_name(self, "logger", type, text, strlen(text), FR_FOREVER);
 *
 *	struct fr_message m;
 *	while (fr_receive(self, FR_FOREVER, &m) == 0) {
 *		use(m.body, m.len);
 *		fr_release(self, &m);
 *	}
 *
 * Messages of one sender to one receiver arrive once and in order. Nothing is
 * dropped: a full mailbox makes the sender wait, or tells it.
 */
#ifndef FORKRING_MESSAGE_H
#define FORKRING_MESSAGE_H

#include "base.h"

FR_BEGIN_DECLS

struct fr_process;

/* A message type: a text name, interned in the arena. {0} is "no type". */
struct fr_type {
	uint32_t id;
};

/* What fr_run() takes as the order to end; sent by fr_send_exit(). */
#define FR_TYPE_EXIT (fr_type_builtin(1))

/*
 * The type of that name, made if it is new. A type may have a parent: a handler
 * for the parent also gets it, unless it has one of its own. parent {0}: none,
 * or whatever it already has.
 *
 * name: 1..FR_NAME_MAX bytes. -EINVAL, -ENAMETOOLONG a bad name or parent ·
 * -EEXIST it has another parent · -ENOSPC no room for more types (opts.types) ·
 * -ECHILD.
 */
FR_API int fr_type_intern(struct fr_process *process, const char *name,
		   struct fr_type parent, struct fr_type *ret);

/* Copy a type's name into name[FR_NAME_MAX + 1]. -ENOENT no such type ·
 * -ECHILD. */
FR_API int fr_type_name(struct fr_process *process, struct fr_type type,
			char *name);

static inline struct fr_type fr_type_builtin(uint32_t id)
{
	struct fr_type t;

	t.id = id;
	return t;
}

/*
 * Send a copy of body[0..len) to one process. Any thread. While the mailbox is
 * full it waits up to wait_ns.
 *
 * -EAGAIN full and wait_ns is 0 · -ETIMEDOUT still full · -EINTR ·
 * -EMSGSIZE longer than fr_arena_info().message_max · -ESRCH the receiver is
 * gone (also if it goes while we wait) · -EDEADLK would wait for room in its
 * own mailbox · -EINVAL no type has that number · -ECHILD · -EBADMSG.
 */
FR_API int fr_send(struct fr_process *process, struct fr_addr to,
		   struct fr_type type, const void *body, size_t len,
		   int64_t wait_ns);

/*
 * Send to every process that holds the name; returns how many got it. The time
 * limit is for all of them together; one that is full to the end does not keep
 * the others from getting it.
 *
 * -ENOENT nobody holds the name; else, if not even one got it, the first
 * error, as for fr_send().
 */
FR_API int fr_send_name(struct fr_process *process, const char *name,
			struct fr_type type, const void *body, size_t len,
			int64_t wait_ns);

/* One part of a batch. */
struct fr_part {
	struct fr_type type;
	const void *body;
	size_t len;
};

/*
 * Send several messages to one process with one publication: they arrive one
 * after the other with none of anyone else's between, and their room is free once
 * all of them are released. Returns how many were sent, at least one: as many of
 * the first as there is room for at once, and as go together into a sixteenth of
 * the mailbox (16 KiB by default; at least 2 KiB, but not more than half of it),
 * each with 8 bytes more and as a multiple of 8. The time limit is for the first.
 * Errors as for fr_send().
 */
FR_API int fr_send_batch(struct fr_process *process, struct fr_addr to,
			 const struct fr_part *parts, unsigned count,
			 int64_t wait_ns);

/* Room in a mailbox, held by this process until it commits or cancels. */
struct fr_claim {
	void *body; /* len bytes, 8-byte aligned, to be written */
	size_t len;
	uint64_t priv[2];
};

/*
 * Claim a message's room in place. Errors as for fr_send(). Between claim and
 * commit or cancel the receiver gets nothing of this process's later messages;
 * those of others flow on as far as the mailbox's size allows.
 */
FR_API int fr_claim(struct fr_process *process, struct fr_addr to,
		    struct fr_type type, size_t len, int64_t wait_ns,
		    struct fr_claim *ret);

/* Send what was written into the claim. Cannot fail. */
FR_API void fr_commit(struct fr_process *process, struct fr_claim *claim);

/* Give the claimed room back; nothing is sent. */
FR_API void fr_cancel(struct fr_process *process, struct fr_claim *claim);

/* A received message, read in place. */
struct fr_message {
	const void *body; /* len bytes, 8-byte aligned; valid until released */
	size_t len;
	struct fr_type type;
	struct fr_addr from;
	uint64_t call; /* of fr_call(): for fr_reply(); 0: no reply is awaited */
	uint64_t priv;
};

/*
 * The next message of the own mailbox. Several may be held at a time and
 * released in any order; their room is free once all before them is.
 * Receive, release and the calls that make them (fr_run, fr_dispatch): one
 * thread at a time.
 *
 * -EAGAIN none and wait_ns is 0 · -ETIMEDOUT · -EINTR · -ECHILD · -EBADMSG.
 */
FR_API int fr_receive(struct fr_process *process, int64_t wait_ns,
		      struct fr_message *ret);

/* Give a received message's room back. Again does nothing; but a copy of it must not
 * be released beside it. */
FR_API void fr_release(struct fr_process *process, struct fr_message *message);

/*
 * Receive up to max messages at once: waits for the first, takes what is there;
 * returns how many. fr_release_batch() gives them all back with one
 * publication. Errors as for fr_receive().
 */
FR_API int fr_receive_batch(struct fr_process *process, int64_t wait_ns,
			    struct fr_message *messages, unsigned max);
FR_API void fr_release_batch(struct fr_process *process,
			     struct fr_message *messages, unsigned count);

/*
 * Send a message and wait for its reply, whose bytes are copied to reply: returns
 * how many. Never hangs on a callee that dies, whoever finds out. It takes one of
 * this process's cells (fr_arena_opts.cells) until the reply is there. Any thread
 * but one that the callee waits for. After a time limit or -EINTR the call is
 * given up: the callee's fr_reply() is -ESRCH.
 *
 * wait_ns: for room and reply together; 0 makes no sense. -EOWNERDEAD the callee
 * has died or left without replying · -ESRCH it was gone before · -ETIMEDOUT ·
 * -EINTR · -ENOMSG it has no handler for the type (fr_run()) · -EAGAIN no cell is
 * free, or its mailbox is full and wait_ns is 0 · -EMSGSIZE the message is over
 * fr_arena_info().message_max - 8, or the reply over reply_max (it is lost) ·
 * -EDEADLK itself · -ECHILD · -EBADMSG.
 */
FR_API int fr_call(struct fr_process *process, struct fr_addr to,
		   struct fr_type type, const void *body, size_t len,
		   int64_t wait_ns, void *reply, size_t reply_max);

/*
 * Reply to a message whose m->call is not 0: in its handler, or later (keep the
 * number), from any thread of the process that received it; once. Copies
 * fr_arena_info().result_max bytes at most. Does not block.
 *
 * -ESRCH nobody waits any more: the caller is gone or gave up, or it was replied
 * to · -EMSGSIZE · -ECHILD.
 */
FR_API int fr_reply(struct fr_process *process, uint64_t call, const void *body,
		    size_t len);

/* What a handler answers. */
#define FR_CONTINUE 0
#define FR_STOP 1 /* end fr_run(), which returns 0 */

/*
 * Called with each message of a type. m is released after it returns, unless it
 * released m itself. Returns FR_CONTINUE, FR_STOP, or a negative errno that
 * ends fr_run() with it.
 */
typedef int fr_handler_fn(void *ctx, struct fr_process *process,
			  struct fr_message *m);

/*
 * Handle a type, and those of its children that have no handler of their own.
 * Type {0}: all that nobody else handles. Handling it again replaces the
 * handler. Any thread, handlers too. A call of the old handler that is under
 * way in another thread may still be running when these return.
 *
 * -EINVAL no such type, or fn is NULL · -ENOMEM · -ECHILD · fr_unhandle:
 * -ENOENT.
 */
FR_API int fr_handle(struct fr_process *process, struct fr_type type,
		     fr_handler_fn *fn, void *ctx);
FR_API int fr_unhandle(struct fr_process *process, struct fr_type type);

/*
 * Give one received message to its handler; returns what that returned. The
 * caller still releases it. An exit message without a handler: FR_STOP.
 * -ENOMSG nobody handles it.
 */
FR_API int fr_dispatch(struct fr_process *process, struct fr_message *m);

struct fr_task_run;

struct fr_run_opts {
	void *ctx; /* of the callbacks here */
	/* The process's own action, called once in each round: returns
	 * FR_CONTINUE (again at once), FR_IDLE (nothing to do: wait for the
	 * next message or task), FR_STOP or a negative errno. */
	int (*action)(void *ctx, struct fr_process *process);
	/* Take tasks and do them (task.h). */
	const struct fr_task_run *tasks;
	/* A message that no handler takes. NULL: one line on stderr. */
	int (*unhandled)(void *ctx, struct fr_process *process,
			 struct fr_message *m);
	/* End with 0 after this time; 0: no limit. */
	int64_t limit_ns;
};
#define FR_IDLE 2

/*
 * The life of a process: in each round its own action, or a task; then every
 * message that is there to its handler; then the exit flag. Ends with 0 on an
 * exit message, FR_STOP, or the limit; with a handler's or an action's negative
 * errno; with -EINTR when a signal ended its sleep, or after fr_interrupt(). One
 * thread at a time.
 */
FR_API int fr_run(struct fr_process *process, const struct fr_run_opts *opts);

/* Ask a process to end its fr_run(). Errors as for fr_send(). */
FR_API int fr_send_exit(struct fr_process *process, struct fr_addr to,
			int64_t wait_ns);

FR_END_DECLS

#endif
