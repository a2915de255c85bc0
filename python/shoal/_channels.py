# SPDX-License-Identifier: MIT
"""Channels with history and positions, beyond what Redis's pub/sub can say.

    channel = r.channel("room", keep=1000)               # keeps the last 1000 messages, with or without subscribers
    async with channel.subscribe(last=50) as messages:   # 50 old ones, then what comes: no gap, no duplicate
        async for message in messages:
            ...                                          # message.text, message.position

A message that was overwritten before it was read comes as Gap(n) in its place. A position is good in every process and
after a reconnect: `subscribe(since=position)` goes on right behind it, and says by a Gap what is no longer there.

asyncio: a message is taken out in the coroutine's own last step, so a cancelled task loses none.
"""

from __future__ import annotations

import logging
from collections import deque
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple, TypeVar

from . import _shoal
from ._loop import LoopWaker, _until_not_busy, until_filled

_new_tuple: Any = tuple.__new__
_log = logging.getLogger("shoal")
_BATCH = 256


class Position(NamedTuple):
    """Where a message stands: which incarnation of the channel, and its number there, from 1 on."""

    incarnation: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.incarnation}-{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """The position that str() made this text of."""
        incarnation, dash, sequence = text.partition("-")
        if not (dash and incarnation.isascii() and incarnation.isdigit() and sequence.isascii() and sequence.isdigit()):
            raise ValueError(f"not a position: {text!r}")
        return cls(min(int(incarnation), 2**63), min(int(sequence), 2**63))


class _MessageFields(NamedTuple):
    channel: str
    data: bytes
    incarnation: int
    sequence: int


class Message(_MessageFields):
    """What somebody published."""

    __slots__ = ()

    @property
    def position(self) -> Position:
        """Where to go on: subscribe(since=message.position)."""
        return Position(self[2], self[3])

    @property
    def text(self) -> str:
        """The data as UTF-8 text."""
        return self[1].decode()


class Gap(NamedTuple):
    """Messages are missing here. None: nobody knows how many, for the channel is not the one of the position."""

    missed: int | None
    channel: str


class Published(NamedTuple):
    """What became of a message."""

    receivers: int
    # None: nobody listened and no history is kept, or it has no place yet, for a lock is held that the loop does not
    # wait for: it is published when that falls.
    position: Position | None


Since = Position | tuple[int, int] | str | None


def _as_position(since: Since) -> tuple[int, int] | None:
    if since is None or since == "":
        return None
    if isinstance(since, str):
        since = Position.parse(since)
    return (int(since[0]), int(since[1]))


def _milliseconds(ttl: float | timedelta | None) -> int:
    if ttl is None:
        return 0
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else float(ttl)
    if seconds <= 0:
        raise ValueError("ttl must be positive")
    return max(1, int(seconds * 1000))


class _ChannelBase:
    """A name, and the history that the channel is to keep; None leaves it as it is."""

    def __init__(self, segment: Any, name: str | bytes, keep: int | None, ttl: float | timedelta | None) -> None:
        if keep is not None and keep < 0:
            raise ValueError("keep must not be negative")
        if ttl is not None and not keep:
            raise ValueError("ttl= needs keep=: it limits the age of the messages that are kept")
        self._segment_of = segment
        self.name = name
        self._keep = keep
        self._ttl_ms = _milliseconds(ttl)
        self._settled = keep is None
        self._warned = False

    @property
    def _segment(self) -> Any:
        return self._segment_of()

    def _settling(self) -> Any:
        return partial(_shoal.configure_channel, self._segment, self.name, self._keep or 0, self._ttl_ms)

    def _published(self, answer: Any) -> Published:
        receivers, incarnation, sequence, cut = answer
        if cut and not self._warned:
            self._warned = True
            _log.warning(
                "channel %r: the last %s messages do not fit into its largest ring; the oldest of them are gone",
                self.name,
                self._keep,
            )
        # Without a call of the class: this is a good part of what a publication costs.
        position = _new_tuple(Position, (incarnation, sequence)) if incarnation else None
        published: Published = _new_tuple(Published, (receivers, position))
        return published


_Items = TypeVar("_Items", bound="_SubscriptionBase")


class _SubscriptionBase:
    def __init__(self, channel: Any, last: int | None, since: Since) -> None:
        if last is not None and last < 0:
            raise ValueError("last must not be negative")
        self._channel = channel
        self._last = last
        self._since = _as_position(since)
        self._subscriber: Any = None
        self._items: deque[Message | Gap] = deque()
        self._closed = False

    def _opening(self) -> Any:
        subscriber = _shoal.Subscriber(self._channel._segment, True)
        return subscriber, partial(subscriber.subscribe, self._channel.name, self._last, self._since)

    def _close(self, wait: bool = True) -> None:
        self._closed = True
        subscriber, self._subscriber = self._subscriber, None
        if subscriber is not None:
            subscriber.close(wait=wait)


class Subscription(_SubscriptionBase):
    """Messages and Gaps of one channel, in a thread that waits for them."""

    def __enter__(self) -> Subscription:
        if self._subscriber is None:
            self._channel._settle()
            subscriber, call = self._opening()
            call()
            self._subscriber = subscriber
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Unsubscribe; iteration ends."""
        self._close()

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Message | Gap:
        item = self.get()
        if item is None:
            raise StopIteration
        return item

    def get(self, timeout: float | None = None) -> Message | Gap | None:
        """The next item; None when the time is over (or the subscription closed)."""
        if self._closed:
            return None
        if self._subscriber is None:
            self.__enter__()
        while not self._items:
            subscriber = self._subscriber
            if subscriber is None:
                return None  # another thread closed it
            self._items.extend(subscriber.read_as(Message, Gap, _BATCH))
            if not self._items and not subscriber.wait(timeout):
                return None
        return self._items.popleft()


class Channel(_ChannelBase):
    """A channel by its name."""

    def _settle(self) -> None:
        if not self._settled:
            self._settling()()
            self._settled = True

    def publish(self, data: str | bytes | bytearray | memoryview | float) -> Published:
        """Publish to all subscribers in all processes."""
        if not self._settled:
            self._settle()
        return self._published(_shoal.publish(self._segment, self.name, data))

    def subscribe(self, last: int | None = None, since: Since = None) -> Subscription:
        """From now on, with the last n messages that are kept, or from right behind a position."""
        return Subscription(self, last, since)


class AsyncSubscription(_SubscriptionBase):
    """Messages and Gaps of one channel, in an event loop."""

    _sleeps_with: LoopWaker | None = None

    async def __aenter__(self) -> AsyncSubscription:
        if self._subscriber is None:
            await self._channel._settle()
            subscriber, call = self._opening()
            attempt = partial(call, wait=False)
            if attempt() is _shoal.BUSY:
                await _until_not_busy(self._channel._segment_of(), attempt)
            self._subscriber = subscriber
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Unsubscribe; iteration ends."""
        self._close()

    def __aiter__(self) -> AsyncSubscription:
        return self

    async def __anext__(self) -> Message | Gap:
        items = self._items
        if not items and not await self._wait(None):
            raise StopAsyncIteration
        return items.popleft()

    async def get(self, timeout: float | None = None) -> Message | Gap | None:
        """The next item; None when the time is over (or the subscription closed)."""
        if not self._items and not await self._wait(timeout):
            return None
        return self._items.popleft()

    async def _wait(self, timeout: float | None) -> bool:
        if self._closed:
            return False
        if self._subscriber is None:
            await self.__aenter__()
        self._sleeps_with = LoopWaker.current(self._channel._segment)
        try:
            await until_filled(self._channel._segment, self._fill, self._ready, timeout)
        finally:
            self._sleeps_with = None
        return bool(self._items)

    def _fill(self) -> Any:
        if self._subscriber is None:
            return True
        items = self._subscriber.read_as(Message, Gap, _BATCH, wait=False)
        if items is _shoal.BUSY:
            return items
        self._items.extend(items)
        return bool(self._items)

    def _ready(self) -> bool:
        return self._subscriber is None or self._subscriber.readable()

    def _close(self, wait: bool = False) -> None:
        super()._close(wait)
        if self._sleeps_with is not None:  # somebody may iterate in another task: let it end
            self._sleeps_with.look()


class AsyncChannel(_ChannelBase):
    """A channel by its name, for coroutines. It is not bound to an event loop."""

    async def _settle(self) -> None:
        if not self._settled:
            attempt = partial(self._settling(), wait=False)
            if attempt() is _shoal.BUSY:
                await _until_not_busy(self._segment_of(), attempt)
            self._settled = True

    async def publish(self, data: str | bytes | bytearray | memoryview | float) -> Published:
        """Publish to all subscribers in all processes."""
        if not self._settled:
            await self._settle()
        segment = self._segment_of()
        answer = _shoal.publish(segment, self.name, data, False)
        if answer is _shoal.BUSY:
            answer = await _until_not_busy(segment, partial(_shoal.publish, segment, self.name, data, False))
        return self._published(answer)

    def subscribe(self, last: int | None = None, since: Since = None) -> AsyncSubscription:
        """From now on, with the last n messages that are kept, or from right behind a position."""
        return AsyncSubscription(self, last, since)


__all__ = [
    "AsyncChannel",
    "AsyncSubscription",
    "Channel",
    "Gap",
    "Message",
    "Position",
    "Published",
    "Subscription",
]
