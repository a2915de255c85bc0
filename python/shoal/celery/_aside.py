# SPDX-License-Identifier: MIT
"""What a worker's event loop has done beside it, in order, by one thread: calls into Celery that may wait for a lock,
and sleep and try again, as in any other process of an application."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from .._exceptions import HolderStopped

PATIENCE = 6.0  # seconds that an orderly end waits for one call: a thread's budget for a lock, and a little

_thread: tuple[int, SimpleQueue[Aside]] | None = None


class NotStored(Exception):
    """All attempts are over; HolderStopped would say that the call is not done yet."""


class Aside:
    """One such call, as a line of the hub holds it: calling it asks whether it is done."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._done = threading.Event()
        self._error: BaseException | None = None
        _jobs().put(self)

    def done_within(self, seconds: float) -> bool:
        return self._done.wait(seconds)

    def __call__(self, *, wait: bool = True) -> None:
        if not self._done.wait(PATIENCE if wait else 0):
            raise HolderStopped("what was to be stored is not stored yet")
        if isinstance(self._error, HolderStopped):
            raise NotStored(str(self._error)) from self._error
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._call()
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()


def _jobs() -> SimpleQueue[Aside]:
    """The thread's, which is made when it is first needed, and anew in a forked child."""
    global _thread
    if _thread is None or _thread[0] != os.getpid():
        jobs: SimpleQueue[Aside] = SimpleQueue()
        threading.Thread(target=_serve, args=(jobs,), name="shoal results", daemon=True).start()
        _thread = (os.getpid(), jobs)
    return _thread[1]


def _serve(jobs: SimpleQueue[Aside]) -> None:
    while True:
        jobs.get()._run()
