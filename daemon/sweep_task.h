// SPDX-License-Identifier: MIT
// sweep_task.h: after the dead: recovers contexts whose thread is gone and reaps slots whose process is gone. Every
// quarter of a second; after a client's connection ended, every ten milliseconds for a while, because the kernel may
// need up to a second to take a large process down and only then frees its life byte.
#pragma once

#include "daemon/task.h"
#include "process/process.h"

namespace shoal::daemon {

class SweepTask : public Task {
 public:
  explicit SweepTask(Process& process);
  std::chrono::milliseconds turn() override;
  bool client_left() noexcept override;

 private:
  Process& process_;
  std::chrono::steady_clock::time_point hurry_until_{};
};

}  // namespace shoal::daemon
