# SPDX-License-Identifier: MIT
"""A tab without a browser: numbers what it says, says it again until acknowledged, comes back by position."""

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage


class Seen(NamedTuple):
    position: tuple[int, int]
    sender: str
    number: int


class Client:
    def __init__(self, url: str, room: str, name: str) -> None:
        self.room, self.name = room, name
        self.worker = 0
        self.seen: list[Seen] = []  # in the order of arrival
        self.acknowledged: list[int] = []
        self.pending: dict[int, str] = {}
        self.gaps = self.resent = 0
        self.back: list[float] = []  # seconds without a worker, once for each time
        self.jobs: dict[str, list[dict]] = defaultdict(list)
        self._address = f"{url.replace('http', 'ws')}/ws/{room}"
        self._since: dict[str, str] = {}
        self._socket: ClientConnection | None = None
        self._news = asyncio.Condition()
        self._asked: dict[str, int] = {}
        self._number = 0

    def __str__(self) -> str:
        jobs = {job: (events[-1]["run"], events[-1]["done"]) for job, events in self.jobs.items() if events}
        return (
            f"{self.name} on {self.worker if self._socket else 'no worker'}: {len(self.acknowledged)} acknowledged, "
            f"{len(self.pending)} pending, {len(self.seen)} seen, {self.gaps} gaps, jobs {jobs}"
        )

    async def run(self) -> None:
        """Stays connected until cancelled."""
        down, crowded = 0.0, 0
        while True:
            spread = {"spread": 1} if not self.worker and crowded < 30 else {}
            query = urlencode({"client": self.name, "name": self.name, **self._since, **spread})
            try:
                async with connect(f"{self._address}?{query}", proxy=None, ping_interval=None) as socket:
                    async for text in socket:
                        await self._receive(socket, json.loads(text))
                        if down and self._socket:
                            self.back.append(time.monotonic() - down)
                            down = 0.0
                crowded += 1
            except (ConnectionClosed, InvalidHandshake, InvalidMessage, OSError):
                pass
            if self._socket:
                down, self._socket = time.monotonic(), None
            await asyncio.sleep(0.02 * random.random())

    async def _receive(self, socket: ClientConnection, event: dict) -> None:
        kind, body = event["type"], event.get("body", {})
        if kind == "hello":
            await self._resend(socket)
            self.worker, self._socket = event["worker"], socket  # from now on say() sends by itself
        elif kind == "room":
            self.seen.append(Seen(tuple(map(int, event["position"].split("-"))), body["client"], body["number"]))
            self._since["since"] = event["position"]
        elif kind == "jobs":
            self.jobs[body["job"]].append(body)
            self._since["jobs_since"] = event["position"]
        elif kind == "ack" and self.pending.pop(event["number"], None) is not None:
            self.acknowledged.append(event["number"])
        elif kind == "queued":
            self._asked.pop(event["job"], None)
        elif kind == "gap":
            self.gaps += 1
        async with self._news:
            self._news.notify_all()

    async def _resend(self, socket: ClientConnection) -> None:
        self.resent += len(self.pending)
        sent = 0
        while sent < len(self.pending):  # say() may add to it meanwhile
            number, text = list(self.pending.items())[sent]
            await socket.send(json.dumps({"type": "say", "number": number, "text": text}))
            sent += 1
        for job, steps in list(self._asked.items()):
            await socket.send(json.dumps({"type": "job", "job": job, "steps": steps}))

    async def say(self, text: str) -> None:
        self._number += 1
        self.pending[self._number] = text
        await self._send({"type": "say", "number": self._number, "text": text})

    async def start_job(self, job: str, steps: int) -> None:
        self._asked[job] = steps
        await self._send({"type": "job", "job": job, "steps": steps})

    async def _send(self, request: dict) -> None:
        if self._socket:  # else run() sends it when it is connected again
            with suppress(ConnectionClosed):
                await self._socket.send(json.dumps(request))

    async def until(self, condition: Callable[[], object]) -> None:
        """Waits for events until the condition holds."""
        async with self._news:
            await self._news.wait_for(condition)
