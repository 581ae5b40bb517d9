#!/bin/sh
# SPDX-License-Identifier: MIT
#
# model.sh: the Promela models of model/*.pml hold, as they are and in each variant
# that they name; spin finds each mutant that they name; and the labels of their
# steps are those of lib/'s atomics.
#
# A model names, in comments of their own,
#	variant -DFLAG: what is other
#	mutant NAME [-DFLAG]: what is wrong		(found with -DNAME -DFLAG)
#
# model/not-modelled lists the labels of lib/ that no model has: label, tab, reason.
#
# model.sh --run FILE CORRECT|WRONG [-DFLAG...]: one run of spin, in a directory of its
# own; the last line says how many states and seconds it took.
set -u

MEMORY=1900 # MiB of each run, two at once

if [ "${1-}" = --run ]; then
	file=$2 expected=$3
	shift 3
	top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
	work=$(mktemp -d) || exit 1
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	optimise=-O2
	[ "$expected" = CORRECT ] || optimise=-O1
	cp "$top"/tests/model/*.pml "$top"/tests/model/*.h "$work" &&
		cd "$work" || exit 1
	spin "$@" -a "$file" || exit 1
	gcc $optimise -w -DSAFETY -DCOLLAPSE -DMEMLIM=$MEMORY -o pan pan.c ||
		exit 1
	start=$(date +%s)
	./pan -n -m1000000 >out
	seconds=$(($(date +%s) - start))
	grep -v '^Depth=' out
	if [ "$expected" = CORRECT ]; then
		grep -q 'errors: 0$' out &&
			! grep -E 'not completed|depth too small|out of memory' out
	else
		grep -q 'errors: [1-9]' out &&
			grep -E '^pan:.*(assertion|invalid end state)' out
	fi || exit 1
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored$/\1/p' out)
	printf '%.0f states, %d s\n' "$states" "$seconds"
	exit
fi

. "$(dirname "$0")/lib.sh"
models=$top/tests/model

# ---- labels ----

LABEL='\[[A-Z]+-[0-9]+[a-z]?\]'
cat "$models"/*.pml "$models"/*.h | grep -oE "$LABEL" | sort -u >"$dir/modelled"
cat "$top"/lib/*.[ch] |
	grep -oE "$LABEL (relaxed|acquire|release|acq_rel|seq_cst):" |
	cut -d ' ' -f 1 | sort -u >"$dir/defined"
cut -f 1 "$models/not-modelled" | grep -v '^#' | sort >"$dir/listed"

empty()
{
	cat "$@"
	[ -z "$(cat "$@")" ]
}

every_label_of_a_model_is_one_of_lib()
{
	comm -23 "$dir/modelled" "$dir/defined" >"$dir/unknown"
	empty "$dir/unknown"
}

every_label_of_lib_is_modelled_or_listed()
{
	comm -23 "$dir/defined" "$dir/modelled" | comm -23 - "$dir/listed" \
		>"$dir/missing"
	empty "$dir/missing"
}

what_is_listed_is_of_lib_and_not_modelled()
{
	{
		comm -23 "$dir/listed" "$dir/defined"
		comm -12 "$dir/listed" "$dir/modelled"
		uniq -d "$dir/listed"
		grep -vE "^(#.*|$LABEL	.*[^ ].*)$" "$models/not-modelled"
	} >"$dir/wrong"
	empty "$dir/wrong"
}

verdict every_label_of_a_model_is_one_of_lib
verdict every_label_of_lib_is_modelled_or_listed
verdict what_is_listed_is_of_lib_and_not_modelled

# ---- spin ----

# The runs: verdict's name, file, CORRECT or WRONG, flags.
runs()
{
	for path in "$models"/*.pml; do
		file=${path##*/}
		name=${file%.pml}
		echo "$name $file CORRECT"
		sed -nE 's,^/\* (variant|mutant [A-Z0-9_]+) -D([A-Z0-9_]+): .*,\2,p' \
			"$path" | sort -u | while read -r flag; do
			echo "${name}_with_$flag $file CORRECT -D$flag"
		done
		sed -nE 's,^/\* mutant ([A-Z0-9_]+)( -D[A-Z0-9_]+)?: .*,\1\2,p' \
			"$path" | while read -r mutant flag; do
			echo "${name}_with_${mutant}_is_found $file WRONG -D$mutant $flag"
		done
	done
}

# Those that are to be correct take longest: they come first.
runs | sort -k 3,3 -s >"$dir/runs"
if command -v spin >/dev/null; then
	while read -r name rest; do
		echo "cd '$dir' && sh '$top/tests/model.sh' --run $rest" \
			">'$name.out' 2>&1; echo \$? >'$name.status'"
	done <"$dir/runs" | tr '\n' '\0' | xargs -0 -n 1 -P 2 sh -c
	while read -r name rest; do
		said()
		{
			cat "$dir/$name.out"
			[ "$(cat "$dir/$name.status")" = 0 ]
		}
		verdict "$name" said
		echo "  $rest: $(tail -n 1 "$dir/$name.out")"
	done <"$dir/runs"
else
	skip models 'spin is not installed'
fi

finish
