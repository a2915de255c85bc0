# SPDX-License-Identifier: MIT
"""README's "Ten lines each": every snippet runs as it stands there, but for the segment's name."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection, connect

import shoal
import shoal.fastapi

ROOT = Path(__file__).resolve().parents[2]
WATCHDOG = 90  # seconds
SNIPPET = re.compile(r"^(?P<name>[^\n:]+):[^\n]*(?:\n[^\n]+)*\n\n```\w+\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)

# The snippet's application, which tells each socket who serves it.
SIGNED = """
import os
from snippet import app as unsigned

async def app(scope, receive, send):
    async def sign(message):
        if message["type"] == "websocket.accept":
            message = {**message, "headers": [*message.get("headers", ()), (b"x-pid", b"%d" % os.getpid())]}
        await send(message)
    await unsigned(scope, receive, sign)
"""

# What a reader of the snippet writes around it.
PROGRAM = """
{includes}
int main() {{
{statements}
  if (!value.ok() || !value.value() || !pushed.ok()) return 2;
  std::cout << *value.value() << ' ' << pushed.value().integer << '\\n';
}}
"""


def snippets() -> dict[str, str]:
    """By the word that introduces each."""
    section = (ROOT / "README.md").read_text().partition("\n## Ten lines each\n")[2].partition("\n## ")[0]
    found = {match["name"]: match["code"] for match in SNIPPET.finditer(section)}
    assert len(found) * 2 == section.count("```"), "no line with a colon introduces a block"
    return found


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Another one for each test: this process does not let go of a segment, and a second one of its name is refused."""
    name = f"readme-{os.getpid()}-{tmp_path.name}"
    yield f"shoal://{name}"
    subprocess.run(["shoal", "rm", "--force", name], check=True)


def snippet(name: str, url: str) -> str:
    return snippets()[name].replace("shoal://app", url)


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=WATCHDOG)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@contextlib.contextmanager
def module(*command: str, cwd: Path, **options: object) -> Iterator[None]:
    """python -m, asked to end when the test has ended; killed, and its children, if it then does not."""
    process = subprocess.Popen([sys.executable, "-m", *command], cwd=cwd, stdin=subprocess.DEVNULL, **options)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(WATCHDOG)
        except subprocess.TimeoutExpired:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            for pid in [process.pid, *map(int, children)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def served(code: str, folder: Path) -> Iterator[str]:
    """Two uvicorn workers. The socket listens before they start, so nobody need ask whether they have."""
    (folder / "snippet.py").write_text(code)
    (folder / "signed.py").write_text(SIGNED)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fd, port = listening.fileno(), listening.getsockname()[1]
        # A handler that only sends does not see its client go; uvicorn waits for it no longer than this.
        options = ["--workers", "2", "--fd", str(fd), "--log-level", "warning", "--timeout-graceful-shutdown", "1"]
        with module("uvicorn", "signed:app", *options, cwd=folder, pass_fds=[fd]):
            listening.close()  # it is uvicorn's now: if that dies, clients are refused
            yield f"ws://127.0.0.1:{port}"


def receive(client: ClientConnection) -> str:
    return client.recv(timeout=WATCHDOG)


@contextlib.contextmanager
def one_of_each_worker(address: str) -> Iterator[list[ClientConnection]]:
    """Which worker accepts a socket is the kernel's choice: connects until both hold one."""
    with contextlib.ExitStack() as stack:
        clients: dict[str, ClientConnection] = {}
        while len(clients) < 2:
            client = stack.enter_context(connect(address, open_timeout=WATCHDOG))
            if clients.setdefault(client.response.headers["x-pid"], client) is not client:
                client.close()
        yield list(clients.values())


def test_every_snippet_is_run_here() -> None:
    assert list(snippets()) == ["Plain Python", "FastAPI", "Broadcast", "Celery", "C++"]
    assert all("shoal://app" in code for code in snippets().values())


def test_plain_python(url: str, tmp_path: Path) -> None:
    (tmp_path / "snippet.py").write_text(snippet("Plain Python", url))
    printed = run(sys.executable, "snippet.py", cwd=tmp_path)
    assert printed == "[2, 2]\nb'hello' (b'jobs', b'b')\n"
    with shoal.from_url(url) as r:
        assert (r.get("visits"), r.lrange("jobs", 0, -1)) == (b"1", [b"a"])
        assert 0 < r.ttl("greeting") <= 60


def test_fastapi_sends_what_is_published_to_the_sockets_of_both_workers_and_the_history_first(
    url: str, tmp_path: Path
) -> None:
    with shoal.from_url(url) as r, served(snippet("FastAPI", url), tmp_path) as address:
        channel = r.channel("room", keep=1000)
        channel.publish("before")
        with one_of_each_worker(f"{address}/ws") as clients:
            assert [receive(client) for client in clients] == ["before", "before"]
            channel.publish("after")
            assert [receive(client) for client in clients] == ["after", "after"]


def test_broadcast_stands_in_the_docstring_of_its_module() -> None:
    assert textwrap.indent(snippets()["Broadcast"], "    ") in shoal.fastapi.__doc__


def test_broadcast_reaches_the_sockets_of_both_workers_and_a_client_that_comes_back(url: str, tmp_path: Path) -> None:
    code = snippet("FastAPI", url) + snippet("Broadcast", url)
    with served(code, tmp_path) as address, one_of_each_worker(f"{address}/ws/lobby") as clients:
        for number, client in enumerate(clients):  # an echo says that a socket not only is accepted, but listens
            client.send(f"echo {number}")
            until(client, f"echo {number}")
        clients[0].send("to all")
        seen = [until(client, "to all")["id"] for client in clients]
        clients[1].close()
        with shoal.from_url(url) as r:
            assert r.publish("lobby", "meanwhile") > 0
        clients[0].send("and later")
        until(clients[0], "and later")
        with connect(f"{address}/ws/lobby?since={seen[1]}", open_timeout=WATCHDOG) as back:
            assert [json.loads(receive(back))["data"] for _ in range(2)] == ["meanwhile", "and later"]


def until(client: ClientConnection, data: str) -> dict[str, str]:
    while (message := json.loads(receive(client)))["data"] != data:
        pass
    return message


def test_celery(url: str, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(snippet("Celery", url))
    with module("celery", "-A", "tasks", "worker", "-c", "1", cwd=tmp_path):
        call = "import tasks; print(tasks.add.delay(2, 3).get(), tasks.app.conf.task_acks_late)"
        assert run(sys.executable, "-c", call, cwd=tmp_path) == "5 True\n"


def test_cpp(url: str, tmp_path: Path) -> None:
    lines = snippet("C++", url).splitlines()
    includes = [line for line in lines if line.startswith("#include")]
    statements = [line for line in lines if line not in includes]
    (tmp_path / "main.cc").write_text(PROGRAM.format(includes="\n".join(includes), statements="\n".join(statements)))
    libraries = sorted((ROOT / "build/release/lib").glob("*/libshoal_*.a"))
    run(
        *("g++", "-std=c++20", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/lib/include", f"-I{ROOT}/lib", "main.cc"),
        *("-Wl,--whole-archive", *libraries, "-Wl,--no-whole-archive", "-pthread", "-o", "main"),
        cwd=tmp_path,
    )
    assert run(tmp_path / "main", cwd=tmp_path) == "hello 2\n"
    with shoal.from_url(url) as r:
        assert (r.get("greeting"), r.lrange("jobs", 0, -1)) == (b"hello", [b"two", b"one"])
