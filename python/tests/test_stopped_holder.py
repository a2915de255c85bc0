# SPDX-License-Identifier: MIT
"""A process is stopped (SIGSTOP) while it holds locks: it lives, so nobody may rob it; the others wait within
bounds."""

import asyncio
import itertools
import os
import signal
import threading
import time

import pytest

import shoal
import shoal.asyncio
from conftest import SMALL
from test_processes import fork, wait

SOON = 60
PROBES = 64  # keys that meet each of a small segment's shards


@pytest.fixture
def stop(r):
    """Stops a child in the midst of a transaction over all shards, and gives its pid."""
    r.ping()

    def write():
        for number in itertools.count():
            pipe = r.pipeline()
            for i in range(3000):
                pipe.set(f"key{i}", number)
            pipe.execute()

    child = fork(write)

    def stop_inside():
        session = r.connection_pool.new_session()
        deadline = time.monotonic() + SOON
        while True:
            os.kill(child, signal.SIGSTOP)
            os.waitid(os.P_PID, child, os.WSTOPPED)
            answers = [session.try_execute(("SET", f"probe{i}", "x")) for i in range(PROBES)]
            if all(answer is shoal._shoal.BUSY for answer in answers):
                return child  # not between the locks: it takes and leaves them one after another
            assert time.monotonic() < deadline, "the child was never met while it held all locks"
            os.kill(child, signal.SIGCONT)
            time.sleep(0.001)

    yield stop_inside
    os.kill(child, signal.SIGCONT)
    os.kill(child, signal.SIGKILL)
    wait(child)


@pytest.fixture
def holder(stop):
    return stop()


async def first_step(*tasks):
    """Until each of the tasks is at its first await."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


@pytest.fixture
def hold_queue(name):
    """Stops a child that holds the lock of one queue's shard and of no other; gives back how to end it."""
    children = []

    def hold(queue):
        segment = shoal.Redis(name, **SMALL).segment

        def push():
            queues = shoal._shoal.Queues(segment, 0)
            while True:
                queues.push_routes(b"nothing", [(queue, 0)] * 50_000, b"x")

        child = fork(push)
        children.append(child)
        queues = shoal._shoal.Queues(segment, 0)
        deadline = time.monotonic() + SOON
        while True:
            os.kill(child, signal.SIGSTOP)
            os.waitid(os.P_PID, child, os.WSTOPPED)
            try:
                queues.push_routes(b"nothing", [(queue, 0)], b"x", wait=False)
            except shoal.HolderStopped:
                return lambda: end(child)
            assert time.monotonic() < deadline, "the child was never met while it held the lock"
            os.kill(child, signal.SIGCONT)
            time.sleep(0.001)

    def end(child):
        children.remove(child)
        os.kill(child, signal.SIGKILL)
        wait(child)

    yield hold
    for child in list(children):
        end(child)


async def test_what_a_loop_could_not_publish_follows_when_the_lock_falls(name, hold_queue):
    client = shoal.asyncio.Redis(name, **SMALL, shards=4)
    pubsub = client.pubsub()
    rooms = [f"room{letter}" for letter in "abcdefgh"]
    await pubsub.subscribe(*rooms)
    await pubsub.psubscribe(*(f"{room}*" for room in rooms))
    for _ in range(2 * len(rooms)):
        assert "subscribe" in (await pubsub.get_message(timeout=SOON))["type"]
    segment, publish, sent = client.connection_pool.segment, shoal._shoal.publish, 0
    for i in range(100):  # until it is the shard that this thread's outbox belongs to, and not that of the rings
        end = hold_queue(b"queue%d" % i)
        room = rooms[i % len(rooms)]
        answer = publish(segment, room, str(sent), False)
        sent += answer is not shoal._shoal.BUSY
        if answer is not shoal._shoal.BUSY and answer[1] == 0:
            break
        end()
    else:
        raise AssertionError("no lock kept a message in the outbox")
    assert publish(segment, room, "must not overtake", False) is shoal._shoal.BUSY
    end()
    for number in range(sent):
        for _ in range(2):
            message = await pubsub.get_message(timeout=SOON)
            assert message is not None and message["data"] == b"%d" % number


async def test_what_is_cancelled_or_closed_behind_a_stopped_holder_leaves_nothing_behind(name, stop):
    client = shoal.asyncio.Redis(name, **SMALL)
    popping = asyncio.create_task(client.blpop(["q", "q2", "q3"]))
    messages = await client.channel("room").subscribe().__aenter__()
    reading = asyncio.create_task(messages.get())
    pubsub = client.pubsub()
    await pubsub.subscribe("room")
    await first_step(popping, reading)
    holder = stop()
    for task in (popping, reading):
        task.cancel()
    await asyncio.gather(popping, reading, return_exceptions=True)
    await messages.aclose()
    await pubsub.aclose()
    os.kill(holder, signal.SIGCONT)
    await client.rpush("q", "x")
    assert await client.blpop("q", timeout=SOON) == (b"q", b"x")  # promised to nobody
    deadline = time.monotonic() + SOON
    while (await client.pubsub_numsub("room"))[0][1] != 0:
        assert time.monotonic() < deadline, "a subscription that was closed is still there"
        await asyncio.sleep(0.01)


async def test_the_loop_goes_on_and_the_command_runs_once_the_holder_does(name, holder):
    client = shoal.asyncio.Redis(name, **SMALL)
    writing = [asyncio.create_task(client.set("probe", "y")), asyncio.create_task(client.incr("n"))]
    piping = asyncio.create_task(client.pipeline().incr("m").incr("m").execute())
    for _ in range(30):
        await asyncio.sleep(0.005)  # would not come back from a frozen loop
    assert not any(task.done() for task in writing)
    writing[1].cancel()
    await asyncio.gather(writing[1], return_exceptions=True)
    os.kill(holder, signal.SIGCONT)
    assert await asyncio.wait_for(writing[0], SOON) is True
    assert await asyncio.wait_for(piping, SOON) == [1, 2]
    assert await client.get("n") is None  # cancelled while it waited: it never ran


def test_a_thread_waits_without_the_gil_and_the_error_names_the_holder(name, r, holder):
    count, done = [0], threading.Event()

    def tick():
        while not done.wait(0.01):
            count[0] += 1

    ticking = threading.Thread(target=tick)
    ticking.start()
    try:
        with pytest.raises(shoal.HolderStopped, match=str(holder)):
            r.set("probe", "y")
    finally:
        done.set()
        ticking.join()
    assert count[0] > 10  # a held GIL would have let none through
    os.kill(holder, signal.SIGCONT)
    assert r.set("probe", "z")


def test_a_stopped_holder_that_is_killed_is_undone_by_the_next_who_comes(r, holder):
    os.kill(holder, signal.SIGKILL)  # it is never continued
    assert r.set("probe", "z")
    assert len(set(r.mget(f"key{i}" for i in range(3000)))) == 1  # none of the transaction that it was in
