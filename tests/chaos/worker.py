# SPDX-License-Identifier: MIT
"""worker.py sync|asyncio URL NUMBER LIFE FOLDER SEED LIFE_FD: works on a segment until it is killed, or until `stop` is
set in it. The operations are generators that say what to call, so that both kinds of worker run the same ones;
worker.cc does them in C++.

A synchronous one also has company now and then, that works in the same way for a while: a forked child, which ends by
itself or is killed, or a thread, which ends."""

import asyncio
import os
import random
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

from journal import OWN, Journal, Story

import shoal
import shoal.asyncio

CHANNEL, KEEP = "chaos:room", 64
LONGEST = 2000  # bytes of a message: the ring holds those of a moment, so that whoever is stopped misses some
KEYS = 5
BUNDLE = 200  # counters that grow together: who is stopped or killed in that, often holds their locks
COMPANY_EVERY = 1000  # operations, about


def now_us():
    return time.monotonic_ns() // 1000


class Work:
    """What one worker does. Each operation yields the answer that it waits for."""

    def __init__(self, name, keys, folder, seed):
        self.name, self.keys = name, keys
        self.journal = Journal(Path(folder) / f"journal-{name}")
        self.random = random.Random(seed)
        self.next, self.trying = 0, None
        self.heard, self.missed = None, 0

    def begin(self, what):
        self.next += 1
        self.trying = what, f"{self.name}:{self.next}"
        self.journal.say("try", *self.trying)
        self.began_us = now_us()
        return self.trying[1]

    def done(self):
        took_us = now_us() - self.began_us
        self.journal.say("ok", *self.trying, self.began_us, took_us)

    def refused(self):
        """A lock was not to be had in time, for its holder is stopped: nothing was done."""
        self.journal.say("no", *self.trying)

    def count(self, r):
        self.begin("count")
        yield r.incr("chaos:count")
        self.done()

    def write(self, r):
        key = f"{self.keys}:{self.random.randrange(KEYS)}"
        value = self.begin(key)
        yield r.set(key, value)
        self.done()

    def pair(self, r):
        self.begin("pair")
        pipe = r.pipeline(transaction=True)
        pipe.incr("chaos:left")
        pipe.hincrby("chaos:right", "count", 1)
        yield pipe.execute()
        self.done()

    def bundle(self, r):
        self.begin("bundle")
        pipe = r.pipeline(transaction=True)
        for i in range(BUNDLE):
            pipe.incr(f"chaos:bundle:{i}")
        yield pipe.execute()
        self.done()

    def move(self, r):
        self.begin("move")
        yield r.lmove(f"chaos:tokens:{self.random.randrange(3)}", f"chaos:tokens:{self.random.randrange(3)}")
        self.done()

    def publish(self, channel):
        size = self.random.randrange(40, LONGEST)
        yield channel.publish(f"{size} {self.begin('publish')} ".ljust(size, "."))
        self.done()

    def hear(self, item):
        """Takes a message or a gap; the position goes into the journal with what was missed on the way."""
        if isinstance(item, shoal.Gap):
            self.missed += item.missed
            return
        assert item.data.startswith(b"%d " % len(item.data)), item
        last = int(self.heard.partition("-")[2])
        assert item.sequence == last + 1 + self.missed, f"{item} behind {last} and a gap of {self.missed}"
        self.journal.say("heard", item.position, self.missed)
        self.heard, self.missed = str(item.position), 0

    def operation(self, r, channel):
        kinds = (self.count, self.write, self.write, self.pair, self.bundle, self.move, self.publish)
        kind = self.random.choice(kinds)
        return kind(channel if kind == self.publish else r)

    def step(self, r, channel):
        try:
            for _ in self.operation(r, channel):
                pass
        except shoal.HolderStopped:
            self.refused()


