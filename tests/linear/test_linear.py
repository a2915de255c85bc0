# SPDX-License-Identifier: MIT
"""Histories of killed workers are linearizable, says Porcupine; and it says so of none that was tampered with.
SHOAL_LINEAR_HISTORIES: how many (60); SHOAL_SEED repeats a run's choices."""

import contextlib
import json
import os
import random
import subprocess
import time

import pytest
from histories import KILLS, record

import shoal

HISTORIES = int(os.environ.get("SHOAL_LINEAR_HISTORIES", "60"))
pytestmark = pytest.mark.timeout(600 + 10 * HISTORIES)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, record_testsuite_property):
    """Name -> operations."""
    seed = int(os.environ.get("SHOAL_SEED", time.time_ns() % 2**32))
    print(f"seed {seed}")
    folder, name = tmp_path_factory.mktemp("workers"), f"linear-{os.getpid()}"
    url = f"shoal://{name}?max_size=64m&shards=4"
    shoal.from_url(url).close()  # the workers are children: they attach by themselves
    found = {f"h{i}": record(url, folder, f"h{i}", seed + i) for i in range(HISTORIES)}
    subprocess.run(["shoal", "rm", "--force", name], check=False, capture_output=True)
    pending = sum("return" not in each for history in found.values() for each in history)
    total = sum(map(len, found.values()))
    facts = f"{len(found)} histories, {total} operations, {HISTORIES * KILLS} kills, {pending} perhaps done"
    record_testsuite_property("facts", facts)
    return found


def not_linearizable(folder, histories):
    """Those of the named histories that the checker refuses."""
    paths = []
    for name, history in histories.items():
        paths.append(folder / name)
        paths[-1].write_text("".join(json.dumps(each) + "\n" for each in history))
    command = [os.environ["SHOAL_LINEAR_CHECKER"], "keys", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return {line.rpartition("/")[2] for line in done.stdout.splitlines()}


def test_every_history_is_linearizable(recorded, tmp_path):
    assert not_linearizable(tmp_path, recorded) == set()


def with_a_stale_read(history):
    """A value that was overwritten before the read began: of a SET whose answer came before another SET was called."""
    done = [each for each in history if "return" in each]
    sets = sorted((each for each in done if each["commands"][0][:2] == ["SET", "s"]), key=lambda each: each["call"])
    reads = [each for each in done if each["commands"] == [["GET", "s"]]]
    old, *_, new = sets
    read = next(each for each in reads if each["call"] > new["return"] > old["return"])
    stale = {**read, "replies": [old["commands"][0][2]]}
    return [stale if each is read else each for each in history]


def with_a_lost_update(history):
    """Two INCRs that answered the same number."""
    counts = [each for each in history if "return" in each and each["commands"] == [["INCR", "n"]]]
    one, other = counts[0], counts[-1]
    return [{**each, "replies": one["replies"]} if each is other else each for each in history]


def with_half_a_transaction(history):
    """A MULTI of which only the first command happened."""
    whole = [each for each in history if "return" in each and len(each["commands"]) == 4]
    victim = next(each for each in whole if each["commands"][1] == ["INCR", "n"])
    half = {**victim, "commands": victim["commands"][:1], "replies": victim["replies"][:1]}
    return [half if each is victim else each for each in history]


@pytest.mark.parametrize("tamper", [with_a_stale_read, with_a_lost_update, with_half_a_transaction])
def test_a_history_that_was_tampered_with_is_not(recorded, tmp_path, tamper):
    tampered = {}
    for name in random.Random(1).sample(sorted(recorded), len(recorded)):
        with contextlib.suppress(StopIteration, IndexError, ValueError):  # nothing of that kind in it
            tampered[name] = tamper(recorded[name])
        if len(tampered) == 5:
            break
    assert tampered
    assert not_linearizable(tmp_path, tampered) == set(tampered)
