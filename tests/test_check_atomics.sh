#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Does script/check-atomics find every kind of fault, and nothing in a sound
# source? Each test plants one fault into a small library of its own.
set -u

. "$(dirname "$0")/lib.sh"

check()
{
	"$top/script/check-atomics" "$dir/lib" >"$dir/out" 2>&1
	status=$?
	cat "$dir/out"
	return "$status"
}

# The sound library, a new one for each test; what each test adds comes on stdin.
fresh()
{
	rm -rf "${dir:?}/lib"
	mkdir "$dir/lib"
	cat >"$dir/lib/atomic.h" <<-'END'
	#define fr__load_acquire(p) __atomic_load_n(&(p)->raw, __ATOMIC_ACQUIRE)
	static inline void fr__pause(void) { __asm__ __volatile__("nop"); }
	END
	cat >"$dir/lib/futex.h" <<-'END'
	static inline long wake(int *w) { return syscall(SYS_futex, w); }
	END
	cat >"$dir/lib/ring.c" <<-'END'
	/* A ring: [RING-1] is described below. volatile, asm and _Atomic in a
	 * comment are words. */
	static const char *text = "asm volatile /* [NO-1] */ fr__load_sc(x)";

	static void put(struct ring *r, uint64_t v)
	{
		/* [RING-1] release: record bytes -> tag READY.
		 * Pairs with [RING-2] get(). Without it: a torn record. */
		fr__store_release(&r->tag, v);
	}

	static uint64_t get(struct ring *r)
	{
		uint64_t v;

		if (fr__load_acquire(&r->tag)) /* as [RING-2] */
			return 0;
		/* [RING-2] acquire: tag READY -> record bytes. Pairs
		 * with [RING-1] and [RING-4]. Without it: a torn record.
		 * [RING-3] relaxed: the reader is the sole writer of head. */
		v = fr__load_acquire(&r->tag);
		fr__store_relaxed(&r->head, v + 1); /* a remark */
		fr__store_relaxed(&r->seen, v + 1);

		/* [RING-4] acq_rel: takes the place and gives it. Pairs with
		 * [RING-2], and with itself, [RING-4]. */
		while (!fr__cas_acq_rel(&r->tag, &v,
					v + 1))
			fr__pause();
		fr__fence_sc(); /* [RING-5] seq_cst: mark -> look. Pairs with
				 * [BELL-1], as the table there shows. */
		return v;
	}
	END
	cat >"$dir/lib/bell.c" <<-'END'
	/* [BELL-1] seq_cst: the other side of the same. Pairs with [RING-5]. */
	void look(void) { fr__fence_sc(); }
	END
	cat >"$dir/lib/more.c"
}

# finds NAME MESSAGE: what stdin adds is one fault, reported with that message.
finds()
{
	fresh
	verdict "$1" one_fault "$2"
}

one_fault()
{
	check
	[ $? = 1 ] && [ "$(wc -l <"$dir/out")" = 2 ] &&
		grep -q "^$dir/lib/[a-z]*\.[ch]:[0-9][0-9]*: .*$1" "$dir/out"
}

# passes NAME: with what stdin adds the library is still sound.
passes()
{
	fresh
	verdict "$1" check
}

passes a_sound_library_passes </dev/null
verdict the_summary_counts_labels_and_uses \
	grep -x 'check-atomics: 6 labels, 8 uses, 0 faults' "$dir/out"

for word in 'atomic_store(&x, 1)' 'atomic_int x' '__atomic_load_n(p, 0)' \
	'__sync_synchronize()' '_Atomic int x' 'volatile int x' \
	'asm("nop")' '__asm__("nop")' '__volatile__ int x' \
	'uatomic_read(&x)' 'cmm_smp_mb()'; do
	finds "raw_is_found: $word" 'outside atomic.h and futex.h' <<-END
	$word;
	END
done
finds an_include_of_stdatomic_is_found 'outside atomic.h' <<'END'
#include <stdatomic.h>
END
finds a_futex_call_outside_futex_h_is_found 'outside futex.h' <<'END'
	syscall(SYS_futex, w, FUTEX_WAKE, 1);
END
finds an_operation_without_a_label_is_found 'has no label' <<'END'
	/* no label here */
	fr__store_release(&r->tag, v);
