/* SPDX-License-Identifier: MIT */
/*
 * Message types: names interned in the arena to small numbers.
 *
 * A type *is* the 64-bit hash of its name (two names of the same hash would be
 * one type; at 65,536 types the odds are one in eight thousand million). It is
 * made by one CAS of the hash into the first empty entry from hash mod N on; its
 * number is that place + 1. Its text is for people: everyone who interns a name
 * writes the same words into the entry, so a text that its maker never finished
 * is finished by the next. The parent is set by one CAS, once. Nothing here is
 * ever half made, nobody waits, and entries are never removed.
 *
 * A death leaves: a type without its text, until somebody interns it again.
 */
#include "type.h"

#include <string.h>

#define EXIT_NAME "fr.exit"

static int find_or_make(const struct fr_arena *a, uint64_t hash, uint32_t *ret)
{
	uint32_t mask = a->geo.types - 1, i;

	hash = hash ? hash : 1;
	for (i = 0; i <= mask; i++) {
		uint32_t at = (uint32_t)(hash + i) & mask;
		uint64_t seen = 0;

		/* Number 1 is the exit type's, wherever its hash leads. */
		if (at == 0)
			continue;
		/* [TYPE-1] acq_rel: whoever sees the hash may write its text
		 * too; nothing else hangs on it. Pairs with [TYPE-1]. Without
		 * it: nothing; relaxed would do. */
		if (fr__cas_acq_rel(&a->types[at].hash, &seen, hash) ||
		    seen == hash) {
			*ret = at + 1;
			return 0;
		}
	}
	return -ENOSPC;
}

bool fr__type_valid(const struct fr_arena *a, struct fr_type type)
{
	if (type.id <= 1)
		return type.id == 1;
	/* [TYPE-2] relaxed: set once; who has the number got it by this CAS or
	 * by a message that happened later. */
	return type.id <= a->geo.types &&
	       fr__load_relaxed(&a->types[type.id - 1].hash) != 0;
}

int fr_type_intern(struct fr_process *p, const char *name, struct fr_type parent,
	    struct fr_type *ret)
{
	struct fr_arena *a = p->arena;
	struct fr_type type;
	uint32_t has = 0;
	int rc = fr__own(p);

	if (rc == 0)
		rc = fr__name_check(name);
	if (rc == 0 && parent.id != 0 && !fr__type_valid(a, parent))
		rc = -EINVAL;
	if (rc < 0)
		return rc;
	if (strcmp(name, EXIT_NAME) == 0) {
		if (parent.id)
			return -EEXIST;
		*ret = FR_TYPE_EXIT;
		return 0;
	}
	rc = find_or_make(a, fr__hash(name, strlen(name)), &type.id);
	if (rc < 0)
		return rc;
	fr__name_store(a->types[type.id - 1].text, name);
	if (parent.id == type.id)
		return -EINVAL; /* its own parent */
	/* [TYPE-3] relaxed: the number is all that is said. */
	if (parent.id &&
	    !fr__cas_relaxed(&a->types[type.id - 1].parent, &has, parent.id) &&
	    has != parent.id)
		return -EEXIST;
	*ret = type;
	return 0;
}

int fr_type_name(struct fr_process *p, struct fr_type type, char *name)
{
	int rc = fr__own(p);

	if (rc < 0)
		return rc;
	if (!fr__type_valid(p->arena, type))
		return -ENOENT;
	if (type.id == 1)
		strcpy(name, EXIT_NAME);
	else
		fr__name_load(p->arena->types[type.id - 1].text, name);
	return 0;
}

struct fr_type fr__type_parent(const struct fr_arena *a, struct fr_type type)
{
	struct fr_type none = {0};

	if (type.id <= 1 || !fr__type_valid(a, type))
		return none;
	/* as [TYPE-3] */
	none.id = fr__load_relaxed(&a->types[type.id - 1].parent);
	return none;
}
