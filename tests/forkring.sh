#!/bin/sh
# SPDX-License-Identifier: MIT
#
# forkring.sh FORKRING HELPER: the command, on arenas of processes that live, have
# been killed, or have gone (forkring_arena.c). In a /dev/shm of its own, since it
# removes whatever nobody uses there.
set -u

absolute()
{
	echo "$(cd "$(dirname "$1")" && pwd)/${1##*/}"
}

forkring=$(absolute "${1:?the command}")
helper=$(absolute "${2:?the helper}")
if [ "${own_shm:-}" = '' ]; then
	for how in -m -rm; do
		unshare $how true 2>/dev/null || continue
		own_shm=$how
		export own_shm
		# shellcheck disable=SC2093 # the first that works
		exec unshare $how -- "$0" "$forkring" "$helper"
	done
	echo 'skip the_command: takes a mount of its own'
	echo '0 passed, 0 failed, 1 skipped'
	exit 0
fi

. "$(dirname "$0")/lib.sh"
if ! mount -t tmpfs -o mode=1777 tmpfs /dev/shm; then
	skip the_command 'takes a mount of its own'
	finish
	exit
fi
LC_ALL=C
export LC_ALL
cd "$dir" || exit 1
shm=/dev/shm/forkring.

# start NAME [WORD]...: a process with an arena; $pid.
start()
{
	rm -f ready
	mkfifo ready
	"$helper" "$@" >ready &
	pid=$!
	word=
	read -r word <ready
	[ "$word" = ready ]
}

# end PID: it leaves and detaches. die PID...: it does not.
end()
{
	kill -TERM "$1" && wait "$1"
}

die()
{
	kill -KILL "$@"
	wait "$@" 2>/dev/null
	true
}

# told STATUS [LINE]... -- ARGUMENT...: what the command prints on standard output,
# runs of blanks as one; what it prints on standard error is in `err`.
told()
{
	status=$1
	shift
	: >expected
	while [ "$1" != -- ]; do
		printf '%s\n' "$1" >>expected
		shift
	done
	shift
	"$forkring" "$@" >out 2>err
	got=$?
	sed 's/  */ /g' out >single
	cat err
	echo "forkring $*: status $got"
	diff expected single && [ "$got" = "$status" ]
}

# one_line PATTERN: and that is all that it complained.
one_line()
{
	[ "$(wc -l <err)" = 1 ] && grep -E "^forkring: $1" err
}

head='NAME BYTES SLOTS ALIVE DEAD STATE'
phead='ARENA SLOT PID STATE NAME'

bytes()
{
	stat -c %s "$shm$1"
}

# ---- the command line ----

it_has_help_and_a_version()
{
	"$forkring" --help | grep -q '^Usage: forkring' &&
		"$forkring" --version | grep -Ex 'forkring [0-9.]+'
}

wrong_usage_is_one_line_and_status_2()
{
	told 2 -- && one_line 'give a command' &&
		told 2 -- fly && one_line 'fly: no such command' &&
		told 2 -- --fly && one_line 'no such option: --fly' &&
		told 2 -- ls --fly && one_line 'ls: no such option: --fly' &&
		told 2 -- ls -f && one_line 'ls: no such option: -f' &&
		told 2 -- rm && one_line 'rm: which arena' &&
		told 2 -- check && one_line 'check: which arena' &&
		told 2 -- gc all && one_line 'gc takes no name'
}

an_arena_that_is_not_there_is_status_2()
{
	for command in ls check recover rm 'rm -f'; do
		# shellcheck disable=SC2086 # a command and its option
		"$forkring" $command nothing >out 2>err
		[ $? = 2 ] && one_line 'nothing: no such arena' || return
		# shellcheck disable=SC2086
		"$forkring" $command ../nothing >out 2>err
		[ $? = 2 ] && one_line '../nothing: no name' || return
	done
}

what_cannot_be_written_is_status_2()
{
	"$forkring" ls >/dev/full 2>err
	[ $? = 2 ] && one_line 'cannot write'
}

# ---- living ----

nothing_is_a_head_line()
{
	told 0 "$head" -- ls && told 0 "$phead" -- ls -v && told 0 -- gc
}

an_arena_in_use_is_listed()
{
	start one join=alice join reserve && one=$pid &&
		told 0 "$head" "one $(bytes one) 8 2 0 in use" -- ls
}

its_processes_are_listed()
{
	told 0 "$phead" "one 0 $one joined alice" "one 1 $one joined -" \
		'one 2 - reserved -' -- ls one &&
		told 0 "$phead" "one 0 $one joined alice" \
			"one 1 $one joined -" 'one 2 - reserved -' -- ls -v
}

