/* SPDX-License-Identifier: MIT */
/*
 * Who lives.
 *
 * Each process holds a POSIX record lock on one byte of the arena's file, the
 * byte of its slot's number, from before its slot says JOINING until after it
 * says FREE; so does whoever recovers a slot. The kernel drops it once the last
 * thread has left user space, however the process ended, and before anybody can
 * wait for it; a child does not inherit it; a stopped process keeps it; a process
 * in another pid namespace is seen; exec drops it, since it closes our
 * descriptors. (fcntl(2); the locks are advisory and have nothing to do with what
 * the byte holds.) A held lock is a proof of life.
 *
 * A lock that is not held is not yet a proof of death: any close, in the holder,
 * of any descriptor of this file drops it (a second open, dup and close,
 * closefrom(3)). So each slot also says who has it, beyond the pid: its pid
 * namespace and the time it started. Where that namespace is ours, the holder is
 * dead only if one of these is so, too:
 *
 *	no such pid, or a zombie without living threads		pidfd_open(2), poll
 *	started at another time: the pid is somebody else's	/proc/PID/stat
 *	its memory does not map this file: it called exec	/proc/PID/task/
 *								  TID/maps
 *	it is ourselves, and we have no note of it: we called exec
 *
 * The same is asked if the lock is somebody else's: a recoverer's that is stopped
 * before the slot says so.
 *
 * What cannot be read counts as alive; so does everybody once our own descriptor
 * is gone. In another pid namespace, or without /proc, there is only the lock, and
 * closing the descriptor *is* leaving.
 *
 * A process does not see its own locks, so it notes them, before the slot's state
 * names it; and a lock is the process's, not the thread's, so its threads take
 * turns (arena.join_mutex). Who attaches recovers what it was before an exec: from
 * then on it maps the file again.
 *
 * Reading /proc would be the end of a cancelled thread, and of our mutex with it:
 * cancelling is put off meanwhile.
 *
 * Those who are attached, joined or not, hold a shared lock on a byte behind the
 * slots': all bytes locked for writing prove that nobody is there.
 *
 * Limits: one copy of the library in a process. Processes that share one table of
 * descriptors (CLONE_FILES) share the locks, and are dead together. Who reads in another time namespace than the
 * holder's finds another starting time; it counts once the lock is gone.
 */
#include "process.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* ---- locks ---- */

static uint64_t pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

/* Does the process that a slot's state names hold its lock, as far as we can tell?
 * Somebody else may: who recovers the slot, or came too late to join in it. The
 * pid of a lock's owner is told as seen from here. */
static bool held_by(const struct fr_arena *a, unsigned slot, pid_t who)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)slot,
		.l_len = 1,
	};

	if (fcntl(a->fd, F_GETLK, &lock) == -1)
		return true;
	if (lock.l_type != F_UNLCK && (lock.l_pid <= 0 || lock.l_pid == who))
		return true;
	if (!fr__file_is_ours(a, a->fd)) /* it was asked of another file */
		return true;
	/* as [LIVENESS-1] */
	return lock.l_type != F_UNLCK &&
	       fr__load_relaxed(&a->slots[slot].space) != pid_namespace();
}

/* The note of a slot that this process has locked. A child starts anew. */
static uint64_t *own(struct fr_arena *a, unsigned slot)
{
	if (!a->own_by.word || !fr__cookie_good(&a->own_by)) {
		memset(a->own, 0, sizeof(a->own));
		if (fr__cookie_take(&a->own_by) < 0)
			a->own_by.word = NULL;
	}
	return &a->own[slot / 64];
}

int fr__life_lock(struct fr_arena *a, unsigned slot)
{
	uint64_t bit = UINT64_C(1) << slot % 64;
	int rc;

	if (*own(a, slot) & bit)
		return -EAGAIN;
	if (!fr__file_is_ours(a, a->fd))
		return -EBADF;
	rc = fr__file_lock(a->fd, F_WRLCK, slot, 1);
	if (rc == 0)
		*own(a, slot) |= bit;
	return rc;
}

void fr__life_forget(struct fr_arena *a, unsigned slot)
{
	*own(a, slot) &= ~(UINT64_C(1) << slot % 64);
}

void fr__life_unlock(struct fr_arena *a, unsigned slot)
{
	if (fr__file_is_ours(a, a->fd))
		fr__file_lock(a->fd, F_UNLCK, slot, 1);
	fr__life_forget(a, slot);
}

/* ---- /proc ---- */

/* Are the numbers in /proc those of our pid namespace? */
static bool proc_is_ours(void)
{
	char pid[16] = "";

	return readlink("/proc/self", pid, sizeof(pid) - 1) > 0 &&
	       strtol(pid, NULL, 10) == getpid();
}

/* A slot's `started`: pid, then clock ticks. The pid is there since one who has lost
 * the lock, or died with it, may have signed where the state names another. */
#define STARTED_BITS 36

