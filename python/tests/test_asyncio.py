# SPDX-License-Identifier: MIT
import asyncio
import contextlib
import contextvars
import gc
import os
import random
import threading

import pytest
import redis.asyncio
import uvloop

import shoal
import shoal.asyncio
from compare import CALLS, aoutcome, function
from conftest import SMALL
from shoal._loop import LoopWaker, Sleeper

# A bound on what must happen; no test measures against it.
SOON = 30


@contextlib.asynccontextmanager
async def asyncio_timeout(seconds):
    """asyncio.timeout, which 3.10 does not have."""
    task = asyncio.current_task()
    handle = asyncio.get_running_loop().call_later(seconds, task.cancel)
    try:
        yield
    finally:
        handle.cancel()


@pytest.fixture
async def ar(name):
    client = shoal.asyncio.Redis(name, **SMALL)
    yield client
    await client.aclose()


def async_line(line):
    """A line of CALLS for an asyncio client: what it calls inside sorted(...) or indexes cannot be awaited there."""
    return None if line.startswith("sorted(") or (line.endswith("]") and ")[" in line) else function(line)


async def test_each_call_returns_what_redis_py_returns(ar, redis_server, server):
    different = []
    async with redis.asyncio.Redis(unix_socket_path=redis_server) as theirs:
        for line in filter(async_line, CALLS):
            got, expected = await aoutcome(async_line(line), ar), await aoutcome(async_line(line), theirs)
            if got != expected:
                different.append(f"{line}\n    shoal {got}\n    redis {expected}")
    assert not different, "\n".join(different)


async def test_scan_iter_gives_each_key(ar):
    await ar.mset({f"k{i}": i for i in range(100)})
    assert {key async for key in ar.scan_iter("k*", count=7)} == {b"k%d" % i for i in range(100)}


async def test_a_get_needs_no_turn_of_the_loop(ar):
    await ar.set("k", "v")
    turns = []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    for _ in range(100):
        assert await ar.get("k") == b"v"
    assert turns == []


async def test_blpop_takes_what_is_there_at_once(ar):
    await ar.rpush("q", "a")
    assert await ar.blpop("q", 1) == (b"q", b"a")


async def test_blpop_waits_for_a_push_of_another_task(ar):
    waiting = asyncio.create_task(ar.blpop("q", 0))
    await asyncio.sleep(0)
    await ar.rpush("q", "a", "b")
    assert await asyncio.wait_for(waiting, SOON) == (b"q", b"a")
    assert await ar.lrange("q", 0, -1) == [b"b"]


async def test_blpop_waits_for_a_push_of_another_thread(ar, name):
    waiting = asyncio.create_task(ar.blpop(["p", "q"], 0))
    await asyncio.sleep(0)
    await asyncio.to_thread(lambda: shoal.Redis(name, **SMALL).rpush("q", "x"))
    assert await asyncio.wait_for(waiting, SOON) == (b"q", b"x")


async def test_blpop_returns_none_when_its_time_is_over(ar):
    assert await ar.blpop("q", 0.02) is None
    await ar.rpush("q", "late")
    assert await ar.lpop("q") == b"late"


async def test_waiters_are_served_in_their_order(ar):
    order = []

    async def wait(i):
        order.append((i, await ar.blpop("q", 0)))

    tasks = []
    for i in range(5):
        tasks.append(asyncio.create_task(wait(i)))
        await asyncio.sleep(0)
    for i in range(5):
        await ar.rpush("q", i)
    await asyncio.wait_for(asyncio.gather(*tasks), SOON)
    assert sorted(order) == [(i, (b"q", b"%d" % i)) for i in range(5)]


async def test_a_push_just_before_the_loop_is_marked_asleep_is_seen(ar, name, monkeypatch):
    """Whoever pushes then finds the loop awake and does not wake it: it must look again after it was marked."""
    other, arm = shoal.Redis(name, **SMALL), Sleeper.arm

    def push_first(sleeper):
        other.rpush("q", "a")
        arm(sleeper)

    monkeypatch.setattr(Sleeper, "arm", push_first)
    assert await asyncio.wait_for(ar.blpop("q", 0), SOON) == (b"q", b"a")


