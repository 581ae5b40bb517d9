/* SPDX-License-Identifier: MIT */
/*
 * Tasks: putting them together in main, and doing them in a worker.
 *
 * A worker keeps nothing from one task to the next but its read buffer; so a
 * task may be done by any worker, and done again.
 *
 * A file is read to its end, whatever size it claims: files under /proc claim
 * none, and one that is being written may be longer or shorter by the time it
 * is read. Only pieces before the last one have a length to stop at.
 */
#include "work.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Large enough that system calls do not matter, small enough for the cache. */
#define READ_BYTES (256 << 10)

struct worker {
	unsigned char *buffer;
	char path[PATH_MAX];
};

void work_begin(struct work_task *t, enum work_type type)
{
	t->head = (struct work_head){.type = type};
	t->len = sizeof(t->head);
	t->last_len = 0;
}

bool work_add_path(struct work_task *t, const char *path, size_t len,
		   uint32_t flags)
{
	struct work_path p = {.flags = flags};
	size_t keep = 0, max = len < t->last_len ? len : t->last_len;

	while (keep < max && path[keep] == t->last[keep])
		keep++;
	if (t->head.paths == WORK_BATCH_MAX ||
	    t->len + sizeof(p) + len - keep > sizeof(t->bytes))
		return false;
	p.keep = (uint16_t)keep;
	p.add = (uint16_t)(len - keep);
	memcpy(t->bytes + t->len, &p, sizeof(p));
	memcpy(t->bytes + t->len + sizeof(p), path + keep, len - keep);
	t->len += sizeof(p) + len - keep;
	t->last = path;
	t->last_len = len;
	t->head.paths++;
	return true;
}

/* The path at *at, into w->path; *at moves behind it. Returns its flags. */
static uint32_t next_path(struct worker *w, const unsigned char **at)
{
	struct work_path p;

	memcpy(&p, *at, sizeof(p));
	memcpy(w->path + p.keep, *at + sizeof(p), p.add);
	w->path[p.keep + p.add] = '\0';
	*at += sizeof(p) + p.add;
	return p.flags;
}

/* Count up to length bytes from here. */
static void count_file(struct worker *w, int fd, uint64_t length,
		       struct work_look *look)
{
	look->outcome = WORK_COUNTED;
	while (length) {
		size_t want = length < READ_BYTES ? length : READ_BYTES;
		ssize_t n = read(fd, w->buffer, want);

		if (n == 0)
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			look->err = errno;
			break;
		}
		count_bytes(&look->count, w->buffer, (size_t)n);
		length -= (uint64_t)n;
	}
}

/* Say how large a file is that could not be opened: it counts for columns. */
static void look_only(const char *path, uint32_t flags, struct work_look *look)
{
	int at = flags & WORK_WALKED ? AT_SYMLINK_NOFOLLOW : 0;
	struct stat st;

	if (fstatat(AT_FDCWD, path, &st, at) < 0)
		return;
	if (S_ISREG(st.st_mode))
		look->size = (uint64_t)st.st_size;
	else if (flags & WORK_WALKED)
		look->outcome = WORK_SKIPPED;
}

/*
 * Open the file at w->path: its descriptor, or -1 with the outcome in look.
 * Without O_NONBLOCK a pipe that took the file's place would hold us.
 */
static int open_file(const struct worker *w, uint32_t flags,
		     struct work_look *look)
{
	int mode = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct stat st;
	int fd;

	if (flags & WORK_WALKED)
		mode |= O_NOFOLLOW;
	fd = open(w->path, mode);
	if (fd < 0 || fstat(fd, &st) < 0) {
		look->outcome = WORK_FAILED;
		look->err = errno;
		look_only(w->path, flags, look);
	} else if (!S_ISREG(st.st_mode)) {
		look->outcome = WORK_SKIPPED;
	} else {
		look->size = (uint64_t)st.st_size;
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

static void run_batch(struct worker *w, const struct work_head *head,
		      const unsigned char *paths, struct work_look *looks)
{
	uint64_t left = head->length;

	for (uint32_t i = 0; i < head->paths; i++) {
		struct work_look *look = &looks[i];
		uint32_t flags = next_path(w, &paths);
		int fd;

		memset(look, 0, sizeof(*look));
		fd = open_file(w, flags, look);
		if (fd < 0)
			continue;
		if (look->size > left) {
			look->outcome = WORK_LATER;
		} else {
			count_file(w, fd, WORK_TO_END, look);
			left -= look->size;
		}
		close(fd);
	}
}

static void run_piece(struct worker *w, const struct work_head *head,
		      const unsigned char *paths, struct work_look *look)
{
	uint32_t flags = next_path(w, &paths);
	int fd;

	memset(look, 0, sizeof(*look));
	fd = open_file(w, flags, look);
	if (fd < 0)
		return;
	if (head->offset && lseek(fd, (off_t)head->offset, SEEK_SET) < 0) {
		look->outcome = WORK_COUNTED;
		look->err = errno;
	} else {
		count_file(w, fd, head->length, look);
	}
	close(fd);
}

int work_setup(void *ctx, unsigned index, void **state)
{
	struct worker *w = malloc(sizeof(*w));

	(void)ctx;
	(void)index;
	if (!w)
		return -ENOMEM;
	w->buffer = aligned_alloc(4096, READ_BYTES);
	if (!w->buffer) {
		free(w);
		return -ENOMEM;
	}
	*state = w;
	return 0;
}

int work_run(void *state, const struct fr_task *task, struct fr_reply *reply)
{
	const unsigned char *paths = task->arg;
	struct work_head head;

	memcpy(&head, paths, sizeof(head));
	paths += sizeof(head);
	if (head.type == WORK_PIECE)
		run_piece(state, &head, paths, reply->data);
	else
		run_batch(state, &head, paths, reply->data);
	reply->len = head.paths * sizeof(struct work_look);
	return 0;
}

void work_teardown(void *state)
{
	struct worker *w = state;

	free(w->buffer);
	free(w);
}
