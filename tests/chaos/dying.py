# SPDX-License-Identifier: MIT
"""How long the kernel takes from SIGKILL until a process is gone: `python3 tests/chaos/dying.py`, half a minute.

No test: it asserts nothing, and nothing of Shoal takes part. It shows what the longest operation beside a death is made
of. Whoever dies runs its own exit, when the scheduler gives it the processor; until then its death note is not written
and its locks are its own. All processes share processor 0; this one watches from another."""

import os
import select
import signal
import time

DEATHS = 40


def spin(nice):
    child = os.fork()
    if child == 0:
        os.sched_setaffinity(0, {0})
        os.nice(nice)
        while True:
            pass
    return child


def end(child):
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def death_ms(nice):
    victim = spin(nice)
    time.sleep(0.02)  # it has begun to spin; if not, it dies all the same
    gone = os.pidfd_open(victim)
    begin = time.perf_counter()
    os.kill(victim, signal.SIGKILL)
    select.select([gone], [], [])
    took = (time.perf_counter() - begin) * 1e3
    os.close(gone)
    os.waitpid(victim, 0)
    return took


def main():
    processors = os.sched_getaffinity(0) - {0}
    if not processors:
        raise SystemExit("needs two processors, one of them processor 0")
    os.sched_setaffinity(0, processors)
    print("niceness  others there   p50 ms   max ms")
    for nice, others in ((0, 0), (0, 6), (3, 0), (3, 2), (3, 6), (19, 6)):
        hogs = [spin(0) for _ in range(others)]
        try:
            times = sorted(death_ms(nice) for _ in range(DEATHS))
        finally:
            for hog in hogs:
                end(hog)
        print(f"{nice:8}  {others:12}  {times[DEATHS // 2]:7.2f}  {times[-1]:7.2f}", flush=True)


if __name__ == "__main__":
    main()
