// SPDX-License-Identifier: MIT
#include "daemon/sweep_task.h"

#include "daemon/log.h"
#include "transaction/recovery.h"

namespace shoal::daemon {

using namespace std::chrono_literals;

std::chrono::milliseconds SweepTask::turn() {
  auto context = process_.context();
  if (!context.ok()) {
    log_error("no context to sweep with: " + describe(context.status()));
    return 1000ms;
  }
  const uint32_t self = context.value()->id.load(std::memory_order_relaxed);
  if (const uint32_t recovered = recover_all(process_, self); recovered > 0) {
    log_info("recovered " + std::to_string(recovered) + " dead threads");
  }
  if (const uint32_t reaped = process_.reap_dead_slots(); reaped > 0)
    log_info("reaped " + std::to_string(reaped) + " dead processes");
  return std::chrono::steady_clock::now() < hurry_until_ ? 10ms : 250ms;
}

bool SweepTask::client_left() noexcept {
  hurry_until_ = std::chrono::steady_clock::now() + 1s;
  return true;
}

}  // namespace shoal::daemon
