# SPDX-License-Identifier: MIT
"""What is done to the processes of a chaos test, in an order that a seed repeats: SIGKILL, or SIGSTOP and later
SIGCONT; both also to the segment's daemon."""

import json
import os
import random
import select
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Disturbance(NamedTuple):
    what: str  # kill, stop, kill daemon, stop daemon
    victim: int
    whole_group: bool  # with the children that it has
    even_at_start: bool  # also a Celery worker that is not ready yet: its start takes longer than most lives would
    stopped_s: float
    pause_s: float  # until the next
    seed: int  # of the one who replaces the victim


def disturbances(seed, victims):
    choose = random.Random(seed)
    while True:
        yield Disturbance(
            what=choose.choices(("kill", "stop", "kill daemon", "stop daemon"), weights=(11, 7, 2, 2))[0],
            victim=choose.randrange(victims),
            whole_group=choose.random() < 0.5,
            even_at_start=choose.random() < 0.2,
            stopped_s=choose.uniform(0.05, 0.4),
            pause_s=choose.uniform(0.03, 0.4),
            seed=choose.randrange(2**32),
        )


class Stops:
    """Who is stopped, each with a timer that continues it: whoever stops them may himself wait for their locks."""

    def __init__(self):
        self.timers, self.since, self.spans, self.count = {}, {}, [], 0
        self.daemon_timers = []

    def stop(self, process, whole_group, seconds):
        if process.pid in self.since:
            return
        self.since[process.pid] = time.monotonic()
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGSTOP)
        timer = self.timers[process.pid] = threading.Timer(seconds, self._go_on, (process.pid,))
        timer.start()
        self.count += 1

    def stop_daemon(self, name, seconds):
        daemon = daemon_of(name)
        if daemon is None:
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(daemon, signal.SIGSTOP)
        timer = threading.Timer(seconds, self._daemon_goes_on, (daemon, time.monotonic()))
        timer.start()
        self.daemon_timers.append(timer)

    def _daemon_goes_on(self, daemon, begin):
        with suppress(ProcessLookupError):  # it was killed meanwhile
            signal.pidfd_send_signal(daemon, signal.SIGCONT)
        os.close(daemon)
        self.spans.append((begin, time.monotonic()))

    def join(self):
        """Until no daemon is stopped any more."""
        for timer in self.daemon_timers:
            timer.join()

    def end(self, process):
        """Of one that may be dead, but was not waited for: the number is its own until then."""
        if timer := self.timers.pop(process.pid, None):
            timer.cancel()
            timer.join()
            self._go_on(process.pid)

    def _go_on(self, pid):
        begin = self.since.pop(pid, None)
        if begin is not None:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGCONT)
            self.spans.append((begin, time.monotonic()))


def daemon_of(name):
    """The daemon of this segment and of no other, as a pidfd; None: there is none at the moment."""
    report = subprocess.run(["shoal", "--json", "inspect", name, "processes"], capture_output=True, check=True)
    for row in json.loads(report.stdout)["processes"]:
        if row["role"] == "daemon" and row["alive"]:
            with suppress(ProcessLookupError):
                daemon = os.pidfd_open(row["pid"])
                with suppress(ProcessLookupError, FileNotFoundError):
                    program, *arguments = Path(f"/proc/{row['pid']}/cmdline").read_bytes().split(b"\0")
                    if program.endswith(b"/shoald") and name.encode() in arguments:
                        return daemon
                os.close(daemon)
    return None


def kill_daemon(name):
    """Whether there was one."""
    daemon = daemon_of(name)
    if daemon is None:
        return False
    try:
        signal.pidfd_send_signal(daemon, signal.SIGKILL)
        select.select([daemon], [], [])  # readable: it is gone
    except ProcessLookupError:
        return False
    finally:
        os.close(daemon)
    return True
