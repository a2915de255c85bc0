# SPDX-License-Identifier: MIT
"""What a worker tells the test, outside of the segment: a file a life of a worker, a line appended by one write before
an operation ("try") and one after its answer ("ok", with when it began and how long it took), or after it was refused
("no": a lock's holder is stopped, nothing was done). A killed worker leaves a try without an answer: a "maybe"."""

import collections
import os
from pathlib import Path

OWN = "chaos:own:"  # keys that one worker alone writes


class Journal:
    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def say(self, *words):
        os.write(self.fd, (" ".join(map(str, words)) + "\n").encode())


def lines_of(path):
    """A line that a death cut off does not count."""
    if Path(path).exists():
        with open(path) as file:
            for line in file:
                if line.endswith("\n"):
                    yield line.split()


class Story:
    """The journals of one worker's lives, in their order, as their reader sees them."""

    def __init__(self, *paths, on_time=lambda began_us, took_us: None):
        self.said = collections.Counter()  # (verb, what)
        self.heard, self.missed, self.acknowledged, self.refused = None, 0, 0, 0
        self.values = {}  # what a key of this worker's own may hold: the last acknowledged, or any begun after it
        for path in paths:
            for verb, *words in lines_of(path):
                if verb in ("try", "ok", "no"):
                    self.said[verb, words[0]] += 1
                    self.acknowledged += verb == "ok"
                    self.refused += verb == "no"
                    if words[0].startswith(OWN):
                        self._note(verb, *words[:2])
                    if verb == "ok":
                        on_time(int(words[2]), int(words[3]))
                elif verb == "heard":
                    self.heard = words[0]
                    self.missed += int(words[1])
                else:
                    self.said[verb] += 1

    def _note(self, verb, key, value):
        if verb == "try":
            self.values.setdefault(key, [None]).append(value)
        elif verb == "ok":
            self.values[key] = [value]
        else:
            self.values[key].remove(value)


class Run(collections.namedtuple("Run", "task owner at")):
    """A task that began to run: in which Celery worker, and when by the machine's monotonic clock."""


def runs_of(path):
    return [Run(task, owner, float(at)) for verb, task, owner, at in lines_of(path) if verb == "run"]
