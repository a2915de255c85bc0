# SPDX-License-Identifier: MIT
"""`import shoal.asyncio as redis`: what a program uses of redis.asyncio, on a shared-memory segment."""

from redis.asyncio import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    DataError,
    InvalidResponse,
    PubSubError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
    WatchError,
)

from ._aclient import Redis, from_url
from ._channels import AsyncChannel as Channel
from ._channels import Gap, Message, Position, Published
from ._pool import AsyncConnectionPool as ConnectionPool

StrictRedis = Redis

__all__ = [
    "AuthenticationError",
    "BusyLoadingError",
    "Channel",
    "ConnectionError",
    "ConnectionPool",
    "DataError",
    "Gap",
    "InvalidResponse",
    "Message",
    "Position",
    "PubSubError",
    "Published",
    "ReadOnlyError",
    "Redis",
    "RedisError",
    "ResponseError",
    "StrictRedis",
    "TimeoutError",
    "WatchError",
    "from_url",
]

for _class in (Redis, Channel):
    _class.__module__ = __name__
    _class.__qualname__ = _class.__name__ = _class.__name__.removeprefix("Async")
del _class
ConnectionPool.__module__ = __name__
ConnectionPool.__qualname__ = ConnectionPool.__name__ = "ConnectionPool"
