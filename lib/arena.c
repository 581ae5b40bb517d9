/* SPDX-License-Identifier: MIT */
/*
 * Creating, attaching and unmapping the arena.
 *
 * Create (named): an unnamed file (file.c), all of its space allocated, filled,
 * then linked under its name in one step. A name that exists is therefore always
 * ready, and a death at any step before the link leaves nothing at all: the kernel
 * drops the unnamed file with its last descriptor.
 *
 * Attach: the file is first looked at (no symbolic link followed; type, owner)
 * without opening it: an arena that is attached already must not be opened a second
 * time, or its close would drop our locks. Then the header is read, checked
 * against itself and against the layout that this library was built with, and
 * its geometry copied. Where the parts lie follows from the geometry alone.
 *
 * The arenas of a process are kept in a list by device and inode: attaching one
 * again gives the same handle. Each has a second descriptor that nobody is given,
 * so that exec closes one even if the program keeps the other over it, and drops
 * the locks.
 *
 * Who is attached holds a shared lock on the file (liveness.c), from before the
 * name appears on. Whoever takes a dead arena away (fr_arena_remove_dead, or create
 * with replace) locks everything for writing first, so that nobody comes, and looks
 * whether somebody lives who has lost his lock. It says so in the header (removed),
 * unlinks, and goes; a replacer then links its own, which was ready before. Who
 * attaches or joins looks at that word once it has its lock. (A rename in the place
 * of the two steps would need another name for the new file, which a death would
 * leave behind.) A death between word and unlink leaves a name that nobody can
 * attach to: who tries takes it away.
 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* Map the file and find the parts. a->geo, fd, bytes, secret are set. */
static int map(struct fr_arena *a)
{
	struct fr__layout l = fr__layout_of(&a->geo);
	unsigned char *base, *at;
	unsigned i;

	a->rings = calloc(a->geo.slots, sizeof(*a->rings));
	if (!a->rings)
		return -ENOMEM;
	base = mmap(NULL, a->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd,
		    0);
	if (base == MAP_FAILED)
		return -errno;
	a->base = base;
	a->header = (void *)base;
	a->slots = (void *)(base + l.slots);
	a->names = (void *)(base + l.names);
	a->types = (void *)(base + l.types);
	a->idle = (void *)(base + l.idle);
	a->naps = (void *)(base + l.idle + l.slot_bits);
	a->awake = (void *)(base + l.idle + 2 * l.slot_bits);
	a->joined = (void *)(base + l.idle + 3 * l.slot_bits);
	a->done = (void *)(base + l.done);
	a->done_stride = l.done_stride;
	fr__taskring_map(&a->tasks, (void *)(base + l.taskring),
			 base + l.taskring + sizeof(struct fr__taskring_ctl),
			 a->geo.task_words, a->secret, &a->near_tasks);
	a->events = (void *)(base + l.events);
	a->cells = base + l.cells;
	a->cell_bytes = l.cell_bytes;
	for (i = 0, at = base + l.mailboxes; i < a->geo.slots;
	     i++, at += l.mailbox_stride)
		fr__ring_map(&a->rings[i], (void *)at,
			     at + sizeof(struct fr__ring_ctl),
			     a->geo.mailbox_units, a->secret, i);
	return 0;
}

/* Everything that is not zero in a fresh arena. */
static void fill(struct fr_arena *a, uint64_t start)
{
	struct fr__header *h = a->header;
	unsigned i;

	for (i = 0; i < a->geo.slots; i++)
		fr__ring_init(fr__arena_ring(a, i), start);
	fr__taskring_init(&a->tasks, start);
	fr__header_init(h, &a->geo, a->secret, start);
}

static void discard(struct fr_arena *a)
{
	if (a->base)
		munmap(a->base, a->bytes);
	/* Else the program has closed it, and it is another file's now. */
	if (a->fd >= 0 && fr__file_is_ours(a, a->fd))
		close(a->fd);
	if (a->guard >= 0 && fr__file_is_ours(a, a->guard))
		close(a->guard);
	pthread_mutex_destroy(&a->join_mutex);
	free(a->rings);
	free(a);
}

