# SPDX-License-Identifier: MIT
"""Broadcast to all WebSockets of all workers, for FastAPI and Starlette.

    from shoal.fastapi import Broadcast
    broadcast = Broadcast("shoal://app", keep=1000)

    @app.websocket("/ws/{room}")
    async def room(socket: WebSocket, room: str):
        await broadcast.serve(socket, room)

serve() accepts the socket, sends it what it missed, then everything that is published to the channel by any worker, any
Celery task, any process; and publishes what it receives. A client that reconnects with `?since=` and the id of the last
message it saw gets exactly what came after it.

One cursor a channel and event loop reads the segment; from it each socket has a bounded queue of its own. A slow
socket delays nobody: when its queue is full the oldest of it goes, and the client is told by a gap. What the client
receives is JSON: {"id": "...", "data": "..."} and {"gap": 3} (null: nobody knows how many); `encode=` changes that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from starlette.websockets import WebSocket, WebSocketDisconnect

from . import _shoal
from . import asyncio as shoal_asyncio
from ._channels import _BATCH, AsyncChannel, Gap, Message, Position, Published, _as_position
from ._exceptions import HolderStopped
from ._loop import LoopWaker, _until_not_busy

Item = Message | Gap


def to_json(item: Item) -> str:
    """What a client receives unless encode= says otherwise."""
    if isinstance(item, Gap):
        return json.dumps({"gap": item.missed})
    return json.dumps({"id": str(item.position), "data": item.data.decode(errors="replace")})


class Listener:
    """One socket's queue: iterate over it. Bounded; what it had to drop comes as a Gap."""

    def __init__(self, queue_max: int) -> None:
        self._items: deque[Item] = deque()
        self._queue_max = queue_max
        self._dropped = 0
        self._seen: Position | None = None  # newest position of the history: the hub's cursor may still be behind it
        self._future: asyncio.Future[None] | None = None

    def _put(self, item: Item) -> None:
        seen = self._seen
        if seen is not None and isinstance(item, Message) and item[2] == seen[0] and item[3] <= seen[1]:
            return
        if len(self._items) >= self._queue_max:
            oldest = self._items.popleft()
            self._dropped += 1 if isinstance(oldest, Message) else (oldest.missed or 1)
        self._items.append(item)
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def __aiter__(self) -> Listener:
        return self

    async def __anext__(self) -> Item:
        while not self._items:
            self._future = asyncio.get_running_loop().create_future()
            await self._future
        if self._dropped:
            missed, self._dropped = self._dropped, 0
            return Gap(missed, self._items[0].channel)
        return self._items.popleft()


class _Hub:
    """What one event loop shares: a subscriber for all its channels, and who listens to which."""

    def __init__(self, segment: Any) -> None:
        self._segment = segment
        self._subscriber = _shoal.Subscriber(segment, True)
        self._listeners: dict[str, set[Listener]] = {}
        self._reader: asyncio.Task[None] | None = None

    async def join(self, channel: str, listener: Listener, last: int | None, since: tuple[int, int] | None) -> None:
        if channel not in self._listeners:
            await self._call(partial(self._subscriber.subscribe, channel))
        self._listeners.setdefault(channel, set()).add(listener)
        if self._reader is None:
            self._reader = asyncio.create_task(self._read(), name="shoal broadcast")
        if last or since is not None:
            history = _shoal.Subscriber(self._segment, True)
            try:
                await self._call(partial(history.subscribe, channel, last, since))
                await self._prepend(listener, history)
            finally:
                history.close(wait=False)

    async def _prepend(self, listener: Listener, history: Any) -> None:
        """The history up to now; what the hub has given the listener meanwhile is part of it."""
        items: list[Item] = []
        while batch := await self._call(partial(history.read_as, Message, Gap, _BATCH)):
            items += batch
            if len(items) > 1_000_000:
                break
        newest = next((item for item in reversed(items) if isinstance(item, Message)), None)
        if newest is not None:
            listener._seen = newest.position
            later = [i for i in listener._items if not (isinstance(i, Message) and i.position <= newest.position)]
            items += later
            listener._items.clear()
        listener._items.extendleft(reversed(items))

    def leave(self, channel: str, listener: Listener) -> None:
        listeners = self._listeners.get(channel, set())
        listeners.discard(listener)
        if not listeners and self._listeners.pop(channel, None) is not None:
            self._subscriber.drop(channel)
        if not self._listeners and self._reader is not None:
            self._reader.cancel()
            self._reader = None

    async def _read(self) -> None:
        sleeper = LoopWaker.current(self._segment).sleeper(self._subscriber.readable)
        try:
            while True:
                sleeper.arm()
                try:
                    items = await self._call(partial(self._subscriber.read_as, Message, Gap, _BATCH))
                except HolderStopped:
                    continue  # a ring behind a lock that stays held: no listener may miss what comes after it
                for item in items:
                    for listener in self._listeners.get(item.channel, ()):
                        listener._put(item)
                await (asyncio.sleep(0) if items else sleeper.wait())
        finally:
            sleeper.close()

    async def _call(self, call: Callable[..., Any]) -> Any:
        attempt = partial(call, wait=False)
        answer = attempt()
        return await _until_not_busy(self._segment, attempt) if answer is _shoal.BUSY else answer


