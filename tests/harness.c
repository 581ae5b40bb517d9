/* SPDX-License-Identifier: MIT */
#include "harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DIRECTORY "/dev/shm/"
#define PREFIX "forkring."
#define MAX 256 /* names, children, mappings of one test */

const struct fr_arena_opts small_arena = {
	.slots = 8,
	.mailbox_bytes = 4096,
	.cells = 8,
	.arg_max = 64,
	.result_max = 64,
	.events = 16,
	.types = 16,
};

static const char *running = "?"; /* the test */
static unsigned seconds;
static pid_t first_process;
static int descriptors; /* open when the test began */
static uint32_t *failed; /* shared: a child has failed, wait for nothing more */

static char paths[MAX][sizeof(DIRECTORY PREFIX) + FR_NAME_MAX];
static unsigned path_count;
static pid_t children[MAX]; /* 0: waited for */
static unsigned child_count;
static struct {
	void *at;
	size_t bytes;
} mappings[MAX];
static unsigned mapping_count;

/* Out of a test; or, since cmocka would run the next test there, of a child. */
static void give_up_at(const char *text, const char *file, int line)
{
	if (getpid() != first_process)
		test_child_fails(text, file, line);
	print_error("%s\n", text);
	_fail(file, line);
}
#define give_up(text) give_up_at(text, __FILE__, __LINE__)

/* ---- the watchdog ---- */

static void say(const char *text)
{
	ssize_t n = write(STDERR_FILENO, text, strlen(text));

	(void)n;
}

/* abort() alone would leave names and, for a moment, children. */
static void too_late(int sig)
{
	unsigned i;

	(void)sig;
	say("watchdog: ");
	say(running);
	say(getpid() == first_process ? " hangs\n" : ": a child of it hangs\n");
	if (getpid() == first_process) {
		for (i = 0; i < path_count; i++)
			unlink(paths[i]);
		for (i = 0; i < child_count; i++)
			if (children[i] > 0)
				kill(children[i], SIGKILL);
	}
	abort();
}

static void watch(unsigned limit)
{
	struct sigaction action = {.sa_handler = too_late};

	sigaction(SIGALRM, &action, NULL);
	alarm(limit);
}

/* ---- before and after ---- */

static int count_descriptors(bool tell)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;
	char link[PATH_MAX], target[PATH_MAX];
	int count = 0;
	ssize_t n;

	if (!dir)
		return -1;
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		count++;
		if (!tell)
			continue;
		snprintf(link, sizeof(link), "/proc/self/fd/%s", e->d_name);
		n = readlink(link, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		print_error("descriptor %s: %s\n", e->d_name, target);
	}
	closedir(dir);
	return count;
}

