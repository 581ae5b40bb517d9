/* SPDX-License-Identifier: MIT */
/*
 * The tracer: one victim, instruction by instruction; trace.c.
 *
 *	child				parent
 *	 trace_me()			 pid = fork()
 *	 MARK(); operation; MARK();	 trace_to_mark(pid)
 *					 trace_record(pid, &t)
 *	another child, the same		 trace_to_mark(pid)
 *					 trace_go(pid, &t, k); kill(pid, SIGKILL)
 */
#ifndef FR_TESTS_CRASH_TRACE_H
#define FR_TESTS_CRASH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Before and behind what is traced. */
#define MARK() __asm__ volatile("int3" ::: "memory")

#define PLACE_STORES 1u  /* into the arena */
#define PLACE_SYSCALL 2u
#define PLACE_SLEEPS 4u  /* the system call is a futex wait */

/* The state before one instruction. */
struct place {
	uint64_t rip;
	uint32_t path;  /* hash of the calls that led here */
	uint32_t flags; /* PLACE_*: what the instruction does */
	uint32_t from;  /* trace_go(): the place to come from; TRACE_START */
	uint32_t cost;  /* stops on the way from the mark */
};
#define TRACE_START UINT32_MAX

struct trace {
	struct place *at; /* room for max */
	size_t max, count;
	size_t undecoded; /* stores that only comparing has found */
	uint32_t of; /* a second victim's: where the first was killed */
};

enum trace_end {
	TRACE_THERE,   /* stopped where it was to stop */
	TRACE_AT_MARK, /* not that way: stands behind the next mark */
	TRACE_ENDED,   /* the process has ended */
	TRACE_TOO_LONG,
};

/* In the child: be traced. 0, -errno. */
int trace_me(void);

/* Run to the next mark, and past it. */
enum trace_end trace_to_mark(pid_t pid);

/*
 * Step to the next mark, and write each place down. The arena is what the
 * process maps of /dev/shm or of a memfd. compare: look for stores that were
 * not decoded; only if nobody else is at work there.
 */
enum trace_end trace_record(pid_t pid, struct trace *t, bool compare);

/* Find the shortest ways to all places. */
void trace_plan(struct trace *t);

/* Bring a process that stands at the mark to place k, by a breakpoint on the
 * last landmark and by single steps; it has run the k instructions before it.
 * */
enum trace_end trace_go(pid_t pid, const struct trace *t, size_t k);

/* No tracer any more; it gets this signal first. If it stands before a mark, it
 * goes on behind it; one that it meets later would kill it (a handler for
 * SIGTRAP would not do: the kernel takes it away when a step ends while the
 * signal is blocked, as liburcu does). */
void trace_let_go(pid_t pid, int sig);

/* The system call in which a process sleeps: a futex wait on *word, which was
 * value. False: it does not, or it cannot be told. */
bool sleeps_on(pid_t pid, uint64_t *word, uint32_t *value);

/* "function+0x12 (file.c:34)" of an address of this program or a library. */
void tell_place(uint64_t rip, char *text, size_t size);

#endif
