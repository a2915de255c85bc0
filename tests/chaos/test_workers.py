# SPDX-License-Identifier: MIT
"""Workers of all kinds on one segment, in Python synchronous (with threads and forked children), asyncio and real
Celery, and in C++, killed at random and replaced, or stopped for a moment; and so is the segment's daemon. What
was acknowledged is there, what was published was heard or counted as missed, every task ran, and none again while its
owner lived; nothing stays with the dead; the segment is sound. What is printed at the end was counted by these looks.

SHOAL_CHAOS_SECONDS says how long (15), SHOAL_SEED repeats the random choices of a run."""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import NamedTuple

import kombu
import pytest
from celery import Celery
from disturbances import Stops, daemon_of, disturbances, kill_daemon
from journal import OWN, Story, lines_of, runs_of
from times import Times
from worker import BUNDLE, CHANNEL, KEEP

import shoal

HERE = Path(__file__).resolve().parent
CPP_WORKER = HERE.parents[1] / "build/release/bin/shoal_chaos_worker"
SECONDS = float(os.environ.get("SHOAL_CHAOS_SECONDS", "15"))
PATIENCE = 120 + SECONDS
KINDS = ["sync", "sync", "asyncio", "asyncio", "cpp", "cpp", "celery", "celery"]
HEARERS = [number for number, kind in enumerate(KINDS) if kind != "celery"]  # do the same work, and end at `stop`
CHILDREN = 2  # of a Celery worker: so many tasks run at most when it is killed
TOKENS = [f"token{i}" for i in range(12)]

pytestmark = pytest.mark.timeout(SECONDS + 4 * PATIENCE)


