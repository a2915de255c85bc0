// SPDX-License-Identifier: MIT
// torture.h: `shoal torture`: chaos on this machine and kernel, on a segment of its own. Workers do a random mix of
// everything and are killed, stopped and replaced; a model knows what was acknowledged and looks whether it is there.
#pragma once

#include <functional>
#include <string>

#include "base/status.h"
#include "process/process.h"
#include "tools/report.h"

namespace shoal::tool {

struct TortureOptions {
  uint32_t seconds = 60;
  uint32_t workers = 0;                              // 0: two a processor, at least four
  uint64_t seed = 0;                                 // 0: drawn
  uint64_t max_size = 0;                             // of the segment; 0: three quarters of what /dev/shm has left
  std::string name;                                  // empty: torture-PID
  bool keep = false;                                 // the segment stays, for `shoal inspect`
  std::function<void(const std::string&)> progress;  // a line a second
  int64_t stuck_after_ns = 30'000'000'000;           // an operation that takes so long hangs
  std::function<void(Process&)> meddle;              // for tests: a fault, before the last look
};

// "ok" is false if anything was lost, stuck or leaked. Errors: kExists, kFull (no room in /dev/shm), those of
// attaching.
Result<Json> torture(const TortureOptions& options);

}  // namespace shoal::tool
