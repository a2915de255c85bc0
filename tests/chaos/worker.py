# SPDX-License-Identifier: MIT
"""worker.py sync|asyncio NAME NUMBER JOURNAL SEED: works on a segment until it is killed, or until `stop` is set in it.
The operations are generators that say what to call, so that both kinds of worker run the same ones."""

import asyncio
import random
import sys

from journal import Journal, Story

import shoal
import shoal.asyncio

CHANNEL, KEEP = "chaos:room", 64
KEYS = 5


class Work:
    """What one worker does. Each operation yields (method, arguments) and is sent the answer."""

    def __init__(self, number, journal, seed):
        self.number, self.journal, self.path = number, Journal(journal), journal
        self.random = random.Random(seed)
        story = Story(journal)
        self.next = 1 + max((int(line[-1]) for line in story.lines if line[0] == "try"), default=0)
        self.heard, self.missed = story.last("heard"), 0

    def number_for(self, what, *words):
        number, self.next = self.next, self.next + 1
        self.journal.say("try", what, *words, number)
        return number

    def count(self, r):
        number = self.number_for("count")
        yield r.incr("chaos:count")
        self.journal.say("ok", "count", number)

    def write(self, r):
        key = f"chaos:own:{self.number}:{self.random.randrange(KEYS)}"
        number = self.number_for(key)
        yield r.set(key, number)
        self.journal.say("ok", key, number)

    def pair(self, r):
        number = self.number_for("pair")
        pipe = r.pipeline(transaction=True)
        pipe.incr("chaos:left")
        pipe.hincrby("chaos:right", "count", 1)
        yield pipe.execute()
        self.journal.say("ok", "pair", number)

    def move(self, r):
        yield r.lmove(f"chaos:tokens:{self.random.randrange(3)}", f"chaos:tokens:{self.random.randrange(3)}")

    def publish(self, channel):
        number = self.number_for("publish")
        yield channel.publish(f"{self.number} {number}")
        self.journal.say("ok", "publish", number)

    def hear(self, item):
        """Takes a message or a gap; the position goes into the journal with what was missed on the way."""
        if isinstance(item, shoal.Gap):
            self.missed += item.missed
            return
        last = int(self.heard[0].partition("-")[2])
        assert item.sequence == last + 1 + self.missed, f"{item} behind {last} and a gap of {self.missed}"
        self.heard, self.missed = [str(item.position)], 0
        self.journal.say("heard", item.position)

    def operation(self, r, channel):
        kind = self.random.choice((self.count, self.write, self.write, self.pair, self.move, self.publish))
        return kind(channel if kind == self.publish else r)


def run_sync(url, work):
    r = shoal.from_url(url)
    channel = r.channel(CHANNEL)
    work.heard = work.heard or [r.get("chaos:begin").decode()]
    with channel.subscribe(since=work.heard[0]) as subscription:
        while not r.exists("chaos:stop"):
            for _ in work.operation(r, channel):
                pass
            while (item := subscription.get(timeout=0)) is not None:
                work.hear(item)


async def run_asyncio(url, work):
    async with shoal.asyncio.Redis.from_url(url) as r:
        channel = r.channel(CHANNEL)
        work.heard = work.heard or [(await r.get("chaos:begin")).decode()]
        async with channel.subscribe(since=work.heard[0]) as subscription:
            while not await r.exists("chaos:stop"):
                operation = work.operation(r, channel)
                for answer in operation:
                    await answer
                while (item := await subscription.get(timeout=0)) is not None:
                    work.hear(item)


def main():
    kind, url, number, journal, seed = sys.argv[1:]
    work = Work(int(number), journal, int(seed))
    if kind == "sync":
        run_sync(url, work)
    else:
        asyncio.run(run_asyncio(url, work))
    work.journal.say("end")


if __name__ == "__main__":
    main()
