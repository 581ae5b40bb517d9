/* SPDX-License-Identifier: MIT */
/*
 * What all cmocka programs of this directory share.
 *
 *	static void a_name_that_is_taken_is_refused(void **state)
 *	{
 *		...
 *	}
 *
 *	int main(void)
 *	{
 *		const struct CMUnitTest tests[] = {
 *			TEST(a_name_that_is_taken_is_refused),
 *		};
 *
 *		return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
 *	}
 *
 * TEST() puts three things around a test: a watchdog, which prints the test's
 * name and aborts when it takes longer than FR_TEST_TIMEOUT seconds (default
 * 60; 0: no watchdog, for gdb); a check that it leaves no arena name of its own
 * in /dev/shm, no descriptor and no child behind; and, if it does all the same
 * (a failed assertion jumps out of a test), the removal of names and children,
 * so that the next test starts clean.
 *
 * cmocka's assertions belong to the first thread of the test's own process: in
 * a child, CHECK() and CHECK_RC() stand for them. A test with threads runs them
 * in a child for that reason.
 */
#ifndef FR_TESTS_HARNESS_H
#define FR_TESTS_HARNESS_H

/* cmocka.h wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "forkring.h"

#include <errno.h>
#include <sys/types.h>

#define TEST(fn)                                                               \
	cmocka_unit_test_prestate_setup_teardown(fn, test_setup,               \
						 test_teardown, (void *)#fn)

/* Of TEST(): *state is the test's name. */
int test_setup(void **state);
int test_teardown(void **state);

/* Skip the test (counted as passed only if tests/skips.txt lists it). */
#define SKIP(why)                                                              \
	do {                                                                   \
		print_message("skip %s: %s\n", __func__, why);                 \
		skip();                                                        \
	} while (0)

/* A result of the library: 0, a count, or -errno; both said in words. */
#define assert_rc(actual, expected)                                            \
	test_assert_rc(actual, expected, #actual, __FILE__, __LINE__)
void test_assert_rc(long actual, long expected, const char *what,
		    const char *file, int line);

/* A name for an arena that no other test, program or process uses. Good, and
 * reserved for removal, until the test ends. */
const char *new_name(void);

/* A little arena, quickly made: 8 slots, 4 KiB mailboxes, 8 cells, 16 events
 * and types. */
extern const struct fr_arena_opts small_arena;

/* Zeroed memory that children share; given back when the test ends. */
void *shared(size_t bytes);

/* ---- children ---- */

/* Fork a child that runs fn(ctx) and ends with _exit() of what that returns. It
 * is killed if this process ends first. From the first thread only. */
pid_t spawn(int (*fn)(void *ctx), void *ctx);

/* Wait for a child: its status as of waitpid(2); that it ended with 0; kill it
 * with SIGKILL and wait. */
int wait_status(pid_t pid);
#define wait_ok(pid) test_wait_ok(pid, __FILE__, __LINE__)
void test_wait_ok(pid_t pid, const char *file, int line);
void kill_hard(pid_t pid);

/* In children: the condition, or file and line on stderr and _exit(99). */
#define CHECK(cond)                                                            \
	((cond) ? (void)0 : test_child_fails(#cond, __FILE__, __LINE__))
#define CHECK_RC(actual, expected)                                             \
	test_check_rc(actual, expected, #actual, __FILE__, __LINE__)
void test_child_fails(const char *what, const char *file, int line)
	__attribute__((noreturn));
void test_check_rc(long actual, long expected, const char *what,
		   const char *file, int line);

/* ---- waiting for one another ---- */

/* A counter in shared() memory: advance() adds one, await() returns as soon as
 * it is at least that. What happened before is seen after. Once a child has
 * failed, await() and AWAIT() end the test. */
void advance(uint32_t *counter);
void await(uint32_t *counter, uint32_t at_least);
uint32_t reached(uint32_t *counter);

/* Look again and again until it is so: for what nobody tells us about. */
#define AWAIT(cond)                                                            \
	do {                                                                   \
		while (!(cond))                                                \
			test_yield();                                          \
	} while (0)
void test_yield(void);

/* CLOCK_MONOTONIC, in ns. */
int64_t now_ns(void);
#define MS INT64_C(1000000)

#endif
