/* SPDX-License-Identifier: MIT */
/*
 * Where to damage an arena, and how.
 *
 * A place is a word: in a part drawn by weight, mostly one that is in use just
 * now (state words, tags near head and tail). What is written there is random
 * bytes, a random word, or a plausible wrong value: another state, slot or
 * generation in a word of which the fields are known, one more or less, a power
 * of two off, a lap off, nothing, everything, a number that just misses the
 * arena's geometry, a word from elsewhere, two words swapped, an old value come
 * back. Sometimes a whole range: zeroes, ones, noise, a copy of another range;
 * or the head of a record or a cell of which all is plausible but the lengths.
 */
#include "fuzz.h"

#include "arena.h"

#include <stdlib.h>
#include <string.h>

struct field {
	unsigned char shift, width;
};

/* Words of which the fields are known (layout.h). */
enum format {
	PLAIN32,
	PLAIN64,
	POSITION, /* of a ring */
	SLOT_STATE,
	NAME_WORD,
	EVENT_WORD,
	CELL_STATE,
	TAG,
	TASK_WORD,
	FORMATS,
};

static const struct {
	struct field fields[5];
	unsigned count;
} formats[FORMATS] = {
	[SLOT_STATE] = {{{60, 4}, {32, 28}, {0, 32}}, 3},
	[NAME_WORD] = {{{48, 16}, {32, 16}, {0, 32}}, 3},
	[EVENT_WORD] = {{{24, 40}, {12, 12}, {11, 1}, {10, 1}, {0, 10}}, 5},
	[CELL_STATE] = {{{32, 32}, {24, 8}, {20, 4}, {8, 12}, {0, 8}}, 5},
	[TAG] = {{{61, 3}, {49, 12}, {32, 17}, {0, 32}}, 4},
	[TASK_WORD] = {{{63, 1}, {39, 24}, {23, 16}, {0, 23}}, 4},
};

enum part {
	HEADER,
	SLOTS,
	NAMES,
	TYPES,
	BITS,
	DONE_BITS,
	TASK_CTL,
	TASK_WORDS,
	EVENT_ARRAY,
	CELLS,
	MAIL_CTL,
	MAIL_UNITS,
	ANYWHERE,
	PARTS,
};

static const struct {
	const char *name;
	unsigned weight;
} parts[PARTS] = {
	[HEADER] = {"header", 6},
	[SLOTS] = {"slots", 18},
	[NAMES] = {"names", 6},
	[TYPES] = {"types", 4},
	[BITS] = {"idle, naps, awake, joined", 4},
	[DONE_BITS] = {"done", 5},
	[TASK_CTL] = {"task ring ctl", 6},
	[TASK_WORDS] = {"task ring", 10},
	[EVENT_ARRAY] = {"events", 8},
	[CELLS] = {"cells", 15},
	[MAIL_CTL] = {"mailbox ctl", 8},
	[MAIL_UNITS] = {"mailbox units", 16},
	[ANYWHERE] = {"anywhere", 3},
};

static uint64_t told[PARTS];

struct harm {
	const struct fr_arena *a;
	/* A word that was seen, to come back later. */
	size_t old_offset;
	uint64_t old_value;
};

struct place {
	size_t offset;
	unsigned bytes; /* 4 or 8 */
	enum format format;
	uint64_t secret; /* XORed over it */
};

struct harm *harm_open(struct fr_arena *arena)
{
	struct harm *h = calloc(1, sizeof(*h));

	if (h)
		h->a = arena;
	return h;
}

void harm_close(struct harm *h)
{
	free(h);
}

void harm_tell(FILE *out)
{
	unsigned i;

	fprintf(out, "damages:");
	for (i = 0; i < PARTS; i++)
		fprintf(out, " %s %llu%s", parts[i].name,
			(unsigned long long)told[i],
			i + 1 < PARTS ? "," : "\n");
}

/* ---- words ---- */

static uint64_t get(const struct harm *h, size_t offset, unsigned bytes)
{
	unsigned char *at = h->a->base + offset;

	return bytes == 4 ? __atomic_load_n((uint32_t *)(void *)at,
					    __ATOMIC_RELAXED)
			  : __atomic_load_n((uint64_t *)(void *)at,
					    __ATOMIC_RELAXED);
}

