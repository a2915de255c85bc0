// SPDX-License-Identifier: MIT
// upkeep.h: who repairs and gives back what the dead held: the daemon while one serves, else the processes themselves.
//
// A thread that sleeps in a blocking call does it at the end of a sleep, every kSelfSweepMs of its process; an event
// loop by a timer. Who neither waits nor sleeps has no need: it recovers whoever's lock it meets.
// Thread-safe. Dies at any line: nothing is left behind; the kernel closes the connection.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/fork_gate.h"
#include "base/limits.h"
#include "process/daemon_link.h"
#include "process/process.h"

namespace shoal {

class Upkeep {
 public:
  // Also makes it what the process's threads do at the end of a sleep. Before others know the process.
  static std::shared_ptr<Upkeep> of(Process& process);

  // Connects to the daemon; if there is none, starts `program`. kNotFound: none, and `program` is empty. May take as
  // long as a program start.
  Status find_daemon(const std::string& program);
  // A new descriptor, the caller's own, readable once the daemon is gone; -1: there is none.
  int watch_daemon();
  // Recovers dead threads and reaps dead processes, and looks for a daemon. True: from now on one does that.
  bool sweep(int64_t budget_ns = kLoopLockBudgetNs);

 private:
  explicit Upkeep(Process& process) noexcept : process_(process) {}
  bool linked();

  Process& process_;
  ForkLock lock_;
  std::optional<DaemonLink> link_;
};

}  // namespace shoal
