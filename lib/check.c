/* SPDX-License-Identifier: MIT */
/*
 * The invariants of a whole arena, looked at from outside.
 *
 * A slot is *held* while it is JOINING, JOINED, LEAVING or RECOVERING; whoever
 * holds it lives, or the slot is said to be a dead one's, and what that one left
 * is then recovery's to find and no fault of its own. What is *noted* is in the
 * hands of one that holds a slot.
 *
 * Invariants
 *	header		is what was attached; its counts are in their bounds; who
 *			is on its way to a task (waking) holds a slot
 *	slots		the state is one; who holds it lives; a reserver holds a
 *			slot; FREE is nobody's; only who holds a slot is idle,
 *			awake, named, owns anything below
 *	names		a word leads to a slot held in that generation, by the hash
 *			of that slot's name, no further from its home than the
 *			longest probe; one for each slot that has a name
 *	types		no empty entry between an entry and its home; the parent is
 *			a type; the text has that hash, or was never finished
 *	events		a reserver holds a slot; not reserved: neither set nor posts
 *	task ring	entries of cells between head and tail, EMPTY elsewhere
 *	cells		the submitter holds the cell's slot, in the generation that
 *			submitted, and owns it unless it is TAKEN or DONE; but a
 *			TAKEN task may outlive it, and a call that is given up. Who
 *			took it holds a slot, but a callee that left leaves an OPEN
 *			call until its caller looks. QUEUED: an entry is in the
 *			ring, or noted. Lengths are in their bounds
 *	mailboxes	as in ring.c; but what the reader of a slot that nobody
 *			reads now had begun to free, whoever holds it next frees.
 *			Who has claimed holds a slot
 *
 * All of that is so between one call of the library and the next. Inside a call
 * most of it is not, for a moment: so a fault is believed only if it is found, word
 * for word, at each of several looks, with longer and longer pauses between. Its
 * words name generations and positions, so that two faults that come and go are
 * not taken for one that stays. One call that is stopped in its middle for long
 * shows as a fault.
 *
 * Only looks. Nothing that is read is used as an index or a length before it has
 * been checked, and every walk ends.
 */
#include "cell.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FAULTS_MAX 1000 /* of one look */
#define FAULT_BYTES 160
#define LOOKS_AGAIN 8 /* 1, 2, 4, .. ms apart */

struct faults {
	char **lines;
	unsigned count;
	int rc; /* -ENOMEM */
};

/* What one look is made with. */
struct look {
	struct fr_arena *a;
	struct faults *faults;
	uint64_t *states; /* of the slots: one for all of the look */
	bool *dead;       /* their processes, not recovered yet */
	bool *named;      /* slots that the name index leads to */
	unsigned char *entered; /* a bit per cell: it has an entry, or a note */
};

__attribute__((format(printf, 2, 3))) static void fault(struct look *l,
							 const char *format, ...)
{
	struct faults *f = l->faults;
	char line[FAULT_BYTES];
	va_list args;

	if (f->rc < 0 || f->count == FAULTS_MAX)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	f->lines[f->count] = strdup(line);
	if (f->lines[f->count])
		f->count++;
	else
		f->rc = -ENOMEM;
}

static uint64_t look(const struct fr__a64 *word)
{
	/* [CHECK-1] relaxed: when nobody is at work there is nothing that it
	 * could be out of order with; else the next look decides. */
	return fr__load_relaxed(word);
}

static uint32_t look32(const struct fr__a32 *word)
{
	/* as [CHECK-1] */
	return fr__load_relaxed(word);
}

/* ---- header ---- */

static void check_header(struct look *l)
{
	const struct fr_arena *a = l->a;
	const struct fr__header *h = a->header;
	struct fr__header copy = *h;
	uint32_t used = look32(&h->events_used), probe = look32(&h->names_probe);
	uint32_t waking = look32(&h->waking);

	if (fr__header_check(&copy, (off_t)a->bytes) < 0 ||
	    memcmp(&copy.geo, &a->geo, sizeof(a->geo)) != 0 ||
	    copy.secret != a->secret)
		fault(l, "header: not what was attached");
	if (used > a->geo.events)
		fault(l, "header: %u events given to groups, of %u", used,
		      a->geo.events);
	if (probe >= a->geo.names)
		fault(l, "header: a probe of %u name words, of %u", probe,
		      a->geo.names);
	if (waking > a->geo.slots)
		fault(l, "header: slot %u is on its way to a task, of %u slots",
		      waking - 1, a->geo.slots);
}

