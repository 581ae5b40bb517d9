/* SPDX-License-Identifier: MIT */
/*
 * The arena's file: where it is, its name, its descriptors, its record locks.
 *
 * A named one is an unnamed file on /dev/shm first (O_TMPFILE), and linked under its
 * name when it is ready; a nameless one a memfd, sealed against growing and
 * shrinking. The file behind a name is looked at through an O_PATH descriptor first,
 * since closing any other one drops all record locks that this process has on it.
 */
#include "arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY "/dev/shm"
#define PATH_BYTES (sizeof(DIRECTORY) + 16 + FR__NAME_BYTES)

int fr__name_check(const char *name)
{
	size_t len;

	if (name == NULL || *name == '\0' || strchr(name, '/') != NULL ||
	    strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	len = strnlen(name, FR_NAME_MAX + 1);
	return len > FR_NAME_MAX ? -ENAMETOOLONG : 0;
}

static void path_of(const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/forkring.%s", DIRECTORY, name);
}

int fr__file_new(bool named, unsigned mode)
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

int fr__file_allocate(int fd, size_t bytes)
{
	int rc;

	do
		rc = posix_fallocate(fd, 0, (off_t)bytes);
	while (rc == EINTR);
	return rc == EFBIG || rc == ENOMEM ? -ENOSPC : -rc;
}

int fr__file_finish(int fd, const char *name)
{
	char from[64], to[PATH_BYTES];

	if (name[0] == '\0') {
		fcntl(fd, F_ADD_SEALS,
		      F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
		return 0;
	}
	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	path_of(name, to, sizeof(to));
	return linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == -1
		       ? -errno
		       : 0;
}

int fr__file_path(const char *name, struct stat *st)
{
	char path[PATH_BYTES];
	int fd, rc;

	path_of(name, path, sizeof(path));
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	if (fstat(fd, st) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

int fr__file_open(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd == -1 ? -errno : fd;
}

int fr__file_leads_to(const char *name, dev_t dev, ino_t ino)
{
	char path[PATH_BYTES];
	struct stat st;

	path_of(name, path, sizeof(path));
	if (lstat(path, &st) == -1)
		return -ENOENT;
	return st.st_dev == dev && st.st_ino == ino ? 0 : -ESTALE;
}

int fr_arena_unlink(const char *name)
{
	char path[PATH_BYTES];
	int rc = fr__name_check(name);

	if (rc < 0)
		return rc;
	path_of(name, path, sizeof(path));
	return unlink(path) == -1 ? -errno : 0;
}

int fr__file_lock(int fd, short type, unsigned first, unsigned count)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)first,
		.l_len = (off_t)count,
	};

	if (fcntl(fd, F_SETLK, &lock) == -1)
		return errno == EACCES ? -EAGAIN : -errno;
	return 0;
}

bool fr__file_is_ours(const struct fr_arena *a, int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_dev == a->dev &&
	       st.st_ino == a->ino;
}
