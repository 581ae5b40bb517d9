/* SPDX-License-Identifier: MIT */
/* What the farm asks of the supervisor's room. */
#ifndef FR_LIB_SUPERVISOR_H
#define FR_LIB_SUPERVISOR_H

#include <stdbool.h>

struct fr_supervisor;

/* Has a child ended since they were looked at, or is a look due anyway? */
bool fr__supervisor_due(const struct fr_supervisor *s);

/* The line on stderr about a child that failed; nothing for a normal end. */
struct fr_end;
void fr__report(const struct fr_end *end);

#endif
