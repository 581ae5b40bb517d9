/* SPDX-License-Identifier: MIT */
/* What the farm asks of the supervisor's room. */
#ifndef FR_LIB_SUPERVISOR_H
#define FR_LIB_SUPERVISOR_H

#include <stdbool.h>

/* The line on stderr about a child that failed; nothing for a normal end. */
void fr__report(const char *name, int pid, int status, bool restarting);

#endif
