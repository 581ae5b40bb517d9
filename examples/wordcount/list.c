/* SPDX-License-Identifier: MIT */
/* The list of files. Paths are kept in blocks that stay where they are. */
#include "list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES (256 << 10)

struct list_block {
	struct list_block *next;
	size_t used, size;
	char bytes[];
};

static const char *keep(struct list *list, const char *s, size_t len)
{
	struct list_block *b = list->blocks;
	char *kept;

	if (!b || b->size - b->used <= len) {
		size_t size = len < BLOCK_BYTES ? BLOCK_BYTES : len + 1;

		b = malloc(sizeof(*b) + size);
		if (!b)
			return NULL;
		*b = (struct list_block){.next = list->blocks, .size = size};
		list->blocks = b;
	}
	kept = b->bytes + b->used;
	memcpy(kept, s, len);
	kept[len] = '\0';
	b->used += len + 1;
	return kept;
}

struct file *list_add(struct list *list, enum file_kind kind, const char *path,
		      size_t len)
{
	struct file *f;

	if (list->count == list->max) {
		size_t more = list->max ? list->max * 2 : 1024;

		f = realloc(list->files, more * sizeof(*f));
		if (!f)
			return NULL;
		list->files = f;
		list->max = more;
	}
	f = &list->files[list->count];
	*f = (struct file){.kind = kind, .path_len = len};
	if (path) {
		f->path = keep(list, path, len);
		if (!f->path)
			return NULL;
	}
	list->count++;
	return f;
}

void list_free(struct list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->files[i].pieces);
	free(list->files);
	while (list->blocks) {
		struct list_block *next = list->blocks->next;

		free(list->blocks);
		list->blocks = next;
	}
	*list = (struct list){0};
}

int file_cut(struct file *f, uint64_t piece_bytes)
{
	f->pieces_count = (uint32_t)((f->size + piece_bytes - 1) / piece_bytes);
	f->pieces_left = f->pieces_count;
	if (f->pieces_count > 1) {
		f->pieces = calloc(f->pieces_count, sizeof(*f->pieces));
		if (!f->pieces)
			return -ENOMEM;
	}
	return 0;
}

void file_piece(struct file *f, uint32_t piece, const struct count *count)
{
	if (f->pieces)
		f->pieces[piece] = *count;
	else
		f->count = *count;
	if (--f->pieces_left || !f->pieces)
		return;
	for (uint32_t i = 0; i < f->pieces_count; i++)
		count_join(&f->count, &f->pieces[i]);
	free(f->pieces);
	f->pieces = NULL;
}
