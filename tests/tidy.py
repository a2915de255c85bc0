# SPDX-License-Identifier: MIT
"""Rules that no compiler checks: includes point down the layer order, every file says its licence first, lines have at
most 120 characters and no tabs, and no lock is of a kind that a forked child may inherit. Prints each offence; exit
code 1 if there is one. --fix rewraps comments; files or folders may be named."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYERS = re.search(r"set\(SHOAL_LAYERS ([\w ]+)\)", (ROOT / "cmake/layers.cmake").read_text()).group(1).split()
CHECKED = {".cc", ".h", ".py", ".cmake", ".sh", ".js", ".css", ".html", ".toml"}
LICENSED = CHECKED - {".html", ".css", ".js"}
INCLUDE = re.compile(r'#include "([^"]+)"')
# What a forked child may inherit locked, and wait for for ever: a mutex, the guard of a static local's first use.
INHERITED = re.compile(
    r"\bstd::\w*mutex\b|\bstd::(once_flag|call_once)\b"
    r"|^\s+static (?!constexpr |constinit |inline )[\w:<>*& ,]*[\w>*&] \w+(\{| = |;)"
)


def included_upwards(name: str, line: str) -> bool:
    """A layer includes itself, the public face and layers to its left; nothing of the programs above it."""
    parts, match = Path(name).parts, INCLUDE.match(line)
    if not match or parts[0] != "lib" or parts[1] not in LAYERS:
        return False
    target = match.group(1).split("/")[0]
    if target in ("daemon", "tools", "python", "bench", "tests"):
        return True
    return target in LAYERS and LAYERS.index(target) > LAYERS.index(parts[1])


def offences(name: str, lines: list):
    start = 1 if lines and lines[0].startswith("#!") else 0
    if Path(name).suffix in LICENSED and "SPDX-License-Identifier: MIT" not in "".join(lines[start : start + 1]):
        yield 1, "the first line is not the SPDX line"
    table = False  # between "clang-format off" and "on" a table has one row a line, however long
    for number, line in enumerate(lines, 1):
        table = "clang-format off" in line or (table and "clang-format on" not in line)
        if len(line) > 120 and not table:
            yield number, f"{len(line)} characters"
        if "\t" in line:
            yield number, "a tab"
        if included_upwards(name, line):
            yield number, "an include that points up the layers: " + line
        if name.startswith(("lib/", "python/bindings/")) and INHERITED.search(line.partition("//")[0]):
            yield number, "a lock that a forked child may inherit (process/fork_guard.h, base/fork_gate.h): " + line


PROSE = re.compile(r"(\s*(?://|#) )(\S.*)$")


def rewrapped(lines: list) -> list:
    """Moves what stands beyond column 120 of a comment to the next line: into it, if it goes on in prose."""
    result, rest = [], lines[::-1]
    while rest:
        line = rest.pop()
        match = PROSE.match(line)
        if len(line) <= 120 or not match or line.endswith("-----"):
            result.append(line[:120] if line.endswith("-----") else line)
            continue
        cut = line.rfind(" ", 0, 121)
        result.append(line[:cut])
        below = PROSE.match(rest[-1]) if rest else None
        goes_on = below and below.group(1) == match.group(1) and not re.match(r"[A-Z(\d|+-]", below.group(2))
        rest.append(match.group(1) + line[cut + 1 :] + (" " + below.group(2) if goes_on else ""))
        if goes_on:
            del rest[-2]
    return result


def main() -> int:
    fix, only = "--fix" in sys.argv[1:], [name for name in sys.argv[1:] if name != "--fix"]
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *only]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    count = 0
    for name in names:
        path = ROOT / name
        if path.is_file() and (path.suffix in CHECKED or path.name in ("CMakeLists.txt", "dev", "run")):
            if fix:
                path.write_text("\n".join(rewrapped(path.read_text().splitlines())) + "\n")
            for number, text in offences(name, path.read_text().splitlines()):
                print(f"{name}:{number}: {text}")
                count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
