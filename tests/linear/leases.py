# SPDX-License-Identifier: MIT
"""Histories of processes that work on the same two task queues: they push, take under a lease, start, finish, answer,
close or die. A task is taken, and its lease made, in one step; a process that runs a task which another took joins the
lease by starting it. The operations, each ["NAME", queue, ...]:

    PUSH value priority    TAKE lease            -> None, or the value and whether it had been taken before
    START lease            FINISH lease outcome  -> is the lease there?
    ANSWER lease outcome   CLOSE                 STATS -> ready, leased, dead        LETTERS -> the dead ones
    DIE taker|helper       what a process that is no more held comes back: after its end, and before the last who is
                           left sees nobody's leases; that one then takes all that there is, so what was lost is missed

A lease is named by its taker and a number of his; the segment's own tag stays with those who need it."""

import contextlib
import json
import os
import random
import time
from urllib.parse import urlsplit

from histories import WORKERS, Crew, read

import shoal
from shoal import _shoal

OPERATIONS = 24
HELD_MAX = 4  # by one process: far fewer than one transaction gives back
QUEUES = ("jobs", "mails")
OUTCOMES = ("ack", "requeue", "drop")  # by their numbers
SETTLED = ["SETTLED", ""]
PATIENCE = 60


class Worker:
    def __init__(self, url, prefix, journal, seed):
        self.prefix, self.journal, self.random = prefix, journal, random.Random(seed)
        self.client = shoal.from_url(url, decode_responses=True)
        self.segment = _shoal.Segment.attach(urlsplit(url).netloc)
        self.queues = _shoal.Queues(self.segment)
        self.consumer = _shoal.Consumer(self.queues)
        self.held, self.joined, self.ended = [], [], []  # (queue, lease, tag)
        self.count = 0

    def bytes_of(self, queue):
        return (self.prefix + queue).encode()

    def fresh(self):
        self.count += 1
        return f"{self.journal.number}.{self.count}"

    def call(self, words, run):
        return self.journal.operation([words], lambda: [run()])[0]

    def push(self, queue):
        value, priority = self.fresh(), self.random.choice((0, 1, 1))
        words = ["PUSH", queue, value, str(priority)]
        self.call(words, lambda: self.queues.push(self.bytes_of(queue), value.encode(), priority) is None)

    def take(self, queue):
        lease, tag = self.fresh(), None

        def run():
            nonlocal tag
            if (taken := self.consumer.take_from(self.bytes_of(queue), False)) is None:
                return None
            _, tag, data, again = taken
            return [data.decode(), again]

        found = self.call(["TAKE", queue, lease], run)
        if found is not None:
            self.held.append((queue, lease, tag))
        return found

    def start(self, held):
        queue, lease, tag = held
        return self.call(["START", queue, lease], lambda: self.queues.start(tag))

    def finish(self, held, outcome):
        queue, lease, tag = held
        return self.call(["FINISH", queue, lease, OUTCOMES[outcome]], lambda: self.queues.finish(tag, outcome))

    def answer(self, held, outcome):
        queue, lease, tag = held

        def run():
            return self.consumer.ack(tag) if outcome == 0 else self.consumer.reject(tag, outcome == 1)

        return self.call(["ANSWER", queue, lease, OUTCOMES[outcome]], run)

    def stats(self, queue):
        def run():
            found = self.queues.stats(self.bytes_of(queue)) or dict.fromkeys(("ready", "leased", "dead"), 0)
            return [found[each] for each in ("ready", "leased", "dead")]

        self.call(["STATS", queue], run)

    def letters(self, queue):
        def run():
            return sorted(letter.decode() for letter in self.queues.dead_letters(self.bytes_of(queue)))

        self.call(["LETTERS", queue], run)

    def show(self, held):
        """To whoever wants to join it."""
        self.client.set(self.prefix + "shown", json.dumps(held))

    def join(self):
        shown = self.client.get(self.prefix + "shown")
        if shown and self.start(held := tuple(json.loads(shown))):
            self.joined.append(held)

    def step(self):
        r, queue = self.random, self.random.choice(QUEUES)
        choice = r.choices(
            ["push", "take", "start", "join", "finish", "ack", "reject", "fail", "late", "look", "sweep"],
            [18, 20, 12, 8, 6, 6, 8, 12, 3, 4, 4],
        )[0]
        if choice == "take" and len(self.held) < HELD_MAX:
            if self.take(queue) and r.random() < 0.5:
                self.show(self.held[-1])
        elif choice == "start" and self.held:
            self.start(self.held[-1])
        elif choice == "join":
            self.join()
        elif choice == "finish" and self.joined + self.held:
            self.finish(r.choice(self.joined + self.held), r.choice((0, 0, 1, 2)))
        elif choice in ("ack", "reject") and self.held:
            held = self.held.pop(r.randrange(len(self.held)))
            self.answer(held, 0 if choice == "ack" else r.choice((1, 1, 1, 2)))
            self.ended.append(held)
        elif choice == "fail" and self.take(queue):
            self.start(self.held[-1])
            self.answer(self.held[-1], 1)
            self.ended.append(self.held.pop())
        elif choice == "late" and self.ended:
            r.choice([self.start, lambda held: self.answer(held, 1)])(r.choice(self.ended))
        elif choice == "look":
            r.choice([self.stats, self.letters])(queue)
        elif choice == "sweep":
            self.segment.sweep()
        else:
            self.push(queue)

    def close(self):
        self.journal.operation([["CLOSE", queue] for queue in QUEUES], lambda: [self.consumer.close() for _ in QUEUES])