/* ---- slots ---- */

static bool held(const struct look *l, unsigned slot)
{
	return slot < l->a->geo.slots &&
	       fr__slot_state(l->states[slot]) >= FR__SLOT_JOINING &&
	       fr__slot_state(l->states[slot]) <= FR__SLOT_DEAD;
}

/* Is this the address of who holds its slot now? */
static bool is_there(const struct look *l, uint64_t address)
{
	unsigned slot = fr__addr_slot((struct fr_addr){address});

	return held(l, slot) &&
	       fr__slot_generation(l->states[slot]) == address >> 32;
}

/* "slot 3, which is free": whose something is that nobody holds. */
static const char *name_slot(const struct look *l, unsigned slot, char *text,
			     size_t size)
{
	enum fr__slot_state state = FR__SLOT_FREE;

	if (slot < l->a->geo.slots)
		state = fr__slot_state(l->states[slot]);
	snprintf(text, size, "slot %u, %s", slot,
		 slot >= l->a->geo.slots     ? "which there is not"
		 : state == FR__SLOT_FREE     ? "which is free"
		 : state == FR__SLOT_RESERVED ? "which nobody has joined"
					      : "whose state is none");
	return text;
}

#define NAME_SLOT(l, slot) name_slot(l, slot, (char[64]){0}, 64)

/* Take all states down first, so that a look is all of a piece. */
static void take_states(struct look *l)
{
	struct fr_arena *a = l->a;
	unsigned i;

	for (i = 0; i < a->geo.slots; i++) {
		l->states[i] = look(&a->slots[i].state);
		pthread_mutex_lock(&a->join_mutex);
		l->dead[i] = fr__dead(a, i, l->states[i]);
		pthread_mutex_unlock(&a->join_mutex);
		l->named[i] = false;
	}
}

static void check_state(struct look *l, unsigned i)
{
	enum fr__slot_state state = fr__slot_state(l->states[i]);
	uint32_t g = fr__slot_generation(l->states[i]);
	uint32_t who = fr__slot_who(l->states[i]);

	if (state > FR__SLOT_DEAD)
		fault(l, "slot %u: state %d is none", i, (int)state);
	else if (l->dead[i])
		fault(l, "slot %u, generation %u: its %s (pid %u) is dead: "
			 "fr_recover() or `forkring recover` frees it", i, g,
		      state == FR__SLOT_RECOVERING ? "recoverer" : "process",
		      who);
	else if (state == FR__SLOT_RESERVED && !held(l, who))
		fault(l, "slot %u, generation %u: reserved by %s", i, g,
		      NAME_SLOT(l, who));
	else if (state == FR__SLOT_FREE && who != 0)
		fault(l, "slot %u, generation %u: free, and yet of %u", i, g,
		      who);
	if (held(l, i) && !(look(&l->a->joined[i / 64]) >> i % 64 & 1) &&
	    look(&l->a->slots[i].state) == l->states[i])
		fault(l, "slot %u, generation %u: in use, but its bit does not "
			 "say so: nobody would see it die", i, g);
}

/* A bit per slot: only who holds one may have it. */
static void check_bits(struct look *l, const struct fr__a64 *words,
		       const char *what)
{
	unsigned i, end = (l->a->geo.slots + 63) / 64 * 64;

	for (i = 0; i < end; i++)
		if ((look(&words[i / 64]) >> i % 64 & 1) && !held(l, i))
			fault(l, "%s bit of %s, generation %u", what,
			      NAME_SLOT(l, i),
			      i < l->a->geo.slots
				      ? fr__slot_generation(l->states[i])
				      : 0);
}

static void check_slots(struct look *l)
{
	uint32_t waking = look32(&l->a->header->waking);
	unsigned i;

	for (i = 0; i < l->a->geo.slots; i++)
		check_state(l, i);
	check_bits(l, l->a->idle, "idle");
	check_bits(l, l->a->naps, "nap");
	check_bits(l, l->a->awake, "awake");
	if (waking > 0 && waking <= l->a->geo.slots && !held(l, waking - 1))
		fault(l, "header: on its way to a task is %s, generation %u",
		      NAME_SLOT(l, waking - 1),
		      fr__slot_generation(l->states[waking - 1]));
}

/* ---- names ---- */