static struct fr_arena *new_handle(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct fr_arena *a = calloc(1, sizeof(*a));

	pthread_once(&once, watch_forks);
	if (a) {
		a->fd = a->guard = -1;
		a->references = 1;
		pthread_mutex_init(&a->join_mutex, NULL);
	}
	return a;
}

/* Take a descriptor of the arena's file. */
static int set_fd(struct fr_arena *a, int fd)
{
	struct stat st;
	int rc;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) == -1) {
		rc = -errno;
		close(fd);
		return rc;
	}
	a->fd = fd;
	a->dev = st.st_dev;
	a->ino = st.st_ino;
	return 0;
}

static void remember(struct fr_arena *a)
{
	a->next_known = known;
	known = a;
}

/* What this process was in the arena before it called exec. */
static void recover_former(struct fr_arena *a)
{
	unsigned i;

	for (i = 0; i < a->geo.slots; i++)
		/* [ARENA-2] relaxed: a look; fr__recover() looks again. */
		if ((fr__load_relaxed(&a->slots[i].state) >> 32 & 0xfffffff) ==
		    (uint64_t)getpid())
			fr__recover(a, i);
}

/* Show that somebody is attached, and keep the locks from passing an exec. */
static int lock_attached(struct fr_arena *a)
{
	int rc = fr__file_is_ours(a, a->fd) ? 0 : -EBADF;

	if (rc == 0)
		rc = fr__file_lock(a->fd, F_RDLCK, FR__ATTACHED_BYTE, 1);
	if (rc < 0)
		return rc == -EAGAIN ? rc : -ENOLCK;
	if (a->guard == -1)
		a->guard = fcntl(a->fd, F_DUPFD_CLOEXEC, 0);
	return a->guard == -1 ? -errno : fr__cookie_take(&a->attacher);
}

/* Check the header behind a->fd and take its geometry. */
static int read_header(struct fr_arena *a)
{
	struct fr__header h;
	struct stat st;
	ssize_t n;
	int rc;

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
	rc = fr__header_check(&h, st.st_size);
	if (rc < 0)
		return rc;
	a->geo = h.geo;
	a->bytes = h.bytes;
	a->secret = h.secret;
	return 0;
}

bool fr__arena_removed(const struct fr_arena *a)
{
	/* [ARENA-3] relaxed: the record locks order it. */
	return fr__load_relaxed(&a->header->removed) != 0;
}

/* Is somebody in the arena who lives, though he has lost his lock? */
static bool has_living(struct fr_arena *a)
{
	unsigned i;

	for (i = 0; i < a->geo.slots; i++) {
		/* as [ARENA-2]: we have every lock, so nobody comes */
		uint64_t word = fr__load_relaxed(&a->slots[i].state);

		if (fr__slot_state(word) >= FR__SLOT_JOINING &&
		    fr__slot_state(word) <= FR__SLOT_DEAD &&
		    !fr__dead(a, i, word))
			return true;
	}
	return false;
}

/* Take the name away if the file behind a new handle belongs to nobody who lives;
 * its locks keep it so. One that cannot be read belongs to whoever has a lock.
 * begun: only if somebody has begun to. */
static int remove_dead(struct fr_arena *a, const char *name, bool begun)
{
	uint64_t magic = 0;
	int rc;

	if (pread(a->fd, &magic, sizeof(magic), 0) != sizeof(magic) ||
	    magic != FR__MAGIC)
		return -EPROTO;
	rc = fr__file_lock(a->fd, F_WRLCK, 0, FR__ATTACHED_BYTE + 1);
	if (rc < 0)
		return rc == -EAGAIN ? -EBUSY : -ENOLCK;
	if (fr__file_leads_to(name, a->dev, a->ino) < 0)
		return -EAGAIN;
	if (read_header(a) < 0)
		return begun ? -EBUSY : fr_arena_unlink(name);
	rc = map(a);
	if (rc < 0)
		return rc;
	if (has_living(a) || (begun && !fr__arena_removed(a)))
		return -EBUSY;
	/* as [ARENA-3] */
	fr__store_relaxed(&a->header->removed, 1);
	return fr_arena_unlink(name);
}