static void put(const struct harm *h, size_t offset, unsigned bytes,
		uint64_t value)
{
	unsigned char *at = h->a->base + offset;

	if (bytes == 4)
		__atomic_store_n((uint32_t *)(void *)at, (uint32_t)value,
				 __ATOMIC_RELAXED);
	else
		__atomic_store_n((uint64_t *)(void *)at, value,
				 __ATOMIC_RELAXED);
}

static size_t offset_of(const struct harm *h, const void *at)
{
	return (size_t)((const unsigned char *)at - h->a->base);
}

/* ---- places ---- */

/* An aligned word of 8, sometimes of 4, somewhere in [from, from + bytes). */
static struct place somewhere(struct dice *d, size_t from, size_t bytes)
{
	struct place p = {.bytes = one_in(d, 4) ? 4 : 8};

	p.offset = from + pick(d, (uint32_t)(bytes / p.bytes)) * p.bytes;
	p.format = p.bytes == 4 ? PLAIN32 : PLAIN64;
	return p;
}

static struct place word_at(size_t offset, unsigned bytes, enum format format)
{
	return (struct place){offset, bytes, format};
}

static struct place in_header(const struct harm *h, struct dice *d)
{
	static const struct place words[] = {
		{offsetof(struct fr__header, names_version), 8, PLAIN64},
		{offsetof(struct fr__header, events_used), 4, PLAIN32},
		{offsetof(struct fr__header, names_probe), 4, PLAIN32},
		{offsetof(struct fr__header, waking), 4, PLAIN32},
		{offsetof(struct fr__header, lazy), 4, PLAIN32},
	};

	(void)h;
	if (one_in(d, 3))
		return somewhere(d, 0, 512);
	return words[pick(d, sizeof(words) / sizeof(*words))];
}

static unsigned some_slot(const struct harm *h, struct dice *d)
{
	uint32_t few = h->a->geo.slots < 6 ? h->a->geo.slots : 6;

	return one_in(d, 8) ? pick(d, h->a->geo.slots) : pick(d, few);
}

static struct place in_slot(const struct harm *h, struct dice *d)
{
	size_t at = offset_of(h, &h->a->slots[some_slot(h, d)]);

	switch (pick(d, 6)) {
	case 0:
	case 1:
		return word_at(at + offsetof(struct fr__slot, state), 8,
			       SLOT_STATE);
	case 2:
		return word_at(at + offsetof(struct fr__slot, waiting), 4,
			       PLAIN32);
	case 3:
		return word_at(at + offsetof(struct fr__slot, taking), 8,
			       TASK_WORD);
	default:
		return somewhere(d, at, sizeof(struct fr__slot));
	}
}

/* A word of the ring at a position near its head or its tail. */
static uint64_t near(const struct harm *h, struct dice *d, size_t head,
		     size_t tail)
{
	uint64_t at = get(h, one_in(d, 2) ? head : tail, 8);

	return one_in(d, 6) ? roll(d) : at + pick(d, 9) - 4;
}

static struct place in_tasks(const struct harm *h, struct dice *d)
{
	const struct fr__taskring *r = &h->a->tasks;
	uint64_t i = near(h, d, offset_of(h, &r->ctl->head),
			  offset_of(h, &r->ctl->tail)) &
		     r->mask;

	struct place p = word_at(offset_of(h, &r->words[i]), 8, TASK_WORD);

	p.secret = r->secret;
	return p;
}

static struct place in_event(const struct harm *h, struct dice *d)
{
	size_t at = offset_of(h, &h->a->events[pick(d, h->a->geo.events)]);

	if (one_in(d, 3))
		return somewhere(d, at, sizeof(struct fr__event));
	return word_at(at, 8, EVENT_WORD);
}

static struct place in_cell(const struct harm *h, struct dice *d)
{
	uint32_t cells =
		h->a->geo.main_cells + (h->a->geo.slots - 1) * h->a->geo.cells;
	uint32_t few = cells < 24 ? cells : 24;
	uint32_t i = one_in(d, 6) ? pick(d, cells) : pick(d, few);
	size_t at = offset_of(h, h->a->cells) + i * h->a->cell_bytes;

