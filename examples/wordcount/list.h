/* SPDX-License-Identifier: MIT */
/*
 * The list of files, in the order of the output: what was found, and what has
 * been counted of it. A file may be in pieces, whose counts come in any order
 * and are joined when the last one is in.
 */
#ifndef WORDCOUNT_LIST_H
#define WORDCOUNT_LIST_H

#include "count.h"

#include <stdbool.h>

enum file_kind {
	FILE_WALKED,  /* a regular file, found in a directory */
	FILE_GIVEN,   /* a regular file, named by the user */
	FILE_STREAM,  /* standard input, a pipe, a device: main reads it */
	FILE_MESSAGE, /* no file at all: a directory that cannot be read */
};

/* file.err: the worker who counted it died. */
#define FILE_LOST (-1)

/* One line of the output, or of stderr, or both. */
struct file {
	const char *path; /* NULL: standard input, and no name to be shown */
	size_t path_len;
	uint64_t size; /* as the file system says: the columns' width */
	struct count count;
	struct count *pieces; /* if there are several, until all are in */
	uint32_t pieces_count;
	uint32_t pieces_left; /* not counted yet */
	int err;	      /* an errno, or FILE_LOST; 0: all went well */
	uint8_t kind;	      /* enum file_kind */
	bool opened;	      /* it could be, so it gets a line */
	bool wide;	      /* no regular file: columns are 7 wide at least */
	bool dropped; /* it turned out to be none of ours: not mentioned */
};

/* All zero: empty. */
struct list {
	struct file *files; /* moves when one is added */
	size_t count;
	size_t max;
	struct list_block *blocks;
};

/*
 * Append a file; the path is copied. Returns it, until the next is added, or
 * NULL: no memory.
 */
struct file *list_add(struct list *list, enum file_kind kind, const char *path,
		      size_t len);

void list_free(struct list *list);

/* Cut a file of known size, above 0, in pieces of so many bytes. -ENOMEM. */
int file_cut(struct file *f, uint64_t piece_bytes);

/* A piece has been counted. */
void file_piece(struct file *f, uint32_t piece, const struct count *count);

#endif
