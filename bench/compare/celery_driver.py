# SPDX-License-Identifier: MIT
"""One side of the Celery rows: `celery_driver.py BROKER_URL`. Answers "OPERATION COUNT" lines:

roundtrip  delay().get() of a no-op, prefork -c 1: p50 in milliseconds
enqueue    delay() alone: microseconds each
drain      tasks a second from a full queue, prefork -c 1
requeue    SIGKILL of a whole worker that runs a task, to the task's start in another: milliseconds"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
WATCHDOG_S = 300


def wait_for(condition, what: str):
    deadline = time.monotonic() + WATCHDOG_S
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.001)
    return found


class Worker:
    """A Celery worker in a session of its own, so that it can be killed whole."""

    def __init__(self, name: str, queue: str, concurrency: int = 1) -> None:
        command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "celery_tasks",
            "worker",
            "-P",
            "prefork",
            "-c",
            str(concurrency),
        ]
        quiet = ["-Q", queue, "-n", f"{name}@bench", "--without-gossip", "--without-mingle", "-l", "ERROR"]
        self.process = subprocess.Popen([*command, *quiet], cwd=HERE, start_new_session=True, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()


class Operations:
    def __init__(self) -> None:
        import celery_tasks

        self.tasks = celery_tasks
        self.folder = tempfile.mkdtemp(prefix="shoal-celery-")
        self.worker: Worker | None = None

    def close(self) -> None:
        if self.worker:
            self.worker.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def roundtrip(self, count: int) -> float:
        if self.worker is None:
            self.worker = Worker("roundtrip", "roundtrip")
            self.tasks.nothing.apply_async(queue="roundtrip").get(timeout=WATCHDOG_S)
        times = []
        for _ in range(count):
            begin = time.perf_counter()
            self.tasks.nothing.apply_async(queue="roundtrip").get(timeout=WATCHDOG_S)
            times.append(time.perf_counter() - begin)
        return statistics.median(times) * 1e3

    def _fill(self, queue: str, count: int) -> float:
        begin = time.perf_counter()
        for number in range(count):
            self.tasks.count.apply_async((self.folder, number == count - 1), queue=queue)
        return (time.perf_counter() - begin) / count * 1e6

    def enqueue(self, count: int) -> float:
        microseconds = self._fill("enqueue", count)
        self.tasks.app.control.purge()
        return microseconds

    def drain(self, count: int) -> float:
        """From the first task's start, so that the worker's own start-up does not count."""
        folder = Path(self.folder)
        for name in ("go", "last"):
            (folder / name).unlink(missing_ok=True)
        for old in folder.glob("started-*"):
            old.unlink()
        self.tasks.linger.apply_async((self.folder,), queue="drain")
        self._fill("drain", count)
        worker = Worker("drain", "drain")
        try:
            wait_for(lambda: list(folder.glob("started-*")), "the worker's first task")
            begin = time.monotonic_ns()
            (folder / "go").touch()
            text = wait_for(lambda: (folder / "last").exists() and (folder / "last").read_text(), "the queue to drain")
            return count / ((int(text) - begin) / 1e9)
        finally:
            worker.stop()

    def requeue(self, _: int) -> float:
        folder = Path(tempfile.mkdtemp(prefix="shoal-requeue-"))
        first, second = Worker("first", "requeue"), None
        try:
            self.tasks.linger.apply_async((str(folder),), queue="requeue")
            wait_for(lambda: list(folder.glob("started-*")), "the task to start")
            second = Worker("second", "requeue")
            wait_for(
                lambda: "second@bench" in str(self.tasks.app.control.ping(["second@bench"], timeout=1)),
                "the second worker",
            )
            first.kill()
            killed = time.monotonic_ns()
            starts = wait_for(
                lambda: len(found := sorted(folder.glob("started-*"))) > 1 and found, "the task to start again"
            )
            (folder / "go").touch()
            return (int(starts[1].name.split("-")[1]) - killed) / 1e6
        finally:
            (folder / "go").touch()
            for worker in (first, second):
                if worker and worker.process.poll() is None:
                    worker.stop()
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    os.environ["SHOAL_BENCH_BROKER"] = sys.argv[1]
    sys.path.insert(0, str(HERE))
    operations = Operations()
    print("ready", flush=True)
    try:
        for line in sys.stdin:
            name, count = line.split()
            print(getattr(operations, name)(int(count)), flush=True)
    finally:
        operations.close()


if __name__ == "__main__":
    main()
