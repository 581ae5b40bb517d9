#!/bin/sh
# SPDX-License-Identifier: MIT
#
# examples.sh BUILDDIR: each example runs, says what its README says, and leaves
# nothing behind.
set -u

. "$(dirname "$0")/lib.sh"
build=$1/examples

says() # NAME PATTERN TEXT: a line of TEXT matches
{
	printf '%s\n' "$3" >"$dir/said"
	verdict "$1" grep -E "$2" "$dir/said"
}

out=$(timeout 30 "$build/hello")
verdict hello_ends_well test $? = 0
says hello_both_greet '^(alice|bob) says: hello number 3$' "$out"
[ "$(printf '%s\n' "$out" | grep -c '^answer: and hello to you')" = 6 ]
verdict hello_every_greeting_is_answered test $? = 0

timeout 30 "$build/hello" one two >"$dir/one" &
pid=$!
timeout 30 "$build/hello" two one >"$dir/two"
verdict hello_in_two_terminals_ends_well test $? = 0
wait $pid
verdict hello_the_other_terminal_too test $? = 0
says hello_meets_by_name '^two says: hello number 1$' "$(cat "$dir/one")"
[ ! -e /dev/shm/forkring.hello ]
verdict hello_leaves_no_name test $? = 0

out=$(timeout 60 "$build/pingpong" -n 2000)
verdict pingpong_ends_well test $? = 0
says pingpong_sleeping '^sleeping +round trip of 8 bytes: median [0-9]+ ns' "$out"
"$build/pingpong" -n 1 2>"$dir/err"
[ $? = 2 ] && grep -q usage "$dir/err"
verdict pingpong_refuses_bad_options test $? = 0

out=$(timeout 30 "$build/events")
verdict events_ends_well test $? = 0
says events_are_set '^main: event 2 is set$' "$out"
says events_scope '^main: the scope.s event was set$' "$out"

finish
