# SPDX-License-Identifier: MIT
"""Is every store into a segment swept? The sweeps in a build that counts how often each line runs: a line of lib/ that
changes a segment, and that neither an operation ran nor whoever came after its death, must stand in
tests/crash/unswept.py with the reason. What prepares a case does not count (tests/crash/store_trap.cc)."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import building
from shell import ROOT, Failed, load

PRESET = "coverage"
# What changes a segment: by a transaction, by a command's steps, or by an atomic store of its own.
STORES = re.compile(
    r"\btx_?\.(edit|edit_bytes|free|create|fresh|rollback_to)\b|\btx\(\)\.(free|create|rollback_to)\b|\bSingleEdit\b|"
    r"\bcall_?\.(remove|create|changed)\b|\b(hidden|edit_hidden)\(|\.(store|exchange|fetch_\w+|compare_exchange_\w+)\("
)
CONDITION = re.compile(r"\s*(\} else )?(if|for|while)\b")


def forget_counts() -> None:
    for old in building.folder(PRESET).rglob("*.gcda"):
        old.unlink()


def times_of(compiled: Path) -> list:
    """(file, line as gcov tells it) of all that one object has code of, also of the headers that it includes."""
    command = ["gcov", "--json-format", "--stdout", str(compiled)]
    said = subprocess.run(command, capture_output=True, text=True, check=False, cwd=building.folder(PRESET))
    if said.returncode:
        raise Failed(f"gcov: {said.stderr.strip()}")
    found = []
    for report in map(json.loads, filter(str.strip, said.stdout.splitlines())):
        for file in report["files"]:
            path = (Path(report["current_working_directory"]) / file["file"]).resolve()
            if path.is_relative_to(ROOT / "lib"):
                found += [(str(path.relative_to(ROOT)), line) for line in file["lines"]]
    return found


def lines_that_store(elsewhere: list) -> dict[tuple[str, int], tuple[str, int]]:
    """(file, line): its text, and how often it ran; of `if (...) store;` only where all of it ran."""
    times: Counter = Counter()
    texts: dict = {}
    for compiled in building.folder(PRESET).rglob("*.gcno"):  # also what no program ran, or was linked into
        for file, line in times_of(compiled):
            if file not in texts:
                texts[file] = (ROOT / file).read_text().splitlines()
            in_part = line["unexecuted_block"] and CONDITION.match(texts[file][line["line_number"] - 1])
            times[file, line["line_number"]] += 0 if in_part else line["count"]
    lines = {(file, line): (texts[file][line - 1].strip(), count) for (file, line), count in times.items()}
    return {
        (file, line): (text, count)
        for (file, line), (text, count) in lines.items()
        if STORES.search(text) and not any(file.startswith(start) and part in text for start, part in elsewhere)
    }


def judge() -> tuple[int, int]:
    """Lines that are swept or explained, and those that are not, with rows that explain nothing."""
    table = load(ROOT / "tests/crash/unswept.py")
    explained = table.UNSWEPT
    lines, unused = lines_that_store(table.OF_THE_PROCESS), set(explained)
    if not lines:
        raise Failed("no line that changes a segment was counted")
    failed = 0
    for (file, line), (text, count) in sorted(lines.items()):
        rows = [row for row in explained if count == 0 and row.file == file and row.text in text]
        unused -= set(rows)
        if count == 0 and not rows:
            failed += 1
            print(f"no case reaches {file}:{line}: {text}", flush=True)
    for row in unused:
        print(f"tests/crash/unswept.py: all of {row.file} {row.text!r} is swept", flush=True)
    print(f"{len(lines)} lines change a segment, {sum(count > 0 for _, count in lines.values())} are swept", flush=True)
    return len(lines) - failed, failed + len(unused)


def run_with(sweeps: Callable) -> tuple[int, int]:
    """`sweeps` builds the preset and runs both; what fails there is counted, too."""
    forget_counts()
    swept = sweeps()
    passed, failed = judge()
    return swept.passed + passed, swept.failed + failed
