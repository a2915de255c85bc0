# SPDX-License-Identifier: MIT
"""The chat's web side. Several uvicorn workers run this file; all that they share lies in the segment.

A room is a channel that keeps its last messages. Each tab has a subscription of its own, so a tab that comes back, on
whatever worker, names the position of the last message that it saw and gets what it missed, then what is live, without
a gap or a duplicate between the two. A tab numbers its messages and sends a message again until it is acknowledged; the
number is stored in the same transaction as the message, so that it is in the room once, however often it came.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.staticfiles import StaticFiles
from presence import Presence
from redis.exceptions import WatchError
from tasks import crunch, kill_worker

import shoal.asyncio as redis
from shoal import Gap, Message

HISTORY = 2000  # messages that a room keeps for tabs that come back
SHOWN = 50  # of them to a tab that comes for the first time
PAGE = Path(__file__).parent / "page"

r = redis.from_url(os.environ.get("SHOAL_URL", "shoal://demo"))
presence = Presence(r)


@asynccontextmanager
async def lifespan(_: FastAPI):
    beat = asyncio.create_task(presence.run())
    yield
    beat.cancel()


app = FastAPI(title="Shoal chat", lifespan=lifespan)


@app.websocket("/ws/{room}")
async def tab(
    socket: WebSocket,
    room: str,
    client: str,
    name: str,
    since: str | None = None,
    jobs_since: str | None = None,
    spread: bool = False,
) -> None:
    """One browser tab in one room, until either goes."""
    if foreign(socket):
        return await socket.close(1008)
    await socket.accept()
    if spread and presence.crowded():
        return await socket.close(4000)  # come again: another worker has fewer tabs, and this is a demo of several
    await socket.send_json({"type": "hello", "worker": os.getpid()})
    async with (
        subscription(f"room:{room}", since, SHOWN) as messages,  # makes the room keep what is said from now on
        subscription("jobs", jobs_since, HISTORY) as progress,
        presence.of(socket, room, client, name),
    ):
        work = [
            asyncio.create_task(listen(socket, room, client, name)),
            asyncio.create_task(forward(socket, "room", messages)),
            asyncio.create_task(forward(socket, "jobs", progress)),
        ]
        done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    for task in done:
        if not isinstance(task.exception(), WebSocketDisconnect | None):
            raise task.exception()


def subscription(channel: str, since: str | None, last: int) -> Any:
    """From behind the position that the tab names; for a tab that names none, from the last few messages."""
    return r.channel(channel, keep=HISTORY).subscribe(since=since, last=None if since else last)


async def forward(socket: WebSocket, kind: str, messages: AsyncIterator[Message | Gap]) -> None:
    """All that comes, to one tab, as fast as the tab reads."""
    async for message in messages:
        if isinstance(message, Gap):
            await socket.send_json({"type": "gap", "of": kind, "missed": message.missed})
        else:
            head = f'{{"type":"{kind}","position":"{message.position}","body":'
            await socket.send_text(head + message.text + "}")


async def listen(socket: WebSocket, room: str, client: str, name: str) -> None:
    """What the tab wants, one thing after the other."""
    while True:
        request = await socket.receive_json()
        match request["type"]:
            case "say":
                number, text = int(request["number"]), str(request["text"])[:2000]
                body = {"client": client, "number": number, "name": name, "text": text, "time": time.time()}
                if not await publish_once(room, client, number, json.dumps(body)):
                    return await socket.close(1002)  # it comes back and sends again what is not acknowledged, in order
                await socket.send_json({"type": "ack", "number": number})
            case "job":
                crunch.delay(str(request["job"])[:40], name, min(int(request.get("steps", 40)), 400))
                await socket.send_json({"type": "queued", "job": request["job"]})
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)  # no goodbye, no clean-up: all tabs of this worker lose it
            case "kill-task":
                kill_worker(int(request["group"]))


async def publish_once(room: str, client: str, number: int, body: str) -> bool:
    """Into the room unless it is there already; False if the one before it is not. The message and its number go there
    both or neither: whoever kills this worker, and whenever."""
    last = f"last:{room}:{client}"  # the number of this tab's last message in the room
    async with r.pipeline() as transaction:
        while True:
            try:
                await transaction.watch(last)
                said = int(await transaction.get(last) or number - 1)
                if said + 1 != number:
                    return said >= number
                transaction.multi()
                transaction.set(last, number, ex=86400)
                transaction.publish(f"room:{room}", body)
                await transaction.execute()
                return True
            except WatchError:
                continue


def foreign(socket: WebSocket) -> bool:
    """Whether another site's page opened this socket: it must not be able to chat, or to kill workers."""
    origin = socket.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != socket.headers.get("host")


app.mount("/", StaticFiles(directory=PAGE, html=True))
