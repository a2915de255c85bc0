# SPDX-License-Identifier: MIT
"""THE table of the models and of the faults that are seeded into them. scripts/models.py checks each row with spin: a
model without a fault must hold in every state that it can reach, and a fault must be found. (README.md)

To add a fault: an #ifdef FAULT_... in the model and a row here, with the smallest numbers that show it."""

from __future__ import annotations

from typing import NamedTuple


class Model(NamedTuple):
    name: str
    file: str
    defines: str  # of the model's numbers, as in "WORKERS=2 ONLY_SHARD_0"
    fault: str = ""


ONE_SHARD = "WORKERS=2 ONLY_SHARD_0 NO_ROLLBACK"
REUSED = "WORKERS=2 LIVES=2 DEATHS=1 ONLY_SHARD_0 NO_ROLLBACK ONE_WORD"
RELAY = "SLEEPERS=2 PUBLISHERS=1 DEATHS=1"
THREE = "WORKERS=3 DEATHS=1 ONLY_SHARD_0 NO_ROLLBACK"

MODELS = [
    # ---- They hold ----
    Model("locks: transactions over two shards, all workers may die", "lock.pml", "WORKERS=2 NO_ROLLBACK"),
    Model("locks: transactions that are rolled back", "lock.pml", "WORKERS=2 ONLY_SHARD_0"),
    Model("locks: sweeps and reaping among transactions", "lock.pml", f"{ONE_SHARD} ONE_WORD SWEEPS=1"),
    Model("locks: contexts of the dead are used again", "lock.pml", REUSED),
    Model("locks: a reader without a lock", "lock.pml", f"{ONE_SHARD} DEATHS=0 READERS=1"),
    Model("locks: a reader without a lock, and a death", "lock.pml", f"{ONE_SHARD} DEATHS=1 READERS=1"),
    Model("locks: both, rolled back or not", "lock.pml", "WORKERS=2"),
    Model("wakes: an event loop, its publisher and the recoverer may die", "wake.pml", "PUBLISHERS=1"),
    Model("wakes: an event loop, two messages", "wake.pml", "PUBLISHERS=1 MESSAGES=2 DEATHS=1"),
    Model("wakes: a thread, two messages", "wake.pml", "PUBLISHERS=1 MESSAGES=2 DEATHS=1 THREADS"),
    Model("wakes: two publishers at once", "wake.pml", "PUBLISHERS=2 DEATHS=0"),
    Model("relay: a sleeper wakes the other", "wake.pml", "SLEEPERS=2 PUBLISHERS=1 DEATHS=0"),
    Model("relay: who passes on, the publisher or the recoverer may die", "wake.pml", RELAY),
    Model("relay: the same with threads", "wake.pml", f"{RELAY} THREADS"),
    Model("relay: three sleepers", "wake.pml", "SLEEPERS=3 PUBLISHERS=1 DEATHS=0"),
    Model("ring: publishers die twice", "ring.pml", "DEATHS=2"),
    # ---- These are found ----
    Model("locks fall before the undo", "lock.pml", ONE_SHARD, "UNLOCK_BEFORE_UNDO"),
    Model("locks fall before the commit", "lock.pml", ONE_SHARD, "UNLOCK_BEFORE_THE_COMMIT"),
    Model("a journal is emptied before the undo is done", "lock.pml", ONE_SHARD, "JOURNAL_EMPTIED_BEFORE_THE_UNDO"),
    Model("a record counts before it is written", "lock.pml", ONE_SHARD, "RECORD_COUNTS_BEFORE_IT_IS_WRITTEN"),
    Model("a store before its record", "lock.pml", ONE_SHARD, "STORE_BEFORE_ITS_RECORD"),
    Model("a sequence goes back in recovery", "lock.pml", ONE_SHARD, "SEQUENCE_GOES_BACK"),
    Model("a lock is taken from the dead as it is", "lock.pml", ONE_SHARD, "LOCK_TAKEN_FROM_THE_DEAD_WITHOUT_RECOVERY"),
    Model("a context is retired before its undo", "lock.pml", ONE_SHARD, "CONTEXT_RETIRED_BEFORE_ITS_UNDO"),
    Model(
        "a context is used again before its death note is cleared",
        "lock.pml",
        f"{REUSED} SWEEPS=1",
        "CONTEXT_REUSED_BEFORE_ITS_NOTE_IS_CLEARED",
    ),
    Model("readers are not told of an edit", "lock.pml", f"{ONE_SHARD} READERS=1", "EDITS_ARE_INVISIBLE"),
    Model("a recoverer does not claim", "lock.pml", THREE, "RECOVERER_DOES_NOT_CLAIM"),
    Model("a recoverer does not ask whether it is too late", "lock.pml", THREE, "RECOVERER_DOES_NOT_ASK_AGAIN"),
    Model("a flag instead of an epoch", "wake.pml", "PUBLISHERS=2 DEATHS=0", "PLAIN_FLAG_INSTEAD_OF_AN_EPOCH"),
    Model("no look after falling asleep", "wake.pml", "PUBLISHERS=1 DEATHS=0", "NO_LOOK_AFTER_FALLING_ASLEEP"),
    Model("asleep no more before the byte is written", "wake.pml", "PUBLISHERS=1", "FLAG_CLEARED_BEFORE_THE_BYTE"),
    Model("a debt that is noted after the commit", "wake.pml", "PUBLISHERS=1", "DEBT_AFTER_THE_COMMIT"),
    Model("a futex woken before its epoch moves", "wake.pml", "PUBLISHERS=1 THREADS", "FUTEX_WAKE_BEFORE_THE_EPOCH"),
    Model(
        "recovery rings only those who look asleep",
        "wake.pml",
        "PUBLISHERS=1 DEATHS=1 THREADS",
        "RECOVERY_LEAVES_WHO_LOOKS_AWAKE",
    ),
    Model("the woken do not pass on", "wake.pml", "SLEEPERS=2 PUBLISHERS=1 DEATHS=0", "WOKEN_ONES_DO_NOT_PASS_ON"),
    Model("told to pass on too late", "wake.pml", "SLEEPERS=2 PUBLISHERS=1 DEATHS=0", "RELAY_TELLS_AFTER_IT_WOKE"),
    Model("left to the awake", "wake.pml", "SLEEPERS=2 PUBLISHERS=1 DEATHS=0", "PUBLISHER_TRUSTS_WHO_IS_AWAKE"),
    Model("recovery forgets who was passing on", "wake.pml", RELAY, "RECOVERY_FORGETS_THE_RELAY"),
    Model("recovery leaves the dead asleep", "wake.pml", RELAY, "RECOVERY_LEAVES_THE_DEAD_ASLEEP"),
    Model("the oldest message goes back", "ring.pml", "DEATHS=1", "OLDEST_GOES_BACK"),
    Model("bytes before oldest", "ring.pml", "DEATHS=1", "BYTES_BEFORE_OLDEST"),
    Model("published before the bytes", "ring.pml", "DEATHS=1", "NEXT_BEFORE_THE_BYTES"),
    Model("published before its end is known", "ring.pml", "DEATHS=1", "NEXT_BEFORE_BEGIN"),
    Model("a reader that does not look again", "ring.pml", "DEATHS=1", "READER_DOES_NOT_LOOK_AGAIN"),
]
