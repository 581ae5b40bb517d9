/* SPDX-License-Identifier: MIT */
/*
 * Question: what do processes cost that have nothing to do?
 * Topology: many processes joined in one arena, each in fr_run() without an
 * action of its own; with a supervisor they are its children.
 * Waiting mode: FR_WAIT_ADAPTIVE, the default: asleep.
 * Statistic: idle: the CPU time that all of them (and the supervisor) use in
 * two seconds or more, in parts of one core; a sleep is cut into slices of a
 * second at most, so that shorter would say nothing. memory: shared bytes of the
 * arena for each slot, all of them allocated; private: anonymous memory of each
 * process, that which it shares with its parent counted in part (Pss).
 */
#include "drive.h"
#include "solo.h"

#include <forkring.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a process touches for the first time, in its first slices, is not asked for. */
#define SETTLE_NS 2100000000u

struct crowd {
	struct fr_arena *arena;
	unsigned count; /* the supervisor not counted */
	pid_t supervisor;
	APART word32 ready;
	/* W: each its own, before it is ready; its parent as well. */
	pid_t pid[IDLE_MAX];
	struct seat {
		struct crowd *crowd;
		unsigned index;
	} seat[IDLE_MAX];
};

static void nap(uint64_t ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ns / 1000000000u),
		.tv_nsec = (long)(ns % 1000000000u),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

/* ---- the crowd ---- */

static int be_idle(void *ctx, struct fr_process *self)
{
	struct seat *seat = ctx;

	seat->crowd->pid[seat->index] = getpid();
	/* [IDLE-1] release: pid -> ready. Pairs with [IDLE-2] start(). Without
	 * it: a pid is read as 0. */
	add_release(&seat->crowd->ready, 1);
	return fr_run(self, NULL);
}

static int supervise(struct crowd *crowd)
{
	struct fr_child_opts child = {.run = be_idle};
	struct fr_supervisor *s;
	struct fr_process *self;
	struct fr_addr addr;
	int rc = fr_join(crowd->arena, NULL, &self);

	if (rc < 0)
		return rc;
	rc = fr_supervisor_open(self, NULL, &s);
	for (unsigned i = 0; rc == 0 && i < crowd->count; i++) {
		child.ctx = &crowd->seat[i];
		rc = fr_supervisor_add(s, &child, &addr);
	}
	return rc < 0 ? rc : fr_supervisor_run(s, NULL);
}

static int join_and_idle(struct seat *seat)
{
	struct fr_process *self;
	int rc = fr_join(seat->crowd->arena, NULL, &self);

	return rc < 0 ? rc : be_idle(seat, self);
}

/* One process: of the crowd, or (NULL) its supervisor. */
static int fork_one(struct crowd *crowd, struct seat *seat, pid_t *ret)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		return -errno;
	if (pid > 0) {
		*ret = pid; /* shared: the child must not write it */
		return 0;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		_exit((seat ? join_and_idle(seat) : supervise(crowd)) < 0);
	_exit(1);
}

static int start(struct crowd *crowd, bool supervised)
{
	const struct fr_arena_opts opts = {.slots = crowd->count + 1};
	int rc = fr_arena_create(NULL, &opts, &crowd->arena);

	for (unsigned i = 0; i < crowd->count; i++)
		crowd->seat[i] = (struct seat){crowd, i};
	if (rc == 0 && supervised)
		rc = fork_one(crowd, NULL, &crowd->supervisor);
	for (unsigned i = 0; rc == 0 && !supervised && i < crowd->count; i++)
		rc = fork_one(crowd, &crowd->seat[i], &crowd->pid[i]);
	/* [IDLE-2] acquire: ready -> pid. Pairs with [IDLE-1] be_idle().
	 * Without it: as there. */
	while (rc == 0 && load_acquire(&crowd->ready) < crowd->count) {
		if (waitpid(-1, NULL, WNOHANG) > 0)
			rc = -ECHILD;
		nap(1000000);
	}
	if (rc == 0)
		nap(SETTLE_NS);
	return rc;
}

/* The supervisor ends its children itself. */
static void end(struct crowd *crowd)
{
	if (crowd->supervisor)
		kill(crowd->supervisor, SIGTERM);
	for (unsigned i = 0; !crowd->supervisor && i < crowd->count; i++)
		kill(crowd->pid[i], SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	fr_arena_detach(crowd->arena);
}

/* ---- what it costs ---- */

/* CPU time of a process, in nanoseconds. */
static int add_cpu_time(pid_t pid, uint64_t *sum)
{
	struct timespec ts;
	clockid_t clock;
	int rc = clock_getcpuclockid(pid, &clock);

	if (rc != 0)
		return -rc;
	if (clock_gettime(clock, &ts) < 0)
		return -errno;
	*sum += (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	return 0;
}

static int cpu_time(const struct crowd *crowd, uint64_t *sum)
{
	int rc = 0;

	*sum = 0;
	if (crowd->supervisor)
		rc = add_cpu_time(crowd->supervisor, sum);
	for (unsigned i = 0; rc == 0 && i < crowd->count; i++)
		rc = add_cpu_time(crowd->pid[i], sum);
	return rc;
}

static int measure_idle(struct crowd *crowd, uint64_t ns, double *value)
{
	uint64_t before, after, start_ns = now_ns();
	int rc = cpu_time(crowd, &before);

	if (rc < 0)
		return rc;
	nap(ns);
	rc = cpu_time(crowd, &after);
	value[0] = (double)(after - before) / (double)(now_ns() - start_ns);
	return rc;
}

static int add_private(pid_t pid, double *sum)
{
	char path[64], line[256];
	unsigned long kib = 0;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, "Pss_Anon: %lu kB", &kib) == 1;
	fclose(f);
	*sum += 1024.0 * (double)kib;
	return found ? 0 : -ENODATA;
}

static int measure_memory(struct crowd *crowd, double *value)
{
	struct fr_arena_info info;
	double sum = 0;
	int rc = 0;

	fr_arena_info(crowd->arena, &info);
	for (unsigned i = 0; rc == 0 && i < crowd->count; i++)
		rc = add_private(crowd->pid[i], &sum);
	value[0] = (double)info.bytes / info.slots;
	value[1] = sum / crowd->count;
	return rc;
}

int idle_run(const struct bench_case *c, const struct machine *machine,
	     uint64_t ns, double *value)
{
	struct crowd *crowd = mmap(NULL, sizeof(*crowd), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int rc;

	(void)machine;
	if (crowd == MAP_FAILED)
		return -ENOMEM;
	crowd->count = c->workers;
	rc = start(crowd, c->supervised);
	if (rc == 0)
		rc = c->workload == IDLE ? measure_idle(crowd, ns, value)
					 : measure_memory(crowd, value);
	if (rc == 0)
		end(crowd); /* else all die with this process */
	return rc;
}
