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


def configure(app: Celery) -> Celery:
    """Makes every task of `app` survive the death of the process that runs it; call it before tasks are first used.

    Sets `task_acks_late` (a task is acknowledged when it has ended) and `task_reject_on_worker_lost` (a task whose pool
    child was killed goes back to its queue). A task may then run a second time after a death: make it idempotent.
    """
    app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)
    return app
