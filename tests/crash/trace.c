/* SPDX-License-Identifier: MIT */
/*
 * Stepping with ptrace(2).
 *
 * One stop costs some 20 us here, on one CPU with its tracer, so stepping k
 * instructions for every k would take hours. The first run is stepped, and each
 * instruction noted. A later one goes to place k by hops: a breakpoint register
 * on the next place to stop at, or one step. A hop from place j leads to the
 * first place behind j with the same rip; so place k is one hop away from every
 * place since k's rip was last met (not from that one itself, where the
 * breakpoint would be hit at once). trace_plan() finds the cheapest, one or two
 * hops for most. Where a victim stands then is where k single steps would have
 * brought it, as long as it goes the same way; if it never comes by, it runs
 * into the mark.
 *
 * The victim is a fork of its tracer: its code is read from our own memory.
 */
#include "trace.h"

#include "decode.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define RANGES 4
#define DEPTH  256 /* of calls */

struct range {
	uint64_t start, end;
};

static bool is_wait(uint64_t futex_op)
{
	int command = (int)futex_op & FUTEX_CMD_MASK;

	return command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET;
}

int trace_me(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1 ? -errno : 0;
}

/* The next stop by SIGTRAP. Other signals are passed on. */
static bool wait_trap(pid_t pid, enum __ptrace_request how)
{
	int status;

	for (;;) {
		while (waitpid(pid, &status, __WALL) == -1)
			if (errno != EINTR)
				return false;
		if (!WIFSTOPPED(status))
			return false;
		if (WSTOPSIG(status) == SIGTRAP)
			return true;
		if (ptrace(how, pid, NULL, (long)WSTOPSIG(status)) == -1)
			return false;
	}
}

static bool resume(pid_t pid, enum __ptrace_request how)
{
	return ptrace(how, pid, NULL, NULL) != -1 && wait_trap(pid, how);
}

enum trace_end trace_to_mark(pid_t pid)
{
	if (!wait_trap(pid, PTRACE_CONT))
		return TRACE_ENDED;
	ptrace(PTRACE_SETOPTIONS, pid, NULL, (long)PTRACE_O_EXITKILL);
	return TRACE_THERE;
}

/* ---- the arena as the victim has it mapped ---- */

static unsigned find_arena(pid_t pid, struct range *ranges)
{
	unsigned long long start, end;
	char path[64], line[512];
	unsigned count = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	while (f && count < RANGES && fgets(line, sizeof(line), f))
		if ((strstr(line, "/dev/shm/") ||
		     strstr(line, "/memfd:forkring")) &&
		    sscanf(line, "%llx-%llx", &start, &end) == 2)
			ranges[count++] = (struct range){start, end};
	if (f)
		fclose(f);
	return count;
}

struct arena_view {
	struct range ranges[RANGES];
	unsigned count;
	unsigned char *before, *now; /* of ranges[0] */
};

static bool in_arena(const struct arena_view *v, uint64_t address)
{
	unsigned i;

	for (i = 0; i < v->count; i++)
		if (address >= v->ranges[i].start && address < v->ranges[i].end)
			return true;
	return false;
}

static size_t view_bytes(const struct arena_view *v)
{
	return v->count ? v->ranges[0].end - v->ranges[0].start : 0;
}

static bool read_view(pid_t pid, const struct arena_view *v, unsigned char *to)
{
	struct iovec local = {to, view_bytes(v)};
	struct iovec remote = {(void *)(uintptr_t)v->ranges[0].start,
			       view_bytes(v)};

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) ==
	       (ssize_t)local.iov_len;
}

static void look_at_maps(pid_t pid, struct arena_view *v, bool compare)
{
	v->count = find_arena(pid, v->ranges);
	if (!compare || v->count == 0)
		return;
	v->before = realloc(v->before, view_bytes(v));
	v->now = realloc(v->now, view_bytes(v));
	if (!v->before || !v->now || !read_view(pid, v, v->before))
		v->count = 0;
}

/* Has the arena changed since the last look? */
static bool changed(pid_t pid, struct arena_view *v)
{
	if (v->count == 0 || !read_view(pid, v, v->now) ||
	    memcmp(v->before, v->now, view_bytes(v)) == 0)
		return false;
	memcpy(v->before, v->now, view_bytes(v));
	return true;
}

/* ---- the first run ---- */

struct calls {
	uint32_t path[DEPTH];
	unsigned depth;
};

