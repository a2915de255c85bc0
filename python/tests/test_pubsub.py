# SPDX-License-Identifier: MIT
"""redis-py's PubSub on a segment says what it says on a redis-server."""

import asyncio
import threading
import time

import pytest
import redis
import redis.asyncio

import shoal
import shoal.asyncio
from conftest import SMALL


def drain(pubsub, count):
    """The next `count` messages; fails when one does not come."""
    messages = []
    while len(messages) < count:
        message = pubsub.get_message(timeout=20)
        assert message is not None, messages
        messages.append(message)
    return messages


def conversation(client):
    """What a program might do, and all that it is told."""
    told = []
    pubsub = client.pubsub()
    pubsub.subscribe("a", "b")
    pubsub.psubscribe("n*")
    told += drain(pubsub, 3)
    told += [client.publish("a", "one"), client.publish("news", b"\xff\x00"), client.publish("else", "x")]
    told += drain(pubsub, 2)
    told += [sorted(client.pubsub_channels()), client.pubsub_channels("b*"), client.pubsub_numpat()]
    told += [client.pubsub_numsub("a", "b", "zz")]
    pubsub.ping("hello")
    told += drain(pubsub, 1)
    pubsub.unsubscribe("a")
    told += drain(pubsub, 1)
    told += [client.publish("a", "two"), pubsub.subscribed]
    pubsub.unsubscribe()
    pubsub.punsubscribe()
    told += drain(pubsub, 2)
    told += [pubsub.subscribed, client.publish("b", "three"), client.publish("news", "four")]
    pubsub.close()
    return told


def test_it_says_what_it_says_on_a_server(r, server):
    assert conversation(r) == conversation(server)


def test_decoded_responses_are_text(name, redis_server):
    ours = shoal.Redis(name, decode_responses=True, **SMALL)
    theirs = redis.Redis(unix_socket_path=redis_server, decode_responses=True)

    def talk(client):
        pubsub = client.pubsub(ignore_subscribe_messages=True)
        pubsub.subscribe("grün")
        pubsub.psubscribe("gr*")
        client.publish("grün", "ß")
        time.sleep(0.01)
        got = []
        while len(got) < 2:
            if message := pubsub.get_message(timeout=20):
                got.append(message)
        pubsub.close()
        return got

    assert talk(ours) == talk(theirs)


def test_a_message_that_cannot_be_decoded_is_raised_and_takes_no_other_with_it(name):
    client = shoal.Redis(name, decode_responses=True, encoding="ascii", **SMALL)
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("a")
    assert pubsub.get_message(timeout=20) is None  # the reply to the subscription
    sent = [b"one", b"\xff", b"two", b"\xfe", b"three"]
    for data in sent:
        client.publish("a", data)
    heard = []
    while len(heard) < len(sent):
        try:
            heard += [message["data"] for message in drain(pubsub, 1)]
        except UnicodeDecodeError:
            heard.append("?")
    assert heard == ["one", "?", "two", "?", "three"]
    assert pubsub.get_message() is None


async def test_asyncio_raises_a_message_that_cannot_be_decoded_and_keeps_the_others(name):
    client = shoal.asyncio.Redis(name, decode_responses=True, encoding="ascii", **SMALL)
    pubsub = client.pubsub()
    await pubsub.subscribe("a")
    assert (await pubsub.get_message(timeout=20))["type"] == "subscribe"
    for data in (b"\xff", b"one", b"\xff", b"two"):
        await client.publish("a", data)
    heard = []
    while len(heard) < 4:
        try:
            message = await asyncio.wait_for(pubsub.get_message(timeout=None), 20)
            heard.append(message["data"])
        except UnicodeDecodeError:
            heard.append("?")
    assert heard == ["?", "one", "?", "two"]
    await pubsub.aclose()
    await client.aclose()


def test_handlers_get_their_messages_in_a_thread(r):
    got, done = [], threading.Event()

    def handle(message):
        got.append(message["data"])
        if message["data"] == b"last":
            done.set()

    pubsub = r.pubsub()
    pubsub.subscribe(room=handle)
    thread = pubsub.run_in_thread(sleep_time=1, daemon=True)
    for number in range(100):
        r.publish("room", number)
    r.publish("room", "last")
    assert done.wait(20)
    thread.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert got == [str(number).encode() for number in range(100)] + [b"last"]


def test_a_subscription_made_in_another_thread_is_heard_by_the_sleeping_one(r):
    pubsub = r.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("first")
    got = []

    def listen():
        for message in pubsub.listen():
            if message is not None:
                got.append(message["data"])
            if got[-1:] == [b"end"]:
                return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    pubsub.subscribe("second")
    r.publish("second", "heard")
    r.publish("first", "end")
    thread.join(20)
    assert got == [b"heard", b"end"]


