# SPDX-License-Identifier: MIT
"""How a coroutine waits: one Waker for each event loop and segment, many sleepers on it.

The Waker owns the wake FIFO of the loop's thread, which the loop watches with add_reader; nothing polls, so an idle
loop wakes zero times. A waker (any process) writes a byte only while the thread is marked asleep. A sleeper does this:

    sleeper = LoopWaker.current(segment).sleeper()
    try:
        while True:
            sleeper.arm()                    # marks the thread asleep; whoever publishes from now on wakes it
            item = poll()                    # hence poll AFTER arm(): what came before it would wake nobody
            if item is not nothing:
                return item                  # no await after poll(): a cancelled task has lost nothing
            await sleeper.wait(seconds)      # True: woken; False: the time is over. Poll again in both cases
    finally:
        sleeper.close()

When the FIFO becomes readable the thread is marked awake, and every sleeper polls again; a sleeper with a cheap `ready`
callback is left alone while that says False, unless it is the only one. Cancelling at the await leaves nothing behind
but what poll() registered. until_filled() is this for what fills an inbox.

While the daemon's connection is open, the daemon sweeps up after dead processes; from the moment that it ends, the loop
itself does so every 250 ms until there is a daemon again.

A command that finds a shard's lock held too long (BUSY) has stored nothing; it is tried again by a timer, so that
neither the loop freezes nor a cancelled task loses the reply of a command that ran in another thread.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from redis.exceptions import ResponseError

from . import _shoal
from ._exceptions import HolderStopped

_FIRST_PAUSE = 0.0005
_LONGEST_PAUSE = 0.016
_LOCK_BUDGET = 5.0  # seconds, as long as a thread waits for a lock

_SWEEP_PAUSE = 0.25

_wakers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_shoal.Segment, LoopWaker]] = WeakKeyDictionary()
_wakers_lock = threading.Lock()
_of_thread = threading.local()  # .asleep: whose sleep the thread's is, of each segment


def _renew_lock() -> None:
    """In a forked child: another thread of the parent may have held it."""
    global _wakers_lock
    _wakers_lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


class LoopWaker:
    """The sleepers of one event loop on one segment. Everything here runs in the loop's thread."""

    def __init__(self, segment: _shoal.Segment) -> None:
        self._segment = segment
        self._waker = _shoal.Waker(segment)
        self._home = (os.getpid(), threading.get_ident())
        self._sleepers: dict[Sleeper, None] = {}
        self._asleep = False
        self._daemon_fd = -1
        self._flushing = False
        self.wakes = 0  # how often the FIFO was readable; for tests and metrics

    @classmethod
    def current(cls, segment: _shoal.Segment) -> LoopWaker:
        """The one of the running loop."""
        loop = asyncio.get_running_loop()
        of_loop = _wakers.get(loop)
        waker = of_loop.get(segment) if of_loop is not None else None
        if waker is None or waker._home != (os.getpid(), threading.get_ident()):
            waker = cls._start(loop, segment)
        return waker

    @classmethod
    def _start(cls, loop: asyncio.AbstractEventLoop, segment: _shoal.Segment) -> LoopWaker:
        with _wakers_lock:
            for closed in [known for known in _wakers if known.is_closed()]:
                del _wakers[closed]
            of_loop = _wakers.setdefault(loop, {})
        stale = of_loop.pop(segment, None)
        if stale is not None:  # the loop moved to another thread, or this is a forked child that kept its parent's loop
            loop.remove_reader(stale._waker.fileno())
            if stale._daemon_fd >= 0:
                loop.remove_reader(stale._daemon_fd)
        waker = of_loop[segment] = cls(segment)
        loop.add_reader(waker._waker.fileno(), waker._on_readable)
        waker._watch_daemon(loop)
        return waker

    @property
    def has_daemon(self) -> bool:
        """Somebody else sweeps."""
        return self._daemon_fd >= 0

    def _watch_daemon(self, loop: asyncio.AbstractEventLoop) -> None:
        self._daemon_fd = self._segment.watch_daemon()
        if self._daemon_fd >= 0:
            self._daemon_file = os.fstat(self._daemon_fd)
            loop.add_reader(self._daemon_fd, self._on_daemon_gone, loop)
        else:
            loop.call_later(_SWEEP_PAUSE, self._sweep, loop)

    def _on_daemon_gone(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._daemon_fd)
        self._close_daemon_fd()
        self._sweep(loop)

    def _close_daemon_fd(self) -> None:
        """Unless a daemonizer closed it, and the number is another file's by now."""
        fd, self._daemon_fd = self._daemon_fd, -1
        try:
            if fd >= 0 and os.path.samestat(os.fstat(fd), self._daemon_file):
                os.close(fd)
        except OSError:
            pass

    def __del__(self) -> None:
        self._close_daemon_fd()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._home == (os.getpid(), threading.get_ident()):
            self._segment.sweep()
            self._watch_daemon(loop)

    def flush_messages(self) -> None:
        """Messages of a transaction that was committed wait for a lock: try again by a timer until they have left."""
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_later(_FIRST_PAUSE, self._flush, _FIRST_PAUSE)

    def _flush(self, pause: float) -> None:
        if self._home != (os.getpid(), threading.get_ident()):
            return
        self._flushing = not _shoal.flush_messages(self._segment)
        if self._flushing:
            pause = min(2 * pause, _LONGEST_PAUSE)
            asyncio.get_running_loop().call_later(pause, self._flush, pause)

    def sleeper(self, ready: Callable[[], bool] | None = None) -> Sleeper:
        """A new sleeper; `ready` tells cheaply whether its poll would find something."""
        return Sleeper(self, ready)

    def _add(self, sleeper: Sleeper) -> None:
        self._sleepers[sleeper] = None
        self._fall_asleep()

    def _fall_asleep(self) -> None:
        if not self._asleep:
            self._take_over()
            self._waker.arm()
            self._asleep = True

    def _take_over(self) -> None:
        """A thread has one sleep, and may have several loops, of which one runs."""
        asleep = _of_thread.__dict__.setdefault("asleep", WeakValueDictionary())
        before = asleep.get(self._segment)
        if before is not self:
            asleep[self._segment] = self
            if before is not None and before._home == self._home:
                before._give_way()

    def _give_way(self) -> None:
        """All sleepers poll again as soon as this loop goes on."""
        sleepers, self._sleepers = self._sleepers, {}
        if self._asleep:
            self._asleep = False
            self._waker.disarm()
        for sleeper in sleepers:
            with suppress(RuntimeError):  # the loop is closed
                sleeper.woken.resolve(True)

    def _discard(self, sleeper: Sleeper) -> None:
        self._sleepers.pop(sleeper, None)
        if self._asleep and not self._sleepers:
            self._asleep = False
            self._waker.disarm()

    def _on_readable(self) -> None:
        self.wakes += 1
        self._take_over()
        self._asleep = False
        self._waker.rouse()
        left: list[Sleeper] = []
        if len(self._sleepers) == 1:  # who else should it be for
            sleeper, _ = self._sleepers.popitem()
            sleeper.woken.resolve_at_once()
        else:
            left = self._wake(list(self._sleepers), at_once=True)
        self._waker.drain()
        if self._sleepers:
            self._fall_asleep()
            # Once more those that were left alone, for the same reason as after Sleeper.arm(): whoever was woken here
            # may have published to them before somebody, perhaps he himself, marked the thread asleep again.
            self._wake(left, at_once=True)

    def look(self) -> None:
        """Wake the sleepers that would find something."""
        self._wake(list(self._sleepers), at_once=False)

    def _wake(self, sleepers: list[Sleeper], at_once: bool) -> list[Sleeper]:
        """As look(), of these; `at_once` as in _Wake, for a caller that is not in a task. Who was left alone."""
        left = []
        for sleeper in sleepers:
            if sleeper not in self._sleepers:
                continue
            if sleeper.ready is not None and not sleeper.ready():
                left.append(sleeper)
                continue
            del self._sleepers[sleeper]
            sleeper.woken.resolve_at_once() if at_once else sleeper.woken.resolve(True)
        return left


