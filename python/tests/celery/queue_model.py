# SPDX-License-Identifier: MIT
"""What a task queue promises, in the plainest Python: the oracle that the native queue is compared with.

One object holds everything; owners are passed in as plain numbers (slot, handle), time is passed in. No concurrency, no
crash: those are the native queue's business; the order, the counts and who holds what are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ACK, REQUEUE, DROP = 0, 1, 2


@dataclass
class Task:
    number: int
    priority: int
    data: bytes
    due_ms: int = 0
    deliveries: int = 0  # started and not brought to an orderly end
    lease: int = 0
    holder: int = 0
    second: int | None = None  # slot of a pool child that runs it
    started: bool = False
    finished: int | None = None  # outcome told by the child while the first owner still lives


@dataclass
class Queue:
    max_length: int = 0
    drop_head: bool = True
    max_deliveries: int = 3
    auto_delete: bool = False
    next_number: int = 1
    ready: list[Task] = field(default_factory=list)  # sorted by (priority, number)
    delayed: list[Task] = field(default_factory=list)  # sorted by (due, number)
    leased: dict[int, Task] = field(default_factory=dict)  # by number
    dead: list[Task] = field(default_factory=list)
    had_consumer: bool = False


@dataclass
class Holder:
    id: int
    queue: bytes
    slot: int
    handle: int  # 0 = second owner of leases, not a consumer


class QueueModel:
    def __init__(self) -> None:
        self.queues: dict[bytes, Queue] = {}
        self.exchanges: dict[bytes, list[tuple[bytes, bytes, bytes]]] = {}
        self.holders: dict[int, Holder] = {}
        self.next_holder = 1
        self.next_lease = 1

    # -- queues -----------------------------------------------------------------------------------------------------
    def declare(self, name: bytes, **options) -> int:
        if name not in self.queues:
            self.queues[name] = Queue(**options)
        return self.size(name)

    def size(self, name: bytes) -> int:
        q = self.queues.get(name)
        return len(q.ready) + len(q.delayed) if q else 0

    def delete(self, name: bytes) -> int:
        n = self.size(name)
        self.queues.pop(name, None)
        for table in self.exchanges.values():
            table[:] = [b for b in table if b[2] != name]
        self.holders = {i: h for i, h in self.holders.items() if h.queue != name}
        return n

    def purge(self, name: bytes) -> int:
        n = self.size(name)
        if name in self.queues:
            self.queues[name].ready.clear()
            self.queues[name].delayed.clear()
        return n

    def push(self, name: bytes, data: bytes, priority: int, due_ms: int, now_ms: int) -> int:
        q = self.queues.setdefault(name, Queue())
        if q.max_length and len(q.ready) + len(q.delayed) >= q.max_length:
            if not q.drop_head:
                raise OverflowError(name)
            (q.ready or q.delayed).pop(0)
        task = Task(q.next_number, priority, data, due_ms if due_ms > now_ms else 0)
        q.next_number += 1
        self._place(q, task)
        return task.number

    def _place(self, q: Queue, task: Task) -> None:
        if task.due_ms:
            q.delayed.append(task)
            q.delayed.sort(key=lambda t: (t.due_ms, t.number))
        else:
            q.ready.append(task)
            q.ready.sort(key=lambda t: (t.priority, t.number))

    def promote(self, q: Queue, now_ms: int) -> None:
        """A task that has come due takes its place at the end, as if it had been enqueued now."""
        while q.delayed and q.delayed[0].due_ms <= now_ms:
            task = q.delayed.pop(0)
            task.due_ms = 0
            task.number = q.next_number
            q.next_number += 1
            self._place(q, task)

    # -- consumers ----------------------------------------------------------------------------------------------------
    def holder(self, name: bytes, slot: int, handle: int) -> int:
        for h in self.holders.values():
            if (h.queue, h.slot, h.handle) == (name, slot, handle):
                return h.id
        self.queues.setdefault(name, Queue())
        if handle:
            self.queues[name].had_consumer = True
        self.holders[self.next_holder] = Holder(self.next_holder, name, slot, handle)
        self.next_holder += 1
        return self.next_holder - 1

    def take(self, name: bytes, slot: int, handle: int, now_ms: int, no_ack: bool = False):
        q = self.queues.get(name)
        if q is None:
            return None
        self.promote(q, now_ms)
        if not q.ready:
            return None
        task = q.ready.pop(0)
        if no_ack:
            return None, task.data, task.deliveries
        task.holder = self.holder(name, slot, handle)
        task.lease = self.next_lease
        self.next_lease += 1
        task.started, task.finished, task.second = False, None, None
        q.leased[task.number] = task
        return (name, task.holder, task.number, task.lease), task.data, task.deliveries

    def _leased(self, tag) -> tuple[Queue, Task] | tuple[None, None]:
        name, _, number, lease = tag
        q = self.queues.get(name)
        task = q.leased.get(number) if q else None
        return (q, task) if task and task.lease == lease else (None, None)

    def start(self, tag, slot: int) -> bool:
        q, task = self._leased(tag)
        if q is None:
            return False
        first = self.holders[task.holder]
        if not task.started:
            task.started = True
            task.deliveries += 1
        if first.slot != slot:
            task.second = slot
            self.holder(tag[0], slot, 0)
        return True

    def finish(self, tag, slot: int, outcome: int) -> bool:
        q, task = self._leased(tag)
        if q is None:
            return False
        first = self.holders[task.holder]
        if first.handle == 0 and first.slot == slot:
            self._end(q, task, outcome, orderly=True)
        else:
            task.finished, task.second = outcome, None
        return True

    def ack(self, tag) -> bool:
        q, task = self._leased(tag)
        if q is None:
            return False
        del q.leased[task.number]
        return True

    def reject(self, tag, requeue: bool) -> bool:
        q, task = self._leased(tag)
        if q is None:
            return False
        self._end(q, task, REQUEUE if requeue else DROP, orderly=not task.started or task.finished is not None)
        return True

    def _end(self, q: Queue, task: Task, outcome: int, orderly: bool) -> None:
        del q.leased[task.number]
        if outcome != REQUEUE:
            return
        if orderly and task.started:
            task.deliveries -= 1
        task.started, task.second, task.finished = False, None, None
        if not orderly and task.deliveries >= q.max_deliveries:
            q.dead.append(task)
        else:
            self._place(q, task)

    def _release(self, holder: Holder, orderly: bool, alive) -> None:
        q = self.queues[holder.queue]
        for task in [t for t in q.leased.values() if t.holder == holder.id]:
            if task.finished is not None:
                self._end(q, task, task.finished, orderly=True)
            elif task.second is not None and task.second != holder.slot and alive(task.second):
                task.holder = self.holder(holder.queue, task.second, 0)
            else:
                self._end(q, task, REQUEUE, orderly=orderly or not task.started)
        del self.holders[holder.id]
        left = any(h.queue == holder.queue and h.handle for h in self.holders.values())
        if holder.handle and q.auto_delete and q.had_consumer and not left:
            self.delete(holder.queue)

    def close(self, slot: int, handle: int, queue: bytes | None = None) -> None:
        for h in list(self.holders.values()):
            if (h.slot, h.handle) == (slot, handle) and queue in (None, h.queue):
                self._release(h, orderly=True, alive=lambda s: True)

    def release_slot(self, slot: int, alive) -> None:
        for h in list(self.holders.values()):
            if h.slot == slot and h.id in self.holders:
                self._release(h, orderly=False, alive=lambda s: s != slot and alive(s))

    # -- exchanges
    # ------------------------------------------------------------------------------------------------------
    def bind(self, exchange: bytes, key: bytes, pattern: bytes, queue: bytes) -> None:
        table = self.exchanges.setdefault(exchange, [])
        if (key, pattern, queue) not in table:
            table.append((key, pattern, queue))

    def unbind(self, exchange: bytes, key: bytes, pattern: bytes, queue: bytes) -> None:
        table = self.exchanges.get(exchange, [])
        if (key, pattern, queue) in table:
            table.remove((key, pattern, queue))

    def bindings(self, exchange: bytes) -> list[tuple[bytes, bytes, bytes]]:
        return list(self.exchanges.get(exchange, []))

    # -- invariants
    # -----------------------------------------------------------------------------------------------------
    def check(self) -> None:
        for name, q in self.queues.items():
            assert q.ready == sorted(q.ready, key=lambda t: (t.priority, t.number)), name
            numbers = [t.number for t in (*q.ready, *q.delayed, *q.leased.values(), *q.dead)]
            assert len(numbers) == len(set(numbers)), name
            for task in q.leased.values():
                assert self.holders[task.holder].queue == name