def test_a_message_inside_a_transaction_leaves_with_it(r):
    pubsub = r.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("room")
    pubsub.psubscribe("r*")
    pipe = r.pipeline()
    pipe.set("key", "value").publish("room", "one").publish("nobody", "x").publish("room", "two")
    assert pipe.execute() == [True, 2, 0, 2]
    got = []
    while len(got) < 4:
        if message := pubsub.get_message(timeout=20):
            got.append((message["type"], message["data"]))
    assert got == [("message", b"one"), ("pmessage", b"one"), ("message", b"two"), ("pmessage", b"two")]
    assert pubsub.get_message() is None


def test_an_aborted_transaction_publishes_nothing(r):
    pubsub = r.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("room")
    pubsub.get_message()
    pipe = r.pipeline()
    pipe.watch("key")
    r.set("key", "changed")
    pipe.multi()
    pipe.publish("room", "never")
    with pytest.raises(redis.WatchError):
        pipe.execute()
    assert pubsub.get_message(timeout=0.05) is None


def test_a_slow_subscriber_is_told_what_it_missed(r, caplog):
    pubsub = r.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("room")
    pubsub.get_message()
    for number in range(5000):
        r.publish("room", f"{number:04}" + "." * 1000)
    got = 0
    while pubsub.get_message() is not None:
        got += 1
    assert 0 < got < 5000
    assert got + pubsub.missed == 5000
    assert "missed" in caplog.text


def test_a_message_that_is_too_large_is_an_error(r):
    pubsub = r.pubsub()
    pubsub.subscribe("room")
    with pytest.raises(redis.ResponseError, match="larger than half"):
        r.publish("room", b"x" * (1 << 20))


async def test_asyncio_says_what_it_says_on_a_server(name, redis_server):
    async def talk(client):
        told = []
        async with client.pubsub() as pubsub:
            await pubsub.subscribe("a", "b")
            await pubsub.psubscribe("n*")

            async def take(count):
                for _ in range(count):
                    message = await pubsub.get_message(timeout=20)
                    assert message is not None
                    told.append(message)

            await take(3)
            told.append(await client.publish("a", "one"))
            told.append(await client.publish("news", "two"))
            await take(2)
            await pubsub.unsubscribe("a")
            await take(1)
            told.append(await client.pubsub_numsub("a", "b"))
            told.append(await pubsub.get_message(timeout=0.01))
            await pubsub.unsubscribe()
            await pubsub.punsubscribe()
            await take(2)
            told.append(pubsub.subscribed)
        return told

    ours = shoal.asyncio.Redis(name, **SMALL)
    theirs = redis.asyncio.Redis(unix_socket_path=redis_server)
    assert await talk(ours) == await talk(theirs)
    await theirs.aclose()


async def test_a_sleeping_coroutine_is_woken_and_a_cancelled_one_loses_nothing(name):
    client = shoal.asyncio.Redis(name, **SMALL)
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe("room")
    await pubsub.get_message()
    got = []
    for number in range(200):
        waiting = asyncio.create_task(pubsub.get_message(timeout=20))
        for _ in range(number % 4):
            await asyncio.sleep(0)
        if number % 2:
            waiting.cancel()
        await client.publish("room", number)
        try:
            message = await waiting
        except asyncio.CancelledError:
            message = await pubsub.get_message(timeout=20)
        got.append(int(message["data"]))
    assert got == list(range(200))


async def test_a_task_that_listens_hears_of_what_another_task_subscribes_to(name):
    client = shoal.asyncio.Redis(name, **SMALL)
    pubsub = client.pubsub()
    await pubsub.subscribe("a")
    assert (await pubsub.get_message())["channel"] == b"a"
    waiting = asyncio.create_task(pubsub.get_message(timeout=None))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await pubsub.subscribe("b")
    assert (await asyncio.wait_for(waiting, 20))["channel"] == b"b"
    waiting = asyncio.create_task(pubsub.get_message(timeout=None))
    await asyncio.sleep(0.01)
    await pubsub.ping("still there")
    assert (await asyncio.wait_for(waiting, 20))["data"] == b"still there"


async def test_a_callback_for_publish_sees_every_publish(name):
    client = shoal.asyncio.Redis(name, **SMALL)
    assert await client.publish("room", "x") == 0
    client.set_response_callback("PUBLISH", lambda receivers, **options: ("said", receivers))
    assert await client.publish("room", "x") == ("said", 0)


async def test_handlers_run_in_the_loop(name):
    client = shoal.asyncio.Redis(name, **SMALL)
    got, done = [], asyncio.Event()

    async def handle(message):
        got.append(message["data"])
        if len(got) == 50:
            done.set()

    pubsub = client.pubsub()
    await pubsub.subscribe(room=handle)
    task = asyncio.create_task(pubsub.run())
    for number in range(50):
        await client.publish("room", number)
    await asyncio.wait_for(done.wait(), 20)
    task.cancel()
    assert got == [str(number).encode() for number in range(50)]
