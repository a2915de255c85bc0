# SPDX-License-Identifier: MIT
"""Workers are killed by SIGKILL under load: whose task runs elsewhere, and whose does not run twice."""

import collections
import signal
import subprocess
import sys
import textwrap

import pytest

from conftest import alive, children_of, kill, wait_until


def test_what_a_killed_worker_held_runs_elsewhere_and_nothing_of_the_living_runs_twice(site):
    doomed = site.worker(concurrency=2, APP_PREFETCH="1")
    living = site.worker(concurrency=2, APP_PREFETCH="1")
    held = [site.send("hold", f"h{i}", site.gate()) for i in range(4)]
    site.wait_for_line("begin", count=4)
    load = [site.send("record", f"r{i}") for i in range(200)]
    pids = site.wait_for_line("begin", count=4)
    victims = [pid for pid in pids if pid in children_of(doomed.pid)]
    assert len(victims) == 2
    for pid in (doomed.pid, *children_of(doomed.pid)):
        kill(pid)
    doomed.wait()
    site.open_gate()
    for result in (*held, *load):
        result.get(timeout=50)
    begun = collections.Counter(line.split()[1] for line in site.lines("begin"))
    lost = {line.split()[1] for line in site.lines("begin") if int(line.split()[2]) in victims}
    assert {name: count for name, count in begun.items() if count > 1} == dict.fromkeys(lost, 2)
    runs = collections.Counter(line.split()[1] for line in site.lines("run"))
    by_living = {line.split()[1] for line in site.lines("run") if int(line.split()[2]) in children_of(living.pid)}
    assert set(runs) == {f"r{i}" for i in range(200)}
    assert all(runs[name] == 1 for name in by_living)
    wait_until(lambda: site.stats()["leased"] == 0, "the last acknowledgement")


def test_the_task_of_a_killed_pool_child_runs_again(site):
    worker = site.worker(concurrency=2)
    one, two = site.send("hold", "one", site.gate()), site.send("hold", "two", site.gate())
    site.wait_for_line("begin", count=2)
    victim = site.wait_for_line("begin", "one")[0]
    assert victim in children_of(worker.pid)
    kill(victim)
    site.wait_for_line("begin", "one", count=2)
    site.open_gate()
    assert (one.get(timeout=30), two.get(timeout=30)) == ("one", "two")
    assert len(site.lines("begin", "two")) == 1


def test_a_child_that_starts_slowly_runs_the_task_of_a_killed_one(site):
    """By itself Celery kills a child that has not started within 4 seconds, and the next one, and so on."""
    site.worker(APP_SLOW_START="5")
    sent = site.send("hold", "task", site.gate())
    kill(site.wait_for_line("begin", "task")[0])
    site.wait_for_line("begin", "task", count=2)
    site.open_gate()
    assert sent.get(timeout=30) == "task"


def test_a_child_whose_parent_alone_dies_finishes_its_task_and_nobody_runs_it_beside_it(site):
    parent = site.worker(APP_OUTLIVE="1")
    sent = site.send("hold", "orphan", site.gate())
    child = site.wait_for_line("begin", "orphan")[0]
    waiting = [site.send("record", f"prefetched{i}") for i in range(3)]
    wait_until(lambda: site.stats()["leased"] == 4, "the prefetch")
    kill(parent.pid)
    parent.wait()
    site.worker()
    for result in waiting:
        result.get(timeout=30)  # what the parent only held came back
    wait_until(lambda: site.stats()["leased"] == 1, "their acknowledgements")
    assert alive(child)
    assert len(site.lines("begin", "orphan")) == 1
    site.open_gate()
    assert sent.get(timeout=30) == "orphan"
    wait_until(lambda: site.stats()["leased"] == 0, "the child's acknowledgement")
    wait_until(lambda: not alive(child), "the child to leave")
    assert len(site.lines("begin", "orphan")) == 1


def test_a_child_that_dies_with_its_parent_leaves_its_task_to_another(site):
    parent = site.worker()
    sent = site.send("hold", "task", site.gate())
    child = site.wait_for_line("begin", "task")[0]
    kill(parent.pid)  # the kernel kills the child with it: Celery asked for that
    parent.wait()
    site.worker()
    site.wait_for_line("begin", "task", count=2)
    assert not alive(child)
    site.open_gate()
    assert sent.get(timeout=30) == "task"