def _see_to_messages(segment: _shoal.Segment) -> None:
    """Called by the extension in the thread that published."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return  # no loop: they leave with the thread's next transaction, or when it ends
    LoopWaker.current(segment).flush_messages()


_shoal.when_messages_stay(_see_to_messages)


class _Wake(asyncio.Future[bool]):
    """What one task awaits, that can go on with it at once.

    A Future's callbacks run in the next turn of the loop, which asks the selector once more before it gets there: a
    good part of the time from a message to its coroutine. Here the loop's own callback, in which no task runs, calls
    the awaiting task itself. Every other end, a time-out or a cancellation, takes the usual way.
    """

    _then: tuple[Callable[[Any], object], Context | None] | None = None

    def add_done_callback(self, fn: Callable[[Any], object], /, *, context: Context | None = None) -> None:
        if self._then is None and not self.done():
            self._then = (fn, context)
        else:
            super().add_done_callback(fn, context=context)

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        if self._then is not None and self._then[0] == fn:
            self._then = None
            return 1
        return super().remove_done_callback(fn)

    def _call_soon(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            super().add_done_callback(then[0], context=then[1])

    def cancel(self, msg: Any | None = None) -> bool:
        self._call_soon()
        return super().cancel(msg)

    def resolve(self, woken: bool) -> None:
        if not self.done():
            self._call_soon()
            self.set_result(woken)

    def resolve_at_once(self) -> None:
        then = self._then
        if then is None or self.done():
            return self.resolve(True)
        self._then = None
        self.set_result(True)
        (then[1] or copy_context()).run(then[0], self)
        return None


class Sleeper:
    """One coroutine's place in the loop's sleep."""

    __slots__ = ("_waker", "ready", "woken")

    def __init__(self, waker: LoopWaker, ready: Callable[[], bool] | None) -> None:
        self._waker = waker
        self.ready = ready
        self.woken = _Wake(loop=asyncio.get_running_loop())

    def arm(self) -> None:
        """From now on a wake is not lost. Poll after it, then wait()."""
        if self.woken.done():
            self.woken = _Wake(loop=asyncio.get_running_loop())
        self._waker._add(self)

    def wait(self, seconds: float | None = None) -> Awaitable[bool]:
        """Sleep until woken (True: the waker knows it no more) or for so long (False). arm() comes first."""
        return self.woken if seconds is None else self._wait_for(self.woken, seconds)

    @staticmethod
    async def _wait_for(future: _Wake, seconds: float) -> bool:
        timer = future.get_loop().call_later(max(seconds, 0.0), future.resolve, False)
        try:
            return await future
        finally:
            timer.cancel()

    def close(self) -> None:
        """Give the place up."""
        self._waker._discard(self)


async def until_filled(
    segment: _shoal.Segment, fill: Callable[[], Any], ready: Callable[[], bool], seconds: float | None
) -> bool:
    """Fill an inbox until something is in it (True) or the time is over. Other tasks get their turn in any case.

    `fill` says whether something is there, or BUSY; `ready` tells cheaply whether it would find something.
    """
    await asyncio.sleep(0)  # a publisher that never pauses does not starve the other tasks
    if (filled := fill()) and filled is not _shoal.BUSY:
        return True
    loop = asyncio.get_running_loop()
    deadline = None if seconds is None else loop.time() + seconds
    sleeper = LoopWaker.current(segment).sleeper(ready)
    armed = False
    try:
        while True:
            if filled is _shoal.BUSY:
                filled = await _until_not_busy(segment, fill)
            if filled:
                return True
            left = None if deadline is None else deadline - loop.time()
            if left is not None and left <= 0:
                return False
            sleeper.arm()
            armed = True
            if not (filled := fill()):
                armed = not await sleeper.wait(left)  # who was woken has been let go
                filled = fill()
    finally:
        if armed:
            sleeper.close()


async def finish_command(
    segment: _shoal.Segment,
    session: _shoal.Session,
    attempt: Callable[[tuple[Any, ...]], Any],
    args: tuple[Any, ...],
    reply: Any,
) -> Any:
    """The reply of a command whose first attempt gave BUSY or PENDING."""
    if reply is _shoal.BUSY:
        reply = await _until_not_busy(segment, lambda: attempt(args))
    return await _until_served(segment, session) if reply is _shoal.PENDING else reply


async def finish_many(
    segment: _shoal.Segment, session: _shoal.Session, commands: list[tuple[Any, ...]], atomic: bool
) -> list[Any] | None:
    """What session.execute_many returns, without waiting in the loop's thread."""
    replies: list[Any] = []

    def attempt() -> Any:
        return session.try_execute_many(commands[len(replies) :], atomic, replies)

    while True:
        state = attempt()
        if state is _shoal.BUSY:
            state = await _until_not_busy(segment, attempt)
        if state is _shoal.PENDING:
            try:
                replies.append(await _until_served(segment, session))
            except ResponseError as error:
                replies.append(error)
            continue
        return replies if state else None


async def _until_not_busy(segment: _shoal.Segment, attempt: Callable[[], Any]) -> Any:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LOCK_BUDGET
    pause = _FIRST_PAUSE
    while True:
        await asyncio.sleep(pause)
        result = attempt()
        if result is not _shoal.BUSY:
            return result
        if loop.time() >= deadline:
            pids = ", ".join(map(str, segment.lock_holders())) or "gone by now"
            raise HolderStopped(f"a lock was held for {_LOCK_BUDGET:.0f} s; its holder may be stopped: {pids}")
        pause = min(2 * pause, _LONGEST_PAUSE)


async def _until_served(segment: _shoal.Segment, session: _shoal.Session) -> Any:
    """The reply of the blocking command that `session` has registered as a waiter."""
    sleeper: Sleeper | None = None
    try:
        sleeper = LoopWaker.current(segment).sleeper()
        while True:
            sleeper.arm()
            reply = session.resume()
            if reply is _shoal.BUSY:
                reply = await _until_not_busy(segment, session.resume)
            if reply is not _shoal.PENDING:
                return reply
            await sleeper.wait(session.pending_timeout())
    except BaseException:
        session.cancel()
        raise
    finally:
        if sleeper is not None:
            sleeper.close()
