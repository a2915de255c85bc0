// SPDX-License-Identifier: MIT
// task_queue.h: task queues by name. A queue is an object of its own, not a key: never evicted, never expired with
// the keys.
//
// Order: (priority, number). A task gets its number when it becomes ready (at the push, or when it comes due) and
// keeps it
// when it is given back, so it stands again where it stood. Pushing and taking are O(1) in the length of the queue,
// giving
// back and delaying O(log n); emptying a queue is cut into transactions of kBatch tasks.
//
// Invariants, checked by check.h: every task is in one place; the counts agree; the lists ascend by number; a queue
// with ready
// or delayed tasks has no waiting consumer that nobody woke for them.
//
// Thread-safe. Each call is one transaction on the queue's shard unless it says otherwise; it may wait for the lock,
// so no
// lock of the interpreter may be held. Dies at any line: the call did not happen, or it did and recovery rings the
// sleepers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "process/process.h"

namespace shoal::queues {

inline constexpr uint32_t kDefaultMaxDeliveries = 3;
// Tasks that one transaction moves at most: their journal fits into the page that every thread has, so a full segment
// can
// be emptied.
inline constexpr uint32_t kBatch = 16;

struct QueueOptions {
  uint64_t max_length = 0;                          // ready and delayed tasks; 0 = no bound
  bool drop_head = true;                            // full: the first ready task goes; else the push is refused
  uint32_t max_deliveries = kDefaultMaxDeliveries;  // started so often without an orderly end: a dead letter
  bool auto_delete = false;                         // goes with its last consumer, whether that closes or dies
  uint64_t expires_ms = 0;                          // may go when it was unused for so long; 0 = never
};

struct QueueStats {
  std::string name;
  uint32_t database = 0;
  uint64_t ready = 0, delayed = 0, leased = 0, dead = 0;
  uint64_t consumers = 0, waiting = 0, pushed = 0, acknowledged = 0;
  uint64_t next_due_ms = 0;      // wall clock, 0 = nothing is delayed
  uint64_t oldest_lease_ms = 0;  // wall clock of its taking, 0 = nothing is leased
};

enum class PushResult : uint8_t { kPushed, kRefused, kGone };  // kGone: not the incarnation that was asked for

struct Route {  // a binding of an exchange
  std::string key, pattern, queue;
  uint64_t incarnation;
};

// Priorities: 0 is first, kPriorityCount - 1 last. due_ms: wall clock, 0 or past = now.
struct NewTask {
  Bytes data;
  uint32_t priority = 0;
  uint64_t due_ms = 0;
};

class TaskQueues {
 public:
  TaskQueues(Process& process, uint32_t database) noexcept : process_(process), database_(database) {}

  Process& process() noexcept { return process_; }
  uint32_t database() const noexcept { return database_; }

  // Makes the queue if there is none; else only notes that it was used. Gives the count of ready and delayed tasks.
  Result<uint64_t> declare(Bytes name, const QueueOptions& options, int64_t budget_ns = kLockBudgetNs);
  // Makes the queue with the default options if there is none.
  Result<PushResult> push(Bytes name, const NewTask& task, int64_t budget_ns = kLockBudgetNs);
  // To a queue that is there, whichever it is; else kGone.
  Result<PushResult> push_existing(Bytes name, const NewTask& task, int64_t budget_ns = kLockBudgetNs);
  Result<std::optional<QueueStats>> stats(Bytes name, int64_t budget_ns = kLockBudgetNs);
  // Removes ready and delayed tasks, or the whole queue with its leases; gives how many tasks were ready or delayed.
  // An error (kBusy): some of them went, or none; the call may be repeated.
  Result<uint64_t> purge(Bytes name, int64_t budget_ns = kLockBudgetNs);
  Result<uint64_t> remove(Bytes name, int64_t budget_ns = kLockBudgetNs);

  // Dead letters, oldest first: `visit` is not called under the lock.
  Result<std::vector<std::string>> dead_letters(Bytes name, uint64_t limit);
  // Moves all dead letters back to their places, with their deliveries forgotten; gives how many.
  Result<uint64_t> revive(Bytes name);

  // Exchanges: who hears what. The matching of keys is the caller's.
  Status bind(Bytes exchange, Bytes key, Bytes pattern, Bytes queue, int64_t budget_ns = kLockBudgetNs);
  Status unbind(Bytes exchange, Bytes key, Bytes pattern, Bytes queue, int64_t budget_ns = kLockBudgetNs);
  Result<std::vector<Route>> routes(Bytes exchange, int64_t budget_ns = kLockBudgetNs);
  // Pushes to the queues of all these routes in one transaction: all of them get the task or, on an error, on a death
  // and when one of them refuses it (kRefused), none. A queue stands in one route only. A route whose queue is gone is
  // passed over and taken out; kGone when that was so with all of them.
  Result<PushResult> push_routes(Bytes exchange, std::span<const Route> routes, const NewTask& task,
                                 int64_t budget_ns = kLockBudgetNs);

 private:
  Status forget_route(Bytes exchange, const Route& route, int64_t budget_ns);

  Process& process_;
  uint32_t database_;
};

// Every queue of the segment, for tools.
Result<std::vector<QueueStats>> all_queues(Process& process);
// Deletes queues that were unused for longer than they may be. For the daemon, and for whoever declares one. To declare
// a queue, to consume and to take from it is to use it, also in the midst of this; a push alone is no use.
// Errors: those of a lock; what lies behind the others was looked at all the same.
Status expire_queues(Process& process, int64_t budget_ns = kLockBudgetNs);

}  // namespace shoal::queues