static void follow(struct calls *c, const struct insn *insn, uint64_t rip)
{
	uint32_t here = c->path[c->depth];

	if (insn->kind == INSN_CALL && c->depth + 1 < DEPTH)
		c->path[++c->depth] = (here ^ (uint32_t)rip) * 0x9e3779b1u;
	else if (insn->kind == INSN_RETURN && c->depth > 0)
		c->depth--;
}

static unsigned flags_of(const struct insn *insn,
			 const struct user_regs_struct *regs,
			 const struct arena_view *v)
{
	unsigned flags = 0;

	if (insn->stores && in_arena(v, insn->address))
		flags |= PLACE_STORES;
	if (insn->kind == INSN_SYSCALL) {
		flags |= PLACE_SYSCALL;
		if (regs->rax == SYS_futex && is_wait(regs->rsi))
			flags |= PLACE_SLEEPS;
	}
	return flags;
}

static bool changes_maps(const struct user_regs_struct *regs)
{
	return regs->rax == SYS_mmap || regs->rax == SYS_munmap;
}

enum trace_end trace_record(pid_t pid, struct trace *t, bool compare)
{
	struct user_regs_struct regs;
	struct arena_view view = {0};
	struct calls calls = {0};
	struct insn insn;
	enum trace_end end = TRACE_TOO_LONG;

	t->count = t->undecoded = 0;
	look_at_maps(pid, &view, compare);
	while (t->count < t->max) {
		struct place *p = &t->at[t->count];
		bool maps;

		ptrace(PTRACE_GETREGS, pid, NULL, &regs);
		decode((const uint8_t *)(uintptr_t)regs.rip, &regs, &insn);
		*p = (struct place){regs.rip, calls.path[calls.depth],
				    flags_of(&insn, &regs, &view), 0, 0};
		t->count++;
		end = TRACE_THERE;
		if (insn.kind == INSN_MARK)
			break;
		maps = insn.kind == INSN_SYSCALL && changes_maps(&regs);
		end = TRACE_ENDED;
		if (!resume(pid, PTRACE_SINGLESTEP))
			break;
		end = TRACE_TOO_LONG;
		follow(&calls, &insn, regs.rip);
		if (maps)
			look_at_maps(pid, &view, compare);
		else if (compare && changed(pid, &view) &&
			 !(p->flags & PLACE_STORES)) {
			p->flags |= PLACE_STORES;
			t->undecoded++;
		}
	}
	free(view.before);
	free(view.now);
	return end;
}

/* ---- later runs ---- */

/* Places of the same rip, to find the last one. */
#define BUCKETS 65536u

struct last {
	uint64_t rip;
	uint32_t place;
};

static struct last *last_of(struct last *table, uint64_t rip)
{
	uint32_t i = (uint32_t)(rip * UINT64_C(0x9e3779b97f4a7c15) >> 48);

	while (table[i].rip && table[i].rip != rip)
		i = (i + 1) % BUCKETS;
	return &table[i];
}

