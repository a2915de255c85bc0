# SPDX-License-Identifier: MIT
"""Python workers of all kinds on one segment, synchronous, asyncio and real Celery, killed at random and replaced. What
was acknowledged is there, what was published was heard or counted as missed, every task ran, and the segment is sound.

SHOAL_CHAOS_SECONDS says how long (15), SHOAL_SEED repeats the random choices of a run."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from celery import Celery
from journal import Story
from worker import CHANNEL, KEEP, KEYS

import shoal

HERE = Path(__file__).parent
SECONDS = float(os.environ.get("SHOAL_CHAOS_SECONDS", "15"))
PATIENCE = 120 + SECONDS
KINDS = ["sync", "sync", "asyncio", "asyncio", "celery", "celery"]
CHILDREN = 2  # of a Celery worker: so many tasks run at most when it is killed
TOKENS = [f"token{i}" for i in range(12)]

pytestmark = pytest.mark.timeout(SECONDS + 3 * PATIENCE)


class Crew:
    def __init__(self, folder, seed):
        self.folder, self.random = folder, random.Random(seed)
        self.name = f"chaos-{os.getpid()}"
        self.url = f"shoal://{self.name}?max_size=48m&shards=8"
        self.environment = {
            **os.environ,
            "APP_URL": self.url,
            "APP_JOURNAL": str(folder / "tasks"),
            "PYTHONPATH": str(HERE),
            "PYTHONWARNINGS": "ignore",
        }
        self.app = Celery("tasks", broker=self.url, backend=self.url, set_as_current=False)
        self.processes = [None] * len(KINDS)
        self.kills = self.celery_kills = self.sent = 0

    def journal(self, number):
        return self.folder / f"journal{number}"

    def start(self, number):
        if KINDS[number] == "celery":
            options = ["-l", "warning", "-P", "prefork", "-c", str(CHILDREN), "--without-gossip", "--without-mingle"]
            command = ["-m", "celery", "-A", "tasks", "worker", "-n", f"w{number}-{self.kills}@chaos", *options]
        else:
            seed = self.random.randrange(2**32)
            command = [HERE / "worker.py", KINDS[number], self.url, number, self.journal(number), seed]
        with (self.folder / f"output{number}").open("ab") as output:
            self.processes[number] = subprocess.Popen(
                [sys.executable, *map(str, command)],
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
            )

    def kill(self, number):
        """By SIGKILL, as the kernel does it; the children of a Celery worker go with it, or after it."""
        process = self.processes[number]
        if KINDS[number] == "celery" and self.random.random() < 0.5:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        self.kills += 1
        self.celery_kills += KINDS[number] == "celery"

    def send(self):
        name, seconds = f"task{self.sent}", 0.1 if self.random.random() < 0.1 else 0
        self.app.send_task("tasks.record", (name, seconds), ignore_result=True)
        self.sent += 1

    def expect_nobody_fell(self):
        for number, process in enumerate(self.processes):
            assert process.poll() is None, (self.folder / f"output{number}").read_text()[-3000:]

    def close(self):
        for process in self.processes:
            if process is not None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def crew(tmp_path):
    seed = int(os.environ.get("SHOAL_SEED", time.time_ns() % 2**32))
    print(f"seed {seed}")
    crew = Crew(tmp_path, seed)
    yield crew
    crew.close()
    subprocess.run(["shoal", "rm", "--force", crew.name], check=False, capture_output=True)


def wait_until(found, what):
    deadline = time.monotonic() + PATIENCE
    while not (value := found()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
    return value


def lay_out(r):
    position = r.channel(CHANNEL, keep=KEEP).publish("begin").position
    r.set("chaos:begin", str(position))
    for i, token in enumerate(TOKENS):
        r.rpush(f"chaos:tokens:{i % 3}", token)
    return position


def expect_sound(name):
    report = subprocess.run(["shoal", "--json", "check", name], capture_output=True, text=True, check=False)
    assert json.loads(report.stdout)["findings"] == [], report.stdout


def expect_acknowledged(crew, r, begin):
    stories = [Story(crew.journal(number)) for number in range(len(KINDS))]
    for what, value in (
        ("count", int(r.get("chaos:count"))),
        ("pair", int(r.get("chaos:left"))),
        ("pair", int(r.hget("chaos:right", "count"))),
        ("publish", r.channel(CHANNEL).publish("end").position.sequence - begin.sequence - 1),
    ):
        least = sum(story.count("ok", what) for story in stories)
        most = sum(story.count("try", what) for story in stories)
        assert least <= value <= most, f"{what} is {value}; {least} were acknowledged, {most} begun"
    assert r.get("chaos:left") == r.hget("chaos:right", "count")
    for number, story in enumerate(stories):
        for key in (f"chaos:own:{number}:{i}" for i in range(KEYS)):
            value = r.get(key)
            assert (value.decode() if value else None) in story.may_hold(key), key
    tokens = [token.decode() for i in range(3) for token in r.lrange(f"chaos:tokens:{i}", 0, -1)]
    assert sorted(tokens) == sorted(TOKENS)


def expect_heard(crew, r):
    """Each worker goes on where its last one stopped: what it is given or told to have missed adds up to everything."""
    last = r.channel(CHANNEL).publish("last").position.sequence
    for number, kind in enumerate(KINDS):
        if kind == "celery":
            continue
        heard = Story(crew.journal(number)).last("heard")
        sequence = int(heard[0].partition("-")[2])
        with r.channel(CHANNEL).subscribe(since=heard[0]) as subscription:
            while sequence < last:
                item = subscription.get(timeout=PATIENCE)
                sequence += item.missed if isinstance(item, shoal.Gap) else 1
                assert isinstance(item, shoal.Gap) or item.sequence == sequence
        assert sequence == last


def test_killed_workers_of_all_kinds_lose_nothing(crew, record_testsuite_property):
    with shoal.from_url(crew.url) as r:
        begin = lay_out(r)
        for number in range(len(KINDS)):
            crew.start(number)
        for number in (0, 1, 2, 3):
            wait_until(lambda number=number: Story(crew.journal(number)).count("ok") > 0, f"worker {number}")
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            crew.expect_nobody_fell()
            victim = crew.random.randrange(len(KINDS))
            crew.kill(victim)
            crew.start(victim)
            until = time.monotonic() + crew.random.uniform(0.05, 0.6)  # how long they work, nothing more
            while time.monotonic() < until:
                crew.send()
                time.sleep(0.01)
        ran = wait_until(
            lambda: (found := Story(crew.folder / "tasks").ran()) and len(found) == crew.sent and found, "all tasks"
        )
        assert set(ran) == {f"task{i}" for i in range(crew.sent)}
        r.set("chaos:stop", 1)
        for number in (0, 1, 2, 3):
            assert crew.processes[number].wait(PATIENCE) == 0, (crew.folder / f"output{number}").read_text()[-3000:]
        crew.close()
        expect_acknowledged(crew, r, begin)
        expect_heard(crew, r)
        expect_sound(crew.name)
        again = sum(ran.values()) - crew.sent
        assert again <= CHILDREN * crew.celery_kills  # what was delivered, but did not run, runs once
        record_testsuite_property("facts", f"{crew.kills} kills, {crew.sent} tasks, {again} ran again")
