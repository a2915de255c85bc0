# SPDX-License-Identifier: MIT
"""The native channels: history, positions, gaps in band."""

import asyncio
import multiprocessing
import os
import signal
import threading

import pytest

import shoal
import shoal.asyncio
from conftest import SMALL
from shoal import Gap, Message, Position
from shoal._loop import LoopWaker


def texts(subscription, count):
    items = [subscription.get(timeout=20) for _ in range(count)]
    return [item.text if isinstance(item, Message) else item for item in items]


def test_history_joins_live_and_a_position_resumes(r):
    room = r.channel("room", keep=5)
    for number in range(8):
        published = room.publish(str(number))
    assert published.receivers == 0
    with room.subscribe(last=3) as messages:
        room.publish("8")
        assert texts(messages, 4) == ["5", "6", "7", "8"]
        assert messages.get(timeout=0) is None
    with room.subscribe(since=published.position) as messages:
        assert texts(messages, 1) == ["8"]
    with room.subscribe(since=str(published.position)) as messages:
        assert messages.get().position == Position(published.position.incarnation, 9)
    with room.subscribe() as messages:
        assert messages.get(timeout=0) is None


def test_an_unknown_position_is_a_gap_of_unknown_size(r):
    room = r.channel("room", keep=5)
    room.publish("kept")
    with room.subscribe(since=Position(1, 1)) as messages:
        assert texts(messages, 2) == [Gap(None, "room"), "kept"]


def test_a_slow_subscriber_gets_a_gap_in_place(r):
    room = r.channel("room")
    with room.subscribe() as messages:
        for number in range(5000):
            room.publish(f"{number:04}" + "." * 1000)
        gap = messages.get()
        assert isinstance(gap, Gap) and gap.missed > 0
        assert messages.get().text.startswith(f"{gap.missed:04}")


def test_positions_are_text_and_back():
    assert Position.parse(str(Position(12, 34))) == Position(12, 34)
    for text in ("", "12", "-", "a-b", "1-2-3", "1--2", "²-1"):
        with pytest.raises(ValueError):
            Position.parse(text)


def test_wrong_wishes_are_refused(r):
    with pytest.raises(ValueError):
        r.channel("room", ttl=5)
    with pytest.raises(ValueError):
        r.channel("room", keep=-1)
    with pytest.raises(shoal.ResponseError, match="keep="):
        r.channel("room", keep=10_000_000).publish("x")


def test_what_keep_cannot_hold_is_said(r, caplog):
    room = r.channel("room", keep=1000)
    for _ in range(400):
        room.publish(b"x" * 5000)
    assert "do not fit" in caplog.text


def test_history_goes_when_it_is_no_longer_wished_for(r):
    r.channel("room", keep=5).publish("x")
    r.channel("room", keep=0).publish("y")
    assert r.channel("room").publish("z").position is None


def test_iteration_ends_when_another_thread_closes(r):
    messages = r.channel("room").subscribe()
    r.channel("room").publish("before")
    got = []
    messages.__enter__()
    thread = threading.Thread(target=lambda: got.extend(message.text for message in messages), daemon=True)
    thread.start()
    for number in range(10):
        r.channel("room").publish(str(number))
    while len(got) < 10:
        pass
    assert got == [str(number) for number in range(10)]
    messages.close()
    thread.join(20)
    assert not thread.is_alive()


async def test_asyncio_history_and_live(name):
    client = shoal.asyncio.Redis(name, **SMALL)
    room = client.channel("room", keep=100, ttl=60)
    for number in range(10):
        await room.publish(str(number))
    async with room.subscribe(last=4) as messages:
        publisher = asyncio.create_task(_publish(room, range(10, 300)))
        got = []
        async for message in messages:
            got.append(int(message.text))
            if got[-1] == 299:
                break
        await publisher
    assert got == list(range(6, 300))
    assert await client.pubsub_numsub("room") == [(b"room", 0)]


async def _publish(room, numbers):
    for number in numbers:
        await room.publish(str(number))
        if number % 7 == 0:
            await asyncio.sleep(0)


