/* SPDX-License-Identifier: MIT */
/*
 * Guard pages and crashes.
 *
 * The linker sends the library's calls of mmap, munmap, syscall and nanosleep
 * here (--wrap). A shared mapping of a file, that is, an arena, is placed in
 * the middle of a large range that nobody may touch, so that an access outside
 * of it ends in SIGSEGV, however far outside it is: AddressSanitizer does not
 * see mapped memory. futex waits are counted, so that the watchdog can tell a
 * process that sleeps again and again from one that goes round in a circle.
 */
#include "fuzz.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define GUARD_MAX (UINT64_C(1) << 36)
#define GUARD_MIN (UINT64_C(1) << 20)
#define MAPPINGS  64

static struct mapping {
	unsigned char *at;
	size_t bytes;
	size_t guard; /* before and behind */
} mappings[MAPPINGS];
static struct mapping *last;

void *__real_mmap(void *at, size_t bytes, int prot, int flags, int fd,
		  off_t offset);
int __real_munmap(void *at, size_t bytes);
long __real_syscall(long number, ...);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd,
		  off_t offset);
/* What mmap is called where offsets have 64 bits in any case. */
void *__wrap_mmap64(void *at, size_t bytes, int prot, int flags, int fd,
		    off_t offset) __attribute__((alias("__wrap_mmap")));
int __wrap_munmap(void *at, size_t bytes);
long __wrap_syscall(long number, ...);
int __real_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

/* A range for bytes with guards on both sides, as large as may be. */
static unsigned char *reserve(size_t bytes, size_t *guard)
{
	void *at;

	for (*guard = GUARD_MAX; *guard >= GUARD_MIN; *guard /= 2) {
		at = __real_mmap(NULL, bytes + 2 * *guard, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				 -1, 0);
		if (at != MAP_FAILED)
			return (unsigned char *)at + *guard;
	}
	return NULL;
}

void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd,
		  off_t offset)
{
	struct mapping *m = mappings;
	void *got;

	if (at || fd < 0 || !(flags & MAP_SHARED))
		return __real_mmap(at, bytes, prot, flags, fd, offset);
	while (m < mappings + MAPPINGS && m->at)
		m++;
	if (m == mappings + MAPPINGS) {
		fprintf(stderr, "fuzz: too many mappings at a time\n");
		abort();
	}
	m->bytes = bytes;
	at = reserve(bytes, &m->guard);
	if (!at) {
		fprintf(stderr, "fuzz: no room for guard pages\n");
		abort();
	}
	got = __real_mmap(at, bytes, prot, flags | MAP_FIXED, fd, offset);
	if (got == MAP_FAILED) {
		int saved = errno;

		__real_munmap((unsigned char *)at - m->guard,
			      bytes + 2 * m->guard);
		errno = saved;
		return got;
	}
	m->at = at;
	last = m;
	return got;
}

int __wrap_munmap(void *at, size_t bytes)
{
	struct mapping *m;

	for (m = mappings; m < mappings + MAPPINGS; m++)
		if (m->at && m->at == at) {
			if (m->bytes != bytes)
				abort();
			m->at = NULL;
			return __real_munmap((unsigned char *)at - m->guard,
					     bytes + 2 * m->guard);
		}
	return __real_munmap(at, bytes);
}

void *last_mapping(size_t *bytes)
{
	*bytes = last ? last->bytes : 0;
	return last ? last->at : NULL;
}

long __wrap_syscall(long number, ...)
{
	long a[6], rc;
	va_list args;
	bool sleep;
	int i;

	va_start(args, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	sleep = number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT;
	if (sleep && seat) {
		tick();
		SET(seat->sleeping, 1);
	}
	rc = __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (sleep && seat)
		SET(seat->sleeping, 0);
	return rc;
}

/* fr_check() looks again and again before it believes a fault, and here it
 * finds many: a fiftieth of the time will do. */
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	const struct timespec less = {
		0,
		(time->tv_sec * 1000000000 + time->tv_nsec) / 50,
	};

	tick();
	return __real_nanosleep(&less, left);
}

/* ---- crashes ---- */

void show_stack(void)
{
	void *frames[64];
	int n = backtrace(frames, 64);

	backtrace_symbols_fd(frames, n, STDOUT_FILENO);
}

static void on_crash(int signal, siginfo_t *info, void *context)
{
	const struct timespec slice = {0, 10 * 1000000};
	unsigned i;

	(void)context;
	if (seat) {
		SET(seat->pid, (int32_t)getpid());
		SET(seat->address, (uint64_t)(uintptr_t)info->si_addr);
	}
	dprintf(STDOUT_FILENO, "fuzz: process %d: %s at %p\n", (int)getpid(),
		signal == SIGVTALRM ? "does not end" : sigabbrev_np(signal),
		info->si_addr);
	show_stack();
	if (seat)
		SET(seat->signal, signal);
	for (i = 0; seat && i < 6000 && !GET(seat->looked); i++)
		__real_nanosleep(&slice, NULL);
	_exit(77);
}

void catch_crashes(void)
{
	static const int signals[] = {
		SIGVTALRM, /* it does not end: crew.c */
#if !SANITIZED
		SIGSEGV,
		SIGBUS,
		SIGABRT,
		SIGILL,
		SIGFPE,
#endif
	};
	static unsigned char stack[256 * 1024];
	const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction sa = {
		.sa_sigaction = on_crash,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND,
	};
	void *frame;
	unsigned i;

	backtrace(&frame, 1); /* loads what it needs */
	sigaltstack(&alternate, NULL);
	for (i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaction(signals[i], &sa, NULL);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
}

bool sanitized(void)
{
	return SANITIZED;
}

void be_silent(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (!SANITIZED)
		dup2(fd, STDERR_FILENO);
	close(fd);
}

/* Sanitizers, if any: end the process with this status. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "exitcode=77:detect_leaks=0:handle_abort=1:handle_sigbus=1:"
	       "handle_sigill=1:handle_sigfpe=1:"
	       "detect_stack_use_after_return=0";
}

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
	return "exitcode=77:halt_on_error=1:print_stacktrace=1";
}