the_columns_stand_in_line()
{
	start a_rather_long_name join && long=$pid &&
		"$forkring" ls >out && sed 's/in use$/in_use/' out | awk '{
			print length($0) - length($NF) }' | sort -u >places &&
		cat out places &&
		[ "$(wc -l <places)" = 1 ] && end "$long" &&
		told 0 'removed a_rather_long_name' -- gc
}

a_sound_arena_has_no_faults()
{
	told 0 'one: no faults' -- check one &&
		told 0 'one: recovered 0 processes' -- recover one
}

an_arena_in_use_is_not_removed()
{
	told 1 -- rm one && one_line 'one: in use' && [ -e ${shm}one ] &&
		told 0 -- gc && told 0 -- gc -n && [ -e ${shm}one ]
}

a_stopped_process_uses_it()
{
	kill -STOP "$one"
	told 1 -- rm one && told 0 -- gc &&
		told 0 "$head" "one $(bytes one) 8 2 0 in use" -- ls
	set -- $?
	kill -CONT "$one"
	return "$1"
}

who_is_only_attached_uses_it()
{
	start attached && attached=$pid &&
		told 0 "$head" "attached $(bytes attached) 8 0 0 in use" \
			"one $(bytes one) 8 2 0 in use" -- ls &&
		told 1 -- rm attached && told 0 -- gc && end "$attached" &&
		told 0 'removed attached' -- rm attached &&
		[ ! -e ${shm}attached ]
}

who_lives_without_its_locks_uses_it()
{
	start unlocked join unlock && unlocked=$pid &&
		told 0 "$head" "one $(bytes one) 8 2 0 in use" \
			"unlocked $(bytes unlocked) 8 1 0 in use" -- ls &&
		told 1 -- rm unlocked && told 0 -- gc &&
		told 0 'unlocked: no faults' -- check unlocked &&
		die "$unlocked" && told 0 'removed unlocked' -- rm unlocked
}

a_name_is_one_word()
{
	start 'a b\c' join='x	y' && odd=$pid && start - join=- && dash=$pid &&
		told 0 "$phead" "\\055 0 $dash joined \\055" \
			"a\\040b\\134c 0 $odd joined x\\011y" -- ls - 'a b\c' &&
		end "$odd" && end "$dash" &&
		told 0 'removed \055' 'removed a\040b\134c' -- gc
}

# ---- dead ----

the_dead_are_listed()
{
	start one join=bob && bob=$pid && die "$bob" &&
		told 0 "$head" "one $(bytes one) 8 2 1 in use" -- ls &&
		told 0 "$phead" "one 0 $one joined alice" "one 1 $one joined -" \
			'one 2 - reserved -' "one 3 $bob dead bob" -- ls one
}

a_dead_process_is_a_fault()
{
	told 1 "one: slot 3, generation 1: its process (pid $bob) is dead: \
fr_recover() or \`forkring recover\` frees it" -- check one
}

the_dead_are_recovered()
{
	told 0 'one: recovered 1 process' -- recover one &&
		told 0 'one: no faults' -- check one &&
		told 0 "$head" "one $(bytes one) 8 2 0 in use" -- ls
}

a_dead_arena_is_listed()
{
	start two join=carol join && two=$pid && die "$two" &&
		told 0 "$head" "one $(bytes one) 8 2 0 in use" \
			"two $(bytes two) 8 0 2 dead" -- ls
}

gc_removes_the_dead_only()
{
	told 0 'would remove two' -- gc -n && [ -e ${shm}two ] &&
		told 0 'removed two' -- gc && [ ! -e ${shm}two ] &&
		told 0 'one: no faults' -- check one
}

rm_removes_a_dead_one()
{
	start two join && die "$pid" && told 0 'removed two' -- rm two &&
		[ ! -e ${shm}two ]
}

an_arena_that_was_left_is_removed_too()
{
	start two join && end "$pid" &&
		told 0 "$head" "one $(bytes one) 8 2 0 in use" \
			"two $(bytes two) 8 0 0 dead" -- ls &&
		told 0 'removed two' -- gc
}

of_several_names_the_worst_counts()
{
	start two join && die "$pid" &&
		told 1 'removed two' -- rm one two && one_line 'one: in use' &&
		told 2 'one: no faults' -- check nothing one
}

a_name_is_taken_by_force()
{
	told 0 'removed one, which is in use' -- rm -f one &&
		[ ! -e ${shm}one ] && end "$one"
}

# ---- damaged ----

