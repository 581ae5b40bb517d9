/* SPDX-License-Identifier: MIT */
/*
 * wordcount: wc over files and directory trees, by a farm of processes.
 *
 *	walk.c      finds the files                                   main
 *	tally.c     makes tasks of them, gathers the results          main
 *	work.c      opens and reads                                   workers
 *	count.c     counts bytes                                      workers
 *	list.c      files in order, with what is known of each        main
 *	output.c    prints them                                       main
 *	progress.c  the bar                                           main
 *
 * Three phases: walk and submit, taking in results on the way; wait for the
 * rest; end the workers, then print. So whatever the output runs into, a full
 * disk or a reader that has left, no worker is there to be left behind.
 *
 * What is no regular file (standard input, pipes, devices) main reads by
 * itself, after the walk, while the workers work.
 */
#include "output.h"
#include "tally.h"
#include "walk.h"

#include <forkring/supervisor.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_FAILED  1
#define EXIT_USAGE   2

#define WORKERS_MAX  1024
#define STREAM_BYTES (256 << 10)

struct options {
	unsigned workers;
	uint64_t piece;
	bool only_total;
	bool summary;
};

/* clang-format off */
static const char usage[] =
"usage: wordcount [-j N] [-q] [-s] [PATH...]\n"
"Count lines, words and bytes of files, and of all files in directories, as\n"
"wc does in the C locale. PATH - is standard input, as is no PATH at all.\n"
"\n"
"  -j, --jobs N      worker processes, 1 to 1024 (default: one per CPU)\n"
"  -q, --quiet       print the total only, and no progress bar\n"
"  -s, --summary     say on stderr how much was counted, and how fast\n"
"      --piece BYTES cut files into pieces of so many bytes (default: by size)\n"
"  -h, --help        print this\n"
"\n"
"Exit status: 0, or 1 if anything could not be counted, 2 for a wrong option.\n";
/* clang-format on */

/* Options. */

__attribute__((noreturn, format(printf, 1, 2))) static void
bad_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("wordcount: ", stderr);
	vfprintf(stderr, format, args);
	fputs("; try wordcount --help\n", stderr);
	va_end(args);
	exit(EXIT_USAGE);
}

/* A whole number in decimal, at least 1. */
static uint64_t number(const char *what, const char *s, uint64_t max)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(s, &end, 10);
	if (*s < '0' || *s > '9' || *end || errno || n < 1 || n > max)
		bad_usage("%s must be a number from 1 to %" PRIu64 ", not '%s'",
			  what, max, s);
	return n;
}

static __attribute__((noreturn)) void wrong_option(char **argv)
{
	const char *arg = argv[optind - 1];

	if (!optopt)
		bad_usage("no option %s", arg);
	if (strncmp(arg, "--", 2) == 0)
		bad_usage("%s %s", arg,
			  strchr(arg, '=') ? "takes no value"
					   : "needs a value");
	if (optopt == 'j')
		bad_usage("-j needs a number of workers");
	bad_usage("no option -%c", optopt);
}

