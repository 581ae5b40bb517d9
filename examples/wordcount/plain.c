/* SPDX-License-Identifier: MIT */
/*
 * wordcount-plain FILE: what a queue costs wordcount is seen beside this. Two
 * processes that know of none count half of one file each, with the same reads and
 * the same count.c; nobody helps who is done first.
 */
#include "count.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES  2
#define READ_BYTES (256 << 10)

static unsigned char buffer[READ_BYTES];

/* Count the bytes from offset to end: 0, or 1. */
static int count_part(const char *path, off_t offset, off_t end,
		      struct count *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t left = end - offset;
	ssize_t n;

	if (fd < 0 || lseek(fd, offset, SEEK_SET) < 0)
		return 1;
	while (left > 0) {
		n = read(fd, buffer, left < READ_BYTES ? (size_t)left : READ_BYTES);
		if (n <= 0)
			return 1;
		count_bytes(ret, buffer, (size_t)n);
		left -= n;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct count all = {0}, *part;
	struct stat st;
	int status, failed = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: wordcount-plain FILE\n");
		return 2;
	}
	if (stat(argv[1], &st) < 0) {
		perror(argv[1]);
		return 1;
	}
	part = mmap(NULL, PROCESSES * sizeof(*part), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (part == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	for (int i = 0; i < PROCESSES; i++) {
		off_t from = st.st_size / PROCESSES * i;
		off_t to = i == PROCESSES - 1 ? st.st_size
					      : st.st_size / PROCESSES * (i + 1);
		pid_t pid = fork();

		if (pid == 0)
			_exit(count_part(argv[1], from, to, &part[i]));
		failed |= pid < 0;
	}
	while (wait(&status) > 0)
		failed |= status;
	if (failed) {
		fprintf(stderr, "wordcount-plain: %s could not be counted\n",
			argv[1]);
		return 1;
	}
	for (int i = 0; i < PROCESSES; i++)
		count_join(&all, &part[i]);
	printf("%llu %llu %llu %s\n", (unsigned long long)all.lines,
	       (unsigned long long)all.words, (unsigned long long)all.bytes,
	       argv[1]);
	return 0;
}
