/* SPDX-License-Identifier: MIT */
/*
 * Atomic words of the arena, and the operations on them, named by their memory
 * order. Nothing else in lib/ touches them: they are structs, so that a plain
 * read or write does not compile, and script/check-atomics wants a label and a
 * partner at each use.
 *
 *	load  relaxed acquire sc	cas  relaxed acq_rel sc
 *	store relaxed release sc	swap relaxed sc
 *	add   relaxed sc		or, and  relaxed sc
 *	fence sc
 *
 * own_: of a word in the process's own memory. While that has one thread, nobody
 * comes between a load and a store of its own: then the bus is not locked.
 *
 * sc is C11's memory_order_seq_cst. A cas is strong; when it fails it stores
 * the word's value in *expected and orders as an acquire load does (relaxed for
 * relaxed).
 */
#ifndef FR_LIB_ATOMIC_H
#define FR_LIB_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>
#if defined(__has_include) && __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define FR__ONE_THREAD __libc_single_threaded
#else
#define FR__ONE_THREAD false
#endif

struct fr__a32 {
	uint32_t raw;
};

struct fr__a64 {
	uint64_t raw;
};

_Static_assert(__atomic_always_lock_free(8, 0), "64-bit atomics, lock-free");

#define fr__load_relaxed(p) __atomic_load_n(&(p)->raw, __ATOMIC_RELAXED)
#define fr__load_acquire(p) __atomic_load_n(&(p)->raw, __ATOMIC_ACQUIRE)
#define fr__load_sc(p) __atomic_load_n(&(p)->raw, __ATOMIC_SEQ_CST)

#define fr__store_relaxed(p, v) __atomic_store_n(&(p)->raw, v, __ATOMIC_RELAXED)
#define fr__store_release(p, v) __atomic_store_n(&(p)->raw, v, __ATOMIC_RELEASE)
#define fr__store_sc(p, v) __atomic_store_n(&(p)->raw, v, __ATOMIC_SEQ_CST)

#define fr__cas_relaxed(p, expected, v)                                        \
	__atomic_compare_exchange_n(&(p)->raw, expected, v, false,             \
				    __ATOMIC_RELAXED, __ATOMIC_RELAXED)
#define fr__cas_acq_rel(p, expected, v)                                        \
	__atomic_compare_exchange_n(&(p)->raw, expected, v, false,             \
				    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define fr__cas_sc(p, expected, v)                                             \
	__atomic_compare_exchange_n(&(p)->raw, expected, v, false,             \
				    __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE)

#define fr__swap_relaxed(p, v) __atomic_exchange_n(&(p)->raw, v, __ATOMIC_RELAXED)
#define fr__swap_sc(p, v) __atomic_exchange_n(&(p)->raw, v, __ATOMIC_SEQ_CST)

#define fr__add_relaxed(p, v) __atomic_fetch_add(&(p)->raw, v, __ATOMIC_RELAXED)
#define fr__add_sc(p, v) __atomic_fetch_add(&(p)->raw, v, __ATOMIC_SEQ_CST)
#define fr__or_relaxed(p, v) __atomic_fetch_or(&(p)->raw, v, __ATOMIC_RELAXED)
#define fr__or_sc(p, v) __atomic_fetch_or(&(p)->raw, v, __ATOMIC_SEQ_CST)
#define fr__and_relaxed(p, v) __atomic_fetch_and(&(p)->raw, v, __ATOMIC_RELAXED)
#define fr__and_sc(p, v) __atomic_fetch_and(&(p)->raw, v, __ATOMIC_SEQ_CST)

/* Has this process one thread? glibc knows (2.32 and later); else it may have more. */
static inline bool fr__one_thread(void)
{
	return FR__ONE_THREAD;
}

#define fr__own_rmw(p, v, op, locked)                                          \
	__extension__({                                                        \
		__typeof__((p)->raw) old_;                                     \
		if (fr__one_thread()) {                                        \
			old_ = fr__load_relaxed(p);                            \
			fr__store_relaxed(p, old_ op(v));                      \
		} else {                                                       \
			old_ = locked(p, v);                                   \
		}                                                              \
		old_;                                                          \
	})
#define fr__add_own_relaxed(p, v) fr__own_rmw(p, v, +, fr__add_relaxed)
#define fr__add_own_sc(p, v) fr__own_rmw(p, v, +, fr__add_sc)
#define fr__or_own_relaxed(p, v) fr__own_rmw(p, v, |, fr__or_relaxed)
#define fr__or_own_sc(p, v) fr__own_rmw(p, v, |, fr__or_sc)
#define fr__and_own_relaxed(p, v) fr__own_rmw(p, v, &, fr__and_relaxed)

#if defined(__SANITIZE_THREAD__)
#define FR__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FR__TSAN 1
#endif
#endif
#ifndef FR__TSAN
#define FR__TSAN 0
#endif

/* A full fence. ThreadSanitizer knows none: there a read-modify-write of a word
 * of its own stands in, which orders no less on the machines we run on. */
static inline void fr__fence_sc(void)
{
#if FR__TSAN
	struct fr__a32 own = {0};

	fr__add_sc(&own, 1);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* A full fence right behind a seq_cst read-modify-write or store of ours: on
 * x86-64 those are fences already, and only the compiler is to be told. */
static inline void fr__fence_behind_sc(void)
{
#if defined(__x86_64__)
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
#else
	fr__fence_sc();
#endif
}

/* A plain word of the arena, read exactly once: what was checked is what is used,
 * whatever becomes of it meanwhile. */
#define fr__once(x) (*(const volatile __typeof__(x) *)&(x))

/* Ask for a line that is to be written soon. */
static inline void fr__prefetch_write(const void *p)
{
#if defined(__x86_64__) /* gcc uses it only if told that all CPUs have it */
	__asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

/* A line was written that another CPU is waiting to read: let it lie where that one gets
 * it sooner than out of our cache. (Intel's manual: what does not know the instruction
 * does nothing.) It costs the writer some 30 ns a line: nothing for who has more to write. */
static inline void fr__hand_over(const void *p)
{
#if defined(__x86_64__)
	__asm__ __volatile__("cldemote %0" : : "m"(*(const char *)p));
#else
	(void)p;
#endif
}

/* Tell the CPU that this is a spin loop. */
static inline void fr__pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb" ::: "memory");
#else
#error "forkring runs on x86-64 and aarch64"
#endif
}

#endif
