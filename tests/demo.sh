#!/bin/sh
# SPDX-License-Identifier: MIT
#
# demo.sh BUILDDIR: script/demo runs and ends by itself; and Ctrl-C in the middle
# of it, or of wordcount reading a terminal, leaves nothing behind: no process,
# no name in /dev/shm, the terminal as it was.
set -u

. "$(dirname "$0")/lib.sh"
. "$top/script/lib.sh"
BUILD=$(cd "${1:?the build directory}" && pwd) || exit 1
export BUILD

demo_counts_a_small_tree()
{
	"$top/script/demo" tree >screen 2>&1 || return
	# shellcheck disable=SC2046 # only the blanks between may differ
	set -- $(cat tree/a tree/sub/b | LC_ALL=C wc)
	grep -E "^ *$1 +$2 +$3 +total$" screen
}

demo_ends_well_beside_a_file_that_it_cannot_read()
{
	"$top/script/demo" tree none >screen 2>&1 && grep none screen
}

# on_terminal SIGN COMMAND: run it in a terminal of its own, type Ctrl-C once
# SIGN is on the screen, and wait for the end. Writes the terminal's settings
# before and after, the command's status, and what it left: asked before the
# terminal goes, since that would end the rest as well.
on_terminal()
{
	sign=$1 command=$2
	rm -f before after status left
	: >screen
	{
		for try in $(seq 300); do
			grep -aq "$sign" screen && break
			sleep 0.1
		done
		sleep 0.3
		printf '\003'
		for try in $(seq 300); do
			[ ! -e left ] || break
			sleep 0.1
		done
	} | SHELL=/bin/sh timeout -k 5 90 script -qefc "trap : INT
		. '$top/script/lib.sh'
		watch_left_over
		stty -a >before
		$command
		echo \$? >status
		stty -a >after
		left_over >left.new
		mv left.new left" screen >/dev/null
	cat screen
	[ -e left ]
}

it_ended_early()
{
	[ -s status ] && [ "$(cat status)" != 0 ]
}

the_terminal_is_as_it_was()
{
	[ -s before ] && diff before after
}

nothing_is_left()
{
	cat left && [ ! -s left ]
}

interrupted()
{
	verdict "$1_ends_at_ctrl_c" on_terminal "$2" "$3"
	verdict "$1_says_by_its_status_that_it_did_not_finish" it_ended_early
	verdict "$1_leaves_the_terminal_as_it_was" the_terminal_is_as_it_was
	verdict "$1_leaves_nothing_behind" nothing_is_left
}

watch_left_over
cd "$dir" || exit 1
mkdir -p tree/sub
echo 'one two' >tree/a
printf 'three\nfour five' >tree/sub/b
verdict demo_counts_a_small_tree
verdict demo_ends_well_beside_a_file_that_it_cannot_read
verdict demo_that_ended_leaves_nothing_behind left_over

# More than any machine counts in that time, and no room on the disk.
mkdir large
truncate -s 64G large/1 large/2 large/3 large/4 || exit 1
interrupted demo_in_the_middle % "'$top/script/demo' large"
interrupted wordcount_at_a_terminal reading "echo reading; '$BUILD/examples/wordcount' -"

finish
