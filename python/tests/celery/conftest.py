# SPDX-License-Identifier: MIT
"""Real workers as processes: each test has a segment, a log file and the workers that it starts."""

import itertools
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from celery import Celery

import shoal
from shoal import _shoal

HERE = Path(__file__).parent
PATIENCE = 60  # seconds until a test gives up; nothing is expected to take that long

_numbers = itertools.count()


def wait_until(found, what):
    """The first true value of found(); fails when patience ends."""
    deadline = time.monotonic() + PATIENCE
    while not (value := found()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)
    return value


class Site:
    """A segment, the application on it, and what runs there."""

    def __init__(self, folder):
        self.folder = folder
        self.name = f"celery-{os.getpid()}-{next(_numbers)}"
        self.url = f"shoal://{self.name}?max_size=64m&shards=8&daemon=false"
        self.log_path = folder / "log"
        self.workers = []
        self.environment = {
            **os.environ,
            "APP_BROKER": self.url,
            "APP_BACKEND": self.url,
            "APP_LOG": str(self.log_path),
            "PYTHONPATH": os.pathsep.join((str(HERE), *filter(None, (os.environ.get("PYTHONPATH"),)))),
            "PYTHONWARNINGS": "ignore",
        }
        self.app = Celery("tasks_app", broker=self.url, backend=self.url, set_as_current=False)
        self.segment = _shoal.Segment.attach(self.name, max_size=64 << 20, shards=8, daemon=False)
        self.queues = _shoal.Queues(self.segment, 0)

    def send(self, task, *args, **options):
        return self.app.send_task(f"tasks_app.{task}", args, **options)

    def worker(self, *options, pool="prefork", concurrency=1, **environment):
        number = len(self.workers)
        command = [
            "-A",
            "tasks_app",
            "worker",
            "-n",
            f"w{number}@test",
            "-l",
            "info",
            "-P",
            pool,
            "-c",
            str(concurrency),
        ]
        return self.run_celery(*command, "--without-gossip", "--without-mingle", *options, **environment)

    def run_celery(self, *command, **environment):
        number = len(self.workers)
        with (self.folder / f"worker{number}").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "celery", *command],
                env={**self.environment, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
            )
        process.number = number
        self.workers.append(process)
        wait_until(lambda: " ready." in self.worker_log(process) or process.poll() is not None, "a worker")
        assert process.poll() is None, self.worker_log(process)
        return process

    def worker_log(self, process):
        return (self.folder / f"worker{process.number}").read_text()

    def log(self):
        return self.log_path.read_text().splitlines() if self.log_path.exists() else []

    def lines(self, *words):
        start = " ".join(words) + " "
        return [line for line in self.log() if line.startswith(start)]

    def wait_for_line(self, *words, count=1):
        """The pids in the lines that begin so, when there are that many."""
        lines = wait_until(
            lambda: (found := self.lines(*words))[count - 1 : count] and found, f"{words} in {self.log()}"
        )
        return [int(line.rsplit(" ", 1)[1]) for line in lines]

    def gate(self, name="gate"):
        return str(self.folder / name)

    def open_gate(self, name="gate"):
        (self.folder / name).touch()

    def stats(self, queue=b"celery"):
        return self.queues.stats(queue)

    def stop(self):
        for process in self.workers:
            for pid in (process.pid, *children_of(process.pid)):
                kill(pid)
            process.wait()
        for pid in pids_in(self.log()):
            kill(pid, only_child_of_init=True)
        shoal.Redis(self.name).close()
        Path(f"/dev/shm/shoal.{self.name}").unlink(missing_ok=True)


def pids_in(lines):
    return {int(line.rsplit(" ", 1)[1]) for line in lines}


def children_of(pid):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, _, rest = stat.read_text().partition(" (")
        except OSError:
            continue
        if int(rest.rpartition(") ")[2].split()[1]) == pid:
            found.append(int(number))
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def kill(pid, only_child_of_init=False):
    if only_child_of_init and pid not in children_of(1):
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.stop()
