/* SPDX-License-Identifier: MIT */
/* The watch over the healthy processes: crashes, hangs, and what is said of
 * them. */
#include "fuzz.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void nap(int64_t ns)
{
	const struct timespec ts = {ns / 1000000000, ns % 1000000000};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

/* ---- failures ---- */

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (!run.quiet)
		vprintf(format, args);
	va_end(args);
}

void tell_damages(void)
{
	unsigned i;

	if (run.told || run.quiet)
		return;
	run.told = true;
	printf("fuzz: arena %llu of seed %llu: again with --seed %llu --first "
	       "%llu --arenas 1\n",
	       (unsigned long long)run.number, (unsigned long long)run.seed,
	       (unsigned long long)run.seed, (unsigned long long)run.number);
	for (i = 0; i < run.logged; i++)
		printf("  %u. %s at %zu, %u bytes: %s: %016llx -> %016llx\n",
		       i + 1, run.log[i].part, run.log[i].offset,
		       run.log[i].bytes, run.log[i].how,
		       (unsigned long long)run.log[i].before,
		       (unsigned long long)run.log[i].after);
	fflush(stdout);
}

/* All threads' stacks of a process, if gdb is there. */
static void look_at(pid_t pid)
{
	char text[16];
	char *const args[] = {
		"gdb", "-q", "-batch", "-nx",
		"-p",  text, "-ex",    "thread apply all bt",
		NULL,
	};
	extern char **environ;
	pid_t gdb;
	int status;

	if (run.quiet)
		return;
	snprintf(text, sizeof(text), "%d", (int)pid);
	fflush(stdout);
	if (posix_spawnp(&gdb, "gdb", NULL, NULL, args, environ) == 0)
		while (waitpid(gdb, &status, 0) == -1 && errno == EINTR)
			;
}

static void tell_crash(struct seat *s)
{
	bool hang = s->signal == SIGVTALRM;

	*(hang ? &run.hangs : &run.crashes) += 1;
	say("fuzz: process %d %s (signal %d, address %#llx) in %s\n", s->pid,
	    hang ? "does not end" : "crashed", s->signal,
	    (unsigned long long)s->address, function_name(s->function));
	tell_damages();
	look_at(s->pid);
	SET(s->looked, 1);
}

static void tell_hang(struct seat *s)
{
	run.hangs++;
	say("fuzz: process %d hangs in %s%s\n", s->pid,
	    function_name(s->function), s->sleeping ? ", asleep" : "");
	tell_damages();
	look_at(s->pid);
	kill(s->pid, SIGKILL);
	SET(s->pid, 0);
}

/* Neither gone nor a zombie. */
static bool is_there(pid_t pid)
{
	char text[64], *end;
	FILE *f;

	snprintf(text, sizeof(text), "/proc/%d/stat", (int)pid);
	f = fopen(text, "re");
	if (!f)
		return false;
	end = fgets(text, sizeof(text), f) ? strrchr(text, ')') : NULL;
	fclose(f);
	return end && end[1] == ' ' && end[2] != 'Z' && end[2] != 'X';
}

/* Look at every process. */
static void watch(void)
{
	static uint64_t ticks[SEATS];
	static int64_t since[SEATS];
	static int32_t pids[SEATS];
	int64_t now = now_ns();
	unsigned i;

	for (i = 0; i < SEATS; i++) {
		struct seat *s = &board->seat[i];

		if (GET(s->signal) && !s->looked)
			tell_crash(s);
		if (GET(s->pid) == 0 || s->signal || s->pid != pids[i] ||
		    GET(s->ticks) != ticks[i]) {
			pids[i] = s->pid;
			ticks[i] = s->ticks;
			since[i] = now;
		} else if (now - since[i] >= run.hang_ns) {
			if (is_there(s->pid))
				tell_hang(s);
			else
				SET(s->pid, 0);
		}
	}
}

/* A process of ours has ended. */
static void reaped(pid_t pid, int status)
{
	unsigned i;
	bool ours = false, seen = false;

	for (i = 0; i < PROCESSES; i++)
		if (run.children[i] == pid) {
			ours = true;
			run.children[i] = 0;
		}
	watch();
	for (i = 0; i < SEATS; i++)
		if (board->seat[i].pid == pid) {
			seen |= board->seat[i].signal != 0;
			SET(board->seat[i].pid, 0);
		}
	/* One that hung was killed; one that crashed has told us. */
	if (!ours || seen || status == 0 || status == SIGKILL)
		return;
	run.crashes++;
	say("fuzz: process %d ended with status %#x\n", (int)pid,
	    (unsigned)status);
	tell_damages();
}

/* Wait for all that is below us; ends all if that takes too long. */
void reap_all(void)
{
	int status;
	pid_t pid;

	for (;;) {
		pid = waitpid(-1, &status, WNOHANG);
		if (pid > 0)
			reaped(pid, status);
		else if (pid == -1 && errno == ECHILD)
			return;
		else if (pid == 0)
			nap(MS / 5);
		if (pid == 0)
			watch();
	}
}
