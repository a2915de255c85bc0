# SPDX-License-Identifier: MIT
"""A transport in the event loop of Celery's worker: one FIFO, and timers for what cannot be done at once.

The hub is never blocked. A call that finds a shard's lock held for longer than a moment (its holder was stopped within
a transaction) has done nothing. What becomes of it depends on what its caller was told:

    taking a message                          later, at the next turn
    acknowledging, rejecting, cancelling,     stands in a line for its queue or exchange and is tried again by a timer;
    transient messages (events, replies to    so the order is kept, and one locked shard does not delay the others
    remote control: delivery_mode 1)
    storing a result or a state               in a thread beside the hub (aside); the answer to its message waits for it
    publishing anything else, declaring,      HubBusy, at once: the caller knows that nothing was done
    binding, counting, a look at a result

An orderly end of the process does what stands in the lines first (finish). SIGKILL loses them: leases then come back,
as those of any death, a task whose result was not stored yet with them; and transient messages are gone.

Messages are handed over in the FIFO's callback only, never in a tick: what a message starts (a write to a child, a
timer) must be seen by the ticks and the time-out that precede the next poll.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from celery._state import get_current_task
from celery.utils.log import get_logger

from .. import _shoal
from .._exceptions import HolderStopped, ShoalError
from ._aside import Aside

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


class HubBusy(ShoalError):
    """A lock is held for longer than a moment, and the worker's event loop may not wait for it: nothing was done.

    Not one of redis-py's connection errors: Celery would sleep, in the loop, and try again.
    """


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
        self.answers: list[tuple[str, str, Callable[..., Any]]] = []
        self.retry: Any = None
        self.pause = FIRST_PAUSE
        self.busy_since = 0.0  # 0: the last calls found no lock held
        self.serves = False  # the loop has begun to turn
        self._watch_daemon()
        loop.on_tick.add(self.settle)
        _local.link = (os.getpid(), self)
        atexit.register(self._finish_at_exit, os.getpid())

    @staticmethod
    def current() -> HubLink | None:
        """The one whose hub runs in this thread."""
        pid, link = getattr(_local, "link", (0, None))
        return link if pid == os.getpid() else None  # else a forked child's memory of its parent

    # -- taking --------------------------------------------------------------------------------------------------------
    def settle(self) -> None:
        """Before each poll: goes to sleep in the segment's eyes, unless there is something to do."""
        self.serves = True
        fd = self.waker.fileno()
        if fd not in self.loop.readers:  # at first, and after a hub.reset()
            self.loop.add_reader(fd, self.turn)
        self._answer()
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
    def here(cls) -> HubLink | None:
        """The one of this thread, unless it may wait: so may the body of a task in the hub's thread (pool solo)."""
        link = cls.current()
        return None if link is None or get_current_task() is not None else link

    @classmethod
    def now(cls, place: str, call: Callable[..., Any]) -> Any:
        """Does call(wait=True); in the thread of a hub at work call(wait=False), or HubBusy: nothing was done."""
        link = cls.here()
        if link is None or not link.serves:  # a worker that starts may wait, and must not give up
            return call(wait=True)
        why = "what was said before waits for a lock"
        if place not in link.lines:
            try:
                return call(wait=False)
            except HolderStopped as error:
                why = str(error)
        raise HubBusy(f"{place}: {why}; its holder may be stopped, and the worker's event loop does not wait")

    def aside(self, place: str, call: Callable[[], Any]) -> None:
        """Has it done by another thread, and whatever runs for this place waits for that."""
        job = Aside(call)
        line = self.lines.get(place)
        if line is not None:
            line.append(job)
        elif not job.done_within(FIRST_PAUSE):
            self.lines[place] = deque([job])
            self._try_again()
        else:
            self.run(place, job)

    @classmethod
    def answer(cls, of_result: str, of_queue: str, call: Callable[..., Any]) -> None:
        """Does call(wait=True); in a hub's thread at its next tick, and behind what is stored aside for this message
        until then: Celery acknowledges a task that failed before it stores the failure."""
        link = cls.here()
        if link is None:
            call(wait=True)
        else:
            link.answers.append((of_result, of_queue, call))

    def _answer(self) -> None:
        answers, self.answers = self.answers, []
        for of_result, of_queue, call in answers:
            try:
                self.run(of_result if of_result in self.lines else of_queue, call)
            except Exception as error:
                logger.error("%s: a message is not answered: %r", of_queue, error)

    @classmethod
    def run(cls, place: str, call: Callable[..., Any]) -> None:
        """Does call(wait=True); in a hub's thread call(wait=False), now or, in the order of this place, later."""
        link = cls.here()
        if link is None:
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
    def run_last(cls, call: Callable[..., Any]) -> None:
        """As run(), after all that stands in the lines now."""
        link = cls.here()
        if link is not None:
            link._answer()
        before = {} if link is None else {place: line[-1] for place, line in link.lines.items()}

        def when_those_are_done(*, wait: bool = True) -> None:
            if not wait and any(last in link.lines.get(place, ()) for place, last in before.items()):  # type: ignore
                raise HolderStopped("something that has to come before waits for a lock")
            call(wait=wait)

        cls.run(f"the end of {id(call)}", when_those_are_done)

    def finish(self) -> None:
        """Does what waits in the lines, and may wait for each of them as long as a thread may: the hub ends."""
        self._answer()
        if self.lines:
            self._advance(wait=True)

    def _finish_at_exit(self, pid: int) -> None:
        if pid == os.getpid():  # not in a forked child
            self.finish()

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
                    if isinstance(line[0], Aside):  # its message is not answered, as if this had been done in line
                        line.clear()
                        break
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
        atexit.unregister(self._finish_at_exit)
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
