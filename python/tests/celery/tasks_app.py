# SPDX-License-Identifier: MIT
"""The application that the tests' workers and senders share; its broker, backend and log stand in the environment."""

import ctypes
import os
import signal
import time

from celery import Celery, signals

from shoal.celery import configure

app = Celery("tasks_app", broker=os.environ.get("APP_BROKER"), backend=os.environ.get("APP_BACKEND"))
app.conf.update(
    worker_prefetch_multiplier=int(os.environ.get("APP_PREFETCH", "4")),
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)
if os.environ.get("APP_CONFIGURE", "1") == "1":
    configure(app)


def note(*words):
    """One line in the log of the test: appended at once, whoever dies next."""
    with open(os.environ["APP_LOG"], "a") as log:
        log.write(" ".join(str(word) for word in (*words, os.getpid())) + "\n")


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.005)


@signals.worker_process_init.connect
def start_child(**_):
    """Celery asks the kernel to kill a pool child with its parent; some tests need a child that outlives it."""
    time.sleep(float(os.environ.get("APP_SLOW_START", "0")))
    if os.environ.get("APP_OUTLIVE") == "1":
        ctypes.CDLL(None).prctl(1, 0)


@app.task
def add(a, b):
    return a + b


@app.task
def echo(text, seconds):
    time.sleep(seconds)
    return text


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def fail(text):
    raise ValueError(text)


@app.task(bind=True, max_retries=3)
def third_time(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0.05)
    return self.request.retries


@app.task
def record(name):
    note("run", name)
    return name


@app.task
def hold(name, gate):
    """Says that it has begun, ends when the file `gate` is there."""
    note("begin", name)
    wait_for(gate)
    note("end", name)
    return name


@app.task
def kill_me(name):
    note("begin", name)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(bind=True)
def who(self):
    return self.request.delivery_info["redelivered"]
