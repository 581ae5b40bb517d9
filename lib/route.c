/* SPDX-License-Identifier: MIT */
/*
 * Routes: from a name to the addresses that carry it.
 *
 * In the arena: an index of words, hash (16 bits) | slot (16) | generation (32),
 * 0 is empty. A word is entered by one CAS into the first empty place from
 * hash mod N on and removed by one CAS; so nothing is ever half written, and the
 * word itself says whose it is. A look-up walks from hash mod N over as many
 * words as the longest probe that was ever made (names_probe, raised *before*
 * the word is entered), and believes a word only if its slot is joined in that
 * generation and carries the name. With four words a slot, probes are short; no
 * tombstones are needed.
 *
 * In the process: a cache of look-ups, liburcu's lock-free hash table, good as
 * long as names_version stays. Readers are RCU read sides; who finds an entry
 * stale looks up anew and replaces it. Replaced entries are freed after a grace
 * period, a batch at a time.
 *
 *		find	replace
 *	find	beside	beside
 *	replace	beside	mutex
 *
 * A death leaves: names_probe too high (harmless); a word of a slot that is not
 * joined in its generation (ignored by look-ups, removed by recovery).
 */
#define URCU_INLINE_SMALL_FUNCTIONS
#include "process.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/urcu-bp.h>
/* after the flavour */
#include <urcu/rculfhash.h>

#define RETIRED_MAX 64
#define ENTRIES_MAX 1024 /* then the cache starts anew */
#define WORD_SLOT(word) ((unsigned)((word) >> 32 & 0xffff))

struct route {
	struct cds_lfht_node node;
	uint64_t version; /* of the names when it was found */
	unsigned count;
	char name[FR__NAME_BYTES];
	struct fr_addr addrs[];
};

struct fr__routes {
	struct cds_lfht *table;
	pthread_mutex_t mutex; /* replacing, and what is retired */
	struct route *retired[RETIRED_MAX];
	unsigned retired_count;
	unsigned entries;
};

/* ---- texts as words ---- */

void fr__text_store(struct fr__a64 *words, const char *text, size_t bytes)
{
	size_t len = strnlen(text, bytes - 1), i;

	for (i = 0; i < bytes; i += 8) {
		uint64_t w = 0;

		if (i < len)
			memcpy(&w, text + i, len - i < 8 ? len - i : 8);
		/* [ROUTE-1] relaxed: published by the slot's state or the
		 * type's count. */
		fr__store_relaxed(&words[i / 8], w);
	}
}

void fr__text_load(const struct fr__a64 *words, char *text, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i += 8) {
		/* as [ROUTE-1], and the reader looks at the state again */
		uint64_t w = fr__load_relaxed(&words[i / 8]);

		memcpy(text + i, &w, 8);
	}
	text[bytes - 1] = '\0';
	/* [ROUTE-9] seq_cst: text -> the state looked at again. Pairs with
	 * [PROCESS-2]. Without it: the next holder's name is taken for that of
	 * the one that was looked for. */
	fr__fence_sc();
}

/* ---- the index in the arena ---- */

static uint64_t word_of(uint64_t hash, unsigned slot, uint32_t generation)
{
	return (hash >> 48) << 48 | (uint64_t)slot << 32 | generation;
}

void fr__routes_changed(const struct fr_arena *a)
{
	/* [ROUTE-2] seq_cst: index word -> version -> the look for who waits
	 * for a name. Pairs with [ROUTE-3]. Without it: a cached route stays
	 * good after a change. */
	fr__add_sc(&a->header->names_version, 1);
	fr__wake_all(a, FR__MARK_NAME);
}

int fr__route_add(const struct fr_arena *a, const char *name, unsigned slot,
		  uint32_t generation)
{
	uint64_t hash = fr__hash(name, strlen(name));
	uint32_t mask = a->geo.names - 1, i, probe;

	for (i = 0; i <= mask; i++) {
		struct fr__a64 *at = &a->names[(hash + i) & mask];
		uint64_t seen = 0;

		/* [ROUTE-4] relaxed: a look; the CAS decides. */
		if (fr__load_relaxed(at) != 0)
			continue;
		/* [ROUTE-5] acquire: longest probe, read before words are.
		 * Pairs with [ROUTE-6]. Without it: a name just entered is not
		 * found, until the next look. */
		probe = fr__load_acquire(&a->header->names_probe);
		while (probe < i)
			/* [ROUTE-6] acq_rel: probe raised -> word entered.
			 * Pairs with [ROUTE-5]. Without it: see there. */
			if (fr__cas_acq_rel(&a->header->names_probe, &probe, i))
				break;
		/* [ROUTE-7] acq_rel: the slot is set up -> the word. Pairs
		 * with [ROUTE-8]. Without it: the slot's old name is read, and
		 * the holder is missed. */
		if (fr__cas_acq_rel(at, &seen,
				    word_of(hash, slot, generation))) {
			fr__routes_changed(a);
			return 0;
		}
	}
	return -ENOSPC;
}

void fr__route_remove(const struct fr_arena *a, unsigned slot,
		      uint32_t generation)
{
	uint32_t i;

	for (i = 0; i < a->geo.names; i++) {
		/* as [ROUTE-4] */
		uint64_t seen = fr__load_relaxed(&a->names[i]);

		if (seen == 0 || WORD_SLOT(seen) != slot ||
		    (uint32_t)seen != generation)
			continue;
		/* as [ROUTE-7] */
		fr__cas_acq_rel(&a->names[i], &seen, 0);
		fr__routes_changed(a);
		return;
	}
}