def work(*arguments):
    worker = Worker(*arguments)
    worker.client.ping()
    for _ in worker.journal.turns(worker.random, OPERATIONS):
        worker.step()
    if worker.random.random() < 0.7:
        worker.close()
    os._exit(0)  # without a word to the segment; it notices


def clear(*arguments):
    """The last one: waits until the dead hold nothing any more, and takes all that there is."""
    worker = Worker(*arguments)

    def settle():
        deadline = time.monotonic() + PATIENCE
        for queue in QUEUES:
            while (stats := worker.queues.stats(worker.bytes_of(queue))) and stats["consumers"] + stats["leased"]:
                assert time.monotonic() < deadline, f"what the dead held does not come back: {stats}"
                worker.segment.sweep()

    worker.journal.operation([SETTLED], lambda: [settle()])
    for queue in QUEUES:
        pushed = WORKERS * OPERATIONS  # at most, and more cannot come back
        while worker.take(queue) and (pushed := pushed - 1):
            worker.answer(worker.held.pop(), 0)
        worker.letters(queue)
        worker.stats(queue)
    worker.close()
    for queue in QUEUES:
        worker.queues.delete(worker.bytes_of(queue))


def single(operation):
    """What an operation did to each of the queues, as one operation each."""
    for i, words in enumerate(operation["commands"]):
        replies = {"replies": [operation["replies"][i]]} if "replies" in operation else {}
        yield {**operation, "commands": [words], **replies}


def may_hold(worker, operations):
    """As what one who died may have held something of a queue, or may have begun what then never happened."""
    taken, begun, helped = set(), False, False
    for each in operations:
        name, _, *about = each["commands"][0]
        said = each["replies"][0] if "replies" in each else "perhaps"
        begun = begun or said == "perhaps"
        if name == "TAKE" and said:
            taken.add(about[0])
        elif name == "ANSWER" and said is True:
            taken.discard(about[0])
        elif name == "CLOSE" and said is None:
            taken.clear()
        elif name == "START" and said and about[0].split(".")[0] != str(worker):
            helped = True
    return ["taker"] * bool(taken or begun) + ["helper"] * helped


def deaths_of(worker, operations):
    """Of one that is no more, at some time after it wrote its last line: only those that can make a difference, for the
    checker's sake."""
    moment = max((each.get("return", each["call"]) for each in operations), default=0)
    for queue in QUEUES:
        for role in may_hold(worker, [each for each in operations if each["commands"][0][1] == queue]):
            yield {"client": worker, "call": moment, "commands": [["DIE", queue, role]]}


def history_of(crew):
    """When the last worker has seen that nobody holds anything, the deaths are over, and what the dead had begun has
    happened or never will: it returned without a reply then."""
    *workers, last = crew.workers
    settled, *history = (each for line in read(last.path) for each in single(line))
    for worker in workers:
        operations = [each for line in read(worker.path) for each in single(line)]
        deaths = [{**each, "replies": [None]} for each in deaths_of(worker.number, operations)]
        history += ({"return": settled["return"], **each} for each in operations + deaths)
    return history


def record(url, folder, name, seed):
    """Runs one history and returns its operations."""
    with contextlib.closing(Crew(url, folder, name, seed, work)) as crew:
        crew.run()
        crew.begin(clear)
        crew.wait()
    return history_of(crew)
