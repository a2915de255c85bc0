# SPDX-License-Identifier: MIT
"""The native queue against the model in queue_model.py, over random histories of several consumers of one process."""

import random

from queue_model import ACK, DROP, REQUEUE, QueueModel

from shoal import _shoal

QUEUES = (b"one", b"two")
SLOT = 1  # the model's name for this process
FAR = 1 << 50  # milliseconds: nothing comes due in a test


class Histories:
    def __init__(self, segment, seed):
        self.random = random.Random(seed)
        self.native = _shoal.Queues(segment, seed % 16)
        self.model = QueueModel()
        self.consumers = {}
        self.tags = []  # pairs: native, model, and the consumer that took it
        for name, length in zip(QUEUES, (0, 5), strict=True):
            self.native.declare(name, max_length=length)
            self.model.declare(name, max_length=length)

    def consumer(self):
        handle = self.random.randrange(1, 4)
        if handle not in self.consumers:
            self.consumers[handle] = _shoal.Consumer(self.native)
            for name in QUEUES:
                self.consumers[handle].add(name, False)
                self.model.holder(name, SLOT, handle)
        return handle, self.consumers[handle]

    def step(self):
        name = self.random.choice(QUEUES)
        getattr(self, self.random.choice(("push", "take", "take", "start", "start", "start", "end", "end", "close")))(
            name
        )
        for each in QUEUES:
            stats, queue = self.native.stats(each), self.model.queues[each]
            counts = tuple(stats[key] for key in ("ready", "delayed", "leased", "dead"))
            assert counts == tuple(map(len, (queue.ready, queue.delayed, queue.leased, queue.dead)))
        self.model.check()

    def push(self, name):
        data = str(self.random.random()).encode() * self.random.choice((1, 1, 300))
        priority, due = self.random.randrange(4), self.random.choice((0, 0, 0, FAR))
        if due and name == b"two":
            due = 0  # which delayed task a full queue drops is nobody's business
        self.native.push(name, data, priority, due)
        self.model.push(name, data, priority, due, now_ms=1)

    def take(self, name):
        handle, consumer = self.consumer()
        row, expected = consumer.take_from(name, False), self.model.take(name, SLOT, handle, now_ms=1)
        assert (row and (row[0], row[2])) == (expected and (name, expected[1]))
        if row:
            self.tags.append((row[1], expected[0], consumer))

    def start(self, _):
        if self.tags:
            native, model, _ = self.random.choice(self.tags[-3:])
            assert self.native.start(native) == self.model.start(model, SLOT)

    def end(self, _):
        if not self.tags:
            return
        native, model, consumer = self.tags.pop(self.random.randrange(len(self.tags)))
        outcome = self.random.choice((ACK, REQUEUE, REQUEUE, REQUEUE, DROP))
        if self.random.random() < 0.3:
            assert self.native.finish(native, outcome) == self.model.finish(model, SLOT, outcome)
        if outcome == ACK:
            assert consumer.ack(native) == self.model.ack(model)
        else:
            assert consumer.reject(native, outcome == REQUEUE) == self.model.reject(model, outcome == REQUEUE)

    def close(self, _):
        if self.consumers and self.random.random() < 0.2:
            handle = self.random.choice(list(self.consumers))
            self.consumers.pop(handle).close()
            self.model.close(SLOT, handle)


def test_random_histories_agree_with_the_model(site):
    dead = 0
    for seed in range(8):
        history = Histories(site.segment, seed)
        for _ in range(600):
            history.step()
        dead += sum(len(queue.dead) for queue in history.model.queues.values())
    assert dead > 0, "histories too tame for a dead letter"
