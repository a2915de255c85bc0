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
from ._pool import AsyncConnectionPool as ConnectionPool

StrictRedis = Redis

__all__ = [
    "AuthenticationError",
    "BusyLoadingError",
    "ConnectionError",
    "ConnectionPool",
    "DataError",
    "InvalidResponse",
    "PubSubError",
    "ReadOnlyError",
    "Redis",
    "RedisError",
    "ResponseError",
    "StrictRedis",
    "TimeoutError",
    "WatchError",
    "from_url",
]

Redis.__module__ = __name__
ConnectionPool.__module__ = __name__
ConnectionPool.__qualname__ = ConnectionPool.__name__ = "ConnectionPool"
