#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""multiprocessing.Queue and Pool, for peer_python.c, which starts this.

This process is the one where all comes together: consumer, server, a farm's
main. It forks the others. `control` is the harness's struct control: the phase
is read there, and what has arrived is counted there. Once all are set up, "r"
goes to standard output; behind it, the client's round trips: ns, 8 bytes each.

A message is a stamp of 8 bytes, who and which, and as many bytes as make its
size, which are told by the stamp. Every byte is made for each message, and each
is compared by who receives it.
"""
import array
import ctypes
import mmap
import multiprocessing
import os
import signal
import sys
import threading
import time

WAIT, WARM, MEASURE, STOP = range(4)  # enum phase
END = (1 << 48) - 1
CLIENT, SERVER = 1, 2
RESULT = 1 << 47  # turned over in a result
WINDOW = 256  # tasks outstanding
CHUNK = 16  # of them at once to a worker

(workload, size, others, cpu, cpu_of_others, fd, nbytes,
 at_phase, at_got, at_all_sending, at_own_worker) = (
     sys.argv[1], *map(int, sys.argv[2:]))

control = memoryview(mmap.mmap(fd, nbytes))
phase = control[at_phase:at_phase + 4].cast("I")
got = control[at_got:at_got + 8 * 64].cast("Q")
all_sending = control[at_all_sending:at_all_sending + 4].cast("I")
own_worker = control[at_own_worker:at_own_worker + 4 * 64].cast("I")

tails = [bytes((37 * i + 11 * k + 1) & 255 for i in range(size - 8))
         for k in range(16)]
main = os.getpid()


def message(who, seq):
    return (who << 48 | seq).to_bytes(8, "little") + tails[seq & 15]


def check(what, expected):
    if what != expected:
        sys.exit("python_queue.py: not the message that was sent next")


def set_up(slot):
    """A process of main's: it dies with it, and the harness knows it."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != main:
        os._exit(1)
    if cpu_of_others >= 0:
        os.sched_setaffinity(0, {cpu_of_others})
    own_worker[slot] = os.getpid()


def started(slot, function, *args):
    set_up(slot)
    while phase[0] == WAIT:
        time.sleep(0.0002)
    function(*args)


def start(function, args_of_each):
    """A process for each; returns when all are set up, and all may start."""
    for slot, args in enumerate(args_of_each, 1):
        multiprocessing.Process(target=started, daemon=True,
                                args=(slot, function, *args)).start()
    await_others()


def await_others():
    while 0 in own_worker[1:others + 1].tolist():
        time.sleep(0.001)
    os.write(1, b"r")
    while phase[0] == WAIT:
        time.sleep(0.0002)


def new_queue():
    # As much as elsewhere: 256 messages, or 256 KiB of them.
    return multiprocessing.Queue(max(256, 262144 // size))


# ---- stream and fan-in ----

def produce(queue, who):
    seq = 0
    while phase[0] != STOP:
        queue.put(message(who, seq))
        seq += 1
    queue.put((who, seq))


def consume():
    queue = new_queue()
    start(produce, [(queue, who) for who in range(others)])
    following = [0] * others
    started_ones = ended = 0
    while ended < others:
        m = queue.get()
        if isinstance(m, tuple):
            check(m[1], following[m[0]])
            ended += 1
            continue
        who = int.from_bytes(m[:8], "little") >> 48
        seq = following[who]
        check(m, message(who, seq))
        following[who] = got[who] = seq + 1
        if seq == 0:
            started_ones += 1
            all_sending[0] = started_ones == others


# ---- round trip ----

def call(ask, answer, seq):
    ask.put(message(CLIENT, seq))
    check(answer.get(), message(SERVER, seq))


def be_client(ask, answer):
    times = array.array("Q")
    measuring = False
    seq = 0
    while phase[0] != STOP:
        if not measuring and phase[0] == MEASURE:
            del times[:]
            measuring = True
        before = time.perf_counter_ns()
        call(ask, answer, seq)
        times.append(time.perf_counter_ns() - before)
        seq += 1
    call(ask, answer, END)
    with open(1, "wb") as out:
        out.write(times)


def serve():
    ask, answer = new_queue(), new_queue()
    start(be_client, [(ask, answer)])
    seq = 0
    while seq != END:
        m = ask.get()
        if m[:6] == b"\xff" * 6:
            seq = END
        check(m, message(CLIENT, seq))
        answer.put(message(SERVER, seq))
        seq += seq != END


# ---- farm ----

def work(task):
    seq = int.from_bytes(task[:8], "little")
    check(task, message(0, seq))
    return message(0, seq ^ RESULT)


def set_up_worker():
    set_up(int(multiprocessing.current_process().name.rsplit("-", 1)[1]))


def farm():
    room = threading.Semaphore(WINDOW)
    out = set()

    def tasks():  # in a thread of the pool's
        seq = 0
        while phase[0] != STOP:
            room.acquire()
            out.add(seq)
            yield message(0, seq)
            seq += 1

    with multiprocessing.Pool(others, set_up_worker) as pool:
        await_others()
        for done, m in enumerate(pool.imap_unordered(work, tasks(), CHUNK), 1):
            seq = int.from_bytes(m[:8], "little") ^ RESULT
            check(m, message(0, seq ^ RESULT))
            out.remove(seq)  # an error, if it is not out
            room.release()
            got[0] = done
        check(len(out), 0)


signal.signal(signal.SIGINT, signal.SIG_DFL)
if cpu >= 0:
    os.sched_setaffinity(0, {cpu})
own_worker[0] = main
{"stream": consume, "rtt": serve, "farm": farm}[workload]()
for process in multiprocessing.active_children():
    process.join()
