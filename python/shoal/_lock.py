# SPDX-License-Identifier: MIT
"""redis-py's Lock without its Lua scripts: what they do between GET and DEL or PEXPIRE is done by WATCH and MULTI.

Acquiring is SET NX PX, as in redis-py; the key and its token look the same, so both kinds of lock exclude each other.
A lock that redis-py's own class makes acquires, but cannot be released until scripts can run: use client.lock().
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import redis.asyncio.lock
import redis.lock
from redis.exceptions import LockNotOwnedError, WatchError

_Queue = Callable[[Any, int], Any]  # queues commands in a pipeline, given the time left in milliseconds


def _not_owned(verb: str, name: Any) -> LockNotOwnedError:
    return LockNotOwnedError(f"Cannot {verb} a lock that's no longer owned", lock_name=name)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


class Lock(redis.lock.Lock):
    """See redis.lock.Lock."""

    def register_scripts(self) -> None:
        """There are none."""

    def do_release(self, expected_token: Any) -> None:
        self._while_owned("release", expected_token, lambda pipe, ttl: pipe.delete(self.name))

    def do_extend(self, additional_time: Any, replace_ttl: bool) -> Literal[True]:
        added = _milliseconds(additional_time)
        self._while_owned(
            "extend",
            self.local.token,
            lambda pipe, ttl: pipe.pexpire(self.name, added if replace_ttl else added + ttl),
            needs_ttl=True,
        )
        return True

    def do_reacquire(self) -> Literal[True]:
        timeout = _milliseconds(self.timeout or 0)
        self._while_owned("reacquire", self.local.token, lambda pipe, ttl: pipe.pexpire(self.name, timeout))
        return True

    def _while_owned(self, verb: str, token: Any, queue: _Queue, needs_ttl: bool = False) -> None:
        encode = self.redis.get_encoder().encode
        with self.redis.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(self.name)
                    held = pipe.get(self.name)
                    ttl = pipe.pttl(self.name) if needs_ttl else 0
                    if held is None or encode(held) != encode(token) or ttl < 0:
                        raise _not_owned(verb, self.name)
                    pipe.multi()
                    queue(pipe, ttl)
                    pipe.execute()
                    return
                except WatchError:
                    continue


class AsyncLock(redis.asyncio.lock.Lock):
    """See redis.asyncio.lock.Lock."""

    def register_scripts(self) -> None:
        """There are none."""

    async def do_release(self, expected_token: Any) -> None:
        await self._while_owned("release", expected_token, lambda pipe, ttl: pipe.delete(self.name))

    async def do_extend(self, additional_time: Any, replace_ttl: bool) -> Literal[True]:
        added = _milliseconds(additional_time)
        await self._while_owned(
            "extend",
            self.local.token,
            lambda pipe, ttl: pipe.pexpire(self.name, added if replace_ttl else added + ttl),
            needs_ttl=True,
        )
        return True

    async def do_reacquire(self) -> Literal[True]:
        timeout = _milliseconds(self.timeout or 0)
        await self._while_owned("reacquire", self.local.token, lambda pipe, ttl: pipe.pexpire(self.name, timeout))
        return True

    async def _while_owned(self, verb: str, token: Any, queue: _Queue, needs_ttl: bool = False) -> None:
        client: Any = self.redis
        encode = client.connection_pool.get_encoder().encode
        async with client.pipeline() as pipe:
            while True:
                try:
                    await pipe.watch(self.name)
                    held = await pipe.get(self.name)
                    ttl = await pipe.pttl(self.name) if needs_ttl else 0
                    if held is None or encode(held) != encode(token) or ttl < 0:
                        raise _not_owned(verb, self.name)
                    pipe.multi()
                    queue(pipe, ttl)
                    await pipe.execute()
                    return
                except WatchError:
                    continue
