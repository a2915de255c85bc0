# SPDX-License-Identifier: MIT
"""A process is stopped (SIGSTOP) while it holds the lock of one queue's shard: the hub of a worker goes on, with
everything that does not lie in that shard, and what it could not do is done when the holder goes on."""

import os
import signal
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest
from celery.exceptions import TimeLimitExceeded
from kombu import Connection
from kombu.asynchronous import Hub

import shoal
from conftest import wait_until
from shoal import _shoal
from shoal.celery import _leases
from shoal.celery._hub import HubBusy

MAIN = b"celery"


def waits(operation, *arguments):
    """Whether it meets a shard that is locked for longer than a moment."""
    try:
        operation(*arguments, wait=False)
    except Exception as error:
        return "stopped" in str(error) or "BUSY" in str(error)
    return False


def locked(site, queue):
    return waits(site.queues.push_routes, b"nothing", [(queue, 0)], b"")


def reachable(site, queue):
    """Sending to a queue also reads the bindings of the exchange of its name, which may lie in another shard."""
    return not locked(site, queue) and not waits(site.queues.bindings, queue)


@pytest.fixture
def stop_holder(site):
    """Stops a process while it holds the lock of MAIN's shard; gives back how to let it go on."""
    program = textwrap.dedent("""
        import os
        from shoal import _shoal
        segment = _shoal.Segment.attach(os.environ["APP_SEGMENT"], create=False, daemon=False)
        queues = _shoal.Queues(segment, 0)
        data = bytes(1 << 20)
        while True:
            queues.push_routes(b"nothing", [(b"celery", 0)] * 50_000, data)
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", program], env={**site.environment, "APP_SEGMENT": site.name}, cwd=site.folder
    )

    def stop():
        def stopped_inside():
            os.kill(process.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            if locked(site, MAIN):
                return True
            os.kill(process.pid, signal.SIGCONT)
            return False

        wait_until(stopped_inside, "the holder to be met while it holds the lock")

    yield stop, lambda: os.kill(process.pid, signal.SIGCONT)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def done(call):
    """Whether it was not refused because a lock is held."""
    try:
        call()
    except HubBusy:
        return False
    return True


@pytest.fixture
def channel(site):
    """A channel whose thread, this one, is that of a worker's event loop, which has begun to turn."""
    with Connection(site.url) as connection:
        channel, hub = connection.channel(), Hub()
        connection.transport.register_with_event_loop(connection.connection, hub)
        for tick in list(hub.on_tick):
            tick()
        yield channel


def key_locked(site, key):
    session = shoal.Redis(site.name).connection_pool.new_session()
    return session.try_execute(("APPEND", key, "")) is shoal._shoal.BUSY


def of_the_locked_shard(locked, pattern):
    return next(name for name in map(pattern.format, range(1000)) if locked(name))


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_serves_its_other_queues_while_one_shard_stays_locked(site, stop_holder, pool):
    stop, go_on = stop_holder
    stop()
    other = next(name for name in map("other{}".format, range(1000)) if reachable(site, name.encode()))
    go_on()
    site.worker("-Q", f"celery,{other}", pool=pool, concurrency=2)
    site.send("hold", "held", site.gate(), ignore_result=True)
    site.wait_for_line("begin", "held")
    stop()
    for i in range(20):
        site.send("record", f"r{i}", queue=other, ignore_result=True)
    site.wait_for_line("run", count=20)
    site.open_gate()  # its acknowledgement finds the shard locked
    site.wait_for_line("end", "held")
    for i in range(20, 40):
        site.send("record", f"r{i}", queue=other, ignore_result=True)
    site.wait_for_line("run", count=40)
    assert locked(site, MAIN)
    go_on()
    wait_until(lambda: site.stats()["leased"] == 0, "the acknowledgement")
    site.send("record", "last", ignore_result=True)
    site.wait_for_line("run", "last")
    assert site.stats()["pushed"] == 2 and len(site.lines("begin", "held")) == 1


def test_a_result_that_a_worker_s_parent_stores_waits_for_its_lock_and_the_hub_does_not(site, stop_holder):
    stop, go_on = stop_holder
    stop()
    other = next(name for name in map("other{}".format, range(1000)) if reachable(site, name.encode()))
    task_id = of_the_locked_shard(lambda name: key_locked(site, f"celery-task-meta-{name}"), "id{}")
    go_on()
    worker = site.worker("-Q", f"celery,{other}")
    site.send("record", "first", queue=other).get(timeout=50)  # declares this thread's reply queue, in any shard
    stop()  # before it is sent: how long this takes must not race with its time limit
    hung = site.send("hold", "hung", site.gate(), queue=other, task_id=task_id, time_limit=1)
    wait_until(lambda: "Hard time limit" in site.worker_log(worker), "the parent to end it")
    for i in range(5):
        site.send("record", f"r{i}", queue=other, ignore_result=True)
        site.wait_for_line("run", f"r{i}")
    assert key_locked(site, f"celery-task-meta-{task_id}")
    assert site.stats(other.encode())["leased"] == 1  # its message is not answered before its result is stored
    go_on()
    with pytest.raises(TimeLimitExceeded):
        hung.get(timeout=50)
    wait_until(lambda: site.stats(other.encode())["leased"] == 0, "the acknowledgement")


@pytest.fixture
def task(site):
    """A task that is acknowledged late, as a process finds it before its body runs; and what took its message."""
    site.queues.declare(MAIN, max_deliveries=1)
    site.queues.push(MAIN, b"a message")
    consumer = _shoal.Consumer(site.queues)
    lease = (site.name, 0, consumer.take_from(MAIN, False)[1])
    request = SimpleNamespace(id="its id", properties={"shoal_lease": lease})
    return SimpleNamespace(name="its name", acks_late=True, request=request), consumer


def test_no_body_runs_before_its_process_owns_the_task(site, task, stop_holder, monkeypatch):
    (stop, go_on), (task, consumer) = stop_holder, task
    monkeypatch.setitem(_leases._queues, (site.name, 0), site.queues)
    waited = []

    def warning(*words):
        waited.append(words)
        go_on()

    monkeypatch.setattr(_leases.logger, "warning", warning)
    stop()
    _leases.on_prerun(task)
    assert waited
    consumer.reject(task.request.properties["shoal_lease"][2], requeue=True)
    assert site.stats()["dead"] == 1  # it had been started


def test_the_hub_s_thread_is_told_at_once_what_could_not_be_done(site, channel, stop_holder):
    stop, go_on = stop_holder
    channel.exchange_declare("topics", "topic")
    message = channel.prepare_message("kept", properties={"delivery_mode": 2, "delivery_info": {}})

    for call in (
        lambda: channel.queue_declare("celery", arguments={"x-max-length": 7}),
        lambda: channel.queue_bind("celery", "topics", "key.*"),
        lambda: channel.basic_publish(message, "", "celery"),
        lambda: channel.queue_purge("celery"),
        lambda: channel.basic_get("celery"),
        lambda: channel.queue_delete("celery"),
    ):
        bound = site.queues.bindings(b"topics")
        stop()
        with pytest.raises(HubBusy):
            call()
        go_on()
        assert site.queues.bindings(b"topics") == bound
        wait_until(lambda call=call: done(call), "a call that was refused to succeed when it is repeated")
    assert [row[2] for row in site.queues.bindings(b"topics")] == [MAIN]


def test_a_channel_listens_while_another_one_cannot_give_its_turn_away(site, channel, stop_holder):
    stop, go_on = stop_holder
    stop()
    near, far = [name for name in map("other{}".format, range(1000)) if reachable(site, name.encode())][:2]
    go_on()
    transport, later = channel.connection, channel.connection.create_channel(channel.connection)
    heard = []
    channel.basic_qos(0, 1, False)
    for queue in ("celery", near):
        wait_until(lambda queue=queue: done(lambda: channel.queue_declare(queue)), "a queue to be declared")
        channel.basic_consume(queue, False, heard.append, f"of {queue}")
    later.queue_declare(far)
    transport._hub.settle()
    assert site.stats()["waiting"] == 1
    stop()
    channel.basic_publish(channel.prepare_message("it takes no more"), "", near)
    transport._hub.turn()
    assert len(heard) == 1 and not channel.ready_to_consume()
    later.basic_consume(far, False, heard.append, "of far")
    transport._hub.settle()
    assert site.stats(far.encode())["waiting"] == 1
    with pytest.raises(shoal.HolderStopped):
        list(transport.listening(wait=False))


def test_what_the_hub_put_off_is_done_before_an_orderly_exit(site, stop_holder):
    stop, go_on = stop_holder
    program = textwrap.dedent("""
        import os
        from kombu import Connection
        from kombu.asynchronous import Hub
        import shoal.celery
        connection = Connection(os.environ["APP_BROKER"])
        channel = connection.channel()
        connection.transport.register_with_event_loop(connection.connection, Hub())
        input()
        for body in ("an", "event"):
            message = channel.prepare_message(body, properties={"delivery_mode": 1, "delivery_info": {}})
            channel.basic_publish(message, "", "celery")
        print("put off", flush=True)
        input()
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=site.environment,
        cwd=site.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stop()
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stdout.readline() == "put off\n"
    assert locked(site, MAIN)
    go_on()
    process.communicate("end\n")
    assert process.returncode == 0
    assert site.stats()["ready"] == 2
