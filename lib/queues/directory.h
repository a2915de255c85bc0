// SPDX-License-Identifier: MIT
// directory.h: finding and making what has a name (queues, exchanges), and running one operation on it.
//
// Everything happens under the lock of the name's shard. Dies at any line: the operation is undone, or it is
// committed and
// recovery rings whoever it owed a wake.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "base/hash.h"
#include "keyspace/make_room.h"
#include "process/give_way.h"
#include "process/wake.h"
#include "queues/records.h"
#include "transaction/transaction.h"
#include "types/dict.h"

namespace shoal::queues {

// A name in one database, hashed.
struct Name {
  Name(const Segment& segment, shm::NamedKind named_kind, uint32_t database_number, Bytes bytes) noexcept
      : text(bytes),
        hash(hash_bytes(
            bytes, segment.header().hash_seed ^ (uint64_t{static_cast<uint8_t>(named_kind)} << 32 | database_number))),
        shard(segment.shard_of(hash)),
        kind(named_kind),
        database(static_cast<uint8_t>(database_number)) {}

  Bytes text;
  uint64_t hash;
  uint32_t shard;
  shm::NamedKind kind;
  uint8_t database;
};

// Offset of the record of this name, 0 if there is none.
uint64_t find_named(const Segment& segment, const Name& name) noexcept;
// A zeroed record of `record_bytes` with its head and name, in the directory; nullptr when the segment is full.
std::byte* create_named(Transaction& tx, const Name& name, uint64_t record_bytes) noexcept;
// Takes it out of the directory and frees its block.
void remove_named(Transaction& tx, uint32_t shard, uint64_t offset) noexcept;
Bytes name_of(const shm::Named& head, uint64_t record_bytes) noexcept;

// The next of the shard's numbers; never given twice.
uint64_t next_number(Transaction& tx, uint32_t shard) noexcept;

// Contexts to wake when the transaction is over. The room is made before the locks are taken.
struct Wakes {
  bool full() const noexcept { return count == ids.size(); }
  void add(uint32_t context_id) noexcept { ids[count++] = context_id; }

  std::span<uint32_t> ids;
  uint32_t count = 0;
  uint32_t wanted = 0;  // so much room was needed, and not there: nothing was added
};
inline constexpr uint32_t kWakesMax = 16;  // of an operation on one queue

// kAbandon: it was in vain, or is to be done again with more room. A look that is complete commits, too: whoever did
// not die of it has come to its end (transaction/suspect.h).
enum class Step : uint8_t { kCommit, kAbandon };

// What an operation locks, what for, and how long it waits for that: on an event loop kLoopLockBudgetNs, then kBusy.
struct Locks {
  // Whatever lies in the shard.
  static Locks look_at(uint32_t shard, Purpose::Kind kind, int64_t budget_ns = kLockBudgetNs) noexcept {
    return {uint64_t{1} << shard, {kind, true}, budget_ns};
  }
  static Locks of(const Name& name, Purpose::Kind kind, int64_t budget_ns = kLockBudgetNs) noexcept {
    return {uint64_t{1} << name.shard, {kind, kind == Purpose::kLookAtQueues, name.hash}, budget_ns};
  }

  uint64_t shards;
  Purpose purpose;
  int64_t budget_ns;
};

// Runs `body(tx, wakes)` in one transaction; when the segment is full, grows it, or frees what keys wait to be freed,
// and runs the body again, so a body sets its results anew each time. Then wakes. Errors: kFull, and those of the locks
// and of the context.
template <typename Body>
Status run(Process& process, const Locks& locks, std::span<uint32_t> room, Body&& body) {
  for (keyspace::MoreRoom more_room;;) {
    Result<shm::Context*> context = process.context();
    if (!context.ok()) return context.status();
    Transaction tx(process, *context.value(), locks.purpose);
    if (Status status = tx.begin(locks.shards, locks.budget_ns); !status.ok()) return status;
    Wakes wakes{room};
    const Step step = body(tx, wakes);
    if (step == Step::kAbandon && !tx.failed()) {
      tx.rollback();
      return {};
    }
    const uint64_t wanted = tx.bytes_wanted();
    if (wakes.count > 0) tx.owe_wakes();
    Status status = tx.failed() ? Status{Code::kFull, "OOM the segment is full"} : tx.commit();
    if (status.ok()) {
      bool woken = false;
      for (uint32_t i = 0; i < wakes.count; ++i) woken = wake_context(process, wakes.ids[i]) || woken;
      if (wakes.count > 0) tx.settle_wakes();
      if (woken) give_way();
      return {};
    }
    if (tx.open()) tx.rollback();
    if (status.code() != Code::kFull) return status;
    status = more_room.find(process, locks.shards, wanted + kExtentBytes, locks.budget_ns);
    if (!status.ok()) return status;
  }
}

template <typename Body>
Status run(Process& process, const Locks& locks, Body&& body) {
  std::array<uint32_t, kWakesMax> room;
  return run(process, locks, room, std::forward<Body>(body));
}

}  // namespace shoal::queues
