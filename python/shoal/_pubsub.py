# SPDX-License-Identifier: MIT
"""redis-py's PubSub on channels in shared memory, sync and asyncio.

There is no connection: a subscriber is a set of cursors, read where the messages lie. What Redis would do to a slow
subscriber (close its connection, silently) does not exist; messages that were overwritten before they were read are
counted in `missed` and logged. The native API (shoal's `channel()`) gives them in band, as Gap.

asyncio: a message is taken out of the inbox in the coroutine's own last step, so a cancelled task loses none.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import redis.asyncio.client
import redis.client
from redis.exceptions import ResponseError

from . import _shoal
from ._loop import LoopWaker, _until_not_busy, until_filled
from ._transcoding import is_utf8

_log = logging.getLogger("shoal")
_BATCH = 256
_DRAIN_BATCHES = 64  # of what was published before an UNSUBSCRIBE; a publisher that never pauses ends it

_Step = tuple[Callable[..., Any], str, Any]


class _Inbox:
    """What both PubSubs share: the subscriber, and replies in the form of redis-py's parser."""

    connection_pool: Any
    encoder: Any
    channels: dict[Any, Any]
    patterns: dict[Any, Any]
    missed: int  # messages that were overwritten before they were read; those of an unknown number count as one

    def _open_inbox(self) -> None:
        encoder = self.encoder
        self._decode = bool(encoder.decode_responses)
        self._decode_here = self._decode and not is_utf8(encoder)
        self._replies: deque[Any] = deque()  # with _decode_here as they came: see _take()
        self._subscriber: Any = None
        self._held: tuple[dict[Any, None], dict[Any, None]] = ({}, {})  # channels, patterns that are subscribed to now
        self.missed = 0

    def _attach(self) -> Any:
        if self._subscriber is None:
            self._subscriber = _shoal.Subscriber(self.connection_pool.segment, self._decode and not self._decode_here)
        return self._subscriber

    def _close_inbox(self, wait: bool = True) -> None:
        subscriber, self._subscriber = self._subscriber, None
        self._replies.clear()
        self._held = ({}, {})
        if subscriber is not None:
            subscriber.close(wait=wait)

    def _fill(self, wait: bool = True) -> Any:
        """Moves what can be read into the inbox; whether there is something in it. wait=False: or BUSY."""
        subscriber = self._subscriber
        if subscriber is None:
            raise RuntimeError("pubsub connection not set: did you forget to call subscribe() or psubscribe()?")
        batch = subscriber.read(_BATCH, wait=wait)
        if batch is _shoal.BUSY:
            return batch
        self._replies.extend(batch)
        if subscriber.has_gaps:
            self._note_gaps(subscriber.take_gaps())
        return bool(self._replies)

    def _take(self) -> Any:
        """The next reply. One that cannot be decoded raises, as in redis-py; the next call gives the one behind it."""
        reply = self._replies.popleft()
        return tuple(map(self.encoder.decode, reply)) if self._decode_here else reply

    def _note_gaps(self, gaps: list[tuple[Any, int | None]]) -> None:
        for source, lost in gaps:
            self.missed += 1 if lost is None else lost
            _log.warning("subscriber of %r fell behind and missed %s messages", source, "?" if lost is None else lost)

    def _word(self, word: str) -> Any:
        return word if self._decode else word.encode()

    def _name(self, name: Any) -> Any:
        return self.encoder.decode(self.encoder.encode(name))

    def _steps(self, command: str, names: tuple[Any, ...]) -> Iterator[_Step]:
        """The calls that a command consists of, each with the reply's word and name."""
        subscriber = self._attach()
        word = command.lower()
        held = self._held[command.startswith("P")]
        forget = command.endswith("UNSUBSCRIBE")
        if command in ("SUBSCRIBE", "PSUBSCRIBE"):
            call = subscriber.subscribe if command == "SUBSCRIBE" else subscriber.psubscribe
        elif command in ("UNSUBSCRIBE", "PUNSUBSCRIBE"):
            call = subscriber.unsubscribe if command == "UNSUBSCRIBE" else subscriber.punsubscribe
            names = names or tuple(held)
            if not names:
                self._replies.append((self._word(word), None, subscriber.count))
        else:
            raise ResponseError(f"ERR {command} is not supported on a segment")
        encode = self.encoder.encode
        for given in names:
            name = self._name(given)
            yield partial(call, encode(given)), word, name
            if forget:
                held.pop(name, None)
            else:
                held[name] = None

    def _drains(self, command: str) -> Iterator[None]:
        """Before an UNSUBSCRIBE: fill once for each step. What was published before it comes before its reply."""
        for _ in range(_DRAIN_BATCHES if command in ("UNSUBSCRIBE", "PUNSUBSCRIBE") else 0):
            before = len(self._replies)
            self._attach()
            yield
            if len(self._replies) == before:
                return

    def _answer(self, word: str, name: Any) -> None:
        self._replies.append((self._word(word), name, self._subscriber.count))

    def _answer_ping(self, message: tuple[Any, ...]) -> None:
        text = self.encoder.encode(message[0]) if message else b""
        self._replies.append((self._word("pong"), self.encoder.decode(text)))


