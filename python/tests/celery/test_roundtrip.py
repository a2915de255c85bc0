# SPDX-License-Identifier: MIT
"""What a task and its result need, with real workers of every pool."""

import threading
import time

import pytest
from celery import chain, chord, group
from celery.result import AsyncResult
from kombu import Connection, Exchange, Producer, Queue

from conftest import wait_until
from shoal import _shoal

POOLS = ("prefork", "threads", "solo")


@pytest.fixture
def sig(site):
    def sig(task, *args):
        return site.app.signature(f"tasks_app.{task}", args)

    return sig


@pytest.mark.parametrize("pool", POOLS)
def test_a_task_runs_and_its_result_comes_back(site, pool):
    site.worker(pool=pool, concurrency=2)
    assert site.send("add", 2, 3).get(timeout=30) == 5
    with pytest.raises(ValueError, match="broken"):
        site.send("fail", "broken").get(timeout=30)
    wait_until(lambda: site.stats()["acknowledged"] == 2, "both acknowledgements")
    assert site.stats()["leased"] == 0


@pytest.mark.parametrize("pool", POOLS)
def test_groups_chains_chords_and_retries(site, sig, pool):
    site.worker(pool=pool, concurrency=2)
    assert group(sig("add", i, i) for i in range(30))().get(timeout=30) == [2 * i for i in range(30)]
    assert chain(sig("add", 1, 2), sig("add", 3), sig("add", 4))().get(timeout=30) == 10
    assert chord((sig("add", i, 1) for i in range(20)), sig("total"))().get(timeout=30) == sum(range(1, 21))
    assert site.send("third_time").get(timeout=30) == 2


def test_a_result_is_had_by_whoever_asks_for_its_id(site):
    site.worker()
    sent = site.send("hold", "x", site.gate())
    site.wait_for_line("begin", "x")
    got = []
    other = threading.Thread(target=lambda: got.append(AsyncResult(sent.id, app=site.app).get(timeout=30)))
    other.start()
    wait_until(lambda: site.queues.bindings(b"celery-result-" + sent.id.encode()), "the other thread's binding")
    site.open_gate()
    assert sent.get(timeout=30) == "x"
    other.join()
    assert got == ["x"]
    assert site.queues.bindings(b"celery-result-" + sent.id.encode()) == []
    assert AsyncResult(sent.id, app=site.app).get(timeout=30) == "x"


def test_a_short_record_travels_with_its_reply_and_a_long_one_does_not(site, monkeypatch):
    site.worker()
    backend, read = site.app.backend, []
    get = backend.get
    monkeypatch.setattr(backend, "get", lambda key: read.append(key) or get(key))
    looks = []
    monkeypatch.setattr(backend.result_consumer, "_look", lambda: None)
    for text in ("x", "x" * 5000):
        sent = site.send("echo", text, 0)
        assert sent.get(timeout=30) == text
        looks.append(read.count(backend.get_key_for_task(sent.id)))
    assert looks == [0, 1], "while a reply is to come the key is not asked whether it has"


def test_a_result_is_read_from_its_key_when_its_reply_has_been(site, monkeypatch):
    site.worker()
    monkeypatch.setattr(site.app.backend.result_consumer, "_look", lambda: None)  # which comes after a second in vain
    first, second = site.send("add", 1, 1), site.send("add", 2, 2)
    assert second.get(timeout=30) == 4
    for _ in range(2):
        assert AsyncResult(first.id, app=site.app).get(timeout=30) == 2


def test_a_look_that_may_not_wait_finds_what_is_done(site):
    site.worker()
    sent = site.send("add", 1, 1)
    wait_until(lambda: site.stats()["acknowledged"] == 1, "the task")
    assert sent.get(timeout=0) == 2


def test_the_reply_to_a_task_that_was_tried_again_goes_to_whom_it_was_promised(site, monkeypatch):
    monkeypatch.setattr(site.app.backend.result_consumer, "_look", lambda: None)
    site.worker()
    assert site.send("third_time").get(timeout=30) == 2


