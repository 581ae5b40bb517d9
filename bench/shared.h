/* SPDX-License-Identifier: MIT */
/*
 * Words that several processes of a measurement read and write, the helpers
 * that touch them, named by memory order, and the clock. The benchmark uses
 * public headers only, so it has its own few.
 */
#ifndef BENCH_SHARED_H
#define BENCH_SHARED_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

/* Two cache lines: some CPUs fetch the neighbouring one as well. */
#define APART _Alignas(128)

/* Inlined whatever the optimiser thinks: the callee is a constant then. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

typedef _Atomic uint32_t word32;
typedef _Atomic uint64_t word64;

#define load_relaxed(p) atomic_load_explicit(p, memory_order_relaxed)
#define load_acquire(p) atomic_load_explicit(p, memory_order_acquire)
#define store_relaxed(p, v) atomic_store_explicit(p, v, memory_order_relaxed)
#define store_release(p, v) atomic_store_explicit(p, v, memory_order_release)
#define cas_sc(p, expected, v)                                                 \
	atomic_compare_exchange_strong_explicit(                               \
		p, expected, v, memory_order_seq_cst, memory_order_seq_cst)
#define add_release(p, v) atomic_fetch_add_explicit(p, v, memory_order_release)

/* Tell the CPU that this is a spin loop. */
static inline void cpu_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb" ::: "memory");
#endif
}

/* Monotonic, from the vDSO: no system call. */
static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

#endif
