# SPDX-License-Identifier: MIT
"""Cancellation at any await loses nothing.

Each test plays one short scene again and again: a task waits, something arrives before turn `arrival` of the loop, the
task is cancelled before turn `end`, for all pairs of the two. So the task is cancelled at every await that it can stand
at, with the item not there yet, there but unseen, woken for, and taken. Afterwards each item is counted: the task has
it, or it is still there for the next; and nothing of the wait is left behind.
"""

import asyncio
import itertools
import threading

import pytest

import shoal
import shoal.asyncio
from conftest import SMALL
from shoal import _loop
from shoal.fastapi import Broadcast

SOON = 60
TURNS = 9
PAIRS = list(itertools.product(range(TURNS), repeat=2))


async def play(waiting, arrive, arrival, end):
    """The task that ran `waiting`, cancelled before turn `end`; arrive() is called before turn `arrival`."""
    task = asyncio.create_task(waiting)
    for turn in range(max(arrival, end) + 1):
        if turn == arrival:
            arrive()
        if turn == end:
            task.cancel()
        await asyncio.sleep(0)
    await asyncio.gather(task, return_exceptions=True)
    return task


class Busy:
    """A session that finds each lock held, so many times a command."""

    def __init__(self, session, times):
        self._session, self._times, self._left = session, times, times

    def _attempt(self, call, *args):
        if self._left:
            self._left -= 1
            return shoal._shoal.BUSY
        self._left = self._times
        return call(*args)

    def try_execute(self, args):
        return self._attempt(self._session.try_execute, args)

    def resume(self):
        return self._attempt(self._session.resume)

    def __getattr__(self, name):
        return getattr(self._session, name)


@pytest.fixture(params=[0, 1, 2], ids=lambda times: f"busy{times}")
async def ar(request, name, monkeypatch):
    monkeypatch.setattr(_loop, "_FIRST_PAUSE", 0)  # each pause is one turn
    client = shoal.asyncio.Redis(name, **SMALL)
    pool = client.connection_pool
    make = pool.new_session
    if request.param:
        monkeypatch.setattr(pool, "new_session", lambda: Busy(make(), request.param))
    client._hot = ()
    yield client
    await client.aclose()


POPS = {
    "blpop": (lambda ar: ar.blpop(["p", "q"], 0), lambda r: r.rpush("q", "a"), lambda r: r.lrange("q", 0, -1)),
    "brpop": (lambda ar: ar.brpop("q", 0), lambda r: r.rpush("q", "a"), lambda r: r.lrange("q", 0, -1)),
    "blmpop": (
        lambda ar: ar.blmpop(0, 1, "q", direction="LEFT"),
        lambda r: r.rpush("q", "a"),
        lambda r: r.lrange("q", 0, -1),
    ),
    "bzpopmin": (lambda ar: ar.bzpopmin("q", 0), lambda r: r.zadd("q", {"a": 1}), lambda r: r.zrange("q", 0, -1)),
}


@pytest.mark.parametrize("pop", POPS)
async def test_an_item_is_with_the_one_who_waited_or_still_there(ar, r, pop):
    waiting, push, rest = POPS[pop]
    taken = 0
    for arrival, end in PAIRS:
        r.delete("q")
        task = await play(waiting(ar), lambda: push(r), arrival, end)
        assert rest(r) == ([b"a"] if task.cancelled() else []), (arrival, end)
        taken += not task.cancelled()
        push(r)  # nobody who was cancelled waits for it
        assert rest(r)[-1:] == [b"a"]
    assert 0 < taken < len(PAIRS)


async def test_an_item_that_is_moved_is_in_one_of_the_two_lists(ar, r):
    for arrival, end in PAIRS:
        r.delete("q", "to")
        task = await play(ar.blmove("q", "to", 0), lambda: r.rpush("q", "a"), arrival, end)
        assert r.lrange("q", 0, -1) + r.lrange("to", 0, -1) == [b"a"], (arrival, end)
        assert task.cancelled() == bool(r.llen("q"))


async def test_the_turn_of_a_cancelled_waiter_goes_to_the_next(ar, r):
    for arrival, end in PAIRS:
        r.delete("q")
        second = []

        async def both(second=second):
            waiting = asyncio.create_task(ar.blpop("q", 0))
            second.append(waiting)
            return await ar.blpop("q", 0)

        first = await play(both(), lambda: r.rpush("q", "a"), arrival, end)
        if not second:
            continue  # cancelled before it began
        if not first.cancelled():
            r.rpush("q", "b")
        got = await asyncio.wait_for(second[0], SOON)
        assert got[1] in (b"a", b"b") and r.llen("q") == 0, (arrival, end)
        assert first.cancelled() or {first.result()[1], got[1]} == {b"a", b"b"}


