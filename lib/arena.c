/* SPDX-License-Identifier: MIT */
/*
 * Creating, attaching and unmapping the arena.
 *
 * Create (named): an unnamed file on /dev/shm (O_TMPFILE), all of its space
 * allocated, filled, then linked under its name in one step. A name that exists
 * is therefore always ready, and a death at any step before the link leaves
 * nothing at all: the kernel drops the unnamed file with its last descriptor.
 * Nameless: memfd, sealed against growing and shrinking.
 *
 * Attach: the file is first looked at through an O_PATH descriptor (no symbolic
 * link followed; type, owner), since closing any other descriptor of a file
 * drops all record locks that this process has on it: an arena that is attached
 * already must not be opened a second time. Then the header is read, checked
 * against itself and against the layout that this library was built with, and
 * its geometry copied. Where the parts lie follows from the geometry alone.
 *
 * The arenas of a process are kept in a list by device and inode: attaching one
 * again gives the same handle.
 */
#include "arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY "/dev/shm"
#define PAGE 4096u
#define WORDS_PER_SLOT 4 /* of the name index: at most a quarter full */

/* Offsets of the parts. */
struct layout {
	size_t slots, names, types, idle, done, taskring, events, cells;
	size_t mailboxes, bytes;
	size_t cell_bytes, done_stride, mailbox_stride;
};

static pthread_mutex_t known_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct fr_arena *known; /* guarded by known_mutex */

/* Around a fork: no mutex stays locked in the child by a thread that is not
 * there. */
static void before_fork(void)
{
	struct fr_arena *a;

	pthread_mutex_lock(&known_mutex);
	for (a = known; a; a = a->next_known)
		pthread_mutex_lock(&a->join_mutex);
}

static void after_fork(void)
{
	struct fr_arena *a;

	for (a = known; a; a = a->next_known)
		pthread_mutex_unlock(&a->join_mutex);
	pthread_mutex_unlock(&known_mutex);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork, after_fork);
}

int fr__name_check(const char *name)
{
	size_t len;

	if (name == NULL || *name == '\0' || strchr(name, '/') != NULL ||
	    strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	len = strnlen(name, FR_NAME_MAX + 1);
	return len > FR_NAME_MAX ? -ENAMETOOLONG : 0;
}

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
	       g->arg_max <= 1u << 20 && g->arg_max % 64 == 0 &&
	       g->result_max <= 1u << 20 && g->result_max % 64 == 0;
}

/* Bytes of a bit per slot, in lines of their own. */
static size_t slot_bits(const struct fr__geometry *g)
{
	return (g->slots + 511) / 512 * FR__LINE;
}

static struct layout layout_of(const struct fr__geometry *g)
{
	struct layout l;

	l.cell_bytes = sizeof(struct fr__cell) + g->arg_max + g->result_max;
	l.done_stride = ((g->cells > g->main_cells ? g->cells : g->main_cells) +
			 511) / 512 * 8; /* whole lines */
	l.mailbox_stride = sizeof(struct fr__ring_ctl) +
			   (size_t)g->mailbox_units * FR__UNIT;
	l.slots = sizeof(struct fr__header);
	l.names = l.slots + pages(g->slots * sizeof(struct fr__slot));
	l.types = l.names + pages(g->names * sizeof(struct fr__a64));
	l.idle = l.types + pages(g->types * sizeof(struct fr__type_entry));
	l.done = l.idle + pages(2 * slot_bits(g));
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

static int geometry_from(const struct fr_arena_opts *o, struct fr__geometry *g)
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
	g->arg_max = (uint32_t)(arg + 63) / 64 * 64;
	g->result_max = (uint32_t)(result + 63) / 64 * 64;
	g->names = power_of_two(g->slots * WORDS_PER_SLOT);
	if (all_cells(g) > 1u << FR__CELL_BITS)
		return -EINVAL;
	g->task_words = power_of_two(all_cells(g) * 2);
	return geometry_valid(g) ? 0 : -EINVAL;
}

static void path_of(const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/forkring.%s", DIRECTORY, name);
}

void fr__arena_ring(const struct fr_arena *a, unsigned i, struct fr__ring *ret)
{
	unsigned char *at = a->mailboxes + i * a->mailbox_stride;

	fr__ring_map(ret, (void *)at, at + sizeof(struct fr__ring_ctl),
		     a->geo.mailbox_units, a->secret);
}

