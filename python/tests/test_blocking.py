# SPDX-License-Identifier: MIT
"""A thread that blocks: the GIL is free, signals are handled, nothing is lost."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import shoal
from conftest import SMALL

SOON = 60


class Popper(threading.Thread):
    """Pops one item in a thread of its own."""

    def __init__(self, name, *keys, timeout=0):
        super().__init__(daemon=True)
        self.client, self.keys, self.timeout, self.result = shoal.Redis(name, **SMALL), keys, timeout, "nothing"
        self.start()

    def run(self):
        self.result = self.client.blpop(self.keys, self.timeout)

    def answer(self):
        self.join(SOON)
        return self.result


def test_a_push_wakes_a_thread_that_blocks(name, r):
    popper = Popper(name, "p", "q")
    r.rpush("q", "a")
    assert popper.answer() == (b"q", b"a")


def test_other_threads_run_while_one_blocks(name, r):
    popper = Popper(name, "q")
    for i in range(1000):
        assert r.incr("n") == i + 1
    assert popper.is_alive()
    r.rpush("q", "a")
    assert popper.answer() == (b"q", b"a")


def test_a_time_out_ends_the_wait_with_none(r):
    assert r.blpop("q", 0.02) is None
    assert r.brpoplpush("q", "p", 0.02) is None
    assert r.blmove("q", "p", 0.02) is None


def test_many_threads_share_what_is_pushed_without_loss(name, r):
    poppers = [Popper(name, "q") for _ in range(8)]
    for i in range(8):
        r.rpush("q", i)
    assert sorted(int(popper.answer()[1]) for popper in poppers) == list(range(8))
    assert r.llen("q") == 0


def test_a_signal_handler_runs_while_a_command_blocks_and_the_wait_goes_on(name, r):
    handled = []
    previous = signal.signal(signal.SIGUSR1, lambda *_: (handled.append(1), shoal.Redis(name, **SMALL).rpush("q", "x")))
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        assert r.blpop("q", SOON) == (b"q", b"x")
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, previous)
    assert handled == [1]


def test_ctrl_c_ends_a_wait_and_leaves_no_waiter_behind(r):
    # Whoever runs the tests in the background of a shell has it ignore the signal.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            r.blpop("q", 0)
        timer.join()
    finally:
        signal.signal(signal.SIGINT, previous)
    r.rpush("q", "a")
    assert r.llen("q") == 1
    assert r.blpop("q", 1) == (b"q", b"a")


def test_a_killed_waiter_gives_its_turn_to_the_next(name, r):
    """The child waits first and is killed; what is pushed then reaches the thread that waits behind it."""
    r.ping()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, b"x")
            r.blpop("q", 0)
        finally:
            os._exit(1)
    os.read(reader, 1)
    deadline = time.monotonic() + SOON
    while state(pid) != "S":
        assert time.monotonic() < deadline
        time.sleep(0.001)
    popper = Popper(name, "q")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    r.rpush("q", "a")
    assert popper.answer() == (b"q", b"a")
    os.close(reader)
    os.close(writer)


def state(pid):
    """R running, S asleep."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def test_inside_a_transaction_a_blocking_command_answers_at_once(r):
    assert r.pipeline().blpop("q", 0).rpush("q", "a").blpop("q", 0).execute() == [None, 1, (b"q", b"a")]


WAITING_AT_THE_END = """
import sys, threading, time, types
import shoal

class Slow:  # goes when the interpreter has begun to end, and lets the GIL go for longer than a waiting thread sleeps
    def __del__(self, sleep=time.sleep):
        sleep(1)

client = shoal.Redis(sys.argv[1], daemon=False)
pubsub = client.pubsub()
pubsub.subscribe("room")
for wait in (lambda: client.blpop("q", 0), lambda: [None for _ in pubsub.listen()]):
    threading.Thread(target=wait, daemon=True).start()
while not client.pubsub_numsub("room")[0][1] or len(threading.enumerate()) < 3:
    time.sleep(0.01)
time.sleep(0.1)
sys.modules["slow"] = types.ModuleType("slow")
sys.modules["slow"].it = Slow()
"""


def test_a_daemon_thread_that_waits_does_not_end_the_process_with_an_abort(name):
    shoal.Redis(name, **SMALL).ping()
    ended = subprocess.run([sys.executable, "-c", WAITING_AT_THE_END, name], capture_output=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"")
