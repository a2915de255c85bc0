# SPDX-License-Identifier: MIT
"""Tasks flow while pool children, parents and whole workers are killed at random."""

import collections
import random

from conftest import alive, children_of, kill, wait_until

KILLS = 9
SEED = 20


class Storm:
    """Two workers, one of which is hit at a time; `killed` holds every process that was."""

    def __init__(self, site):
        self.site = site
        self.random = random.Random(SEED)
        self.killed = set()
        self.workers = [self.start(), self.start()]

    def start(self):
        return self.site.worker(concurrency=2, APP_OUTLIVE="1", APP_PREFETCH="2")

    def hit(self, kind):
        place = self.random.randrange(len(self.workers))
        worker = self.workers[place]
        children = children_of(worker.pid)
        if kind == "child":
            victims = [self.random.choice(children)]
        else:
            victims = [worker.pid] if kind == "parent" else [worker.pid, *children]
        self.killed.update(victims)
        for pid in victims:
            kill(pid)
        if kind != "child":
            worker.wait()
            self.workers[place] = self.start()


def test_every_task_runs_and_twice_only_what_a_killed_process_ran(site):
    storm = Storm(site)
    sent = []

    def send(count):
        for _ in range(count):
            sent.append(f"s{len(sent)}")
            site.send("record", sent[-1], ignore_result=True)

    kinds = ["child", "parent", "worker"] * (KILLS // 3)
    storm.random.shuffle(kinds)
    for kind in kinds:
        send(60)
        site.wait_for_line("run", count=max(1, len(sent) - 50))  # in the midst of it
        storm.hit(kind)
    send(60)
    wait_until(lambda: {line.split()[1] for line in site.lines("run")} == set(sent), "every task to run")
    wait_until(lambda: site.stats()["ready"] == site.stats()["leased"] == 0, "the last acknowledgement")
    runs = [(line.split()[1], int(line.split()[2])) for line in site.lines("run")]
    by_the_living = collections.Counter(name for name, pid in runs if pid not in storm.killed)
    assert max(by_the_living.values()) == 1, f"run twice beside each other: {by_the_living.most_common(3)}, seed {SEED}"
    again = len(runs) - len(sent)
    assert again <= sum(1 for _, pid in runs if pid in storm.killed)
    assert site.stats()["dead"] == 0
    assert all(alive(worker.pid) for worker in storm.workers)
