/* SPDX-License-Identifier: MIT */
/*
 * Boost.Interprocess's message_queue for C: peer_boost.c is the peer, boost_mq.cc
 * calls Boost. Each returns 0 or -errno (-EAGAIN: it would wait).
 */
#ifndef BENCH_BOOST_MQ_H
#define BENCH_BOOST_MQ_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A queue of length messages of up to size bytes. Its name is removed at once;
 * processes forked later have it too. */
int boost_mq_open(const char *name, size_t length, size_t size, void **ret);
int boost_mq_send(void *mq, const void *buf, size_t size);
int boost_mq_try_send(void *mq, const void *buf, size_t size);
int boost_mq_receive(void *mq, void *buf, size_t size);
int boost_mq_try_receive(void *mq, void *buf, size_t size);
void boost_mq_close(void *mq);

#ifdef __cplusplus
}
#endif

#endif
