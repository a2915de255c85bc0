# SPDX-License-Identifier: MIT
"""The demo's processes: shoald, uvicorn with its workers, Celery workers. Started, watched, and all ended again."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent

OTHER_DAEMON = 3  # shoald's exit code when a worker was faster to start one


class Trouble(Exception):
    """The demo cannot run; the text says why."""


def free_port(wanted: int = 0) -> int:
    """The wanted port of the loopback if it is free, else any."""
    for port in (wanted, 0):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return trial.getsockname()[1]
    raise Trouble("no free port on 127.0.0.1")


class Cluster:
    """Use it as a context manager: whatever happens inside, nothing of it is left behind."""

    def __init__(self, name: str, *, port: int = 0, web: int = 4, celery: int = 2, keep: bool = False) -> None:
        self.name, self.web, self.celery, self.keep = name, web, celery, keep
        self.port = free_port(port)
        self.url = f"http://127.0.0.1:{self.port}"
        self.logs = Path(tempfile.mkdtemp(prefix=f"shoal-{name}-"))
        self._environment = {**os.environ, "SHOAL_URL": f"shoal://{name}", "PYTHONUNBUFFERED": "1"}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ended: list[int] = []  # killed ones: a child may outlive its worker, to end its task

    def __enter__(self) -> "Cluster":
        try:
            self._start("shoald", ["shoald", self.name])  # the first worker would do so, too
            self._start("web", self._web_command())
            for number in range(1, self.celery + 1):
                self._start_celery(number)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + 3
        for process in self._running.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                continue
        for process in self._running.values():  # who did not listen, and children of who did
            kill_group(process.pid)
            process.wait()
        for group in self._ended:
            if not Path(f"/proc/{group}").exists():  # else the number is somebody else's by now
                kill_group(group)
        if not self.keep:
            subprocess.run(["shoal", "rm", "--force", self.name], stdout=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.logs, ignore_errors=True)

    def _web_command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "uvicorn", "app:app", "--app-dir", str(HERE)),
            *("--host", "127.0.0.1", "--port", str(self.port), "--workers", str(self.web)),
            *("--timeout-worker-healthcheck", "60", "--timeout-graceful-shutdown", "1", "--no-access-log"),
        ]

    def _start_celery(self, number: int) -> None:
        command = [sys.executable, "-m", "celery", "--workdir", str(HERE), "-A", "tasks", "worker"]
        self._start(f"celery-{number}", [*command, "-n", f"celery-{number}@%h", "-c", "3", "--loglevel", "INFO"])

    def _start(self, title: str, command: list[str]) -> None:
        with (self.logs / f"{title}.log").open("ab") as log:
            try:
                self._running[title] = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment,
                    start_new_session=True,  # a group of its own, so that a worker can be killed with its children
                )
            except FileNotFoundError as error:
                raise Trouble(f"{command[0]} is not installed: ./dev build") from error

    def wait_until_ready(self, seconds: float = 90) -> None:
        """Until the page is served and the Celery workers say that they are ready."""
        deadline = time.monotonic() + seconds
        while not (self._serves() and all("ready." in self.log(title) for title in self._titles("celery"))):
            self.watch()
            if time.monotonic() > deadline:
                raise Trouble(f"not ready after {seconds:.0f} s\n{self.tails()}")
            time.sleep(0.05)

    def watch(self) -> list[str]:
        """Starts Celery workers anew that were killed, as a supervisor does (uvicorn has its own); says which."""
        again = []
        for title, process in list(self._running.items()):
            if process.poll() is None:
                continue
            if title == "shoald" and process.returncode == OTHER_DAEMON:
                del self._running[title]
                continue
            if title == "web" or process.returncode >= 0:
                raise Trouble(f"{title} ended with {process.returncode}\n{self.tails()}")
            self._ended.append(process.pid)
            if title == "shoald":
                self._start("shoald", ["shoald", self.name])
            else:
                self._start_celery(int(title.removeprefix("celery-")))
            again.append(title)
        return again

    def celery_groups(self) -> list[int]:
        return [self._running[title].pid for title in self._titles("celery")]

    def log(self, title: str) -> str:
        return (self.logs / f"{title}.log").read_text(errors="replace")

    def tails(self) -> str:
        return "\n".join(f"-- {title}:\n" + self.log(title)[-2000:] for title in self._running)

    def _titles(self, kind: str) -> list[str]:
        return [title for title in self._running if title.startswith(kind)]

    def _serves(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=5) as reply:
                return reply.status == 200
        except OSError:
            return False


def kill_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
