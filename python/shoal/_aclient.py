# SPDX-License-Identifier: MIT
"""shoal.asyncio.Redis: redis-py's asyncio client whose commands run in this process.

A command runs in the coroutine's own step, without an await, unless it has to wait: a blocking command for its key,
any command for a lock that is held too long (see _loop.py). Cancelling a task at any await loses no item and leaves no
waiter behind.
"""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import redis.asyncio
from redis.exceptions import ResponseError

from . import _shoal, _url
from ._base import EMPTY_RESPONSE, NEVER_DECODE, ClientBase, apply_callback
from ._channels import AsyncChannel
from ._lock import AsyncLock
from ._loop import finish_command
from ._pipeline import AsyncPipeline
from ._pool import AsyncConnectionPool, server_client
from ._pubsub import AsyncPubSub

_BUSY, _PENDING = _shoal.BUSY, _shoal.PENDING


class Redis(ClientBase, redis.asyncio.Redis):  # type: ignore[misc]
    """redis.asyncio.Redis on a shared-memory segment; see shoal.Redis for the options."""

    connection_pool: AsyncConnectionPool  # type: ignore[assignment]

    def __new__(cls, *args: Any, connection_pool: Any = None, **options: Any) -> Any:
        plain = server_client(redis.asyncio.Redis, Redis, cls, connection_pool)
        return super().__new__(cls) if plain is None else plain

    def __init__(
        self,
        host: str = "localhost",
        port: int = 6379,
        db: int | str = 0,
        *,
        connection_pool: AsyncConnectionPool | None = None,
        single_connection_client: bool = False,
        **options: Any,
    ) -> None:
        pool = AsyncConnectionPool(host, port, db, **options) if connection_pool is None else connection_pool
        self._open(pool, single_connection_client, type(self).execute_command is Redis.execute_command)
        super().__init__(connection_pool=pool)  # type: ignore[arg-type]
        self.auto_close_connection_pool = connection_pool is None

    @classmethod
    def from_url(  # type: ignore[override]
        cls, url: str, single_connection_client: bool = False, **options: Any
    ) -> Any:
        """A client for shoal://NAME[/DB][?option=value]; redis://, rediss:// and unix:// give redis-py's own client."""
        if _url.is_server_url(url):
            return redis.asyncio.Redis.from_url(url, single_connection_client=single_connection_client, **options)
        client = cls(
            connection_pool=AsyncConnectionPool.from_url(url, **options),
            single_connection_client=single_connection_client,
        )
        client.auto_close_connection_pool = True
        return client

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run one command; its name may hold a space ("CONFIG GET")."""
        idle = self._idle
        try:
            session = idle.pop()
        except IndexError:
            session = self._new_session()
        try:
            attempt = session.try_execute_bytes if NEVER_DECODE in options else session.try_execute
            reply = attempt(args)
            if reply is _PENDING or reply is _BUSY:
                reply = await finish_command(self.connection_pool.segment, session, attempt, args, reply)
        except ResponseError:
            if EMPTY_RESPONSE in options:
                return options[EMPTY_RESPONSE]
            raise
        finally:
            idle.append(session)
        if options:
            options.pop(NEVER_DECODE, None)
            options.pop(EMPTY_RESPONSE, None)
        result = apply_callback(self.response_callbacks, args[0], reply, options)
        return await result if inspect.isawaitable(result) else result

    if not TYPE_CHECKING:  # the signatures are redis-py's

        async def get(self, name):
            try:
                reply = self._hot[-1].try_get(name) if name is not None else _BUSY
            except IndexError:
                reply = _BUSY
            return await self.execute_command("GET", name) if reply is _BUSY else reply

        async def set(self, name, value, *args, **options):
            if args or options or name is None or value is None:
                return await super().set(name, value, *args, **options)
            try:
                reply = self._hot[-1].try_set(name, value)
            except IndexError:
                reply = _BUSY
            return await super().set(name, value) if reply is _BUSY else reply

        async def publish(self, channel, message, **options):
            try:
                reply = self._hot[-1].try_publish(channel, message) if not options else _BUSY
            except IndexError:
                reply = _BUSY
            return await super().publish(channel, message, **options) if reply is _BUSY else reply

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> AsyncPipeline:
        """A pipeline: with `transaction` its commands are one MULTI/EXEC, else they run one after the other."""
        pool: Any = self.connection_pool
        return AsyncPipeline(pool, self.response_callbacks, transaction, shard_hint)

    def pubsub(self, **options: Any) -> AsyncPubSub:
        """A subscriber with redis-py's interface."""
        return AsyncPubSub(self.connection_pool, **options)

    def channel(self, name: str | bytes, keep: int | None = None, ttl: float | timedelta | None = None) -> AsyncChannel:
        """A channel with Shoal's own interface: positions, gaps in band, and a history of `keep` messages, each for
        at most `ttl` seconds, which the channel holds on to whether anybody subscribes or not (keep=0: no longer)."""
        return AsyncChannel(lambda: self.connection_pool.segment, name, keep, ttl)

    def lock(self, name: Any, *args: Any, **options: Any) -> Any:
        """A lock, as in redis-py; released and extended by WATCH and MULTI instead of a script."""
        options["lock_class"] = options.get("lock_class") or AsyncLock
        return super().lock(name, *args, **options)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Give the sessions up. A later command opens new ones, as in redis-py."""
        if self._idle is not self.connection_pool.idle:
            self._idle.clear()
        await super().aclose(close_connection_pool)


def from_url(url: str, **options: Any) -> Any:
    """A client for shoal://NAME[/DB][?option=value]; redis://, rediss:// and unix:// give redis-py's own client."""
    return Redis.from_url(url, **options)
