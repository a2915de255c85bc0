# SPDX-License-Identifier: MIT
"""The application of the Celery rows; SHOAL_BENCH_BROKER names broker and result backend."""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery import Celery

BROKER = os.environ["SHOAL_BENCH_BROKER"]
IS_SHOAL = BROKER.startswith("shoal:")
app = Celery("bench", broker=BROKER, backend=BROKER)
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=4)
if not IS_SHOAL:
    app.conf.broker_transport_options = {"visibility_timeout": 10}


@app.task
def nothing() -> None:
    """Does nothing, and its result is kept."""


@app.task(ignore_result=True)
def count(folder: str, last: bool) -> None:
    """The last of a queue says when it ran."""
    if last:
        Path(folder, "last").write_text(str(time.monotonic_ns()))


@app.task(ignore_result=True)
def linger(folder: str) -> None:
    """Says that it started, once a process, and stays until told to go."""
    Path(folder, f"started-{time.monotonic_ns()}-{os.getpid()}").touch()
    while not Path(folder, "go").exists():
        time.sleep(0.01)
