/* SPDX-License-Identifier: MIT */
/* What every public header needs: export mark, time, address. */
#ifndef FORKRING_BASE_H
#define FORKRING_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define FR_BEGIN_DECLS extern "C" {
#define FR_END_DECLS }
#else
#define FR_BEGIN_DECLS
#define FR_END_DECLS
#endif

#define FR_API __attribute__((visibility("default")))

/* A time limit that never passes. */
#define FR_FOREVER INT64_C(-1)

/* Longest name of an arena, process or type, in bytes without the NUL. */
#define FR_NAME_MAX 47

/*
 * Address of one process for as long as it lives: its slot and the slot's
 * generation. Never valid again once that process is gone. Plain data: compare
 * `.id`, put it in messages. {0} is nobody.
 */
struct fr_addr {
	uint64_t id;
};

#endif
