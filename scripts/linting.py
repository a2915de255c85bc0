# SPDX-License-Identifier: MIT
"""./dev lint: clang-format on the C++ files, ruff on the Python files, and tests/tidy.py on all."""

import subprocess

import machine
from parts import Count
from shell import ROOT, run


def tracked(*patterns: str) -> list:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [name for name in names if name and (ROOT / name).exists()]


def commands(fix: bool) -> list:
    cxx = tracked("*.cc", "*.h")
    ruff = [machine.python(), "-m", "ruff", "check", "--quiet", "--output-format=concise"]
    checks = [[machine.python(), "tests/tidy.py"], [*ruff, *(["--fix"] if fix else []), "."]]
    if cxx:
        checks.append(["clang-format-14", *(["-i"] if fix else ["--dry-run", "--Werror"]), *cxx])
    return checks


def count(fix: bool = False) -> Count:
    codes = [run(command, check=False, show=" ".join(command[:4])) for command in commands(fix)]
    return Count(codes.count(0), len(codes) - codes.count(0))


def lint(fix: bool) -> int:
    result = count(fix)
    print(f"{result.passed} passed, {result.failed} failed")
    return 1 if result.failed else 0
