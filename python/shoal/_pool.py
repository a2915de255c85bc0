# SPDX-License-Identifier: MIT
"""The pool: a segment, a database and how replies look. It takes the place of redis-py's connection pool.

Clients, pipelines and locks of one pool share its free sessions. A session is what a connection is to a server
(database, MULTI queue, watched keys); each command takes one out and puts it back, so that a command that blocks in one
thread or task never meets another's. `list.pop` and `list.append` are atomic, hence no lock. Attaching happens at the
first command.

A forked child may go on with its parent's pool: the extension attaches it anew.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import redis
from redis._parsers import Encoder

from . import _shoal, _url
from ._exceptions import AddressError, ShoalError
from ._transcoding import TranscodingSession, is_utf8

# Options of redis-py's clients that speak of sockets, retries and credentials. They are accepted, so that a program
# keeps its call, and mean nothing here.
_SOCKET_OPTIONS = frozenset(inspect.signature(redis.Redis.__init__).parameters) | frozenset(
    inspect.signature(redis.asyncio.Redis.__init__).parameters
)
_REDIS_PORT = 6379
_make_encoder: Callable[..., Encoder] = Encoder
_PoolT = TypeVar("_PoolT", bound="SegmentPool")


class SegmentPool:
    """What the pools of sync and asyncio clients share."""

    def __init__(
        self,
        host: str = "localhost",
        port: int = _REDIS_PORT,
        db: int | str = 0,
        *,
        encoding: str = "utf-8",
        encoding_errors: str = "strict",
        decode_responses: bool = False,
        protocol: int | None = None,
        legacy_responses: bool = True,
        client_name: str | None = None,
        create: bool = True,
        max_size: int = 0,
        shards: int = 0,
        contexts: int = 0,
        slots: int = 0,
        mode: int = 0o600,
        daemon: bool = True,
        **ignored: Any,
    ) -> None:
        self.name = _url.check_name(host)
        self.db = _url.check_db(db)
        _refuse_foreign(host, port, ignored)
        self.opening: dict[str, Any] = {
            "create": create,
            "max_size": max_size,
            "shards": shards,
            "contexts": contexts,
            "slots": slots,
            "mode": mode,
            "daemon": daemon,
        }
        self.connection_kwargs: dict[str, Any] = {
            **ignored,
            "host": self.name,
            "db": self.db,
            "encoding": encoding,
            "encoding_errors": encoding_errors,
            "decode_responses": decode_responses,
            "protocol": protocol,
            "legacy_responses": legacy_responses,
            "client_name": client_name,
        }
        self.cache = None
        self.idle: list[Any] = []
        self._segment: _shoal.Segment | None = None
        self._encoder: Encoder = _make_encoder(encoding, encoding_errors, decode_responses)

    @classmethod
    def from_url(cls: type[_PoolT], url: str, **options: Any) -> Any:
        """A pool of the segment that a shoal:// URL names; options in the URL win, as in redis-py.

        A redis://, rediss:// or unix:// URL gives redis-py's own pool.
        """
        if _url.is_server_url(url):
            return cls._server_pool().from_url(url, **options)
        address = _url.parse(url)
        given = {"host": address.name, "db": address.db} if address.db else {"host": address.name}
        return cls(**{**options, **given, **address.options})

    @staticmethod
    def _server_pool() -> Any:
        raise NotImplementedError

    @property
    def segment(self) -> _shoal.Segment:
        """The attached segment; the first use attaches, and creates it if that is allowed."""
        if self._segment is None:
            self._segment = _shoal.Segment.attach(self.name, **self.opening)
        return self._segment

    def new_session(self) -> Any:
        """A session of this pool's database and reply shapes: a _shoal.Session, or what behaves like one."""
        encoder = self._encoder
        session = _shoal.Session(
            self.segment,
            self.db,
            int(self.connection_kwargs["protocol"] or 3),
            bool(encoder.decode_responses) and self.in_extension,
        )
        if self.connection_kwargs["client_name"]:
            session.execute(("CLIENT", "SETNAME", self.connection_kwargs["client_name"]))
        return session if self.in_extension else TranscodingSession(session, encoder)

    @property
    def in_extension(self) -> bool:
        """Texts are encoded and decoded there."""
        return is_utf8(self._encoder)

    def get_encoder(self) -> Encoder:
        return self._encoder

    def get_protocol(self) -> int | None:
        protocol: int | None = self.connection_kwargs["protocol"]
        return protocol

    def set_retry(self, retry: Any) -> None:
        self.connection_kwargs["retry"] = retry

    def reset(self) -> None:
        self.idle.clear()

    def get_connection(self, *args: Any, **options: Any) -> NoReturn:
        raise ShoalError(
            f"segment {self.name!r} has no connections: commands run in this process. "
            "Use the methods of shoal.Redis or shoal.asyncio.Redis"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__name__}({_url.Address(self.name, self.db)})>"


class ConnectionPool(SegmentPool):
    """A segment as redis.ConnectionPool: give it to shoal.Redis as connection_pool to share one between clients."""

    @staticmethod
    def _server_pool() -> type[redis.ConnectionPool]:
        return redis.ConnectionPool

    def release(self, connection: Any) -> None:
        """Nothing to give back."""

    def disconnect(self, inuse_connections: bool = True) -> None:
        self.idle.clear()

    def close(self) -> None:
        self.idle.clear()

    def __enter__(self) -> ConnectionPool:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AsyncConnectionPool(SegmentPool):
    """A segment as redis.asyncio.ConnectionPool."""

    @staticmethod
    def _server_pool() -> type[redis.asyncio.ConnectionPool]:
        return redis.asyncio.ConnectionPool

    async def release(self, connection: Any) -> None:
        """Nothing to give back."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        self.idle.clear()

    async def aclose(self) -> None:
        self.idle.clear()

    async def __aenter__(self) -> AsyncConnectionPool:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


def server_client(plain: Callable[..., Any], own: type, cls: type, pool: Any) -> Any | None:
    """The way out: a client made from redis-py's own pool is redis-py's own client. None: make Shoal's."""
    if pool is None or isinstance(pool, SegmentPool):
        return None
    if cls is not own:
        raise AddressError(
            f"connection_pool is a {type(pool).__name__}, which leads to a Redis server, and {cls.__name__} is made "
            "for a segment: give it a shoal.ConnectionPool, or subclass redis-py's client"
        )
    return plain(connection_pool=pool)


def _refuse_foreign(host: str, port: int | str, ignored: dict[str, Any]) -> None:
    if int(port) != _REDIS_PORT:
        raise AddressError(
            f"port={port} says nothing about a segment: give a second one its own name, such as host='{host}-2'"
        )
    if ignored.get("unix_socket_path") is not None:
        raise AddressError(
            "unix_socket_path leads to a Redis server: use redis-py's client for it, or shoal.from_url('unix://...')"
        )
    for name in ignored:
        if name not in _SOCKET_OPTIONS:
            raise TypeError(f"unexpected keyword argument {name!r}")
