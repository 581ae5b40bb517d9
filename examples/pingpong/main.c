/* SPDX-License-Identifier: MIT */
/*
 * pingpong: how long a message takes to another process and back.
 *
 *	pingpong [-n ROUNDS] [-s BYTES]
 *
 * Twice: both sides polling (needs two CPUs), both sides sleeping. Prints the
 * median and the 99th percentile of single round trips.
 */
#include <forkring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The other side: send back whatever comes, until the exit message. */
static int echo(struct fr_arena *arena, enum fr_wait_mode mode)
{
	struct fr_join_opts opts = {.name = "echo", .wait = mode};
	struct fr_process *self;
	struct fr_message m;
	bool more = true;

	if (fr_join(arena, &opts, &self) < 0)
		return 1;
	while (more && fr_receive(self, FR_FOREVER, &m) == 0) {
		more = m.type.id != FR_TYPE_EXIT.id;
		if (more)
			fr_send(self, m.from, m.type, m.body, m.len,
				FR_FOREVER);
		fr_release(self, &m);
	}
	fr_leave(self);
	return 0;
}

static int play(struct fr_arena *arena, enum fr_wait_mode mode, size_t rounds,
		size_t bytes, int64_t *times)
{
	struct fr_join_opts opts = {.wait = mode};
	struct fr_process *self;
	struct fr_message m;
	struct fr_addr to;
	char *ball = calloc(1, bytes + 1);
	pid_t child = fork();
	size_t i;
	int rc;

	if (child == 0)
		_exit(echo(arena, mode));
	rc = ball && child > 0 ? fr_join(arena, &opts, &self) : -1;
	if (rc < 0)
		return rc;
	rc = fr_wait_name(self, "echo", FR_FOREVER, &to);
	for (i = 0; i < rounds && rc == 0; i++) {
		int64_t start = now_ns();

		rc = fr_send(self, to, (struct fr_type){0}, ball, bytes,
			     FR_FOREVER);
		if (rc == 0)
			rc = fr_receive(self, FR_FOREVER, &m);
		if (rc == 0)
			fr_release(self, &m);
		times[i] = now_ns() - start;
	}
	fr_send_exit(self, to, FR_FOREVER);
	waitpid(child, NULL, 0);
	fr_leave(self);
	free(ball);
	return rc;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		enum fr_wait_mode mode;
	} modes[] = {{"polling", FR_WAIT_POLL}, {"sleeping", FR_WAIT_SLEEP}};
	long rounds = 20000, bytes = 8;
	struct fr_arena *arena;
	int64_t *times;
	unsigned i;
	int c, rc;

	while ((c = getopt(argc, argv, "n:s:")) != -1) {
		if (c == 'n')
			rounds = atol(optarg);
		else if (c == 's')
			bytes = atol(optarg);
		else
			rounds = 0;
	}
	if (rounds < 100 || rounds > 10000000 || bytes < 0 || bytes > 100000 ||
	    optind != argc) {
		fprintf(stderr, "usage: pingpong [-n ROUNDS] [-s BYTES]: "
				"100 to 10000000 rounds, up to 100000 bytes\n");
		return 2;
	}
	times = calloc((size_t)rounds, sizeof(*times));
	rc = fr_arena_create(NULL, NULL, &arena);
	if (!times || rc < 0) {
		fprintf(stderr, "pingpong: no memory\n");
		return 1;
	}
	for (i = 0; i < 2 && rc == 0; i++) {
		if (modes[i].mode == FR_WAIT_POLL && fr_cpus() < 2) {
			printf("polling:  needs two CPUs\n");
			continue;
		}
		rc = play(arena, modes[i].mode, (size_t)rounds, (size_t)bytes,
			  times);
		qsort(times, (size_t)rounds, sizeof(*times), by_value);
		printf("%-9s round trip of %ld bytes: median %lld ns, "
		       "99 %% within %lld ns\n",
		       modes[i].name, bytes, (long long)times[rounds / 2],
		       (long long)times[rounds - rounds / 100]);
	}
	fr_arena_detach(arena);
	free(times);
	if (rc < 0)
		fprintf(stderr, "pingpong: %s\n", strerror(-rc));
	return rc < 0;
}
