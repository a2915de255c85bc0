# SPDX-License-Identifier: MIT
"""examples/cpp_pubsub: two C++ processes and one in Python on one channel."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import shoal

PROGRAM = Path(__file__).resolve().parents[2] / "build/release/bin/pubsub"


@pytest.fixture
def url() -> Iterator[str]:
    name = f"cpp-pubsub-{os.getpid()}"
    yield f"shoal://{name}"
    subprocess.run(["shoal", "rm", "--force", name], check=True)


def test_a_listener_has_what_came_before_it_and_what_cpp_and_python_publish_after(url: str) -> None:
    environment = {**os.environ, "SHOAL_URL": url}

    def say(*texts: str) -> None:
        subprocess.run([PROGRAM, "say", "news", *texts], env=environment, check=True, timeout=30)

    say("before", "and before")
    listener = subprocess.Popen([PROGRAM, "listen", "news"], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert [listener.stdout.readline() for _ in range(2)] == ["before\n", "and before\n"]
        say("from C++")
        assert listener.stdout.readline() == "from C++\n"
        client = shoal.from_url(url)
        assert client.publish("news", "from Python") == 1
        client.close()
        say("bye")
        assert listener.communicate(timeout=30)[0] == "from Python\nbye\n"
        assert listener.returncode == 0
    finally:
        listener.kill()
        listener.communicate()
