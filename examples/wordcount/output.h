/* SPDX-License-Identifier: MIT */
/*
 * The output: lines, words and bytes in the columns that wc would use for the
 * same files, and the messages about files that could not be counted.
 *
 * Columns are as wide as the sum of the sizes of the regular files has digits;
 * at least 7 if a pipe, a device or the like is among the files. Sizes are what
 * the file system says, not what was counted. Below them a total, if there are
 * two files or more, counting those that could not be opened.
 */
#ifndef WORDCOUNT_OUTPUT_H
#define WORDCOUNT_OUTPUT_H

#include "list.h"

struct output_sums {
	struct count count; /* of all files; its edges mean nothing */
	uint64_t files;	    /* that have been counted */
	uint64_t failures;  /* files and directories with a message */
};

/*
 * Write messages to stderr and lines to fd, in the order of the list. 0, or the
 * -errno of the first write to fd that failed.
 */
int output_list(const struct list *list, int fd, bool only_total,
		struct output_sums *ret);

#endif
