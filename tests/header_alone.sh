#!/bin/sh
# SPDX-License-Identifier: MIT
# header_alone.sh COMPILER [OPTION...] HEADER: it compiles with nothing before it.
exec "$@" -Wall -Wextra -Werror -Wno-pragma-once-outside-header -fsyntax-only