static bool has_end(const struct fr__a64 *words)
{
	uint64_t last = look(&words[FR__NAME_BYTES / 8 - 1]);
	char text[8];

	memcpy(text, &last, 8);
	return text[7] == '\0';
}

static void check_name(struct look *l, uint32_t at, uint64_t word)
{
	const struct fr_arena *a = l->a;
	unsigned slot = word >> 32 & 0xffff;
	uint32_t g = (uint32_t)word, mask = a->geo.names - 1;
	uint32_t probe = look32(&a->header->names_probe);
	char text[FR__NAME_BYTES];
	uint64_t hash;

	if (!held(l, slot)) {
		fault(l, "name word %u, generation %u: of %s", at, g,
		      NAME_SLOT(l, slot));
		return;
	}
	if (fr__slot_generation(l->states[slot]) != g ||
	    fr__slot_state(l->states[slot]) == FR__SLOT_JOINING) {
		fault(l, "name word %u: of generation %u of slot %u, which is "
			 "gone", at, g, slot);
		return;
	}
	fr__name_load(a->slots[slot].name, text);
	hash = fr__hash(text, strlen(text));
	if (word >> 48 != hash >> 48 || text[0] == '\0')
		fault(l, "name word %u: not of the name of slot %u, generation "
			 "%u", at, slot, g);
	else if (((at - (uint32_t)hash) & mask) > probe)
		fault(l, "name word %u (slot %u, generation %u): further from "
			 "its home than any look goes", at, slot, g);
	else if (l->named[slot])
		fault(l, "name word %u: a second one of slot %u, generation %u",
		      at, slot, g);
	l->named[slot] = true;
}

static void check_names(struct look *l)
{
	const struct fr_arena *a = l->a;
	char text[FR__NAME_BYTES];
	uint32_t i;

	for (i = 0; i < a->geo.names; i++) {
		uint64_t word = look(&a->names[i]);

		if (word != 0)
			check_name(l, i, word);
	}
	for (i = 0; i < a->geo.slots; i++) {
		if (fr__slot_state(l->states[i]) != FR__SLOT_JOINED ||
		    l->dead[i])
			continue;
		fr__name_load(a->slots[i].name, text);
		if (!has_end(a->slots[i].name))
			fault(l, "slot %u, generation %u: its name has no end",
			      i, fr__slot_generation(l->states[i]));
		else if (text[0] && !l->named[i])
			fault(l, "slot %u, generation %u: no word leads to its "
				 "name", i, fr__slot_generation(l->states[i]));
	}
}

/* ---- types ---- */

/* The hash's text; none at all; or whole words, but not all, of a text that its
 * writer never finished. */
static bool text_fits(const struct fr__type_entry *e, uint64_t hash)
{
	char text[FR__NAME_BYTES];
	uint64_t is;
	size_t len, rest;

	if (!has_end(e->text))
		return false;
	fr__name_load(e->text, text);
	len = strlen(text);
	for (rest = len; rest < FR__NAME_BYTES; rest++)
		if (text[rest] != '\0')
			return false;
	is = fr__hash(text, len);
	return (is ? is : 1) == hash || len % 8 == 0;
}

static void check_type(struct look *l, uint32_t i, uint64_t hash, uint32_t run)
{
	const struct fr_arena *a = l->a;
	const struct fr__type_entry *e = &a->types[i];
	uint32_t parent = look32(&e->parent);

	if (((i - (uint32_t)hash) & (a->geo.types - 1)) > run)
		fault(l, "type %u: an empty entry before it hides it", i + 1);
	if (!text_fits(e, hash))
		fault(l, "type %u: its text is not of its hash", i + 1);
	if (parent == i + 1 || parent > a->geo.types ||
	    (parent > 1 && look(&a->types[parent - 1].hash) == 0))
		fault(l, "type %u: its parent is type %u, which is none", i + 1,
		      parent);
}

static void check_types(struct look *l)
{
	const struct fr_arena *a = l->a;
	uint32_t run = 0, i;

	/* Run: how many entries in front are not empty. The first round finds
	 * out for the start. Entry 0 is the exit type's: not used, passed. */
	for (i = 0; i < 2 * a->geo.types; i++) {
		uint32_t at = i & (a->geo.types - 1);
		uint64_t hash = look(&a->types[at].hash);

		if (at == 0 && i > 0 && (hash || look32(&a->types[0].parent)))
			fault(l, "type 1: its entry is not empty");
		else if (at != 0 && hash != 0 && i >= a->geo.types)
			check_type(l, at, hash, run);
		else if (hash == 0 && i >= a->geo.types && at != 0 &&
			 look32(&a->types[at].parent) != 0)
			fault(l, "type %u: a parent, but no name", at + 1);
		run = hash || at == 0 ? run + 1 : 0;
	}
}

