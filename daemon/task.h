// SPDX-License-Identifier: MIT
// task.h: a piece of the daemon's work. The daemon has one thread; a turn is short (a few milliseconds at most), so
// that no task keeps another waiting, and says itself when it wants the next one.
#pragma once

#include <chrono>

namespace shoal::daemon {

class Task {
 public:
  virtual ~Task() = default;
  // One bounded turn; how long until the next.
  virtual std::chrono::milliseconds turn() = 0;
  // A client's connection ended: its process may be dying. True if the task wants a turn at once.
  virtual bool client_left() noexcept { return false; }
};

}  // namespace shoal::daemon
