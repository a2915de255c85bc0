# SPDX-License-Identifier: MIT
"""The Celery application of the chaos test: a task says in the journal that it runs, and some linger, so that a kill
meets them."""

import functools
import os
import time
from pathlib import Path

from celery import Celery
from celery.signals import worker_ready
from journal import Journal

from shoal.celery import configure

if "APP_LIFE_FD" in os.environ:
    os.set_inheritable(int(os.environ["APP_LIFE_FD"]), False)  # forked children have it, the daemon does not
app = Celery("tasks", broker=os.environ.get("APP_URL"), backend=os.environ.get("APP_URL"))
app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
configure(app)


@functools.cache
def journal():
    return Journal(os.environ["APP_JOURNAL"])


@worker_ready.connect
def say_ready(sender, **_):
    Path(f"{os.environ['APP_JOURNAL']}-{sender.hostname}").touch()


@app.task(bind=True)
def record(self, name, seconds):
    journal().say("run", name, self.request.hostname, time.monotonic())
    time.sleep(seconds)
    return name
