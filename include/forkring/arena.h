/* SPDX-License-Identifier: MIT */
/*
 * The arena: one shared-memory object that holds everything processes share.
 * Named (a file under /dev/shm that unrelated processes attach to) or nameless
 * (inherited by fork, or its descriptor passed).
 */
#ifndef FORKRING_ARENA_H
#define FORKRING_ARENA_H

#include "base.h"

#include <stdbool.h>

FR_BEGIN_DECLS

struct fr_arena;

/*
 * Geometry of a new arena. Zero fields mean the default; all of it together
 * takes about 26 MB with the defaults and fits a 64 MB /dev/shm.
 */
struct fr_arena_opts {
	/* Processes joined or reserved at a time: 1..4096, default 64. */
	unsigned slots;
	/* Mailbox of each process, in bytes: a power of two from 4 KiB to
	 * 8 MiB, default 256 KiB. The largest message is half of it less 24. */
	size_t mailbox_bytes;
	/* Tasks that one process may have outstanding: 1..4096, default 64; and
	 * the process that joins first (main): default as the others. */
	unsigned cells;
	unsigned main_cells;
	/* Largest argument and largest result of a task, in bytes: up to
	 * 1 MiB, rounded up to a multiple of 8, default 1024 each. */
	size_t arg_max;
	size_t result_max;
	/* Events of all groups: 1..65536, default 256. */
	unsigned events;
	/* Message types: 16..65536, a power of two, default 256. */
	unsigned types;
	/* Permission bits of a named arena's file: default 0600. */
	unsigned mode;
	/* A named arena outlives its creator: fr_arena_detach() in the process
	 * that created it leaves the name. */
	bool keep;
	/* If the name is taken by an arena whose processes are all dead (and
	 * nobody is attached to it), take its place. */
	bool replace;
	/* Where ring positions start, for tests that need a lap to end soon. */
	uint64_t start_position;
};

/*
 * Create an arena of that name under /dev/shm, or a nameless one when name is
 * NULL, and map it. The name appears only once everything is ready, and all of
 * the space is really allocated first.
 *
 * name: 1..FR_NAME_MAX bytes, no '/', not "." or "..".
 *
 * -EINVAL a name or an option out of range · -ENAMETOOLONG · -EEXIST the name
 * is taken: attach to it, or unlink it first (with opts.replace: somebody is
 * attached to it; -EPROTO, -ELOOP it is not an arena) · -ENOLCK · -ENOSPC /dev/shm is full: make
 * mailboxes, cells or slots fewer, or /dev/shm larger · -EACCES no permission
 * there · -EMFILE, -ENFILE, -ENOMEM · -EROFS, -EOPNOTSUPP no new files, or no
 * O_TMPFILE there · -ENOSYS the kernel is too old (MADV_WIPEONFORK). A nameless
 * arena is bounded by memory, not by /dev/shm: do not ask for more than there is.
 */
FR_API int fr_arena_create(const char *name, const struct fr_arena_opts *opts,
			   struct fr_arena **ret);

struct fr_attach_opts {
	/* Take an arena that another user owns (root's are always taken). Only
	 * with a user that is trusted: an arena is one trust domain. */
	bool any_owner;
};

/*
 * Map an existing named arena. Attaching twice to the same arena in one process
 * gives the same handle again, to be detached as often.
 *
 * -EINVAL, -ENAMETOOLONG a bad name · -ENOENT no such arena · -EACCES the
 * file's permissions forbid it · -EPERM it belongs to another user · -ELOOP a
 * symbolic link is in its place · -EPROTO not an arena, or one of another
 * layout, version or byte order · -EBADMSG damaged or cut short · -EBUSY it is
 * being removed or replaced all the time · -ENOLCK · -EMFILE, -ENFILE, -ENOMEM.
 */
FR_API int fr_arena_attach(const char *name, const struct fr_attach_opts *opts,
			   struct fr_arena **ret);

/*
 * Map the arena behind a descriptor (one that was inherited or received). The
 * caller keeps fd; but while this process is attached, closing *any* descriptor of
 * the arena's file drops the locks that show others that it lives. A process that
 * is joined is still not taken for dead where its pid can be seen; from another pid
 * namespace it is.
 *
 * Errors as for fr_arena_attach(), but that who passed the descriptor is trusted
 * (never -EPERM, -ELOOP); -EBADF.
 */
FR_API int fr_arena_attach_fd(int fd, struct fr_arena **ret);

/*
 * Unmap. Every process handle of this arena must have left first. In the
 * process that created a named arena this also removes its name, unless
 * opts.keep was set or the name leads elsewhere by now. NULL does nothing.
 * In a forked child the parent's handle is detached for the child only.
 */
FR_API void fr_arena_detach(struct fr_arena *arena);

/*
 * Remove a name. Processes that are attached go on; nobody new can attach.
 * -EINVAL, -ENAMETOOLONG, -ENOENT, -EACCES, -EPERM · -EISDIR a directory is there.
 */
FR_API int fr_arena_unlink(const char *name);

/*
 * Remove a name if nobody is attached to its arena any more: every process of it
 * is dead, or has left and detached. While it looks, nobody can attach.
 * -EBUSY somebody is, perhaps this process · -EPROTO not an arena · -ELOOP a
 * symbolic link is there · -ENOLCK · others as for fr_arena_unlink().
 */
FR_API int fr_arena_remove_dead(const char *name);

/* Descriptor of the arena, owned by the handle (never close it), close-on-exec. */
FR_API int fr_arena_fd(const struct fr_arena *arena);

struct fr_arena_info {
	size_t bytes;         /* of the whole arena */
	unsigned slots;       /* in all */
	unsigned joined;      /* slots held or reserved now */
	size_t mailbox_bytes; /* of each process */
	size_t message_max;   /* largest message, bytes */
	unsigned cells;       /* tasks outstanding per process */
	unsigned main_cells;  /* of the first that joined */
	size_t arg_max;       /* bytes */
	size_t result_max;    /* bytes */
	unsigned events;
	unsigned types;
};

/* The arena's geometry, with every default filled in. */
FR_API void fr_arena_info(const struct fr_arena *arena, struct fr_arena_info *ret);

/* Called with each fault that is found: one line, without a newline. */
typedef void fr_check_fn(void *ctx, const char *fault);

/*
 * Check the invariants of the whole arena: every slot, name, event, task and
 * mailbox. Returns the number of faults; report (may be NULL) is told each (of
 * very many, the first thousand). A process that is dead and not recovered is one.
 * Only looks; any thread, attached is enough. Exact when nobody is at work in the
 * arena; while somebody is, a fault is believed only if it stays for a quarter of
 * a second: one in mid-call that is stopped for so long shows as a fault.
 *
 * -ENOMEM.
 */
FR_API int fr_check(struct fr_arena *arena, fr_check_fn *report, void *ctx);

FR_END_DECLS

#endif