async def test_a_pipeline_runs_as_a_whole_or_not_at_all(ar, r):
    for _, end in PAIRS[:TURNS]:
        r.delete("n")
        task = await play(ar.pipeline().incr("n").incr("n").execute(), lambda: None, 0, end)
        assert r.get("n") == (None if task.cancelled() else b"2")


async def test_a_lock_belongs_to_the_one_who_got_it_or_to_nobody(ar, r):
    """Another holds it at first; it is released while the task waits."""
    got = 0
    for arrival, end in PAIRS:
        r.delete("lock")
        other = r.lock("lock")
        assert other.acquire()
        mine = ar.lock("lock", sleep=0)
        task = await play(mine.acquire(), other.release, arrival, end)
        assert bool(r.exists("lock")) != task.cancelled(), (arrival, end)
        got += not task.cancelled()
    assert 0 < got < len(PAIRS)


async def test_a_cancelled_release_leaves_the_lock_as_it_was_or_free(ar, r):
    for end in range(TURNS):
        r.delete("lock")
        mine = ar.lock("lock")
        assert await mine.acquire()
        task = await play(mine.release(), lambda: None, 0, end)
        if not task.cancelled():
            assert not r.exists("lock")
        assert await ar.pipeline().incr("n").execute(), "a session that watches was put back"
        r.set("lock", "another's")


async def collect(next_item, got):
    while True:
        item = await next_item()
        if item is not None:
            got.append(item)


async def play_stream(next_item, publish, text):
    """Three messages in three turns, a reader cancelled at each; a second reader gets the rest. What both got."""
    for arrival, end in PAIRS:
        got = []
        sent = iter("abc")

        async def read(got=got):
            await collect(next_item, got)

        task = asyncio.create_task(read())
        for turn in range(max(arrival + 3, end + 1)):
            if turn >= arrival and (word := next(sent, None)):
                publish(word)
            if turn == end:
                task.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(task, return_exceptions=True)
        for word in sent:
            publish(word)
        while len(got) < 3:
            item = await asyncio.wait_for(next_item(), SOON)
            if item is not None:
                got.append(item)
        assert [text(item) for item in got] == [b"a", b"b", b"c"], (arrival, end)


@pytest.mark.parametrize("timeout", [None, SOON])
async def test_get_message_gives_each_message_once(name, r, timeout):
    async with shoal.asyncio.Redis(name, **SMALL).pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe("c")
        await listener.psubscribe("d*")
        await play_stream(
            lambda: listener.get_message(timeout=timeout), lambda w: r.publish("c", w), lambda item: item["data"]
        )


async def test_listen_gives_each_message_once_though_its_generators_end(name, r):
    async with shoal.asyncio.Redis(name, **SMALL).pubsub(ignore_subscribe_messages=True) as listener:
        await listener.subscribe("c")

        async def next_item():
            async for item in listener.listen():
                return item

        await play_stream(next_item, lambda w: r.publish("c", w), lambda item: item["data"])


@pytest.mark.parametrize("how", ["iterate", "get"])
async def test_a_channel_gives_each_message_once(name, r, how):
    channel = shoal.asyncio.Redis(name, **SMALL).channel("c", keep=100)
    async with channel.subscribe() as messages:
        next_item = messages.__anext__ if how == "iterate" else messages.get
        await play_stream(next_item, lambda w: r.publish("c", w), lambda item: item.data)


async def test_a_listener_of_a_broadcast_gets_each_message_once(name, r):
    broadcast = Broadcast(f"shoal://{name}?max_size=32MiB&daemon=false")
    async with broadcast.listen("c") as items:
        await play_stream(items.__anext__, lambda w: r.publish("c", w), lambda item: item.data)


async def test_a_subscription_that_was_cancelled_while_it_opened_leaves_no_subscriber(name, r):
    client = shoal.asyncio.Redis(name, **SMALL)
    for end in range(TURNS):

        async def use():
            async with client.channel("c", keep=5).subscribe(last=1) as messages:
                await messages.get()

        await play(use(), lambda: None, 0, end)
        assert dict(r.pubsub_numsub("c")) == {b"c": 0}, end


async def test_threads_push_while_tasks_are_cancelled_at_each_step_in_turn(ar, name):
    """The same with real concurrency: the pushes come at no known moment."""
    count, got = 300, []
    done = threading.Event()

    def produce():
        client = shoal.Redis(name, **SMALL)
        for i in range(count):
            client.rpush("q", i)
        done.set()

    async def consume():
        while True:
            got.append(int((await ar.blpop("q", 0))[1]))

    producer = threading.Thread(target=produce)
    producer.start()
    steps = itertools.cycle(range(TURNS))
    deadline = asyncio.get_running_loop().time() + SOON
    while len(got) < count and asyncio.get_running_loop().time() < deadline:
        task = asyncio.create_task(consume())
        for _ in range(next(steps)):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    producer.join()
    assert sorted(got) == list(range(count))