def test_a_worker_hears_of_a_queue_that_is_added_and_leaves_one_that_is_cancelled(site):
    site.worker()
    assert site.send("add", 1, 1).get(timeout=30) == 2
    added = site.app.control.add_consumer("extra", reply=True, timeout=10, limit=1)
    assert "ok" in next(iter(added[0].values()))
    assert site.send("add", 2, 2, queue="extra").get(timeout=30) == 4
    site.app.control.cancel_consumer("celery", reply=True, timeout=10, limit=1)
    wait_until(lambda: site.stats()["consumers"] == 0, "the worker, which answers before it leaves, to leave")
    waiting = site.send("add", 3, 3)
    assert site.send("add", 4, 4, queue="extra").get(timeout=30) == 8
    assert site.stats()["ready"] == 1
    site.app.control.add_consumer("celery", reply=True, timeout=10, limit=1)
    assert waiting.get(timeout=30) == 6


def test_a_send_copies_no_queue_that_is_declared(site, monkeypatch):
    """kombu would: for every message, to find that nothing is to be done."""
    declared, copied = [], []
    declare, bind = Queue.declare, Queue.bind
    monkeypatch.setattr(Queue, "declare", lambda self, **more: declared.append(self.name) or declare(self, **more))
    monkeypatch.setattr(Queue, "bind", lambda self, channel: copied.append(self.name) or bind(self, channel))
    for _ in range(3):
        site.send("add", 1, 1)
    assert len(declared) == len(copied) == 1
    with site.app.producer_pool.acquire(block=True) as producer:
        producer.connection.close()  # whoever connects anew declares anew
    site.send("add", 1, 1)
    assert len(declared) == len(copied) == 2


def test_nobody_naps_where_a_result_is_waited_for(site, monkeypatch):
    """Celery sleeps for nothing after each reply, which to Linux means 60 us."""
    site.worker()
    naps = []
    monkeypatch.setattr("time.sleep", naps.append)
    monkeypatch.setattr("celery.backends.asynchronous.sleep", naps.append)
    monkeypatch.setattr("shoal.celery.backend.sleep", naps.append, raising=False)
    assert site.send("add", 2, 3).get(timeout=30) == 5
    assert naps == []


def test_a_record_that_is_stored_once_more_is_told_as_it_is(site):
    """A task that has succeeded keeps its record; the reply must not carry what this thread stored before."""
    backend = site.app.backend
    backend.store_result("first", 1, "SUCCESS")
    backend.store_result("second", 2, "SUCCESS")
    name = backend.result_consumer.name.encode()
    backend.result_consumer.consume_from("first")
    backend.store_result("first", 3, "FAILURE")
    assert site.queues.stats(name)["ready"] == 1
    consumer = _shoal.Consumer(site.queues)
    assert consumer.take_from(name, True)[2] == b"first"
    assert AsyncResult("first", app=site.app).get(timeout=30) == 1


def test_replies_that_nobody_waits_for_leave_a_bounded_trace(site):
    site.worker(concurrency=2)
    for i in range(50):
        site.send("add", i, 1)
    wait_until(lambda: (site.stats() or {}).get("acknowledged") == 50, "50 acknowledgements")
    name = site.app.backend.result_consumer.name.encode()
    assert site.queues.stats(name)["ready"] <= 50
    assert site.send("add", 1, 1).get(timeout=30) == 2
    site.app.backend.result_consumer.stop()
    assert site.queues.stats(name) is None


def test_priorities_order_what_waits(site):
    for i, priority in enumerate((9, 3, 0, 6, 3, 0)):
        site.send("record", f"{priority}-{i}", priority=priority)
    site.worker(APP_PREFETCH="1")
    site.wait_for_line("run", count=6)
    order = [line.split()[1] for line in site.lines("run")]
    assert order == ["0-2", "0-5", "3-1", "3-4", "6-3", "9-0"]


def test_an_eta_task_stays_in_the_segment_until_it_is_due_and_survives_every_worker(site):
    first = site.worker()
    due = time.time() + 8
    sent = site.send("record", "later", countdown=8)
    assert site.send("add", 1, 1).get(timeout=30) == 2
    wait_until(lambda: site.stats()["acknowledged"] == 1, "the acknowledgement")
    stats = site.stats()
    assert (stats["delayed"], stats["leased"], stats["ready"]) == (1, 0, 0)
    assert abs(stats["next_due_ms"] / 1000 - due) < 1
    first.kill()
    first.wait()
    assert site.stats()["delayed"] == 1
    site.worker()
    assert sent.get(timeout=30) == "later"
    assert time.time() >= due - 0.05


