/* SPDX-License-Identifier: MIT */
#ifndef FORKRING_VERSION_H
#define FORKRING_VERSION_H

#include "base.h"

#define FR_VERSION_MAJOR 0
#define FR_VERSION_MINOR 1
#define FR_VERSION_PATCH 0

FR_BEGIN_DECLS

/*
 * Version of the library that is loaded, as "0.1.0"; the macros above are those
 * of the headers compiled against. The soname changes with any change that an
 * existing program could notice. Any thread, any process, signal handlers too.
 */
FR_API const char *fr_version(void);

FR_END_DECLS

#endif
