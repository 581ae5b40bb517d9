# shellcheck shell=sh
# SPDX-License-Identifier: MIT
#
# Shared by the scripts beside it, which source it in the top directory:
# installing what is missing, building, and seeing whether anything is left.

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# want PACKAGE WHY TEST...: note the package as missing if the test fails.
want()
{
	package=$1 why=$2
	shift 2
	"$@" >/dev/null 2>&1 && return
	missing="$missing $package"
	reasons="$reasons$(printf '  %-24s %s' "$package" "$why")
"
}

has_header()
{
	echo "#include <$1>" | gcc -E -
}

# Can clang link a program with the sanitizers' runtime?
has_clang_runtime()
{
	out=$(mktemp) || return
	echo 'int main(void) { return 0; }' |
		clang -x c -fsanitize=thread - -o "$out"
	set -- $?
	rm -f "$out"
	return "$1"
}

# look_for base|bench|all: set $missing and $reasons.
look_for()
{
	missing='' reasons=''
	want gcc 'compiles' command -v gcc
	want libc6-dev "the C library's headers" has_header stdio.h
	want meson 'sets up the build' command -v meson
	want ninja-build 'runs the build' command -v ninja
	want pkg-config 'finds libraries' command -v pkg-config
	want liburcu-dev 'tables that threads read without a lock' \
		pkg-config --exists liburcu-bp liburcu-cds
	want libcmocka-dev 'the tests' pkg-config --exists cmocka
	want perl 'counts tests, checks labels' perl -MJSON::PP -e 1
	want valgrind 'counts instructions' command -v valgrind
	[ "$1" != base ] || return 0
	want g++ 'our headers used from C++, and Boost' command -v g++
	want libjansson-dev "the benchmark's page and comparison" \
		pkg-config --exists jansson
	want gnuplot-nox "the plots of the benchmark's page" command -v gnuplot
	"look_for_$1"
}

# Whom the benchmark compares with.
look_for_bench()
{
	want libzmq3-dev 'ZeroMQ' pkg-config --exists libzmq
	want libnng-dev 'nng' has_header nng/nng.h
	want libboost-dev 'Boost.Interprocess' has_header boost/version.hpp
	want libck-dev 'Concurrency Kit' pkg-config --exists ck
	want libdpdk-dev 'DPDK' pkg-config --exists libdpdk
	want libiceoryx-binding-c-dev 'iceoryx' \
		ls /usr/include/iceoryx/*/iceoryx_binding_c
	want iceoryx 'its daemon' command -v iox-roudi
	want python3 "Python's multiprocessing" command -v python3
}

look_for_all()
{
	want strace 'counting system calls' command -v strace
	want scdoc 'manual pages' command -v scdoc
	want spin 'checks models of the protocols' command -v spin
	want clang 'the second compiler' command -v clang
	command -v clang >/dev/null || return 0
	want "libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev" \
		'ThreadSanitizer' has_clang_runtime
}

apt_install()
{
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
		--no-install-recommends -o DPkg::Lock::Timeout=120 "$@"
}

# install_missing base|bench|all: see to it that everything needed is there. Where
# it is, nothing is asked of the network. Twice, since what clang needs is known
# only once clang is there.
install_missing()
{
	for try in 1 2; do
		look_for "$1"
		[ -n "$missing" ] || return 0
		printf 'Missing on this machine:\n%s' "$reasons"
		if ! command -v apt-get >/dev/null; then
			die "no apt-get here: install these with this" \
				"system's package manager, then run it again"
		fi
		if [ "$(id -u)" != 0 ]; then
			printf 'To install them run this, then %s again:\n' "$0"
			printf '  sudo apt-get install -y%s\n' "$missing"
			exit 1
		fi
		echo "Installing them with apt-get ($try) ..."
		log=$(mktemp)
		# shellcheck disable=SC2086 # a list of words
		if ! apt_install $missing >"$log" 2>&1 &&
		   ! { apt-get update -qq && apt_install $missing; } \
				>"$log" 2>&1; then
			tail -n 20 "$log" >&2
			rm -f "$log"
			die "apt-get failed, see above: mend that (is there a" \
				"network?) and run it again"
		fi
		rm -f "$log"
	done
	look_for "$1"
	[ -z "$missing" ] || die "installed, but still not found:$missing"
}

# build DIR TARGETS [OPTION...]: set DIR up with these options of meson, or
# change them, and build the targets (none: everything).
build()
{
	dir=$1 targets=$2
	shift 2
	log=$dir.log
	printf 'Building %s/ ...\n' "$dir"
	if [ -f "$dir/build.ninja" ]; then
		set -- configure "$dir" "$@"
		[ $# -gt 2 ] || set --
	else
		set -- setup "$dir" --buildtype=debugoptimized "$@"
	fi
	# shellcheck disable=SC2086 # a list of words
	if { [ $# = 0 ] || meson "$@"; } </dev/null >"$log" 2>&1 &&
	   ninja -C "$dir" $targets </dev/null >>"$log" 2>&1; then
		mv "$log" "$dir/build.log"
		return 0
	fi
	tail -n 60 "$log" >&2
	printf 'Building %s/ failed, all of it is in %s. If that is no fault %s\n' \
		"$dir" "$log" "of the source: rm -rf $dir, and run it again." >&2
	return 1
}

# From here on every process that is started carries a mark by which
# left_over finds it; names in /dev/shm are remembered.
watch_left_over()
{
	mark="forkring-run-$$-$(date +%s)"
	FORKRING_RUN="${FORKRING_RUN-} $mark"
	export FORKRING_RUN
	shm_before=$(shm_names)
}

shm_names()
{
	find /dev/shm -maxdepth 1 -name 'forkring.*' 2>/dev/null | sort
}

processes_with()
{
	grep -lsF "$1" /proc/[0-9]*/environ | while IFS=/ read -r _ _ pid _; do
		echo "process $pid: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
	done 2>/dev/null
}

# What is left of what ran since watch_left_over: a line for each process and
# for each name in /dev/shm; those that are about to go get two seconds.
left_over()
{
	for try in 1 2 3 4 5 6 7 8 9 10; do
		left=$(
			unset FORKRING_RUN # what looks does not count
			processes_with "$mark"
			shm_names | while read -r name; do
				echo "$shm_before" | grep -qxF "$name" ||
					echo "file $name"
			done
		)
		[ -n "$left" ] || return 0
		sleep 0.2
	done
	printf '%s\n' "$left"
	return 1
}
