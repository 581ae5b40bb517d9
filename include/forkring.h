/* SPDX-License-Identifier: MIT */
/*
 * forkring: processes that share one memory arena on one Linux machine.
 *
 * This header includes all others; each also stands alone. Start with farm.h
 * (tasks for worker processes), message.h (messages between named processes)
 * or event.h (waiting for one another).
 *
 * Conventions of every call
 *   - 0 or a positive count on success, a negative errno on failure; errno
 *     itself says nothing. What cannot fail returns void.
 *   - `*ret`, the last argument, is written only on success.
 *   - Options are a pointer to a struct in which zero means the default;
 *     NULL means all defaults.
 *   - Time limits are relative nanoseconds: 0 does not wait (-EAGAIN),
 *     FR_FOREVER (any negative) has no limit, else -ETIMEDOUT when it has
 *     passed. A signal handler that ran ends a sleeping wait with -EINTR; one
 *     that calls fr_interrupt() ends any wait, also one that is about to
 *     sleep.
 *   - Unless its comment says otherwise a call may be made by any thread of
 *     the process that owns the handle, and from no signal handler.
 *   - A handle made by fr_join() belongs to the process that joined: in a
 *     child forked later every call on it answers -ECHILD, and the child
 *     joins on its own.
 *   - What is read from the arena is checked first: a damaged arena gives
 *     -EBADMSG.
 */
#ifndef FORKRING_H
#define FORKRING_H

#include "forkring/arena.h"
#include "forkring/event.h"
#include "forkring/farm.h"
#include "forkring/message.h"
#include "forkring/process.h"
#include "forkring/supervisor.h"
#include "forkring/task.h"
#include "forkring/version.h"

#endif
