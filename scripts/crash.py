# SPDX-License-Identifier: MIT
"""./dev crash: everything that kills, one table of what it found, and one of how long torture's deaths were in the way.
The work is that of the parts of ./dev test. A part that says nothing of what it did counts as a violation."""

from __future__ import annotations

import json
import os
import re
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import chaos
import mutants
import parts
from shell import Failed, say

NO_REPORT = "no report"
MINUTES = 10.0
KILLS_AT_LEAST = 100_000  # fewer are a failure of a run that is not quick and no shorter than MINUTES


class Row(NamedTuple):
    name: str
    action: Callable[[], parts.Count]
    facts: Callable[[parts.Count], str]  # cases, kills: from what the part left behind
    quick: bool = False  # a plain ./dev test runs it
    full: tuple[tuple[str, str], ...] = ()  # environment of a run that is not quick: how much is tried


def said_by_each(report: str, pattern: str) -> list[list[str]]:
    """The numbers of the lines like this in a JUnit report: in a test's output, or a property of its suite."""
    path = parts.REPORTS / f"{report}.xml"
    if not path.exists():
        return []
    root = ElementTree.parse(path).getroot()
    texts = [element.text or "" for element in root.iter("system-out")]
    texts += [element.get("value", "") for element in root.iter("property")]
    return [list(found.groups()) for text in texts if (found := re.search(pattern, text))]


def said(report: str, pattern: str) -> list[str]:
    """Those of the first."""
    return next(iter(said_by_each(report, pattern)), [])


def sums(halves: list[list[str]]) -> list[int]:
    return [sum(int(half[i]) for half in halves) for i in range(len(halves[0]))]


def sweep_facts(report: str, word: str) -> Callable[[parts.Count], str]:
    def facts(count: parts.Count) -> str:
        line = rf"{word}: (\d+) cases, .*\b(\d+) storing instructions, (\d+) deaths, (\d+) deaths of"
        halves = said_by_each(report, line)
        words = "{} cases, {} kill points, {} deaths, {} of recoverers"
        return words.format(*sums(halves)) if halves else NO_REPORT

    return facts


def real_sweep_facts(count: parts.Count) -> str:
    line = (
        r"real sweep: (\d+) kills at (\d+) stops, (\d+) kills of recoverers, the longest recovery (\d+) us, seed (\d+)"
    )
    halves = said_by_each("ctest-release-R-real_sweep", line)
    if not halves:
        return NO_REPORT
    longest = max(int(half[3]) for half in halves)
    words = "{} kills at {} stops, {} kills of recoverers, the longest recovery {:.1f} ms, seeds {}"
    return words.format(*sums(halves)[:3], longest / 1000, " ".join(half[4] for half in halves))


def test_facts(count: parts.Count) -> str:
    return f"{count.passed} tests"


def mutant_facts(count: parts.Count) -> str:
    return f"{count.passed} of {count.passed + count.failed} mutants killed"


def real_kill_facts(count: parts.Count) -> str:
    kills = said_by_each("ctest-release-L-multiprocess", r"(\d+) kills")
    return f"{count.passed} tests, {sum(int(each[0]) for each in kills)} kills" if kills else NO_REPORT


def torture_report(report: Path) -> dict | None:
    try:
        return json.loads(report.read_text())
    except (OSError, ValueError):
        return None


def torture_facts(report: Path) -> Callable[[parts.Count], str]:
    def facts(count: parts.Count) -> str:
        found = torture_report(report)
        if not found:
            return NO_REPORT
        kills = next(row for row in found["phases"] if row["phase"] == "kills")
        return (
            f"seed {found['seed']}, {found['kills']} kills, {found['stops']} stops, {found['operations']} operations, "
            f"full {found['times_full']} times, {found['refused_when_full']} refused for room, "
            f"lost {found['lost']}, stuck {found['stuck']}, leaked {found['leaked']}; "
            f"{found['recoveries']} recoveries, the longest {found['longest_recovery_us'] / 1000:.1f} ms; "
            f"longest wait for a lock with kills {kills['lock_max_us'] / 1000:.1f} ms"
        )

    return facts


def python_facts(count: parts.Count) -> str:
    operations = r"\d+ kills, \d+ operations, \d+ tasks, \d+ ran again"
    found = said("pytest-tests_chaos-s", rf"({operations}.*, lost \d+, stuck \d+, leaked \d+)")
    return found[0] if found else NO_REPORT


def linear_facts(count: parts.Count) -> str:
    done = r"(\d+) operations, (\d+) kills, (\d+) perhaps done"
    keys = said("pytest-tests_linear-s", rf"(\d+) histories of keys, {done}")
    leases = said("pytest-tests_linear-s", rf"(\d+) histories of leases, {done}, (\d+) taken again")
    if not keys or not leases:
        return NO_REPORT
    words = "{} histories, {} operations, {} kills, {} perhaps done"
    return f"keys: {words}; leases: {words}, {{}} taken again".format(*keys, *leases)


