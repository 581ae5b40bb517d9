/* SPDX-License-Identifier: MIT */
/*
 * Workloads without queues: one process by itself or with children of its own,
 * which die with it. Each has one peer: forkring, or raw for the limits.
 *
 *	idle.c    idle, memory: what processes cost that have nothing to do
 *	names.c   names: joining, leaving, looking up
 *	limits.c  limits: what the machine can do at all
 */
#ifndef BENCH_SOLO_H
#define BENCH_SOLO_H

#include "bench.h"

#define IDLE_MAX 100 /* processes */

solo_fn idle_run, names_run, limits_run;

#endif
