# SPDX-License-Identifier: MIT
"""Celery on Shoal: `Celery("app", broker="shoal://app", backend="shoal://app")`.

The broker is a kombu transport over the segment's task queues (transport.py), the result backend keeps Celery's own
formats (backend.py). Nothing has to be imported for either: entry points lead there. What an application does want is

    from shoal.celery import configure
    configure(app)

because Celery by itself acknowledges a task before it runs, and a task that is acknowledged dies with its worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import _shoal_kombu  # noqa: F401  (an import of this package registers the scheme too)

if TYPE_CHECKING:
    from celery import Celery

__all__ = ["configure"]

CHILD_STARTS_WITHIN = 60.0  # seconds
_CELERY_S_OWN = 4.0


def configure(app: Celery) -> Celery:
    """Makes every task of `app` survive the death of the process that runs it; call it before tasks are first used.

    Sets `task_acks_late` (a task is acknowledged when it has ended) and `task_reject_on_worker_lost` (a task whose pool
    child was killed goes back to its queue). A task may then run a second time after a death: make it idempotent.

    Where it is Celery's default of 4 s it also raises `worker_proc_alive_timeout`: a pool child that takes longer to
    start than that, on a busy machine, is killed and so is each that follows it, and the task never begins.
    """
    app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)
    if not app.configured:  # to ask for a setting now would read the configuration too early
        app.conf.setdefault("worker_proc_alive_timeout", CHILD_STARTS_WITHIN)
    elif app.conf.worker_proc_alive_timeout == _CELERY_S_OWN:
        app.conf.update(worker_proc_alive_timeout=CHILD_STARTS_WITHIN)
    return app