	switch (pick(d, 5)) {
	case 0:
	case 1:
		return word_at(at + offsetof(struct fr__cell, state), 8,
			       CELL_STATE);
	case 2:
		return somewhere(d, at, h->a->cell_bytes);
	default:
		return somewhere(d, at, sizeof(struct fr__cell));
	}
}

static struct place in_ctl(struct dice *d, size_t at, size_t head, size_t room,
			   size_t bytes)
{
	switch (pick(d, 6)) {
	case 0:
		return word_at(at + room, 4, PLAIN32);
	case 1:
		return somewhere(d, at, bytes);
	case 2:
	case 3:
		return word_at(at + head, 8, POSITION);
	default:
		return word_at(at, 8, POSITION);
	}
}

static struct place in_units(const struct harm *h, struct dice *d,
			     const struct fr__ring *r)
{
	size_t ctl = offset_of(h, r->ctl);
	struct place p;
	uint64_t units = h->a->geo.mailbox_units;
	uint64_t i =
		near(h, d, ctl + offsetof(struct fr__ring_ctl, head), ctl) &
		(units - 1);
	size_t at = ctl + sizeof(struct fr__ring_ctl) + i * FR__UNIT;

	switch (pick(d, 8)) {
	case 0:
		return word_at(at + offsetof(struct fr__record, len), 4,
			       PLAIN32);
	case 1:
		return somewhere(d, at, sizeof(struct fr__record));
	case 2:
		return somewhere(d, at, FR__UNIT);
	default:
		p = word_at(at, 8, TAG);
		p.secret = r->secret;
		return p;
	}
}

static size_t some_mailbox(const struct harm *h, struct dice *d)
{
	return offset_of(h, fr__arena_ring(h->a, some_slot(h, d))->ctl);
}

static struct place place_in(const struct harm *h, struct dice *d,
			     enum part part)
{
	const struct fr_arena *a = h->a;
	size_t at;

	switch (part) {
	case HEADER:
		return in_header(h, d);
	case SLOTS:
		return in_slot(h, d);
	case NAMES:
		return word_at(offset_of(h, &a->names[pick(d, a->geo.names)]),
			       8, NAME_WORD);
	case TYPES:
		return somewhere(d, offset_of(h, a->types),
				 a->geo.types * sizeof(*a->types));
	case BITS:
		at = offset_of(h, one_in(d, 3)   ? a->idle
				  : one_in(d, 3) ? a->naps
				  : one_in(d, 2) ? a->awake
						 : a->joined);
		return word_at(at, 8, PLAIN64);
	case DONE_BITS:
		at = offset_of(h, fr__done(a, some_slot(h, d)));
		return word_at(at, 8, PLAIN64);
	case TASK_CTL:
		return in_ctl(d, offset_of(h, a->tasks.ctl),
			      offsetof(struct fr__taskring_ctl, head), 8,
			      sizeof(struct fr__taskring_ctl));
	case TASK_WORDS:
		return in_tasks(h, d);
	case EVENT_ARRAY:
		return in_event(h, d);
	case CELLS:
		return in_cell(h, d);
	case MAIL_CTL:
		return in_ctl(d, some_mailbox(h, d),
			      offsetof(struct fr__ring_ctl, head),
			      offsetof(struct fr__ring_ctl, room),
			      sizeof(struct fr__ring_ctl));
	case MAIL_UNITS:
		return in_units(h, d, fr__arena_ring(h->a, some_slot(h, d)));
	default:
		return somewhere(d, 0, a->bytes);
	}
}

static enum part some_part(struct dice *d)
{
	unsigned all = 0, i;
	uint32_t at;

	for (i = 0; i < PARTS; i++)
		all += parts[i].weight;
	at = pick(d, all);
	for (i = 0; at >= parts[i].weight; i++)
		at -= parts[i].weight;
	return (enum part)i;
}

/* ---- values ---- */

static uint64_t some_limit(const struct harm *h, struct dice *d)
{
	const struct fr__geometry *g = &h->a->geo;
	const uint64_t limits[] = {
		g->slots,   g->main_cells, g->cells,	g->mailbox_units,
		g->events,  g->types,	   g->names,	g->task_words,
		g->arg_max, g->result_max, h->a->bytes, FR__SLOTS_MAX,
		1u << 12,   1u << 17,	   1u << 24,	g->mailbox_units * 64,
	};

	return limits[pick(d, sizeof(limits) / sizeof(*limits))] + pick(d, 3) -
	       1;
}

