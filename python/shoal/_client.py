# SPDX-License-Identifier: MIT
"""shoal.Redis: redis-py's client whose commands run in this process.

A command that may block (BLPOP ...) blocks its thread with the GIL released; signals are handled meanwhile. Any number
of threads may use one client.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import redis
from redis.exceptions import ResponseError

from . import _shoal, _url
from ._base import EMPTY_RESPONSE, NEVER_DECODE, ClientBase, apply_callback
from ._channels import Channel
from ._lock import Lock
from ._pipeline import Pipeline
from ._pool import ConnectionPool, server_client
from ._pubsub import PubSub

_BUSY = _shoal.BUSY


class Redis(ClientBase, redis.Redis):
    """redis.Redis on a shared-memory segment; `host` names the segment, which the first command attaches or creates.

    Options that speak of sockets, retries or credentials are accepted and mean nothing. `create`, `max_size`, `shards`,
    `contexts`, `slots`, `mode` and `daemon` shape a segment that is created.
    """

    connection_pool: ConnectionPool  # type: ignore[assignment]

    def __new__(cls, *args: Any, connection_pool: Any = None, **options: Any) -> Any:
        plain = server_client(redis.Redis, Redis, cls, connection_pool)
        return super().__new__(cls) if plain is None else plain

    def __init__(
        self,
        host: str = "localhost",
        port: int = 6379,
        db: int | str = 0,
        *,
        connection_pool: ConnectionPool | None = None,
        single_connection_client: bool = False,
        **options: Any,
    ) -> None:
        pool = ConnectionPool(host, port, db, **options) if connection_pool is None else connection_pool
        self._open(pool, single_connection_client, type(self).execute_command is Redis.execute_command)
        super().__init__(connection_pool=pool)  # type: ignore[arg-type]
        self.auto_close_connection_pool = connection_pool is None

    @classmethod
    def from_url(cls, url: str, single_connection_client: bool = False, **options: Any) -> Any:
        """A client for shoal://NAME[/DB][?option=value]; redis://, rediss:// and unix:// give redis-py's own client."""
        if _url.is_server_url(url):
            return redis.Redis.from_url(url, single_connection_client=single_connection_client, **options)
        client = cls(
            connection_pool=ConnectionPool.from_url(url, **options),
            single_connection_client=single_connection_client,
        )
        client.auto_close_connection_pool = True
        return client

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run one command here and now; its name may hold a space ("CONFIG GET")."""
        idle = self._idle
        try:
            session = idle.pop()
        except IndexError:
            session = self._new_session()
        try:
            reply = session.execute_bytes(args) if NEVER_DECODE in options else session.execute(args)
        except ResponseError:
            if EMPTY_RESPONSE in options:
                return options[EMPTY_RESPONSE]
            raise
        finally:
            idle.append(session)
        if options:
            options.pop(NEVER_DECODE, None)
            options.pop(EMPTY_RESPONSE, None)
        return apply_callback(self.response_callbacks, args[0], reply, options)

    if not TYPE_CHECKING:  # the signatures are redis-py's

        def get(self, name):
            try:
                reply = self._hot[-1].try_get(name) if name is not None else _BUSY
            except IndexError:
                reply = _BUSY
            return self.execute_command("GET", name) if reply is _BUSY else reply

        def set(self, name, value, *args, **options):
            if args or options or name is None or value is None:
                return super().set(name, value, *args, **options)
            try:
                reply = self._hot[-1].try_set(name, value)
            except IndexError:
                reply = _BUSY
            return super().set(name, value) if reply is _BUSY else reply

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """A pipeline: with `transaction` its commands are one MULTI/EXEC, else they run one after the other."""
        pool: Any = self.connection_pool
        return Pipeline(pool, self.response_callbacks, transaction, shard_hint)

    def pubsub(self, **options: Any) -> PubSub:
        """A subscriber with redis-py's interface."""
        return PubSub(self.connection_pool, **options)

    def channel(self, name: str | bytes, keep: int | None = None, ttl: float | timedelta | None = None) -> Channel:
        """A channel with Shoal's own interface: positions, gaps in band, and a history of `keep` messages, each for
        at most `ttl` seconds, which the channel holds on to whether anybody subscribes or not (keep=0: no longer)."""
        return Channel(lambda: self.connection_pool.segment, name, keep, ttl)

    def lock(self, name: Any, *args: Any, **options: Any) -> Any:
        """A lock, as in redis-py; released and extended by WATCH and MULTI instead of a script."""
        options["lock_class"] = options.get("lock_class") or Lock
        return super().lock(name, *args, **options)

    def close(self) -> None:
        """Give the sessions up. A later command opens new ones, as in redis-py."""
        if hasattr(self, "_idle") and self._idle is not self.connection_pool.idle:
            self._idle.clear()
        super().close()


def from_url(url: str, **options: Any) -> Any:
    """A client for shoal://NAME[/DB][?option=value]; redis://, rediss:// and unix:// give redis-py's own client."""
    return Redis.from_url(url, **options)