async def test_commands_go_on_while_others_block(ar):
    waiting = [asyncio.create_task(ar.blpop(f"q{i}", 0)) for i in range(20)]
    await asyncio.sleep(0)
    for i in range(50):
        assert await ar.incr("n") == i + 1
    for i in range(20):
        await ar.rpush(f"q{i}", i)
    assert await asyncio.wait_for(asyncio.gather(*waiting), SOON) == [(b"q%d" % i, b"%d" % i) for i in range(20)]


async def test_a_cancelled_wait_leaves_no_waiter_behind(ar):
    waiting = asyncio.create_task(ar.blpop("q", 0))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await ar.rpush("q", "a")
    assert await ar.llen("q") == 1
    assert await ar.blpop("q", 1) == (b"q", b"a")


async def test_a_wait_cancelled_after_its_push_leaves_the_item_to_the_next(ar):
    first = asyncio.create_task(ar.blpop("q", 0))
    await asyncio.sleep(0)
    second = asyncio.create_task(ar.blpop("q", 0))
    await asyncio.sleep(0)
    await ar.rpush("q", "a")
    first.cancel()
    assert await asyncio.wait_for(second, SOON) == (b"q", b"a")


@pytest.mark.parametrize("seed", range(6))
async def test_no_item_is_lost_or_doubled_however_consumers_are_cancelled(ar, name, seed):
    """Consumers are cancelled at random steps while a thread pushes; every item arrives exactly once."""
    dice = random.Random(seed)
    count, got = 400, []

    async def consume():
        while True:
            item = await ar.blpop(["q1", "q2"], 0)
            got.append(int(item[1]))

    def produce():
        client = shoal.Redis(name, **SMALL)
        for i in range(count):
            client.rpush(f"q{1 + i % 2}", i)

    tasks = [asyncio.create_task(consume()) for _ in range(4)]
    producer = threading.Thread(target=produce)
    producer.start()
    async with asyncio_timeout(SOON):
        while producer.is_alive() or len(got) < count:
            for _ in range(dice.randrange(4)):
                await asyncio.sleep(0)
            i = dice.randrange(len(tasks))
            tasks[i].cancel()
            await asyncio.gather(tasks[i], return_exceptions=True)
            tasks[i] = asyncio.create_task(consume())
            await asyncio.sleep(0.0005)
    producer.join()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(got) == list(range(count))
    assert await ar.llen("q1") == await ar.llen("q2") == 0


async def test_a_woken_task_is_a_task_like_any_other(ar, name):
    """It goes on inside the loop's callback: with its own context, as the current task, and what it raises is its."""
    place = contextvars.ContextVar("place", default="outside")
    seen = []

    async def wait(number):
        place.set(number)
        reply = await ar.blpop(f"q{number}", 0)
        seen.append((place.get(), asyncio.current_task(), reply[1]))
        if number == 1:
            raise KeyError("its own")
        await asyncio.sleep(0)
        return number

    tasks = [asyncio.create_task(wait(number)) for number in range(4)]
    await asyncio.sleep(0.01)
    other = shoal.Redis(name, **SMALL)
    with other.pipeline() as pipe:  # one wake for all four
        for number in range(4):
            pipe.rpush(f"q{number}", number)
        pipe.execute()
    outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), SOON)
    assert [outcomes[0], type(outcomes[1]), *outcomes[2:]] == [0, KeyError, 2, 3]
    assert sorted(seen, key=lambda entry: entry[0]) == [(n, tasks[n], b"%d" % n) for n in range(4)]
    assert place.get() == "outside"


async def test_a_woken_task_may_cancel_the_next_one(ar, name):
    tasks = []

    async def wait(number):
        reply = await ar.blpop(f"q{number}", 0)
        tasks[1 - number].cancel()
        return reply

    tasks += [asyncio.create_task(wait(number)) for number in range(2)]
    await asyncio.sleep(0.01)
    shoal.Redis(name, **SMALL).rpush("q0", "a")
    outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), SOON)
    assert outcomes[0] == (b"q0", b"a") and isinstance(outcomes[1], asyncio.CancelledError)
    assert await ar.rpush("q1", "b") == 1  # nobody waits for it any more


