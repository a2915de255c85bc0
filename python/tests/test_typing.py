# SPDX-License-Identifier: MIT
import os
import subprocess
import sys
from pathlib import Path

import shoal

PACKAGE = Path(shoal.__file__).parent
BOUND = 300  # seconds, for a busy machine


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=BOUND, **options)


def test_the_stub_says_what_the_extension_has(tmp_path):
    made = tmp_path / "_shoal.pyi"
    done = run(sys.executable, "-m", "nanobind.stubgen", "-q", "-m", "shoal._shoal", "-o", str(made))
    assert done.returncode == 0, done.stderr
    stub = (PACKAGE / "_shoal.pyi").read_text()
    assert made.read_text() == stub, "bring it up to date: ./dev build, or python -m nanobind.stubgen (see this test)"


USE = """
import asyncio
from typing import Any
import shoal
import shoal.asyncio as redis

client = shoal.Redis("app", db=1, decode_responses=True)
value = client.get("k")
done = client.set("k", "v", ex=10)
error: type[shoal.ShoalError] = shoal.SegmentFull
pool = shoal.ConnectionPool("app")
with shoal.Redis(connection_pool=pool) as other, other.pipeline() as pipe:
    pipe.incr("n")
    results: list[Any] = pipe.execute()

async def main() -> None:
    async with redis.Redis("app") as client:
        await client.set("k", 1)
        async with client.lock("l"), client.pipeline(transaction=True) as pipe:
            pipe.incr("n")
            results: list[Any] = await pipe.execute()

asyncio.run(main())
"""


def test_a_users_program_passes_a_strict_type_check(tmp_path):
    def check(source):
        program = tmp_path / "program.py"
        program.write_text(source)
        installed = "site-packages" in PACKAGE.parts
        environment = os.environ if installed else {**os.environ, "MYPYPATH": str(PACKAGE.parent)}
        cache = tmp_path / "cache"
        return run(sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cache), str(program), env=environment)

    done = check(USE)
    assert done.returncode == 0, done.stdout
    assert 'Argument 1 to "from_url" has incompatible type' in check(USE + "\nshoal.from_url(3)\n").stdout


def test_the_package_passes_a_strict_type_check(tmp_path):
    repository = Path(__file__).parent.parent.parent
    done = run(sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path), cwd=repository)
    assert done.returncode == 0, done.stdout
