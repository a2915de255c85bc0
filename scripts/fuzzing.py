# SPDX-License-Identifier: MIT
"""./dev fuzz: the fuzzers of tests/fuzz, each for some seconds. What they find out goes into build/fuzz/corpus and is
where the next run begins; an input that fails is kept in build/fuzz, and its name is printed."""

from __future__ import annotations

import building
from shell import run

FUZZERS = ("damage", "commands")
INPUT_SECONDS_MAX = 30  # no input takes a hundredth of it


def fuzz_one(name: str, seconds: int, arguments: list) -> bool:
    place = building.folder("fuzz")
    corpus = place / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    command = [
        str(place / f"bin/shoal_{name}_fuzz"),
        f"-max_total_time={seconds}",
        f"-timeout={INPUT_SECONDS_MAX}",
        "-max_len=1024",
        f"-artifact_prefix={place}/{name}-",
        "-verbosity=0",
        "-print_final_stats=1",
        *(arguments or [str(corpus)]),
    ]
    return run(command, check=False, environment={"UBSAN_OPTIONS": "print_stacktrace=1"}) == 0


def fuzz(seconds: int, names: tuple = FUZZERS, arguments: list | None = None):
    """How many of the fuzzers found nothing, and how many something."""
    from parts import Count

    building.build("fuzz", "fuzzers")
    found = [not fuzz_one(name, seconds, arguments or []) for name in names]
    return Count(found.count(False), found.count(True))


def short():
    return fuzz(15)