/* ---- events ---- */

#define EVENT_POSTS UINT64_C(0x3ff)
#define EVENT_SET (UINT64_C(1) << 10)
#define EVENT_RESERVED (UINT64_C(1) << 11)

static void check_events(struct look *l)
{
	const struct fr_arena *a = l->a;
	uint32_t used = look32(&a->header->events_used), i;

	for (i = 0; i < a->geo.events; i++) {
		uint64_t word = look(&a->events[i].truth);
		unsigned long long g = word >> 24;
		unsigned owner = word >> 12 & (FR__SLOTS_MAX - 1);

		if (!(word & EVENT_RESERVED)) {
			if (word & (EVENT_SET | EVENT_POSTS))
				fault(l, "event %u, generation %llu: set, but "
					 "not reserved", i, g);
		} else if (i >= used) {
			fault(l, "event %u, generation %llu: reserved, but of "
				 "no group", i, g);
		} else if (!held(l, owner)) {
			fault(l, "event %u, generation %llu: reserved by %s", i,
			      g, NAME_SLOT(l, owner));
		}
	}
}

/* ---- tasks ---- */

/* An entry of the ring, or a note of one: a queued task will be found by it. */
static void enter(void *ctx, uint32_t cell, uint32_t generation)
{
	const uint32_t bits = (1u << FR__CELL_GENERATION_BITS) - 1;
	struct look *l = ctx;
	uint64_t word;

	if (cell >= fr__cells(l->a))
		return;
	word = look(&fr__arena_cell(l->a, cell)->state);
	if (fr__cell_state(word) == FR__CELL_QUEUED &&
	    (fr__cell_generation(word) & bits) == (generation & bits))
		l->entered[cell / 8] |= (unsigned char)(1 << cell % 8);
}

/* The ring, and what those who hold slots note. False: no task is to be called
 * lost, since the ring itself is. */
static bool check_taskring(struct look *l)
{
	const struct fr_arena *a = l->a;
	const char *wrong = fr__taskring_check(&a->tasks, fr__cells(a), enter,
					       l);
	uint32_t cell, g;
	unsigned i;

	if (wrong)
		fault(l, "task ring: %s", wrong);
	for (i = 0; i < a->geo.slots; i++)
		if (held(l, i) &&
		    fr__taskring_taken(&a->slots[i].taking, &cell, &g))
			enter(l, cell, g);
	return !wrong;
}

/* Of a submitter that must be there. */
static void check_own(struct look *l, uint32_t cell, uint64_t word,
		      const char *is)
{
	unsigned slot = fr__slot_of_cell(l->a, cell), owner = fr__cell_owner(word);
	uint64_t from = fr__arena_cell(l->a, cell)->from;
	uint32_t g = fr__cell_generation(word);

	if (!held(l, slot))
		fault(l, "cell %u, generation %u: %s, but of %s", cell, g, is,
		      NAME_SLOT(l, slot));
	else if (owner != slot && fr__cell_state(word) != FR__CELL_DONE &&
		 fr__cell_state(word) != FR__CELL_TAKEN)
		fault(l, "cell %u, generation %u: %s, of slot %u, but owned by "
			 "slot %u", cell, g, is, slot, owner);
	else if (fr__cell_state(word) != FR__CELL_FILLING &&
		 (fr__addr_slot((struct fr_addr){from}) != slot ||
		  !is_there(l, from)))
		fault(l, "cell %u, generation %u: %s, but its submitter is "
			 "gone", cell, g, is);
}

static void check_queued(struct look *l, uint32_t cell, uint64_t word)
{
	if (l->entered[cell / 8] >> cell % 8 & 1)
		return;
	fault(l, "cell %u, generation %u: queued, but no entry leads to it: "
		 "task lost", cell, fr__cell_generation(word));
}

/* TAKEN: of a task, it may outlive its submitter. Of a call, the callee may have
 * left while the caller has not looked; it has an end only if given up. */
