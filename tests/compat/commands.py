# SPDX-License-Identifier: MIT
"""Random commands: few keys, few fields, all kinds of values, so that they meet, collide and have the wrong type."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

Words = list[bytes]


def heard(words: Words) -> bool:
    """Whether Redis tells WATCHers of what this changes. A BITFIELD creates or lengthens its key first, and says
    nothing if its writes then fail for an overflow; Shoal does."""
    return words[0].upper() != b"BITFIELD" or b"FAIL" not in words


class Generator:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.key_count = self.random.choice([3, 6, 12])
        self.member_count = self.random.choice([4, 12, 60, 300])
        families = [STRINGS, BITS, GENERIC, LISTS, HASHES, SETS, SORTED_SETS, SORTS, SESSION]
        self.families = families if self.random.random() < 0.4 else self.random.sample(families, 2)
        self.big = self.random.random() < 0.25
        # Members of one score each, so that ranges by member are defined.
        self.one_score = self.random.random() < 0.3
        self.inside = False
        self.ttls = 0

    def sequence(self, length: int) -> list[Words]:
        commands: list[Words] = []
        while len(commands) < length:
            roll = self.random.random()
            if roll < 0.02:
                commands += self.transaction()
            elif roll < 0.03:
                commands += [[b"WATCH", self.key()], self.command_heard(), *self.transaction()]
            elif roll < 0.08:
                commands += self.watched()
            else:
                command = self.command()
                commands += [command] if heard(command) else [[b"UNWATCH"], command]
        return commands

    def transaction(self) -> list[Words]:
        self.inside = True
        body = [self.command() for _ in range(self.random.randrange(6))]
        self.inside = False
        if self.random.random() < 0.1:
            body.append(self.random.choice([[b"GET"], [b"NOSUCH", b"x"], [b"MULTI"], [b"LPOP", b"a", b"1", b"2"]]))
        return [[b"MULTI"], *body, [self.random.choice([b"EXEC"] * 5 + [b"DISCARD"])]]

    def watched(self) -> list[Words]:
        """Whether a command that changes nothing, or not this key, counts as a change."""
        command = self.command_heard()
        keys = [word for word in command[1:] if word[:1] == b"k" and word[1:].isdigit()]
        return [[b"WATCH", self.random.choice(keys or [self.key()])], command, [b"MULTI"], [b"EXEC"]]

    def command_heard(self) -> Words:
        while not heard(command := self.command()):
            pass
        return command

    def command(self) -> Words:
        table = self.random.choice(self.families)
        make = self.random.choice(table)
        words = [word if isinstance(word, bytes) else str(word).encode() for word in make(self)]
        if self.random.random() < 0.02:
            return self.odd_command()
        roll = self.random.random()
        if words[0].endswith(b"SCAN"):  # a cursor that SCAN did not give is not defined
            return words
        if words[0] in BLOCKING:  # another time-out might be for ever
            return words
        if roll < 0.005 and len(words) > 1:
            words.pop(self.random.randrange(1, len(words)))
        elif roll < 0.01:
            words.insert(self.random.randrange(1, len(words) + 1), self.value())
        elif roll < 0.02 and len(words) > 2:
            words[self.random.randrange(2, len(words))] = self.random.choice(
                [b"", b"abc", b"-1", b"0", b"9" * 25, b"1.5"]
            )
        if self.random.random() < 0.05:
            words[0] = words[0].lower()
        return words

    def odd_command(self) -> Words:
        """Any command with any number of arguments, most of them senseless."""
        name = self.random.choice(ODD)
        makers = [self.key, self.key, self.key, self.member, lambda: self.random.choice(OPTION_WORDS)]
        if name in TIMED:  # a time that comes while both are at work would not come to both at once
            makers += [lambda: b"%d" % self.pick(0, -1, 100_000, 3_000_000_000)]
        else:
            makers += [self.value, lambda: b"%d" % self.integer(), lambda: self.random.choice(OPTION_WORDS)]
        return [
            name,
            *[self.random.choice(makers)() for _ in range(self.random.choice([0, 1, 1, 2, 2, 3, 3, 4, 5, 6]))],
        ]

    # ---- Parts ----

    def pick(self, *choices):
        return self.random.choice(choices)

    def some(self, make: Callable[[], bytes], most: int = 4) -> list:
        return [make() for _ in range(self.random.randint(1, most))]

    def maybe(self, *words, chance: float = 0.3) -> list:
        return list(words) if self.random.random() < chance else []

    def key(self) -> bytes:
        return b"k%d" % self.random.randrange(self.key_count)

    def keys(self, most: int = 3) -> list:
        return self.some(self.key, most)

    def member(self) -> bytes:
        if self.random.random() < 0.02:
            return self.pick(b"", b"\x00\xff", b"*", b"[a]", b"Longer than eight bytes")
        return b"m%d" % self.random.randrange(self.member_count)

    def value(self) -> bytes:
        roll = self.random.random()
        if roll < 0.35:
            return b"%d" % self.random.randint(-5, 20)
        if roll < 0.7:
            return self.member()
        if roll < 0.8:
            return self.pick(
                b"", b"1.5", b"-0.25", b"3e2", b"9223372036854775807", b"-9223372036854775808", b" 1", b"inf"
            )
        if self.big and roll < 0.9:
            return bytes([self.random.randrange(97, 123)]) * self.random.choice([200, 511, 513, 1100, 3000, 70_000])
        return bytes(self.random.randrange(256) for _ in range(self.random.randrange(40)))

    def integer(self) -> int:
        return self.pick(0, 1, 2, 3, -1, -2, -3, 5, 10, -10, 100, self.random.randint(-400, 400))

    def count(self) -> int:
        return self.pick(0, 1, 1, 2, 3, 10, 1000)

    def score(self) -> str | int:
        if self.one_score:
            return 1  # what a plain set's members count as
        return self.pick(
            0, 1, 2, 3, -1, 5, 7, 0.5, 1.5, -2.25, 1e10, "inf", "-inf", "+inf", self.random.randint(-50, 50)
        )

    def score_limit(self):
        if self.random.random() < 0.05:
            # Not 1e999: Redis 7.0 keeps its ERANGE, and refuses the next SORT for it.
            return self.pick("", "(", " ", " 1", "( 1", "1 ", "\t2", "0x2", "1\0x", "nan", "((1")
        return self.pick("-inf", "+inf", self.score(), f"({self.score()}", 0, 3)

    def lex_limit(self) -> bytes:
        return self.pick(b"-", b"+", b"[" + self.member(), b"(" + self.member(), b"[", b"(m")

    def bit_offset(self):
        return self.pick(0, 1, 7, 8, 9, 63, 100, 1000, 17_000, 600_000, self.random.randrange(200), -1, 2**32, "x")

    def unit(self) -> str:
        return self.pick("BIT", "BYTE", "bit", "x")

    def field_type(self) -> str:
        return self.pick("u8", "i8", "u1", "i1", "u5", "i13", "i64", "u63", "i64", "u32", "u64", "i65", "x", "u0")

    def field_offset(self):
        return self.pick(0, 1, 3, 8, 100, "#0", "#1", "#7", 17_000, "#70000", -1, "#-1", "x", "#")

    def field_value(self):
        # Not -(2**63): Redis's own overflow makes it the largest number of a narrow signed field, not the smallest.
        return self.pick(0, 1, -1, 2, 127, 128, 255, 256, -128, -129, 2**62, 2**63 - 1, self.integer(), "x")

    def odd_time(self):
        return self.pick(0, -1, 100_000, "x", "9" * 19, 2**62, -(2**63), "1.5", "")

    def expire_flag(self) -> bytes:
        return self.pick(b"NX", b"XX", b"nx", b"x")

    def new_ttl(self) -> int:
        """For GT and LT: two equal ones differ by what the clock of one end moved in between."""
        self.ttls += 2
        return self.ttl() + self.ttls

    def ttl(self) -> int:
        return self.pick(100, 1000, 5000, 100_000)

    def option(self) -> list:
        """Nothing that would set an option of the server's to something new, even with a value of command()'s."""
        return self.pick(
            ["timeout", self.pick(0, 0, "00", "x", -1, 2**31)],
            [self.pick("appendonly", "APPENDONLY"), self.pick("no", "NO", "x")],
            ["save", self.pick("", "x", "3600", "0 1", "60 -1", " ")],
            ["notify-keyspace-events", self.pick("", "Q", "KQ")],
            ["maxmemory-policy", self.pick("noeviction", "NOEVICTION", "lru")],
            ["proto-max-bulk-len", self.pick("512mb", "512MB", 2**29, "524288kb", "b", "1mbx", 2**64)],
            ["no-such-option", "x"],
        )

    def sortable(self) -> bytes:
        return self.pick(b"%d" % self.random.randint(-3, 12), b"%d" % self.random.randint(0, 5), b"1.5", b"-2e1")

    def pattern(self) -> bytes:
        return self.pick(b"k*", b"k*", b"k*", b"k*->m1", b"k*->m2", b"*", b"x*", b"k*->", b"nostar", b"")

    def glob(self) -> bytes:
        return self.pick(b"*", b"k*", b"m1*", b"m?", b"[km]1", b"*2", b"m[0-5]*", b"nothing", b"")


STRINGS = [
    lambda g: ["SET", g.key(), g.value()],
    lambda g: [
        "SET",
        g.key(),
        g.value(),
        *g.maybe(g.pick("NX", "XX")),
        *g.maybe("GET"),
        *g.maybe(g.pick("KEEPTTL", "PX"), 100_000),
    ],
    lambda g: ["SETNX", g.key(), g.value()],
    lambda g: ["SETEX", g.key(), g.ttl(), g.value()],
    lambda g: ["PSETEX", g.key(), g.ttl() * 1000, g.value()],
    lambda g: ["GET", g.key()],
    lambda g: ["GETSET", g.key(), g.value()],
    lambda g: ["GETDEL", g.key()],
    lambda g: ["GETEX", g.key(), *g.maybe(g.pick("PERSIST", "EX"), *g.maybe(1000))],
    lambda g: ["APPEND", g.key(), g.value()],
    lambda g: ["STRLEN", g.key()],
    lambda g: ["INCR", g.key()],
    lambda g: ["DECR", g.key()],
    lambda g: ["INCRBY", g.key(), g.integer()],
    lambda g: ["DECRBY", g.key(), g.integer()],
    lambda g: ["INCRBYFLOAT", g.key(), g.pick("0.5", "1.25", "-3", "1e3", "x")],
    lambda g: ["GETRANGE", g.key(), g.integer(), g.integer()],
    lambda g: ["SETRANGE", g.key(), g.pick(0, 1, 5, 30, -1), g.value()],
    lambda g: ["MGET", *g.keys(4)],
    lambda g: ["MSET", *[word for _ in range(g.pick(1, 2, 3)) for word in (g.key(), g.value())]],
    lambda g: ["MSETNX", *[word for _ in range(g.pick(1, 2)) for word in (g.key(), g.value())]],
]

BITS = [
    lambda g: ["SETBIT", g.key(), g.bit_offset(), g.pick(0, 1, 1, 1, 2, -1)],
    lambda g: ["GETBIT", g.key(), g.bit_offset()],
    lambda g: ["BITCOUNT", g.key(), *g.maybe(g.integer(), *g.maybe(g.integer(), *g.maybe(g.unit())), chance=0.6)],
    lambda g: ["BITCOUNT", g.key(), g.integer(), g.integer(), g.unit()],
    lambda g: [
        "BITPOS",
        g.key(),
        g.pick(0, 1, 1, 0, 2),
        *g.maybe(g.integer(), *g.maybe(g.integer(), *g.maybe(g.unit(), chance=0.5), chance=0.7), chance=0.6),
    ],
    lambda g: ["BITOP", g.pick("AND", "OR", "XOR", "not", "NAND"), g.key(), *g.keys()],
    lambda g: ["BITOP", "NOT", g.key(), g.key()],
    lambda g: ["BITFIELD", g.key(), *field_operations(g)],
    lambda g: ["BITFIELD_RO", g.key(), *g.pick(["GET", g.field_type(), g.field_offset()], field_operations(g))],
    lambda g: ["SET", g.key(), g.value()],
    lambda g: ["SETRANGE", g.key(), g.pick(0, 1, 2000, 2047, 2100, 70_000), g.value()],
    lambda g: ["GET", g.key()],
    lambda g: ["APPEND", g.key(), g.value()],
    lambda g: ["EXPIRE", g.key(), g.ttl()],
]

GENERIC = [
    lambda g: ["DEL", *g.keys()],
    lambda g: ["UNLINK", *g.keys()],
    lambda g: ["EXISTS", *g.keys()],
    lambda g: ["TOUCH", *g.keys()],
    lambda g: ["TYPE", g.key()],
    lambda g: ["RENAME", g.key(), g.key()],
    lambda g: ["RENAMENX", g.key(), g.key()],
    lambda g: ["EXPIRE", g.key(), g.new_ttl(), *g.maybe(g.pick("NX", "XX", "GT", "LT"))],
    lambda g: ["PEXPIRE", g.key(), g.ttl() * 1000],
    lambda g: ["EXPIRE", g.key(), g.pick(-1, 0)],
    lambda g: ["EXPIREAT", g.key(), g.pick(1, 4_000_000_000)],
    lambda g: ["PEXPIREAT", g.key(), g.pick(1, 4_000_000_000_000)],
    lambda g: ["EXPIRETIME", g.key()],
    lambda g: ["PERSIST", g.key()],
    lambda g: ["COPY", g.key(), g.key(), *g.maybe(*g.pick(["REPLACE"], ["DB", g.pick(0, 1, 15, 16, -1, 2**31, "x")]))],
    lambda g: ["COPY", g.key(), g.key(), *g.maybe("DB", 0), "REPLACE"],
    lambda g: ["MOVE", g.key(), g.pick(0, 1, 1, 1, 16, -1, -(2**31) - 1, "x")],
    lambda g: ["SELECT", g.pick(0, 0, 0, 1, 16, 2**63 - 1, "x")],
    lambda g: ["OBJECT", "ENCODING", "nosuch"],
    lambda g: ["OBJECT", "FREQ", g.key()],
    lambda g: ["RANDOMKEY"],
    lambda g: ["MEMORY", "USAGE", g.pick(g.key(), "nosuch"), *g.maybe("SAMPLES", g.pick(0, 5, -1, "x"))],
    lambda g: seldom(g, [g.pick("FLUSHDB", "FLUSHALL"), *g.maybe(g.pick("SYNC", "ASYNC", "x"))], ["DBSIZE"]),
    lambda g: ["PEXPIRETIME", g.key()],
    lambda g: [g.pick("EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"), g.key(), g.odd_time(), *g.some(g.expire_flag, 2)],
    lambda g: ["TYPE", g.key()],
    lambda g: ["TTL", g.key()],
    lambda g: ["PTTL", g.key()],
    lambda g: ["KEYS", g.glob()],
    lambda g: ["DBSIZE"],
    lambda g: (
        ["SCAN", "0", *g.maybe("COUNT", g.pick(1, 7, 1000)), *g.maybe("MATCH", g.glob()), *g.maybe("TYPE", "zset")]
        if not g.inside
        else ["DBSIZE"]
    ),
]

LISTS = [
    lambda g: [g.pick("LPUSH", "RPUSH"), g.key(), *g.some(g.value)],
    lambda g: [g.pick("LPUSH", "RPUSH"), g.key(), *g.some(g.member, 40)],
    lambda g: [g.pick("LPUSHX", "RPUSHX"), g.key(), *g.some(g.value)],
    lambda g: [g.pick("LPOP", "RPOP"), g.key(), *g.maybe(g.count())],
    lambda g: ["LLEN", g.key()],
    lambda g: ["LRANGE", g.key(), g.integer(), g.integer()],
    lambda g: ["LINDEX", g.key(), g.integer()],
    lambda g: ["LSET", g.key(), g.integer(), g.value()],
    lambda g: ["LINSERT", g.key(), g.pick("BEFORE", "AFTER"), g.member(), g.value()],
    lambda g: ["LREM", g.key(), g.pick(0, 1, -1, 2, -2, 100), g.member()],
    lambda g: ["LTRIM", g.key(), g.pick(0, 1, -50, 3), g.pick(-1, -2, 30, 100)],
    lambda g: [
        "LPOS",
        g.key(),
        g.member(),
        *g.maybe("RANK", g.pick(1, -1, 2, -2, 0)),
        *g.maybe("COUNT", g.count()),
        *g.maybe("MAXLEN", g.count()),
    ],
    lambda g: ["LMOVE", g.key(), g.key(), g.pick("LEFT", "RIGHT"), g.pick("LEFT", "RIGHT")],
    lambda g: ["RPOPLPUSH", g.key(), g.key()],
    lambda g: [
        "LMPOP",
        *g.pick(lambda k: [len(k), *k])(g.keys()),
        g.pick("LEFT", "RIGHT"),
        *g.maybe("COUNT", g.count()),
    ],
    lambda g: [
        *(
            blocking(
                g, ["LPUSH", g.key(), "x"], [g.pick("BLPOP", "BRPOP"), *g.keys(), g.pick("0.01", "0.01", "-1", "x")]
            )
        )
    ],
    lambda g: [
        *(blocking(g, ["LLEN", g.key()], ["BLMOVE", g.key(), g.key(), g.pick("LEFT", "RIGHT"), "RIGHT", "0.01"]))
    ],
    lambda g: [*(blocking(g, ["LLEN", g.key()], ["BRPOPLPUSH", g.key(), g.key(), "0.01"]))],
    lambda g: [*(blocking(g, ["LLEN", g.key()], ["BLMPOP", "0.01", "1", g.key(), "LEFT", "COUNT", "2"]))],
]

HASHES = [
    lambda g: ["HSET", g.key(), *[word for _ in range(g.pick(1, 2, 10)) for word in (g.member(), g.value())]],
    lambda g: ["HMSET", g.key(), g.member(), g.value()],
    lambda g: ["HSETNX", g.key(), g.member(), g.value()],
    lambda g: ["HGET", g.key(), g.member()],
    lambda g: ["HMGET", g.key(), *g.some(g.member)],
    lambda g: ["HGETALL", g.key()],
    lambda g: ["HDEL", g.key(), *g.some(g.member, 10)],
    lambda g: ["HEXISTS", g.key(), g.member()],
    lambda g: ["HLEN", g.key()],
    lambda g: ["HKEYS", g.key()],
    lambda g: ["HVALS", g.key()],
    lambda g: ["HSTRLEN", g.key(), g.member()],
    lambda g: ["HINCRBY", g.key(), g.member(), g.integer()],
    lambda g: ["HINCRBYFLOAT", g.key(), g.member(), g.pick("0.5", "1.25", "-3", "1e3", "inf", "x")],
    lambda g: ["HSCAN", g.key(), "0", "COUNT", "100000", *g.maybe("MATCH", g.glob())],
    lambda g: ["HRANDFIELD", g.key(), *g.maybe(g.pick(0, 1, 3, -5, 1000), *g.maybe("WITHVALUES"))],
]

SETS = [
    lambda g: ["SADD", g.key(), *g.some(g.member, 20)],
    lambda g: ["SADD", g.key(), *g.some(g.value)],
    lambda g: ["SREM", g.key(), *g.some(g.member, 20)],
    lambda g: ["SMEMBERS", g.key()],
    lambda g: ["SISMEMBER", g.key(), g.member()],
    lambda g: ["SMISMEMBER", g.key(), *g.some(g.member)],
    lambda g: ["SCARD", g.key()],
    lambda g: ["SMOVE", g.key(), g.key(), g.member()],
    lambda g: ["SPOP", g.key(), *g.maybe(g.pick(0, 1, 3, 100))] if not g.inside else ["SCARD", g.key()],
    lambda g: ["SRANDMEMBER", g.key(), *g.maybe(g.pick(0, 1, 3, -5, 1000))],
    lambda g: [g.pick("SDIFF", "SINTER", "SUNION"), *g.keys()],
    lambda g: [g.pick("SDIFFSTORE", "SINTERSTORE", "SUNIONSTORE"), g.key(), *g.keys()],
    lambda g: ["SINTERCARD", *numbered(g.keys()), *g.maybe("LIMIT", g.count())],
    lambda g: ["SSCAN", g.key(), "0", "COUNT", "100000", *g.maybe("MATCH", g.glob())],
]

SORTED_SETS = [
    lambda g: ["ZADD", g.key(), *[word for _ in range(g.pick(1, 3, 20)) for word in (g.score(), g.member())]],
    lambda g: [
        "ZADD",
        g.key(),
        *g.maybe(g.pick("NX", "XX")),
        *g.maybe(g.pick("GT", "LT")),
        *g.maybe("CH"),
        *g.maybe("INCR"),
        g.score(),
        g.member(),
    ],
    lambda g: ["ZREM", g.key(), *g.some(g.member, 10)],
    lambda g: ["ZCARD", g.key()],
    lambda g: ["ZCOUNT", g.key(), g.score_limit(), g.score_limit()],
    lambda g: ["ZSCORE", g.key(), g.member()],
    lambda g: ["ZMSCORE", g.key(), *g.some(g.member)],
    lambda g: [g.pick("ZRANK", "ZREVRANK"), g.key(), g.member()],
    # A member that ZINCRBY creates has no score but the increment.
    lambda g: (
        ["ZADD", g.key(), "XX", "INCR", 0, g.member()] if g.one_score else ["ZINCRBY", g.key(), g.score(), g.member()]
    ),
    lambda g: [g.pick("ZRANGE", "ZREVRANGE"), g.key(), g.integer(), g.integer(), *g.maybe("WITHSCORES")],
    lambda g: [
        "ZRANGE",
        g.key(),
        g.score_limit(),
        g.score_limit(),
        "BYSCORE",
        *g.maybe("REV"),
        *limit(g),
        *g.maybe("WITHSCORES"),
    ],
    lambda g: [
        g.pick("ZRANGEBYSCORE", "ZREVRANGEBYSCORE"),
        g.key(),
        g.score_limit(),
        g.score_limit(),
        *g.maybe("WITHSCORES"),
        *limit(g),
    ],
    lambda g: by_member(g, [g.pick("ZRANGEBYLEX", "ZREVRANGEBYLEX"), g.key(), g.lex_limit(), g.lex_limit(), *limit(g)]),
    lambda g: by_member(g, ["ZRANGE", g.key(), g.lex_limit(), g.lex_limit(), "BYLEX", *g.maybe("REV"), *limit(g)]),
    lambda g: by_member(g, ["ZLEXCOUNT", g.key(), g.lex_limit(), g.lex_limit()]),
    lambda g: by_member(g, ["ZREMRANGEBYLEX", g.key(), g.lex_limit(), g.lex_limit()]),
    lambda g: ["ZREMRANGEBYSCORE", g.key(), g.score_limit(), g.score_limit()],
    lambda g: ["ZREMRANGEBYRANK", g.key(), g.integer(), g.integer()],
    lambda g: [g.pick("ZPOPMIN", "ZPOPMAX"), g.key(), *g.maybe(g.count())],
    lambda g: ["ZMPOP", *numbered(g.keys()), g.pick("MIN", "MAX"), *g.maybe("COUNT", g.count())],
    lambda g: [*(blocking(g, ["ZCARD", g.key()], [g.pick("BZPOPMIN", "BZPOPMAX"), *g.keys(), "0.01"]))],
    lambda g: [*(blocking(g, ["ZCARD", g.key()], ["BZMPOP", "0.01", "1", g.key(), "MAX"]))],
    lambda g: ["ZRANGESTORE", g.key(), g.key(), g.integer(), g.integer(), *g.maybe("REV")],
    lambda g: [
        "ZRANGESTORE",
        g.key(),
        g.key(),
        g.score_limit(),
        g.score_limit(),
        "BYSCORE",
        *g.maybe("REV"),
        *limit(g),
    ],
    lambda g: [
        g.pick("ZUNION", "ZINTER"),
        *numbered(g.keys()),
        *g.maybe("AGGREGATE", g.pick("SUM", "MIN", "MAX")),
        *g.maybe("WITHSCORES"),
    ],
    lambda g: ["ZDIFF", *numbered(g.keys()), *g.maybe("WITHSCORES")],
    lambda g: weighted(g, [g.pick("ZUNIONSTORE", "ZINTERSTORE"), g.key()], g.keys()),
    lambda g: ["ZDIFFSTORE", g.key(), *numbered(g.keys())],
    lambda g: ["ZINTERCARD", *numbered(g.keys()), *g.maybe("LIMIT", g.count())],
    lambda g: ["ZSCAN", g.key(), "0", "COUNT", "100000", *g.maybe("MATCH", g.glob())],
    lambda g: ["ZRANDMEMBER", g.key(), *g.maybe(g.pick(0, 1, 3, -5, 1000), *g.maybe("WITHSCORES"))],
]

# Elements that are numbers or name keys, keys that they name, and what sorts them.
SORTS = [
    lambda g: ["RPUSH", g.key(), *g.some(g.sortable, 12)],
    lambda g: ["SADD", g.key(), *g.some(g.sortable, 12)],
    lambda g: ["ZADD", g.key(), *[word for _ in range(g.pick(1, 5)) for word in (g.score(), g.sortable())]],
    lambda g: ["RPUSH", g.key(), *g.some(g.value)],
    lambda g: ["SET", g.key(), g.sortable()],
    lambda g: ["HSET", g.key(), "m1", g.sortable(), "m2", g.value()],
    lambda g: ["LRANGE", g.key(), 0, -1],
    lambda g: ["DEL", g.key()],
    lambda g: ["SORT_RO", g.key(), *sort_options(g)],
    lambda g: ["SORT_RO", g.key(), "ALPHA", *g.maybe("BY", g.pattern(), chance=0.4), *sort_order(g), *limit(g)],
    lambda g: ["SORT", g.key(), *sort_options(g)],
    lambda g: ["SORT", g.key(), *sort_options(g), "STORE", g.key()],
    lambda g: ["SORT", g.key(), "STORE", g.key(), "ALPHA", *sort_order(g), *limit(g), *sort_gets(g)],
    lambda g: ["SORT", g.key(), *sort_order(g), "BY", "nosort", *limit(g), *g.maybe("STORE", g.key()), *sort_gets(g)],
]


# What is about the session, and whole families that exist only as subcommands.
SESSION = [
    lambda g: ["PING", *g.maybe(g.value())],
    lambda g: ["ECHO", g.value()],
    lambda g: ["SELECT", g.pick(0, 1, 2, -1, 16, "x")],
    lambda g: ["AUTH", *g.some(g.member, 2)],
    lambda g: ["CLIENT", "SETNAME", g.pick("me", "a b", "", "x\ny")],
    lambda g: ["CLIENT", "GETNAME"],
    lambda g: ["CLIENT", g.pick("NOSUCH", "GETNAME", "SETNAME"), *g.some(g.member, 2)],
    # So many words that one less, or a number more, still lists nobody.
    lambda g: ["CLIENT", "LIST", *g.pick(["ID", 0, "x"], ["TYPE", g.pick("pubsub", "MASTER", "x")], ["x", "y"])],
    lambda g: ["CLIENT", "NO-EVICT", g.pick("ON", "off", "x")],
    lambda g: ["CONFIG", g.pick("NOSUCH", "GET"), *g.maybe("no-such-option", chance=0.8)],
    lambda g: ["CONFIG", "GET", g.pick("timeout", "SAVE", "Timeou?", "appendonl*", "databases", "notify-*")],
    lambda g: ["CONFIG", "SET", *g.option(), *g.maybe(*g.option())],
    lambda g: ["CONFIG", g.pick("RESETSTAT", "REWRITE"), *g.maybe("x")],
    lambda g: ["OBJECT", g.pick("ENCODING", "NOSUCH"), *g.maybe("nosuch", *g.maybe("x"), chance=0.8)],
    lambda g: ["OBJECT", g.pick("IDLETIME", "FREQ", "REFCOUNT"), *g.maybe("nosuch", *g.maybe("x"), chance=0.8)],
    lambda g: ["MEMORY", g.pick("USAGE", "NOSUCH"), *g.maybe("nosuch", *g.maybe("x"), chance=0.8)],
    lambda g: ["COMMAND", "COUNT", g.value()],
    lambda g: ["PUBSUB", g.pick("NUMSUB", "NUMPAT", "CHANNELS", "NOSUCH"), *g.maybe(*g.some(g.member, 2), chance=0.5)],
    lambda g: ["PUBLISH", g.member(), g.value()],
    lambda g: ["WAIT", g.pick(0, 0, "x"), g.pick(0, 1, -1, "x")],
    lambda g: [g.pick("CLIENT", "CONFIG", "OBJECT", "MEMORY", "PUBSUB")],
    lambda g: ["NOSUCHCOMMAND", *g.maybe(g.value())],
    lambda g: ["UNWATCH"],
    lambda g: [g.pick("EXEC", "DISCARD", "UNWATCH", "DBSIZE", "RANDOMKEY"), *g.maybe(g.value(), chance=0.05)],
    lambda g: ["WATCH", *g.keys()],
    lambda g: ["SET", g.key(), g.value()],
    lambda g: ["DEL", g.key()],
    lambda g: seldom(g, ["FLUSHDB"], ["DBSIZE"]),
]


def field_operations(g: Generator) -> list:
    words: list = []
    for _ in range(g.pick(0, 1, 1, 2, 4)):
        words += g.maybe("OVERFLOW", g.pick("WRAP", "SAT", "FAIL", "sat", "x"), chance=0.4)
        words += g.pick(
            ["GET", g.field_type(), g.field_offset()],
            ["SET", g.field_type(), g.field_offset(), g.field_value()],
            ["INCRBY", g.field_type(), g.field_offset(), g.field_value()],
        )
    return words


def sort_order(g: Generator) -> list:
    return g.maybe(g.pick("ASC", "DESC", "desc"), chance=0.5)


def sort_gets(g: Generator) -> list:
    return [word for _ in range(g.pick(0, 0, 1, 2)) for word in ("GET", g.pick("#", g.pattern()))]


def sort_options(g: Generator) -> list:
    """Of numbers: their order is total. Texts of other keys may be equal; so only what is not stored has those."""
    groups = [sort_order(g), limit(g), sort_gets(g), g.maybe("BY", g.pattern(), chance=0.5)]
    g.random.shuffle(groups)
    return [word for group in groups for word in group]


def numbered(keys: list) -> list:
    return [len(keys), *keys]


def seldom(g: Generator, words: list, instead: list) -> list:
    return words if g.random.random() < 0.1 else instead


def limit(g: Generator) -> list:
    return g.maybe("LIMIT", g.pick(0, 1, 2, 10, -1), g.pick(-1, 0, 1, 3, 100))


def by_member(g: Generator, words: list) -> list:
    """Ranges by member are only defined where all scores are equal."""
    return words if g.one_score else ["ZCARD", g.key()]


def weighted(g: Generator, words: list, keys: list) -> list:
    weights = g.maybe("WEIGHTS", *[g.pick(1, 2, 0.5, -1, 0) for _ in keys]) if not g.one_score else []
    if g.one_score:
        return [*words, *numbered(keys), "AGGREGATE", g.pick("MIN", "MAX")]
    return [*words, *numbered(keys), *weights, *g.maybe("AGGREGATE", g.pick("SUM", "MIN", "MAX"))]


def blocking(g: Generator, instead: list, words: list) -> list:
    """Rarely, since each of them may wait."""
    return words if g.random.random() < 0.2 else instead


OPTION_WORDS = (
    b"NX XX GT LT CH INCR EX PX EXAT PXAT KEEPTTL GET PERSIST COUNT MATCH LIMIT WITHSCORES WITHVALUES BYSCORE REV "
    b"WEIGHTS AGGREGATE SUM MIN MAX LEFT RIGHT BEFORE AFTER RANK MAXLEN REPLACE DB BIT BYTE inf -inf (1 [a - + nan "
    b"0x10 1e5"
).split()

BLOCKING = b"BLPOP BRPOP BLMOVE BRPOPLPUSH BLMPOP BZPOPMIN BZPOPMAX BZMPOP WAIT".split()
TIMED = b"SET GETEX SETEX PSETEX EXPIRE PEXPIRE EXPIREAT PEXPIREAT".split()

# Not those that wait, answer from a clock or at random, or have effects beyond this connection's keys.
ODD = (
    b"APPEND BITCOUNT BITFIELD BITFIELD_RO BITOP BITPOS COPY DECR DECRBY DEL EXISTS EXPIRE EXPIREAT GET GETBIT "
    b"GETDEL GETEX GETRANGE GETSET HDEL HEXISTS HGET HINCRBY HINCRBYFLOAT HLEN HMGET HMSET HSET HSETNX HSTRLEN "
    b"INCR INCRBY INCRBYFLOAT LINDEX LINSERT LLEN LMOVE LMPOP LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM MGET "
    b"MSET MSETNX PERSIST PEXPIRE PEXPIREAT PSETEX RENAME RENAMENX RPOP RPOPLPUSH RPUSH RPUSHX SADD SCARD "
    b"SDIFFSTORE SET SETBIT SETEX SETNX SETRANGE SINTERCARD SINTERSTORE SISMEMBER SMISMEMBER SMOVE SREM STRLEN "
    b"SUBSTR SUNIONSTORE TOUCH TYPE UNLINK ZADD ZCARD ZCOUNT ZINCRBY ZINTERCARD ZINTERSTORE ZMPOP ZMSCORE ZPOPMAX "
    b"ZPOPMIN ZRANGE ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE "
    b"ZREVRANGEBYSCORE ZREVRANK ZSCORE ZUNIONSTORE ZDIFFSTORE ZDIFF"
).split()