a_fault_is_told()
{
	start bad join damage && bad=$pid &&
		told 1 'bad: event 9, generation 0: set, but not reserved' \
			-- check bad && die "$bad" &&
		told 0 'removed bad' -- gc
}

# left NAME: an arena that was left.
left()
{
	start "$1" && end "$pid"
}

# put NAME OFFSET: eight other bytes there.
put()
{
	printf '\1\2\3\4\5\6\7\10' |
		dd of="$shm$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

what_cannot_be_attached_is_listed()
{
	left sum && left short && left version && left magic &&
		put sum 24 && truncate -s 5000 ${shm}short &&
		put version 8 && put magic 0 && : >${shm}empty &&
		mkdir ${shm}directory && ln -s short ${shm}link &&
		told 0 "$head" "directory $(bytes directory) - - - no arena" \
			'empty 0 - - - no arena' \
			'link 5 - - - no arena' \
			"magic $(bytes magic) - - - no arena" \
			'short 5000 - - - damaged' \
			"sum $(bytes sum) - - - damaged" \
			"version $(bytes version) - - - other version" -- ls
}

it_is_named_in_errors()
{
	told 2 -- check sum && one_line 'sum: damaged' &&
		told 2 -- check version && one_line 'version: not an arena' &&
		told 2 -- recover link && one_line 'link: a symbolic link' &&
		told 2 -- rm empty && one_line 'empty: not an arena'
}

gc_removes_what_was_an_arena()
{
	told 0 'would remove short' 'would remove sum' 'would remove version' \
		-- gc -n &&
		told 0 'removed short' 'removed sum' 'removed version' -- gc
}

the_rest_goes_by_force()
{
	told 2 'removed empty' 'removed link' 'removed magic' \
		-- rm -f directory empty link magic &&
		one_line 'directory: a directory' && rmdir ${shm}directory &&
		told 0 "$head" -- ls
}

another_users_arena_is_not_readable()
{
	start mine join && mine=$pid && chmod 711 . &&
		cp "$forkring" ./forkring &&
		setpriv --reuid=65534 --clear-groups ./forkring ls >out &&
		sed 's/  */ /g' out >single &&
		grep "^mine $(bytes mine) - - - not readable" single &&
		setpriv --reuid=65534 --clear-groups ./forkring gc >out &&
		[ ! -s out ] && end "$mine" && told 0 'removed mine' -- gc
}

# ---- the whole machine's processes ----

after_a_kill_of_all_gc_removes_all()
{
	start a join=x join && first=$pid && start a join=y && second=$pid &&
		start b && third=$pid && start c join reserve && fourth=$pid &&
		die "$first" "$second" "$third" "$fourth" &&
		told 0 "$head" "a $(bytes a) 8 0 3 dead" \
			"b $(bytes b) 8 0 0 dead" "c $(bytes c) 8 0 1 dead" \
			-- ls &&
		start a replace join=x && first=$pid &&
		told 0 'removed b' 'removed c' -- gc &&
		told 0 "$phead" "a 0 $first joined x" -- ls a &&
		end "$first" && told 0 'removed a' -- gc &&
		[ "$(ls /dev/shm)" = '' ]
}

verdict it_has_help_and_a_version
verdict wrong_usage_is_one_line_and_status_2
verdict an_arena_that_is_not_there_is_status_2
verdict what_cannot_be_written_is_status_2
verdict nothing_is_a_head_line
verdict an_arena_in_use_is_listed
verdict its_processes_are_listed
verdict the_columns_stand_in_line
verdict a_sound_arena_has_no_faults
verdict an_arena_in_use_is_not_removed
verdict a_stopped_process_uses_it
verdict who_is_only_attached_uses_it
verdict who_lives_without_its_locks_uses_it
verdict a_name_is_one_word
verdict the_dead_are_listed
verdict a_dead_process_is_a_fault
verdict the_dead_are_recovered
verdict a_dead_arena_is_listed
verdict gc_removes_the_dead_only
verdict rm_removes_a_dead_one
verdict an_arena_that_was_left_is_removed_too
verdict of_several_names_the_worst_counts
verdict a_name_is_taken_by_force
verdict a_fault_is_told
verdict what_cannot_be_attached_is_listed
verdict it_is_named_in_errors
verdict gc_removes_what_was_an_arena
verdict the_rest_goes_by_force
if [ "$own_shm" = -m ] && setpriv --reuid=65534 --clear-groups true; then
	verdict another_users_arena_is_not_readable
else
	skip another_users_arena_is_not_readable 'takes root'
fi
verdict after_a_kill_of_all_gc_removes_all
finish