static void check_taken(struct look *l, uint32_t cell, uint64_t word)
{
	unsigned outcome = fr__cell_outcome(word), owner = fr__cell_owner(word);

	if (outcome == FR__CALL_OPEN || outcome == FR__CALL_WRITING)
		check_own(l, cell, word, "called");
	if (outcome != FR__CALL_OPEN && !held(l, owner))
		fault(l, "cell %u, generation %u: taken by %s", cell,
		      fr__cell_generation(word), NAME_SLOT(l, owner));
}

static void check_lengths(struct look *l, uint32_t cell, uint64_t word)
{
	const struct fr__geometry *geo = &l->a->geo;
	struct fr__cell *c = fr__arena_cell(l->a, cell);
	enum fr__cell_state state = fr__cell_state(word);
	unsigned outcome = fr__cell_outcome(word);
	uint32_t arg = c->arg_len, result = c->result_len;

	if (state != FR__CELL_FREE && state != FR__CELL_FILLING &&
	    !fr__cell_is_call(word) && arg > geo->arg_max)
		fault(l, "cell %u, generation %u: an argument of %u bytes, of "
			 "%u", cell, fr__cell_generation(word), arg,
		      geo->arg_max);
	if ((state == FR__CELL_DONE || state == FR__CELL_HELD) &&
	    (outcome == FR_TASK_DONE || outcome == FR_TASK_FAILED ||
	     outcome == FR__CALL_REPLIED) && result > geo->result_max)
		fault(l, "cell %u, generation %u: a result of %u bytes, of %u",
		      cell, fr__cell_generation(word), result, geo->result_max);
}

static void check_cell(struct look *l, uint32_t cell, bool ring_good)
{
	uint64_t word = look(&fr__arena_cell(l->a, cell)->state);

	switch (fr__cell_state(word)) {
	case FR__CELL_FREE:
		break;
	case FR__CELL_FILLING:
		check_own(l, cell, word, "being filled");
		break;
	case FR__CELL_QUEUED:
		check_own(l, cell, word, "queued");
		if (ring_good)
			check_queued(l, cell, word);
		break;
	case FR__CELL_TAKEN:
		check_taken(l, cell, word);
		break;
	case FR__CELL_DONE:
		check_own(l, cell, word, "done");
		break;
	case FR__CELL_HELD:
		check_own(l, cell, word, "held");
		break;
	default:
		fault(l, "cell %u, generation %u: state %d is none", cell,
		      fr__cell_generation(word), (int)fr__cell_state(word));
	}
	check_lengths(l, cell, word);
}

/* Bits of cells that the slot does not have. */
static void check_done(struct look *l, unsigned slot)
{
	unsigned i, end = (unsigned)l->a->done_stride * 64;

	for (i = fr__cells_of(l->a, slot); i < end; i++)
		if (look(&fr__done(l->a, slot)[i / 64]) >> i % 64 & 1)
			fault(l, "slot %u: cell %u is said to be done, of %u",
			      slot, i, fr__cells_of(l->a, slot));
}

static void check_tasks(struct look *l)
{
	uint32_t cells = fr__cells(l->a), i;
	bool ring_good;

	memset(l->entered, 0, cells / 8 + 1);
	ring_good = check_taskring(l);
	for (i = 0; i < cells; i++)
		check_cell(l, i, ring_good);
	for (i = 0; i < l->a->geo.slots; i++)
		check_done(l, i);
}

/* ---- mailboxes ---- */

/* What is wrong with a mailbox once its next reader has finished what the last
 * began to free: with a copy of it. */
static const char *check_mended(const struct fr__ring *r, const char *wrong)
{
	size_t units = (size_t)(r->mask + 1) * FR__UNIT;
	struct fr__ring copy = *r;
	unsigned char *bytes = malloc(sizeof(*r->ctl) + units);

	if (!bytes)
		return wrong;
	memcpy(bytes, r->ctl, sizeof(*r->ctl));
	memcpy(bytes + sizeof(*r->ctl), r->units, units);
	copy.ctl = (void *)bytes;
	copy.units = bytes + sizeof(*r->ctl);
	fr__ring_mend(&copy);
	wrong = fr__ring_check(&copy);
	free(bytes);
	return wrong;
}

/* From a record at p to the next claim: its owner, and where to go on. False:
 * there is none. */