END
finds an_empty_line_ends_what_a_comment_covers 'has no label' <<'END'
	/* as [RING-1] */
	fr__store_release(&r->tag, v);

	fr__store_release(&r->tag, v);
END
finds the_next_comment_ends_what_a_comment_covers 'has no label' <<'END'
	/* as [RING-1] */
	fr__store_release(&r->tag, v);
	/* and once more */
	fr__store_release(&r->tag, v);
END
finds a_label_beside_one_line_does_not_cover_the_next 'has no label' <<'END'
	fr__store_release(&r->tag, v); /* as [RING-1] */
	fr__store_release(&r->tag, v);
END
finds a_mere_mention_covers_nothing 'has no label' <<'END'
	/* see [RING-1] */
	fr__store_release(&r->tag, v);
END
finds a_label_inside_a_string_covers_nothing 'has no label' <<'END'
	log("/* as [RING-1] */"); fr__store_release(&r->tag, v);
END
finds a_label_defined_twice_is_found 'defined a second time' <<'END'
	/* [RING-1] release: again. Pairs with [RING-2]. */
	fr__store_release(&r->tag, v);
END
finds a_partner_that_is_not_defined_is_found '\[RING-99\] is not defined' <<'END'
	/* [X-1] seq_cst: a -> b. Pairs with [X-1] and [RING-99]. */
	fr__swap_sc(&r->tag, v);
END
finds a_use_of_an_undefined_label_is_found '\[RING-98\] is not defined' <<'END'
	/* as [RING-98] and [RING-1] */
	fr__store_release(&r->tag, v);
END
finds a_partner_that_does_not_point_back_is_found \
	'\[X-1\] pairs with \[RING-2\], but \[RING-2\] not with' <<'END'
	/* [X-1] release: a -> b. Pairs with [RING-2]. */
	fr__store_release(&r->tag, v);
END
finds a_definition_without_a_partner_is_found 'does not say what it pairs' <<'END'
	/* [X-1] release: record bytes -> tag. Without it: a torn record. */
	fr__store_release(&r->tag, v);
END
finds a_relaxed_without_a_reason_is_found 'relaxed without a reason' <<'END'
	/* [X-1] relaxed: a hint. */
	fr__load_relaxed(&r->tag);
END
finds a_definition_that_covers_nothing_is_found 'covers no relaxed' <<'END'
	/* [X-1] relaxed: nobody else sees it yet. */

	f();
END
finds a_reference_that_covers_nothing_is_found 'covers no release' <<'END'
	f(); /* as [RING-1] */
END
finds an_order_beside_the_labels_is_found 'only labels of another order' <<'END'
	/* as [RING-1] */
	fr__store_release(&r->tag, v);
	fr__store_sc(&r->tag, v);
END

# A wrong order is two faults: the label covers nothing, the operation has none.
fresh <<'END'
	/* [X-1] relaxed: nobody else sees it yet. */
	fr__store_release(&r->tag, v);
END
an_order_that_is_not_the_operations_is_found()
{
	! check && grep -q 'is relaxed, but covers no relaxed' "$dir/out" &&
		grep -q 'release operation has only labels' "$dir/out"
}
verdict an_order_that_is_not_the_operations_is_found

passes one_comment_covers_the_lines_up_to_an_empty_one <<'END'
	/* [X-1] relaxed: nobody else sees it yet.
	 * as it is with [RING-1] elsewhere */
	fr__store_relaxed(&r->tag, v);
	if (x)
		fr__store_relaxed(&r->head, v);
END
passes a_remark_beside_code_does_not_end_what_a_comment_covers <<'END'
	/* as [RING-3] */
	fr__store_relaxed(&r->tag, v); /* a remark
					* of two lines */
	fr__store_relaxed(&r->head, v);
END
passes other_functions_with_such_names_need_no_label <<'END'
	fr__add_worker(f);
	fr__store_name(f);
END
passes double_slash_comments_count <<'END'
	// as [RING-1]
	fr__store_release(&r->tag, v);
	fr__store_release(&r->tag, v); // as [RING-1]
END

an_empty_directory_is_an_error()
{
	rm -f "$dir/lib/"*
	check
	[ $? -gt 1 ]
}
verdict an_empty_directory_is_an_error

# The faults that script/mutants plants at labels, and those of tests/mutants/list.
mutants_fit_the_code()
{
	"$top/script/mutants" --list
}
verdict mutants_fit_the_code

finish
