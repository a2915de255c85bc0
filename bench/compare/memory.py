# SPDX-License-Identifier: MIT
"""Bytes a key: everything that the segment occupies in /dev/shm against Redis's used_memory."""

from __future__ import annotations

from sides import Redis, Segment

VALUE = b"0123456789abcdef0123456789abcdef"
BATCH = 1000


def _fill(client, keys: int, ttl: bool) -> None:
    for first in range(0, keys, BATCH):
        pipe = client.pipeline(transaction=False)
        for number in range(first, min(first + BATCH, keys)):
            pipe.set(b"key:%012d" % number, VALUE, ex=86_400 if ttl else None)
        pipe.execute()


def fill_shoal(keys: int, ttl: bool) -> float:
    import shoal

    with Segment("memory") as segment:
        client = shoal.from_url(segment.url)
        _fill(client, keys, ttl)
        return segment.physical_bytes() / keys


def fill_redis(keys: int, ttl: bool) -> float:
    import redis

    with Redis() as server:
        client = redis.Redis(unix_socket_path=server.socket)
        _fill(client, keys, ttl)
        return server.used_memory() / keys