/* One of the fields of a word changed. */
static uint64_t other_field(const struct harm *h, struct dice *d,
			    enum format format, uint64_t secret, uint64_t before)
{
	struct field f = formats[format].fields[pick(d, formats[format].count)];
	uint64_t mask = ((UINT64_C(1) << f.width) - 1) << f.shift;
	uint64_t plain = before ^ secret, value = (plain & mask) >> f.shift;

	switch (pick(d, 5)) {
	case 0:
		value = roll(d);
		break;
	case 1:
		value = pick(d, 2 * h->a->geo.slots);
		break;
	case 2:
		value = some_limit(h, d);
		break;
	default:
		value += one_in(d, 2) ? 1 : UINT64_MAX;
	}
	return ((plain & ~mask) | (value << f.shift & mask)) ^ secret;
}

/* A plausible wrong value for what stands there. */
static uint64_t plausible(const struct harm *h, struct dice *d,
			  const struct place *p, uint64_t before,
			  const char **how)
{
	enum format format = p->format;
	uint64_t off = UINT64_C(1) << pick(d, 64);

	if (formats[format].count && !one_in(d, 4)) {
		*how = "another field";
		return other_field(h, d, format, p->secret, before);
	}
	if (format == POSITION && !one_in(d, 3)) {
		*how = "a lap off";
		off = one_in(d, 2) ? h->a->geo.mailbox_units
				   : h->a->tasks.mask + 1;
		off *= one_in(d, 4) ? 1 + pick(d, 1000) : 1;
		return one_in(d, 2) ? before + off : before - off;
	}
	switch (pick(d, 5)) {
	case 0:
		*how = "one off";
		return one_in(d, 2) ? before + 1 : before - 1;
	case 1:
		*how = "a power of two off";
		return one_in(d, 2) ? before + off : before - off;
	case 2:
		*how = "a bit flipped";
		return before ^ off;
	case 3:
		*how = "near a limit";
		return some_limit(h, d);
	default:
		*how = "small or huge";
		off = pick(d, 4);
		return off == 0	  ? 0
		       : off == 1 ? UINT64_MAX
		       : off == 2 ? pick(d, 8)
				  : UINT64_C(0x7fffffff7fffffff);
	}
}

/* A range, not a word. */
static void harm_range(const struct harm *h, struct dice *d, struct damage *to)
{
	static const unsigned sizes[] = {16, 64, 64, 256, 4096};
	unsigned bytes = sizes[pick(d, 5)], i, kind = pick(d, 4);
	size_t at = to->offset & ~(size_t)7, from;

	if (bytes > h->a->bytes - at)
		bytes = (unsigned)(h->a->bytes - at);
	from = pick(d, (uint32_t)((h->a->bytes - bytes) / 8)) * (size_t)8;
	to->offset = at;
	to->bytes = bytes;
	to->before = get(h, at, 8);
	to->how = kind == 0   ? "zeroes"
		  : kind == 1 ? "ones"
		  : kind == 2 ? "noise"
			      : "a range from elsewhere";
	for (i = 0; i + 8 <= bytes; i += 8)
		put(h, at + i, 8,
		    kind == 0	? 0
		    : kind == 1 ? UINT64_MAX
		    : kind == 2 ? roll(d)
				: get(h, from + i, 8));
}

/* Some bytes, anywhere, not aligned. */
static void harm_bytes(const struct harm *h, struct dice *d, struct damage *to)
{
	unsigned i;

	to->how = "random bytes";
	to->offset += pick(d, 8);
	to->bytes = 1 + pick(d, 8);
	if (to->offset + to->bytes > h->a->bytes)
		to->offset = h->a->bytes - to->bytes;
	to->before = get(h, to->offset & ~(size_t)7, 8);
	for (i = 0; i < to->bytes; i++)
		h->a->base[to->offset + i] = (unsigned char)roll(d);
}

static void harm_word(struct harm *h, struct dice *d, enum part part,
		      struct damage *to)
{
	struct place place = place_in(h, d, part), *p = &place;
	struct place other = place_in(h, d, one_in(d, 2) ? some_part(d) : part);
	uint64_t now = get(h, p->offset, p->bytes), value;

