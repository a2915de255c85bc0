# SPDX-License-Identifier: MIT
"""The Celery application of the chaos test: a task says in the journal that it runs."""

import os

from celery import Celery
from journal import Journal

from shoal.celery import configure

app = Celery("tasks", broker=os.environ.get("APP_URL"), backend=os.environ.get("APP_URL"))
app.conf.update(worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)
configure(app)


@app.task
def record(name):
    Journal(os.environ["APP_JOURNAL"]).say("run", name)
    return name
