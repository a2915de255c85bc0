# SPDX-License-Identifier: MIT
"""THE table of seeded faults: one row is one fault and the tests that must notice it. scripts/mutants.py builds and
runs them (./dev test --part mutants). A fault that survives shows a hole in the tests: close it there, not here.

To add one: a row. `edits` are pairs of texts, the first of which stands exactly once in `file`. A header is compiled
into all that include it, unless `only` names the files. What is slow to build or to run is left to ./dev test --all.
`hangs`: what the fault does is that the tests never end; any other row fails if they do not."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    name: str
    file: str
    edits: tuple
    tests: str  # a filter of GoogleTest
    program: str = "shoal_sweep"
    only: tuple = ()
    slow: bool = False
    hangs: bool = False


def done_or_not(*cases: str) -> str:
    """The sweeps of these cases; * stands for anything."""
    return ":".join(f"*IsDoneOrNotWhoeverDiesWherever/{case.replace(' ', '_')}" for case in cases)


def in_a_full_segment(*cases: str) -> str:
    return ":".join(f"*IsDoneOrNotInAFullSegment/{case.replace(' ', '_')}" for case in cases)


# What inlines the journal and the transaction and is enough to show a fault of theirs.
JOURNALLED = (
    "transaction/allocator.cc",
    "transaction/transaction.cc",
    "keyspace/keyspace.cc",
    "keyspace/string_value.cc",
    "types/dict.cc",
    "commands/cmd_string.cc",
)

# A recoverer who dies in his undo leaves one behind that nobody can finish.
JOURNAL_FORGOTTEN = (
    "  Journal::undo(segment, context, 0);\n",
    "  const uint64_t words = context.journal_words;\n  context.journal_words = 0;\n"
    "  std::atomic_signal_fence(std::memory_order_seq_cst);\n  shm::Context copy{};\n"
    "  copy.journal_words = words;\n  copy.first_chunk = context.first_chunk;\n"
    "  Journal::undo(segment, copy, 0);\n",
)

POISON = "shoal_multiprocess_poison_test"
REAL = "shoal_real_sweep"
STATES = "shoal_sweep_states"

MUTANTS = [
    # ---- Contexts and their slots ----
    Mutant(
        "a reaper looks at a context's claim before its id",
        "lib/process/context.cc",
        (
            (
                "  const uint32_t id = context.id.load(std::memory_order_acquire);\n"
                "  const uint64_t claim = context.claim.load(std::memory_order_acquire);\n  return claim != 0",
                "  const uint64_t claim = context.claim.load(std::memory_order_acquire);\n"
                "  const uint32_t id = context.id.load(std::memory_order_acquire);\n  return claim != 0",
            ),
        ),
        "ProcessLife.AReaper*",
        program="shoal_process_test",
    ),
    Mutant(
        "a loop that could not be rung is forgotten",
        "lib/process/wake.cc",
        (("  context.relay.fetch_or(relay::kLeft);\n", ""),),
        "Wake.*",
        program="shoal_process_test",
    ),
    # ---- Readers without the lock, and an undo ----
    Mutant(
        "recovery raises no epoch",
        "lib/transaction/recovery.cc",
        (("    sequence::raise_epoch(shard);\n", ""),),
        "OptimisticReading.ALargeValue*",
        program="shoal_commands_test",
    ),
    Mutant(
        "a ring that is freed raises no epoch before",
        "lib/channels/directory.cc",
        (("  tx.raise_epoch(name.shard);\n  return !tx.failed();", "  return !tx.failed();"),),
        "Channel*",
        program="shoal_channels_test",
    ),
    Mutant(
        "an undo raises no epoch",
        "lib/transaction/transaction.cc",
        (("    for_each_shard(locked_, [this](uint32_t index) { raise_epoch(index); });\n", ""),),
        "ReadBlob.*",
        program="shoal_keyspace_test",
    ),
    # ---- Task queues ----
    Mutant(
        "a task is linked behind the others without a record",
        "lib/queues/queue_core.cc",
        (("  tx.edit(list.last) = task;\n", "  const_cast<uint64_t&>(list.last) = task;\n"),),
        done_or_not("A push behind others"),
    ),
    Mutant(
        "a lease is counted without a record",
        "lib/queues/lease.cc",
        (("  tx.edit(queue.leased_count) += 1;\n", "  const_cast<uint64_t&>(queue.leased_count) += 1;\n"),),
        done_or_not("A task is leased"),
    ),
    Mutant(
        "an acknowledged task is not freed",
        "lib/queues/lease.cc",
        (("    core.free_task(task);\n    return;\n", "    return;\n"),),
        done_or_not("A task is acknowledged"),
    ),
    Mutant(
        "tasks of the dead come back and wake one sleeper together",
        "lib/queues/lease.cc",
        (("    core.give_back(queue, task);\n    core.wake_one(queue);\n", "    core.give_back(queue, task);\n"),),
        "Lease.AsMany*",
        program="shoal_queues_test",
    ),
    Mutant(
        "a task that the dead one's child had finished runs again",
        "lib/queues/lease.cc",
        (
            (
                "  if (record.finished != 0) return end(holder, task, static_cast<Outcome>(record.finished - 1), true);"
                "\n  const Holder* second",
                "  const Holder* second",
            ),
        ),
        "Lease.*",
        program="shoal_queues_test",
    ),
    Mutant(
        "a task whose child lives runs again when its owner dies",
        "lib/queues/lease.cc",
        (("  if (second == nullptr || second == &holder) {\n", "  if (second != &holder || second == &holder) {\n"),),
        "Lease.*",
        program="shoal_queues_test",
    ),
    Mutant(
        "a consumer that dies with its turn keeps it",
        "lib/queues/lease.cc",
        (("  core.pass_turn(queue);\n  return !tx.failed();", "  return !tx.failed();"),),
        "Lease.ATurnOfTheDead*",
        program="shoal_queues_test",
    ),
    Mutant(
        "a queue expires by its name, used or not",
        "lib/queues/task_queue.cc",
        (
            (
                "budget_ns, [](const Queue& queue) { return expired(queue); });",
                "budget_ns, [](const Queue&) { return true; });",
            ),
        ),
        "QueueTest.AQueueThatIsUsed*",
        program="shoal_queues_test",
    ),
    # ---- Blocks of another shard ----
    Mutant(
        "a block of another shard goes home without its lock",
        "lib/transaction/allocator.cc",
        (("  if (!lock_if_free(shard)) return false;\n", "  if (!lock_if_free(shard)) return true;\n"),),
        "ForeignBlocks.*",
        program="shoal_commands_test",
    ),
    Mutant(
        "a shard that is locked in passing is not made odd with the others",
        "lib/transaction/allocator.cc",
        (("    sequence::make_odd(shard);\n", ""),),
        done_or_not("LPOP of what came from another shard"),
    ),
    Mutant(
        "blocks of another shard wait for ever",
        "lib/transaction/allocator.cc",
        (("    bring_home(c, kMore);\n", ""),),
        "ForeignBlocks.*",
        program="shoal_commands_test",
    ),
    Mutant(
        "a full segment does not look for blocks of other shards",
        "lib/keyspace/make_room.cc",
        (("  return bring_blocks_home(process, budget_ns);", "  (void)bring_blocks_home;\n  return false;"),),
        "ForeignBlocks.*",
        program="shoal_commands_test",
    ),
    # ---- The suspect of a shard (transaction/suspect.h) ----
    Mutant(
        "who survives the suspect clears nothing",
        "lib/transaction/suspect.cc",
        (("    if (died_last_in(", "    if (shard.deaths == 99 && died_last_in("),),
        "Poison.DeathsInBetween*",
        program=POISON,
    ),
    Mutant(
        "whoever comes to any end clears the suspect",
        "lib/transaction/suspect.cc",
        (("suspect.operation == operation && suspect.key_hash == key_hash", "(operation | key_hash) != 1"),),
        "Poison.OthersWhoSucceed*",
        program=POISON,
    ),
    Mutant(
        "a second recoverer counts a death again",
        "lib/transaction/suspect.cc",
        (("  if (shard.last_dead == dead_id) return sum_up(shard);", "  if (dead_id == 0) return sum_up(shard);"),),
        "Suspect.ADeathIsCountedOnce*",
        program=POISON,
    ),
    Mutant(
        "a suspect is an operation and not a key",
        "lib/transaction/suspect.cc",
        (("(key_hash != 0 || suspect.op", "(key_hash == 1 || suspect.op"),),
        "Poison.IsOneHowever*",
        program=POISON,
    ),
    Mutant(
        "a suspect more takes the place of the newest",
        "lib/transaction/suspect.cc",
        (("worth(each) < worth(*place)", "worth(each) > worth(*place)"),),
        "Suspect.AreSeveral*",
        program=POISON,
    ),
    Mutant(
        "the sum of the suspects is not made up for",
        "lib/transaction/suspect.cc",
        (("  if (shard.last_dead == dead_id) return sum_up(shard);", "  if (shard.last_dead == dead_id) return;"),),
        "Suspect.AConviction*",
        program=POISON,
    ),
    Mutant(
        "what is undone clears its suspect",
        "lib/transaction/transaction.cc",
        (("  rollback_to({0, 0});\n  if (journal_", "  rollback_to({0, 0});\n  survive();\n  if (journal_"),),
        "PoisonedQueue.OfWhich*",
        program=POISON,
    ),
    Mutant(
        "who dies of a grave dies of his own key",
        "lib/keyspace/keyspace.cc",
        (("  tx.name(Purpose::kFreeLazily, 0);\n", ""),),
        "Poison.OfWhatIsFreed*",
        program=POISON,
    ),
    Mutant(
        "the commands of an EXEC have no names of their own",
        "lib/commands/call.cc",
        (("      tx.name(purpose_of(command, 0).kind, part.first_key);\n", ""),),
        "Poison.IsStoppedInATransaction*",
        program=POISON,
    ),
    Mutant(
        "only the first key of a command is looked at",
        "lib/commands/call.cc",
        (("  if (!tx.suspected()) return false;\n", "  if (!tx.suspected() || tx.suspected()) return false;\n"),),
        "Poison.IsStoppedInATransaction*",
        program=POISON,
    ),
    Mutant(
        "whoever joins a queue clears those who take from it",
        "lib/queues/consumer.cc",
        (("Locks::of(name, kind, budget_ns)", "Locks::of(name, Purpose::kJoinQueue, budget_ns)"),),
        "PoisonedQueue.*",
        program=POISON,
    ),
    # ---- The journal: a store to reachable memory is preceded by its record, which is complete before it counts ----
    Mutant(
        "an edit without its record",
        "lib/keyspace/keyspace.cc",
        (
            (
                "tx.edit(shard.database_keys[key.database]) += 1;",
                "const_cast<uint64_t&>(shard.database_keys[key.database]) += 1;",
            ),
        ),
        done_or_not("SET a key into an empty segment"),
    ),
    Mutant(
        "a store before its record",
        "lib/types/dict.cc",
        (
            (
                "        tx.edit(slot) = value;\n        return;",
                "        const_cast<Slot&>(slot) = value;\n        tx.edit(slot) = value;\n        return;",
            ),
        ),
        done_or_not("SET that needs an overflow bucket", "SET that splits a bucket"),
    ),
    Mutant(
        "a record that counts before it is complete",
        "lib/transaction/journal.h",
        (
            (
                "    write_record(words_ + used_, kind, offset, old, count);\n",
                "    count_up_to(self_, first_word_ + used_ + count + 1);\n"
                "    write_record(words_ + used_, kind, offset, old, count);\n",
            ),
        ),
        done_or_not("SET in place*", "SETNX of a missing key"),
        only=JOURNALLED,
    ),
    Mutant(
        "a skipped end of a chunk that counts before it says so",
        "lib/transaction/journal.cc",
        (
            (
                "    words_[capacity_ - 1] = trailer(Kind::kSkip, capacity_ - used_ - 1, 0);\n"
                "    std::atomic_signal_fence(std::memory_order_seq_cst);\n"
                "    self_.journal_words = first_word_ + capacity_;\n",
                "    self_.journal_words = first_word_ + capacity_;\n"
                "    std::atomic_signal_fence(std::memory_order_seq_cst);\n"
                "    words_[capacity_ - 1] = trailer(Kind::kSkip, capacity_ - used_ - 1, 0);\n",
            ),
        ),
        done_or_not("EXEC with a journal of several chunks"),
    ),
    Mutant(
        "a chunk that is linked before its head is written",
        "lib/transaction/journal.cc",
        (
            (
                "    shm::ChunkHeader& header = chunk_at(segment_, next);\n",
                "    (chunk_ == 0 ? self_.first_chunk : chunk_at(segment_, chunk_).next) = next;\n"
                "    std::atomic_signal_fence(std::memory_order_seq_cst);\n"
                "    shm::ChunkHeader& header = chunk_at(segment_, next);\n",
            ),
        ),
        done_or_not("SET the first thing a thread ever writes", "EXEC with a journal of several chunks"),
    ),
    Mutant(
        "an emptied overflow bucket leaves its chain without a record",
        "lib/types/dict.cc",
        (
            (
                "    tx.edit(before->overflow) = 0;\n",
                "    const_cast<Slot&>(before->overflow) = 0;\n",
            ),
        ),
        done_or_not(
            "DEL of the only key of an overflow bucket", "DEL of a key whose slot one of an overflow bucket takes"
        ),
    ),
    Mutant(
        "a table's second level goes without a record",
        "lib/types/dict.cc",
        (("  tx.edit(root.depth) -= 1;\n", "  const_cast<Cell<uint32_t>&>(root.depth) -= 1;\n"),),
        done_or_not("SREM that gives up the second level"),
    ),
    Mutant(
        "an edit without its record, by a real death",
        "lib/keyspace/keyspace.cc",
        (
            (
                "tx.edit(shard.database_keys[key.database]) += 1;",
                "const_cast<uint64_t&>(shard.database_keys[key.database]) += 1;",
            ),
        ),
        "*SET_a_key_into_an_empty_segment",
        program=REAL,
    ),
    Mutant(
        "a journal is emptied before the undo is done, by a recoverer who is killed for real",
        "lib/transaction/recovery.cc",
        (JOURNAL_FORGOTTEN,),
        "*SETNX_of_a_missing_key",
        program=REAL,
    ),
    Mutant(
        "a lazily freed value leaves its list without a record",
        "lib/keyspace/keyspace.cc",
        (
            (
                "    tx.edit(shard.lazy_free) = grave.version.load();\n    tx.free",
                "    const_cast<uint64_t&>(shard.lazy_free) = grave.version.load();\n    tx.free",
            ),
        ),
        "*SET_in_place__beside_a_lazy_free",
        program=STATES,
    ),
    Mutant(
        "an undo that begins at the first chunk's end",
        "lib/transaction/journal.cc",
        (("      chunk = header.previous;\n      continue;", "      return;"),),
        done_or_not("EXEC with a journal of several chunks"),
    ),
    Mutant(
        "a savepoint that keeps the frees of what it undid",
        "lib/transaction/journal.cc",
        (("  last_free_ = last_free;\n}", "}"),),
        done_or_not("EXEC with a command that fails behind its frees"),
    ),
    # ---- The allocator ----
    Mutant(
        "the link in a free block is not recorded",
        "lib/transaction/allocator.cc",
        (("    edit_hidden(block, 8);\n", ""),),
        done_or_not("SET that takes a freed block of its class"),
    ),
    Mutant(
        "the link in a foreign free block is not recorded",
        "lib/transaction/allocator.cc",
        (("    hidden(*block) = next;  //", "    //"),),
        done_or_not("SET into a foreign block"),
    ),
    Mutant(
        "a block is handed out again in the transaction that frees it",
        "lib/transaction/transaction.h",
        (("    if (!journal_.record_free(block)) fail_journal();", "    free_now(block);"),),
        done_or_not("EXEC that frees and takes blocks of one class"),
        only=(*JOURNALLED, "keyspace/string_value.cc"),
    ),
    Mutant(
        "a noted free is carried out twice",
        "lib/transaction/allocator.cc",
        (("{ free_now(block); }", "{ free_now(block), free_now(block); }"),),
        done_or_not("DEL a key"),
    ),
    Mutant(
        "a claimed page becomes owned without a record",
        "lib/transaction/allocator.cc",
        (
            (
                "  record.use.size_class = static_cast<uint8_t>(c);  // still ours alone\n  hidden(record.owner)",
                "  record.use.size_class = static_cast<uint8_t>(c);\n  record.owner",
            ),
        ),
        done_or_not("SET that opens a page"),
    ),
    Mutant(
        "a claimed span becomes owned without a record",
        "lib/transaction/allocator.cc",
        (
            (
                "  const shm::Page& record = segment_.page(page);\n  "
                "hidden(record.owner).store(shm::page_owner(shm::PageKind::kOwned, home_)",
                "  shm::Page& record = segment_.control_page(page);\n  "
                "record.owner.store(shm::page_owner(shm::PageKind::kOwned, home_)",
            ),
        ),
        done_or_not("SET a blob"),
    ),
    Mutant(
        "a span that was given up is free before the commit",
        "lib/transaction/allocator.cc",
        (("  given_up_ = page;\n", "  given_up_ = page;\n  release_given_up();\n"),),
        done_or_not("SET over a blob"),  # its span has tails, which no record brings back
    ),
    Mutant(
        "pages that an undo left claimed are not given back",
        "lib/transaction/transaction.cc",
        (
            (
                "  if ((state_ & kClaimed) != 0) release_claims(segment_, self_, id_, shm::PageKind::kClaimed);\n"
                "  if ((state_ & kOwes",
                "  if ((state_ & kOwes",
            ),
        ),
        in_a_full_segment("MSET of blobs in several shards"),
    ),
    Mutant(
        "a page is claimed before the window is wide",
        "lib/transaction/page_pool.cc",
        (
            (
                "    widen_window(self, extent);\n    const uint32_t first = base + page + 1 - pages;\n"
                "    if (claim_at(segment, first, pages, owner)) return first;\n",
                "    const uint32_t first = base + page + 1 - pages;\n"
                "    if (claim_at(segment, first, pages, owner)) return widen_window(self, extent), first;\n",
            ),
        ),
        done_or_not("SET the first thing a thread ever writes"),
    ),
    Mutant(
        "the head of a span is free before its tails",
        "lib/transaction/page_pool.cc",
        (
            (
                "  const uint64_t tail = shm::page_owner(PageKind::kTail, first);\n  const uint32_t extent_end",
                "  const uint64_t tail = shm::page_owner(PageKind::kTail, first);\n"
                "  head.owner.store(0, std::memory_order_release);\n  const uint32_t extent_end",
            ),
        ),
        done_or_not("SET over a blob"),
    ),
    # ---- Commit and undo ----
    Mutant(
        "the commit before the frees are done",
        "lib/transaction/transaction.cc",
        (
            (
                "  if (!failed()) carry_out_frees();\n",
                "  self_.journal_words = 0;\n  std::atomic_signal_fence(std::memory_order_seq_cst);\n"
                "  if (!failed()) carry_out_frees();\n",
            ),
        ),
        done_or_not("SET a value that outgrows its block"),
    ),
    Mutant(
        "locks fall before the commit",
        "lib/transaction/transaction.h",
        (
            (
                "    Journal::empty(self_);\n    release_locks();\n    return {};\n",
                "    release_locks();\n    Journal::empty(self_);\n    return {};\n",
            ),
        ),
        done_or_not("SET in place"),
        only=("commands/call.cc",),
    ),
    Mutant(
        "readers are not told of an edit",
        "lib/transaction/sequence.h",
        (("shard.sequence.store(odd(shard), std::memory_order_relaxed);", ""),),
        done_or_not("SET in place*", "SETNX of a missing key"),
        only=JOURNALLED,
    ),
    Mutant(
        "a sequence goes back when the transaction ends",
        "lib/transaction/sequence.h",
        (
            (
                "sequence.store(shard.sequence.load(std::memory_order_relaxed) + 1,",
                "sequence.store(shard.sequence.load(std::memory_order_relaxed) - 1,",
            ),
        ),
        done_or_not("SET in place"),
        only=("commands/call.cc", "transaction/transaction.cc"),
    ),
    Mutant(
        "the lock falls before the commit of a single edit",
        "lib/transaction/single_edit.h",
        (
            ("    Journal::empty(self_);\n", ""),
            (
                "    shard_ = nullptr;\n  }\n  // The lock is",
                "    Journal::empty(self_);\n    shard_ = nullptr;\n  }\n  // The lock is",
            ),
        ),
        done_or_not("SET by the typed client*"),
        only=("tests/crash/world.cc",),
    ),
    Mutant(
        "readers are not told of a single edit",
        "lib/transaction/single_edit.h",
        (("    shard_->sequence.store(odd_, std::memory_order_relaxed);\n", ""),),
        done_or_not("SET by the typed client*"),
        only=("tests/crash/world.cc",),
    ),
    Mutant(
        "a single edit has no record",
        "lib/transaction/single_edit.h",
        (("!Journal::record_first(segment_, self_, address, words)", "words == 0"),),
        done_or_not("SET by the typed client*"),
        only=("tests/crash/world.cc",),
    ),
    Mutant(
        "a transaction that found no memory is committed",
        "lib/transaction/transaction.cc",
        (
            (
                "  if (!failed()) carry_out_frees();\n  if (failed()) {",
                "  if ((state_ & kJournalFull) == 0) carry_out_frees();\n  if ((state_ & kJournalFull) != 0) {",
            ),
        ),
        in_a_full_segment("MSET of blobs in several shards"),
    ),
    Mutant(
        "a command that fails in an EXEC keeps its edits",
        "lib/commands/call.cc",
        (("      if (call.failed() && !tx.failed() && !reply.overflow()) tx.rollback_to(before);\n", ""),),
        "ExecTest.*",
        program="shoal_commands_test",
    ),
    # ---- Recovery ----
    Mutant(
        "nobody undoes",
        "lib/transaction/recovery.cc",
        (("  Journal::undo(segment, context, 0);\n", ""),),
        done_or_not("SET in place*"),
    ),
    Mutant(
        "a sequence goes back in recovery",
        "lib/transaction/recovery.cc",
        (
            (
                "shard.sequence.store((shard.sequence.load(std::memory_order_relaxed) | 1) + 1,",
                "shard.sequence.store((shard.sequence.load(std::memory_order_relaxed) | 1) - 1,",
            ),
        ),
        done_or_not("SET in place"),
    ),
    Mutant(
        "recovery leaves the sequence of a shard that saw no edit",
        "lib/transaction/recovery.cc",
        (
            (
                "    shard.sequence.store((shard.sequence.load(std::memory_order_relaxed) | 1) + 1, "
                "std::memory_order_release);\n",
                "",
            ),
        ),
        done_or_not("SET in place"),
    ),
    Mutant(
        "locks fall before the undo",
        "lib/transaction/recovery.cc",
        (
            (
                "  Journal::undo(segment, context, 0);\n",
                "  for_each_held_shard(segment, id, [](shm::Shard& shard) {\n"
                "    shard.sequence.store((shard.sequence.load(std::memory_order_relaxed) | 1) + 1);\n"
                "    shard.owner.store(0);\n  });\n  Journal::undo(segment, context, 0);\n",
            ),
        ),
        done_or_not("SET in place*", "SETNX of a missing key", "RENAME between shards"),
    ),
    Mutant(
        "a journal is emptied before the undo is done",
        "lib/transaction/recovery.cc",
        (JOURNAL_FORGOTTEN,),
        done_or_not("SET in place*", "SETNX of a missing key", "RENAME between shards"),
    ),
    Mutant(
        "a context is retired before its undo",
        "lib/transaction/recovery.cc",
        (
            (
                "    undo_and_unlock(segment, context, dead_id);\n",
                "    process.retire(context, dead_id);\n    undo_and_unlock(segment, context, dead_id);\n",
            ),
        ),
        done_or_not("SET in place*", "SETNX of a missing key"),
    ),
    Mutant(
        "a dead owner's lock is taken without recovery",
        "lib/transaction/owner_lock.cc",
        (
            (
                "    if (!nobody && dead(process.segment(), holder) && recover(process, self, holder)) {\n",
                "    if (!nobody && dead(process.segment(), holder)) {\n      word.store(self);\n      return {};\n",
            ),
        ),
        done_or_not("SET in place"),
    ),
    Mutant(
        "recovery forgets the journal's pages",
        "lib/transaction/recovery.cc",
        (("    release_claims(segment, context, dead_id, shm::PageKind::kJournal);\n", ""),),
        done_or_not("SET in place"),
    ),
    Mutant(
        "recovery forgets the claimed pages",
        "lib/transaction/recovery.cc",
        (("    release_claims(segment, context, dead_id, shm::PageKind::kClaimed);\n", ""),),
        done_or_not("SET a blob"),
    ),
    Mutant(
        "a recoverer does not claim",
        "lib/transaction/recovery.cc",
        (("  if (!claim_recovery(segment, context, self)) return false;\n", ""),),
        "Recovery.*",
        program="shoal_transaction_test",
    ),
    Mutant(
        "a recoverer does not ask whether it is too late",
        "lib/transaction/recovery.cc",
        (("context.id.load(std::memory_order_acquire) == dead_id && (slot_is_dead", "(slot_is_dead"),),
        "Recovery.*",
        program="shoal_transaction_test",
    ),
    Mutant(
        "who has an old id of a context is not dead",
        "lib/process/context.h",
        (("  if (context.id.load(std::memory_order_acquire) != id) return true;\n", ""),),
        "Recovery.*",
        program="shoal_transaction_test",
        only=("transaction/recovery.cc", "transaction/owner_lock.cc"),
    ),
    Mutant(
        "nobody undoes, met by real kills",
        "lib/transaction/recovery.cc",
        (("  Journal::undo(segment, context, 0);\n", ""),),
        "KilledWorkers.*",
        program="shoal_multiprocess_commands_test",
        slow=True,
    ),
    # ---- Wakes ----
    Mutant(
        "no wake is owed",
        "lib/keyspace/waiters.cc",
        (("  if (!wakes.empty()) tx.owe_wakes();\n", ""),),
        done_or_not("RPUSH wakes a waiter"),
    ),
    Mutant(
        "a wake is settled before it is made",
        "lib/commands/call.cc",
        (
            (
                "  const bool woken = waiters::ring(session_.process(), session_.wakes_);\n  tx.settle_wakes();\n",
                "  tx.settle_wakes();\n  const bool woken = waiters::ring(session_.process(), session_.wakes_);\n",
            ),
        ),
        done_or_not("RPUSH wakes a waiter"),
    ),
    Mutant(
        "who takes what woke him leaves the line afterwards",
        "lib/commands/blocking.cc",
        (("  if (blocked.registered) remove_places(", "  if (blocked.timed_out) remove_places("),),
        done_or_not("A waiter takes what woke it", "A waiter of two turns*"),
    ),
    Mutant(
        "recovery does not pay what wakes are owed",
        "lib/transaction/recovery.cc",
        (("context.wake_debt.load(std::memory_order_acquire) != 0 || relay", "relay"),),
        done_or_not("RPUSH wakes a waiter"),
    ),
    Mutant(
        "an undo takes back what another transaction owes",
        "lib/transaction/transaction.cc",
        (("  if ((state_ & kOwesWakes) != 0) self_.wake_debt", "  self_.wake_debt"),),
        "Recovery.RingsForADebt*",
        program="shoal_transaction_test",
    ),
    Mutant(
        "a waiter of the dead behind a locked shard is forgotten",
        "lib/commands/reap.cc",
        (
            (
                "  return waiters::release_slot(process, slot, generation, budget_ns).ok() && leases;\n",
                "  (void)waiters::release_slot(process, slot, generation, budget_ns);\n  return leases;\n",
            ),
        ),
        "Reap.*",
        program="shoal_commands_test",
    ),
    Mutant(
        "recovery leaves the dead asleep",
        "lib/transaction/recovery.cc",
        (("    end_sleeps(context);", "    // end_sleeps(context);"),),
        "RecoveryOfSleepers.*AThread*",
        program="shoal_transaction_test",
    ),
    Mutant(
        "recovery leaves the loops of the dead asleep",
        "lib/process/wake.cc",
        (("{&context.asleep, &context.loop_asleep}) {", "{&context.asleep}) {"),),
        "RecoveryOfSleepers.*ALoop*",
        program="shoal_transaction_test",
    ),
    Mutant(
        "a wake for a former thread takes the mark of the next",
        "lib/process/relay.cc",
        (
            (
                "  context.relay.fetch_or(kPassOn);\n",
                "  context.relay.fetch_or(kPassOn);\n  context.relay.fetch_and(~kLeft);\n",
            ),
        ),
        "Relay.*",
        program="shoal_process_test",
    ),
    Mutant(
        "who rings everybody looks at the epochs last",
        "lib/process/wake.cc",
        (
            (
                "    const uint32_t id = context.id.load(std::memory_order_acquire);\n    if (id == 0) continue;\n"
                "    if (thread_epoch",
                "    if (thread_epoch",
            ),
            (
                "    // The epochs first:",
                "    const uint32_t id = context.id.load(std::memory_order_acquire);\n    if (id == 0) continue;\n"
                "    // The epochs last:",
            ),
        ),
        "Wake.RingingEverybody*",
        program="shoal_process_test",
    ),
    Mutant(
        "the end of a recovery is told to nobody by the next recoverer",
        "lib/channels/outbox.cc",
        (("next == 0 && &owner != &self ? kHintsOwed : next;", "next;"),),
        "ChannelOutbox.WhoRecoversADeadRecoverers*",
        program="shoal_channels_test",
    ),
    Mutant(
        "recovery settles a wake before it is made",
        "lib/transaction/recovery.cc",
        (
            (
                "context.wake_debt.load(std::memory_order_acquire) != 0 || relay",
                "context.wake_debt.exchange(0) != 0 || relay",
            ),
        ),
        done_or_not("RPUSH wakes a waiter"),
    ),
    Mutant(
        "a loop is marked awake before its byte is written",
        "lib/process/wake.cc",
        (
            (
                "  if (process.fifos().ring(process.segment(), id)) return end_epoch(context.loop_asleep, epoch);\n",
                "  if (end_epoch(context.loop_asleep, epoch)) return process.fifos().ring(process.segment(), id);\n",
            ),
        ),
        "*LoopTest*RPUSH",
        program="shoal_real_sweep",
    ),
    Mutant(
        "a commit gives way under its locks",
        "lib/commands/call.cc",
        (
            ("#include <algorithm>\n", "#include <algorithm>\n#include <sched.h>\n"),
            ("        if (tx.commit().ok()) {\n", "        ::sched_yield();\n        if (tx.commit().ok()) {\n"),
        ),
        "*SystemCalls*/SET_in_place",
        program="shoal_real_sweep",
    ),
    Mutant(
        "recovery rings no event loop",
        "lib/process/wake.cc",
        (("    if (loop_epoch % 2 != 0) wake_loop(process, context, loop_epoch, id);\n", ""),),
        "*LoopTest*PUBLISH",
        program="shoal_real_sweep",
    ),
    # ---- Channels ----
    Mutant(
        "a message is published before its bytes",
        "lib/channels/ring.cc",
        (
            (
                "  bytes_.store(position, &header, sizeof header);\n",
                "  ring_.begin[(sequence + 1) % 4].store(position + size, relaxed);\n"
                "  ring_.next.store(sequence + 1, std::memory_order_release);\n"
                "  bytes_.store(position, &header, sizeof header);\n",
            ),
        ),
        done_or_not("PUBLISH into a ring"),
    ),
    Mutant(
        "bytes are overwritten before the oldest message moves on",
        "lib/channels/ring.cc",
        (
            ("  ring_.oldest.store(first_kept(size), relaxed);\n", "  const uint64_t kept = first_kept(size);\n"),
            (
                "  ring_.begin[(sequence + 1) % 4].store(position + size, relaxed);\n",
                "  ring_.oldest.store(kept, relaxed);\n"
                "  ring_.begin[(sequence + 1) % 4].store(position + size, relaxed);\n",
            ),
        ),
        "*ChannelRingDeath*",
        program="shoal_channels_test",
    ),
    Mutant(
        "what a transaction published is forgotten by its recoverer",
        "lib/transaction/recovery.cc",
        (("  return publish_outbox(process, self, context);\n", "  return true;\n"),),
        "ChannelOutbox.*",
        program="shoal_channels_test",
    ),
    # ---- Keys ----
    Mutant(
        "a reader trusts a length that he has not checked",
        "lib/keyspace/read_string.h",
        ((" || meta.value_bytes > string::kInlineEntryMax", ""),),
        "ReadString.*",
        program="shoal_keyspace_test",
        only=("tests/unit/keyspace/read_string_test.cc",),
    ),
    Mutant(
        "a copy of a blob that is not looked at again",
        "lib/keyspace/read_blob.h",
        (("if (found == ReadString::kValue && copied && now == place)", "if (copied)"),),
        "ReadBlob.*",
        program="shoal_keyspace_test",
        only=("tests/unit/keyspace/read_blob_test.cc",),
    ),
    Mutant(
        "a blob in the same place is taken for the same blob",
        "lib/keyspace/read_blob.h",
        (("copied && now == place)", "copied && now.first == place.first && now.bytes == place.bytes)"),),
        "ReadBlob.*",
        program="shoal_keyspace_test",
        only=("tests/unit/keyspace/read_blob_test.cc",),
    ),
    Mutant(
        "a reader of a blob trusts the length of a piece",
        "lib/keyspace/read_blob.cc",
        (("bytes > left || ", ""),),
        "ReadBlob.*",
        program="shoal_keyspace_test",
    ),
    Mutant(
        "a split that is not recorded",
        "lib/types/dict.cc",
        (("  tx.edit(root.buckets) = number + 1;\n", "  const_cast<Cell<uint32_t>&>(root.buckets) = number + 1;\n"),),
        done_or_not("SET that splits a bucket"),
    ),
    Mutant(
        "a merge that is not recorded",
        "lib/types/dict.cc",
        (("  tx.edit(root.buckets) = number;\n", "  const_cast<Cell<uint32_t>&>(root.buckets) = number;\n"),),
        done_or_not("DEL that merges buckets"),
    ),
    Mutant(
        "a new key whose version is not recorded",
        "lib/keyspace/keyspace.cc",
        (
            (
                "  tx.edit(created_version(tx.segment(), key)) = tx.version(key.shard);\n  Dict::insert",
                "  const_cast<shm::Cell<uint64_t>&>(created_version(tx.segment(), key)) = tx.version(key.shard);\n"
                "  Dict::insert",
            ),
        ),
        done_or_not("SET a key into an empty segment", "SETNX of a missing key"),
    ),
    Mutant(
        "a grave that is not recorded",
        "lib/keyspace/keyspace.cc",
        (
            (
                "  tx.edit(tx.shard(shard).lazy_free) = tx.offset_of(&entry);\n",
                "  const_cast<uint64_t&>(tx.shard(shard).lazy_free) = tx.offset_of(&entry);\n",
            ),
        ),
        done_or_not("DEL a blob that is freed lazily"),
    ),
    Mutant(
        "a key's block becomes the grave of the others without a record",
        "lib/keyspace/keyspace.cc",
        (("tx.edit_bytes(&tx.view<Entry>(grave), kGraveBytes)", "const_cast<Entry*>(&tx.view<Entry>(grave))"),),
        done_or_not("FLUSHALL of two databases"),
    ),
    Mutant(
        "a value whose key's block becomes a grave is lost",
        "lib/keyspace/keyspace.cc",
        (("    type_row(key->type())->destroy(tx, *key, UINT32_MAX);\n    Dict::remove", "    Dict::remove"),),
        done_or_not("FLUSHALL of lists and blobs"),
    ),
    Mutant(
        "a grave stands among the keys",
        "lib/keyspace/keyspace.cc",
        (("    Dict::remove(tx, shard.keys, hash, grave);\n", "    (void)hash;\n"),),
        done_or_not("FLUSHALL of two databases"),
    ),
    Mutant(
        "a removal goes on where a journal had no page for the one before",
        "lib/types/dict.cc",
        (("  if (tx.failed()) return;  // of a former removal", "  // of a former removal"),),
        "FullJournal.AStepOfExpiry*",
        program="shoal_commands_test",
    ),
    Mutant(
        "a noted free is looked for in the chunk of the one behind it",
        "lib/transaction/journal.cc",
        (("  while (place < header->first_word) {\n", "  while (false) {\n"),),
        "Flush.ThousandsOfKeys*",
        program="shoal_commands_test",
    ),
    Mutant(
        "SORT leaves the root that it built",
        "lib/commands/cmd_sort.cc",
        (("  tx.free(tx.offset_of(root));\n  call.reply().integer(", "  call.reply().integer("),),
        done_or_not("SORT that stores over its source"),
    ),
    Mutant(
        "SORT stores and wakes nobody",
        "lib/commands/cmd_sort.cc",
        (("    call.ready(target);\n", ""),),
        "SortCommands.AListThatIsStoredWakesWhoWaits",
        program="shoal_commands_test",
    ),
    Mutant(
        "SORT reads the keys that BY names without their locks",
        "lib/commands/cmd_sort.cc",
        (("  bool names_keys = star_of(request.by) != Bytes::npos;\n", "  bool names_keys = false;\n"),),
        "SortCommands.KeysThatAPatternNamesAreReadUnderTheirLocks",
        program="shoal_commands_test",
    ),
    Mutant(
        "no page is kept for who comes into a full segment",
        "lib/transaction/page_pool.cc",
        (("  return may_have_reserve ? claim_in_extent(", "  return !may_have_reserve ? claim_in_extent("),),
        "StringCommands.WhoIsNewInAFullSegmentCanStillRemove",
        program="shoal_commands_test",
    ),
    Mutant(
        "a journal keeps the last pages of a full segment",
        "lib/transaction/journal.cc",
        (("    return release_chain(segment_, rest);\n", "    return;\n    (void)rest;\n"),),
        "StringCommands.HundredsOfKeys*",
        program="shoal_commands_test",
    ),
    Mutant(
        "what was removed keeps its room in a full segment",
        "lib/keyspace/make_room.cc",
        (
            (
                "  last_try_ = !make_room(process, shards, budget_ns);\n",
                "  (void)shards, (void)budget_ns, last_try_ = true;\n",
            ),
        ),
        "StringCommands.WhatWasRemoved*",
        program="shoal_commands_test",
    ),
    Mutant(
        "what was removed keeps tasks out of a full segment",
        "lib/queues/directory.h",
        (
            (
                "    status = more_room.find(process, locks.shards, wanted + kExtentBytes, locks.budget_ns);\n",
                "    (void)more_room, status = process.segment().grow(wanted + kExtentBytes);\n",
            ),
        ),
        "StringCommands.WhatWasRemovedKeepsNoTaskOut*",
        program="shoal_commands_test",
        only=("queues/task_queue.cc",),
    ),
    Mutant(
        "what was removed keeps subscribers out of a full segment",
        "lib/channels/directory.h",
        (
            (
                "more_room.find(process, shards, bytes, budget_ns);\n",
                "((void)more_room, process.segment().grow(bytes));\n",
            ),
        ),
        "StringCommands.WhatWasRemovedKeepsNoChannelOut*",
        program="shoal_commands_test",
        only=("channels/subscriber.cc",),
    ),
    # ---- Environments: processes with equal thread ids and pids, as containers have them; crashes ----
    Mutant(
        "a waiter takes a holder with its own pid for its own former life",
        "lib/transaction/owner_lock.cc",
        (
            (
                "    if (!nobody && dead(process.segment(), holder) && recover(process, self, holder)) {\n",
                "    const bool mine = holder_pid(process.segment(), holder) == static_cast<uint32_t>(::getpid());\n"
                "    const bool gone = mine || dead(process.segment(), holder);\n"
                "    if (gone && recover(process, self, holder, mine)) {\n",
            ),
        ),
        "EqualThreadIds.AWaiter*",
        program="shoal_multiprocess_environments_test",
        slow=True,
    ),
    Mutant(
        "an attacher tries the notes of others",
        "lib/process/context.cc",
        (
            (
                "  shm::Header& header = segment.control_header();\n  const uint32_t regular",
                "  for (uint32_t times = 0; times < 80; ++times) {\n"
                "    shm::Context& other = segment.control_context(times % 4);\n"
                "    if (other.claim.load() != 0) ::pthread_mutex_trylock(&other.alive);\n"
                "  }\n"
                "  shm::Header& header = segment.control_header();\n  const uint32_t regular",
            ),
        ),
        "EqualThreadIds.AnAttacher*",
        program="shoal_multiprocess_environments_test",
        slow=True,
    ),
    Mutant(
        "recovery frees the locks of whoever has the dead one's pid",
        "lib/transaction/recovery.cc",
        (
            (
                "    if ((shard.owner.load(std::memory_order_acquire) & ~shm::kWaitersBit) == id) f(shard);\n",
                "    const uint32_t owner = shard.owner.load() & ~shm::kWaitersBit;\n"
                "    if (owner != 0 && holder_pid(segment, owner) == holder_pid(segment, id)) f(shard);\n",
            ),
        ),
        "EqualThreadIds.ARecoverer*",
        program="shoal_multiprocess_environments_test",
        slow=True,
    ),
    Mutant(
        "a turn that was promised to the dead is passed to nobody",
        "lib/keyspace/waiters.cc",
        (("  if (last || tx.failed()) return;\n  const Key key", "  return;\n  const Key key"),),
        "EqualThreadIds.APop*",
        program="shoal_multiprocess_environments_test",
        slow=True,
    ),
    Mutant(
        "a segment has its magic before it has its size",
        "lib/segment/segment.cc",
        (
            (
                "  h.layout_version = shm::kLayoutVersion;\n",
                "  h.magic = shm::kMagic;\n  h.layout_version = shm::kLayoutVersion;\n",
            ),
        ),
        "WholeLife.*",
        program="shoal_multiprocess_life_test",
    ),
    Mutant(
        "the segment is in core dumps",
        "lib/segment/segment.cc",
        (("  ::madvise(base_, size, MADV_DONTDUMP);\n", ""),),
        "*CoreDump.*",
        program="shoal_multiprocess_environments_test",
        slow=True,
    ),
]

# Faults that no test can notice, and why: they are none.
EQUIVALENT = {
    "dict: a new overflow bucket is linked before its first slot is filled": "both stores are of one transaction: its "
    "undo takes back both, and a reader that saw one of them finds the sequence changed",
    "dict: a split empties the old bucket before it fills the new one": "the same",
    "recovery: the sequence is made odd by a store instead of a compare-and-swap": "only the recoverer stores to it",
    "journal: undo counts journal_words down as it goes": "what was undone need not be undone again",
    "page pool: the hint maybe_free is not reset": "it is a hint: the second round of a search does not trust it",
}
