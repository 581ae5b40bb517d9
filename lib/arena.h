/* SPDX-License-Identifier: MIT */
/* The arena as this process has it mapped; see arena.c. */
#ifndef FR_LIB_ARENA_H
#define FR_LIB_ARENA_H

#include "cookie.h"
#include "forkring/arena.h"
#include "layout.h"
#include "ring.h"
#include "taskring.h"

#include <pthread.h>
#include <sys/stat.h>

/* Where the parts lie, and the sizes that repeat in them, in bytes (done_stride:
 * in words). */
struct fr__layout {
	size_t slots, names, types, idle, done, taskring, events, cells;
	size_t mailboxes, bytes;
	size_t cell_bytes, done_stride, mailbox_stride;
	size_t slot_bits; /* of a bit per slot */
};

/* ---- geometry.c ---- */

/* -EINVAL: an option is out of range. */
int fr__geometry_from(const struct fr_arena_opts *o, struct fr__geometry *g);
struct fr__layout fr__layout_of(const struct fr__geometry *g);
void fr__header_init(struct fr__header *h, const struct fr__geometry *g,
		     uint64_t secret, uint64_t start);
/* 0, -EPROTO another layout, -EBADMSG damaged, or a file that is too short. */
int fr__header_check(const struct fr__header *h, off_t file_size);

/* ---- file.c ---- */

/* 0, -EINVAL, -ENAMETOOLONG: for names of arenas, processes and types. */
int fr__name_check(const char *name);
/* A descriptor of a new unnamed file: on /dev/shm, or of no file system. Then its
 * space, then its name ("": it is sealed). */
int fr__file_new(bool named, unsigned mode);
int fr__file_allocate(int fd, size_t bytes);
int fr__file_finish(int fd, const char *name);
/* An O_PATH descriptor of the file behind a name, and what it is; no link is
 * followed. And from that one to read and write. */
int fr__file_path(const char *name, struct stat *st);
int fr__file_open(int path);
/* Where does a name lead: 0 to this file, -ESTALE to another, -ENOENT nowhere. */
int fr__file_leads_to(const char *name, dev_t dev, ino_t ino);
/* Set (F_RDLCK, F_WRLCK) or drop (F_UNLCK) a record lock on bytes of the file: 0,
 * -EAGAIN another process has one in the way, -ENOLCK. Byte i is slot i's; see
 * liveness.c. */
#define FR__ATTACHED_BYTE FR__SLOTS_MAX
int fr__file_lock(int fd, short type, unsigned first, unsigned count);
/* Is a descriptor still the arena's? The program may have closed it, and opened
 * another file since. */
struct fr_arena;
bool fr__file_is_ours(const struct fr_arena *a, int fd);

/* ---- arena.c ---- */

struct fr_arena {
	unsigned char *base;
	size_t bytes;
	int fd;
	/* Copied at attach; the arena's own copy is not read again. */
	struct fr__geometry geo;
	uint64_t secret;
	size_t cell_bytes; /* of one cell with its argument and result */
	/* Parts of the arena. */
	struct fr__header *header;
	struct fr__slot *slots;
	struct fr__a64 *names;
	struct fr__type_entry *types;
	struct fr__a64 *idle; /* a bit per slot */
	struct fr__a64 *naps; /* a bit per slot */
	struct fr__a64 *awake; /* a bit per slot */
	struct fr__a64 *joined; /* a bit per slot */
	struct fr__a64 *done; /* a bit per cell of each slot, see fr__done */
	size_t done_stride;   /* words from slot to slot */
	struct fr__taskring tasks;
	struct fr__taskring_near near_tasks;
	struct fr__event *events;
	unsigned char *cells;
	struct fr__ring *rings; /* each slot's mailbox */
	/* This process's own. */
	pthread_mutex_t join_mutex; /* of slots' locks, and notes of them */
	uint64_t own[FR__SLOTS_MAX / 64]; /* slots locked by this process */
	struct fr__cookie own_by;
	int guard; /* a second descriptor: see arena.c */
	struct fr_arena *next_known;
	unsigned references;
	dev_t dev;
	ino_t ino;
	struct fr__cookie attacher; /* holds the lock of who is attached */
	struct fr__cookie creator; /* word NULL: not created here */
	bool keep;
	char name[FR__NAME_BYTES]; /* "": nameless */
};

/* Has somebody taken it away, since nobody lived in it? Once one has a lock. */
bool fr__arena_removed(const struct fr_arena *a);

/* Slot i's mailbox. */
static inline const struct fr__ring *fr__arena_ring(const struct fr_arena *a,
						    unsigned i)
{
	return &a->rings[i];
}

/* A slot's cells: how many, the first; all; and back from a cell to its slot.
 * Slot 0, that of the first to join, has a number of its own. */
static inline uint32_t fr__cells_of(const struct fr_arena *a, unsigned slot)
{
	return slot == 0 ? a->geo.main_cells : a->geo.cells;
}

static inline uint32_t fr__first_cell(const struct fr_arena *a, unsigned slot)
{
	return slot == 0 ? 0 : a->geo.main_cells + (slot - 1) * a->geo.cells;
}

static inline uint32_t fr__cells(const struct fr_arena *a)
{
	return fr__first_cell(a, a->geo.slots);
}

static inline unsigned fr__slot_of_cell(const struct fr_arena *a, uint32_t cell)
{
	return cell < a->geo.main_cells
		       ? 0
		       : 1 + (cell - a->geo.main_cells) / a->geo.cells;
}

static inline struct fr__cell *fr__arena_cell(const struct fr_arena *a,
					      uint32_t cell)
{
	return (void *)(a->cells + (size_t)cell * a->cell_bytes);
}

static inline size_t fr__whole_lines(size_t bytes)
{
	return (bytes + FR__LINE - 1) / FR__LINE * FR__LINE;
}

/* Where the result of a task with an argument of so many bytes stands in its cell:
 * behind that in the same line if the largest fits there, else in a line of its own:
 * the worker writes those, and only reads the argument's. */
static inline size_t fr__cell_result_at(const struct fr__geometry *geo,
					uint32_t arg_len)
{
	size_t at = (sizeof(struct fr__cell) + arg_len + 7) / 8 * 8;
	size_t next = fr__whole_lines(at);

	return geo->result_max <= next - at ? at : next;
}

static inline void *fr__cell_result(const struct fr_arena *a,
				    struct fr__cell *cell, uint32_t arg_len)
{
	return (unsigned char *)cell + fr__cell_result_at(&a->geo, arg_len);
}

static inline struct fr__a64 *fr__done(const struct fr_arena *a, unsigned slot)
{
	return a->done + slot * a->done_stride;
}

/* FNV-1a, 64 bit (Fowler, Noll, Vo), with a final mix by a multiply-shift. */
static inline uint64_t fr__hash(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	while (len-- > 0)
		h = (h ^ *p++) * UINT64_C(0x100000001b3);
	return h ^ h >> 29;
}

#endif