class Crew:
    def __init__(self, folder, seed):
        self.folder, self.seed = folder, seed
        self.disturbances, self.random = disturbances(seed, len(KINDS)), random.Random(seed)
        self.name = f"chaos-{os.getpid()}"
        self.url = f"shoal://{self.name}?max_size=48m&shards=8"
        self.life_over, self.life = os.pipe()  # read ends when all processes of all workers are gone
        self.environment = {
            **os.environ,
            "APP_URL": self.url,
            "APP_JOURNAL": str(folder / "tasks"),
            "APP_LIFE_FD": str(self.life),
            "PYTHONPATH": str(HERE),
            "PYTHONWARNINGS": "ignore",
        }
        self.app = Celery("tasks", broker=self.url, backend=self.url, set_as_current=False)
        self.processes, self.lives = [None] * len(KINDS), [0] * len(KINDS)
        self.stops, self.killed_at, self.sent, self.refused = Stops(), {}, [], []
        self.kills = self.celery_kills = self.daemon_kills = 0

    def journals(self, number):
        return [self.folder / f"journal-{number}.{life}" for life in range(self.lives[number])]

    def journals_of_company(self):
        return sorted(self.folder.glob("journal-*.*.*"))

    def output(self, number):
        return (self.folder / f"output{number}").read_text()[-3000:]

    def owner(self, number):
        """As a Celery worker calls itself; the last of this number."""
        return f"w{number}-{self.lives[number] - 1}@chaos"

    def ready(self, number):
        return KINDS[number] != "celery" or (self.folder / f"tasks-{self.owner(number)}").exists()

    def command(self, number, life, seed):
        if KINDS[number] == "celery":
            options = ["-l", "warning", "-P", "prefork", "-c", CHILDREN, "--without-gossip", "--without-mingle"]
            return [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-n", self.owner(number), *options]
        program = [CPP_WORKER] if KINDS[number] == "cpp" else [sys.executable, HERE / "worker.py", KINDS[number]]
        return [*program, self.url, number, life, self.folder, seed, self.life]

    def start(self, number, seed):
        life = self.lives[number]
        self.lives[number] += 1
        with (self.folder / f"output{number}").open("ab") as output:
            self.processes[number] = subprocess.Popen(
                list(map(str, self.command(number, life, seed))),
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
                pass_fds=[self.life],
            )

    def disturb(self, to):
        if to.what == "kill":
            if not to.even_at_start and not self.ready(to.victim):
                return
            self.kill(to.victim, to.whole_group)
            self.start(to.victim, to.seed)
        elif to.what == "stop":
            self.stops.stop(self.processes[to.victim], to.whole_group, to.stopped_s)
        elif to.what == "kill daemon":
            self.daemon_kills += kill_daemon(self.name)
        else:
            self.stops.stop_daemon(self.name, to.stopped_s)

    def kill(self, number, whole_group):
        """By SIGKILL, as the kernel does it; the children of a Celery worker go with it, or after it."""
        process = self.processes[number]
        if KINDS[number] == "celery":
            self.killed_at[self.owner(number)] = time.monotonic()
            self.celery_kills += 1
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
        self.stops.end(process)
        process.wait()
        self.kills += 1

    def send(self):
        name, seconds = f"task{len(self.sent) + len(self.refused)}", 0.1 if self.random.random() < 0.1 else 0
        try:
            self.app.send_task("tasks.record", (name, seconds), ignore_result=True)
            self.sent.append(name)
        except (shoal.HolderStopped, kombu.exceptions.OperationalError) as error:
            assert "stopped" in str(error), error
            self.refused.append(name)

    def expect_nobody_fell(self):
        for number, process in enumerate(self.processes):
            assert process.poll() is None, self.output(number)

    def has_begun(self, number):
        self.expect_nobody_fell()
        (journal,) = self.journals(number)
        return any(verb == "ok" for verb, *_ in lines_of(journal))

    def end(self):
        """Whoever is left is killed; afterwards nobody is."""
        for process in self.processes:
            if process is not None and process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                self.stops.end(process)
                process.wait()
        self.stops.join()
        if self.life is not None:
            os.close(self.life)
            self.life = None
        assert select.select([self.life_over], [], [], PATIENCE)[0], "a worker's child lives on"

    def close(self):
        try:
            self.end()
        finally:
            os.close(self.life_over)


@pytest.fixture
def crew(tmp_path):
    seed = int(os.environ.get("SHOAL_SEED", time.time_ns() % 2**32))
    print(f"seed {seed}")
    crew = Crew(tmp_path, seed)
    try:
        yield crew
    finally:
        try:
            crew.close()
        finally:
            subprocess.run(["shoal", "rm", "--force", crew.name], check=False, capture_output=True)


def in_time(found):
    """What is found, as soon as it is something; when patience ends, whatever it is then."""
    deadline = time.monotonic() + PATIENCE
    while not (value := found()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return value


def wait_until(found, what):
    value = in_time(found)
    assert value, f"waited in vain for {what}"
    return value


def lay_out(r):
    position = r.channel(CHANNEL, keep=KEEP).publish("begin").position
    r.set("chaos:begin", str(position))
    for i, token in enumerate(TOKENS):
        r.rpush(f"chaos:tokens:{i % 3}", token)
    return position


class Found(NamedTuple):
    lost: Counter  # what was acknowledged and is not there: how much of it
    again: int  # how often tasks ran again
    stuck: list  # what stays with the dead
    leaked: list  # what the check of the segment finds

    def expect_nothing(self):
        assert not self.lost and not self.stuck and not self.leaked, self


def tool(*arguments):
    return json.loads(subprocess.run(["shoal", "--json", *arguments], capture_output=True, check=False).stdout)


def left_of_dead(name):
    """Slots, and places in queues with their leases."""
    seen = tool("inspect", name)
    alive = {row["pid"] for row in seen["processes"] if row["alive"]}
    return [row for row in seen["processes"] + seen["leases"] if row["pid"] not in alive]


def find_lost_values(r, begin, stories):
    """What nobody wrote, or half of what was written at once, fails here."""
    lost, bundle = Counter(), {int(value) for value in r.mget(f"chaos:bundle:{i}" for i in range(BUNDLE))}
    assert len(bundle) == 1, f"half of a transaction: {bundle}"
    for what, value in (
        ("bundle", *bundle),
        ("count", int(r.get("chaos:count"))),
        ("pair", int(r.get("chaos:left"))),
        ("pair", int(r.hget("chaos:right", "count"))),
        ("publish", r.channel(CHANNEL).publish("end").position.sequence - begin.sequence - 1),
    ):
        least = sum(story.said["ok", what] for story in stories)
        most = sum(story.said["try", what] - story.said["no", what] for story in stories)
        assert value <= most, f"{what} is {value}; {most} were begun"
        lost[f"{what}, of {least} that were acknowledged"] += max(least - value, 0)
    assert r.get("chaos:left") == r.hget("chaos:right", "count")
    may_hold = {key: values for story in stories for key, values in story.values.items()}
    for key, values in may_hold.items():
        value = r.get(key)
        lost[f"{key} is {value}, not one of {values}"] += (value.decode() if value else None) not in values
    unknown = {key.decode() for key in r.scan_iter(f"{OWN}*", count=1000)} - may_hold.keys()
    assert not unknown, f"nobody wrote {unknown}"
    tokens = [token.decode() for i in range(3) for token in r.lrange(f"chaos:tokens:{i}", 0, -1)]
    assert len(tokens) == len(set(tokens)) and set(tokens) <= set(TOKENS), tokens
    return lost + Counter(set(TOKENS) - set(tokens))


def find_lost_messages(r, stories):
    """Each worker goes on where its last one stopped: what it is given or told to have missed adds up to everything."""
    lost = Counter()
    last = r.channel(CHANNEL).publish("last").position.sequence
    for story in (stories[number] for number in HEARERS):
        sequence = int(story.heard.partition("-")[2])
        with r.channel(CHANNEL).subscribe(since=story.heard) as subscription:
            while sequence < last and (item := subscription.get(timeout=PATIENCE)) is not None:
                sequence += item.missed if isinstance(item, shoal.Gap) else 1
                assert isinstance(item, shoal.Gap) or item.sequence == sequence
        assert sequence <= last
        lost[f"messages behind {sequence}"] += last - sequence
    return +lost


def find_tasks(crew):
    """Which that were sent did not run, and how often tasks ran again: only if one of the two owners had been killed
    before; then the killed one's orphan may be late."""
    runs = {}
    for run in runs_of(crew.folder / "tasks"):
        for before in runs.setdefault(run.task, []):
            owners = {before.owner, run.owner}
            dead = any(crew.killed_at.get(owner, run.at + 1) <= run.at for owner in owners)
            assert dead and len(owners) == 2, f"{run} after {before}; killed were {crew.killed_at}"
        runs[run.task].append(run)
    assert runs.keys() <= {*crew.sent, *crew.refused}
    again = sum(map(len, runs.values())) - len(runs)
    assert again <= CHILDREN * crew.celery_kills  # what was delivered, but did not run, runs once
    return Counter(set(crew.sent) - runs.keys()), again


def expect_daemon(crew):
    """A client that comes starts one, if nobody did so since the last was killed."""
    with shoal.from_url(crew.url) as late:
        late.ping()
    daemon = wait_until(lambda: daemon_of(crew.name), "a daemon")
    os.close(daemon)


def tell(crew, found, stories, times, record_testsuite_property):
    said = {verb: sum(story.said[verb] for story in stories) for verb in ("fork", "child-killed", "thread-ended")}
    refused = len(crew.refused) + sum(story.refused for story in stories)
    facts = (
        f"{crew.kills} kills, {sum(story.acknowledged for story in stories)} operations, {len(crew.sent)} tasks, "
        f"{found.again} ran again, {crew.stops.count} stops, {crew.daemon_kills} daemon kills, "
        f"{len(crew.stops.daemon_timers)} daemon stops, {said['fork']} forks, seed {crew.seed}, "
        f"lost {found.lost.total()}, stuck {len(found.stuck)}, leaked {len(found.leaked)}"
    )
    company = (
        f"{said['child-killed']} children killed, {said['thread-ended']} threads ended, {refused} refused, "
        f"{sum(story.missed for story in stories)} messages missed"
    )
    record_testsuite_property("facts", facts)
    for line in (company, *times.lines()):
        record_testsuite_property("times", line)
        print(line)
    print(facts)


def test_killed_workers_of_all_kinds_lose_nothing(crew, record_testsuite_property):
    with shoal.from_url(crew.url) as r:
        begin = lay_out(r)
        for number in range(len(KINDS)):
            crew.start(number, crew.random.randrange(2**32))
        for number in HEARERS:
            wait_until(partial(crew.has_begun, number), f"worker {number}")
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            crew.expect_nobody_fell()
            to = next(crew.disturbances)
            crew.disturb(to)
            until = time.monotonic() + to.pause_s  # how long they work, nothing more
            while time.monotonic() < until:
                crew.send()
                time.sleep(0.01)
        in_time(lambda: {run.task for run in runs_of(crew.folder / "tasks")} >= set(crew.sent))
        r.set("chaos:stop", 1)
        for number in HEARERS:
            assert crew.processes[number].wait(PATIENCE) == 0, crew.output(number)
        crew.end()
        times = Times(crew.stops.spans)
        stories = [Story(*crew.journals(number), on_time=times.of(kind)) for number, kind in enumerate(KINDS)]
        stories += [Story(path, on_time=times.of("sync")) for path in crew.journals_of_company()]
        lost = find_lost_values(r, begin, stories) + find_lost_messages(r, stories)
        lost_tasks, again = find_tasks(crew)
        expect_daemon(crew)
        in_time(lambda: not left_of_dead(crew.name))
        found = Found(lost + lost_tasks, again, left_of_dead(crew.name), tool("check", crew.name)["findings"])
        tell(crew, found, stories, times, record_testsuite_property)
        found.expect_nothing()
