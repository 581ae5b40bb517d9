#!/bin/sh
# SPDX-License-Identifier: MIT
#
# instructions.sh PROGRAM BUILD: each operation takes as many instructions, counted
# by valgrind's callgrind in the library and below it, as instructions.txt says.
# Unlike times these are the same on every machine, but only for the BUILD
# (compiler, options, architecture) that the file names. A tenth more has to be
# mended or explained, a tenth less to be written there.
#
# Counted is what N more operations take: what is done once is left out.
set -u

. "$(dirname "$0")/lib.sh"
program=${1:?the program}
build=${2:?how it was built}
recorded=$top/tests/instructions.txt
LC_ALL=C
export LC_ALL

N=10240 # so many that what is done once in a thousand counts, too

# The C library has a memcpy() for each kind of CPU: take the one for all.
GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-SSE4_2,-SSSE3,-ERMS,\
-AVX_Fast_Unaligned_Load,-Fast_Unaligned_Load
export GLIBC_TUNABLES

# count N: a line for each function of the program, with what it calls: name, count.
count()
{
	valgrind --tool=callgrind --callgrind-out-file="$dir/counts" \
		"$program" "$1" >"$dir/log" 2>&1 &&
		callgrind_annotate --inclusive=yes --threshold=100 \
			"$dir/counts" >"$dir/log" || {
		cat "$dir/log" >&2
		return 1
	}
	sed -n 's,^ *\([0-9][0-9\,]*\) .*:\([a-z_]*\) \[.*/instructions\]$,\2 \1,p' \
		"$dir/log" | tr -d ,
}

operations_are_counted()
{
	count $N >"$dir/once" && count $((2 * N)) >"$dir/twice" &&
		awk -v n=$N 'NR == FNR { once[$1] = $2; next }
			{ printf "%s %.0f\n", $1, ($2 - once[$1]) / n }' \
			"$dir/once" "$dir/twice" >"$dir/each"
}

# within COUNTED RECORDED: or why not.
within()
{
	if [ "$1" = no ]; then
		echo 'instructions.c has no function of that name.'
	elif [ $(($1 * 10)) -gt $(($2 * 11)) ]; then
		echo 'More than a tenth more.'
	elif [ $(($1 * 10)) -lt $(($2 * 9)) ]; then
		echo 'More than a tenth less: write it in tests/instructions.txt.'
	else
		return 0
	fi
	return 1
}

judge_each()
{
	grep -vE '^(#|build )' "$recorded" >"$dir/recorded"
	while read -r name figure; do
		counted=$(sed -n "s/^$name //p" "$dir/each")
		verdict "$name: ${counted:=no} instructions ($figure recorded)" \
			within "$counted" "$figure"
	done <"$dir/recorded"
}

of=$(sed -n 's/^build //p' "$recorded")
if [ "$build" != "$of" ]; then
	skip instructions "the figures are of $of, this is $build"
elif ! command -v valgrind >/dev/null; then
	skip instructions 'valgrind is not installed'
else
	verdict operations_are_counted
	[ "$failed" != 0 ] || judge_each
fi
finish
