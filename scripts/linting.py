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


def rules(fix: bool = False) -> list:
    ruff = [machine.python(), "-m", "ruff", "check", "--quiet", "--output-format=concise"]
    return [[machine.python(), "tests/tidy.py", *(["--fix"] if fix else [])], [*ruff, *(["--fix"] if fix else []), "."]]


def layout(fix: bool) -> list:
    cxx = tracked("*.cc", "*.h")
    return [["clang-format-14", *(["-i"] if fix else ["--dry-run", "--Werror"]), *cxx]] if cxx else []


def count(commands: "list | None" = None) -> Count:
    """What ./dev test counts: the rules. The layout of C++ is for ./dev lint alone."""
    codes = [run(command, check=False, show=" ".join(command[:4])) for command in commands or rules()]
    return Count(codes.count(0), len(codes) - codes.count(0))


def lint(fix: bool) -> int:
    result = count(rules(fix) + layout(fix))
    print(f"{result.passed} passed, {result.failed} failed")
    return 1 if result.failed else 0
