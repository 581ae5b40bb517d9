# shellcheck shell=sh disable=SC2034 # what is set here is used there
# SPDX-License-Identifier: MIT
#
# Sourced by the tests that are scripts: $top, a scratch directory $dir that is
# gone at the end, and the counting that script/count-tests reads.

top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
passed=0 failed=0 skipped=0

# verdict NAME [COMMAND...]: one test, the function of that name by default; what
# it prints is shown if it fails.
verdict()
{
	verdict=$1
	[ $# -gt 1 ] || set -- "$1" "$1"
	shift
	if "$@" >"$dir/why" 2>&1; then
		passed=$((passed + 1))
		echo "ok $verdict"
	else
		failed=$((failed + 1))
		echo "not ok $verdict"
		tail -n 30 "$dir/why" | tr '\r' '\n' | sed 's/^/  | /'
	fi
}

# skip NAME REASON: tests/skips.txt must list it.
skip()
{
	skipped=$((skipped + 1))
	echo "skip $1: $2"
}

# To be the last command: prints the last line, and is the status.
finish()
{
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
}