/* When a process started, in clock ticks since boot, 0: not known. */
static uint64_t started_at(const char *pid)
{
	char path[32], text[1024], *at;
	unsigned long long start;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	/* Field 22; field 2 is a name in brackets, with anything in it. */
	at = strrchr(text, ')');
	if (!at ||
	    sscanf(at + 1,
		   " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
		   "%*s %*s %*s %*s %*s %llu",
		   &start) != 1)
		return 0;
	return start & ((UINT64_C(1) << STARTED_BITS) - 1);
}

void fr__life_sign(const struct fr_arena *a, unsigned slot)
{
	uint64_t mark = (uint64_t)getpid() << STARTED_BITS;
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	/* [LIVENESS-1] relaxed: under the slot's lock, and published by the
	 * CAS of its state, [PROCESS-2]. */
	fr__store_relaxed(&a->slots[slot].space, pid_namespace());
	fr__store_relaxed(&a->slots[slot].started, mark | started_at("self"));
	pthread_setcancelstate(cancel, NULL);
}

enum maps {
	MAPS_NOTHING,
	MAPS_OTHERS,
	MAPS_ARENA,
	MAPS_UNKNOWN,
};

/* Does a thread's memory map the arena's file? */
static enum maps maps_of(const struct fr_arena *a, const char *path)
{
	enum maps found = MAPS_NOTHING;
	unsigned major_no, minor_no;
	unsigned long long inode;
	size_t size = 0;
	char *line = NULL;
	FILE *f = fopen(path, "re");

	if (!f)
		return errno == ENOENT || errno == ESRCH ? MAPS_NOTHING
							 : MAPS_UNKNOWN;
	while (found != MAPS_ARENA && getline(&line, &size, f) > 0) {
		found = MAPS_OTHERS;
		if (sscanf(line, "%*s %*s %*s %x:%x %llu", &major_no, &minor_no,
			   &inode) == 3 &&
		    inode == a->ino && makedev(major_no, minor_no) == a->dev)
			found = MAPS_ARENA;
	}
	if (ferror(f) && found != MAPS_ARENA)
		found = errno == ESRCH ? MAPS_NOTHING : MAPS_UNKNOWN;
	free(line);
	fclose(f);
	return found;
}

/* Does the memory of a process not map the arena? Its threads have one memory, but
 * those that have ended show none; one that shows no memory at all proves nothing:
 * the thread that had it may have ended while we read. */
static bool maps_others(const struct fr_arena *a, const char *pid)
{
	enum maps found = MAPS_NOTHING;
	struct dirent *entry;
	char path[300];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/task", pid);
	dir = opendir(path);
	if (!dir)
		return false; /* hidden from us, or gone just now */
	while (found == MAPS_NOTHING && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/task/%s/maps", pid,
			 entry->d_name);
		found = maps_of(a, path);
	}
	closedir(dir);
	return found == MAPS_OTHERS;
}

/* ---- death ---- */

/* Is there no process of this pid, or only what is left of one? */
static bool has_ended(pid_t pid)
{
	struct pollfd p = {.events = POLLIN};
	bool ended;

	p.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (p.fd == -1)
		/* EINVAL, ENOENT: nobody's, or a thread's number. Else it
		 * could not be asked this way. */
		return errno == ESRCH || errno == EINVAL || errno == ENOENT ||
		       (kill(pid, 0) == -1 && errno == ESRCH);
	ended = poll(&p, 1, 0) == 1;
	close(p.fd);
	return ended;
}

/* The lock is gone: is the process? */
static bool is_gone(const struct fr_arena *a, unsigned slot, pid_t who)
{
	/* as [LIVENESS-1]: and the state is looked at again */
	uint64_t space = fr__load_relaxed(&a->slots[slot].space);
	uint64_t signature = fr__load_relaxed(&a->slots[slot].started);
	uint64_t started = signature & ((UINT64_C(1) << STARTED_BITS) - 1), now;
	uint64_t here = pid_namespace();
	char pid[16];

	if (space == 0 || here == 0 || space != here)
		return true;
	if (who <= 0 || has_ended(who) || who == getpid())
		return true;
	if (!proc_is_ours())
		return false;
	snprintf(pid, sizeof(pid), "%d", who);
	now = started_at(pid);
	return (started && now && now != started &&
		signature >> STARTED_BITS == (uint64_t)who) ||
	       maps_others(a, pid);
}

bool fr__dead(struct fr_arena *a, unsigned slot, uint64_t word)
{
	int saved = errno, cancel;
	bool dead;

	if (fr__slot_state(word) < FR__SLOT_JOINING ||
	    fr__slot_state(word) > FR__SLOT_DEAD)
		return false;
	/* as [PROCESS-3] */
	if (fr__slot_state(word) == FR__SLOT_DEAD)
		return fr__load_acquire(&a->slots[slot].state) == word;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	dead = !(*own(a, slot) & UINT64_C(1) << slot % 64) &&
	       !held_by(a, slot, (pid_t)fr__slot_who(word)) &&
	       is_gone(a, slot, (pid_t)fr__slot_who(word));
	pthread_setcancelstate(cancel, NULL);
	errno = saved;
	/* as [PROCESS-3]: it may have left meanwhile */
	return dead && fr__load_acquire(&a->slots[slot].state) == word;
}