	to->offset = p->offset;
	to->bytes = p->bytes;
	switch (pick(d, 10)) {
	case 0:
		to->how = "a random word";
		value = roll(d);
		break;
	case 1:
		to->how = "a word from elsewhere";
		value = get(h, other.offset, other.bytes);
		break;
	case 2:
		to->how = "two words swapped";
		if (other.bytes > p->bytes)
			other.bytes = p->bytes;
		value = get(h, other.offset, other.bytes);
		put(h, other.offset, other.bytes, now);
		break;
	case 3:
		to->how = "an old value";
		value = h->old_value;
		if (h->old_offset) { /* where it was */
			to->offset = h->old_offset;
			to->bytes = 8;
		}
		h->old_offset = p->bytes == 8 ? p->offset : 0;
		h->old_value = now;
		break;
	default:
		value = plausible(h, d, p, now, &to->how);
	}
	to->before = get(h, to->offset & ~(size_t)7, 8);
	put(h, to->offset, to->bytes, value);
}

/* A whole record's head, as from a producer that is out of its mind: units and
 * length that go together, and lead out of the ring. */
static void harm_record(const struct harm *h, struct dice *d, struct damage *to)
{
	unsigned slot = some_slot(h, d);
	const struct fr__ring *r = fr__arena_ring(h->a, slot);
	size_t ctl = offset_of(h, r->ctl);
	uint64_t units = h->a->geo.mailbox_units;
	uint64_t at = get(h, ctl + offsetof(struct fr__ring_ctl, head), 8) +
		      pick(d, 6);
	uint64_t lap = at / units, room = units - at % units;
	uint64_t n = one_in(d, 2) ? room + pick(d, 3) : 1 + pick(d, 1 << 17);
	uint64_t len = n * FR__UNIT - pick(d, 64);
	uint64_t state = 1 + pick(d, 6), owner = some_slot(h, d);

	to->how = "a record of wrong length";
	to->bytes = sizeof(struct fr__record);
	to->offset = ctl + sizeof(struct fr__ring_ctl) + at % units * FR__UNIT;
	to->before = get(h, to->offset, 8);
	put(h, to->offset + offsetof(struct fr__record, len), 4, len);
	put(h, to->offset + offsetof(struct fr__record, to_generation), 4,
	    get(h, offset_of(h, &h->a->slots[slot].state), 8));
	put(h, to->offset, 8,
	    (state << 61 | owner << 49 | n << 32 | (uint32_t)lap) ^
		    r->secret);
}

/* A cell in another state, with lengths beyond its room. */
static void harm_cell(const struct harm *h, struct dice *d, struct damage *to)
{
	uint64_t state = 1 + pick(d, 5), owner = some_slot(h, d), word;
	uint32_t cells = fr__cells(h->a);
	uint32_t i = pick(d, cells < 24 ? cells : 24);

	to->how = "a cell of wrong length";
	to->bytes = sizeof(struct fr__cell);
	to->offset = offset_of(h, h->a->cells) + i * h->a->cell_bytes;
	to->before = word = get(h, to->offset, 8);
	put(h, to->offset + offsetof(struct fr__cell, arg_len), 4, roll(d));
	put(h, to->offset + offsetof(struct fr__cell, result_len), 4, roll(d));
	if (one_in(d, 2))
		put(h, to->offset, 8,
		    (word & ~UINT64_C(0xffffff)) | state << 20 | owner << 8 |
			    pick(d, 8));
}

void harm_once(struct harm *h, struct dice *d, struct damage *ret)
{
	enum part part = some_part(d);
	unsigned kind = pick(d, 12);

	told[part]++;
	*ret = (struct damage){
		.part = parts[part].name,
		.offset = place_in(h, d, part).offset,
	};
	if (kind == 0)
		harm_range(h, d, ret);
	else if (kind == 1)
		harm_bytes(h, d, ret);
	else if (kind == 2 && (part == MAIL_UNITS || part == MAIL_CTL))
		harm_record(h, d, ret);
	else if (kind == 2 && part == CELLS)
		harm_cell(h, d, ret);
	else
		harm_word(h, d, part, ret);
	ret->after = get(h, ret->offset & ~(size_t)7, 8);
}