def test_a_child_does_not_begin_what_was_only_prefetched_when_its_parent_died(site):
    parent = site.worker(APP_OUTLIVE="1")
    site.send("hold", "first", site.gate())
    child = site.wait_for_line("begin", "first")[0]
    others = [site.send("record", f"next{i}") for i in range(3)]
    wait_until(lambda: site.stats()["leased"] == 4, "the prefetch")
    kill(parent.pid)
    parent.wait()
    site.worker()
    for result in others:
        result.get(timeout=30)
    site.open_gate()
    wait_until(lambda: not alive(child), "the child to leave")
    runs = collections.Counter(line.split()[1] for line in site.lines("run"))
    assert runs == {f"next{i}": 1 for i in range(3)}


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_what_a_killed_worker_of_one_process_held_runs_elsewhere(site, pool):
    doomed = site.worker(pool=pool, concurrency=2)
    sent = site.send("hold", "task", site.gate())
    site.wait_for_line("begin", "task")
    kill(doomed.pid)
    doomed.wait()
    site.worker(pool=pool, concurrency=2)
    site.wait_for_line("begin", "task", count=2)
    site.open_gate()
    assert sent.get(timeout=30) == "task"


def test_a_poison_task_is_a_dead_letter_after_three_deaths_and_its_neighbours_run(site):
    worker = site.worker(concurrency=1)
    poison = site.send("kill_me", "poison")
    neighbours = [site.send("record", f"n{i}") for i in range(20)]
    for result in neighbours:
        result.get(timeout=50)
    wait_until(lambda: site.stats()["dead"] == 1, "the dead letter")
    assert len(site.lines("begin", "poison")) == 3
    assert collections.Counter(line.split()[1] for line in site.lines("run")) == {f"n{i}": 1 for i in range(20)}
    assert poison.id.encode() in site.queues.dead_letters(b"celery")[0]
    assert alive(worker.pid)


def test_a_long_task_of_a_living_worker_is_never_given_to_another(site):
    site.worker(APP_PREFETCH="1")
    sent = site.send("hold", "long", site.gate())
    site.wait_for_line("begin", "long")
    site.worker()
    for i in range(30):  # rounds of the reaper, and of everything else
        assert site.send("add", i, 1).get(timeout=30) == i + 1
    assert len(site.lines("begin", "long")) == 1
    site.open_gate()
    assert sent.get(timeout=30) == "long"


def test_a_warm_shutdown_ends_what_runs_and_gives_back_the_rest(site):
    worker = site.worker()
    sent = site.send("hold", "running", site.gate())
    site.wait_for_line("begin", "running")
    rest = [site.send("record", f"rest{i}") for i in range(3)]
    wait_until(lambda: site.stats()["leased"] == 4, "the prefetch")
    worker.send_signal(signal.SIGTERM)
    site.open_gate()
    assert sent.get(timeout=30) == "running"
    worker.wait(timeout=50)
    site.worker()
    for result in rest:
        result.get(timeout=30)
    assert collections.Counter(line.split()[1] for line in site.lines("run")) == {f"rest{i}": 1 for i in range(3)}
    assert len(site.lines("begin", "running")) == 1


def test_a_killed_sender_has_sent_each_task_or_has_not(site):
    site.worker(concurrency=1)
    program = textwrap.dedent("""
        from tasks_app import record, note
        for i in range(1_000_000):
            record.delay(f"s{i}")
            note("sent", f"s{i}")
    """)
    sender = subprocess.Popen([sys.executable, "-c", program], env=site.environment, cwd=site.folder)
    try:
        site.wait_for_line("sent", count=100)
    finally:
        sender.kill()
        sender.wait()
    sent = {line.split()[1] for line in site.lines("sent")}
    wait_until(lambda: site.stats()["ready"] == 0 and site.stats()["leased"] == 0, "the queue to be empty")
    runs = collections.Counter(line.split()[1] for line in site.lines("run"))
    assert set(runs.values()) == {1}
    assert sent <= set(runs)
    assert len(set(runs) - sent) <= 1, "the one that it was about to note"


def test_without_configure_the_worker_says_once_what_a_death_would_lose(site):
    worker = site.worker(APP_CONFIGURE="0")
    log = site.worker_log(worker)
    assert log.count("A death of this worker loses the tasks that it runs") == 1
    configured = site.worker()
    assert "A death of" not in site.worker_log(configured)
