# SPDX-License-Identifier: MIT
"""Celery without a broker to install:

celery -A tasks worker          # in one terminal
python tasks.py                 # in another
"""

import os
import sys
import time

from celery import Celery, chord, group

import shoal.celery

URL = os.environ.get("SHOAL_URL", "shoal://tasks")
app = Celery("tasks", broker=URL, backend=URL)
shoal.celery.configure(app)  # a task whose worker is killed runs again, at once, on another


@app.task
def square(number: int) -> int:
    return number * number


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task
def slow(seconds: float) -> int:
    """Returns which process did it. Kill that one meanwhile: another one does it."""
    print(f"working in pid {os.getpid()}", file=sys.stderr, flush=True)
    time.sleep(seconds)
    return os.getpid()


if __name__ == "__main__":
    print("square(7) =", square.delay(7).get(timeout=30))
    print("a group:", group(square.s(number) for number in range(5))().get(timeout=30))
    print("a chord:", chord(square.s(number) for number in range(5))(total.s()).get(timeout=30))
    print("in 2 seconds:", square.apply_async((3,), countdown=2).get(timeout=30))
    print("done by pid", slow.delay(1).get(timeout=30))
