# SPDX-License-Identifier: MIT
"""THE table of lines that change a segment and that no case of the sweeps reaches, each with the reason and with what
is tested instead. scripts/unswept.py finds such lines (./dev test --part unswept). One that is not in the table is a
hole in tests/crash/cases.cc, and a row that no such line needs any more is an error, too.

`text` is a part of the line; "" is every line of the file."""

from __future__ import annotations

from typing import NamedTuple


class Unswept(NamedTuple):
    file: str
    text: str
    why: str


WHOLE_LIFE = "a segment is made and mapped before a sweep begins; WholeLife.* kills there at each system call"
RELAY = "of wakes among more than four sleepers, or without a descriptor: no journal; RecoveryOfSleepers.*, the model"
DEPTH_2 = "a table of more than 131,072 items does not go into the swept segment; the same steps as one level lower"
NO_LOOP = "a segment in memory has no event loop; who rings one in a file is killed in loop_test.cc"
RACE = "that a place was taken by another in this moment; ProcessLife.*, torture"
CONTENDED = "nobody waits for a lock in a sweep; contended_lock_test kills the waiter at each instruction"

UNSWEPT = [
    Unswept("lib/segment/segment.cc", "h.committed.store(first_end", WHOLE_LIFE),
    Unswept("lib/segment/segment.cc", "h.search_hint.store(", WHOLE_LIFE),
    Unswept("lib/segment/segment.cc", "maybe_free.store(1", WHOLE_LIFE),
    Unswept("lib/channels/bookmark.cc", "place.owner.compare_exchange_strong(", RACE),
    Unswept("lib/process/context.cc", "context.claim.compare_exchange_strong(nobody", RACE),
    Unswept("lib/segment/life_file.cc", "", WHOLE_LIFE),
    Unswept("lib/process/relay.cc", "relay.fetch_", RELAY),
    Unswept("lib/process/wake.cc", "epoch.store(2", NO_LOOP),
    Unswept("lib/transaction/owner_lock.cc", "word.compare_exchange_strong(expected, value |", CONTENDED),
    Unswept("lib/types/dict.cc", "tx.edit(link) = child", DEPTH_2),
    Unswept("lib/types/dict.cc", "tx.free(node)", DEPTH_2),
    Unswept("lib/types/dict.cc", "tx.edit(segment.pointer<Slot>(root.table)[number / (", DEPTH_2),
]

# (file, part of the line) of atomic stores into memory of the process.
OF_THE_PROCESS = [
    ("lib/base/", ""),
    ("lib/commands/reap.cc", "leftovers"),
    ("lib/commands/session.cc", "next.fetch_add"),
    ("lib/process/context.cc", "lock_word_offset.store"),
    ("lib/process/fifo.cc", "nonce_"),
    ("lib/process/fork_guard.cc", ""),
    ("lib/process/process.cc", ""),
    ("lib/process/slow_lane.cc", ""),
]
