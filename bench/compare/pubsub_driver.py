# SPDX-License-Identifier: MIT
"""One side of the pub/sub rows: this process subscribes on asyncio, a child of it publishes 64-byte messages.

`pubsub_driver.py shoal|redis ADDRESS` answers "OPERATION COUNT" lines:
  latency   one message a millisecond: p50 from publish to coroutine, in nanoseconds, through redis-py's API
  rate      awaited publishes: messages a second that arrived
  rate100   publishes pipelined by 100
  native    awaited publishes, read through Shoal's channel API
The publisher never has more than WINDOW messages under way (on both sides), so nothing is lost;
the driver checks it."""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import time

CHANNEL, BYTES, WINDOW = "bench", 64, 2000


def open_client(side: str, address: str):
    if side == "shoal":
        import shoal.asyncio

        return shoal.asyncio.from_url(address)
    import redis.asyncio

    return redis.asyncio.Redis(unix_socket_path=address)


def message() -> bytes:
    return b"%020d" % time.monotonic_ns() + b"." * (BYTES - 20)


async def publish(client, operation: str, count: int, received) -> None:
    if operation == "latency":
        for _ in range(count):
            await asyncio.sleep(0.001)
            await client.publish(CHANNEL, message())
        return
    sent = 0
    while sent < count:
        while sent - received.value > WINDOW:
            await asyncio.sleep(0.0002)
        if operation == "rate100":
            pipe = client.pipeline(transaction=False)
            for _ in range(100):
                pipe.publish(CHANNEL, message())
            await pipe.execute()
            sent += 100
        elif operation == "native":
            channel = client.channel(CHANNEL)
            for _ in range(100):
                await channel.publish(message())
            sent += 100
        else:
            for _ in range(100):
                await client.publish(CHANNEL, message())
            sent += 100


def publisher(side: str, address: str, orders, received) -> None:
    async def serve() -> None:
        client = open_client(side, address)
        while (order := await asyncio.to_thread(orders.recv)) is not None:
            await publish(client, *order, received)
        await client.aclose()

    asyncio.run(serve())


async def through_pubsub(client, count: int, received, start) -> tuple[list[int], float, float]:
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(CHANNEL)
    await pubsub.get_message(timeout=1)
    latencies, got = [], 0
    start()
    async for item in pubsub.listen():
        now = time.monotonic_ns()
        if item["type"] != "message":
            raise RuntimeError(f"lost messages: {item}")
        latencies.append(now - int(item["data"][:20]))
        got += 1
        if got % 100 == 0 or got == count:
            received.value = got
        if got == count:
            break
    await pubsub.unsubscribe()
    await pubsub.aclose()
    return latencies


async def through_channel(client, count: int, received, start) -> list[int]:
    import shoal

    latencies, got = [], 0
    async with client.channel(CHANNEL).subscribe() as subscription:
        start()
        async for item in subscription:
            if isinstance(item, shoal.Gap):
                raise RuntimeError(f"lost messages: {item}")
            latencies.append(time.monotonic_ns() - int(item.data[:20]))
            got += 1
            if got % 100 == 0 or got == count:
                received.value = got
            if got == count:
                break
    return latencies


async def serve(side: str, address: str, orders, received) -> None:
    client = open_client(side, address)
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        operation, count = line.split()[0], int(line.split()[1])
        received.value = 0
        begin = 0

        def start(operation: str = operation, count: int = count) -> None:
            nonlocal begin
            begin = time.perf_counter_ns()
            orders.send((operation, count))

        read = through_channel if operation == "native" else through_pubsub
        latencies = await read(client, count, received, start)
        seconds = (time.perf_counter_ns() - begin) / 1e9
        print(statistics.median(latencies) if operation == "latency" else count / seconds, flush=True)
    orders.send(None)
    await client.aclose()


def main() -> None:
    side, address = sys.argv[1:3]
    context = multiprocessing.get_context("spawn")
    orders, far_end = context.Pipe()
    received = context.Value("q", 0, lock=False)
    child = context.Process(target=publisher, args=(side, address, far_end, received), daemon=True)
    child.start()
    asyncio.run(serve(side, address, orders, received))
    child.join(10)


if __name__ == "__main__":
    main()
