# SPDX-License-Identifier: MIT
"""What a worker tells the test, outside of the segment: a file a worker, a line appended by one write before an
operation ("try") and one after its answer ("ok"). A killed worker leaves a try without its ok: a "maybe"."""

import collections
import os
from pathlib import Path


class Journal:
    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def say(self, *words):
        os.write(self.fd, (" ".join(map(str, words)) + "\n").encode())


class Story:
    """A journal as its reader sees it; a line that a death cut off does not count."""

    def __init__(self, path):
        text = Path(path).read_text() if Path(path).exists() else ""
        self.lines = [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]

    def count(self, *words):
        return sum(1 for line in self.lines if tuple(line[: len(words)]) == words)

    def last(self, *words):
        found = [line for line in self.lines if tuple(line[: len(words)]) == words]
        return found[-1][len(words) :] if found else None

    def may_hold(self, key):
        """What a key of this worker's own may hold: the last acknowledged value, or any that was begun after it."""
        values = [None]
        for verb, *words in self.lines:
            if words[:1] != [key]:
                continue
            if verb == "try":
                values.append(words[1])
            elif verb == "ok":
                values = [words[1]]
        return values

    def ran(self):
        return collections.Counter(line[1] for line in self.lines if line[0] == "run")
