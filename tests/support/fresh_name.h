// SPDX-License-Identifier: MIT
// fresh_name.h: the name of a segment that nobody uses, and its end. A test that was killed (a mutant's, a debugger's)
// leaves its segment behind, and a later process with the same pid would go on in it.
#pragma once

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <system_error>

#include "segment/name.h"
#include "segment/segment.h"

namespace shoal {

inline void leave_nothing_of(const SegmentName& name) {
  (void)Segment::remove(name);  // waits for whoever makes it; what it refuses goes, too
  std::error_code error;
  std::filesystem::remove(name.shm_path(), error);
  std::filesystem::remove_all(name.runtime_dir(), error);
}

inline SegmentName fresh_name(const std::string& prefix) {
  static std::atomic<int> next{0};
  SegmentName name =
      SegmentName::parse(prefix + "-" + std::to_string(::getpid()) + "-" + std::to_string(next++)).value();
  leave_nothing_of(name);
  return name;
}

}  // namespace shoal