class PubSub(_Inbox, redis.client.PubSub):
    """redis.client.PubSub on a segment."""

    def __init__(self, connection_pool: Any, *args: Any, **options: Any) -> None:
        self._subscriber = None
        self._replies = deque()
        super().__init__(connection_pool, *args, **options)
        self._open_inbox()

    def reset(self) -> None:
        """Forget all subscriptions."""
        self._close_inbox()
        self.connection = None
        super().reset()

    def execute_command(self, *args: Any) -> None:
        """(P)SUBSCRIBE, (P)UNSUBSCRIBE and PING; the replies come with the messages, as from a server."""
        if args[0] == "PING":
            self._attach()
            return self._answer_ping(args[1:])
        for _ in self._drains(args[0]):
            self._fill()
        for call, word, name in self._steps(args[0], args[1:]):
            call()
            self._answer(word, name)
        return None

    def check_health(self) -> None:
        """There is nothing to be checked."""

    def parse_response(self, block: bool = True, timeout: float | None = 0) -> Any:
        """The next reply or message; None when the time is over."""
        if not self._replies and not self._fill():
            deadline = None if block or timeout is None else time.monotonic() + timeout
            while not self._fill():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._subscriber.wait(left)
                if self._subscriber is None:
                    return None  # another thread closed it
        return self._take()


class AsyncPubSub(_Inbox, redis.asyncio.client.PubSub):
    """redis.asyncio.client.PubSub on a segment."""

    def __init__(self, connection_pool: Any, *args: Any, **options: Any) -> None:
        super().__init__(connection_pool, *args, **options)
        self._open_inbox()

    def __del__(self) -> None:
        pass  # the subscriber unsubscribes by itself

    async def connect(self) -> None:
        """Be ready for subscriptions."""
        self._attach()

    async def aclose(self) -> None:
        """Forget all subscriptions."""
        self._close_inbox(wait=False)
        self.channels = {}
        self.patterns = {}
        self.pending_unsubscribe_channels = set()
        self.pending_unsubscribe_patterns = set()

    async def execute_command(self, *args: Any) -> None:
        """(P)SUBSCRIBE, (P)UNSUBSCRIBE and PING; the replies come with the messages, as from a server."""
        if args[0] == "PING":
            self._attach()
            self._answer_ping(args[1:])
        else:
            await self._run(args[0], args[1:])
        LoopWaker.current(self.connection_pool.segment).look()  # a task that listens to this object has its replies
        return None

    async def _run(self, command: str, names: tuple[Any, ...]) -> None:
        for _ in self._drains(command):
            if self._fill(False) is _shoal.BUSY:
                await _until_not_busy(self.connection_pool.segment, partial(self._fill, False))
        for call, word, name in self._steps(command, names):
            attempt = partial(call, wait=False)
            if attempt() is _shoal.BUSY:
                await _until_not_busy(self.connection_pool.segment, attempt)
            self._answer(word, name)

    async def check_health(self) -> None:
        """There is nothing to be checked."""

    async def parse_response(self, block: bool = True, timeout: float | None = 0) -> Any:
        """The next reply or message; None when the time is over."""
        if not self._replies and not await self._wait(None if block else timeout):
            return None
        return self._take()

    async def get_message(self, ignore_subscribe_messages: bool = False, timeout: float | None = 0.0) -> Any:
        """The next message, or None: the time is over, or it was for a handler or is not wanted."""
        if not self._replies and not await self._wait(timeout):
            return None
        message = self._plain_message()
        return await self._handled(ignore_subscribe_messages) if message is None else message

    async def listen(self) -> AsyncIterator[Any]:
        """All messages, until the last subscription is gone."""
        while self.subscribed:
            if not self._replies and not await self._wait(None):
                continue
            message = self._plain_message()
            if message is None:
                message = await self._handled(False)
            if message is not None:
                yield message

    def _plain_message(self) -> Any:
        """Takes the next reply if it is a message to a channel without a handler."""
        reply = self._replies[0]
        if self._decode_here or len(reply) != 3 or (reply[0] != b"message" and reply[0] != "message"):
            return None
        if self.channels.get(reply[1]) is not None:
            return None
        self._replies.popleft()
        return {"type": "message", "pattern": None, "channel": reply[1], "data": reply[2]}

    async def _handled(self, ignore_subscribe_messages: bool) -> Any:
        handle: Any = self.handle_message
        return await handle(self._take(), ignore_subscribe_messages)

    def _wait(self, timeout: float | None) -> Awaitable[bool]:
        """Until the inbox holds something (True) or the time is over. Other tasks get their turn in any case."""
        return until_filled(self.connection_pool.segment, partial(self._fill, False), self._ready, timeout)

    def _ready(self) -> bool:
        return bool(self._replies) or self._subscriber is None or self._subscriber.readable()


__all__ = ["AsyncPubSub", "PubSub"]
