/* SPDX-License-Identifier: MIT */
/* The peers, in the order in which they take turns. */
#include "peers.h"

const struct peer *const peers[] = {
	&peer_forkring,
	&peer_pipe,
	&peer_unix_stream,
	&peer_unix_seqpacket,
	&peer_mq,
	&peer_sysv,
#ifdef HAVE_BOOST
	&peer_boost,
#endif
#ifdef HAVE_ZMQ
	&peer_zmq,
#endif
#ifdef HAVE_NNG
	&peer_nng,
#endif
	&peer_raw,
	&peer_raw_pause,
	&peer_no_queue,
	&peer_wfcq,
#ifdef HAVE_CK
	&peer_ck_spsc,
	&peer_ck_mpsc,
	&peer_ck_mpmc,
#endif
#ifdef HAVE_DPDK
	&peer_dpdk_sp,
	&peer_dpdk_mp,
	&peer_dpdk_rts,
#endif
#ifdef HAVE_ICEORYX
	&peer_iceoryx,
#endif
	&peer_py_queue,
	&peer_py_pool,
	NULL,
};
