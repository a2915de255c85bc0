# SPDX-License-Identifier: MIT
"""Shoal beside Redis over a unix socket, in one run: at least seven interleaved pairs a row; the ratio's median, minimum
and maximum. 16-byte keys, 32-byte values, a million keys where it applies. Method and figures: bench/README.md."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from report import Goal, Row, show
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
        limit = Row("get_cpp_limit", "C++ GET against the same table, private, no locks", "ns/op", Goal(1.5, at_most=True))
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


FAMILIES: dict[str, Callable[[], Iterator[Row]]] = {"cpp": cpp_rows, "memory": memory_rows}


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev bench core", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as a JSON list")
    parser.add_argument("--only", choices=sorted(FAMILIES), action="append", help="only this family of rows")
    options = parser.parse_args()
    chosen = options.only or list(FAMILIES)
    return show((row for family in chosen for row in FAMILIES[family]()), options.json)


if __name__ == "__main__":
    sys.exit(main())
