#!/bin/sh
# SPDX-License-Identifier: MIT
#
# wordcount.sh WORDCOUNT ORACLE: wordcount beside `LC_ALL=C wc`, byte for byte of
# the output; beside the oracle (wc_oracle.c) where wc is none of GNU's before
# 9.5, and for names that wc would put in quotes. Where wc is old enough the
# oracle itself is compared with it.
set -u

. "$(dirname "$0")/lib.sh"
. "$top/script/lib.sh"

absolute()
{
	echo "$(cd "$(dirname "$1")" && pwd)/${1##*/}"
}

end()
{
	[ -z "$child" ] || kill -KILL "$child"
	chmod -R u+rwx "$dir" 2>/dev/null
	rm -rf "$dir"
}

wordcount=$(absolute "${1:?the program}")
oracle=$(absolute "${2:?the oracle}")
child=
trap end EXIT
LC_ALL=C
export LC_ALL
watch_left_over
cd "$dir" || exit 1

# What to compare with.

is_old_gnu_wc()
{
	set -- $(wc --version 2>/dev/null |
		sed -n '1s/.*GNU coreutils) \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
	[ $# = 2 ] && [ $(($1 * 1000 + $2)) -lt 9005 ]
}

# files_of PATH...: the files that wordcount should find, in its order, each with
# a NUL behind it: '/' sorts before any byte that a name may hold.
files_of()
{
	for root; do
		find -H "$root" -type f -print0 |
			tr '/' '\001' | sort -z | tr '\001' '/'
	done
}

# same REFERENCE OPTIONS PATH...: OPTIONS is one word, split.
same()
{
	by=$1 options=$2
	shift 2
	files_of "$@" >list
	$by --files0-from=list >want || return
	# shellcheck disable=SC2086 # a list of words
	"$wordcount" $options "$@" >got 2>err || return
	compare
}

compare()
{
	cat err
	cmp want got || {
		diff -a want got | head -n 20
		return 1
	}
	[ ! -s err ]
}

# given REFERENCE PATH...: the same paths to both, whatever they are.
given()
{
	by=$1
	shift
	$by "$@" >want 2>/dev/null
	status=$?
	"$wordcount" -j 2 "$@" >got 2>err
	[ $? = $status ] || return
	cmp want got || diff -a want got
}

# Trees of this machine.

oracle_counts_as_wc()
{
	files_of /usr/include small random >list
	wc --files0-from=list >want || return
	"$oracle" --files0-from=list >got 2>err || return
	compare
}

some_of_doc()
{
	find /usr/share/doc -mindepth 1 -maxdepth 1 -type d | sort |
		head -n 150
}

programs_given_one_by_one_count_as_wc()
{
	# shellcheck disable=SC2046 # names without blanks
	set -- $(find /usr/bin -maxdepth 1 -type f -size -2000k \
		-name '[!.]*' | grep -v '[^a-zA-Z0-9/._+-]' | sort |
		head -n 120)
	given "$reference" "$@"
}

# Small files.

make_small()
{
	mkdir small
	: >small/empty
	printf x >small/one_byte
	printf '\n' >small/newline
	printf 'no last\nnewline' >small/unfinished
	printf ' \t\v\f\r\n' >small/spaces
	printf '\000\001\010\177\200\377' >small/neutral
	printf 'a\200b \200 c\001\002d\033e \177\n' >small/mixed
	cat small/* small/* >small/zz
}

each_small_file_alone_counts_as_wc()
{
	for file in small/*; do
		given "$reference" "$file" || return
	done
}

# All bytes, then bytes of which every one matters.
make_random()
{
	mkdir random
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		head -c $((i * 37)) /dev/urandom >random/all$i
		head -c $((i * 211)) /dev/urandom |
			tr '\000-\377' 'ab \n\200\000\177\t!~\v\f\r\010\033 ' \
			>random/few$i
		head -c $((i * 97)) /dev/urandom |
			tr '\000-\373' '[\200*252]' >random/neutral$i
		tr -dc '[:space:][:cntrl:]a' </dev/urandom |
			head -c $((i * 53)) >random/cntrl$i
	done
}

any_piece_size_gives_the_same_counts()
{
	for piece in 1 2 3 7 64 100 1000; do
		same "$reference" "-j 2 --piece $piece" random small || return
	done
}

# Large files.

make_large()
{
	# Text, a hole, bytes at random, a run without a space, text.
	{
		find /usr/include -type f -size -100k -exec cat {} + 2>/dev/null |
			head -c 4000000
		head -c 3000000 /dev/urandom
		printf 'no\200end'
	} >seed
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do
		cat seed
	done >large
	truncate -s 190000000 large
	head -c 5000000 /dev/zero | tr '\000' x >>large
	head -c 5000000 seed >>large
}

# wordcount-plain, which wordcount's time is compared with.
two_plain_processes_count_as_wc()
{
	$reference small/zz | awk '{ print $1, $2, $3 }' >want
	"$wordcount-plain" small/zz | awk '{ print $1, $2, $3 }' >got
	cmp want got
}

a_file_of_200_MB_counts_as_wc()
{
	$reference large >want
	for jobs in 1 2 5; do
		"$wordcount" -j $jobs large >got 2>err && compare || return
	done
	"$wordcount" -j 2 --piece 99991 large >got 2>err && compare
}

# Trees.

make_names()
{
	mkdir names 'names/with blank' names/a names/a-b
	for name in 'a blank' ' ' "$(printf 'new\nline')" \
		"$(printf 'not\377utf8\200')" '*' '-q' '--' '-' \\ '"' "'" \
		"$(printf '\033[31mred')" 'with blank/x' a/x a-b/x a.x B b; do
		printf '%s\n' "$name" >"names/$name"
	done
}

a_directory_given_with_a_slash_gets_no_second_one()
{
	"$wordcount" small/ >got && "$wordcount" small >want && cmp want got
}

entries_come_in_bytewise_order()
{
	mkdir order order/a
	for name in a/x a-b a.b ab B _ '~' 0; do
		echo 1 >"order/$name"
	done
	"$wordcount" -j 2 order | awk '{ printf "%s ", $4 }' >got
	printf '%s ' order/0 order/B order/_ order/a/x order/a-b order/a.b \
		order/ab order/~ total >want
	cmp want got
}

more_files_than_open_descriptors_allow()
{
	mkdir many
	(
		cd many || exit
		for i in $(seq 50); do
			mkdir "$i"
			for j in $(seq 60); do
				echo "$i $j" >"$i/$j"
			done
		done
	)
	(
		ulimit -n 32
		same "$reference" '-j 3' many
	)
}

# 300 directories deep, each with a file. Then one whose path is too long.
deep_directories_count_as_wc()
{
	(
		mkdir deep && cd deep || exit
		for i in $(seq 300); do
			echo "$i" >file
			mkdir 0123456789 && cd 0123456789 || exit
		done
	)
	(
		ulimit -n 32
		same "$reference" '-j 2' deep
	)
}

a_path_that_is_too_long_is_reported_and_the_rest_counted()
{
	(
		mkdir long && cd long || exit
		for i in $(seq 30); do
			name=$(printf '%0250d' "$i")
			mkdir "$name" && echo x y >"$name/a" || exit
			cd "$name" || exit
		done
	)
	"$wordcount" -j 2 -q long >got 2>err
	status=$?
	[ $status = 1 ] && [ "$(tr -s ' ' <got)" = '16 32 64 total' ] &&
		[ "$(grep -c ': File name too long$' err)" = "$(wc -l <err)" ] &&
		grep -q '^wordcount: long/0' err
	status=$?
	# Too deep for rm by path.
	(cd long && find . -depth -delete)
	return $status
}

links_below_are_not_followed_and_those_given_are()
{
	mkdir links links/to
	echo one two >links/to/file
	ln -s to/file links/file_link
	ln -s to links/dir_link
	ln -s nowhere links/dangling
	ln -s . links/loop
	same "$reference" '-j 2' links || return
	given "$reference" links/file_link links/dangling || return
	"$wordcount" links/dir_link >got || return
	[ "$(cat got)" = '1 2 8 links/dir_link/file' ]
}

what_is_no_regular_file_is_passed_over_in_a_directory()
{
	mkdir special
	echo x >special/file
	mkfifo special/pipe
	"$wordcount" special >got 2>err && [ ! -s err ] &&
		[ "$(cat got)" = '1 1 2 special/file' ]
}

an_empty_directory_gives_no_line()
{
	mkdir empty
	"$wordcount" empty >got && [ ! -s got ]
}

# Arguments that are no files on a disk.

devices_and_files_without_a_size_count_as_wc()
{
	given "$reference" /dev/null || return
	given "$reference" /dev/null small/mixed || return
	given "$reference" /proc/version || return
	given "$reference" /proc/filesystems small/mixed /proc/version
}

pipes_given_are_read()
{
	mkfifo pipe
	cat small/* >pipe &
	"$wordcount" -j 2 pipe small/mixed >got || return
	cat small/* >pipe &
	$reference pipe small/mixed >want || return
	cmp want got
}

standard_input_counts_as_in_wc()
{
	for args in '' '-' '- small/mixed' '- -' 'small/mixed -'; do
		# shellcheck disable=SC2086 # a list of words
		{
			cat small/* | $reference $args >want &&
			cat small/* | "$wordcount" -j 2 $args >got &&
			cmp want got &&
			$reference $args <small/zz >want &&
			"$wordcount" -j 2 $args <small/zz >got &&
			cmp want got
		} || return
	done
}

standard_input_is_read_from_where_it_stands()
{
	{
		dd bs=1 count=7 of=/dev/null 2>/dev/null
		$reference -
	} <small/zz >want
	{
		dd bs=1 count=7 of=/dev/null 2>/dev/null
		"$wordcount" -
	} <small/zz >got
	cmp want got
}

# Failures.

missing_arguments_are_reported_and_the_rest_counted()
{
	given "$reference" none small/mixed || return
	[ "$(cat err)" = 'wordcount: none: No such file or directory' ] ||
		return
	given "$reference" none || return
	given "$reference" none '' small/mixed/x
}

# Root reads everything: without the capabilities for that it does not.
without_privilege()
{
	if [ "$(id -u)" = 0 ]; then
		set -- setpriv --bounding-set=-dac_override,-dac_read_search \
			--inh-caps=-dac_override,-dac_read_search "$@"
	fi
	"$@"
}

can_be_refused()
{
	without_privilege true && ! without_privilege cat unreadable/file
}

unreadable_files_and_directories_are_reported_and_the_rest_counted()
{
	without_privilege "$wordcount" -j 2 unreadable >got 2>err
	[ $? = 1 ] || return
	cat >want <<-END
	 1  2  4 unreadable/also
	 1  2  4 total
	END
	cmp want got || return
	cat >want <<-END
	wordcount: unreadable/dir: Permission denied
	wordcount: unreadable/file: Permission denied
	END
	cmp want err
}

files_that_vanish_meanwhile_are_reported()
{
	mkdir vanish
	(cd vanish && seq 3000 | xargs touch)
	find vanish -name '*[02468]' -delete &
	"$wordcount" -j 2 -q vanish >got 2>err
	[ $? -le 1 ] && [ -s got ] &&
		! grep -v '^wordcount: vanish/.*: No such file' err
}

# Each count must be one that the file had, more or less, and there must be one.
a_file_that_grows_or_shrinks_is_counted()
{
	(
		while :; do
			cat seed >>moving
			truncate -s 1000 moving
		done
	) &
	child=$!
	: >>moving
	for i in $(seq 20); do
		timeout 30 "$wordcount" -j 2 --piece 65536 moving >got || break
		grep -q ' moving$' got || break
	done
	kill "$child"
	wait "$child" 2>/dev/null
	child=
	[ "$i" = 20 ] && grep ' moving$' got
}

a_full_disk_below_the_output_is_reported()
{
	"$wordcount" small >/dev/full 2>err
	[ $? = 1 ] &&
		[ "$(cat err)" = 'wordcount: write error: No space left on device' ]
}

a_closed_output_is_reported()
{
	"$wordcount" small >&- 2>err
	[ $? = 1 ] && grep '^wordcount: write error' err
}

# Options.

refused()
{
	"$wordcount" "$@" >got 2>err </dev/null
	[ $? = 2 ] && [ ! -s got ] && [ "$(wc -l <err)" = 1 ] &&
		grep -q '^wordcount: .*; try wordcount --help$' err
}

wrong_options_are_refused_in_one_line()
{
	refused -j 0 small && refused -j 1025 small && refused -j x small &&
	refused -j '' small && refused -j -1 small && refused -j &&
	refused -j 99999999999999999999 small && refused -x &&
	refused --none && refused --quiet=3 && refused --jobs &&
	refused --piece 0 small && refused -qx small
}

quiet_prints_the_total_only()
{
	"$wordcount" small >want && tail -n 1 want >last || return
	"$wordcount" -q small >got && cmp last got || return
	"$wordcount" small/mixed | sed 's, small/mixed, total,' >want
	"$wordcount" --quiet small/mixed >got && cmp want got
}

options_may_follow_paths_and_two_dashes_end_them()
{
	"$wordcount" -q small >want && "$wordcount" small -q >got &&
		cmp want got || return
	echo x >-q
	"$wordcount" -- -q >got
	[ "$(cat got)" = '1 1 2 -q' ]
}

help_goes_to_standard_output()
{
	"$wordcount" --help >got 2>err && [ ! -s err ] &&
		grep -q '^usage: wordcount' got
}

a_summary_goes_to_standard_error()
{
	"$wordcount" -s -q -j 2 small >got 2>err &&
		[ "$(wc -l <err)" = 1 ] &&
		grep -Eq "^$(find small -type f | wc -l) files, .* bytes in \
.* s: .* bytes/s; 2 workers, .* tasks, .* tasks/s$" err
}

# The bar, and signals.

a_bar_is_drawn_on_a_terminal_and_wiped_out()
{
	truncate -s 2G hole
	SHELL=/bin/sh script -qec "'$wordcount' -j 1 hole >got" screen \
		>/dev/null || return
	rm -f hole
	# What was drawn last is blanks.
	tr '\r' '\n' <screen | grep -v '^Script' >lines
	cat lines
	grep -q '%.*B/s.*left' lines &&
		tail -n 2 lines | head -n 1 | grep -q '^ *$'
}

# interrupted SIGNAL STATUS INPUT COMMAND...: send it in the middle. A background
# process of a shell ignores SIGINT unless told not to.
interrupted()
{
	signal=$1 want=$2 input=$3
	shift 3
	env --default-signal=INT "$@" <"$input" >got 2>err &
	child=$!
	sleep 0.5
	kill -s "$signal" "$child"
	wait "$child"
	ended=$?
	child=
	cat err
	echo "status $ended"
	[ ! -s got ] && [ $ended = "$want" ] && left_over
}

a_signal_in_the_middle_leaves_nothing_behind()
{
	truncate -s 400G hole
	interrupted INT 130 /dev/null "$wordcount" -j 2 hole &&
		interrupted TERM 130 /dev/null "$wordcount" -j 2 hole small
	status=$?
	rm -f hole
	return $status
}

a_signal_while_it_waits_for_input_leaves_nothing_behind()
{
	mkfifo never
	exec 9<>never
	interrupted INT 130 never "$wordcount" -j 2 small - &&
		interrupted INT 130 /dev/null "$wordcount" -j 2 never small
	status=$?
	exec 9>&-
	interrupted INT 130 /dev/null "$wordcount" -j 2 never small || status=1
	return $status
}

make_small
make_random
mkdir unreadable unreadable/dir
echo a b c d e f >unreadable/file
echo c d >unreadable/also
echo e f >unreadable/dir/x
chmod 0 unreadable/file unreadable/dir

if is_old_gnu_wc; then
	reference=wc
	verdict oracle_counts_as_wc
else
	echo 'This wc counts by another rule: comparing with the oracle.'
	reference=$oracle
fi

make_names
verdict usr_include_counts_as_wc same $reference '-j 2' /usr/include
# shellcheck disable=SC2046 # names without blanks
verdict doc_counts_as_wc same $reference '-j 5' $(some_of_doc)
verdict programs_given_one_by_one_count_as_wc
verdict each_small_file_alone_counts_as_wc
for jobs in 1 2 5; do
	verdict "small_files_count_as_wc_with_${jobs}_workers" \
		same $reference "-j $jobs" small random
done
verdict any_piece_size_gives_the_same_counts
verdict two_plain_processes_count_as_wc
make_large
verdict a_file_of_200_MB_counts_as_wc
rm -f large
verdict names_are_printed_as_they_are same "$oracle" '-j 2' names
verdict a_directory_given_with_a_slash_gets_no_second_one
verdict entries_come_in_bytewise_order
verdict more_files_than_open_descriptors_allow
verdict deep_directories_count_as_wc
verdict a_path_that_is_too_long_is_reported_and_the_rest_counted
verdict links_below_are_not_followed_and_those_given_are
verdict what_is_no_regular_file_is_passed_over_in_a_directory
verdict an_empty_directory_gives_no_line
verdict devices_and_files_without_a_size_count_as_wc
verdict pipes_given_are_read
verdict standard_input_counts_as_in_wc
verdict standard_input_is_read_from_where_it_stands
verdict missing_arguments_are_reported_and_the_rest_counted
if can_be_refused >/dev/null 2>&1; then
	verdict unreadable_files_and_directories_are_reported_and_the_rest_counted
else
	skip unreadable_files_and_directories_are_reported_and_the_rest_counted \
		'root here cannot give up reading everything'
fi
verdict files_that_vanish_meanwhile_are_reported
verdict a_file_that_grows_or_shrinks_is_counted
verdict a_full_disk_below_the_output_is_reported
verdict a_closed_output_is_reported
verdict wrong_options_are_refused_in_one_line
verdict quiet_prints_the_total_only
verdict options_may_follow_paths_and_two_dashes_end_them
verdict help_goes_to_standard_output
verdict a_summary_goes_to_standard_error
verdict a_bar_is_drawn_on_a_terminal_and_wiped_out
verdict a_signal_in_the_middle_leaves_nothing_behind
verdict a_signal_while_it_waits_for_input_leaves_nothing_behind
verdict nothing_is_left_behind left_over

finish
