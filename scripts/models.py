# SPDX-License-Identifier: MIT
"""Checks the models of tests/model/models.py with spin (./dev test --part model): without a fault they hold in every
state that they can reach, with one spin finds the violation. `python scripts/models.py WORDS` takes the rows whose
names hold a word."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shell import ROOT, Failed, jobs, load

FOLDER = ROOT / "tests/model"
SECONDS_MAX = 1800
# Depth of the search, megabytes of memory: a search that runs out of either has not seen everything, and fails.
DEPTH_MAX, MEMORY_MAX = 100_000, 4000


def table():
    return load(FOLDER / "models.py")


def output(command: list, place: Path, what: str) -> str:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=SECONDS_MAX)
    if done.returncode:
        raise Failed(f"{what}\n{done.stdout}{done.stderr}")
    return done.stdout


def search(model, place: Path) -> str:
    """What spin's verifier says; the path to a violation lies in a .trail file beside it."""
    shutil.copy(FOLDER / model.file, place)
    defines = [f"-D{each}" for each in model.defines.split()]
    if model.fault:
        if f"FAULT_{model.fault}\n" not in (FOLDER / model.file).read_text():
            raise Failed(f"{model.name}: {model.file} has no FAULT_{model.fault}")
        defines.append(f"-DFAULT_{model.fault}")
    output(["spin", "-a", *defines, model.file], place, f"{model.name}: spin")
    compiler = ["ccache", "gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MAX}", "-o", "pan", "pan.c"]
    output(compiler, place, f"{model.name}: compile")
    return output(["./pan", f"-m{DEPTH_MAX}"], place, f"{model.name}: search")


def problem_of(model, said: str) -> str:
    if "max search depth too small" in said or "out of memory" in said or "Search not completed" in said:
        complete = False
    else:
        complete = "errors: 0" in said
    found = "errors: 1" in said and ("assertion violated" in said or "invalid end state" in said)
    if model.fault:
        return "" if found else f"spin does not find the fault\n{said}"
    return "" if complete else f"does not hold, or was not searched to the end\n{said}"


def states(said: str) -> str:
    return next((line.split()[0] for line in said.splitlines() if "states, stored" in line), "?")


def check(model) -> str:
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="shoal-model-") as place:
        try:
            said = search(model, Path(place))
            problem = problem_of(model, said)
        except (Failed, subprocess.TimeoutExpired) as failure:
            said, problem = "", str(failure)
    verdict = "FAILED" if problem else "found " if model.fault else "holds "
    took = f"{states(said)} states, {time.monotonic() - start:.1f} s"
    print(f"{verdict}  {model.name}: {took}{chr(10) if problem else ''}{problem}", flush=True)
    return problem


def run(chosen: list):
    from parts import Count

    with ThreadPoolExecutor(jobs()) as pool:
        failed = sum(bool(problem) for problem in pool.map(check, chosen))
    return Count(len(chosen) - failed, failed)


def every():
    return run(table().MODELS)


if __name__ == "__main__":
    import sys

    found = [model for model in table().MODELS if any(word in model.name for word in sys.argv[1:])]
    sys.exit(1 if run(found or table().MODELS).failed else 0)
