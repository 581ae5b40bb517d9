/* SPDX-License-Identifier: MIT */
/*
 * Question: what can the machine do at all?
 * Topology: one process; for the copy two, each on a CPU of its own: one fills a
 * block and sets a flag, the other copies the block, and clears the flag.
 * Waiting mode: each spins on the flag.
 * Statistic: the median of many; of the copy the copying alone, not the wait for
 * the flag. One CAS and one system call: of batches, since a clock reading takes
 * longer than either.
 */
#include "drive.h"
#include "solo.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BATCH 1000

/* ns of one call. */
static ALWAYS_INLINE double time_of(void (*call)(void), uint64_t ns)
{
	static struct hist hist;
	uint64_t start = now_ns(), before, now = start;

	hist_clear(&hist);
	while (now - start < ns) {
		before = now;
		for (unsigned i = 0; i < BATCH; i++)
			call();
		now = now_ns();
		hist_add(&hist, now - before);
	}
	return hist_quantile(&hist, 0.5) / BATCH;
}

/* Nobody else has this line. */
static void one_cas(void)
{
	static APART word64 word;
	/* [LIMITS-1] relaxed: nobody else writes it. */
	uint64_t seen = load_relaxed(&word);

	/* [LIMITS-6] seq_cst: as a queue's would be. Pairs with [LIMITS-6]. */
	cas_sc(&word, &seen, seen + 1);
}

static void one_system_call(void)
{
	syscall(SYS_getppid);
}

/* ---- core to core ---- */

struct block {
	APART word32 full;
	APART unsigned char body[PAYLOAD_MAX];
};

static _Noreturn void fill(struct block *b, int cpu, size_t size, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || machine_pin(cpu) < 0)
		_exit(1);
	for (uint64_t seq = 0;; seq++) {
		payload_fill(b->body, size, stamp_make(0, seq));
		/* [LIMITS-2] release: body -> full. Pairs with [LIMITS-4]
		 * copy(). Without it: an old body is copied. */
		store_release(&b->full, 1);
		/* [LIMITS-3] acquire: cleared -> body filled anew. Pairs with
		 * [LIMITS-5] copy(). Without it: it changes while copied. */
		while (load_acquire(&b->full))
			cpu_pause();
	}
}

/* Bytes a second. */
static int copy(struct block *b, size_t size, uint64_t ns, double *rate)
{
	static _Alignas(64) unsigned char own[PAYLOAD_MAX];
	static struct hist hist;
	uint64_t start = now_ns(), before, now = start;
	int rc = 0;

	for (uint64_t seq = 0; rc == 0 && now - start < ns; seq++) {
		/* [LIMITS-4] acquire: full -> body. Pairs with [LIMITS-2]
		 * fill(). Without it: as there. */
		while (!load_acquire(&b->full))
			cpu_pause();
		before = now_ns();
		memcpy(own, b->body, size);
		now = now_ns();
		/* [LIMITS-5] release: body read -> cleared. Pairs with
		 * [LIMITS-3] fill(). Without it: as there. */
		store_release(&b->full, 0);
		hist_add(&hist, now - before);
		rc = check_message(own, size, stamp_make(0, seq));
	}
	*rate = (double)size * 1e9 / hist_quantile(&hist, 0.5);
	return rc;
}

static int copy_across(const struct bench_case *c,
		       const struct machine *machine, uint64_t ns, double *rate)
{
	struct block *b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t parent = getpid(), pid;
	int rc = machine_pin(machine->cpu_b);

	if (b == MAP_FAILED)
		return -ENOMEM;
	if (rc < 0)
		return rc;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		fill(b, machine->cpu_a, c->size, parent);
	rc = copy(b, c->size, ns, rate);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return rc;
}

int limits_run(const struct bench_case *c, const struct machine *machine,
	       uint64_t ns, double *value)
{
	value[0] = time_of(one_cas, ns);
	value[1] = time_of(one_system_call, ns);
	return copy_across(c, machine, ns, &value[2]);
}
