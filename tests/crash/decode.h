/* SPDX-License-Identifier: MIT */
/* Just enough of x86-64's instructions to know which of them store; decode.c.
 * */
#ifndef FR_TESTS_CRASH_DECODE_H
#define FR_TESTS_CRASH_DECODE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/user.h>

enum insn_kind {
	INSN_OTHER,
	INSN_CALL,
	INSN_RETURN,
	INSN_SYSCALL,
	INSN_MARK, /* int3 */
};

struct insn {
	enum insn_kind kind;
	bool stores;      /* to memory, also if with the value that it had */
	uint64_t address; /* where */
};

/* The instruction at `at`, as it would run with these registers. */
void decode(const uint8_t *at, const struct user_regs_struct *regs,
	    struct insn *ret);

#endif
