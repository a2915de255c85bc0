# SPDX-License-Identifier: MIT
"""THE table of what ./dev test runs (at the end). A part takes part from the moment that the path it `needs` exists.

To add one: a row. Its action is a function of no arguments that returns Count(passed, failed); ctest(), pytest() and
program() make such functions. A skipped test counts as failed: what a test needs, setup installs."""

from __future__ import annotations

import os
import shutil
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import building
import chaos
import fuzzing
import machine
import models
import mutants
import sanitized
import unswept
from shell import ROOT, Failed, jobs, run

REPORTS = ROOT / "build/test-reports"


class Count(NamedTuple):
    passed: int
    failed: int


class Part(NamedTuple):
    name: str
    what: str
    needs: str
    always: bool  # False: only with --all or by name
    action: Callable[[], Count]


def read_report(report: Path, code: int) -> Count:
    """Counts a JUnit file; a program that failed without saying why is one failure."""
    passed = failed = 0
    if report.exists():
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            problems = [child for child in case if child.tag in ("failure", "error", "skipped")]
            expected = all(child.get("type") == "pytest.xfail" for child in problems)
            if case.get("status") in ("fail", "notrun", "disabled") or not expected:
                failed += 1
            else:
                passed += 1
    return Count(passed, failed or (1 if code else 0))


def report_file(name: str, *arguments: str) -> Path:
    REPORTS.mkdir(parents=True, exist_ok=True)
    words = (argument.strip("-").replace("/", "_").replace("|", "+") for argument in arguments)
    report = REPORTS / ("-".join([name, *words]) + ".xml")
    report.unlink(missing_ok=True)
    return report


def ctest(
    preset: str, *arguments: str, timeout: int = 900, wrap: tuple = (), target: str | None = None
) -> Callable[[], Count]:
    """Builds a preset, or one target of it, and runs its C++ tests, -j as many as there are cores."""

    def action() -> Count:
        building.build(preset, target)
        report = report_file("ctest", preset, *arguments)
        command = [
            *wrap,
            "ctest",
            "--test-dir",
            str(building.folder(preset)),
            "-j",
            str(jobs()),
            "--output-on-failure",
            "--progress" if os.isatty(1) else "--quiet",
            "--output-junit",
            str(report),
            *arguments,
        ]
        in_vain = ROOT / "tests/support/thread_sanitizer.supp"
        sanitizers = {
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "TSAN_OPTIONS": f"second_deadlock_stack=1:suppressions={in_vain}",
        }
        code = run(command, check=False, timeout=timeout, environment=sanitizers)
        count = read_report(report, code)
        show_failures(report)
        return count

    return action


def show_failures(report: Path) -> None:
    """ctest --quiet keeps the output of a failed test to itself; the report has it."""
    if report.exists():
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            if case.get("status") in ("fail", "notrun", "disabled"):
                print(f"FAILED {case.get('name')}\n{case.findtext('system-out') or ''}", flush=True)


