# SPDX-License-Identifier: MIT
"""The Celery application of the chaos test: a task says in the journal that it runs, and some linger, so that a kill
meets them."""

import functools
import os
import time

from celery import Celery
from journal import Journal

from shoal.celery import configure

app = Celery("tasks", broker=os.environ.get("APP_URL"), backend=os.environ.get("APP_URL"))
app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
configure(app)


@functools.cache
def journal():
    return Journal(os.environ["APP_JOURNAL"])


@app.task
def record(name, seconds):
    journal().say("run", name)
    time.sleep(seconds)
    return name
