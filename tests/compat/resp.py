# SPDX-License-Identifier: MIT
"""RESP2 and RESP3 over byte streams, and the two ends that the replay compares: a redis-server and the driver."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from typing import Any, BinaryIO


class Kind(tuple):
    """A reply with its type, so that a map is not equal to the list of its items: (type, value)."""


class Null:
    def __repr__(self) -> str:
        return "null"


NULL = Null()


def encode(words: list[bytes]) -> bytes:
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


def read_reply(stream: BinaryIO) -> Any:
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise EOFError("the other side is gone")
    kind, rest = line[:1], line[1:-2]
    if kind == b"$":
        return NULL if rest == b"-1" else stream.read(int(rest) + 2)[:-2]
    if kind == b"=":  # a text with its format; the tape has bulks only
        return stream.read(int(rest) + 2)[len(b"txt:") : -2]
    if kind == b":":
        return int(rest)
    if kind == b"_":
        return NULL
    if kind == b"*" and rest == b"-1":
        return Kind(("null array", None))
    if kind in b"*~":
        items = [read_reply(stream) for _ in range(int(rest))]
        return items if kind == b"*" else Kind(("set", items))
    if kind == b"%":
        return Kind(("map", [(read_reply(stream), read_reply(stream)) for _ in range(int(rest))]))
    names = {b"+": "simple", b"-": "error", b",": "double", b"#": "bool"}
    return Kind((names[kind], rest))


def batches(encoded: list[bytes]) -> list[list[bytes]]:
    """Few at once, and less than a pipe holds: who wrote them can read while the other side still writes replies. One
    that is longer goes alone: it is read as a whole before its reply is written."""
    result: list[list[bytes]] = []
    for each in encoded:
        if not result or len(result[-1]) == 16 or sum(map(len, result[-1])) + len(each) > 32_768:
            result.append([])
        result[-1].append(each)
    return result


class End:
    """One side: send commands, read as many replies."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self.reader, self.writer = reader, writer

    def run(self, commands: list[list[bytes]]) -> list[Any]:
        replies: list[Any] = []
        for batch in batches([encode(words) for words in commands]):
            self.writer.write(b"".join(batch))
            self.writer.flush()
            replies += [read_reply(self.reader) for _ in batch]
        return replies

    def one(self, *words: bytes) -> Any:
        return self.run([list(words)])[0]


class RedisEnd(End):
    def __init__(self) -> None:
        server = shutil.which("redis-server")
        if server is None:
            raise SystemExit("redis-server is not installed: run ./dev setup")
        self.folder = tempfile.mkdtemp(prefix="shoal-compat-")
        path = os.path.join(self.folder, "redis.sock")
        options = ["--port", "0", "--unixsocket", path, "--save", "", "--appendonly", "no", "--dir", self.folder]
        bytewise = {**os.environ, "LC_ALL": "C"}  # SORT ... ALPHA orders as the locale says; Shoal knows only bytes
        self.process = subprocess.Popen([server, *options], stdout=subprocess.PIPE, env=bytewise)
        for line in self.process.stdout:
            if b"ready to accept connections" in line.lower():
                break
        self.process.stdout.close()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        stream = self.socket.makefile("rwb")
        super().__init__(stream, stream)

    def version(self) -> str:
        info = self.one(b"INFO", b"server").decode()
        return next(line.split(":")[1] for line in info.splitlines() if line.startswith("redis_version"))

    def close(self) -> None:
        self.socket.close()
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class ShoalEnd(End):
    numbers = itertools.count()

    def __init__(self, driver: str) -> None:
        name = f"compat-{os.getpid()}-{next(self.numbers)}"
        self.path = f"/dev/shm/shoal.{name}"
        self.process = subprocess.Popen([driver, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        super().__init__(self.process.stdout, self.process.stdin)

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if os.path.exists(self.path):
            os.unlink(self.path)
