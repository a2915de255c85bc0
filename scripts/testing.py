# SPDX-License-Identifier: MIT
"""./dev test: runs the parts of parts.py, one after the other, and ends with a table and one line of counts."""

import time

from parts import PARTS, Count, Part
from shell import ROOT, Failed, say


def present() -> list:
    return [part for part in PARTS if (ROOT / part.needs).exists()]


def show_parts() -> None:
    for part in present():
        print(f"{part.name:12}  {part.what}{'' if part.always else '  (--all)'}")


def choose(names: list, everything: bool) -> list:
    there = {part.name: part for part in present()}
    for name in names:
        if name not in there:
            raise Failed(f"no part {name}; there are: {' '.join(there)}")
    return [part for part in there.values() if part.name in names or (not names and (everything or part.always))]


def run_part(part: Part) -> Count:
    say(f"{part.name}: {part.what}")
    try:
        return part.action()
    except Failed as problem:
        print(f"dev: {part.name}: {problem}", flush=True)
        return Count(0, 1)


def run_parts(parts: list) -> int:
    rows = []
    for part in parts:
        start = time.monotonic()
        count = run_part(part)
        rows.append((part.name, time.monotonic() - start, count))
    passed, failed = sum(row[2].passed for row in rows), sum(row[2].failed for row in rows)
    print(f"\n{'part':14}{'seconds':>8}{'passed':>8}{'failed':>8}")
    for name, seconds, count in rows:
        print(f"{name:14}{seconds:8.1f}{count.passed:8}{count.failed:8}")
    print(f"{'total':14}{sum(row[1] for row in rows):8.1f}\n")
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0