/* An arena of this process's that is this file; under known_mutex. */
static struct fr_arena *find_known(const struct stat *st)
{
	struct fr_arena *a = known;

	while (a && (a->dev != st->st_dev || a->ino != st->st_ino))
		a = a->next_known;
	return a;
}

/* An arena that this process knows cannot be opened anew, or its locks were gone; but
 * one that somebody has begun to take away has none, and needs no opening. */
static int remove_known(struct fr_arena *a, const char *name)
{
	int rc;

	if (!fr__arena_removed(a) || !fr__file_is_ours(a, a->fd) ||
	    fr__file_lock(a->fd, F_WRLCK, 0, FR__ATTACHED_BYTE + 1) < 0)
		return -EBUSY;
	rc = fr__file_leads_to(name, a->dev, a->ino) < 0 ? -EAGAIN
							 : fr_arena_unlink(name);
	fr__file_lock(a->fd, F_UNLCK, 0, FR__ATTACHED_BYTE + 1);
	return rc;
}

/* One try of fr_arena_remove_dead(); -EAGAIN: the name leads elsewhere now. */
static int try_remove(const char *name, bool begun)
{
	struct fr_arena *a = NULL;
	struct stat st;
	int rc, path = fr__file_path(name, &st);

	if (path < 0)
		return path;
	pthread_mutex_lock(&known_mutex);
	if (S_ISLNK(st.st_mode))
		rc = -ELOOP;
	else if (!S_ISREG(st.st_mode))
		rc = -EPROTO;
	else if (find_known(&st))
		rc = remove_known(find_known(&st), name);
	else if (!(a = new_handle()))
		rc = -ENOMEM;
	if (a) {
		rc = set_fd(a, fr__file_open(path));
		if (rc == 0)
			rc = remove_dead(a, name, begun);
		discard(a);
	}
	pthread_mutex_unlock(&known_mutex);
	close(path);
	return rc;
}

/* Tries, a millisecond apart, to meet a name while nobody is replacing it. */
#define TRIES 1000

