// SPDX-License-Identifier: MIT
// grow_task.h: makes memory physical before anybody needs it, so that a worker does not have to do it in its own call.
// Asks the page tables for a reserve of free pages; they are read without a lock, a wrong count only grows too early or
// late.
#pragma once

#include "daemon/task.h"
#include "process/process.h"

namespace shoal::daemon {

class GrowTask : public Task {
 public:
  explicit GrowTask(Process& process) : process_(process) {}
  std::chrono::milliseconds turn() override;

 private:
  uint64_t free_pages(uint64_t enough) const noexcept;

  Process& process_;
  bool refused_ = false;  // said once that it cannot grow
};

}  // namespace shoal::daemon