def pytest(*arguments: str, timeout: int = 900) -> Callable[[], Count]:
    """Runs pytest of .venv on the release build."""

    def action() -> Count:
        building.build("release")
        report = report_file("pytest", *arguments)
        command = [machine.python(), "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
        return read_report(report, run(command, check=False, timeout=timeout, environment=building.path_environment()))

    return action


def program(*command: str, timeout: int = 600) -> Callable[[], Count]:
    """Runs a Python program of the repository on the release build; it is one test."""

    def action() -> Count:
        building.build("release")
        code = run([machine.python(), *command], check=False, timeout=timeout, environment=building.path_environment())
        return Count(0, 1) if code else Count(1, 0)

    return action


def one_after_the_other(*actions: Callable[[], Count]) -> Callable[[], Count]:
    def action() -> Count:
        counts = [each() for each in actions]
        return Count(sum(count.passed for count in counts), sum(count.failed for count in counts))

    return action


# Apart, for each has a conftest.py of its own.
PYTHON_TESTS = [("python/tests", "--ignore=python/tests/celery"), ("python/tests/celery",)]


def lint() -> Count:
    import linting

    return linting.count()


def wheel() -> Count:
    """pip builds the wheel in isolation as a user's would, and what it installs runs outside of the repository."""
    with tempfile.TemporaryDirectory(prefix="shoal-wheel-") as place:
        return install_and_try(Path(place) / "venv", machine.python())


def install_and_try(venv: Path, interpreter: str) -> Count:
    run([interpreter, "-m", "venv", str(venv)])
    run(
        [str(venv / "bin/pip"), "install", "-q", "--disable-pip-version-check", str(ROOT)],
        environment={**building.CCACHE, "CMAKE_BUILD_PARALLEL_LEVEL": str(jobs())},
        directory=venv,
    )
    trial = (
        "import sys, shoal, shoal._shoal; from importlib.metadata import entry_points; "
        "assert any(e.name == 'shoal' for e in entry_points(group='celery.result_backends')); "
        "assert shoal._shoal.daemon_program() == sys.prefix + '/bin/shoald'"
    )
    codes = [run([str(venv / "bin/python"), "-c", trial], check=False, directory=venv, timeout=60)]
    for name in building.PROGRAMS:
        codes.append(run([str(venv / "bin" / name), "--version"], check=False, directory=venv, timeout=60))
    return Count(codes.count(0), len(codes) - codes.count(0))


def test_installed(name: str, venv: Path, *arguments: str) -> Count:
    report = report_file(name, *arguments)
    command = [str(venv / "bin/python"), "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
    path = {"PATH": f"{venv / 'bin'}:{os.environ['PATH']}"}
    return read_report(report, run(command, check=False, timeout=1200, environment=path))


def every_python() -> Count:
    """The Python tests under every other CPython of the machine, on an installed wheel."""
    passed = failed = 0
    for version, interpreter in machine.interpreters():
        name = f"python-{version[0]}.{version[1]}"
        venv = ROOT / "build" / name
        shutil.rmtree(venv, ignore_errors=True)
        try:
            count = install_and_try(venv, interpreter)
        except Failed as problem:
            print(f"dev: {name}: {problem}", flush=True)
            count = Count(0, 1)
        pip = [str(venv / "bin/pip"), "install", "-q", "--disable-pip-version-check", "-r", str(machine.REQUIREMENTS)]
        if not count.failed and not run(pip, check=False):
            for tests in PYTHON_TESTS:
                more = test_installed(name, venv, *tests)
                count = Count(count.passed + more.passed, count.failed + more.failed)
        print(f"-- {name}: {count.passed} passed, {count.failed} failed", flush=True)
        passed, failed = passed + count.passed, failed + count.failed
    return Count(passed, failed)


def unswept_stores() -> Count:
    return Count(*unswept.run_with(sweeps_counted))


NO_SWEEP = ("-LE", "sweep|states")
NO_STATES = ("-LE", "states")
FIXED_ADDRESSES = ("setarch", "-R")  # the thread sanitizer of clang 14 knows no 32-bit mmap randomisation

unit_release = ctest("release", *NO_SWEEP)
unit_asan = ctest("asan", *NO_SWEEP)
# Who steps through instructions stops inside of the thread sanitizer, too, while that holds its own lock.
NO_STEPS = ("-E", "At(Every|Any)Instruction|BetweenTransactions")
unit_tsan = ctest("tsan", *NO_SWEEP, *NO_STEPS, wrap=FIXED_ADDRESSES)
sweep = ctest("release", "-L", "sweep")
asan_sweep = ctest("asan", "-L", "sweep", timeout=1800)
shadow_sweep = ctest("release", "-L", "shadow", timeout=7200)
sweep_states = ctest("release", "-L", "states", timeout=3600)
real_sweep = ctest("release", "-R", "real_sweep", timeout=7200)
by_hand = ctest("release", "-L", "unit")
real_kills = ctest("release", "-L", "multiprocess")
all_clang = ctest("clang", *NO_STATES, timeout=1800)
all_O0 = ctest("O0", *NO_STATES, timeout=1800)
all_O3 = ctest("O3", *NO_STATES, timeout=1800)
clang_sweeps = one_after_the_other(
    *(ctest(preset, "-L", "sweep", timeout=1800, target="shoal_sweeps") for preset in ("clang-O0", "clang-O3"))
)
sweeps_counted = ctest("coverage", "-L", "sweep", timeout=1800, target="shoal_sweeps")
python, celery = (pytest(*tests) for tests in PYTHON_TESTS)
browser = pytest("tests/browser")
examples = pytest("tests/examples")
demo = program("examples/chat/demo.py", "--once")

# fmt: off
PARTS = [  # name, what, the path it needs, part of a plain ./dev test, action
    Part("lint", "Python style, tests/tidy.py", "tests/tidy.py", True, lint),
    Part("release", "C++ tests, g++ -O2", "lib/base/CMakeLists.txt", True, unit_release),
    Part("asan", "C++ tests, g++, address and undefined sanitizers", "lib/base/CMakeLists.txt", True, unit_asan),
    Part("sweep", "death after every instruction, and real kills", "tests/crash", True, sweep),
    Part("mutants", "seeded faults that the tests must notice", "tests/crash/mutants.py", True, mutants.some),
    Part("model", "the protocols' models, and faults in them, by spin", "tests/model/models.py", False, models.every),
    Part("python", "the package, without Celery", "python/tests", True, python),
    Part("celery", "transport, results, deaths of workers", "python/tests/celery", True, celery),
    Part("browser", "the demo's page in Chromium", "tests/browser", True, browser),
    Part("examples", "the small examples, as their READMEs say", "tests/examples", True, examples),
    Part("demo", "the demo, played once", "examples/chat/demo.py", True, demo),
    Part("chaos", "shoal torture; workers of all kinds, killed", "tests/chaos", False, chaos.all_of_it),
    Part("wheel", "pip install . in isolation, used elsewhere", "python/shoal/__init__.py", True, wheel),
    Part("clang", "C++ tests and sweep, clang -O2", "lib/base/CMakeLists.txt", False, all_clang),
    Part("tsan", "C++ tests, clang's thread sanitizer, locked reads", "lib/base/CMakeLists.txt", False, unit_tsan),
    Part("asan-sweep", "sweep, g++, address and undefined sanitizers", "tests/crash", False, asan_sweep),
    Part("asan-python", "Python tests, extension and programs of asan", "python/tests", False, sanitized.python_tests),
    Part("O0", "C++ tests and sweep, g++ -O0", "lib/base/CMakeLists.txt", False, all_O0),
    Part("O3", "C++ tests and sweep, g++ -O3 across files", "lib/base/CMakeLists.txt", False, all_O3),
    Part("clang-sweeps", "sweep, clang -O0 and -O3 across files", "tests/crash", False, clang_sweeps),
    Part("unswept", "stores that no case of the sweep reaches", "tests/crash", False, unswept_stores),
    Part("states", "the sweep from other states of the world", "tests/crash", False, sweep_states),
    Part("linear", "histories of killed workers, judged by Porcupine", "tests/linear", False, chaos.linear),
    Part("more-mutants", "those that take longer", "tests/crash/mutants.py", False, mutants.others),
    Part("fuzz", "damaged segments, random commands", "tests/fuzz/CMakeLists.txt", False, fuzzing.short),
    Part("pythons", "wheel and Python tests, every CPython here", "python/tests", False, every_python),
]