int test_setup(void **state)
{
	const char *text = getenv("FR_TEST_TIMEOUT");

	running = *state;
	first_process = getpid();
	if (!failed)
		failed = mmap(NULL, sizeof(*failed), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (failed == MAP_FAILED)
		return -1;
	*failed = 0;
	path_count = child_count = mapping_count = 0;
	descriptors = count_descriptors(false);
	seconds = text ? (unsigned)strtoul(text, NULL, 10) : 60;
	watch(seconds);
	return 0;
}

/* Names that begin as new_name()'s do; they are removed. */
static unsigned names_left(void)
{
	DIR *dir = opendir(DIRECTORY);
	struct dirent *e;
	char prefix[64];
	unsigned count = 0;

	if (!dir)
		return 0;
	snprintf(prefix, sizeof(prefix), PREFIX "test.%d.", (int)first_process);
	while ((e = readdir(dir)) != NULL) {
		if (strncmp(e->d_name, prefix, strlen(prefix)) != 0)
			continue;
		count++;
		print_error("%s leaves " DIRECTORY "%s\n", running, e->d_name);
		unlinkat(dirfd(dir), e->d_name, 0);
		unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
	return count;
}

/* Children that nobody has waited for; those of spawn() are killed. */
static unsigned children_left(void)
{
	unsigned count = 0, i;
	int status;

	for (i = 0; i < child_count; i++) {
		if (children[i] == 0)
			continue;
		count++;
		print_error("%s leaves its child %d\n", running,
			    (int)children[i]);
		kill(children[i], SIGKILL);
		waitpid(children[i], &status, 0);
	}
	if (waitpid(-1, &status, WNOHANG | __WALL) != -1 || errno != ECHILD) {
		count++;
		print_error("%s leaves a child\n", running);
	}
	return count;
}

int test_teardown(void **state)
{
	unsigned left;

	(void)state;
	if (getpid() != first_process) {
		say("a cmocka assertion in a child: use CHECK()\n");
		_exit(97);
	}
	alarm(0);
	left = children_left() + names_left();
	while (mapping_count > 0) {
		mapping_count--;
		munmap(mappings[mapping_count].at,
		       mappings[mapping_count].bytes);
	}
	if (count_descriptors(false) != descriptors) {
		left++;
		print_error("%s leaves %d descriptors:\n", running,
			    count_descriptors(false) - descriptors);
		count_descriptors(true);
	}
	return left > 0 ? -1 : 0;
}

/* ---- results ---- */

static void tell_rc(char *text, size_t size, const char *what, long actual,
		    long expected)
{
	snprintf(text, size, "%s is %ld (%s), not %ld (%s)", what, actual,
		 actual < 0 ? strerror((int)-actual) : "no error", expected,
		 expected < 0 ? strerror((int)-expected) : "no error");
}

void test_assert_rc(long actual, long expected, const char *what,
		    const char *file, int line)
{
	char text[512];

	if (actual == expected)
		return;
	tell_rc(text, sizeof(text), what, actual, expected);
	print_error("%s\n", text);
	_fail(file, line);
}

void test_check_rc(long actual, long expected, const char *what,
		   const char *file, int line)
{
	char text[512];

	if (actual == expected)
		return;
	tell_rc(text, sizeof(text), what, actual, expected);
	test_child_fails(text, file, line);
}

void test_child_fails(const char *what, const char *file, int line)
{
	dprintf(STDERR_FILENO, "%s:%d: in a child of %s: %s\n", file, line,
		running, what);
	if (failed)
		__atomic_store_n(failed, 1, __ATOMIC_SEQ_CST);
	_exit(99);
}

/* ---- things to use ---- */

const char *new_name(void)
{
	static unsigned number;
	char *path = paths[path_count < MAX ? path_count++ : MAX - 1];

	snprintf(path, sizeof(paths[0]), DIRECTORY PREFIX "test.%d.%d.%u",
		 (int)first_process, (int)getpid(), ++number);
	return path + strlen(DIRECTORY PREFIX);
}

void *shared(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED || mapping_count == MAX)
		give_up("no shared memory");
	mappings[mapping_count].at = at;
	mappings[mapping_count++].bytes = bytes;
	return at;
}

pid_t spawn(int (*fn)(void *ctx), void *ctx)
{
	pid_t parent = getpid(), pid;
	unsigned i;

	fflush(NULL);
	pid = fork();
	if (pid == -1)
		give_up("fork() fails");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(98);
		/* Before the parent: then the parent's test fails, and the
		 * others still run. */
		child_count = 0;
		watch(seconds - seconds / 4);
		_exit(fn(ctx));
	}
	for (i = 0; i < child_count && children[i] != 0; i++)
		;
	if (i == MAX)
		give_up("too many children at a time");
	child_count += i == child_count;
	children[i] = pid;
	return pid;
}

int wait_status(pid_t pid)
{
	unsigned i;
	int status;

	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			give_up("waitpid() fails");
	for (i = 0; i < child_count; i++)
		if (children[i] == pid)
			children[i] = 0;
	return status;
}

void test_wait_ok(pid_t pid, const char *file, int line)
{
	int status = wait_status(pid);
	char text[64];

	if (status == 0)
		return;
	snprintf(text, sizeof(text), "a child ended %s %d",
		 WIFSIGNALED(status) ? "by signal" : "with",
		 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	give_up_at(text, file, line);
}

void kill_hard(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	status = wait_status(pid);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		give_up("a child ended before it was killed");
}

void advance(uint32_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, counter, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

uint32_t reached(uint32_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

/* What was waited for may never come. */
static void look_for_failures(void)
{
	if (!failed || !reached(failed))
		return;
	if (getpid() != first_process)
		_exit(99);
	give_up("a child failed");
}

void await(uint32_t *counter, uint32_t at_least)
{
	const struct timespec slice = {0, 100 * MS};
	uint32_t now;

	while ((now = reached(counter)) < at_least) {
		look_for_failures();
		syscall(SYS_futex, counter, FUTEX_WAIT, now, &slice, NULL, 0);
	}
}

void test_yield(void)
{
	look_for_failures();
	sched_yield();
}

int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}