class Company:
    """At most one child and one thread at a time. When they come, what they do and how they end is the worker's own
    random choice."""

    def __init__(self, r, channel, work, folder):
        self.r, self.channel, self.work, self.folder = r, channel, work, folder
        self.number = self.child = self.patience = 0
        self.thread = self.error = None

    def work_of_its_own(self, name, seed):
        return Work(name, OWN + name, self.folder, seed)

    def tend(self):
        chance = self.work.random.random()
        if self.child:
            self._look_after_child()
        elif chance < 1 / COMPANY_EVERY:
            self._fork()
        if self.thread is None and chance > 1 - 1 / COMPANY_EVERY:
            self._start_thread()
        elif self.thread is not None and not self.thread.is_alive():
            self._join()

    def _next(self):
        self.number += 1
        return f"{self.work.name}.{self.number}", self.work.random.randrange(2**32), self.work.random.randrange(1, 100)

    def _fork(self):
        name, seed, steps = self._next()
        self.patience = self.work.random.randrange(100) if self.work.random.random() < 0.5 else -1  # -1: ends by itself
        parent = os.getpid()
        self.child = os.fork()
        if self.child == 0:
            code = 1
            try:
                self._be_child(self.work_of_its_own(name, seed), steps if self.patience < 0 else None, parent)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        self.work.journal.say("fork")

    def _be_child(self, work, steps, parent):
        """Without a number of steps it works until it is killed; if its parent dies, a little longer than that."""
        while steps != 0 and not self.r.exists("chaos:stop"):
            work.step(self.r, self.channel)
            if steps is not None:
                steps -= 1
            elif os.getppid() != parent:
                steps = 50

    def _look_after_child(self):
        if self.patience == 0:
            self._kill_child()
        elif self.patience > 0:
            self.patience -= 1
        else:
            pid, status = os.waitpid(self.child, os.WNOHANG)
            self._expect_well(pid, status)

    def _kill_child(self):
        os.kill(self.child, signal.SIGKILL)
        _, status = os.waitpid(self.child, 0)
        assert status in (0, signal.SIGKILL), f"a child ended with {status:#x}"  # 0: it saw `stop`
        self.work.journal.say("child-killed")
        self.child = 0

    def _expect_well(self, pid, status):
        if pid:
            assert status == 0, f"a child ended with {status:#x}"
            self.child = 0

    def _start_thread(self):
        name, seed, steps = self._next()

        def run():
            try:
                work = self.work_of_its_own(name, seed)
                for _ in range(steps):
                    work.step(self.r, self.channel)
            except BaseException as error:
                self.error = error

        self.thread = threading.Thread(target=run)
        self.thread.start()

    def _join(self):
        self.thread.join()
        if self.error is not None:
            raise self.error
        self.thread = None
        self.work.journal.say("thread-ended")

    def end(self):
        if self.thread is not None:
            self._join()
        if self.child and self.patience >= 0:
            self._kill_child()
        elif self.child:
            self._expect_well(*os.waitpid(self.child, 0))


def run_sync(url, work, folder):
    r = shoal.from_url(url)
    channel = r.channel(CHANNEL)
    work.heard = work.heard or r.get("chaos:begin").decode()
    company = Company(r, channel, work, folder)
    with channel.subscribe(since=work.heard) as subscription:
        while not r.exists("chaos:stop"):
            work.step(r, channel)
            while (item := subscription.get(timeout=0)) is not None:
                work.hear(item)
            company.tend()
        company.end()


async def run_asyncio(url, work):
    async with shoal.asyncio.Redis.from_url(url) as r:
        channel = r.channel(CHANNEL)
        work.heard = work.heard or (await r.get("chaos:begin")).decode()
        async with channel.subscribe(since=work.heard) as subscription:
            while not await r.exists("chaos:stop"):
                try:
                    for answer in work.operation(r, channel):
                        await answer
                except shoal.HolderStopped:
                    work.refused()
                while (item := await subscription.get(timeout=0)) is not None:
                    work.hear(item)


def heard_before(folder, number, life):
    """Where the last life that heard anything stopped."""
    lives = (Story(Path(folder) / f"journal-{number}.{i}").heard for i in range(life - 1, -1, -1))
    return next((heard for heard in lives if heard), None)


def main():
    kind, url, number, life, folder, seed, life_fd = sys.argv[1:]
    os.set_inheritable(int(life_fd), False)  # forked children have it, the daemon does not
    work = Work(f"{number}.{life}", f"{OWN}{number}", folder, int(seed))
    work.heard = heard_before(folder, number, int(life))
    if kind == "sync":
        run_sync(url, work, folder)
    else:
        asyncio.run(run_asyncio(url, work))
    work.journal.say("end")


if __name__ == "__main__":
    main()
