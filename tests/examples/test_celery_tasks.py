# SPDX-License-Identifier: MIT
"""examples/celery_tasks does what its README says: two commands, nothing to start before."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/celery_tasks"
WORKER = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-c", "2"]


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    name = f"celery-tasks-{os.getpid()}"
    yield {**os.environ, "SHOAL_URL": f"shoal://{name}"}
    subprocess.run(["shoal", "rm", "--force", name], check=True)


def test_the_two_commands_of_the_readme_give_every_result(environment: dict[str, str]) -> None:
    worker = subprocess.Popen(WORKER, cwd=EXAMPLE, env=environment, stdin=subprocess.DEVNULL)
    try:
        program = [sys.executable, "tasks.py"]
        done = subprocess.run(program, cwd=EXAMPLE, env=environment, capture_output=True, text=True, timeout=90)
        assert done.stderr == ""
        assert done.stdout.splitlines()[:4] == [
            "square(7) = 49",
            "a group: [0, 1, 4, 9, 16]",
            "a chord: 30",
            "in 2 seconds: 9",
        ]
        assert done.stdout.splitlines()[4].startswith("done by pid ")
    finally:
        worker.terminate()
        try:
            worker.wait(30)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
