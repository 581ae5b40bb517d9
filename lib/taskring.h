/* SPDX-License-Identifier: MIT */
/*
 * The task ring: many push, many take, words of 64 bits. Knows nothing of
 * tasks: an entry is a cell number and some bits of its generation. See
 * taskring.c.
 */
#ifndef FR_LIB_TASKRING_H
#define FR_LIB_TASKRING_H

#include "layout.h"

/* Where this process last came to; tail and head of the ring may be behind it. */
struct fr__taskring_near {
	struct fr__a64 tail, head;
};

struct fr__taskring {
	struct fr__taskring_ctl *ctl;
	struct fr__a64 *words;
	uint64_t mask;
	unsigned shift;
	unsigned lag; /* words that head and tail may be behind */
	uint64_t secret;
	struct fr__taskring_near *near;
};

#define FR__CELL_BITS 24
#define FR__CELL_GENERATION_BITS 16

void fr__taskring_map(struct fr__taskring *r, struct fr__taskring_ctl *ctl,
		      void *words, uint32_t count, uint64_t secret,
		      struct fr__taskring_near *near);
void fr__taskring_init(const struct fr__taskring *r, uint64_t start_position);

/* 0, or -EAGAIN full, -EBADMSG damaged. */
int fr__taskring_push(const struct fr__taskring *r, uint32_t cell,
		      uint32_t generation);
/* Put an entry in the place of one of a full ring that will never count: 1; 0 there
 * is none, or the ring is full no more. */
int fr__taskring_replace(const struct fr__taskring *r,
			 bool (*may_count)(const void *ctx, uint32_t cell,
					   uint32_t generation),
			 const void *ctx, uint32_t cell, uint32_t generation);
/* Is this entry there? */
bool fr__taskring_has(const struct fr__taskring *r, uint32_t cell,
		      uint32_t generation);
/*
 * Take one entry: 1, 0 there is none, -EBADMSG damaged. *taking is written with
 * the word before it is taken.
 */
int fr__taskring_take(const struct fr__taskring *r, struct fr__a64 *taking,
		      uint32_t *cell, uint32_t *generation);
/* The entry that *taking notes, if it notes one: its writer is dead. */
bool fr__taskring_taken(const struct fr__a64 *taking, uint32_t *cell,
			uint32_t *generation);
/* Is there an entry? A look only. */
bool fr__taskring_any(const struct fr__taskring *r);

/* The invariants of a ring that nobody is using: NULL or what is wrong. Entries
 * lead to one of so many cells; each() (may be NULL) is told each, up to the
 * first that is wrong. */
const char *fr__taskring_check(const struct fr__taskring *r, uint32_t cells,
			       void (*each)(void *ctx, uint32_t cell,
					    uint32_t generation),
			       void *ctx);

#endif
