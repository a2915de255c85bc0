# SPDX-License-Identifier: MIT
"""The application that test_environments.py serves with `gunicorn --preload`.

The master loads it, and with that uses the segment in every way, before it forks: a client, a loop, a subscription
that the workers inherit. In each worker one thread tells what it hears, another writes until it is killed."""

import asyncio
import os
import threading

import shoal
import shoal.asyncio

client = shoal.from_url(os.environ["SHOAL_TEST_URL"])
in_loops = shoal.asyncio.from_url(os.environ["SHOAL_TEST_URL"])


async def count_in_a_loop():
    assert await in_loops.blpop("empty", 0.001) is None
    return await in_loops.incr("in loops")


client.incr("loads")
client.rpush("numbers", *range(20_000))  # looking through them takes long enough to be killed in
assert asyncio.run(count_in_a_loop())
news = client.pubsub(ignore_subscribe_messages=True)
news.subscribe("news")


def count(environment):
    return f"{client.incr('count')} {asyncio.run(count_in_a_loop())}"


def publish(environment):
    return client.publish("news", environment["QUERY_STRING"])


def application(environment, start_response):
    answer = {"/count": count, "/publish": publish}[environment["PATH_INFO"]](environment)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {answer}".encode()]


def hear():
    for message in news.listen():
        client.rpush(f"heard {message['data'].decode()}", os.getpid())


def write():
    while True:
        client.pipeline().incr("left").lpos("numbers", "none").incr("right").execute()


def begin():
    """In each worker, when it was forked."""
    for work in (hear, write):
        threading.Thread(target=work, daemon=True).start()
