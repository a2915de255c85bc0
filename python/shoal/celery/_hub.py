# SPDX-License-Identifier: MIT
"""A transport in the event loop of Celery's worker: one FIFO, and timers for what cannot be done at once.

The hub is never blocked. A call that finds a shard's lock held for longer than a moment (its holder was stopped within
a transaction) has done nothing: the hub goes on and tries it again by a timer. Messages are simply taken later;
acknowledgements, rejections and what is published from the hub's thread stand in a line for each queue or exchange, so
that their order is kept and one locked shard does not delay the others. The line is lost with the process: its leases
then come back, as those of any death.

Messages are handed over in the FIFO's callback only, never in a tick: what a message starts (a write to a child, a
timer) must be seen by the ticks and the time-out that precede the next poll.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from celery import current_task
from celery.utils.log import get_logger

from .. import _shoal
from .._exceptions import HolderStopped

if TYPE_CHECKING:
    from .transport import Transport

TURN = 1_000  # messages that one turn of the hub delivers at most
SWEEP = 0.25  # seconds between two looks for dead processes, while no daemon does it
FIRST_PAUSE = 0.001  # seconds until a call that found a lock held is tried again; then twice as long each time
LONGEST_PAUSE = 0.016
COMPLAINT = 5.0  # seconds after which a lock that stays held is worth a line in the log
LINE_LENGTH = 10_000  # calls that wait for one queue or exchange; more are errors of their callers

logger = get_logger("shoal.celery")
_local = threading.local()


class HubLink:
    """Everything here runs in the hub's thread."""

    def __init__(self, transport: Transport, loop: Any) -> None:
        self.transport = transport
        self.loop = loop
        self.waker = _thread_waker(transport.segment)
        self.due = 0
        self.timer: Any = None
        self.daemon_fd = -1
        self.sweeper: Any = None
        self.lines: dict[str, deque[Callable[..., Any]]] = {}
        self.retry: Any = None
        self.pause = FIRST_PAUSE
        self.busy_since = 0.0  # 0: the last calls found no lock held
        self._watch_daemon()
        loop.on_tick.add(self.settle)
        _local.link = (os.getpid(), self)

    @staticmethod
    def current() -> HubLink | None:
        """The one whose hub runs in this thread."""
        pid, link = getattr(_local, "link", (0, None))
        return link if pid == os.getpid() else None  # else a forked child's memory of its parent

    # -- taking --------------------------------------------------------------------------------------------------------
    def settle(self) -> None:
        """Before each poll: goes to sleep in the segment's eyes, unless there is something to do."""
        fd = self.waker.fileno()
        if fd not in self.loop.readers:  # at first, and after a hub.reset()
            self.loop.add_reader(fd, self.turn)
        self.waker.arm()
        try:
            due = self._listen()
        except HolderStopped:
            return self._try_again(in_tick=True)
        if not self.lines:
            self._end_pause()
        if due < 0:
            return self._again()
        if due != self.due:
            self._set_timer(due)

    def _listen(self) -> int:
        """As Consumer.listen(), for all consumers. What is known of the others comes before a locked shard."""
        busy: HolderStopped | None = None
        earliest = 0
        for consumer in self.transport.listening(wait=False):
            try:
                due = consumer.listen(wait=False)
            except HolderStopped as error:
                busy = error
                continue
            if due < 0:
                return due
            earliest = min(earliest or due, due) if due else earliest
        if busy is not None:
            raise busy
        return earliest

    def turn(self) -> None:
        self.waker.disarm()
        for _ in range(TURN):
            try:
                deliver = self.transport.take(wait=False)
            except HolderStopped:
                return self._try_again()
            if deliver is None:
                return
            deliver()

    def _set_timer(self, due: int) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.due, self.timer = due, None
        if due:
            self.timer = self.loop.call_later(max(0.0, due / 1000 - time()) + 0.001, self._on_due)
            self._again()  # the loop has worked out its time-out already: let it do so again

    def _on_due(self) -> None:
        self.due, self.timer = 0, None  # the tick that follows finds it

    def _again(self) -> None:
        os.write(self.waker.fileno(), b"\0")

    # -- calls that may have to wait -----------------------------------------------------------------------------------
    @classmethod
    def run(cls, place: str, call: Callable[..., Any]) -> None:
        """Does call(wait=True); in a hub's thread call(wait=False), now or, in the order of this place, later."""
        link = cls.current()
        if link is None or current_task:  # the body of a task in the hub's thread (pool solo) may wait
            call(wait=True)
        elif place in link.lines:
            if len(link.lines[place]) >= LINE_LENGTH:
                raise HolderStopped(f"{LINE_LENGTH} calls wait for {place}: the holder of its lock may be stopped")
            link.lines[place].append(call)
        else:
            try:
                call(wait=False)
            except HolderStopped:
                link.lines[place] = deque([call])
                link._try_again()

    @classmethod
    def finish(cls) -> None:
        """Does what waits in the lines, however long that takes: the hub ends, or a channel."""
        link = cls.current()
        if link is not None and link.lines:
            link._advance(wait=True)

    def _advance(self, wait: bool = False) -> None:
        for place, line in list(self.lines.items()):
            while line:
                try:
                    line[0](wait=wait)
                except HolderStopped as error:
                    if wait:
                        logger.error("%d calls that waited for %s are given up: %s", len(line), place, error)
                    break
                except Exception as error:
                    logger.error("What waited for %s failed: %r", place, error)
                line.popleft()
            if wait or not line:
                self.lines.pop(place, None)

    def _try_again(self, in_tick: bool = False) -> None:
        if self.retry is not None:
            return
        now = monotonic()
        self.busy_since = self.busy_since or now
        if now - self.busy_since > COMPLAINT:
            logger.warning("A shard of %s stays locked: its holder may be stopped", self.transport.segment.name)
            self.busy_since = now
        self.retry = self.loop.call_later(self.pause, self._on_retry)
        self.pause = min(2 * self.pause, LONGEST_PAUSE)
        if in_tick:
            self._again()  # the loop has worked out its time-out already

    def _on_retry(self) -> None:
        self.retry = None  # the tick that follows looks at the queues
        self._advance()
        if self.lines:
            self._try_again()

    def _end_pause(self) -> None:
        self.pause, self.busy_since = FIRST_PAUSE, 0.0

    # -- the dead ------------------------------------------------------------------------------------------------------
    def _watch_daemon(self) -> None:
        self.sweeper = None
        self.daemon_fd = self.transport.segment.watch_daemon()
        if self.daemon_fd >= 0:
            self.loop.add_reader(self.daemon_fd, self._sweep)  # readable: it is gone
        else:
            self.sweeper = self.loop.call_later(SWEEP, self._sweep)

    def _unwatch_daemon(self) -> None:
        if self.daemon_fd >= 0:
            self.loop.remove(self.daemon_fd)
            os.close(self.daemon_fd)
            self.daemon_fd = -1
        if self.sweeper is not None:
            self.sweeper.cancel()

    def _sweep(self) -> None:
        self._unwatch_daemon()
        self.transport.segment.sweep()
        self._watch_daemon()

    def stop(self) -> None:
        self.finish()
        if self.current() is self:
            del _local.link
        self.loop.on_tick.discard(self.settle)
        self.loop.remove(self.waker.fileno())
        self._unwatch_daemon()
        for timer in (self.timer, self.retry):
            if timer is not None:
                timer.cancel()
        self.waker.disarm()


def _thread_waker(segment: _shoal.Segment) -> _shoal.Waker:
    """This thread's one waker on a segment; a forked child makes its own."""
    wakers: dict[tuple[int, str], _shoal.Waker] = _local.__dict__.setdefault("wakers", {})
    key = (os.getpid(), segment.name)
    if key not in wakers:
        wakers[key] = _shoal.Waker(segment)
    return wakers[key]
