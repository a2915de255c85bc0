# SPDX-License-Identifier: MIT
"""What the comparisons start: a redis-server of their own on a unix socket, segments, and drivers that take turns."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DRIVER = ROOT / "build/release/bin/shoal_bench_driver"


class Redis:
    """A redis-server that nobody else uses, without persistence. Ends with the `with` block."""

    def __enter__(self) -> Redis:
        self.folder = tempfile.mkdtemp(prefix="shoal-bench-")
        self.socket = f"{self.folder}/redis.sock"
        command = ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen([*command, "--dir", self.folder], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not os.path.exists(self.socket):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("redis-server did not start; ./dev setup installs it")
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def cli(self, *words: str) -> str:
        done = subprocess.run(["redis-cli", "-s", self.socket, *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def used_memory(self) -> int:
        lines = self.cli("INFO", "memory").splitlines()
        return int(next(line.split(":")[1] for line in lines if line.startswith("used_memory:")))


class Segment:
    """A segment's name that is removed with all that belongs to it at the end."""

    def __init__(self, label: str, options: str = "max_size=1GiB&daemon=false") -> None:
        self.name = f"bench-{label}-{os.getpid()}"
        self.url = f"shoal://{self.name}?{options}"
        self.path = Path(f"/dev/shm/shoal.{self.name}")

    def __enter__(self) -> Segment:
        return self

    def __exit__(self, *_: object) -> None:
        self.path.unlink(missing_ok=True)

    def physical_bytes(self) -> int:
        """All of the segment: header, tables, free blocks and all."""
        return self.path.stat().st_blocks * 512


class Driver:
    """A program that answers "OPERATION COUNT" with nanoseconds an operation."""

    def __init__(self, *command: object) -> None:
        words = [str(word) for word in command]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._answer() != "ready":
            raise RuntimeError(f"{words[0]} did not get ready")

    @classmethod
    def python(cls, script: str, *arguments: object) -> Driver:
        return cls(sys.executable, HERE / script, *arguments)

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def start(self, operation: str, count: int) -> None:
        self.process.stdin.write(f"{operation} {count}\n")
        self.process.stdin.flush()

    def finish(self) -> float:
        return float(self._answer())

    def run(self, operation: str, count: int) -> float:
        self.start(operation, count)
        return self.finish()

    def _answer(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a driver ended with code {self.process.wait()}")
        return line.strip()
