# SPDX-License-Identifier: MIT
"""Broadcast over real uvicorn workers, and its parts without a server."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import websockets

import shoal
from conftest import SMALL
from shoal import Gap, Message
from shoal.fastapi import Broadcast, Listener

WORKERS, SOCKETS, MESSAGES = 4, 24, 40


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def server(name):
    """uvicorn with several workers; ends with all of them."""
    port = free_port()
    package = str(Path(shoal.__file__).parent.parent)
    environment = {
        **os.environ,
        "PYTHONPATH": package,
        "SHOAL_TEST_URL": f"shoal://{name}?max_size={32 << 20}&daemon=0",
    }
    command = [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--port", str(port), "--workers", str(WORKERS)]
    process = subprocess.Popen(
        [*command, "--log-level", "warning"], cwd=Path(__file__).parent, env=environment, start_new_session=True
    )
    try:
        yield f"127.0.0.1:{port}", process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until_it_answers(address):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://{address}/pid", timeout=10):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("uvicorn does not answer")


def workers(process):
    """Pids of uvicorn's workers."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def connect(address, query=""):
    return await websockets.connect(f"ws://{address}/ws/room{query}")


async def receive(client, count):
    return [json.loads(await client.recv()) for _ in range(count)]


async def test_every_socket_of_every_worker_gets_every_message_in_order(server):
    address, _ = server
    async with _timeout(120):
        await asyncio.to_thread(until_it_answers, address)
        inspect = shoal.Redis(address_name(server), **SMALL)
        clients = []
        # Who accepts is the kernel's choice: more sockets until several workers hold some.
        while len(clients) < SOCKETS or inspect.pubsub_numsub("room")[0][1] < 2:
            clients.append(await connect(address))
            assert len(clients) < 1000
        await heard_by_all(inspect, clients)
        for number in range(MESSAGES):
            await clients[number % len(clients)].send(str(number))
        for client in clients:
            got = await receive(client, MESSAGES)
            assert sorted(int(item["data"]) for item in got) == list(range(MESSAGES))
            assert [item["id"] for item in got] == sorted((item["id"] for item in got), key=_sequence)
        for client in clients:
            await client.close()


async def test_a_client_resumes_on_another_worker_after_its_own_was_killed(server):
    address, _ = server
    async with _timeout(120):
        await asyncio.to_thread(until_it_answers, address)
        client, talker = await connect(address), await connect(address)
        room = shoal.Redis(address_name(server), **SMALL).channel("room")
        await heard_by_all(shoal.Redis(address_name(server), **SMALL), [client, talker])
        await talker.send("first")
        seen = (await receive(client, 1))[0]["id"]
        for worker in workers(server[1]):
            os.kill(worker, signal.SIGKILL)
        for number in range(20):
            room.publish(str(number))
        while True:
            try:
                back = await connect(address, f"?since={seen}")
                break
            except (OSError, websockets.InvalidHandshake):
                await asyncio.sleep(0.05)
        got = await receive(back, 20)
        assert [item["data"] for item in got] == [str(number) for number in range(20)]
        await back.close()


async def heard_by_all(inspect, clients):
    """Accepting a socket does not say that its handler listens already: ask for an echo until it does."""
    room = inspect.channel("room")
    for client in clients:
        while True:
            room.publish("hello?")
            try:
                await asyncio.wait_for(client.recv(), 0.2)
                break
            except (TimeoutError, asyncio.TimeoutError):  # two classes before 3.11
                continue
    room.publish("ready")
    for client in clients:
        while json.loads(await client.recv())["data"] != "ready":
            pass


def address_name(server):
    """The segment's name, from the server's environment."""
    environment = Path(f"/proc/{server[1].pid}/environ").read_bytes().split(b"\0")
    url = next(item for item in environment if item.startswith(b"SHOAL_TEST_URL="))
    return url.partition(b"//")[2].partition(b"?")[0].decode()


def _sequence(identity):
    return int(identity.partition("-")[2])


class _timeout:
    """asyncio.timeout, which 3.10 does not have."""

    def __init__(self, seconds):
        self.seconds = seconds

    async def __aenter__(self):
        self.handle = asyncio.get_running_loop().call_later(self.seconds, asyncio.current_task().cancel)

    async def __aexit__(self, *exc):
        self.handle.cancel()


async def test_history_and_live_meet_in_each_listener_without_gap_or_duplicate(name):
    broadcast = Broadcast(f"shoal://{name}?max_size={32 << 20}&daemon=0", keep=1000)

    async def publish():
        for number in range(1000):
            await broadcast.publish("room", str(number))
            if number % 5 == 0:
                await asyncio.sleep(0)

    async def listen(delay):
        for _ in range(delay):
            await asyncio.sleep(0)
        got = []
        async with broadcast.listen("room", last=10) as items:
            async for item in items:
                got.append(int(item.text))
                if got[-1] == 999:
                    return got

    publisher = asyncio.create_task(publish())
    all_got = await asyncio.wait_for(asyncio.gather(*(listen(delay) for delay in range(0, 150, 10))), 60)
    await publisher
    for got in all_got:
        assert got == list(range(got[0], 1000))
    assert await broadcast.redis.pubsub_numsub("room") == [(b"room", 0)]


async def test_a_slow_listener_gets_a_gap_and_the_others_do_not_wait(name):
    broadcast = Broadcast(f"shoal://{name}?max_size={32 << 20}&daemon=0", queue_max=10)
    async with broadcast.listen("room") as slow, broadcast.listen("room") as fast:
        for number in range(50):
            await broadcast.publish("room", str(number))
            assert (await asyncio.wait_for(fast.__anext__(), 20)).text == str(number)
        assert await slow.__anext__() == Gap(40, "room")
        assert (await slow.__anext__()).text == "40"


def test_a_listener_counts_what_it_drops_gaps_included():
    listener = Listener(2)
    for item in (Gap(5, "room"), Message("room", b"a", 1, 1), Message("room", b"b", 1, 2), Message("room", b"c", 1, 3)):
        listener._put(item)
    assert list(listener._items) == [Message("room", b"b", 1, 2), Message("room", b"c", 1, 3)]
    assert listener._dropped == 6


async def test_server_sent_events_resume_by_their_last_id(name):
    broadcast = Broadcast(f"shoal://{name}?max_size={32 << 20}&daemon=0")
    first = await broadcast.publish("room", "one\ntwo")
    await broadcast.publish("room", "three")
    events = broadcast.events("room", last=5)
    assert await events.__anext__() == f"id: {first.position}\ndata: one\ndata: two\n\n"
    await events.aclose()
    events = broadcast.events("room", last_event_id=str(first.position))
    assert (await events.__anext__()).endswith("data: three\n\n")
    await events.aclose()
    events = broadcast.events("room", last_event_id="nonsense")
    assert await events.__anext__() == "event: gap\ndata: null\n\n"
    await events.aclose()
