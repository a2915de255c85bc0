# SPDX-License-Identifier: MIT
"""A pool child that died is noticed at once.

Celery's prefork pool looks for an exited child when its sentinel becomes readable, once, and takes the sentinel out of
the hub. But the kernel closes a dying process's descriptors before it lets the parent wait for it: when the look comes
in between, which on a busy machine is the rule, it finds the child alive, and the next look is a timer's, up to five
seconds later. So long the child's task would run nowhere. Here the look is repeated until the child is found.
"""

from __future__ import annotations

from typing import Any

from celery import signals

AGAIN = 0.01  # seconds


def look_until_gone(sender: Any = None, **_: Any) -> None:
    """Before a pool (`sender`) starts a child; only the pool that lives in a hub has such a callback."""
    told = getattr(sender, "_event_process_exit", None)
    if told is None or getattr(told, "until_gone", False):
        return

    def event_process_exit(hub: Any, process: Any) -> None:
        told(hub, process)
        if process in sender._pool:
            hub.call_later(AGAIN, event_process_exit, hub, process)

    event_process_exit.until_gone = True  # type: ignore[attr-defined]
    sender._event_process_exit = event_process_exit


def install() -> None:
    signals.worker_before_create_process.connect(look_until_gone, weak=False, dispatch_uid="shoal.celery.children")
