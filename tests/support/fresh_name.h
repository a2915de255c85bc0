// SPDX-License-Identifier: MIT
// The name of a segment that nobody uses. A test that was killed (a mutant's, a debugger's) leaves its segment behind,
// and a later process with the same pid would go on in it.
#pragma once

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>

#include "segment/name.h"

namespace shoal {

inline SegmentName fresh_name(const std::string& prefix) {
  static std::atomic<int> next{0};
  SegmentName name =
      SegmentName::parse(prefix + "-" + std::to_string(::getpid()) + "-" + std::to_string(next++)).value();
  std::filesystem::remove(name.shm_path());
  std::filesystem::remove_all(name.runtime_dir());
  return name;
}

}  // namespace shoal
