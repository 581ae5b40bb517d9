#!/bin/sh
# SPDX-License-Identifier: MIT
#
# install.sh BUILDDIR: install into an empty directory, look at what is there,
# and use it outside the tree through pkg-config: C and C++, shared and static.
set -u

. "$(dirname "$0")/lib.sh"
build=$(cd "${1:?the build directory}" && pwd) || exit 1

find_installed()
{
	find "$dir/root" -name "$1" | head -n 1
}

headers_are_there()
{
	diff "$top/include/forkring.h" "$(find_installed forkring.h)" &&
		diff -r "$top/include/forkring" \
			"$(dirname "$(find_installed forkring.h)")/forkring"
}

soname()
{
	readelf -d "$lib" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p'
}

soname_leads_to_the_library()
{
	echo "soname: $(soname)"
	case $(soname) in
	libforkring.so.[0-9]*) [ -e "${lib%/*}/$(soname)" ] ;;
	*) return 1 ;;
	esac
}

# The calls that the library exports, but for its version nodes (type A).
exported()
{
	nm -D --defined-only "$lib" | awk '$2 != "A" { print $3 }' |
		sed 's/@.*//' | sort -u
}

declared()
{
	cat "$top"/include/forkring/*.h | tr '\n' ' ' |
		grep -o 'FR_API [^;(]*(' | grep -o 'fr_[a-z_0-9]*($' |
		tr -d '(' | sort -u
}

exactly_the_declared_calls_are_exported()
{
	exported >"$dir/exported"
	declared >"$dir/declared"
	diff "$dir/declared" "$dir/exported"
}

# Whoever links statically gets the names between our files as well.
the_static_library_keeps_to_its_prefix()
{
	nm -g --defined-only "$(find_installed libforkring.a)" |
		awk 'NF == 3 && $3 !~ /^fr_/ { print; bad = 1 }
			NF == 3 { n++ }
			END { exit bad || !n }'
}

# use COMPILER SOURCE shared|static OPTION...: build, run, and see that the
# version it prints is that of the package.
use()
{
	compiler=$1 source=$2 how=$3
	shift 3
	static=''
	[ "$how" = shared ] || static=--static
	# shellcheck disable=SC2046,SC2086 # lists of words
	$compiler "$@" -Wall -Wextra -Werror -o "$dir/use" "$source" \
		${static:+-static} $(pkg-config $static --cflags --libs \
		forkring) || return
	[ "$how" = static ] || readelf -d "$dir/use" |
		grep -F "[$(soname)]" || return
	[ "$(LD_LIBRARY_PATH=${lib%/*} "$dir/use")" = \
		"$(pkg-config --modversion forkring) hello" ]
}

verdict it_installs env DESTDIR="$dir/root" \
	meson install -C "$build" --no-rebuild --quiet
[ "$failed" = 0 ] || {
	finish
	exit 1
}
lib=$(find_installed libforkring.so)
PKG_CONFIG_PATH=$(dirname "$(find_installed forkring.pc)")
PKG_CONFIG_SYSROOT_DIR=$dir/root
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
cp "$top"/tests/install/use.* "$dir"
cd "$dir" || exit 1 # outside the tree

verdict headers_are_there
verdict soname_leads_to_the_library
verdict exactly_the_declared_calls_are_exported
verdict the_static_library_keeps_to_its_prefix
verdict used_from_c_shared use cc use.c shared -std=c11
verdict used_from_c_static use cc use.c static -std=c11
verdict used_from_cxx_shared use c++ use.cc shared -std=c++11
verdict used_from_cxx_static use c++ use.cc static -std=c++11

finish