static bool next_claim(const struct fr__ring *r, uint64_t *p, uint64_t end,
		       unsigned *owner)
{
	while ((int64_t)(*p - end) < 0) {
		uint64_t tag = look(&fr__ring_at(r, *p)->tag) ^ r->secret;
		uint32_t units = tag >> 32 & 0x1ffff;

		if ((uint32_t)tag != (uint32_t)(*p >> r->shift) ||
		    tag >> 61 == 0 || tag >> 61 == 7 || units == 0)
			return false;
		*p += units;
		*owner = tag >> 49 & (FR__SLOTS_MAX - 1);
		if (tag >> 61 == 1)
			*p = end; /* the last: its owner may give some back */
		if (tag >> 61 <= 2)
			return true;
	}
	return false;
}

static void check_claims(struct look *l, unsigned i, const struct fr__ring *r)
{
	uint64_t p = look(&r->ctl->head), end = p + r->mask + 1;
	unsigned owner;

	while (next_claim(r, &p, end, &owner))
		if (!held(l, owner))
			fault(l, "mailbox of slot %u: up to %llu, a claim of %s",
			      i, (unsigned long long)p, NAME_SLOT(l, owner));
}

static void check_mailbox(struct look *l, unsigned i)
{
	const struct fr__ring *ring = fr__arena_ring(l->a, i);
	const char *wrong = fr__ring_check(ring);

	if (wrong && (l->dead[i] ||
		      fr__slot_state(l->states[i]) != FR__SLOT_JOINED))
		wrong = check_mended(ring, wrong);
	if (wrong)
		fault(l, "mailbox of slot %u: %s (head %llu, tail %llu)", i,
		      wrong, (unsigned long long)look(&ring->ctl->head),
		      (unsigned long long)look(&ring->ctl->tail));
	check_claims(l, i, ring);
}

/* ---- looks ---- */

static void look_at_all(struct look *l, struct faults *faults)
{
	unsigned i;

	l->faults = faults;
	faults->count = 0;
	take_states(l);
	check_header(l);
	check_slots(l);
	check_names(l);
	check_types(l);
	check_events(l);
	check_tasks(l);
	for (i = 0; i < l->a->geo.slots; i++)
		check_mailbox(l, i);
}

static void forget(struct faults *f)
{
	while (f->count > 0)
		free(f->lines[--f->count]);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Of the faults that were kept, keep those that are there now, too. */
static void keep_common(struct faults *kept, struct faults *now)
{
	unsigned n = 0, i;

	qsort(now->lines, now->count, sizeof(*now->lines), by_text);
	for (i = 0; i < kept->count; i++)
		if (bsearch(&kept->lines[i], now->lines, now->count,
			    sizeof(*now->lines), by_text))
			kept->lines[n++] = kept->lines[i];
		else
			free(kept->lines[i]);
	kept->count = n;
}

static int look_until_sure(struct look *l, struct faults *kept,
			   struct faults *now)
{
	struct timespec pause = {0, 1000000};
	unsigned i;

	look_at_all(l, kept);
	for (i = 0; kept->count > 0 && i < LOOKS_AGAIN; i++) {
		nanosleep(&pause, NULL);
		pause.tv_nsec *= 2;
		look_at_all(l, now);
		keep_common(kept, now);
		forget(now);
	}
	return kept->rc < 0 ? kept->rc : now->rc;
}

int fr_check(struct fr_arena *a, fr_check_fn *report, void *ctx)
{
	struct faults kept = {0}, now = {0};
	struct look l = {.a = a};
	unsigned i;
	int rc = -ENOMEM;

	l.states = calloc(a->geo.slots, sizeof(*l.states));
	l.dead = calloc(a->geo.slots, sizeof(*l.dead));
	l.named = calloc(a->geo.slots, sizeof(*l.named));
	l.entered = calloc(fr__cells(a) / 8 + 1, 1);
	kept.lines = calloc(FAULTS_MAX, sizeof(*kept.lines));
	now.lines = calloc(FAULTS_MAX, sizeof(*now.lines));
	if (l.states && l.dead && l.named && l.entered && kept.lines &&
	    now.lines)
		rc = look_until_sure(&l, &kept, &now);
	for (i = 0; rc == 0 && report && i < kept.count; i++)
		report(ctx, kept.lines[i]);
	rc = rc < 0 ? rc : (int)kept.count;
	forget(&kept);
	free(l.states);
	free(l.dead);
	free(l.named);
	free(l.entered);
	free(kept.lines);
	free(now.lines);
	return rc;
}
