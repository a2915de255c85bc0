# SPDX-License-Identifier: MIT
"""Redis for one host, without the server: keys, channels and task queues in shared memory, through redis-py's API.

    import shoal

    r = shoal.from_url("shoal://app")       # redis://... gives redis-py's own client: the way out
    r.set("greeting", "hello")

`import shoal as redis` and `import shoal.asyncio as redis` are the one-line change for a program that uses redis-py:
the names of the errors are redis-py's.
"""

from redis import (
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
    exceptions,
)

from . import asyncio
from ._channels import Channel, Gap, Message, Position, Published
from ._client import Redis, from_url
from ._exceptions import (
    AddressError,
    HolderStopped,
    SegmentBusy,
    SegmentCorrupt,
    SegmentError,
    SegmentFull,
    SegmentMismatch,
    SegmentNotFound,
    SegmentRemoved,
    ShoalError,
)
from ._pool import ConnectionPool

StrictRedis = Redis

__all__ = [
    "AddressError",
    "AuthenticationError",
    "BusyLoadingError",
    "Channel",
    "ConnectionError",
    "ConnectionPool",
    "DataError",
    "Gap",
    "HolderStopped",
    "InvalidResponse",
    "Message",
    "Position",
    "PubSubError",
    "Published",
    "ReadOnlyError",
    "Redis",
    "RedisError",
    "ResponseError",
    "SegmentBusy",
    "SegmentCorrupt",
    "SegmentError",
    "SegmentFull",
    "SegmentMismatch",
    "SegmentNotFound",
    "SegmentRemoved",
    "ShoalError",
    "StrictRedis",
    "TimeoutError",
    "WatchError",
    "asyncio",
    "exceptions",
    "from_url",
]

for _name in __all__:  # tracebacks and pickles name what a user imports
    if getattr(globals()[_name], "__module__", "").startswith("shoal._"):
        globals()[_name].__module__ = "shoal"
del _name