class Broadcast:
    """Channels of a segment for the sockets of an application. Make one anywhere; it is bound to no event loop.

    keep, ttl: the history that each channel keeps for those who reconnect. last: how much of it a socket without a
    position gets. queue_max: how many messages may wait for one socket.
    """

    def __init__(
        self,
        url: str = "shoal://app",
        *,
        keep: int = 100,
        ttl: float | None = None,
        last: int = 0,
        queue_max: int = 1000,
        encode: Callable[[Item], str | bytes] = to_json,
    ) -> None:
        self.redis = shoal_asyncio.from_url(url)
        self._keep, self._ttl, self._last = keep, ttl, last
        self._queue_max = queue_max
        self._encode = encode
        self._channels: dict[str, AsyncChannel] = {}
        self._hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, _Hub] = WeakKeyDictionary()

    def _channel(self, name: str) -> AsyncChannel:
        channel = self._channels.get(name)
        if channel is None:
            if len(self._channels) >= 10_000:
                self._channels.clear()
            channel = self._channels[name] = self.redis.channel(name, keep=self._keep, ttl=self._ttl)
        return channel

    async def publish(self, channel: str, data: str | bytes) -> Published:
        """To every socket of every worker that listens to the channel."""
        return await self._channel(channel).publish(data)

    @contextlib.asynccontextmanager
    async def listen(
        self, channel: str, *, last: int | None = None, since: Position | str | None = None
    ) -> AsyncIterator[Listener]:
        """async with ... as items: async for item in items: Messages and Gaps."""
        await self._channel(channel)._settle()
        loop = asyncio.get_running_loop()
        hub = self._hubs.get(loop)
        if hub is None:
            hub = self._hubs[loop] = _Hub(self.redis.segment)
        listener = Listener(self._queue_max)
        try:
            await hub.join(channel, listener, self._last if last is None else last, _position(since))
            yield listener
        finally:
            hub.leave(channel, listener)

    async def serve(
        self,
        socket: WebSocket,
        channel: str,
        *,
        last: int | None = None,
        since: Position | str | None = None,
        receive: bool = True,
    ) -> None:
        """Serve the socket until it closes. `since` is the ?since= of its URL unless given. receive=False: what the
        client sends is ignored."""
        await socket.accept()
        resume = since if since is not None else socket.query_params.get("since")
        async with self.listen(channel, last=last, since=resume) as items:
            sender = asyncio.create_task(self._send(socket, items))
            try:
                while True:
                    text = await socket.receive_text()
                    if receive:
                        await self.publish(channel, text)
            except (WebSocketDisconnect, KeyError):  # KeyError: bytes where text is spoken
                pass
            finally:
                sender.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await sender

    async def _send(self, socket: WebSocket, items: Listener) -> None:
        async for item in items:
            encoded = self._encode(item)
            await (socket.send_text(encoded) if isinstance(encoded, str) else socket.send_bytes(encoded))

    async def events(
        self, channel: str, last_event_id: str | None = None, last: int | None = None
    ) -> AsyncIterator[str]:
        """Server-sent events, for a StreamingResponse of media type text/event-stream; Last-Event-ID resumes."""
        async with self.listen(channel, last=last, since=last_event_id) as items:
            async for item in items:
                if isinstance(item, Gap):
                    yield f"event: gap\ndata: {json.dumps(item.missed)}\n\n"
                else:
                    data = item.data.decode(errors="replace").replace("\n", "\ndata: ")
                    yield f"id: {item.position}\ndata: {data}\n\n"


def _position(since: Position | str | None) -> tuple[int, int] | None:
    """What a client sent: a position that nobody could have given is one of an unknown incarnation."""
    try:
        return _as_position(since)
    except ValueError:
        return (0, 0)


__all__ = ["Broadcast", "Item", "Listener", "to_json"]
