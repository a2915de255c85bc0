// SPDX-License-Identifier: MIT
// waiters.h: who blocks on a key (BLPOP, BZPOPMIN ...), first come, first served.
//
//   Shard::waiters (dict) --> WaitQueue of a key and kind --first--> Waiter <-> Waiter <-> Waiter <--last--
//                             woken: how many of them were told to come
//
// A command that adds elements calls offer(): as many waiters as there are elements that nobody was promised become
// woken, in their
// order. A woken waiter pops under the lock itself; nothing is handed to a process that may be dead. Until then its
// element is
// promised(): a newcomer's blocking pop takes only what is left beyond. A waiter that leaves (it has what it wanted,
// timed
// out, was cancelled or reaped) gives an unused turn to the next. One that came too late (a plain LPOP was quicker)
// waits on
// in its old place.
//
// All under the lock of the key's shard, through a Transaction, except woken(): that looks at a word of one's own
// waiter.
// Contexts to be woken are collected in Wakes and rung after the commit, outside the locks; a death in between leaves
// a wake
// debt and recovery rings everybody. Dies at any line: undone with the transaction; the waiters of a dead process are
// released with its slot, those of a dead thread by the next offer() that meets them.
#pragma once

#include "keyspace/keyspace.h"

namespace shoal {

namespace shm {
struct WaitQueue {
  uint64_t hash;         // in Shard::waiters
  uint64_t first, last;  // waiters
  uint32_t woken;        // how many of them are
  uint32_t key_bytes;
  uint8_t database;
  uint8_t kind;  // Type of the elements waited for
  uint8_t padding[6];
  // key bytes follow
};
SHOAL_SHM_RECORD(WaitQueue, 40);
struct Waiter {
  uint64_t queue, previous, next;
  uint64_t ticket;  // of the blocked call: unique in its process
  uint64_t slot_generation;
  uint32_t slot, context;  // index; id of the context to wake
  Cell<uint32_t> woken;    // 1 = it may come and take an element
  uint32_t reserved;
};
SHOAL_SHM_RECORD(Waiter, 56);
}  // namespace shm

// Contexts to wake after the commit. No heap: beyond its room, everybody is woken.
struct Wakes {
  static constexpr uint32_t kRoom = 64;
  uint32_t count = 0;
  bool everybody = false;
  uint32_t contexts[kRoom];

  void add(uint32_t context) noexcept {
    if (count == kRoom) {
      everybody = true;
    } else {
      contexts[count++] = context;
    }
  }
  bool empty() const noexcept { return count == 0; }
  void clear() noexcept {
    count = 0;
    everybody = false;
  }
};

namespace waiters {

// Who waits: a blocked call of a session.
struct Who {
  uint64_t ticket;
  uint64_t slot_generation;
  uint32_t slot, context;
};

// Registers behind all others. Where the waiter lies; 0 when memory ran out.
uint64_t add(Transaction& tx, const Key& key, Type kind, const Who& who) noexcept;
// Whether the waiter is still registered for this call (its process may have been taken for dead and reaped).
bool is_registered(const Segment& segment, uint64_t waiter, uint64_t ticket) noexcept;
// Its turn has come, or somebody thinks so. Needs no lock: look again under it.
inline bool woken(const Segment& segment, uint64_t waiter) noexcept {
  return segment.pointer<shm::Waiter>(waiter)->woken.load() != 0;
}
// Takes the waiter out. A turn that it had and did not use goes to the next if there is an element for it.
void remove(Transaction& tx, uint32_t shard, uint64_t waiter, Wakes& wakes) noexcept;
// The waiter came and found nothing: it waits on in its place.
void wait_on(Transaction& tx, uint64_t waiter) noexcept;

// Elements of the key that woken waiters will come for.
uint64_t promised(const Segment& segment, const Key& key, Type kind) noexcept;
// The key may have new elements: wakes as many waiters as there are elements for. Cheap if nobody waits in the shard.
void offer(Transaction& tx, const Key& key, Wakes& wakes) noexcept;

// Releases every waiter of a dead slot, in small transactions. Idempotent: a reaper may die anywhere. Rings those whose
// turn it becomes. Errors: those of taking a lock, and kFull; the slot has to stay until all are released, for one that
// was woken holds an element's turn that nobody else gives on.
Status release_slot(Process& process, uint32_t slot, uint64_t slot_generation, int64_t budget_ns) noexcept;

// Rings the contexts; outside the locks. True if one of them slept.
bool ring(Process& process, const Wakes& wakes) noexcept;

// For check: visits every block; false if a queue is not what it should be.
bool check(const Segment& segment, uint32_t shard, VisitBlock visit, void* context) noexcept;

}  // namespace waiters
}  // namespace shoal