async def test_a_task_may_give_its_wait_up_in_the_turn_in_which_it_is_woken(ar, name):
    other, lost = shoal.Redis(name, **SMALL), 0
    for number in range(100):
        waiting = asyncio.create_task(ar.blpop("q", 0))
        await asyncio.sleep(0)
        other.rpush("q", number)
        if number % 3 == 1:
            waiting.cancel()
        elif number % 3 == 2:
            asyncio.get_running_loop().call_soon(waiting.cancel)
        try:
            assert await asyncio.wait_for(waiting, SOON) == (b"q", b"%d" % number)
        except asyncio.CancelledError:
            lost += 1
            assert await ar.lpop("q") == b"%d" % number
    assert lost > 0


async def test_an_idle_loop_with_a_daemon_wakes_zero_times(ar, start_shoald):
    await ar.ping()
    start_shoald()
    waiting = asyncio.create_task(ar.blpop("q", 0))
    await asyncio.sleep(0)
    waker = LoopWaker.current(ar.segment)
    wakes = waker.wakes
    before = context_switches()
    await asyncio.sleep(2)
    slept = context_switches() - before
    assert waker.wakes == wakes
    assert slept <= 3, f"{slept} wake-ups in two idle seconds"  # our own timer's among them
    for _ in range(5):
        await ar.rpush("other", "x")  # nobody waits for it
    await asyncio.sleep(0.01)
    assert waker.wakes == wakes
    await ar.rpush("q", "a")
    assert await asyncio.wait_for(waiting, SOON)


async def test_a_daemons_death_goes_unnoticed_and_the_loop_sweeps_until_there_is_another(ar, start_shoald):
    await ar.ping()
    daemon = start_shoald()
    waiting = asyncio.create_task(ar.blpop("q", 0))
    await asyncio.sleep(0)
    waker = LoopWaker.current(ar.segment)
    assert waker.has_daemon
    daemon.kill()
    daemon.wait()
    async with asyncio_timeout(SOON):
        while waker.has_daemon:
            await asyncio.sleep(0.01)
    await ar.rpush("q", "a")
    assert await waiting == (b"q", b"a")
    start_shoald()
    async with asyncio_timeout(SOON):
        while not waker.has_daemon:
            await asyncio.sleep(0.01)


def context_switches():
    """How often this thread has gone to sleep."""
    with open(f"/proc/self/task/{threading.get_native_id()}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches"))


async def test_a_pipeline_may_block_between_its_commands(ar):
    pipe = ar.pipeline(transaction=False)
    pipe.rpush("q1", "a")
    pipe.blpop("q2", 0)
    pipe.rpush("q1", "b")
    running = asyncio.create_task(pipe.execute())
    await asyncio.sleep(0)
    assert await ar.lrange("q1", 0, -1) == [b"a"]
    await ar.rpush("q2", "x")
    assert await asyncio.wait_for(running, SOON) == [1, (b"q2", b"x"), 2]


async def test_it_is_an_async_context_manager_and_awaitable(name):
    async with shoal.asyncio.Redis(name, **SMALL) as client:
        assert await client.ping()
    client = await shoal.asyncio.Redis(name, **SMALL)
    assert await client.ping()
    await client.aclose()
    assert await client.ping()


async def test_an_awaitable_callback_is_awaited(ar):
    async def callback(reply, **options):
        return "own", reply

    ar.set_response_callback("GET", callback)
    await ar.set("k", "v")
    assert await ar.get("k") == ("own", b"v")


def run_loop(main, make_loop):
    loop = make_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


