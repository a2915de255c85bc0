# SPDX-License-Identifier: MIT
"""Histories of killed workers are linearizable, says Porcupine; and it says so of none that was tampered with.
SHOAL_LINEAR_HISTORIES: how many (60); SHOAL_SEED repeats a run's choices."""

import itertools
import json
import os
import random
import subprocess
import time

import histories
import leases
import pytest

import shoal

HISTORIES = int(os.environ.get("SHOAL_LINEAR_HISTORIES", "60"))
pytestmark = pytest.mark.timeout(600 + 10 * HISTORIES)


def record_all(kind, tmp_path_factory):
    """Name -> operations."""
    seed = int(os.environ.get("SHOAL_SEED", time.time_ns() % 2**32))
    print(f"seed {seed}")
    folder, name = tmp_path_factory.mktemp("workers"), f"linear-{os.getpid()}"
    url = f"shoal://{name}?max_size=64m&shards=4"
    try:
        shoal.from_url(url).close()  # the workers are children: they attach by themselves
        return {f"h{i}": kind.record(url, folder, f"h{i}", seed + i) for i in range(HISTORIES)}
    finally:
        subprocess.run(["shoal", "rm", "--force", name], check=False, capture_output=True)


def facts(found):
    pending = sum("replies" not in each for history in found.values() for each in history)
    total = sum(map(len, found.values()))
    return f"{total} operations, {len(found) * histories.KILLS} kills, {pending} perhaps done"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, record_testsuite_property):
    found = record_all(histories, tmp_path_factory)
    record_testsuite_property("facts", f"{len(found)} histories of keys, {facts(found)}")
    return found


@pytest.fixture(scope="module")
def recorded_leases(tmp_path_factory, record_testsuite_property):
    found = record_all(leases, tmp_path_factory)
    again = sum(each["replies"][0][1] for history in found.values() for each in history if taken(each))
    dead = sum(len(each["replies"][0]) for history in found.values() for each in last_looks(history, "LETTERS"))
    what = f"{len(found)} histories of leases, {facts(found)}, {again} taken again, {dead} dead letters"
    record_testsuite_property("facts of leases", what)
    return found


UNDECIDED = 0.01  # of the histories of a run at most


