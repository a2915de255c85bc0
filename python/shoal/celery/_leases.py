# SPDX-License-Identifier: MIT
"""Who runs a task, told to the segment from Celery's signals.

A worker's parent process leases a message; the process that runs it (a pool child, or the same one with the threads
and solo pools) says `start` before the body and `finish` after it. From `start` on the child owns the lease too: when
the parent alone dies, the task is not run a second time beside it, and `finish` ends it. A message that was only
prefetched counts no delivery, so the neighbours of a task that kills its worker are not punished with it.
"""

from __future__ import annotations

import functools
from typing import Any

from celery import signals
from celery.utils.log import get_logger
from redis import exceptions

from .. import _shoal
from .._exceptions import HolderStopped
from .._url import OPENING
from . import _children

logger = get_logger("shoal.celery")

ACK, REQUEUE, DROP = 0, 1, 2
_queues: dict[tuple[str, int], _shoal.Queues] = {}


class LeaseLost(SystemExit):
    """This process was about to run a task that has gone to another worker: it leaves instead."""


def opening(options: dict[str, Any]) -> dict[str, Any]:
    """Of the options of a URL those that shape a segment."""
    return {key: value for key, value in options.items() if key in OPENING}


def queues_of(name: str, db: int, **options: Any) -> _shoal.Queues:
    """The queues of a database, of which a process needs one."""
    key = (name, db)
    if key not in _queues:
        _queues[key] = _shoal.Queues(_shoal.Segment.attach(name, **opening(options)), db)
    return _queues[key]


def connection_errors() -> tuple[type[Exception], ...]:
    """What another attempt may mend."""
    return (exceptions.ConnectionError, exceptions.TimeoutError)


def _lease(task: Any) -> tuple[str, int, str] | None:
    return (task.request.properties or {}).get("shoal_lease")


def place_of(tag: str) -> str:
    """Where the hub keeps what is to be stored before the message of this lease is answered."""
    return f"result of {tag}"


def on_prerun(task: Any = None, **_: Any) -> None:
    lease = _lease(task)
    if lease is None:
        return
    if not _start(task, *lease) and task.acks_late:
        logger.warning("Task %s[%s] has gone to another worker; this process leaves", task.name, task.request.id)
        raise LeaseLost(1)


def _start(task: Any, name: str, db: int, tag: str) -> bool:
    """Behind a stopped holder it goes on trying: the lease is the parent's meanwhile, and its alone.

    Any other error Celery logs, and the body runs: if the parent dies, its task is given back beside it, as in a full
    segment. To leave would cost more. The next child would meet the same error, and Celery either fails the task of a
    child that leaves or (reject_on_worker_lost) gives it to one child after the other, uncounted.
    """
    while True:
        try:
            return queues_of(name, db).start(tag)
        except HolderStopped as error:
            if not task.acks_late:  # its message is acknowledged before it runs
                raise
            logger.warning("Task %s[%s] has to wait before it runs: %s", task.name, task.request.id, error)


def on_postrun(task: Any = None, retval: Any = None, state: str | None = None, **_: Any) -> None:
    lease = _lease(task)
    if lease is None or state is None:  # no state: the body was cut off
        return
    name, db, tag = lease
    queues_of(name, db).finish(tag, _outcome(task, state, retval))


def _outcome(task: Any, state: str, retval: Any) -> int:
    if state == "REJECTED":
        return REQUEUE if getattr(retval, "requeue", False) else DROP
    if state == "FAILURE" and task.acks_late:
        on_failure = getattr(task, "acks_on_failure", None)
        if on_failure is None:
            on_failure = getattr(task, "acks_on_failure_or_timeout", True)
        return ACK if on_failure else DROP
    return ACK


def on_worker_ready(sender: Any = None, **_: Any) -> None:
    """Says once what a death would lose."""
    app, connection = sender.app, sender.connection
    if getattr(connection.transport, "driver_name", "") != "shoal":
        return
    early = sorted(name for name, task in app.tasks.items() if not name.startswith("celery.") and not task.acks_late)
    lost = sorted(
        name
        for name, task in app.tasks.items()
        if not name.startswith("celery.") and task.acks_late and not task.reject_on_worker_lost
    )
    remedy = "shoal.celery.configure(app) sets task_acks_late and task_reject_on_worker_lost."
    if early:
        logger.warning(
            "A death of this worker loses the tasks that it runs: Celery acknowledges %s before the body runs. %s",
            _few(early),
            remedy,
        )
    if lost:
        logger.warning("A death of a pool child loses its task: %s. %s", _few(lost), remedy)


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


@functools.cache
def install() -> None:
    signals.task_prerun.connect(on_prerun, weak=False)
    signals.task_postrun.connect(on_postrun, weak=False)
    signals.worker_ready.connect(on_worker_ready, weak=False)
    _children.install()
