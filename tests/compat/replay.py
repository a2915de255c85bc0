# SPDX-License-Identifier: MIT
"""Replays random command sequences on Shoal and on a real redis-server and compares every reply.

    python3 replay.py --driver build/dev/bin/shoal_compat_driver [--seed N] [--sequences N] [--length N]

Replies must be equal with their types, error texts included; where Redis promises no order they are compared as
multisets, and what is random by its size and origin. A difference prints the seed and the commands that lead to it.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from typing import Any

from commands import Generator, Words
from resp import NULL, Kind, RedisEnd, ShoalEnd

UNORDERED = {b"SMEMBERS", b"SDIFF", b"SINTER", b"SUNION", b"HKEYS", b"HVALS", b"KEYS"}
PAIRS = {b"HGETALL"}
SORTS = {b"SORT", b"SORT_RO"}
SCANS = {b"SSCAN": 1, b"HSCAN": 2, b"ZSCAN": 2}
RANDOM = {b"SRANDMEMBER", b"HRANDFIELD", b"ZRANDMEMBER", b"RANDOMKEY", b"MEMORY", b"COMMAND"}
ALONE = {b"SPOP", b"SCAN"}
# Of the session, of the server, or of the clock: the ends differ by their nature.
NOT_REPLAYED = set(b"client|id client|info client|setinfo command|list hello info reset time command".split())
SEQUENCES_FOR_ALL = 150  # enough, from this seed on, that every row of commands.py comes; they are not run
# What a string is encoded as depends in Redis on how it came about (docs/COMMANDS.md).
OF_STRINGS = {b"int", b"embstr", b"raw"}
EXEC_FAILED = (NULL, Kind(("null array", None)))  # RESP3, RESP2
CLOCKS = {b"TTL": 2, b"PTTL": 2000, b"EXPIRETIME": 2, b"PEXPIRETIME": 2000}


def in_pairs(items: list) -> list:
    return list(zip(items[::2], items[1::2], strict=False))


def shape(reply: Any) -> Any:
    """What of a random reply is not random."""
    if isinstance(reply, list):
        return [shape(item) for item in reply]
    if isinstance(reply, Kind):
        return reply if reply[0] == "error" else (reply[0], None)
    return type(reply).__name__


def sorted_at_will(words: Words, reply: list) -> Any:
    """Where SORT leaves the order open: a set that is not sorted, texts of other keys, texts that are equal up to a
    zero byte. Which of them a LIMIT leaves is open, too."""
    options = [word.upper() for word in words[2:]]
    by = options[options.index(b"BY") + 1] if b"BY" in options[:-1] else None
    alpha = b"ALPHA" in options
    is_open = by is not None and (alpha or b"*" not in by)
    is_open |= alpha and any(isinstance(item, bytes) and (not item or b"\0" in item) for item in reply)
    if not is_open:
        return reply
    return len(reply) if b"LIMIT" in options else sorted(reply, key=repr)


def without_minus_zero(reply: Any) -> Any:
    """A score of minus zero is 0 in a small sorted set of Redis, -0 in a large one, and 0 here (docs/COMMANDS.md)."""
    if isinstance(reply, list):
        return [without_minus_zero(item) for item in reply]
    return b"0" if reply == b"-0" else reply


def comparable(words: Words, reply: Any) -> Any:
    name = words[0].upper()
    if name.startswith((b"Z", b"BZ")):
        reply = without_minus_zero(reply)
    if name == b"LPOS" and b"-9223372036854775808" in words[3:]:
        return None  # Redis 7.0 overflows (docs/COMMANDS.md)
    if isinstance(reply, Kind) and reply[0] == "map":
        return Kind(("map", sorted(reply[1], key=repr)))
    if isinstance(reply, Kind) and reply[0] == "set":
        return Kind(("set", sorted(reply[1], key=repr)))
    if name == b"OBJECT" and reply in OF_STRINGS:
        return "of a string"
    if not isinstance(reply, list):
        return shape(reply) if name in RANDOM else reply
    if name in UNORDERED:
        return sorted(reply, key=repr)
    if name in SORTS:
        return sorted_at_will(words, reply)
    if name in PAIRS:
        return sorted(in_pairs(reply))
    if name in SCANS and len(reply) == 2:
        return [reply[0], sorted(in_pairs(reply[1]) if SCANS[name] == 2 else reply[1], key=repr)]
    return shape(reply) if name in RANDOM else reply


def equal(words: Words, expected: Any, actual: Any) -> bool:
    slack = CLOCKS.get(words[0].upper())
    if slack and isinstance(expected, int) and isinstance(actual, int) and expected > 0:
        return abs(expected - actual) <= slack
    return comparable(words, expected) == comparable(words, actual)


def equal_in_exec(queued: list[Words], expected: Any, actual: Any) -> bool:
    if not isinstance(expected, list) or not isinstance(actual, list) or len(expected) != len(actual):
        return expected == actual
    return all(equal(words, a, b) for words, a, b in zip(queued, expected, actual, strict=False))


class Difference(Exception):
    pass


class Replay:
    def __init__(self, redis: RedisEnd, shoal: ShoalEnd) -> None:
        self.redis, self.shoal = redis, shoal

    def run(self, commands: list[Words], protocol: int, key_count: int) -> None:
        for end in (self.redis, self.shoal):
            end.one(b"DISCARD")
            end.one(b"UNWATCH")
            end.one(b"HELLO", b"%d" % protocol)
            end.one(b"SELECT", b"0")
            end.one(b"FLUSHALL")
        queued: list[Words] | None = None
        at = 0
        while at < len(commands):
            end = at + 1
            if commands[at][0].upper() not in ALONE:
                while end < len(commands) and end < at + 64 and commands[end][0].upper() not in ALONE:
                    end += 1
                expected, actual = self.redis.run(commands[at:end]), self.shoal.run(commands[at:end])
                for i, (a, b) in enumerate(zip(expected, actual, strict=False)):
                    words = commands[at + i]
                    queued = self.compare(words, a, b, queued, at + i)
            elif commands[at][0].upper() == b"SPOP":
                self.pop(commands[at], at)
            else:
                self.scan(commands[at], at)
            at = end
        self.compare_state(key_count, len(commands))

    def compare(self, words: Words, a: Any, b: Any, queued: list[Words] | None, at: int) -> list[Words] | None:
        name = words[0].upper()
        same = equal_in_exec(queued or [], a, b) if name == b"EXEC" else equal(words, a, b)
        if not same:
            raise Difference(at, words, a, b)
        if name == b"MULTI" and queued is None:
            return []
        if name in (b"EXEC", b"DISCARD") and isinstance(a, Kind) and a[0] == "error" and b"without" in a[1]:
            return queued
        if name == b"EXEC" or (name == b"DISCARD" and len(words) == 1):
            return None
        if queued is not None and a == Kind(("simple", b"QUEUED")):
            queued.append(words)
        return queued

    def never_generated(self) -> list[bytes]:
        """Commands of the table that no row of commands.py makes; of fixed seeds, so that no luck is in it."""
        made: set[bytes] = set()
        for seed in range(SEQUENCES_FOR_ALL):
            for words in Generator(seed).sequence(400):
                made |= {words[0].lower(), b"|".join(words[:2]).lower()}
        return sorted(set(self.shoal.one(b"COMMAND", b"LIST")) - made - NOT_REPLAYED)

    def pop(self, words: Words, at: int) -> None:
        """What Shoal chose is taken from Redis too."""
        before = self.redis.one(b"SMEMBERS", words[1]) if len(words) > 1 else None
        actual = self.shoal.one(*words)
        if (isinstance(actual, Kind) and actual[0] == "error") or actual is NULL:
            expected = self.redis.one(*words)
            if expected != actual:
                raise Difference(at, words, expected, actual)
            return
        popped = actual[1] if isinstance(actual, Kind) else actual if isinstance(actual, list) else [actual]
        members = before[1] if isinstance(before, Kind) else before
        wanted = min(int(words[2]) if len(words) > 2 else 1, len(members))
        if len(set(popped)) != wanted or not set(popped) <= set(members):
            raise Difference(at, words, members, actual)
        if popped:
            self.redis.one(b"SREM", words[1], *popped)

    def scan(self, words: Words, at: int) -> None:
        """All of it: the cursors are each side's own."""
        found = []
        for end in (self.redis, self.shoal):
            keys: list[bytes] = []
            reply = end.one(*words)
            while isinstance(reply, list):
                keys += reply[1]
                if reply[0] == b"0":
                    break
                reply = end.one(words[0], reply[0], *words[2:])
            found.append(sorted(keys) if isinstance(reply, list) else reply)
        if found[0] != found[1]:
            raise Difference(at, words, *found)

    def compare_state(self, key_count: int, at: int) -> None:
        commands: list[Words] = [[b"DISCARD"], [b"DBSIZE"]]
        for number in range(key_count):
            key = b"k%d" % number
            commands += [
                [b"TYPE", key],
                [b"GET", key],
                [b"LRANGE", key, b"0", b"-1"],
                [b"HGETALL", key],
                [b"PTTL", key],
            ]
            commands += [[b"SMEMBERS", key], [b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]]
        for words, a, b in zip(commands, self.redis.run(commands), self.shoal.run(commands), strict=False):
            if not equal(words, a, b) and words != [b"DISCARD"]:
                raise Difference(at, words, a, b)
        checked = self.shoal.one(b"SHOAL.CHECK")
        if checked != Kind(("simple", b"OK")):
            raise Difference(at, [b"SHOAL.CHECK"], "OK", checked)


