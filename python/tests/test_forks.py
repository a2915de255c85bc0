# SPDX-License-Identifier: MIT
"""Forks at the worst moments: what another thread of the parent was in the midst of never holds a child up.

C++ has the like for the descriptors and mappings of an attach: tests/multiprocess/process_fork_test.cc.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import threading

import pytest

import shoal
import shoal.asyncio
from conftest import SMALL, remove_segment
from shoal import _loop
from test_processes import fork, wait


def use_everything(name):
    """In a child: each part that has locks or state of its own."""
    client = shoal.Redis(name, **SMALL)
    assert client.incr("n")
    assert client.publish("c", "x") >= 0
    client.rpush("q", "a")
    assert client.blpop("q", 0)
    with client.channel("kept", keep=3).subscribe(last=1), client.pubsub() as listener:
        listener.subscribe("c")

    async def in_a_loop():
        r = shoal.asyncio.Redis(name, **SMALL)
        assert await r.blpop("empty", 0.001) is None
        async with r.lock("lock", timeout=10):
            assert await r.get("n")

    asyncio.run(in_a_loop())


@pytest.fixture
def names(name):
    made = [f"{name}-{i}" for i in range(25)]
    yield made
    for each in made:
        remove_segment(each)


def test_a_child_forked_at_any_moment_of_an_attach_is_not_stuck(names):
    """Each round three threads attach a new segment, use it and end, while the parent forks."""
    codes = []
    for name in names:
        threads = [threading.Thread(target=use_everything, args=(name,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        children = [fork(lambda name=name: use_everything(name)) for _ in range(3)]
        codes += [wait(child) for child in children]
        for thread in threads:
            thread.join()
    assert codes == [0] * (3 * len(names))


def test_a_child_forked_while_a_loop_is_registered_has_loops(name, r):
    r.ping()
    with _loop._wakers_lock:  # as if another thread held it, in the midst of LoopWaker.current()
        child = fork(lambda: use_everything(name))
    assert wait(child) == 0


def test_the_daemon_is_looked_for_without_a_lock_of_the_interpreter(name):
    """sysconfig has a lock of its own, and an import has one for each module; a child would inherit them locked."""
    code = (
        "import sys, shoal, os; before = set(sys.modules); "
        f"shoal.Redis({name!r}, max_size=32 << 20).ping(); print(sorted(set(sys.modules) - before))"
    )
    environment = {**os.environ, "SHOAL_DAEMON": "/bin/false"}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert out.stdout.split() == ["[]"], "a first command imports modules"


def test_a_consumer_that_a_thread_waits_in_is_closed_in_a_child(name, r):
    """A prefork parent may wait for tasks in a thread while it forks its pool."""
    queues = shoal._shoal.Queues(r.segment)
    consumer = shoal._shoal.Consumer(queues)
    consumer.add(b"q", True)
    stop = threading.Event()

    def take():
        while not stop.is_set():
            consumer.take()

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()

    def child():
        with contextlib.suppress(shoal.ShoalError):
            consumer.take()
        consumer.close()

    try:
        codes = [wait(fork(child)) for _ in range(20)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert codes == [0] * 20
