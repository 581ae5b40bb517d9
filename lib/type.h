/* SPDX-License-Identifier: MIT */
/* What the other rooms ask of types; see type.c. */
#ifndef FR_LIB_TYPE_H
#define FR_LIB_TYPE_H

#include "forkring/message.h"
#include "process.h"

bool fr__type_valid(const struct fr_arena *a, struct fr_type type);
/* {0}: none. Parents may form a circle: walks are to be bounded. */
struct fr_type fr__type_parent(const struct fr_arena *a, struct fr_type type);

#endif