static void parse(int argc, char **argv, struct options *o)
{
	enum { PIECE = UCHAR_MAX + 1 };
	static const struct option options[] = {
		{"jobs", required_argument, NULL, 'j'},
		{"quiet", no_argument, NULL, 'q'},
		{"summary", no_argument, NULL, 's'},
		{"piece", required_argument, NULL, PIECE},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	*o = (struct options){.workers = fr_cpus()};
	opterr = 0;
	while ((c = getopt_long(argc, argv, "j:qsh", options, NULL)) >= 0) {
		switch (c) {
		case 'j':
			o->workers =
				(unsigned)number("-j", optarg, WORKERS_MAX);
			break;
		case 'q':
			o->only_total = true;
			break;
		case 's':
			o->summary = true;
			break;
		case PIECE:
			o->piece = number("--piece", optarg, INT64_MAX);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(fflush(stdout) ? EXIT_FAILED : 0);
		default:
			wrong_option(argv);
		}
	}
	if (o->workers > WORKERS_MAX)
		o->workers = WORKERS_MAX;
}

/* Arguments. */

static int on_step(void *ctx, const struct walk_step *step)
{
	struct tally *t = ctx;
	struct file *f;

	switch (step->what) {
	case WALK_DIR:
		return tally_pause(t);
	case WALK_FILE:
		return tally_file(t, FILE_WALKED, step->path, step->len, 0);
	case WALK_ERROR:
		break;
	}
	f = list_add(&t->list, FILE_MESSAGE, step->path, step->len);
	if (!f)
		return -ENOMEM;
	f->err = step->err;
	return 0;
}

/* NULL is standard input, as "-" is, but without a name in the output. */
static int add_argument(struct tally *t, const char *path)
{
	size_t len = path ? strlen(path) : 0;
	bool input = !path || strcmp(path, "-") == 0;
	struct stat st;
	struct file *f;
	int err;

	err = (input ? fstat(STDIN_FILENO, &st) : stat(path, &st)) ? errno : 0;
	if (!err && !input && S_ISDIR(st.st_mode))
		return walk(path, on_step, t);
	if (!err && !input && S_ISREG(st.st_mode))
		return tally_file(t, FILE_GIVEN, path, len,
				  (uint64_t)st.st_size);
	f = list_add(&t->list, input || !err ? FILE_STREAM : FILE_GIVEN, path,
		     len);
	if (!f)
		return -ENOMEM;
	f->err = err;
	f->wide = !err && !S_ISREG(st.st_mode);
	if (!err && S_ISREG(st.st_mode))
		f->size = (uint64_t)st.st_size;
	return 0;
}

/* Streams. */

/* Wait until there is something to read, with an eye on the workers. */
static int wait_readable(struct tally *t, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int n, rc;

	do {
		n = poll(&p, 1, 100);
		rc = tally_poll(t);
	} while (rc == 0 && (n == 0 || (n < 0 && errno == EINTR)));
	return rc;
}

static int count_stream(struct tally *t, int fd, struct file *f)
{
	static unsigned char buffer[STREAM_BYTES];
	int rc;

	f->opened = true;
	while ((rc = wait_readable(t, fd)) == 0) {
		ssize_t n = read(fd, buffer, sizeof(buffer));

		if (n == 0)
			break;
		if (n < 0 && errno != EINTR && errno != EAGAIN) {
			f->err = errno;
			break;
		}
		if (n > 0) {
			count_bytes(&f->count, buffer, (size_t)n);
			t->counted += (uint64_t)n;
		}
	}
	return rc;
}

/*
 * Read all streams, one after the other. No entry is added meanwhile. A pipe is
 * opened at once even if nobody writes to it yet: waiting is wait_readable()'s.
 */
static int count_streams(struct tally *t)
{
	int rc = 0;

	for (size_t i = 0; i < t->list.count && rc == 0; i++) {
		struct file *f = &t->list.files[i];
		int fd = STDIN_FILENO;

		if (f->kind != FILE_STREAM || f->err)
			continue;
		if (f->path && strcmp(f->path, "-") != 0)
			fd = open(f->path,
				  O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fd >= 0)
			rc = count_stream(t, fd, f);
		else
			f->err = errno;
		if (fd > STDERR_FILENO)
			close(fd);
	}
	return rc;
}

/* All together. */

static int count_all(struct tally *t, char **paths)
{
	int rc = 0;

	if (!*paths)
		rc = add_argument(t, NULL);
	for (; *paths && rc == 0; paths++)
		rc = add_argument(t, *paths);
	if (rc == 0)
		rc = tally_all_found(t);
	if (rc == 0)
		rc = count_streams(t);
	return rc == 0 ? tally_finish(t) : rc;
}

static void print_summary(const struct output_sums *sums, unsigned workers,
			  uint64_t tasks, double seconds)
{
	fprintf(stderr,
		"%" PRIu64 " files, %" PRIu64 " bytes in %.3f s: "
		"%.0f bytes/s; %u workers, %" PRIu64 " tasks, %.0f tasks/s\n",
		sums->files, sums->count.bytes, seconds,
		sums->count.bytes / seconds, workers, tasks, tasks / seconds);
}

/* Names below 3 that were closed are taken, so that no file of ours gets one;
 * the wrong way round, so that using them fails as it should. */
static void guard_standard_files(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			open("/dev/null",
			     fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/* End as one who never caught the signal, so that a shell's loop ends too. */
static __attribute__((noreturn)) void end_by_signal(void)
{
	signal(SIGINT, SIG_DFL);
	raise(SIGINT);
	exit(128 + SIGINT);
}

int main(int argc, char **argv)
{
	struct options o;
	struct progress progress;
	struct tally_opts opts;
	struct output_sums sums;
	struct tally t;
	struct fr_farm_stats stats = {0};
	double seconds;
	int rc, closed;

	guard_standard_files();
	parse(argc, argv, &o);
	progress_begin(&progress, STDERR_FILENO, !o.only_total);
	opts = (struct tally_opts){
		.workers = o.workers,
		.piece = o.piece,
		.progress = &progress,
	};
	rc = tally_open(&t, &opts);
	if (rc == -EINTR)
		end_by_signal();
	if (rc < 0) {
		tally_free(&t);
		fprintf(stderr,
			"wordcount: cannot start %u workers: %s; "
			"try fewer with -j\n",
			o.workers, strerror(-rc));
		return EXIT_FAILED;
	}
	rc = count_all(&t, argv + optind);
	seconds = (progress_clock_ns() - progress.start_ns) / 1e9;
	fr_farm_stats(t.farm, &stats);
	closed = tally_close(&t);
	progress_clear(&progress);
	if (rc == -EINTR || closed == -EINTR)
		end_by_signal();
	if (rc < 0) {
		fprintf(stderr, "wordcount: %s\n",
			rc == -ECHILD ? "the workers keep dying"
				      : strerror(-rc));
		return EXIT_FAILED;
	}
	rc = output_list(&t.list, STDOUT_FILENO, o.only_total, &sums);
	if (rc == 0 && close(STDOUT_FILENO) < 0)
		rc = -errno;
	if (rc < 0)
		fprintf(stderr, "wordcount: write error: %s\n", strerror(-rc));
	if (o.summary)
		print_summary(&sums, o.workers, stats.finished, seconds);
	tally_free(&t);
	return rc < 0 || sums.failures ? EXIT_FAILED : 0;
}