/* Map the file and find the parts. a->geo, fd, bytes, secret are set. */
static int map(struct fr_arena *a)
{
	struct layout l = layout_of(&a->geo);
	unsigned char *base = mmap(NULL, a->bytes, PROT_READ | PROT_WRITE,
				   MAP_SHARED, a->fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	a->base = base;
	a->header = (void *)base;
	a->slots = (void *)(base + l.slots);
	a->names = (void *)(base + l.names);
	a->types = (void *)(base + l.types);
	a->idle = (void *)(base + l.idle);
	a->awake = (void *)(base + l.idle + slot_bits(&a->geo));
	a->done = (void *)(base + l.done);
	a->done_stride = l.done_stride;
	fr__taskring_map(&a->tasks, (void *)(base + l.taskring),
			 base + l.taskring + sizeof(struct fr__taskring_ctl),
			 a->geo.task_words, a->secret);
	a->events = (void *)(base + l.events);
	a->cells = base + l.cells;
	a->cell_bytes = l.cell_bytes;
	a->mailboxes = base + l.mailboxes;
	a->mailbox_stride = l.mailbox_stride;
	return 0;
}

/* Everything that is not zero in a fresh arena. */
static void fill(struct fr_arena *a, uint64_t start)
{
	struct fr__header *h = a->header;
	struct fr__ring ring;
	unsigned i;

	for (i = 0; i < a->geo.slots; i++) {
		fr__arena_ring(a, i, &ring);
		fr__ring_init(&ring, start);
	}
	fr__taskring_init(&a->tasks, start);
	h->magic = FR__MAGIC;
	h->fingerprint = fingerprint();
	h->bytes = a->bytes;
	h->geo = a->geo;
	h->secret = a->secret;
	h->start_position = start;
	h->checksum = checksum(h);
}

static int allocate(int fd, size_t bytes)
{
	int rc;

	do
		rc = posix_fallocate(fd, 0, (off_t)bytes);
	while (rc == EINTR);
	return rc == EFBIG || rc == ENOMEM ? -ENOSPC : -rc;
}

/* A descriptor of a new unnamed file: on /dev/shm, or of no file system. */
static int open_new(bool named, unsigned mode)
{
	int fd;

	if (!named) {
		fd = memfd_create("forkring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		return fd == -1 ? -errno : fd;
	}
	fd = open(DIRECTORY, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd == -1)
		return errno == EISDIR || errno == ENOENT ? -EOPNOTSUPP
							  : -errno;
	if (fchmod(fd, mode ? mode : 0600) == -1) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

/* Give the finished file its name, or seal it. */
static int finish(const struct fr_arena *a)
{
	char from[64], to[sizeof(DIRECTORY) + 16 + FR__NAME_BYTES];

	if (a->name[0] == '\0') {
		fcntl(a->fd, F_ADD_SEALS,
		      F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
		return 0;
	}
	snprintf(from, sizeof(from), "/proc/self/fd/%d", a->fd);
	path_of(a->name, to, sizeof(to));
	return linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == -1
		       ? -errno
		       : 0;
}

static void discard(struct fr_arena *a)
{
	if (a->base)
		munmap(a->base, a->bytes);
	if (a->fd >= 0)
		close(a->fd);
	pthread_mutex_destroy(&a->join_mutex);
	free(a);
}

static struct fr_arena *new_handle(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct fr_arena *a = calloc(1, sizeof(*a));

	pthread_once(&once, watch_forks);
	if (a) {
		a->fd = -1;
		a->references = 1;
		pthread_mutex_init(&a->join_mutex, NULL);
	}
	return a;
}

static int remember(struct fr_arena *a)
{
	struct stat st;

	if (fstat(a->fd, &st) == -1)
		return -errno;
	a->dev = st.st_dev;
	a->ino = st.st_ino;
	a->next_known = known;
	known = a;
	return 0;
}

int fr_arena_create(const char *name, const struct fr_arena_opts *opts,
		    struct fr_arena **ret)
{
	static const struct fr_arena_opts defaults;
	struct fr_arena *a;
	int rc;

	opts = opts ? opts : &defaults;
	rc = name ? fr__name_check(name) : 0;
	if (rc < 0)
		return rc;
	a = new_handle();
	if (!a)
		return -ENOMEM;
	rc = geometry_from(opts, &a->geo);
	if (rc == 0)
		rc = fr__cookie_take(&a->creator);
	if (rc == 0)
		rc = a->fd = open_new(name != NULL, opts->mode);
	if (rc < 0)
		goto failed;
	a->bytes = layout_of(&a->geo).bytes;
	a->keep = opts->keep;
	if (name)
		strcpy(a->name, name);
	rc = allocate(a->fd, a->bytes);
	if (rc == 0 && getrandom(&a->secret, sizeof(a->secret), 0) !=
			       sizeof(a->secret))
		rc = -EAGAIN;
	if (rc == 0)
		rc = map(a);
	if (rc < 0)
		goto failed;
	fill(a, opts->start_position);
	pthread_mutex_lock(&known_mutex);
	rc = finish(a);
	if (rc == 0)
		rc = remember(a);
	pthread_mutex_unlock(&known_mutex);
	if (rc < 0)
		goto failed;
	*ret = a;
	return 0;
failed:
	discard(a);
	return rc;
}

/* Check the header behind a->fd and take its geometry. */
static int read_header(struct fr_arena *a)
{
	struct fr__header h;
	struct stat st;
	ssize_t n;

	if (fstat(a->fd, &st) == -1)
		return -errno;
	do
		n = pread(a->fd, &h, sizeof(h), 0);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return errno == EBADF ? -EBADF : -EPROTO;
	if (n >= (ssize_t)sizeof(h.magic) && h.magic != FR__MAGIC)
		return -EPROTO;
	if (n < (ssize_t)sizeof(h))
		return -EBADMSG;
	if (h.fingerprint != fingerprint())
		return -EPROTO;
	if (h.checksum != checksum(&h) || !geometry_valid(&h.geo) ||
	    h.bytes != layout_of(&h.geo).bytes || st.st_size < 0 ||
	    (uint64_t)st.st_size < h.bytes)
		return -EBADMSG;
	a->geo = h.geo;
	a->bytes = h.bytes;
	a->secret = h.secret;
	return 0;
}

/* An arena of this process's that is this file; under known_mutex. */
static struct fr_arena *find_known(const struct stat *st)
{
	struct fr_arena *a = known;

	while (a && (a->dev != st->st_dev || a->ino != st->st_ino))
		a = a->next_known;
	if (a)
		a->references++;
	return a;
}

/* Open the file behind fd once more and map it; under known_mutex. */
static int attach(int fd, const char *name, struct fr_arena **ret)
{
	char path[64];
	struct stat st;
	struct fr_arena *a;
	int rc;

	if (fstat(fd, &st) == -1)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISLNK(st.st_mode) ? -ELOOP : -EPROTO;
	a = find_known(&st);
	if (a) {
		*ret = a;
		return 0;
	}
	a = new_handle();
	if (!a)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	a->fd = open(path, O_RDWR | O_CLOEXEC);
	rc = a->fd == -1 ? -errno : read_header(a);
	if (rc == 0)
		rc = map(a);
	if (rc == 0)
		rc = remember(a);
	if (rc < 0) {
		discard(a);
		return rc;
	}
	if (name)
		strcpy(a->name, name);
	*ret = a;
	return 0;
}

int fr_arena_attach(const char *name, const struct fr_attach_opts *opts,
		    struct fr_arena **ret)
{
	char path[sizeof(DIRECTORY) + 16 + FR__NAME_BYTES];
	struct stat st;
	int rc = fr__name_check(name), fd;

	if (rc < 0)
		return rc;
	path_of(name, path, sizeof(path));
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	if (fstat(fd, &st) == -1)
		rc = -errno;
	else if (!S_ISLNK(st.st_mode) && st.st_uid != geteuid() &&
		 st.st_uid != 0 && !(opts && opts->any_owner))
		rc = -EPERM;
	if (rc == 0) {
		pthread_mutex_lock(&known_mutex);
		rc = attach(fd, name, ret);
		pthread_mutex_unlock(&known_mutex);
	}
	close(fd); /* O_PATH: drops no lock */
	return rc;
}

int fr_arena_attach_fd(int fd, struct fr_arena **ret)
{
	int rc;

	pthread_mutex_lock(&known_mutex);
	rc = attach(fd, NULL, ret);
	pthread_mutex_unlock(&known_mutex);
	return rc;
}

/* Does the name still lead to this arena? */
static bool name_is_ours(const struct fr_arena *a)
{
	char path[sizeof(DIRECTORY) + 16 + FR__NAME_BYTES];
	struct stat st;

	path_of(a->name, path, sizeof(path));
	return lstat(path, &st) == 0 && st.st_dev == a->dev &&
	       st.st_ino == a->ino;
}

void fr_arena_detach(struct fr_arena *a)
{
	struct fr_arena **link;

	if (!a)
		return;
	pthread_mutex_lock(&known_mutex);
	if (--a->references > 0) {
		pthread_mutex_unlock(&known_mutex);
		return;
	}
	for (link = &known; *link != a; link = &(*link)->next_known)
		;
	*link = a->next_known;
	if (a->creator.word && a->name[0] && !a->keep &&
	    fr__cookie_good(&a->creator) && name_is_ours(a))
		fr_arena_unlink(a->name);
	/* Under the mutex: nobody may open the file anew before our close has
	 * dropped this process's locks on it. */
	discard(a);
	pthread_mutex_unlock(&known_mutex);
}

int fr_arena_unlink(const char *name)
{
	char path[sizeof(DIRECTORY) + 16 + FR__NAME_BYTES];
	int rc = fr__name_check(name);

	if (rc < 0)
		return rc;
	path_of(name, path, sizeof(path));
	return unlink(path) == -1 ? -errno : 0;
}

int fr_arena_fd(const struct fr_arena *a)
{
	return a->fd;
}

void fr_arena_info(const struct fr_arena *a, struct fr_arena_info *ret)
{
	struct fr__ring ring;
	unsigned i;

	fr__arena_ring(a, 0, &ring);
	*ret = (struct fr_arena_info){
		.bytes = a->bytes,
		.slots = a->geo.slots,
		.mailbox_bytes = (size_t)a->geo.mailbox_units * FR__UNIT,
		.message_max = fr__ring_body_max(&ring),
		.cells = a->geo.cells,
		.main_cells = a->geo.main_cells,
		.arg_max = a->geo.arg_max,
		.result_max = a->geo.result_max,
		.events = a->geo.events,
		.types = a->geo.types,
	};
	for (i = 0; i < a->geo.slots; i++)
		/* [ARENA-1] relaxed: a count for people, old when it is read. */
		if (fr__load_relaxed(&a->slots[i].state) >> 60 !=
		    FR__SLOT_FREE)
			ret->joined++;
}
