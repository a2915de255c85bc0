# SPDX-License-Identifier: MIT
"""Shoal beside Redis over a unix socket, in one run: seven interleaved pairs a row, but one in requeue, where Redis
takes 100 s, and in the memory rows, which do not vary; the ratio's median, minimum and maximum. 16-byte keys, 32-byte
values, a million keys where it applies."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from report import PAIRS, Goal, Row, show
from sides import DRIVER, Driver, Redis, Segment

KEYS = 1_000_000


def cpp_rows() -> Iterator[Row]:
    with ExitStack() as stack:
        redis = stack.enter_context(Redis())
        segment = stack.enter_context(Segment("cpp"))
        ours = stack.enter_context(Driver(DRIVER, "shoal", segment.url, KEYS))
        theirs = stack.enter_context(Driver(DRIVER, "redis", redis.socket, KEYS))
        bare = stack.enter_context(Driver(DRIVER, "private", segment.name, KEYS))

        def row(name: str, what: str, goal: Goal, operation: str, peer: Driver, peer_operation: str, count: int) -> Row:
            one = Row(name, what, "ns/op", goal)
            return one.measure(lambda: ours.run(operation, 500_000), lambda: peer.run(peer_operation, count))

        yield row("get_cpp", "C++ GET against one round trip", Goal(150), "get", theirs, "get", 20_000)
        yield row("set_cpp", "C++ SET against one round trip", Goal(100), "set", theirs, "set", 20_000)
        yield row("get_cpp_p64", "C++ GET against a pipeline of 64", Goal(8), "get", theirs, "get64", 200_000)
        yield row("set_cpp_p64", "C++ SET against a pipeline of 64", Goal(8), "set", theirs, "set64", 200_000)
        limit = Row(
            "get_cpp_limit", "C++ GET against the same table, private, no locks", "ns/op", Goal(1.5, at_most=True)
        )
        yield limit.measure(lambda: ours.run("get", 500_000), lambda: bare.run("get", 500_000))

        second = stack.enter_context(Driver(DRIVER, "shoal", segment.url, KEYS // 10, KEYS))

        def two() -> float:
            for driver in (ours, second):
                driver.start("set", 500_000)
            return sum(1e9 / driver.finish() for driver in (ours, second))

        both = Row("set_cpp_two", "C++ SET from two processes against one", "op/s", Goal(1.7), more_is_better=True)
        yield both.measure(two, lambda: 1e9 / ours.run("set", 500_000))


def memory_rows() -> Iterator[Row]:
    from memory import fill_redis, fill_shoal

    for name, ttl, goal in (("mem_key", False, 0.6), ("mem_key_ttl", True, 0.5)):
        what = "bytes a key, all of the segment" + (", with a TTL" if ttl else "")
        row = Row(name, what, "B/key", Goal(goal, at_most=True))
        yield row.measure(lambda ttl=ttl: fill_shoal(KEYS, ttl), lambda ttl=ttl: fill_redis(KEYS, ttl), pairs=1)


def python_rows() -> Iterator[Row]:
    with ExitStack() as stack:
        redis = stack.enter_context(Redis())
        segment = stack.enter_context(Segment("python"))
        ours = stack.enter_context(Driver.python("py_driver.py", "shoal", segment.url))
        theirs = stack.enter_context(Driver.python("py_driver.py", "redis", redis.socket))
        for name, what, operation, goal in (
            ("get_py", "execute_command(GET), sync, against redis-py", "get", 25),
            ("get_py_hot", "r.get(), sync, against redis-py", "hot", 100),
            ("get_aio", "execute_command(GET), awaited, against redis-py", "aio", 50),
        ):
            row = Row(name, what, "ns/call", Goal(goal))
            yield row.measure(lambda o=operation: ours.run(o, 200_000), lambda o=operation: theirs.run(o, 10_000))


def pubsub_rows() -> Iterator[Row]:
    with ExitStack() as stack:
        redis = stack.enter_context(Redis())
        segment = stack.enter_context(Segment("pubsub"))
        ours = stack.enter_context(Driver.python("pubsub_driver.py", "shoal", segment.url))
        theirs = stack.enter_context(Driver.python("pubsub_driver.py", "redis", redis.socket))
        row = Row("pubsub_aio_latency", "publish to coroutine, 1 message/ms, p50, redis-py's API", "ns", Goal(4))
        yield row.measure(lambda: ours.run("latency", 1000), lambda: theirs.run("latency", 1000))
        for name, what, operation, peer_operation, goal, counts in (
            ("pubsub_aio_rate", "messages to one subscriber, awaited publishes", "rate", "rate", 30, (100_000, 10_000)),
            ("pubsub_aio_rate_p100", "against publishes pipelined by 100", "rate100", "rate100", 5, (100_000, 50_000)),
            ("channel_aio_rate", "native channel API, against awaited", "native", "rate", 60, (100_000, 10_000)),
        ):
            row = Row(name, what, "msg/s", Goal(goal), more_is_better=True)
            yield row.measure(
                lambda o=operation, n=counts[0]: ours.run(o, n), lambda o=peer_operation, n=counts[1]: theirs.run(o, n)
            )


def celery_rows() -> Iterator[Row]:
    with ExitStack() as stack:
        redis = stack.enter_context(Redis())
        segment = stack.enter_context(Segment("celery", options="max_size=1GiB"))
        ours = stack.enter_context(Driver.python("celery_driver.py", segment.url))
        theirs = stack.enter_context(Driver.python("celery_driver.py", f"redis+socket://{redis.socket}"))

        def row(name: str, what: str, unit: str, goal: float, operation: str, count: int, **more: object) -> Row:
            pairs = more.pop("pairs", PAIRS)
            one = Row(name, what, unit, Goal(goal), **more)
            return one.measure(lambda: ours.run(operation, count), lambda: theirs.run(operation, count), pairs)

        yield row("celery_roundtrip", "no-op delay().get(), prefork -c 1, p50", "ms", 2.5, "roundtrip", 300)
        yield row("celery_enqueue", "delay() alone", "us", 2, "enqueue", 1000)
        yield row("celery_drain", "a full queue drained, prefork -c 1", "task/s", 4, "drain", 2000, more_is_better=True)
        # Redis takes about 100 s to give the task back, so one pair must do.
        what = "SIGKILL of a worker to the task's next start, visibility_timeout=10"
        yield row("requeue", what, "ms", 50, "requeue", 1, pairs=1)


FAMILIES: dict[str, Callable[[], Iterator[Row]]] = {
    "cpp": cpp_rows,
    "python": python_rows,
    "pubsub": pubsub_rows,
    "celery": celery_rows,
    "memory": memory_rows,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev bench core", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as a JSON list")
    parser.add_argument("--only", choices=sorted(FAMILIES), action="append", help="only this family of rows")
    options = parser.parse_args()
    chosen = options.only or list(FAMILIES)
    return show((row for family in chosen for row in FAMILIES[family]()), options.json)


if __name__ == "__main__":
    sys.exit(main())
