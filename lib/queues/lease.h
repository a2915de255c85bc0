// SPDX-License-Identifier: MIT
// lease.h: who holds a task, and how a lease ends.
//
// A lease belongs to a consumer handle of a process. A process that runs the task on behalf of another (a pool child)
// calls
// start(): its slot becomes the second owner. The lease ends
//   by ack or reject of the consumer;
//   by finish() of the helper: at once if the first owner is gone, else when the first owner answers or goes;
//   when its owners are gone: the handle closed or the process died. While one of them lives the task runs nowhere
// else,
//   however long it takes: nothing is measured in time.
//
//                        reserved --start()--> started (deliveries + 1) --finish()--> finished
//   first owner goes:    given back            second lives: its lease                as finish() said
//                                              else given back, or dead after max_deliveries
//
// A delivery counts from start() on, so the prefetched neighbours of a task that kills its worker lose nothing; an
// orderly
// end (finish(), or a close of the handle, which is no death) takes the count back.
//
// Dies at any line: each call is one transaction. release_slot() is a loop of such; whoever calls it next goes on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "queues/queue_core.h"

namespace shoal::queues {

// A process in the segment's eyes.
struct Owner {
  uint32_t slot;
  uint64_t generation;

  static Result<Owner> of(Process& process) {
    // attaches a forked child
    if (Result<shm::Context*> context = process.context(); !context.ok()) return context.status();
    return Owner{process.slot_index(), process.slot_generation()};
  }
  bool owns(const shm::Holder& holder) const noexcept {
    return holder.slot == slot && holder.slot_generation == generation;
  }
};

enum class Outcome : uint8_t { kAck = 0, kRequeue = 1, kDrop = 2 };

// Names one lease in every process that attaches the segment.
struct LeaseTag {
  uint64_t incarnation = 0, holder = 0, number = 0, lease = 0;
  std::string queue;

  std::string text() const;  // "incarnation.holder.number.lease@queue", hexadecimal
  static std::optional<LeaseTag> parse(Bytes text);
};

// The calling process runs the task from now on. false: the lease has ended, or its first owner is gone: do not run it.
// In a full segment the delivery counts, but there may be no room for a second owner: if the first one dies, the task
// is given back while it runs.
Result<bool> start(TaskQueues& queues, const LeaseTag& tag);
// It has run it, in an orderly way. false: the lease had ended before.
Result<bool> finish(TaskQueues& queues, const LeaseTag& tag, Outcome outcome);

// Gives back everything that the process of this slot held, as consumer or as helper. For the reaper of a dead slot
// (commands/reap), before the slot is set free; idempotent. A shard that stays locked is passed over and its error
// given at the end.
Status release_slot(Process& process, uint32_t slot, uint64_t generation, int64_t budget_ns = kLockBudgetNs);
// The same for everybody whose slot is no longer theirs: what an earlier release had to leave, because it met a lock
// whose holder was stopped.
Status release_stale(Process& process, int64_t budget_ns = kLockBudgetNs);

// Steps, under the lock.
struct Leases {
  Core& core;
  const shm::Queue& queue;

  const shm::Holder* find(uint64_t id) const noexcept;  // among consumers and helpers
  const shm::Holder* consumer(Owner owner, uint64_t handle) const noexcept;
  const shm::Holder* helper(Owner owner) const noexcept;
  // handle 0: a helper. nullptr when the segment is full.
  const shm::Holder* add_holder(Owner owner, uint64_t handle) noexcept;

  void lease(const shm::Holder& holder, uint64_t task, uint64_t now_ms) noexcept;
  // The task of this lease in the holder's hands, 0 if it has ended.
  uint64_t find_task(const shm::Holder& holder, const LeaseTag& tag) const noexcept;
  void end(const shm::Holder& holder, uint64_t task, Outcome outcome, bool orderly) noexcept;
  // Ends or hands on up to kBatch leases of a holder that goes, then frees it, and with the last consumer a queue
  // that is
  // not to outlive it: true when all of that is done.
  bool release_some(const shm::Holder& holder, bool orderly) noexcept;

 private:
  void take_from(const shm::Holder& holder, uint64_t task) noexcept;
  void let_go(const shm::Holder& holder, uint64_t task, bool orderly) noexcept;
};

}  // namespace shoal::queues