DEATHS = ("python/tests/celery/test_deaths.py", "python/tests/celery/test_stopped_holder.py")
ENVIRONMENTS = ("python/tests/test_environments.py", "python/tests/test_stopped_holder.py")

ROWS = [
    Row(
        "sweep",
        parts.shadow_sweep,
        sweep_facts("ctest-release-L-shadow", "sweep"),
        quick=True,
        full=(("SHOAL_RECOVERERS", "all"),),
    ),
    Row(
        "states",
        parts.sweep_states,
        sweep_facts("ctest-release-L-states", "states"),
        full=(("SHOAL_RECOVERERS", "32"),),
    ),
    Row(
        "real sweep",
        parts.real_sweep,
        real_sweep_facts,
        quick=True,
        full=(("SHOAL_REAL_KILLS", "all"), ("SHOAL_RECOVERERS", "2")),
    ),
    Row("mutants", mutants.some, mutant_facts, quick=True),
    Row("more-mutants", mutants.others, mutant_facts),
    Row("by hand", parts.by_hand, test_facts, quick=True),
    Row("real kills", parts.real_kills, real_kill_facts, quick=True, full=(("SHOAL_LIFE_DRAWS", "20"),)),
    Row("environments", parts.pytest(*ENVIRONMENTS), test_facts, quick=True),
    Row("Celery", parts.pytest(*DEATHS), test_facts, quick=True),
    Row("torture", chaos.torture, torture_facts(chaos.REPORT)),
    Row("full tmpfs", chaos.torture_full_tmpfs, torture_facts(chaos.REPORT_TMPFS)),
    Row("chaos", chaos.python, python_facts),
    Row("linear", chaos.linear, linear_facts),
]
OTHERS = ("model", "fuzz")  # parts that ask other questions of the same code, if they are there


def rows(quick: bool) -> list[Row]:
    others = [
        Row(part.name, part.action, test_facts)
        for part in parts.PARTS
        if part.name in OTHERS and (parts.ROOT / part.needs).exists()
    ]
    return [row for row in [*ROWS, *others] if row.quick or not quick]


PHASES = {"calm": "without kills", "kills": "with kills", "storm": "with stops and a full segment, too"}
SHARES = ("p50", "p99", "p99.9", "max")


def latencies(found: dict) -> list[str]:
    """Torture's phases, in microseconds: waits for a lock, and operations with what they may have waited for inside."""
    heads = [f"{what} {share}".replace("max", "longest") for what in ("lock", "operation") for share in SHARES]
    lines = [f"{'us':34}" + "".join(f"{head:>{len(head) + 2}}" for head in heads)]
    for phase in found["phases"]:
        times = [phase[f"{what}{share}_us"] for what in ("lock_", "") for share in SHARES]
        cells = (f"{us:{len(head) + 2},.{2 if us < 10 else 0}f}" for us, head in zip(times, heads, strict=True))
        off_cpu = f", {phase['off_cpu_us']:,.0f} of it off the processor"
        lines.append(f"{PHASES[phase['phase']]:34}" + "".join(cells) + off_cpu)
    return lines


def run_row(row: Row, quick: bool) -> tuple[float, int, str]:
    """Seconds, violations, facts."""
    say(row.name)
    start = time.monotonic()
    try:
        with mock.patch.dict(os.environ, () if quick else row.full):
            count = row.action()
    except Failed as problem:
        print(f"dev: {row.name}: {problem}", flush=True)
        count = parts.Count(0, 1)
    facts = row.facts(count)
    return time.monotonic() - start, count.failed or int(facts == NO_REPORT), facts


def run(quick: bool, minutes: float) -> int:
    """Minutes: of each part that runs for as long as one likes."""
    os.environ["SHOAL_CHAOS_SECONDS"] = str(minutes * 60)
    os.environ["SHOAL_LINEAR_HISTORIES"] = str(int(minutes * 60))
    os.environ["SHOAL_FUZZ_SECONDS"] = str(int(minutes * 6))
    table = {row.name: run_row(row, quick) for row in rows(quick)}
    print(f"\n{'part':14}{'seconds':>8}{'violations':>12}  what")
    for name, (seconds, failed, facts) in table.items():
        print(f"{name:14}{seconds:8.1f}{failed:12}  {facts}")
    if "torture" in table and (found := torture_report(chaos.REPORT)):
        print("", *latencies(found), sep="\n")
    checks = [violations == 0 for _, violations, _ in table.values()]
    kills = sum(int(number) for *_, facts in table.values() for number in re.findall(r"(\d+) kills", facts))
    enough = kills >= KILLS_AT_LEAST
    verdict = "" if quick else f", {'at least' if enough else 'fewer than'} {KILLS_AT_LEAST:,}"
    print(f"\n{kills:,} processes were killed for real{verdict}")
    if not quick and minutes >= MINUTES:
        checks.append(enough)
    print(f"{checks.count(True)} passed, {checks.count(False)} failed", flush=True)
    return 0 if all(checks) else 1
