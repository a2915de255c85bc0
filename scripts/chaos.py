# SPDX-License-Identifier: MIT
"""Random kills for a while, held against a model: `shoal torture`, workers of all kinds, and histories that an
existing checker (Porcupine) judges. SHOAL_CHAOS_SECONDS lengthens each of them; ./dev crash --minutes sets it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import building
import machine
from shell import ROOT, Failed, run

PLAIN_SECONDS = 15
REPORT = ROOT / "build/test-reports/torture.json"
REPORT_TMPFS = ROOT / "build/test-reports/torture-tmpfs.json"
CHECKER = ROOT / "build/linear/checker"


def seconds() -> float:
    return float(os.environ.get("SHOAL_CHAOS_SECONDS", PLAIN_SECONDS))


def tortured(report: Path, *options: str, seconds: float, wrap: tuple[str, ...] = ()):
    """The tool's own run; its document stays in build/test-reports for ./dev crash."""
    from parts import Count

    report.unlink(missing_ok=True)
    building.build("release")
    report.parent.mkdir(parents=True, exist_ok=True)
    program = str(building.folder("release") / "bin/shoal")
    command = [*wrap, program, "torture", "--seconds", str(int(seconds)), "--json", *options]
    if seed := os.environ.get("SHOAL_SEED"):
        command += ["--seed", seed]
    print("$ " + " ".join(command), flush=True)
    patience = seconds + 600
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=patience, check=False)
    report.write_bytes(done.stdout)
    if done.returncode:
        print(done.stdout.decode(), flush=True)
        return Count(0, 1)
    found = json.loads(done.stdout)
    words = ("seed", "operations", "kills", "stops", "fills", "times_full", "lost", "stuck", "leaked")
    print(", ".join(f"{word} {found[word]}" for word in words), flush=True)
    if found["times_full"] < found["fills"]:
        print("dev: torture: the segment was not filled to its end", flush=True)
        return Count(0, 1)
    return Count(1, 0)


def torture():
    return tortured(REPORT, seconds=seconds())


def torture_full_tmpfs():
    """In a mount namespace with a /dev/shm that is smaller than the segment may become: growing fails again and again,
    and so does whatever else needs a file there."""
    user = () if os.geteuid() == 0 else ("--map-root-user",)
    small = 'mount -t tmpfs -o size=24m tmpfs /dev/shm && exec "$0" "$@"'
    return tortured(
        REPORT_TMPFS, "--max-size", "64MB", seconds=seconds() / 5, wrap=("unshare", "--mount", *user, "sh", "-c", small)
    )


def python():
    from parts import pytest

    return pytest("tests/chaos", "-s", timeout=int(seconds()) + 900)()


def all_of_it():
    from parts import Count

    counts = [torture(), torture_full_tmpfs(), python()]
    return Count(sum(count.passed for count in counts), sum(count.failed for count in counts))


def build_checker() -> None:
    """Porcupine is a Go module: the one checker that two ordinary clients install (apt-get the compiler, go the module,
    held to its checksum), runs in seconds, and takes operations that never answered. Its compiler is large, so it is
    installed where the part is run, and not by a plain ./dev setup."""
    if not shutil.which("go"):
        machine.install(["golang-go"])
    run(["go", "build", "-o", str(CHECKER), "."], directory=ROOT / "tests/linear/checker", timeout=1200)


def linear():
    from parts import pytest

    try:
        build_checker()
    except Failed as problem:
        print(f"dev: linear: {problem}", flush=True)
        from parts import Count

        return Count(0, 1)
    os.environ["SHOAL_LINEAR_CHECKER"] = str(CHECKER)
    return pytest("tests/linear", "-s", timeout=3600)()
