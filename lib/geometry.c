/* SPDX-License-Identifier: MIT */
/*
 * The geometry of an arena: from its options, its bounds, what follows from it,
 * and the header that says it.
 */
#include "arena.h"

#include <errno.h>
#include <string.h>

#define PAGE 4096u
#define WORDS_PER_SLOT 4 /* of the name index: at most a quarter full */

static size_t pages(size_t bytes)
{
	return (bytes + PAGE - 1) / PAGE * PAGE;
}

static uint32_t power_of_two(uint64_t n)
{
	uint32_t p = 1;

	while (p < n)
		p *= 2;
	return p;
}

static uint64_t all_cells(const struct fr__geometry *g)
{
	return g->main_cells + (uint64_t)(g->slots - 1) * g->cells;
}

/* Geometry in its bounds? Whatever passes gives sizes that fit 64 bits. */
static bool geometry_valid(const struct fr__geometry *g)
{
	return g->slots >= 1 && g->slots <= FR__SLOTS_MAX &&
	       g->cells >= 1 && g->cells <= 4096 && g->main_cells >= 1 &&
	       g->main_cells <= 4096 && all_cells(g) <= 1u << FR__CELL_BITS &&
	       g->mailbox_units >= 64 && g->mailbox_units <= 1u << 17 &&
	       (g->mailbox_units & (g->mailbox_units - 1)) == 0 &&
	       g->events >= 1 && g->events <= 65536 && g->types >= 16 &&
	       g->types <= 65536 && (g->types & (g->types - 1)) == 0 &&
	       g->names == power_of_two(g->slots * WORDS_PER_SLOT) &&
	       g->task_words == power_of_two(all_cells(g) * 2) &&
	       g->arg_max <= 1u << 20 && g->arg_max % 8 == 0 &&
	       g->result_max <= 1u << 20 && g->result_max % 8 == 0;
}

/* Bytes of a bit per slot, in lines of their own. */
static size_t slot_bits(const struct fr__geometry *g)
{
	return (g->slots + 511) / 512 * FR__LINE;
}

struct fr__layout fr__layout_of(const struct fr__geometry *g)
{
	struct fr__layout l;

	l.slot_bits = slot_bits(g);
	l.cell_bytes = fr__whole_lines(fr__cell_result_at(g, g->arg_max) +
				       g->result_max);
	l.done_stride = ((g->cells > g->main_cells ? g->cells : g->main_cells) +
			 511) / 512 * 8; /* whole lines */
	l.mailbox_stride = sizeof(struct fr__ring_ctl) +
			   (size_t)g->mailbox_units * FR__UNIT;
	l.slots = sizeof(struct fr__header);
	l.names = l.slots + pages(g->slots * sizeof(struct fr__slot));
	l.types = l.names + pages(g->names * sizeof(struct fr__a64));
	l.idle = l.types + pages(g->types * sizeof(struct fr__type_entry));
	l.done = l.idle + pages(4 * l.slot_bits);
	l.taskring = l.done + pages(g->slots * l.done_stride *
				    sizeof(struct fr__a64));
	l.events = l.taskring + pages(sizeof(struct fr__taskring_ctl) +
				      g->task_words * sizeof(struct fr__a64));
	l.cells = l.events + pages(g->events * sizeof(struct fr__event));
	l.mailboxes = l.cells + pages(all_cells(g) * l.cell_bytes);
	l.bytes = l.mailboxes + pages(g->slots * l.mailbox_stride);
	return l;
}

/* What two builds must agree on to share an arena, besides its geometry. */
static uint64_t fingerprint(void)
{
	const uint32_t sizes[] = {
		FR__LAYOUT_VERSION,
		0x01020304, /* byte order */
		sizeof(struct fr__header),
		sizeof(struct fr__slot),
		sizeof(struct fr__type_entry),
		sizeof(struct fr__event),
		sizeof(struct fr__cell),
		sizeof(struct fr__ring_ctl),
		sizeof(struct fr__record),
		sizeof(struct fr__taskring_ctl),
		FR__UNIT,
		FR__NAME_BYTES,
		PAGE,
	};

	return fr__hash(sizes, sizeof(sizes));
}

static uint64_t checksum(const struct fr__header *h)
{
	return fr__hash(&h->geo, sizeof(h->geo)) ^
	       (h->bytes * 31 + h->secret) ^ h->start_position;
}

int fr__geometry_from(const struct fr_arena_opts *o, struct fr__geometry *g)
{
	uint64_t arg = o->arg_max ? o->arg_max : 1024;
	uint64_t result = o->result_max ? o->result_max : 1024;
	uint64_t mailbox = o->mailbox_bytes ? o->mailbox_bytes : 256 * 1024;

	if (arg > 1u << 20 ||
	    result > 1u << 20 || mailbox > 8u << 20 || mailbox % FR__UNIT ||
	    o->mode > 0777)
		return -EINVAL;
	memset(g, 0, sizeof(*g));
	g->slots = o->slots ? o->slots : 64;
	g->cells = o->cells ? o->cells : 64;
	g->main_cells = o->main_cells ? o->main_cells : g->cells;
	if (g->slots > FR__SLOTS_MAX)
		return -EINVAL;
	g->mailbox_units = (uint32_t)(mailbox / FR__UNIT);
	g->events = o->events ? o->events : 256;
	g->types = o->types ? o->types : 256;
	g->arg_max = (uint32_t)(arg + 7) / 8 * 8;
	g->result_max = (uint32_t)(result + 7) / 8 * 8;
	g->names = power_of_two(g->slots * WORDS_PER_SLOT);
	if (all_cells(g) > 1u << FR__CELL_BITS)
		return -EINVAL;
	g->task_words = power_of_two(all_cells(g) * 2);
	return geometry_valid(g) ? 0 : -EINVAL;
}

void fr__header_init(struct fr__header *h, const struct fr__geometry *g,
		     uint64_t secret, uint64_t start)
{
	h->magic = FR__MAGIC;
	h->fingerprint = fingerprint();
	h->bytes = fr__layout_of(g).bytes;
	h->geo = *g;
	h->secret = secret;
	h->start_position = start;
	h->checksum = checksum(h);
}

int fr__header_check(const struct fr__header *h, off_t file_size)
{
	if (h->magic != FR__MAGIC || h->fingerprint != fingerprint())
		return -EPROTO;
	if (h->checksum != checksum(h) || !geometry_valid(&h->geo) ||
	    h->bytes != fr__layout_of(&h->geo).bytes || file_size < 0 ||
	    (uint64_t)file_size < h->bytes)
		return -EBADMSG;
	return 0;
}