void trace_plan(struct trace *t)
{
	struct last *table = mmap(NULL, BUCKETS * sizeof(*table),
				  PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t k, j;

	for (k = 0; table != MAP_FAILED && k < t->count; k++) {
		struct place *p = &t->at[k];
		struct last *last = last_of(table, p->rip);

		p->from = TRACE_START;
		p->cost = 1;
		if (k == 0)
			p->cost = 0;
		if (last->rip) {
			p->from = (uint32_t)k - 1;
			for (j = k - 1; j > last->place; j--)
				if (t->at[j].cost < t->at[p->from].cost)
					p->from = (uint32_t)j;
			p->cost = t->at[p->from].cost + 1;
		}
		*last = (struct last){p->rip, (uint32_t)k};
	}
	if (table == MAP_FAILED)
		t->count = 0;
	else
		munmap(table, BUCKETS * sizeof(*table));
}

static bool debug_register(pid_t pid, unsigned n, uint64_t value)
{
	return ptrace(PTRACE_POKEUSER, pid,
		      offsetof(struct user, u_debugreg) + n * 8, value) != -1;
}

static uint64_t rip_of(pid_t pid)
{
	struct user_regs_struct regs;

	return ptrace(PTRACE_GETREGS, pid, NULL, &regs) == -1 ? 0 : regs.rip;
}

/* One hop: on to the next instruction at rip; step: that is the next one (and
 * perhaps another round of a string instruction, where no breakpoint stops). */
static enum trace_end hop(pid_t pid, uint64_t rip, bool step)
{
	uint64_t now;

	if (step) {
		debug_register(pid, 7, 0);
		if (!resume(pid, PTRACE_SINGLESTEP))
			return TRACE_ENDED;
	} else if (!debug_register(pid, 0, rip) || !debug_register(pid, 7, 1)) {
		/* No breakpoint registers here: all by steps. */
		do {
			if (!resume(pid, PTRACE_SINGLESTEP))
				return TRACE_ENDED;
			now = rip_of(pid);
		} while (now != rip &&
			 *(const uint8_t *)(uintptr_t)now != 0xcc);
	} else if (!resume(pid, PTRACE_CONT)) {
		return TRACE_ENDED;
	}
	return rip_of(pid) == rip ? TRACE_THERE : TRACE_AT_MARK;
}

enum trace_end trace_go(pid_t pid, const struct trace *t, size_t k)
{
	enum trace_end end = TRACE_THERE;
	uint32_t way[4096], at = (uint32_t)k, n = 0;

	while (at != TRACE_START && at != 0 && n < 4096) {
		way[n++] = at;
		at = t->at[at].from;
	}
	while (n-- > 0 && end == TRACE_THERE)
		end = hop(pid, t->at[way[n]].rip,
			  t->at[way[n]].from == way[n] - 1);
	debug_register(pid, 7, 0);
	return end;
}

void trace_let_go(pid_t pid, int sig)
{
	struct user_regs_struct regs;

	debug_register(pid, 7, 0);
	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) != -1 &&
	    *(const uint8_t *)(uintptr_t)regs.rip == 0xcc) {
		regs.rip++;
		ptrace(PTRACE_SETREGS, pid, NULL, &regs);
	}
	ptrace(PTRACE_DETACH, pid, NULL, (long)sig);
}

/* ---- looking from outside ---- */

bool sleeps_on(pid_t pid, uint64_t *word, uint32_t *value)
{
	unsigned long long args[4];
	char path[64], text[256];
	long number;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	if (sscanf(text, "%ld %llx %llx %llx", &number, &args[0], &args[1],
		   &args[2]) != 4 ||
	    number != SYS_futex || !is_wait(args[1]))
		return false;
	*word = args[0];
	*value = (uint32_t)args[2];
	return true;
}

/* From addr2line, the innermost of inlined functions first; or "". */
static void ask_addr2line(const char *file, uint64_t offset, char *text,
			  size_t size)
{
	char command[512], function[128] = "", line[256] = "", *slash;
	FILE *f;

	text[0] = '\0';
	snprintf(command, sizeof(command),
		 "addr2line -f -i -e '%s' 0x%llx 2>/dev/null", file,
		 (unsigned long long)offset);
	f = popen(command, "re");
	if (!f)
		return;
	if (fgets(function, sizeof(function), f) &&
	    fgets(line, sizeof(line), f)) {
		function[strcspn(function, "\n")] = '\0';
		line[strcspn(line, "\n")] = '\0';
		slash = strrchr(line, '/');
		if (function[0] != '?')
			snprintf(text, size, "%s (%s)", function,
				 slash ? slash + 1 : line);
	}
	while (fgets(line, sizeof(line), f))
		;
	pclose(f);
}

void tell_place(uint64_t rip, char *text, size_t size)
{
	Dl_info info = {0};
	uint64_t offset;
	char known[400];
	const char *name;

	if (!dladdr((void *)(uintptr_t)rip, &info) || !info.dli_fname) {
		snprintf(text, size, "0x%llx", (unsigned long long)rip);
		return;
	}
	offset = rip - (uint64_t)(uintptr_t)info.dli_fbase;
	name = strrchr(info.dli_fname, '/');
	name = name ? name + 1 : info.dli_fname;
	ask_addr2line(access(info.dli_fname, R_OK) == 0 ? info.dli_fname
							: "/proc/self/exe",
		      offset, known, sizeof(known));
	if (info.dli_sname)
		snprintf(text, size, "%s %s+0x%llx %s", name, info.dli_sname,
			 (unsigned long long)(rip - (uint64_t)(uintptr_t)
							    info.dli_saddr),
			 known);
	else
		snprintf(text, size, "%s+0x%llx %s", name,
			 (unsigned long long)offset, known);
}
