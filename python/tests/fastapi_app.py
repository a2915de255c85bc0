# SPDX-License-Identifier: MIT
"""The application that test_fastapi.py serves with several workers: the five lines, and who serves a socket."""

import os

from fastapi import FastAPI, WebSocket

from shoal.fastapi import Broadcast

app = FastAPI()
broadcast = Broadcast(os.environ["SHOAL_TEST_URL"], keep=1000)


@app.websocket("/ws/{room}")
async def room(socket: WebSocket, room: str):
    await broadcast.serve(socket, room)


@app.get("/pid")
async def pid():
    return os.getpid()