def judge(model, folder, found):
    """Those of the named histories that the checker refuses, and those that are beyond its patience."""
    paths = []
    for name, history in found.items():
        paths.append(folder / name)
        paths[-1].write_text("".join(json.dumps(each) + "\n" for each in history))
    command = [os.environ["SHOAL_LINEAR_CHECKER"], model, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    names = {"not linearizable": set(), "not decided": set()}
    for line in done.stdout.splitlines():
        what, _, path = line.partition(": ")
        names[what].add(path.rpartition("/")[2])
    return names["not linearizable"], names["not decided"]


def not_linearizable(model, folder, found):
    """Those that are refused. A few may be undecided, and prove nothing."""
    refused, undecided = judge(model, folder, found)
    assert len(undecided) <= min(max(1, UNDECIDED * len(found)), len(found) - 1), undecided
    if undecided:
        print(f"not decided: {len(undecided)} of {len(found)} histories")
    return refused


def test_every_history_is_linearizable(recorded, tmp_path):
    assert not_linearizable("keys", tmp_path, recorded) == set()


def test_every_history_of_leases_is_linearizable(recorded_leases, tmp_path):
    assert not_linearizable("leases", tmp_path, recorded_leases) == set()


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


def words_of(each):
    return each["commands"][0]


def taken(each):
    return words_of(each)[0] == "TAKE" and each.get("replies", [None])[0]


def last_looks(history, name):
    """What the last worker saw."""
    last = max(each["client"] for each in history)
    return [each for each in history if each["client"] == last and words_of(each)[0] == name]


def changed(history, *changes):
    """Each (operation, its new reply)."""
    new = {id(each): {**each, "replies": [reply]} for each, reply in changes}
    return [new.get(id(each), each) for each in history]


def push_of(history, take):
    """It was answered, so there was a task."""
    value = take["replies"][0][0]
    return next(each for each in history if words_of(each)[::2][:2] == ["PUSH", value] and "replies" in each)


def with_a_lost_task(history):
    """One that nobody had taken before the last worker is gone."""
    take = next(each for each in last_looks(history, "TAKE") if taken(each) and not each["replies"][0][1])
    push_of(history, take)
    return [each for each in history if words_of(each)[2:3] != [words_of(take)[2]]]


def with_a_task_out_of_its_place(history):
    """Of two that were left the second came first."""
    left = [each for each in last_looks(history, "TAKE") if taken(each)]
    for one, other in itertools.pairwise(left):
        first, second = push_of(history, one), push_of(history, other)
        if words_of(first)[1] == words_of(second)[1] and first["return"] < second["call"]:
            return changed(history, (one, other["replies"][0]), (other, one["replies"][0]))
    raise ValueError


def with_an_acknowledged_task_that_comes_back(history):
    """The last worker, who found nothing more, finds one that was acknowledged."""
    acknowledged = [words_of(each)[2] for each in history if words_of(each)[3:] == ["ack"] and each.get("replies")]
    one = next(each for each in history if taken(each) and words_of(each)[2] in acknowledged)
    looks = [each for each in last_looks(history, "TAKE") if words_of(each)[1] == words_of(one)[1]]
    return changed(history, (looks[-1], [one["replies"][0][0], True]))


def with_a_lease_that_keeps_nobody_out(history):
    """Who took the next task got the one that he had already."""
    takes = sorted((each for each in history if taken(each)), key=lambda each: each["call"])
    for one, other in itertools.combinations(takes, 2):
        _, queue, lease = words_of(one)
        ends = [each["call"] for each in history if words_of(each)[:3] == ["ANSWER", queue, lease]]
        same = words_of(other)[1] == queue and one["client"] == other["client"]
        if same and other["call"] < min(ends, default=0):
            return changed(history, (other, [one["replies"][0][0], True]))
    raise ValueError


def with_an_answer_to_a_lease_that_had_ended(history):
    late = next(each for each in history if words_of(each)[0] == "ANSWER" and each.get("replies") == [False])
    return changed(history, (late, True))


def with_a_lease_of_the_dead_that_stays(history):
    """Of one who had taken something for sure: no operation of his was without an answer."""
    unsure = {each["client"] for each in history if "replies" not in each}
    deaths = [each for each in history if words_of(each)[::2] == ["DIE", "taker"]]
    death = next(each for each in deaths if each["client"] not in unsure)
    return [each for each in history if each is not death]


KEY_FAULTS = [with_a_stale_read, with_a_lost_update, with_half_a_transaction]
LEASE_FAULTS = [
    with_a_lost_task,
    with_a_task_out_of_its_place,
    with_an_acknowledged_task_that_comes_back,
    with_a_lease_that_keeps_nobody_out,
    with_an_answer_to_a_lease_that_had_ended,
    with_a_lease_of_the_dead_that_stays,
]


def expect_refused(model, found, folder, tamper):
    """Of five, or as many as can be tampered with so, each is. Another takes the place of one that is not decided."""
    done = 0
    for name in random.Random(1).sample(sorted(found), len(found)):
        try:
            tampered = tamper(found[name])
        except (StopIteration, IndexError, ValueError):  # nothing of that kind in it
            continue
        refused, undecided = judge(model, folder, {name: tampered})
        assert refused | undecided == {name}, "it is taken for linearizable"
        done += len(refused)
        if done == 5:
            break
    assert done


@pytest.mark.parametrize("tamper", KEY_FAULTS)
def test_a_history_that_was_tampered_with_is_not(recorded, tmp_path, tamper):
    expect_refused("keys", recorded, tmp_path, tamper)


@pytest.mark.parametrize("tamper", LEASE_FAULTS)
def test_a_history_of_leases_that_was_tampered_with_is_not(recorded_leases, tmp_path, tamper):
    expect_refused("leases", recorded_leases, tmp_path, tamper)
