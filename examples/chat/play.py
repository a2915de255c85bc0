# SPDX-License-Identifier: MIT
"""./dev demo --once: the chat played by real WebSocket clients, while workers are killed. Then it counts.

Expected at every client of a room: each message whose publish was acknowledged to its sender, once, in the order in
which its sender sent it, and in the same order as at every other client of the room.
"""

import asyncio
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass

from client import Client
from cluster import Cluster, kill_group

ROOMS, CLIENTS_A_ROOM = 4, 4
WINDOW = 24  # a client waits when so many of its messages are not acknowledged
LONG_JOBS, SHORT_JOBS = 3, 24
LONG_STEPS = 60
WATCHDOG = 150  # seconds until it is said to hang; nothing is judged by how long it took


@dataclass
class Tally:
    delivered: int = 0
    expected: int = 0
    lost: int = 0
    duplicates: int = 0
    unknown: int = 0  # came, but was acknowledged to nobody
    disordered: int = 0

    def add_room(self, members: list[Client]) -> None:
        expected = {(client.name, number) for client in members for number in client.acknowledged}
        places: dict[tuple[str, int], tuple[int, int]] = {}
        for client in members:
            seen = Counter((message.sender, message.number) for message in client.seen)
            self.delivered += len(expected & seen.keys())
            self.expected += len(expected)
            self.lost += len(expected - seen.keys())
            self.duplicates += seen.total() - len(seen)
            self.unknown += len(seen.keys() - expected)
            last, numbers = (0, 0), Counter[str]()
            for position, sender, number in client.seen:
                elsewhere = places.setdefault((sender, number), position)
                self.disordered += position < last or number < numbers[sender] or position != elsewhere
                last, numbers[sender] = position, number

    def good(self) -> bool:
        return self.delivered == self.expected > 0 and not (
            self.lost or self.duplicates or self.unknown or self.disordered
        )


def once(cluster: Cluster, messages: int) -> int:
    play = Play(cluster, messages)
    start = time.monotonic()
    cluster.wait_until_ready()
    print(f"{cluster.web} uvicorn and {cluster.celery} Celery workers on segment {cluster.name}, "
          f"ready after {time.monotonic() - start:.1f} s", flush=True)  # fmt: skip
    try:
        return asyncio.run(asyncio.wait_for(play.run(), WATCHDOG))
    except asyncio.TimeoutError:
        print(f"{cluster.tails()}\n\ndemo: not finished after {WATCHDOG} s")
        print("\n".join(map(str, play.clients)))
        return 1