def test_inspect_ping_reaches_every_worker_and_leaves_nothing_behind(site):
    site.worker()
    site.worker(pool="threads")
    replies = site.app.control.inspect(timeout=5, limit=2).ping()
    assert replies == {"w0@test": {"ok": "pong"}, "w1@test": {"ok": "pong"}}
    assert site.app.control.inspect(["w1@test"], timeout=5).active_queues()["w1@test"][0]["name"] == "celery"
    names = {stats["name"] for stats in _queue_stats(site)}
    assert not [name for name in names if name.endswith(b".reply.celery.pidbox")]


def test_the_mailbox_of_a_killed_worker_goes_with_it(site):
    doomed = site.worker()
    site.worker()
    assert b"w0@test.celery.pidbox" in {stats["name"] for stats in _queue_stats(site)}
    doomed.kill()
    wait_until(
        lambda: b"w0@test.celery.pidbox" not in {stats["name"] for stats in _queue_stats(site)},
        "the mailbox to go",
    )
    assert site.app.control.inspect(timeout=5, limit=1).ping() == {"w1@test": {"ok": "pong"}}


def test_a_mailbox_that_went_and_is_made_anew_hears_again(site):
    """As a worker's for remote control, when its channel fails and the connection does not."""
    with Connection(site.url) as connection:
        for _ in range(2):
            channel = connection.channel()
            mailbox = Queue("mailbox", Exchange("control", "fanout", durable=False), auto_delete=True)(channel)
            mailbox.declare()
            mailbox.consume("tag", no_ack=True)
            Producer(channel, mailbox.exchange).publish("hello")
            assert mailbox.get(no_ack=True).payload == "hello"
            channel.close()
            assert site.stats(b"mailbox") is None, "it goes with its last consumer"


def test_events_reach_a_monitor(site):
    site.worker("-E")
    seen = []

    def on_event(event):
        seen.append(event["type"])
        if event["type"] == "task-succeeded":
            receiver.should_stop = True

    with site.app.connection_for_read() as connection:
        receiver = site.app.events.Receiver(connection, handlers={"*": on_event})
        with receiver.consumer_context(wakeup=False):
            site.send("add", 1, 1)
            receiver.capture(limit=None, timeout=30, wakeup=False)
    assert "task-received" in seen and "task-started" in seen


def test_a_broker_on_the_command_line_of_a_fresh_process_is_enough(site):
    """No import of shoal anywhere: the entry points lead to the transport and to the backend."""
    (site.folder / "plain_app.py").write_text(
        "from celery import Celery\napp = Celery('plain_app')\n@app.task\ndef double(x): return 2 * x\n"
    )
    site.environment["PYTHONPATH"] += f":{site.folder}"
    site.run_celery(
        *("-A", "plain_app", "-b", site.url, "--result-backend", site.url),
        *("worker", "-P", "solo", "-l", "info", "-n", "plain@test"),
    )
    assert site.app.send_task("plain_app.double", (21,)).get(timeout=30) == 42


def test_two_databases_of_a_segment_are_two_brokers(site):
    urls = f"shoal://{site.name}", f"shoal://{site.name}/1"
    with (
        Connection(urls[0]) as zero,
        Connection(urls[1]) as one,
        zero.SimpleQueue("q") as q0,
        one.SimpleQueue("q") as q1,
    ):
        q0.put({"from": 0})
        q1.put({"from": 1})
        assert q0.get(timeout=10).payload == {"from": 0}
        assert q1.get(timeout=10).payload == {"from": 1}


def test_a_url_that_cannot_be_read_says_what_is_wrong():
    with pytest.raises(ValueError, match="did you mean"):
        Connection("shoal://app?max_sise=1g").connect()


def test_an_idle_worker_does_not_poll_its_queues(site):
    """Without a daemon it looks for dead processes four times a second, and Celery has timers of its own: no more."""
    worker = site.worker(pool="solo")
    wait_until(lambda: site.stats() and site.stats()["waiting"] == 1, "the worker to sleep")
    before = _context_switches(worker.pid)
    time.sleep(3)
    assert (_context_switches(worker.pid) - before) / 3 < 12, "a worker that sleeps wakes for its timers only"


def _context_switches(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(next(line for line in status if line.startswith("voluntary_ctxt_switches")).split()[1])


def _queue_stats(site):
    return _shoal.queue_stats(site.segment)
