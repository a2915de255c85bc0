# SPDX-License-Identifier: MIT
"""Do the tests of the crash-safe core notice a fault? Each row of tests/crash/mutants.py is one fault, as an edit of
the source; this compiles the few objects that it touches from an edited copy, links them into the test program that
the row names, runs the tests that should fail, and counts the mutant as passed if they do; so they must pass without
the fault, which is tried once for each filter, and end with it, unless the row says that they hang. The sources stay as
they are, and no switch for a mutant stands in them; an edit that no longer finds its place is a failure, too."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import building
from shell import ROOT, Failed, end_group, jobs, load

TREE = building.folder("release")
PLACE = TREE / "mutants"
WITHOUT_FAULT = PLACE / "none"  # the programs as they are, in a place like a mutant's: a test may look around itself
SECONDS_MAX = 600  # for one test run, on a busy machine, too: who needs longer hangs
SETTINGS = {"GTEST_FAIL_FAST": "1", "GTEST_BRIEF": "1", "GTEST_COLOR": "no"}
SETTINGS |= {"SHOAL_REAL_KILLS": "all", "SHOAL_RECOVERERS": "12"}


def table():
    return load(ROOT / "tests/crash/mutants.py")


def ninja(*arguments: str) -> str:
    return subprocess.run(["ninja", "-C", str(TREE), *arguments], capture_output=True, text=True, check=True).stdout


class Tree:
    """What the release build knows: how each object is compiled, what it is made of, how a program is linked."""

    def __init__(self) -> None:
        self.compile, self.object_of = {}, {}
        for entry in json.loads((TREE / "compile_commands.json").read_text()):
            source = str(Path(entry["file"]).relative_to(ROOT))
            command = shlex.split(entry["command"])
            made = command[command.index("-o") + 1]
            if source.startswith(("lib/", "tests/")):
                self.compile[made] = (source, command)
        self.made_of, current = {}, None
        for line in ninja("-t", "deps").splitlines():
            if line and not line.startswith(" "):
                current = line.split(":")[0]
            elif line and current in self.compile:
                self.made_of.setdefault(current, set()).add(line.strip())

    def dependents(self, source: str) -> list:
        full = os.path.normpath(ROOT / source)
        return [
            made for made, parts in self.made_of.items() if any(os.path.normpath(TREE / part) == full for part in parts)
        ]

    def objects(self, mutant, link: list) -> list:
        """Objects that the mutant goes into: of layers, and what is linked by name; of these what `only` names."""
        objects = [made for made in self.dependents(mutant.file) if made.startswith("lib/") or made in link]
        if mutant.only:
            objects = [made for made in objects if self.compile[made][0].removeprefix("lib/") in mutant.only]
        if not objects:
            raise Failed(f"{mutant.name}: nothing is compiled from {mutant.file}")
        return objects

    def link(self, program: str) -> list:
        words = shlex.split(ninja("-t", "commands", f"bin/{program}").splitlines()[-1])
        return words[words.index("&&") + 1 : len(words) - words[::-1].index("&&") - 1]


def edited(mutant) -> str:
    text = (ROOT / mutant.file).read_text()
    for before, after in mutant.edits:
        if text.count(before) != 1:
            raise Failed(f"{mutant.name}: stands {text.count(before)} times in {mutant.file}:\n{before}")
        text = text.replace(before, after)
    return text


def command(arguments: list, what: str) -> None:
    done = subprocess.run(arguments, cwd=TREE, capture_output=True, text=True, env={**os.environ, **building.CCACHE})
    if done.returncode:
        raise Failed(f"{what}\n{done.stdout}{done.stderr}")


def build(tree: Tree, mutant, place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)  # it may hold another file's copy, of the row that had this name before
    copy = place / Path(mutant.file).relative_to("lib")
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(edited(mutant))
    replaced, link = {}, tree.link(mutant.program)
    for made in tree.objects(mutant, link):
        source, line = tree.compile[made]
        target = (place / source).with_suffix(".o")
        target.parent.mkdir(parents=True, exist_ok=True)
        line = list(line)
        line[line.index("-o") + 1] = str(target)
        if source == mutant.file:
            line[line.index("-c") + 1] = str(copy)
        at = next(i for i, word in enumerate(line) if word.startswith("-I"))
        # A fault may leave something unused; without -g there is no path in the object, so ccache knows it again.
        command([*line[:at], f"-I{place}", *line[at:], "-Wno-unused"], f"{mutant.name} does not compile")
        replaced[made] = str(target)
    program = place / mutant.program
    link[link.index("-o") + 1] = str(program)
    whole = [replaced.get(word, word) for word in link]
    rest = [target for made, target in replaced.items() if made not in link]  # before the archives that hold the others
    first = next(i for i, word in enumerate(whole) if word.endswith(".o"))
    command([*whole[:first], *rest, *whole[first:]], f"{mutant.name} does not link")
    return program


def tried(program: Path, tests: str) -> tuple[int | None, str]:
    """The exit code, None if it did not end by itself, and what was said."""
    process = subprocess.Popen(
        [str(program), "--gtest_filter=" + tests],
        cwd=program.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **SETTINGS},
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=SECONDS_MAX)
        return process.returncode, said
    except subprocess.TimeoutExpired:
        end_group(process)
        return None, process.communicate()[0]
    finally:
        for left in Path("/dev/shm").glob(f"shoal.*-{process.pid}-*"):  # by a test that died of its fault
            left.unlink(missing_ok=True)


def try_without_fault(program: str, tests: str) -> str:
    """Empty if these tests pass as they should."""
    code, said = tried(WITHOUT_FAULT / program, tests)
    if code == 0 and re.search(r"^\[  PASSED  \] [1-9]", said, re.MULTILINE):
        return ""
    how = "do not end" if code is None else f"end with {code}" if code else "are none"
    return f"without any fault the tests {how}: {program} {tests}\n{said[-400:]}"


def try_mutant(tree: Tree, mutant, without_fault: Future) -> tuple[str, str]:
    """What became of it, and why that is a problem; empty if it is none."""
    if problem := without_fault.result():
        return "FAILED", problem
    place = PLACE / "".join(c if c.isalnum() else "-" for c in mutant.name)
    try:
        program = build(tree, mutant, place)
    except Failed as failure:
        return "FAILED", str(failure)
    code, said = tried(program, mutant.tests)
    program.unlink()
    if code:
        return "killed", ""
    if code is None and mutant.hangs:
        return "hung", ""
    how = "hangs, and its row does not say so:" if code is None else "survives"
    return "FAILED", f"{mutant.name} {how} {mutant.program} {mutant.tests}\n{said[-400:]}"


def run(chosen: list):
    from parts import Count

    WITHOUT_FAULT.mkdir(parents=True, exist_ok=True)
    for program in sorted({mutant.program for mutant in chosen}):
        building.build("release", program)
        shutil.copy2(TREE / "bin" / program, WITHOUT_FAULT)
    tree = Tree()
    passed = failed = 0
    with ThreadPoolExecutor(jobs()) as pool:
        filters = dict.fromkeys((mutant.program, mutant.tests) for mutant in chosen)
        without_fault = {each: pool.submit(try_without_fault, *each) for each in filters}
        outcomes = pool.map(lambda each: try_mutant(tree, each, without_fault[each.program, each.tests]), chosen)
        for mutant, (outcome, problem) in zip(chosen, outcomes, strict=True):
            print(f"{outcome:6}  {mutant.name}{': ' if problem else ''}{problem}", flush=True)
            failed, passed = failed + bool(problem), passed + (not problem)
    return Count(passed, failed)


def some():
    return run([mutant for mutant in table().MUTANTS if not mutant.slow])


def others():
    return run([mutant for mutant in table().MUTANTS if mutant.slow])


if __name__ == "__main__":
    import sys

    found = [mutant for mutant in table().MUTANTS if any(word in mutant.name for word in sys.argv[1:])]
    sys.exit(1 if run(found or table().MUTANTS).failed else 0)
