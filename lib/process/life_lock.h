// SPDX-License-Identifier: MIT
// life_lock.h: a process is alive while one byte of the life file is locked for it: an open-file-description lock, kept by
// a mapping of the file with MADV_DONTFORK and the descriptor closed. close_range() of a daemonizer cannot drop it, a forked
// child does not inherit it, PID namespaces do not matter.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace shoal {

class LifeLock {
 public:
  // Locks byte `index` + 1 (byte 0 is never used: other programs like it). kBusy if somebody lives there.
  static Result<LifeLock> take(const std::string& life_path, uint32_t index);
  LifeLock(LifeLock&&) noexcept;
  LifeLock& operator=(LifeLock&&) noexcept;
  ~LifeLock();

  // In a forked child: the mapping is the parent's and is not there; forget it without unmapping.
  void forget() noexcept { page_ = nullptr; }

 private:
  LifeLock() = default;
  void* page_ = nullptr;
};

// Whether somebody holds byte `index` + 1.
bool life_byte_held(const std::string& life_path, uint32_t index) noexcept;

}  // namespace shoal
