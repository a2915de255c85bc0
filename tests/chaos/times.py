# SPDX-License-Identifier: MIT
"""How long the workers' operations took, those beside a stopped worker apart from the others: who waits for one who is
stopped, waits as long."""

import bisect
import collections

SHARES = ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"))


def without_overlaps(spans):
    merged = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([begin, end])
    return merged


class Times:
    def __init__(self, stops_s):
        spans = without_overlaps(stops_s)
        self.begins = [int(begin * 1e6) for begin, _ in spans]
        self.ends = [int(end * 1e6) for _, end in spans]
        self.found = {}  # (kind, with a stop): how often each number of microseconds

    def of(self, kind):
        calm, stopped = (self.found.setdefault((kind, word), collections.Counter()) for word in ("kills", "stops"))

        def on_time(began_us, took_us):
            at = bisect.bisect_right(self.begins, began_us + took_us)  # the last stop that began before it ended
            beside = at > 0 and self.ends[at - 1] >= began_us
            (stopped if beside else calm)[took_us] += 1

        return on_time

    def lines(self):
        for (kind, beside), counts in self.found.items():
            if counts:
                yield f"{kind}, {beside}: {spelled(counts)}"


def spelled(counts):
    ordered, total = sorted(counts.items()), sum(counts.values())
    words, passed, shares = [], 0, list(SHARES)
    for us, count in ordered:
        passed += count
        while shares and passed > shares[0][0] * total:
            words.append(f"{shares.pop(0)[1]} {us / 1000:.3f}")
    return f"{total} operations, {' '.join(words)} max {ordered[-1][0] / 1000:.3f} ms"
