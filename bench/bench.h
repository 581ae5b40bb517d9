/* SPDX-License-Identifier: MIT */
/*
 * The benchmark's parts and what passes between them.
 *
 *	main.c    rounds in turn: A B A B ...; options.c: what was asked for
 *	run.c     one trial: fork, pin, start together, watch, end
 *	queue.h   a peer as queues, and what the processes do over them, the
 *		  same for every peer; drive.h, drive_*.h: the parts of that
 *	peer_*.c  how messages go from one process to another
 *	idle.c names.c limits.c solo.h		workloads without queues
 *	recover.c recover_parts.c recover.h	time to recover: without peers
 *	cases.c   which cases there are, what they are called and measure
 *	stats.c report.c machine.c	figures, table and JSON, the machine
 *	results.c	the JSON lines, read again, for these:
 *	html.c plots.c gnuplot.c	--report, compare.c: --compare
 *
 * A case is a workload with its size, processes and placement; a peer is one
 * way of passing messages; a trial is one round of one case with one peer. All
 * a trial's processes are forked for it and gone afterwards. A new peer is one
 * more file with a struct peer, named in peers.c.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "shared.h"
#include "stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#define PROCS_MAX 64 /* producers or workers of a case */
#define MEMBERS_MAX (PROCS_MAX + 1)
#define ROUNDS_MAX 99
#define PEERS_MAX   32
#define METRICS_MAX 4
#define FARM_WINDOW 256 /* tasks outstanding */
#define BATCH_MAX   32	/* messages of a batch */

enum workload {
	STREAM, /* one producer, one consumer */
	RTT,	/* a client's message goes to a server and is answered */
	FANIN,	/* many producers, one consumer */
	FARM,	/* one gives tasks to many and reads their results */
	FANOUT, /* one sends to a queue that many take from */
	MESH,	/* each of many sends to all others */
	OPEN,	/* one producer, one consumer, messages due at fixed times */
	/* Without queues: */
	IDLE,	 /* CPU time of processes that have nothing to do */
	MEMORY,	 /* what they take */
	NAMES,	 /* joining, leaving, looking up */
	LIMITS,	 /* what the machine can do at all */
	RECOVER, /* one is killed, and the others go on */
	WORKLOADS,
};

enum mode {
	ADAPTIVE, /* the peer's own default way of waiting */
	SLEEP,    /* no spinning */
	POLL,     /* no sleeping */
};

enum placement {
	UNPINNED,
	CROSS, /* two processes, each on a CPU of its own */
	SAME,  /* both on one CPU */
};

/* What a killed process had in hand. */
enum loss {
	LOSS_TASK,
	LOSS_CLAIM,
};

/* How a stream's messages are sent and received. */
enum style {
	SINGLE,	  /* one by one, from a buffer */
	BATCHED,  /* BATCH_MAX at a time on both sides, from a buffer */
	IN_PLACE, /* one by one, written in the queue itself */
	STYLES,
};

static inline bool without_queues(enum workload workload)
{
	return workload >= IDLE;
}

struct bench_case {
	enum workload workload;
	enum mode mode;
	enum placement placement;
	size_t size; /* bytes of each message, task and result */
	unsigned producers; /* of a mesh: its nodes */
	unsigned workers;   /* of a farm; who takes, in a fan-out; who idles */
	enum loss loss;	  /* of recover */
	bool supervised;  /* of idle and recover */
	enum style style; /* of a stream */
	unsigned task_ns; /* a farm's worker burns for each task */
	unsigned load;	  /* of an open loop: percent of the peer's own peak */
};

enum role { CONSUMER, PRODUCER, SERVER, CLIENT, MAIN, WORKER, NODE };

/* What the harness tells the processes; it only ever goes up. */
enum phase { PHASE_WAIT, PHASE_WARM, PHASE_MEASURE, PHASE_STOP };

/* One process of a trial. W: itself; pid: the harness as well. */
struct member {
	APART pid_t pid;
	enum role role;
	unsigned index; /* among those of its role */
	int rc;         /* -errno it ended with */
	uint64_t sent;	/* messages, without the last one */
	uint64_t sum;	/* of a fan-out: of the numbers sent or taken */
	/* What it has done or received and checked, where several do.
	 * W: itself. R: harness. */
	word64 got;
};

/* One page run that all processes of a trial share. */
struct control {
	/* W: harness. R: all. */
	APART word32 phase;
	/* W: every process once it is set up. R: harness. */
	APART word32 ready;
	/* Messages (farm: results) that have arrived and are checked where one
	 * receives all, of each producer (farm: of all). W: consumer or main.
	 * R: harness. */
	APART word64 got[PROCS_MAX];
	/* The first message of every producer has arrived. W: consumer. */
	APART word32 all_sending;
	/* Peers' own, to find each other. W: one process before it is ready. */
	APART uint64_t address[MEMBERS_MAX];
	struct member member[MEMBERS_MAX];
	/* Processes that a peer forks itself. W: each its own. R: harness. */
	APART word32 own_worker[PROCS_MAX];
	/* Round trips, latencies. W: client or consumer. R: harness after its
	 * end. */
	struct hist batches; /* ns of RTT_BATCH round trips together */
	struct hist singles; /* ns of one */
	/* When an open loop's message 0 was due. W: producer. R: consumer. */
	word64 open_start;
	/* Of a workload without queues. W: it. R: harness after its end. */
	double value[METRICS_MAX];
	/* The lines that peer_raw.c passes to and fro. */
	APART word64 ping;
	APART word64 pong;
	APART word32 ping_bell;
	APART word32 pong_bell;
};