async def test_cancelling_at_any_await_loses_nothing(name):
    client = shoal.asyncio.Redis(name, **SMALL)
    room = client.channel("room", keep=1000)
    async with room.subscribe() as messages:
        got = []
        for number in range(300):
            task = asyncio.create_task(messages.__anext__())
            for _ in range(number % 5):
                await asyncio.sleep(0)
            if number % 3 == 0:
                task.cancel()
            await room.publish(str(number))
            for _ in range(number % 3):
                await asyncio.sleep(0)
            if number % 3 == 1:
                task.cancel()
            try:
                got.append(await task)
            except asyncio.CancelledError:
                got.append(await messages.get(timeout=20))
    assert [int(message.text) for message in got] == list(range(300))


async def test_closing_ends_the_iteration_of_another_task(name):
    client = shoal.asyncio.Redis(name, **SMALL)
    messages = await client.channel("room").subscribe().__aenter__()
    task = asyncio.create_task(_collect(messages))
    await client.channel("room").publish("x")
    while not await client.channel("other").publish("y") or not task._fut_waiter:
        await asyncio.sleep(0)
    await messages.aclose()
    assert await asyncio.wait_for(task, 20) == ["x"]


async def _collect(messages):
    return [message.text async for message in messages]


async def test_many_idle_subscriptions_wake_nobody(name):
    client = shoal.asyncio.Redis(name, **SMALL)
    async with client.channel("quiet").subscribe() as quiet, client.channel("loud").subscribe() as loud:
        waiting = asyncio.create_task(quiet.__anext__())
        listening = asyncio.create_task(loud.__anext__())
        await asyncio.sleep(0.01)
        wakes = LoopWaker.current(client.segment).wakes
        await client.channel("unheard").publish("x")
        await asyncio.sleep(0.05)
        assert LoopWaker.current(client.segment).wakes == wakes
        await client.channel("loud").publish("x")
        await asyncio.wait_for(listening, 20)
        assert not waiting.done()
        waiting.cancel()


def _speak(name, number, count, ready, go):
    room = shoal.Redis(name, **SMALL).channel("room", keep=10)
    ready.release()
    go.wait()
    for message in range(count):
        room.publish(f"{number}:{message}")


def test_many_processes_speak_and_each_is_heard_in_its_own_order(r, name):
    context = multiprocessing.get_context("spawn")
    ready, go = context.Semaphore(0), context.Event()
    speakers = [context.Process(target=_speak, args=(name, number, 2000, ready, go)) for number in range(3)]
    for speaker in speakers:
        speaker.start()
    for _ in speakers:
        assert ready.acquire(timeout=60)
    last = dict.fromkeys(range(3), -1)
    with r.channel("room").subscribe() as messages:
        go.set()
        seen = lost = 0
        while seen + lost < 6000:
            item = messages.get(timeout=60)
            assert item is not None, (seen, lost)
            if isinstance(item, Gap):
                lost += item.missed
                continue
            number, message = map(int, item.text.split(":"))
            assert message > last[number]
            last[number] = message
            seen += 1
    for speaker in speakers:
        speaker.join(60)
    assert seen + lost == 6000


def _speak_for_ever(name):
    room = shoal.Redis(name, **SMALL).channel("room")
    while True:
        room.publish("x" * 100)


def test_publishers_that_are_killed_leave_a_channel_that_works(r, name):
    context = multiprocessing.get_context("spawn")
    with r.channel("room").subscribe() as messages:
        seen = lost = 0
        for _ in range(5):
            speaker = context.Process(target=_speak_for_ever, args=(name,))
            speaker.start()
            for _ in range(2000):
                item = messages.get(timeout=60)
                assert item is not None
                seen, lost = (seen, lost + item.missed) if isinstance(item, Gap) else (seen + 1, lost)
            os.kill(speaker.pid, signal.SIGKILL)
            speaker.join(60)
        end = r.channel("room").publish("end").position.sequence
        while True:
            item = messages.get(timeout=60)
            assert item is not None
            seen, lost = (seen, lost + item.missed) if isinstance(item, Gap) else (seen + 1, lost)
            if isinstance(item, Message) and item.text == "end":
                break
        assert seen + lost == end
