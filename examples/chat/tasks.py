# SPDX-License-Identifier: MIT
"""The chat's Celery side: a job that tells how far it is, while it runs, through a channel that every tab follows."""

import json
import os
import signal
import time
from pathlib import Path

from celery import Celery

import shoal
import shoal.celery

URL = os.environ.get("SHOAL_URL", "shoal://demo")
app = Celery("tasks", broker=URL, backend=URL)
shoal.celery.configure(app)  # a task whose worker is killed runs again
app.conf.worker_prefetch_multiplier = 1  # long tasks: none waits in a busy worker while another one is idle

r = shoal.from_url(URL)
jobs = r.channel("jobs", keep=2000)


@app.task
def crunch(job: str, name: str, steps: int = 40, pause: float = 0.1) -> int:
    """Works for steps x pause seconds. The group is what a button needs to kill this worker, children included."""
    run = r.incr(f"job:{job}:runs")
    r.expire(f"job:{job}:runs", 86400)
    about = {"job": job, "name": name, "run": run, "start": time.time(), "pid": os.getpid(), "group": os.getpgid(0)}
    for step in range(steps + 1):
        now = {"done": step, "of": steps, "time": time.time()}
        jobs.publish(json.dumps({**about, **now}))
        if step < steps:
            time.sleep(pause)
    return run


def kill_worker(group: int) -> None:
    """SIGKILL to a Celery worker and all of its pool, if that is what the process group is."""
    try:
        command = Path(f"/proc/{group}/cmdline").read_bytes()
    except OSError:
        return
    if b"celery" in command and b"tasks" in command:
        os.killpg(group, signal.SIGKILL)
