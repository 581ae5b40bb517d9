#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Does script/count-tests count what ran, and take nothing that did not run for
# a success?
set -u

. "$(dirname "$0")/lib.sh"
printf '# a list\nlisted\tneeds what is not here\n' >"$dir/skips"

# counts NAME "P F S" STATUS COMMAND...: what the command prints, from one that
# ended with that status.
counts()
{
	name=$1 want=$2 status=$3
	shift 3
	"$@" >"$dir/out"
	verdict "$name" is_counted it "$status" "$dir/out"
}

is_counted()
{
	"$top/script/count-tests" "$dir/skips" "$@" >"$dir/told" || return
	cat "$dir/told"
	[ "$(head -n 1 "$dir/told")" = "$want" ]
}

cmocka()
{
	printf '[==========] Running %d test(s).\n' "$1"
	printf '[       OK ] a\n[  SKIPPED ] %s\n' "$4"
	printf '[==========] %d test(s) run.\n[  PASSED  ] %d test(s).\n' \
		"$2" "$3"
	printf '[  SKIPPED ] 1 test(s), listed below:\n[  SKIPPED ] %s\n' "$4"
}

counts cmocka_tests_count_one_by_one '2 0 1' 0 cmocka 3 3 2 listed
counts a_failed_cmocka_test_counts '1 1 1' 1 cmocka 3 3 1 listed
counts a_skip_that_is_not_listed_failed '2 1 0' 0 cmocka 3 3 2 other
counts an_exit_status_after_the_last_test_counts '2 1 1' 1 \
	cmocka 3 3 2 listed
counts a_program_that_ended_early_failed '1 1 0' 0 \
	printf '[==========] Running 2 test(s).\n[       OK ] a\n'
counts a_silent_success_is_one_test '1 0 0' 0 true
counts a_silent_failure_is_one_test '0 1 0' 3 true
counts status_77_is_a_skip_that_must_be_listed '0 1 0' 77 true
counts a_script_counts_for_itself '4 0 1' 0 \
	printf 'skip listed: why\n4 passed, 0 failed, 1 skipped\n'
counts what_a_script_says_failed_did_so_whatever_its_status '4 2 0' 0 \
	echo '4 passed, 2 failed, 0 skipped'
counts a_script_that_fails_unsaid_failed '4 1 0' 1 \
	echo '4 passed, 0 failed, 0 skipped'
counts skips_without_a_name_failed '4 2 0' 0 \
	echo '4 passed, 0 failed, 2 skipped'
counts the_last_count_of_a_script_is_its_own '2 0 0' 0 \
	printf '%s passed, 1 failed, 0 skipped\n2 passed, 0 failed, 0 skipped\n' 1

for result in OK SKIP TIMEOUT; do
	printf '{"name":"forkring:unit / listed","stdout":"","result":"%s",' \
		$result
	printf '"returncode":0,"env":{"A":"\\u00e4"},"stderr":"\\\\ \\u2014"}\n'
done >"$dir/log"
want='1 1 1'
verdict a_log_of_meson_is_counted is_counted "$dir/log"
verdict a_skip_is_told_with_its_reason \
	grep -x 'skip listed: needs what is not here' "$dir/told"
verdict a_failure_is_told grep '^FAILED listed: TIMEOUT' "$dir/told"

# long_log: a test that fails among a hundred that go well and say something.
long_log()
{
	echo '[==========] Running 100 test(s).'
	for i in $(seq 100); do
		echo "[ RUN      ] t$i"
		echo "t$i says this"
		[ "$i" = 50 ] && echo '[  FAILED  ] t50' ||
			echo "[       OK ] t$i"
	done
	echo '[==========] 100 test(s) run.'
	echo '[  PASSED  ] 99 test(s).'
}

counts a_failure_among_many_counts '99 1 0' 1 long_log
verdict what_a_failed_test_said_is_told grep '| t50 says this' "$dir/told"
verdict what_went_well_is_not_told \
	sh -c '! grep "t[0-46-9][0-9]* says" "$1"' - "$dir/told"

finish