def short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) < 600 else f"{text[:500]} ... {len(text)} characters"


def smaller(replay: Replay, commands: list[Words], protocol: int, key_count: int) -> list[Words]:
    """Takes pieces away as long as a difference remains."""
    step = len(commands) // 2
    while step >= 1:
        at = 0
        while at < len(commands):
            rest = commands[:at] + commands[at + step :]
            try:
                replay.run(rest, protocol, key_count)
                at += step
            except Difference:
                commands = rest
        step //= 2
    return commands


def failed_in_vain(difference: Difference, repeated: Callable[[], None]) -> bool:
    """An EXEC that fails since a key of the watched one's hash was born (docs/COMMANDS.md): it does not fail in another
    segment, which hashes otherwise."""
    _, words, expected, actual = difference.args
    if words[0].upper() != b"EXEC" or actual not in EXEC_FAILED or not isinstance(expected, list):
        return False
    try:
        repeated()
    except (Difference, EOFError):
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", required=True)
    parser.add_argument("--seed", type=int, default=None, help="of the first sequence; the next ones follow")
    parser.add_argument("--sequences", type=int, default=40)
    parser.add_argument("--length", type=int, default=400)
    arguments = parser.parse_args()
    first = arguments.seed if arguments.seed is not None else int.from_bytes(__import__("os").urandom(4), "big")
    redis = RedisEnd()
    shoal = ShoalEnd(arguments.driver)
    try:
        version = redis.version()
        print(f"redis-server {version}, sequences {first}..{first + arguments.sequences - 1}", flush=True)
        if not version.startswith("7.0."):
            print("the replay needs redis-server 7.0")
            return 1
        replay = Replay(redis, shoal)
        total = 0
        in_vain = False
        for seed in range(first, first + arguments.sequences):
            generator = Generator(seed)
            protocol = 2 + seed % 2
            commands = generator.sequence(arguments.length)
            total += len(commands)
            try:
                replay.run(commands, protocol, generator.key_count)
            except Difference as difference:

                def repeated(commands=commands, protocol=protocol, key_count=generator.key_count) -> None:
                    with contextlib.closing(ShoalEnd(arguments.driver)) as other:
                        Replay(redis, other).run(commands, protocol, key_count)

                if not in_vain and failed_in_vain(difference, repeated):
                    in_vain = True  # a second one in so few sequences would be no chance
                    print(f"seed {seed}: an EXEC failed in vain, for a key of the watched one's hash", flush=True)
                    continue
                at, words, expected, actual = difference.args
                print(f"DIFFERENCE seed {seed} (RESP{protocol}) command {at}: {short(words)}")
                print(f"  redis {short(expected)}\n  shoal {short(actual)}")
                for words in smaller(replay, commands[: at + 1], protocol, generator.key_count):
                    print("   ", short(words))
                return 1
            except EOFError:
                print(f"DIFFERENCE seed {seed} (RESP{protocol}): Shoal ended with {shoal.process.poll()}")
                return 1
        print(f"{total} commands: the same replies")
        forgotten = replay.never_generated()
        if forgotten:
            print(f"never generated: {b', '.join(forgotten).decode()}: give them a row in commands.py")
            return 1
        return 0
    finally:
        redis.close()
        shoal.close()


if __name__ == "__main__":
    sys.exit(main())