class Play:
    def __init__(self, cluster: Cluster, messages: int) -> None:
        self.cluster = cluster
        self.each = max(10, messages // (ROOMS * CLIENTS_A_ROOM))
        self.clients = [
            Client(cluster.url, f"room-{room}", f"client-{room}-{number}")
            for room in range(ROOMS)
            for number in range(CLIENTS_A_ROOM)
        ]
        self.watcher = self.clients[0]  # its view of the jobs counts
        self.long = [f"long-{number}" for number in range(LONG_JOBS)]
        self.short = [f"short-{number}" for number in range(SHORT_JOBS)]

    async def run(self) -> int:
        running = [asyncio.create_task(client.run()) for client in self.clients]
        running.append(asyncio.create_task(self._supervise()))
        try:
            play = asyncio.create_task(self._play())
            done, _ = await asyncio.wait([play, *running], return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            for task in [play, *running]:
                task.cancel()
            await asyncio.gather(play, *running, return_exceptions=True)

    async def _supervise(self) -> None:
        while True:
            self.cluster.watch()
            await asyncio.sleep(0.1)

    async def _play(self) -> int:
        await self._everybody_enters()
        senders = [asyncio.create_task(self._send(client)) for client in self.clients]
        killing = [asyncio.create_task(self._kill_web_worker()), asyncio.create_task(self._kill_celery_worker())]
        await asyncio.gather(*senders, *killing)
        for job in self.short:
            await self.watcher.start_job(job, 4)
        for client in self.clients:
            await client.until(lambda client=client: not client.pending)
        await self._everything_came()
        await self.watcher.until(lambda: all(self._finished(job) for job in self.long + self.short))
        return self._judge()

    async def _everybody_enters(self) -> None:
        for client in self.clients:
            await client.say("here")
            await client.until(lambda client=client: any(message.sender == client.name for message in client.seen))
        workers = Counter(client.worker for client in self.clients)
        print(f"{len(self.clients)} clients in {ROOMS} rooms on uvicorn workers "
              + ", ".join(f"{pid} ({count})" for pid, count in sorted(workers.items())), flush=True)  # fmt: skip
        self.workers = workers

    async def _send(self, client: Client) -> None:
        for number in range(1, self.each):
            await client.until(lambda: len(client.pending) < WINDOW)
            await client.say(f"message {number} of {client.name}")
            await asyncio.sleep(0.01)  # the pace of the traffic, no synchronisation

    async def _kill_web_worker(self) -> None:
        sender = self.clients[-1]
        await sender.until(lambda: len(sender.acknowledged) > self.each // 3)
        victim = sender.worker
        hit = [client for client in self.clients if client.worker == victim]
        os.kill(victim, signal.SIGKILL)
        for client in hit:
            await client.until(lambda client=client: client.back)
        times = [client.back[0] * 1000 for client in hit]
        print(f"SIGKILL to uvicorn worker {victim}: {len(hit)} clients back on "
              f"{', '.join(str(pid) for pid in sorted({client.worker for client in hit}))} "
              f"after {min(times):.0f} to {max(times):.0f} ms, "
              f"{sum(client.resent for client in hit)} unacknowledged messages sent again", flush=True)  # fmt: skip

    async def _kill_celery_worker(self) -> None:
        for job in self.long:
            await self.watcher.start_job(job, LONG_STEPS)
        jobs = self.watcher.jobs
        await self.watcher.until(lambda: any(map(self._in_the_middle, self.long)))
        victim = next(filter(self._in_the_middle, self.long))
        self.killed_group = jobs[victim][-1]["group"]
        assert self.killed_group in self.cluster.celery_groups()
        hit = [job for job in self.long if self._ran_in_killed(job) and not self._finished(job)]
        killed = time.time()
        kill_group(self.killed_group)
        await self.watcher.until(lambda: all(self._runs(job) > 1 for job in hit))
        starts = [min(event["start"] for event in jobs[job] if event["run"] > 1) - killed for job in hit]
        print(f"SIGKILL to Celery worker {self.killed_group} and its pool: {len(hit)} tasks killed, again after "
              + ", ".join(f"{seconds:.2f} s" for seconds in sorted(starts)), flush=True)  # fmt: skip

    def _in_the_middle(self, job: str) -> bool:
        events = self.watcher.jobs[job]
        return bool(events) and 8 <= events[-1]["done"] < LONG_STEPS // 2

    def _ran_in_killed(self, job: str) -> bool:
        return any(event["group"] == self.killed_group for event in self.watcher.jobs[job])

    async def _everything_came(self) -> None:
        """Until all are where they should be, or nothing has come for ten seconds: then something is lost."""
        for room in {client.room for client in self.clients}:
            members = [client for client in self.clients if client.room == room]
            expected = sum(len(client.acknowledged) for client in members)
            for client in members:
                before = -1
                while before < len(client.seen) < expected:
                    before = len(client.seen)
                    try:
                        await asyncio.wait_for(client.until(lambda c=client, b=before: len(c.seen) > b), 10)
                    except asyncio.TimeoutError:
                        break

    def _runs(self, job: str) -> int:
        return max((event["run"] for event in self.watcher.jobs[job]), default=0)

    def _finished(self, job: str) -> bool:
        return any(event["done"] == event["of"] for event in self.watcher.jobs[job])

    def _judge(self) -> int:
        result = Tally()
        for room in {client.room for client in self.clients}:
            result.add_room([client for client in self.clients if client.room == room])
        jobs = self.long + self.short
        finished = sum(map(self._finished, jobs))
        twice = [job for job in jobs if self._runs(job) > (2 if self._ran_in_killed(job) else 1)]
        gaps = sum(client.gaps for client in self.clients)
        print(f"tasks finished: {finished}/{len(jobs)}, run again without a death: {len(twice)}")
        print(f"delivered: {result.delivered}/{result.expected}")
        print(f"lost: {result.lost}")
        print(f"duplicates: {result.duplicates}")
        print(f"out of order: {result.disordered}, unknown: {result.unknown}, gaps: {gaps}", flush=True)
        good = result.good() and not gaps and finished == len(jobs) and not twice and len(self.workers) > 1
        return 0 if good else 1
