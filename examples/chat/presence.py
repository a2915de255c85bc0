# SPDX-License-Identifier: MIT
"""Who is here, and which workers serve them.

Every worker renews its own rows each second. A row that nobody renews is swept by the next beat of any worker: a worker
that was killed says no goodbye. Whoever comes or goes tells the others by a message, so that they do not wait for it.
"""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import WebSocket

BEAT, GRACE = 1.0, 2.5  # seconds


class Presence:
    def __init__(self, r: Any) -> None:
        self._r = r
        self._here: dict[WebSocket, str] = {}
        self._told: dict[WebSocket, str] = {}
        self._news = asyncio.Event()
        self._started = time.time()
        self._fewest = 0  # tabs on the worker that has the fewest

    @asynccontextmanager
    async def of(self, socket: WebSocket, room: str, client: str, name: str) -> AsyncIterator[None]:
        """A tab is here as long as this lasts."""
        row = json.dumps({"client": client, "name": name, "room": room, "worker": os.getpid()})
        self._here[socket] = row
        await self._r.publish("presence", "came")
        self._news.set()
        try:
            yield
        finally:
            del self._here[socket]
            self._told.pop(socket, None)
            await self._r.zrem("people", row)
            await self._r.publish("presence", "went")

    def crowded(self) -> bool:
        """Whether another worker has fewer tabs than this one."""
        return len(self._here) > self._fewest

    async def run(self) -> None:
        """A worker's heart: beats each second, and at once when somebody came or went."""
        listening = asyncio.create_task(self._listen())
        try:
            while True:
                self._news.clear()
                await self._beat()
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._news.wait(), BEAT)
                await asyncio.sleep(0.02)  # who comes in a crowd is told of as one
        finally:
            listening.cancel()

    async def _listen(self) -> None:
        async with self._r.channel("presence").subscribe() as messages:
            async for _ in messages:
                self._news.set()

    async def _beat(self) -> None:
        now = time.time()
        me = json.dumps({"pid": os.getpid(), "since": self._started})
        async with self._r.pipeline() as transaction:
            transaction.zadd("workers", {me: now + GRACE})
            if self._here:
                transaction.zadd("people", dict.fromkeys(self._here.values(), now + GRACE))
            transaction.zremrangebyscore("workers", 0, now)
            transaction.zremrangebyscore("people", 0, now)
            transaction.zrange("workers", 0, -1)
            transaction.zrange("people", 0, -1)
            *_, workers, people = await transaction.execute()
        workers = sorted(map(json.loads, workers), key=lambda worker: worker["since"])
        people = sorted(map(json.loads, people), key=lambda person: (person["name"].lower(), person["client"]))
        tabs = Counter(person["worker"] for person in people)
        self._fewest = min(tabs[worker["pid"]] for worker in workers)
        await self._tell(json.dumps({"type": "presence", "workers": workers, "people": people}))

    async def _tell(self, news: str) -> None:
        for socket in [socket for socket in self._here if self._told.get(socket) != news]:
            self._told[socket] = news
            with suppress(Exception):  # it is just going; tab() sees that
                await socket.send_text(news)
