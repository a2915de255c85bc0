# SPDX-License-Identifier: MIT

import pytest
import redis
from redis.exceptions import WatchError

import shoal
import shoal.asyncio
from compare import aoutcome, outcome
from conftest import SMALL


def queue(*lines):
    """A call that queues these commands in a pipeline and executes it."""

    def call(client, **options):
        pipe = client.pipeline(**options)
        for command in lines:
            pipe.execute_command(*command)
        return pipe.execute()

    return call


def lenient(*lines):
    def call(client, **options):
        pipe = client.pipeline(**options)
        for command in lines:
            pipe.execute_command(*command)
        return pipe.execute(raise_on_error=False)

    return call


SCRIPTS = [
    queue(("SET", "a", 1), ("GET", "a"), ("INCRBY", "a", 2), ("EXPIRE", "a", 10), ("MGET", "a", "none")),
    queue(),
    queue(("SET", "s", "x"), ("INCR", "s"), ("SET", "after", 1)),
    lenient(("SET", "s", "x"), ("INCR", "s"), ("SET", "after", 1), ("GET", "after")),
    queue(("SET", "x", 1), ("NOSUCH",), ("SET", "y", 1)),
    lenient(("SET", "x", 1), ("NOSUCH",), ("SET", "y", 1)),
    queue(("GET", "x"), ("GET", "y")),
    queue(("GET",)),
    queue(("SET", "x", 1), ("GET", "x", "y", "z")),
]


@pytest.mark.parametrize("transaction", [True, False])
def test_replies_and_errors_are_those_of_redis_py(r, server, transaction):
    for number, call in enumerate(SCRIPTS):
        got = outcome(lambda client, call=call: call(client, transaction=transaction), r)
        expected = outcome(lambda client, call=call: call(client, transaction=transaction), server)
        assert got == expected, number


@pytest.mark.parametrize("transaction", [True, False])
async def test_replies_and_errors_are_those_of_redis_py_in_asyncio(name, redis_server, server, transaction):
    ours = shoal.asyncio.Redis(name, **SMALL)
    async with redis.asyncio.Redis(unix_socket_path=redis_server) as theirs:
        for number, call in enumerate(SCRIPTS):
            got = await aoutcome(lambda client, call=call: call(client, transaction=transaction), ours)
            expected = await aoutcome(lambda client, call=call: call(client, transaction=transaction), theirs)
            assert got == expected, number


def test_it_takes_redis_pys_methods_and_chains(r):
    with r.pipeline() as pipe:
        assert pipe.set("a", 1).incr("a").mget("a", "l").execute() == [True, 2, [b"2", None]]
        assert len(pipe) == 0
        assert bool(pipe)


def test_nothing_runs_before_execute(r):
    pipe = r.pipeline()
    pipe.set("a", 1)
    assert r.get("a") is None
    pipe.reset()
    assert pipe.execute() == []
    assert r.get("a") is None


def test_a_change_of_a_watched_key_stops_the_transaction(r):
    r.set("k", 1)
    with r.pipeline() as pipe:
        pipe.watch("k")
        assert pipe.get("k") == b"1"
        r.set("k", 2)
        pipe.multi()
        pipe.set("k", 3)
        with pytest.raises(WatchError):
            pipe.execute()
    assert r.get("k") == b"2"


def test_an_unchanged_watched_key_lets_it_run(r):
    r.set("k", 1)
    with r.pipeline() as pipe:
        pipe.watch("k")
        value = int(pipe.get("k"))
        r.set("other", 1)
        pipe.multi()
        pipe.set("k", value + 1)
        assert pipe.execute() == [True]
        assert not pipe.watching
    assert r.get("k") == b"2"


def test_unwatch_forgets(r):
    with r.pipeline() as pipe:
        pipe.watch("k")
        pipe.unwatch()
        r.set("k", 1)
        pipe.set("k", 2)
        assert pipe.execute() == [True]


def test_a_pipeline_left_while_watching_leaves_no_watch_behind(r):
    with r.pipeline() as pipe:
        pipe.watch("k")
    r.set("k", 1)
    with r.pipeline() as pipe:
        pipe.set("k", 2)
        assert pipe.execute() == [True]


def test_misuse_is_told_as_in_redis_py(r):
    pipe = r.pipeline()
    pipe.set("a", 1)
    with pytest.raises(redis.RedisError, match="without an initial WATCH"):
        pipe.multi()
    pipe.reset()
    pipe.watch("a")
    pipe.multi()
    with pytest.raises(redis.RedisError, match="nested calls to MULTI"):
        pipe.multi()
    with pytest.raises(redis.RedisError, match="WATCH after a MULTI"):
        pipe.watch("b")
    pipe.reset()


def test_the_transaction_helper_tries_again_until_nothing_interferes(r):
    r.set("k", 0)
    meddled = []

    def add(pipe):
        value = int(pipe.get("k"))
        if len(meddled) < 2:
            meddled.append(r.incr("k"))
        pipe.multi()
        pipe.set("k", value + 10)

    assert r.transaction(add, "k") == [True]
    assert r.get("k") == b"12"


async def test_the_asyncio_transaction_helper_tries_again_until_nothing_interferes(name):
    r = shoal.asyncio.Redis(name, **SMALL)
    await r.set("k", 0)
    meddled = []

    async def add(pipe):
        value = int(await pipe.get("k"))
        if len(meddled) < 2:
            meddled.append(await r.incr("k"))
        pipe.multi()
        pipe.set("k", value + 10)

    assert await r.transaction(add, "k") == [True]
    assert await r.get("k") == b"12"


async def test_asyncio_pipelines_watch(name):
    r = shoal.asyncio.Redis(name, **SMALL)
    async with r.pipeline() as pipe:
        await pipe.watch("k")
        await r.set("k", 1)
        pipe.multi()
        pipe.set("k", 2)
        with pytest.raises(WatchError):
            await pipe.execute()
    assert await r.get("k") == b"1"


def test_a_transaction_is_seen_whole_or_not_at_all(name, r):
    """One thread writes pairs in transactions, this one reads them in transactions: they are always equal."""
    import threading

    r.mset({"a": 0, "b": 0})
    done = threading.Event()

    def write():
        client = shoal.Redis(name, **SMALL)
        for i in range(2000):
            client.pipeline().set("a", i).set("b", i).execute()
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        a, b = r.pipeline().get("a").get("b").execute()
        assert a == b
    writer.join()


def test_execute_many_of_a_session_that_failed_leaves_no_queue_behind(r):
    with pytest.raises(redis.ResponseError):
        r.pipeline().execute_command("GET").execute()
    assert r.pipeline().set("k", 1).execute() == [True]
    assert r.execute_command("GET", "k") == b"1"
