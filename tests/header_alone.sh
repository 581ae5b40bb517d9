#!/bin/sh
# SPDX-License-Identifier: MIT
#
# header_alone.sh HEADER COMPILER [OPTION...]: a source that includes nothing
# else compiles without a warning.
header=$1
shift
echo "#include \"$header\"" | "$@" -Wall -Wextra -Werror -fsyntax-only -
