# SPDX-License-Identifier: MIT
"""./dev fuzz: the fuzzers of tests/fuzz, each for some seconds. What they find out goes into build/fuzz/corpus and is
where the next run begins; after each run only the inputs that reach something of their own stay there. An input that
fails is kept in build/fuzz, and its name is printed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import building
from shell import run, say

FUZZERS = ("damage", "commands")
INPUT_SECONDS_MAX = 30  # no input takes a hundredth of it
INPUT_BYTES_MAX = 1024
MERGE_SECONDS_MAX = 300


def call(name: str, arguments: list, timeout: int | None = None) -> bool:
    place = building.folder("fuzz")
    command = [
        str(place / f"bin/shoal_{name}_fuzz"),
        f"-timeout={INPUT_SECONDS_MAX}",
        f"-max_len={INPUT_BYTES_MAX}",
        "-len_control=0",  # an input is a list: the long ones are those in which one thing meets another
        f"-artifact_prefix={place}/{name}-",
        "-verbosity=0",
        *arguments,
    ]
    return run(command, check=False, environment={"UBSAN_OPTIONS": "print_stacktrace=1"}, timeout=timeout) == 0


def corpus_of(name: str) -> Path:
    return building.folder("fuzz") / "corpus" / name


def minimise(name: str) -> None:
    """The smallest inputs that reach all that the corpus reaches, in a fresh folder that takes its place. One that did
    not get ready changes nothing."""
    corpus = corpus_of(name)
    fresh = corpus.with_name(f"{name}.fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    if call(name, ["-merge=1", str(fresh), str(corpus)], MERGE_SECONDS_MAX) and any(fresh.iterdir()):
        shutil.rmtree(corpus)
        fresh.rename(corpus)
    else:
        shutil.rmtree(fresh)
        say(f"{name}: the corpus could not be minimised")
    sizes = [file.stat().st_size for file in corpus.iterdir()]
    say(f"{name}: {len(sizes)} inputs remain, {sum(sizes)} bytes")


def fuzz_one(name: str, seconds: int, arguments: list) -> bool:
    corpus = corpus_of(name)
    corpus.mkdir(parents=True, exist_ok=True)
    sound = call(name, [f"-max_total_time={seconds}", "-print_final_stats=1", *(arguments or [str(corpus)])])
    if sound and not arguments:  # else the corpus may hold what fails, and the next run is to meet it again
        minimise(name)
    return sound


def fuzz(seconds: int, names: tuple = FUZZERS, arguments: list | None = None):
    """How many of the fuzzers found nothing, and how many something."""
    from parts import Count

    building.build("fuzz", "fuzzers")
    found = [not fuzz_one(name, seconds, arguments or []) for name in names]
    return Count(found.count(False), found.count(True))


def short():
    return fuzz(int(os.environ.get("SHOAL_FUZZ_SECONDS", "15")))
