# SPDX-License-Identifier: MIT
"""The Python tests on the asan build's extension and programs, under the address and undefined-behaviour sanitizers.

The package lies in build/asan/package: the Python sources copied, the extension beside them; PYTHONPATH puts it before
the one that .venv sees. Python itself is not compiled with the sanitizers, so libasan is preloaded, into every program
that the tests start. Whatever finds something writes it into a file of REPORTS, and each file there is a failure: also
of a child or a worker whose death no test looks at."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import building
import machine
from shell import ROOT, Failed, output, run

PRESET = "asan"
PACKAGE = building.folder(PRESET) / "package"
REPORTS = building.folder(PRESET) / "reports"

# No leaks: CPython does not free what it holds to its end, and what nanobind has from it.
# SIGABRT is how SHOAL_ASSERT and an uncaught exception end a process.
ADDRESS = {
    "detect_leaks": 0,
    "handle_abort": 1,
    "detect_stack_use_after_return": 1,
    "log_path": REPORTS / "address",
}
# g++'s libubsan writes to stderr alone, and gives libasan its log_path. So it aborts, and libasan writes that down.
UNDEFINED = {"abort_on_error": 1, "print_stacktrace": 1, "log_path": REPORTS / "undefined"}
PYTEST = ["--timeout=600", "-p", "no:faulthandler"]  # which would take SIGSEGV away from the sanitizer

# Does the extension come from here, and is kept what a child does wrong? One reads behind the end of what it allocated,
# one says what compiled code says where it was not to come. Neither is looked after.
TRIAL = """
import ctypes, os, sys
import shoal, shoal._shoal
assert shoal._shoal.__file__.startswith(sys.argv[1] + os.sep), shoal._shoal.__file__
assert shoal._shoal.daemon_program().startswith(sys.argv[2] + os.sep), shoal._shoal.daemon_program()
class Place(ctypes.Structure):
    _fields_ = [("file", ctypes.c_char_p), ("line", ctypes.c_uint), ("column", ctypes.c_uint)]
for wrong in (
    lambda: ctypes.string_at(ctypes.create_string_buffer(2000), 4000),
    lambda: ctypes.CDLL("libubsan.so.1").__ubsan_handle_builtin_unreachable(ctypes.byref(Place(b"trial", 1, 1))),
):
    if os.fork() == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        wrong()
        os._exit(0)
    os.wait()
"""
NOTICED = ("heap-buffer-overflow", "__ubsan_handle_builtin_unreachable")


def options(values: dict) -> str:
    return ":".join(f"{name}={value}" for name, value in values.items())


def run_time(name: str) -> str:
    """Of the compiler that built the extension. libstdc++ goes along, for libasan looks for __cxa_throw when a process
    begins, long before Python loads what brings it, and would end the process at the first exception."""
    path = output(["g++", f"-print-file-name={name}"]).strip()
    if not os.path.isabs(path):
        raise Failed(f"g++ has no {name}")
    return os.path.realpath(path)


def environment() -> dict:
    plain = building.path_environment()
    return {
        **plain,
        "PATH": f"{building.folder(PRESET) / 'bin'}{os.pathsep}{plain['PATH']}",
        "PYTHONPATH": str(PACKAGE),
        "PYTHONMALLOC": "malloc",  # else what lies in Python's own small blocks has no edges
        "LD_PRELOAD": f"{run_time('libasan.so')} {run_time('libstdc++.so')}",
        "ASAN_OPTIONS": options(ADDRESS),
        "UBSAN_OPTIONS": options(UNDEFINED),
    }


def make_package() -> None:
    building.build(PRESET, "shoal_package")
    shutil.rmtree(PACKAGE, ignore_errors=True)
    shutil.copytree(ROOT / "python/shoal", PACKAGE / "shoal", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for extension in (building.folder(PRESET) / "python").glob("_shoal.*.so"):
        shutil.copy2(extension, PACKAGE / "shoal")


def findings() -> list[Path]:
    return sorted(REPORTS.iterdir())


def clear() -> None:
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir(parents=True)


def trial_is_noticed() -> bool:
    clear()
    command = [machine.python(), "-c", TRIAL, str(PACKAGE), str(building.folder(PRESET) / "bin")]
    code = run(command, check=False, timeout=120, environment=environment(), show="a trial: two children do wrong")
    reports = "".join(path.read_text(errors="replace") for path in findings())
    if code or not all(words in reports for words in NOTICED):
        print("FAILED the trial: it is not our extension, or what a child does wrong is not reported", flush=True)
        return False
    return True


def python_tests():
    """Every test, then every report that was left, whether or not a test failed by it."""
    from parts import PYTHON_TESTS, Count, read_report, report_file

    make_package()
    if not trial_is_noticed():
        return Count(0, 1)
    clear()
    passed = failed = 0
    for tests in PYTHON_TESTS:
        report = report_file("asan-python", *tests)
        command = [machine.python(), "-m", "pytest", "-q", f"--junitxml={report}", *PYTEST, *tests]
        count = read_report(report, run(command, check=False, timeout=3600, environment=environment()))
        passed, failed = passed + count.passed, failed + count.failed
    for path in findings():
        print(f"FOUND {path.relative_to(ROOT)}\n{path.read_text(errors='replace')}", flush=True)
    return Count(passed + 1, failed + len(findings()))
