// SPDX-License-Identifier: MIT
// consumer.h: a handle that takes tasks from one or several queues, in turn.
//
// Thread-safe: calls are taken one after the other. It belongs to the process that made it: in a forked child, and
// after a
// reaper took this process for dead, take() and listen() say kRemoved and the answers change nothing.
// An event loop's thread gives kLoopLockBudgetNs to the calls that have a budget: kBusy then, and nothing was done.
// Sleeping: the event loop arms its LoopWaker, the thread prepares its ThreadSleep; then listen(); then they wait.
// Dies at any line: what it held is given back by release_slot() of its slot.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "process/fork_guard.h"
#include "queues/lease.h"

namespace shoal::queues {

struct Delivery {
  std::string queue, data;
  std::string tag;  // empty: taken without a lease
  bool redelivered = false;
};

class Consumer {
 public:
  explicit Consumer(TaskQueues& queues) noexcept;
  ~Consumer() { (void)close(); }
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  // Takes part in a queue, which is made if there is none. no_ack: what it takes is gone from the queue at once.
  // kBusy: it takes part, and the others see it from the next listen() or take() on.
  Status add(Bytes queue, bool no_ack, int64_t budget_ns = kLockBudgetNs);
  // Takes no more from it; what it holds of it stays its own until close(). kBusy: it takes no more, but the turn that
  // it may have still keeps others waiting: again, soon.
  Status remove(Bytes queue, int64_t budget_ns = kLockBudgetNs);

  // The first task of the next queue that has one. kBusy only if no queue that could be locked has one.
  Result<std::optional<Delivery>> take(int64_t budget_ns = kLockBudgetNs);
  // Of one queue, whether it takes part in it or not.
  Result<std::optional<Delivery>> take_from(Bytes queue, bool no_ack, int64_t budget_ns = kLockBudgetNs);

  // false: the lease had ended.
  Result<bool> ack(const LeaseTag& tag, int64_t budget_ns = kLockBudgetNs);
  Result<bool> reject(const LeaseTag& tag, bool requeue, int64_t budget_ns = kLockBudgetNs);

  // Registers this thread's context to be woken for its queues: kReady (something is there: take), or the wall clock
  // of the earliest delayed task, 0 if there is none. kBusy: it is registered with the other queues.
  static constexpr int64_t kReady = -1;
  Result<int64_t> listen(int64_t budget_ns = kLockBudgetNs);
  // It will not take what it might be woken for: its turn goes to the next.
  Status unlisten(int64_t budget_ns = kLockBudgetNs);

  // Gives back what it holds; nothing else works after it. kBusy: not all of it yet, close it again.
  Status close(int64_t budget_ns = kLockBudgetNs);

 private:
  struct Source {
    std::string queue;
    bool no_ack;
    bool active;  // false: removed, but it may still hold leases
    bool listening;
  };

  Source& source(Bytes queue, bool no_ack);
  Status ours(Owner& me) const;
  Status usable(Owner& me) const;
  Status with_holder(Source& source, Purpose::Kind kind, bool make_queue, int64_t budget_ns, auto&& body);
  Result<std::optional<Delivery>> take_one(Source& source, int64_t budget_ns);
  Result<int64_t> listen_one(Source& source, int64_t budget_ns);
  Status unlisten_one(Source& source, int64_t budget_ns);
  Result<bool> answer(const LeaseTag& tag, Outcome outcome, int64_t budget_ns);

  TaskQueues& queues_;
  ForkLock lock_;
  std::vector<Source> sources_;
  size_t turn_ = 0;
  uint64_t handle_;
  Owner owner_{};
  bool closed_ = false;
};

// Sleeps until one of the consumers may find a task, or the time is over (negative: no end). false: it is over.
// Returns early now and then; the caller looks for signals and calls again.
Result<bool> wait(Process& process, const std::vector<Consumer*>& consumers, int64_t timeout_ns);

}  // namespace shoal::queues
