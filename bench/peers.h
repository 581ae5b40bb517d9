/* SPDX-License-Identifier: MIT */
/* Every peer, each in its own peer_*.c. */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include "bench.h"

extern const struct peer peer_forkring;
extern const struct peer peer_pipe;
extern const struct peer peer_unix_stream;
extern const struct peer peer_unix_seqpacket;
extern const struct peer peer_mq;
extern const struct peer peer_sysv;
extern const struct peer peer_boost;
extern const struct peer peer_zmq;
extern const struct peer peer_nng;
extern const struct peer peer_raw;
extern const struct peer peer_raw_pause;
extern const struct peer peer_no_queue;
extern const struct peer peer_wfcq;
extern const struct peer peer_ck_spsc;
extern const struct peer peer_ck_mpsc;
extern const struct peer peer_ck_mpmc;
extern const struct peer peer_dpdk_sp;
extern const struct peer peer_dpdk_mp;
extern const struct peer peer_dpdk_rts;
extern const struct peer peer_iceoryx;
extern const struct peer peer_py_queue;
extern const struct peer peer_py_pool;

#endif
