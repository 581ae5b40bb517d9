/* SPDX-License-Identifier: MIT */
/*
 * The walk, with a stack of its own: one level for each directory on the way
 * from the root to the place where it is.
 *
 * Invariants:
 *	the path in `w.path` is that of the directory on top of the stack, or of
 *	its entry that is being reported;
 *	no directory is open between two calls of fn, so the walk holds one
 *	descriptor at most, and none while fn runs.
 */
#include "walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
	const char *name;
	bool dir;
};

/* One directory: its names end to end in text, sorted in entries. */
struct level {
	char *text;
	struct entry *entries;
	size_t count;
	size_t next;	 /* entry to report next */
	size_t path_len; /* of the directory, its last "/" included */
};

struct walk {
	char *path;
	size_t path_size;
	size_t path_len;
	struct level *levels;
	size_t depth;
	size_t depth_max;
	walk_fn *fn;
	void *ctx;
};

/*
 * The array, which has *size elements, or a larger one in its place that has at
 * least count. NULL: no memory, and the array is as it was.
 */
static void *with_room(void *array, size_t *size, size_t count, size_t each)
{
	size_t more = *size ? *size : 64;
	void *grown;

	if (count <= *size)
		return array;
	while (more < count)
		more *= 2;
	grown = realloc(array, more * each);
	if (grown)
		*size = more;
	return grown;
}

static int report(struct walk *w, enum walk_what what, int err)
{
	struct walk_step step = {
		.what = what,
		.path = w->path,
		.len = w->path_len,
		.err = err,
	};

	return w->fn(w->ctx, &step);
}

/* Put name behind the first len bytes of the path. */
static int set_path(struct walk *w, size_t len, const char *name)
{
	size_t name_len = strlen(name);
	char *path = with_room(w->path, &w->path_size, len + name_len + 1, 1);

	if (!path)
		return -ENOMEM;
	w->path = path;
	memcpy(w->path + len, name, name_len + 1);
	w->path_len = len + name_len;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name,
		      ((const struct entry *)b)->name);
}

/* What a directory's entry is: DT_REG, DT_DIR, or DT_UNKNOWN for the rest. */
static int type_of(DIR *dir, const struct dirent *d)
{
	struct stat st;

	if (d->d_type == DT_REG || d->d_type == DT_DIR)
		return d->d_type;
	/* Some filesystems do not tell. A file that is gone by now is taken
	 * for one, and reported by whoever opens it. */
	if (d->d_type != DT_UNKNOWN)
		return DT_UNKNOWN;
	if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_REG;
	if (S_ISREG(st.st_mode))
		return DT_REG;
	return S_ISDIR(st.st_mode) ? DT_DIR : DT_UNKNOWN;
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/*
 * Read the entries to walk into text, each as one byte of type and a string.
 * Returns how many, or -ENOMEM; *err is what reading ended with.
 */
static ssize_t read_names(DIR *dir, char **text, size_t *text_len, int *err)
{
	size_t size = 0, len = 0;
	ssize_t count = 0;
	struct dirent *d;

	while (errno = 0, (d = readdir(dir))) {
		size_t name_size = strlen(d->d_name) + 1;
		int type = is_dots(d->d_name) ? DT_UNKNOWN : type_of(dir, d);
		char *room;

		if (type == DT_UNKNOWN)
			continue;
		room = with_room(*text, &size, len + name_size + 1, 1);
		if (!room)
			return -ENOMEM;
		*text = room;
		(*text)[len++] = type == DT_DIR;
		memcpy(*text + len, d->d_name, name_size);
		len += name_size;
		count++;
	}
	*err = errno;
	*text_len = len;
	return count;
}

/* Sort what read_names() found, unless it was in order already. */
static int sort_names(struct level *l, size_t text_len)
{
	const char *p = l->text;
	bool sorted = true;

	l->entries = malloc((l->count + 1) * sizeof(*l->entries));
	if (!l->entries)
		return -ENOMEM;
	for (size_t i = 0; p < l->text + text_len; i++) {
		l->entries[i] = (struct entry){.name = p + 1, .dir = *p};
		p += strlen(p + 1) + 2;
		if (i && compare(&l->entries[i - 1], &l->entries[i]) > 0)
			sorted = false;
	}
	if (!sorted)
		qsort(l->entries, l->count, sizeof(*l->entries), compare);
	return 0;
}

static int fill_level(struct level *l, DIR *dir, int *err)
{
	size_t text_len = 0;
	ssize_t count = read_names(dir, &l->text, &text_len, err);

	if (count < 0)
		return -ENOMEM;
	l->count = (size_t)count;
	return sort_names(l, text_len);
}

/* Read the directory at the path, and put it on the stack. */
static int enter(struct walk *w, int flags)
{
	struct level *l;
	DIR *dir;
	int rc, fd, err = 0;

	rc = report(w, WALK_DIR, 0);
	if (rc)
		return rc;
	l = with_room(w->levels, &w->depth_max, w->depth + 1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	w->levels = l;
	fd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
	if (fd < 0)
		return report(w, WALK_ERROR, errno);
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	l = &w->levels[w->depth++];
	*l = (struct level){0};
	rc = fill_level(l, dir, &err);
	closedir(dir);
	if (rc == 0 && err)
		rc = report(w, WALK_ERROR, err);
	if (rc == 0 && w->path[w->path_len - 1] != '/')
		rc = set_path(w, w->path_len, "/");
	l->path_len = w->path_len;
	return rc;
}

static void leave(struct walk *w)
{
	struct level *l = &w->levels[--w->depth];

	free(l->entries);
	free(l->text);
}

int walk(const char *root, walk_fn *fn, void *ctx)
{
	struct walk w = {.fn = fn, .ctx = ctx};
	int rc = set_path(&w, 0, root);

	if (rc == 0)
		rc = enter(&w, 0);
	while (rc == 0 && w.depth) {
		struct level *l = &w.levels[w.depth - 1];
		const struct entry *e;

		if (l->next == l->count) {
			leave(&w);
			continue;
		}
		e = &l->entries[l->next++];
		rc = set_path(&w, l->path_len, e->name);
		if (rc == 0)
			rc = e->dir ? enter(&w, O_NOFOLLOW)
				    : report(&w, WALK_FILE, 0);
	}
	while (w.depth)
		leave(&w);
	free(w.levels);
	free(w.path);
	return rc;
}
