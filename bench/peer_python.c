/* SPDX-License-Identifier: MIT */
/*
 * Question: how fast are Python's multiprocessing.Queue and Pool?
 * Topology: a Queue for each box; a farm is a Pool.
 * Waiting mode: they sleep.
 * Statistic: drive.h and run.c.
 *
 * Member 0 starts python_queue.py, which makes the other processes: a Queue is
 * handed on by fork only. It follows the phases, and counts what arrives, in
 * the control page. Payloads are made and compared in full there too, each in
 * Python's cheapest way.
 */
#include "drive.h"
#include "peers.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct script {
	int control;		/* the control page, as a file */
	int cpu, cpu_of_others; /* -1: any */
};

static bool can_queue(const struct bench_case *c)
{
	return (c->workload == STREAM || c->workload == RTT ||
		c->workload == FANIN) &&
	       c->style == SINGLE && c->mode != POLL &&
	       c->producers < PROCS_MAX;
}

static bool can_pool(const struct bench_case *c)
{
	return c->workload == FARM && c->task_ns == 0 && c->workers < PROCS_MAX;
}

/* Python is to see the control page: put a file there instead. */
static int map_control(struct control *shared)
{
	int rc, fd = memfd_create("control", 0);

	if (fd >= 0 && ftruncate(fd, sizeof(*shared)) == 0 &&
	    mmap(shared, sizeof(*shared), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, fd, 0) == shared)
		return fd;
	rc = -errno;
	if (fd >= 0)
		close(fd);
	return rc;
}

static int open_script(struct trial *t)
{
	static struct script s;
	struct machine m;

	machine_look(&m);
	s.cpu = t->c->placement == UNPINNED ? -1
		: t->c->placement == SAME   ? m.cpu_a
					    : m.cpu_b;
	s.cpu_of_others = t->c->placement == UNPINNED ? -1 : m.cpu_a;
	s.control = map_control(t->shared);
	t->priv = &s;
	return s.control < 0 ? s.control : 0;
}

static void close_script(struct trial *t)
{
	const struct script *s = t->priv;

	close(s->control);
}

static _Noreturn void exec_script(const struct trial *t, int out, pid_t parent)
{
	static const char *const workloads[WORKLOADS] = {[STREAM] = "stream",
							 [FANIN] = "stream",
							 [RTT] = "rtt",
							 [FARM] = "farm"};
	const struct script *s = t->priv;
	const size_t number[] = {
		t->c->size,
		t->c->workload == FARM ? t->c->workers : t->c->producers,
		(size_t)s->cpu,
		(size_t)s->cpu_of_others,
		(size_t)s->control,
		sizeof(struct control),
		offsetof(struct control, phase),
		offsetof(struct control, got),
		offsetof(struct control, all_sending),
		offsetof(struct control, own_worker),
	};
	enum { N = sizeof(number) / sizeof(*number) };
	char text[N][24], *argv[N + 4] = {"python3", PYTHON_QUEUE};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	argv[2] = (char *)workloads[t->c->workload];
	for (unsigned i = 0; i < N; i++) {
		snprintf(text[i], sizeof(text[i]), "%zd", (ssize_t)number[i]);
		argv[i + 3] = text[i];
	}
	dup2(out, STDOUT_FILENO);
	execvp(argv[0], argv);
	fprintf(stderr, "forkring-bench: python3: %s\n", strerror(errno));
	_exit(1);
}

/* It says when all are set up; and at the end, times of round trips. */
static int follow(struct trial *t, FILE *said)
{
	uint64_t ns;

	if (fgetc(said) != 'r')
		return -ECHILD;
	trial_start(t);
	while (fread(&ns, sizeof(ns), 1, said) == 1)
		hist_add(&t->shared->singles, ns);
	return 0;
}

static int run(struct trial *t, enum role role, unsigned index)
{
	pid_t pid, parent = getpid();
	int out[2], status, rc;
	FILE *said;

	(void)role, (void)index; /* member 0's, of whatever workload */
	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		exec_script(t, out[1], parent);
	close(out[1]);
	said = fdopen(out[0], "r");
	rc = said ? follow(t, said) : -errno;
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return rc < 0 || status == 0 ? rc : -ECHILD;
}

const struct peer peer_py_queue = {
	.name = "py-queue",
	.note = "multiprocessing.Queue; its own check of the payload",
	.can = can_queue,
	.own_processes = true,
	.open = open_script,
	.run = run,
	.close = close_script,
};

const struct peer peer_py_pool = {
	.name = "py-pool",
	.note = "multiprocessing.Pool, 16 tasks a chunk; a killed worker's "
		"tasks are lost; its own check of the payload",
	.can = can_pool,
	.own_processes = true,
	.open = open_script,
	.run = run,
	.close = close_script,
};
