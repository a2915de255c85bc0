# SPDX-License-Identifier: MIT
import asyncio

import pytest
import redis.lock
from redis.exceptions import LockError, LockNotOwnedError

import shoal
import shoal.asyncio
from conftest import SMALL


def test_a_lock_excludes_and_is_released(r):
    one, two = r.lock("l", timeout=10), r.lock("l", timeout=10)
    assert one.acquire()
    assert one.locked() and one.owned() and not two.owned()
    assert not two.acquire(blocking=False)
    one.release()
    assert not one.locked()
    assert two.acquire(blocking=False)


def test_it_is_a_context_manager_and_a_redis_py_lock(r):
    with r.lock("l") as lock:
        assert isinstance(lock, redis.lock.Lock)
        assert r.get("l") == lock.local.token
    assert r.get("l") is None


def test_a_lock_that_another_took_over_is_not_released(r):
    lock = r.lock("l", timeout=10)
    lock.acquire()
    r.set("l", "someone else")
    with pytest.raises(LockNotOwnedError):
        lock.release()
    assert r.get("l") == b"someone else"


def test_a_lock_not_held_cannot_be_released(r):
    with pytest.raises(LockError):
        r.lock("l").release()


def test_extend_adds_to_or_replaces_the_time_left(r):
    lock = r.lock("l", timeout=10)
    lock.acquire()
    lock.extend(10)
    assert 15000 < r.pttl("l") <= 20000
    lock.extend(5, replace_ttl=True)
    assert 3000 < r.pttl("l") <= 5000
    lock.reacquire()
    assert 8000 < r.pttl("l") <= 10000


def test_extending_a_lost_lock_fails(r):
    lock = r.lock("l", timeout=10)
    lock.acquire()
    r.delete("l")
    for call in (lambda: lock.extend(1), lock.reacquire):
        with pytest.raises(LockNotOwnedError):
            call()


def test_a_client_that_decodes_has_locks(name):
    client = shoal.Redis(name, decode_responses=True, **SMALL)
    with client.lock("l", timeout=5) as lock:
        assert lock.owned()
        lock.extend(5)


async def test_asyncio_locks_exclude_extend_and_release(name):
    r = shoal.asyncio.Redis(name, **SMALL)
    async with r.lock("l", timeout=10) as lock:
        assert not await r.lock("l").acquire(blocking=False)
        await lock.extend(10)
        assert 15000 < await r.pttl("l") <= 20000
        await lock.reacquire()
        assert 8000 < await r.pttl("l") <= 10000
    assert await r.get("l") is None
    lock = r.lock("l")
    await lock.acquire()
    await r.set("l", "someone else")
    with pytest.raises(LockNotOwnedError):
        await lock.release()


async def test_many_tasks_count_under_a_lock_without_losing_one(name):
    r = shoal.asyncio.Redis(name, **SMALL)

    async def add():
        async with r.lock("l", timeout=30, sleep=0.001):
            value = int(await r.get("n") or 0)
            await asyncio.sleep(0)
            await r.set("n", value + 1)

    await asyncio.gather(*(add() for _ in range(30)))
    assert await r.get("n") == b"30"
