// SPDX-License-Identifier: MIT
#include "daemon/sweep_task.h"

#include "commands/reap.h"
#include "daemon/log.h"

namespace shoal::daemon {

using namespace std::chrono_literals;

SweepTask::SweepTask(Process& process) : process_(process) { install_reaper(); }

std::chrono::milliseconds SweepTask::turn() {
  // A lock whose holder is stopped must not keep what lies behind the others: the next turn tries it again.
  if (const uint32_t reaped = sweep(process_, kLoopLockBudgetNs); reaped > 0) {
    log_info("reaped " + std::to_string(reaped) + " dead processes");
  }
  return std::chrono::steady_clock::now() < hurry_until_ ? 10ms : 250ms;
}

bool SweepTask::client_left() noexcept {
  hurry_until_ = std::chrono::steady_clock::now() + 1s;
  return true;
}

}  // namespace shoal::daemon
