# SPDX-License-Identifier: MIT
"""Several processes: forks after attaching, deaths, threads beside them."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import pytest

import shoal
import shoal.asyncio
from conftest import SMALL

SOON = 60


def fork(child):
    """Runs `child` in a forked process; gives its pid. The child's exit code is 0 if it returned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of threads; we mean it
        pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        child()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def wait(pid):
    """The exit code of a child, which a watchdog kills if it hangs."""
    watchdog = threading.Timer(SOON, os.kill, (pid, signal.SIGKILL))
    watchdog.start()
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        watchdog.cancel()
        watchdog.join()


def test_a_forked_child_goes_on_with_its_parents_client(r):
    r.set("k", "parent")

    def child():
        assert r.get("k") == b"parent"
        r.set("k", "child")
        assert r.pipeline().incr("n").incr("n").execute() == [1, 2]

    assert wait(fork(child)) == 0
    assert r.get("k") == b"child"
    assert r.get("n") == b"2"


def test_parent_and_children_count_together_without_losing_one(r):
    def count():
        for _ in range(500):
            r.incr("n")

    r.set("n", 0)
    children = [fork(count) for _ in range(4)]
    count()
    assert [wait(child) for child in children] == [0] * 4
    assert r.get("n") == b"2500"


def test_a_grandchild_works_too(r):
    r.set("k", 1)

    def child():
        r.incr("k")
        assert wait(fork(lambda: r.incr("k"))) == 0

    assert wait(fork(child)) == 0
    assert r.get("k") == b"3"


def test_a_child_forked_while_other_threads_work_is_not_stuck(name, r):
    stop = threading.Event()

    def work():
        client = shoal.Redis(name, **SMALL)
        while not stop.is_set():
            client.set("busy", "x" * 100)
            client.incr("count")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        codes = [wait(fork(lambda: [r.incr("n") for _ in range(50)])) for _ in range(10)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert codes == [0] * 10
    assert r.get("n") == b"500"


def test_a_client_made_before_the_fork_and_first_used_after_it_works(name):
    client = shoal.Redis(name, **SMALL)
    assert wait(fork(lambda: client.set("k", "v"))) == 0
    assert client.get("k") == b"v"


def test_a_child_runs_a_loop_of_its_own_though_its_parent_ran_one(name):
    client = shoal.asyncio.Redis(name, **SMALL)

    async def use():
        await client.incr("n")
        return await client.get("n")

    assert asyncio.run(use()) == b"1"
    assert wait(fork(lambda: asyncio.run(use()))) == 0
    assert asyncio.run(use()) == b"3"


def spawned(name, count):
    client = shoal.Redis(name, **SMALL)
    for _ in range(count):
        client.incr("n")


def test_spawned_processes_attach_by_name(name, r):
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=spawned, args=(name, 200)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(SOON)
    assert [worker.exitcode for worker in workers] == [0] * 3
    assert r.get("n") == b"600"


def test_a_process_killed_in_the_midst_leaves_the_others_working(name, r):
    """Children write without a pause and are killed at any instruction; each time the parent goes on at once."""
    r.set("warm", 1)

    def write():
        i = 0
        while True:
            i += 1
            r.pipeline().set(f"a{i % 50}", "x" * (i % 300)).set(f"b{i % 50}", i).incr("n").execute()

    for _ in range(15):
        before = int(r.get("n") or 0)
        child = fork(write)
        deadline = time.monotonic() + SOON
        while int(r.get("n") or 0) < before + 50:
            assert time.monotonic() < deadline
        os.kill(child, signal.SIGKILL)
        assert wait(child) == -signal.SIGKILL
        assert r.set("after", "ok")
        assert r.pipeline().incr("m").get("after").execute()[1] == b"ok"
    assert r.get("m") == b"15"


def test_many_threads_use_one_client(r):
    def count():
        for _ in range(300):
            r.incr("n")
            r.set("k", "v")
            assert r.get("k") == b"v"

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert r.get("n") == b"2400"


def test_threads_give_their_places_back(name):
    """More threads than the segment has places for, one after the other."""
    client = shoal.Redis(name, contexts=16, **SMALL)
    for i in range(60):
        thread = threading.Thread(target=client.incr, args=("n",))
        thread.start()
        thread.join()
        assert client.get("n") == b"%d" % (i + 1)


def test_a_full_segment_is_a_clear_error_before_anything_changed(name):
    client = shoal.Redis(name, max_size=4 << 20, daemon=False)
    value, stored = "x" * 100_000, []
    with pytest.raises(shoal.SegmentFull) as caught:
        for i in range(1000):
            client.set(f"k{i}", value)
            stored.append(i)
    assert stored
    assert str(caught.value).startswith("OOM ")
    assert client.get(f"k{len(stored)}") is None
    assert all(client.get(f"k{i}") == value.encode() for i in stored)
    for i in stored:
        client.delete(f"k{i}")
    assert client.set("k", value)


def test_a_segment_that_is_not_there_is_an_error_if_it_may_not_be_created(name):
    with pytest.raises(shoal.SegmentNotFound, match=name):
        shoal.Redis(name, create=False).ping()
    shoal.Redis(name, **SMALL).ping()
    assert shoal.Redis(name, create=False, daemon=False).ping()


def test_a_foreign_file_is_not_taken_for_a_segment(name):
    with open(f"/dev/shm/shoal.{name}", "wb") as file:
        file.write(b"something else" * 1_000_000)
    with pytest.raises(shoal.SegmentMismatch, match=name):
        shoal.Redis(name, **SMALL).ping()


def test_importing_takes_no_segment_and_starts_no_thread():
    code = "import shoal, os; r = shoal.Redis('never-used'); print(len(os.listdir('/proc/self/task')))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SOON, check=True)
    assert out.stdout.split() == ["1"]
    assert not os.path.exists("/dev/shm/shoal.never-used")


def test_attaching_starts_no_thread(r):
    code = (
        f"import shoal, os; r = shoal.Redis({r.connection_pool.name!r}, daemon=False); r.set('k', 1); "
        "print(len(os.listdir('/proc/self/task')))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SOON, check=True)
    assert out.stdout.split() == ["1"]  # more than one would make every later fork() a warning