static void pause_a_moment(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

int fr_arena_remove_dead(const char *name)
{
	int rc = fr__name_check(name), tries;

	for (tries = 0; rc == 0; tries++) {
		rc = try_remove(name, false);
		if (rc != -EAGAIN || tries == TRIES)
			return rc == -EAGAIN ? -EBUSY : rc;
		rc = 0;
	}
	return rc;
}

static int publish(struct fr_arena *a)
{
	int rc;

	pthread_mutex_lock(&known_mutex);
	rc = fr__file_finish(a->fd, a->name);
	if (rc == 0)
		remember(a);
	pthread_mutex_unlock(&known_mutex);
	return rc;
}

/* The same, in the place of a dead one if it may be. */
static int publish_over(struct fr_arena *a, bool replace)
{
	int rc = publish(a), tries;

	for (tries = 0; rc == -EEXIST && replace && tries < TRIES; tries++) {
		rc = fr_arena_remove_dead(a->name);
		if (rc == -EBUSY)
			return -EEXIST;
		if (rc < 0 && rc != -ENOENT)
			return rc;
		rc = publish(a);
	}
	return rc;
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
	rc = fr__geometry_from(opts, &a->geo);
	if (rc == 0)
		rc = fr__cookie_take(&a->creator);
	if (rc == 0)
		rc = set_fd(a, fr__file_new(name != NULL, opts->mode));
	if (rc < 0)
		goto failed;
	a->bytes = fr__layout_of(&a->geo).bytes;
	a->keep = opts->keep;
	if (name)
		strcpy(a->name, name);
	rc = fr__file_allocate(a->fd, a->bytes);
	if (rc == 0 && getrandom(&a->secret, sizeof(a->secret), 0) !=
			       sizeof(a->secret))
		rc = -EAGAIN;
	if (rc == 0)
		rc = map(a);
	if (rc < 0)
		goto failed;
	fill(a, opts->start_position);
	rc = lock_attached(a);
	if (rc == 0)
		rc = publish_over(a, opts->replace);
	if (rc < 0)
		goto failed;
	*ret = a;
	return 0;
failed:
	discard(a);
	return rc;
}

/* A forked child has the handle, but no lock yet. */
static int attach_child(struct fr_arena *a)
{
	struct fr__cookie parents = a->attacher;
	int rc = lock_attached(a);

	if (rc == 0 && fr__arena_removed(a)) {
		fr__file_lock(a->fd, F_UNLCK, FR__ATTACHED_BYTE, 1);
		a->attacher = parents;
		rc = -EAGAIN;
	}
	return rc;
}

/* Open the file behind fd once more and map it; under known_mutex. */
static int attach(int fd, const char *name, struct fr_arena **ret)
{
	struct stat st;
	struct fr_arena *a;
	int rc;

	if (fstat(fd, &st) == -1)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISLNK(st.st_mode) ? -ELOOP : -EPROTO;
	a = find_known(&st);
	if (a) {
		rc = fr__cookie_good(&a->attacher) ? 0 : attach_child(a);
		if (rc < 0)
			return rc;
		a->references++;
		*ret = a;
		return 0;
	}
	a = new_handle();
	if (!a)
		return -ENOMEM;
	rc = set_fd(a, fr__file_open(fd));
	if (rc == 0)
		rc = read_header(a);
	if (rc == 0)
		rc = lock_attached(a);
	if (rc == 0)
		rc = map(a);
	if (rc == 0 && fr__arena_removed(a))
		rc = -EAGAIN;
	if (rc < 0) {
		discard(a);
		return rc;
	}
	remember(a);
	if (name)
		strcpy(a->name, name);
	recover_former(a);
	*ret = a;
	return 0;
}

/* One try; -EAGAIN: the arena is just being taken away, or replaced. */
static int try_attach(const char *name, const struct fr_attach_opts *opts,
		      struct fr_arena **ret)
{
	struct stat st;
	int fd = fr__file_path(name, &st), rc = 0;

	if (fd < 0)
		return fd;
	if (!S_ISLNK(st.st_mode) && st.st_uid != geteuid() && st.st_uid != 0 &&
	    !(opts && opts->any_owner))
		rc = -EPERM;
	if (rc == 0) {
		pthread_mutex_lock(&known_mutex);
		rc = attach(fd, name, ret);
		pthread_mutex_unlock(&known_mutex);
	}
	close(fd); /* O_PATH: drops no lock */
	return rc;
}

int fr_arena_attach(const char *name, const struct fr_attach_opts *opts,
		    struct fr_arena **ret)
{
	int rc = fr__name_check(name), tries;

	for (tries = 0; rc == 0; tries++) {
		rc = try_attach(name, opts, ret);
		if (rc != -EAGAIN || tries == TRIES)
			return rc == -EAGAIN ? -EBUSY : rc;
		/* Whoever is taking it away may have died before it was done. */
		try_remove(name, true);
		pause_a_moment();
		rc = 0;
	}
	return rc;
}

int fr_arena_attach_fd(int fd, struct fr_arena **ret)
{
	int rc;

	pthread_mutex_lock(&known_mutex);
	rc = attach(fd, NULL, ret);
	pthread_mutex_unlock(&known_mutex);
	return rc == -EAGAIN ? -EBUSY : rc;
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
	    fr__cookie_good(&a->creator) &&
	    fr__file_leads_to(a->name, a->dev, a->ino) == 0)
		fr_arena_unlink(a->name);
	/* Under the mutex: nobody may open the file anew before our close has
	 * dropped this process's locks on it. */
	discard(a);
	pthread_mutex_unlock(&known_mutex);
}

int fr_arena_fd(const struct fr_arena *a)
{
	return a->fd;
}

void fr_arena_info(const struct fr_arena *a, struct fr_arena_info *ret)
{
	unsigned i;

	*ret = (struct fr_arena_info){
		.bytes = a->bytes,
		.slots = a->geo.slots,
		.mailbox_bytes = (size_t)a->geo.mailbox_units * FR__UNIT,
		.message_max = fr__ring_body_max(fr__arena_ring(a, 0)),
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
