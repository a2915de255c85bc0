# SPDX-License-Identifier: MIT
"""A row of a comparison, how it is judged, printed and written."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PAIRS = 7


@dataclass(frozen=True)
class Goal:
    ratio: float
    at_most: bool = False  # the ratio is a share of the peer's, and smaller is better

    def met(self, ratio: float) -> bool:
        return ratio <= self.ratio if self.at_most else ratio >= self.ratio

    def __str__(self) -> str:
        return f"<= {self.ratio:g}" if self.at_most else f">= {self.ratio:g}"


@dataclass
class Row:
    """Interleaved pairs (shoal, peer) of one figure. The ratio says how many times better Shoal is; with an `at_most`
    goal it is Shoal's share of the peer's figure."""

    id: str
    what: str
    unit: str
    goal: Goal
    more_is_better: bool = False
    pairs: list[tuple[float, float]] = field(default_factory=list)

    def measure(self, shoal: Callable[[], float], peer: Callable[[], float], pairs: int = PAIRS) -> Row:
        for turn in range(pairs):  # who goes first changes, so that a drift favours nobody
            if turn % 2:
                theirs, ours = peer(), shoal()
            else:
                ours, theirs = shoal(), peer()
            self.pairs.append((ours, theirs))
        return self

    def ratios(self) -> list[float]:
        if self.goal.at_most or self.more_is_better:
            return [ours / theirs for ours, theirs in self.pairs]
        return [theirs / ours for ours, theirs in self.pairs]

    def as_dict(self) -> dict:
        ratios = self.ratios()
        median = statistics.median(ratios)
        return {
            "id": self.id,
            "what": self.what,
            "shoal": statistics.median(ours for ours, _ in self.pairs),
            "peer": statistics.median(theirs for _, theirs in self.pairs),
            "unit": self.unit,
            "ratio": median,
            "min": min(ratios),
            "max": max(ratios),
            "goal": str(self.goal),
            "met": self.goal.met(median),
        }


def show(rows: Iterator[Row], json_file: Path | None) -> int:
    """Prints each row as it comes, and writes all of them. The exit code: 0 if every goal is met, else 1."""
    print(f"{'id':22} {'shoal':>12} {'peer':>12} {'unit':8} {'ratio':>8} {'min':>8} {'max':>8}  {'goal':8} met")
    results = []
    for row in rows:
        r = row.as_dict()
        results.append(r)
        print(
            f"{r['id']:22} {r['shoal']:12.4g} {r['peer']:12.4g} {r['unit']:8} {r['ratio']:8.3g} {r['min']:8.3g} "
            f"{r['max']:8.3g}  {r['goal']:8} {'yes' if r['met'] else 'NO'}   {r['what']}",
            flush=True,
        )
        if json_file:
            json_file.write_text(json.dumps(results, indent=1) + "\n")
    missed = [r["id"] for r in results if not r["met"]]
    print(
        f"{len(results) - len(missed)} of {len(results)} goals met" + (f"; not: {', '.join(missed)}" if missed else "")
    )
    sys.stdout.flush()
    return 1 if missed else 0