static bool carries(const struct fr_arena *a, struct fr_addr addr,
		    const char *name)
{
	char text[FR__NAME_BYTES];
	struct fr__slot *s = fr__slot_of(a, addr);

	if (!s)
		return false;
	fr__name_load(s->name, text);
	return strcmp(text, name) == 0 && fr__slot_of(a, addr) == s;
}

static unsigned find_in_arena(const struct fr_arena *a, const char *name,
			      uint64_t hash, struct fr_addr *addrs,
			      unsigned max)
{
	/* as [ROUTE-5] */
	uint32_t probe = fr__load_acquire(&a->header->names_probe), i;
	uint32_t mask = a->geo.names - 1;
	unsigned count = 0;

	for (i = 0; i <= probe && i <= mask; i++) {
		/* [ROUTE-8] acquire: word -> its slot. Pairs with [ROUTE-7].
		 * Without it: see there. */
		uint64_t word = fr__load_acquire(&a->names[(hash + i) & mask]);
		struct fr_addr addr = fr__addr(WORD_SLOT(word), (uint32_t)word);

		if (word == 0 || word >> 48 != hash >> 48 ||
		    !carries(a, addr, name))
			continue;
		if (count < max)
			addrs[count] = addr;
		count++;
	}
	return count;
}

/* ---- the cache in the process ---- */

static int match(struct cds_lfht_node *node, const void *key)
{
	return strcmp(caa_container_of(node, struct route, node)->name, key) ==
	       0;
}

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* liburcu's bulletproof flavour keeps its list of threads right over a fork
 * with these. */
static void watch_forks(void)
{
	pthread_atfork(urcu_bp_before_fork, urcu_bp_after_fork_parent,
		       urcu_bp_after_fork_child);
}

int fr__routes_init(struct fr_process *p)
{
	struct fr__routes *r = calloc(1, sizeof(*r));

	pthread_once(&fork_once, watch_forks);
	if (!r)
		return -ENOMEM;
	r->table = cds_lfht_new_flavor(64, 64, 64, 0, &urcu_bp_flavor, NULL);
	if (!r->table) {
		free(r);
		return -ENOMEM;
	}
	pthread_mutex_init(&r->mutex, NULL);
	p->routes = r;
	return 0;
}

static void free_retired(struct fr__routes *r)
{
	urcu_bp_synchronize_rcu();
	while (r->retired_count > 0)
		free(r->retired[--r->retired_count]);
}

static void retire(struct fr__routes *r, struct route *e)
{
	r->retired[r->retired_count++] = e;
	if (r->retired_count == RETIRED_MAX)
		free_retired(r);
}

/* Take every entry out; under the mutex, or with the last reader gone. */
static void flush(struct fr__routes *r)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;

	for (;;) {
		urcu_bp_read_lock();
		cds_lfht_first(r->table, &iter);
		node = cds_lfht_iter_get_node(&iter);
		if (node)
			cds_lfht_del(r->table, node);
		urcu_bp_read_unlock();
		if (!node)
			break;
		retire(r, caa_container_of(node, struct route, node));
	}
	r->entries = 0;
}

void fr__routes_free(struct fr_process *p)
{
	struct fr__routes *r = p->routes;

	flush(r);
	free_retired(r);
	cds_lfht_destroy(r->table, NULL);
	pthread_mutex_destroy(&r->mutex);
	free(r);
	p->routes = NULL;
}

/* From the cache: the count, or -1 it is not there or stale. */
static int find_cached(struct fr__routes *r, uint64_t hash, const char *name,
		       uint64_t version, struct fr_addr *addrs, unsigned max)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;
	int count = -1;

	urcu_bp_read_lock();
	cds_lfht_lookup(r->table, hash, match, name, &iter);
	node = cds_lfht_iter_get_node(&iter);
	if (node) {
		struct route *e = caa_container_of(node, struct route, node);

		if (e->version == version) {
			count = (int)e->count;
			max = e->count < max ? e->count : max;
			while (max-- > 0)
				addrs[max] = e->addrs[max];
		}
	}
	urcu_bp_read_unlock();
	return count;
}

/* Put a look-up's outcome into the cache. */
static void remember(struct fr__routes *r, struct route *e, uint64_t hash)
{
	struct cds_lfht_node *old;

	pthread_mutex_lock(&r->mutex);
	if (r->entries == ENTRIES_MAX)
		flush(r);
	urcu_bp_read_lock();
	old = cds_lfht_add_replace(r->table, hash, match, e->name, &e->node);
	urcu_bp_read_unlock();
	if (old)
		retire(r, caa_container_of(old, struct route, node));
	else
		r->entries++;
	pthread_mutex_unlock(&r->mutex);
}

int fr__route_find(struct fr_process *p, const char *name,
		   struct fr_addr *addrs, unsigned max)
{
	const struct fr_arena *a = p->arena;
	uint64_t hash = fr__hash(name, strlen(name));
	struct route *e;
	uint64_t version;
	int count;

	/* [ROUTE-3] seq_cst: version -> the words it counts; and the last look
	 * of who waits for a name. Pairs with [ROUTE-2]. Without it: see
	 * there. */
	version = fr__load_sc(&a->header->names_version);
	count = find_cached(p->routes, hash, name, version, addrs, max);
	if (count >= 0)
		return count;
	count = (int)find_in_arena(a, name, hash, addrs, max);
	if (count == 0)
		return 0;
	e = malloc(sizeof(*e) + a->geo.slots * sizeof(*addrs));
	if (!e)
		return count;
	cds_lfht_node_init(&e->node);
	strcpy(e->name, name);
	e->version = version;
	e->count = find_in_arena(a, name, hash, e->addrs, a->geo.slots);
	if (e->count > a->geo.slots) { /* a damaged index */
		free(e);
		return -EBADMSG;
	}
	remember(p->routes, e, hash);
	return count;
}