#define RTT_BATCH 64

struct peer;
struct machine;

/* All of a workload without queues, in a process of its own: ns to measure each
 * of its metrics for, which go to value[]. 0 or -errno. */
typedef int solo_fn(const struct bench_case *c, const struct machine *machine,
		    uint64_t ns, double *value);

struct trial {
	const struct bench_case *c;
	const struct peer *peer;
	struct control *shared;
	void *priv; /* the peer's, made by open() */
	uint64_t burn_steps; /* of each task of a farm */
	uint64_t period_ps;  /* of an open loop; 0: as fast as it goes */
	solo_fn *solo;	     /* instead of the peer's processes, or NULL */
};

struct peer {
	const char *name;
	const char *note; /* how it is used, and what is unfair about it */
	bool (*can)(const struct bench_case *c);
	/* Member 0 makes the workers of a farm itself; or, all others. */
	bool own_workers, own_processes;
	/* In the harness, before the fork. 0 or -errno. */
	int (*open)(struct trial *t);
	/* In each process: set up, trial_start(), work until PHASE_STOP, and
	 * end so that nothing is on its way any more. 0 or -errno. */
	int (*run)(struct trial *t, enum role role, unsigned index);
	/* In the harness, after every process is gone. */
	void (*close)(struct trial *t);
};

/* peers.c: NULL at the end; the first that can do a case is the base of the
 * ratios. */
extern const struct peer *const peers[];

/* ---- machine.c ---- */

struct machine {
	char cpu[128];
	char kernel[256];
	char governor
		[32];	  /* of cpu_a's clock; "unknown": the system's affair */
	unsigned cpus;    /* that this process may use */
	int cpu_a, cpu_b; /* two of them, of different cores where possible;
			   * cpu_b -1: there is one only */
};

void machine_look(struct machine *ret);
int machine_pin(int cpu); /* 0 or -errno */
/* How much of the CPUs' time is used, 0 to 1; looks for a moment. */
double machine_busy(void);
/* Keep this CPU busy for so many steps. */
void burn(uint64_t steps);
/* Steps a nanosecond where nobody else wants the CPU; looks for a moment. */
double burn_speed(void);

/* ---- run.c ---- */

struct timing {
	uint64_t warm_ns, measure_ns, watchdog_ns;
};

enum outcome { DONE, FAILED, WEDGED };

struct sample {
	double value[METRICS_MAX]; /* as of metrics_of() */
	double share[PROCS_MAX];   /* of all messages; fan-in only */
	double fell_to;		   /* WEDGED: messages in the last second */
};

/* Memory for the processes of a trial to share. NULL: none left. */
struct control *control_map(void);

/* One round. A failed or wedged one is told of on stderr, and its processes
 * are gone; of a wedged one only fell_to is set. */
enum outcome run_trial(struct trial *t, const struct machine *machine,
		       const struct timing *timing, struct sample *ret);

/* ---- recover.c ---- */

/* What is seen after a kill, each with a time of its own. */
enum mark {
	KERNEL,	   /* SIGCHLD, of a busy process that has not joined */
	NOTICED,   /* SIGCHLD in the supervisor */
	RECOVERED, /* by the supervisor, which is about to fork another */
	PASSED,	   /* another sender's message has come */
	BACK,	   /* the task's result is there; the message that waited for
		    * room has come */
	RESTARTED, /* the new child has joined */
	MARKS,
};

/* ns from kill(); count 0: none. */
struct times {
	unsigned count;
	double min, p50, p99, max;
};

struct recovery {
	unsigned kills;
	struct times times[MARKS];
};

/* At least so many kills. What went wrong is told of on stderr, and all
 * processes are gone. */
enum outcome recover_run(const struct bench_case *c, unsigned kills,
			 uint64_t watchdog_ns, struct recovery *ret);

/* ---- cases.c ---- */

extern const char *const workload_names[WORKLOADS];
extern const char *const mode_names[];
extern const char *const style_names[STYLES];
extern const char *const loss_names[];

struct metric {
	const char *name, *unit;
};

/* The metrics of a workload, the one that ratios are of first. */
unsigned metrics_of(enum workload workload, const struct metric **ret);

/* A case in words, for a heading: returns text. */
const char *case_text(const struct bench_case *c, char *text, size_t size);

/* ---- report.c ---- */

/* All rounds of one peer in one case. */
struct series {
	const struct peer *peer;
	enum outcome outcome;
	unsigned rounds;
	struct sample
		sample[ROUNDS_MAX]; /* behind them: of the one that failed */
};

/* A cache line's round trip between the CPUs of a case, ns; 0: not taken. */
struct canary {
	double before, after;
	bool repeated; /* the case, since it had moved */
};

static inline bool canary_moved(const struct canary *canary)
{
	return canary->before > 1.3 * canary->after ||
	       canary->after > 1.3 * canary->before;
}

struct report {
	const struct machine *machine;
	const char *commit;
	FILE *json; /* or NULL */
};

void report_case(const struct report *report, const struct bench_case *c,
		 const struct series *series, unsigned count,
		 const struct canary *canary);

void report_recovery(const struct report *report, const struct bench_case *c,
		     enum outcome outcome, const struct recovery *recovery);

#endif