def test_loops_in_several_threads_wait_on_their_own(name):
    """Each thread runs a loop of its own, of two kinds, and passes a token on to the next by a list."""
    kinds = [asyncio.new_event_loop, uvloop.new_event_loop, asyncio.new_event_loop, uvloop.new_event_loop]
    laps, counts = 50, [0] * 4

    async def pass_on(i):
        client = shoal.asyncio.Redis(name, **SMALL)
        for _ in range(laps):
            _, token = await client.blpop(f"place{i}", 0)
            counts[i] += 1
            await client.rpush(f"place{(i + 1) % 4}", token)

    threads = [threading.Thread(target=run_loop, args=(pass_on(i), kind)) for i, kind in enumerate(kinds)]
    for thread in threads:
        thread.start()
    shoal.Redis(name, **SMALL).rpush("place0", "token")
    for thread in threads:
        thread.join(SOON)
    assert counts == [laps] * 4


def test_one_thread_may_run_one_loop_after_the_other(name):
    client = shoal.asyncio.Redis(name, **SMALL)

    async def once(i):
        waiting = asyncio.create_task(client.blpop("q", 0))
        await asyncio.sleep(0)
        await client.rpush("q", i)
        return await asyncio.wait_for(waiting, SOON)

    for i in range(20):
        assert run_loop(once(i), asyncio.new_event_loop) == (b"q", b"%d" % i)


def turn(loop):
    """Let the loop's tasks go on until they wait."""
    for _ in range(10):
        loop.run_until_complete(asyncio.sleep(0))


def test_a_loop_that_was_left_waiting_hears_what_came_while_another_one_of_its_thread_ran(name):
    client = shoal.asyncio.Redis(name, **SMALL)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        waiting = first.create_task(client.blpop("one", 0))
        turn(first)
        assert second.run_until_complete(client.blpop("two", 0.05)) is None
        shoal.Redis(name, **SMALL).rpush("one", "x")
        assert first.run_until_complete(asyncio.wait_for(waiting, SOON)) == (b"one", b"x")
    finally:
        first.close()
        second.close()


def test_what_is_left_of_a_closed_loop_does_not_end_the_next_ones_sleep(name):
    client = shoal.asyncio.Redis(name, **SMALL)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    left = [first.create_task(client.blpop("one", 0))]
    turn(first)
    first.close()
    try:
        waiting = second.create_task(client.blpop("two", 0))
        turn(second)
        left.clear()
        del first
        gc.collect()
        thread = threading.Timer(0.01, lambda: shoal.Redis(name, **SMALL).rpush("two", "x"))
        thread.start()
        assert second.run_until_complete(asyncio.wait_for(waiting, SOON)) == (b"two", b"x")
        thread.join()
    finally:
        second.close()


async def test_who_was_left_alone_is_looked_at_again_when_somebody_marked_the_thread_asleep_meanwhile(ar):
    waker, published = LoopWaker.current(ar.segment), []

    async def sleep(sleeper):
        sleeper.arm()
        await sleeper.wait()

    async def listen():
        await sleep(waker.sleeper(lambda: bool(published)))

    async def work():
        sleeper = waker.sleeper()
        try:
            await sleep(sleeper)
            published.append("x")  # by another process; it finds this thread awake and writes no byte
            await sleep(sleeper)
        finally:
            sleeper.close()

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)
    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    os.write(waker._waker.fileno(), b"\0")
    await asyncio.wait_for(listening, SOON)
    working.cancel()


async def test_another_encoding_is_honoured_by_each_publish(name):
    client = shoal.asyncio.Redis(name, encoding="latin-1", **SMALL)
    pubsub = client.pubsub()
    await pubsub.subscribe("caf\xe9")
    assert [await client.publish("caf\xe9", "x") for _ in range(3)] == [1, 1, 1]
    await pubsub.aclose()
    await client.aclose()


def test_a_loop_gives_its_descriptors_back(name):
    client = shoal.asyncio.Redis(name, **SMALL)

    async def once():
        assert await client.blpop("q", 0.001) is None

    run_loop(once(), asyncio.new_event_loop)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        run_loop(once(), asyncio.new_event_loop)
    assert len(os.listdir("/proc/self/fd")) <= before + 2
