# SPDX-License-Identifier: MIT
"""One side of the Python rows: `py_driver.py shoal URL` or `py_driver.py redis SOCKET`. Answers "OPERATION COUNT" lines
with nanoseconds a call; get through execute_command, hot through r.get(), aio awaited."""

from __future__ import annotations

import asyncio
import sys
import time

KEY, VALUE = b"key:000000000007", b"0123456789abcdef0123456789abcdef"


def open_clients(side: str, address: str):
    if side == "shoal":
        import shoal
        import shoal.asyncio

        return shoal.from_url(address), shoal.asyncio.from_url(address)
    import redis
    import redis.asyncio

    return redis.Redis(unix_socket_path=address), redis.asyncio.Redis(unix_socket_path=address)


def get(client, count: int) -> None:
    call = client.execute_command
    for _ in range(count):
        call("GET", KEY)


def hot(client, count: int) -> None:
    call = client.get
    for _ in range(count):
        call(KEY)


async def aio(client, count: int) -> None:
    call = client.execute_command
    for _ in range(count):
        await call("GET", KEY)


def main() -> None:
    side, address = sys.argv[1:3]
    client, async_client = open_clients(side, address)
    client.set(KEY, VALUE)
    loop = asyncio.new_event_loop()
    operations = {
        "get": lambda count: get(client, count),
        "hot": lambda count: hot(client, count),
        "aio": lambda count: loop.run_until_complete(aio(async_client, count)),
    }
    print("ready", flush=True)
    for line in sys.stdin:
        name, count = line.split()
        begin = time.perf_counter_ns()
        operations[name](int(count))
        print((time.perf_counter_ns() - begin) / int(count), flush=True)
    loop.run_until_complete(async_client.aclose())


if __name__ == "__main__":
    main()
