// SPDX-License-Identifier: MIT
// sweep.h: one case, died in behind every instruction that stored into the segment; and the same for whoever recovers
// it.
#pragma once

#include <cstdint>
#include <string>

#include "crash/cases.h"

namespace shoal::crash {

enum class Pages { kPlenty, kNone, kOne, kThree };  // what the segment has left when the operation begins

struct SweepResult {
  std::string problems;  // empty = nothing was wrong
  std::string errors;    // what the operation replied, if that is an error
  bool changed = false;  // a newcomer sees a difference afterwards
  // What he sees, without what time and other operations have a share in.
  std::string before, after;
  uint64_t steps = 0;  // storing instructions of the operation
  uint64_t deaths = 0, double_deaths = 0;
};

// Everybody dies once behind each storing instruction; `recoverer_samples` > 0: instead, behind about so many of them,
// and then the recoverer behind each of his own.
SweepResult sweep(const Case& of, Pages pages, uint64_t recoverer_samples = 0, uint64_t steps_expected = 0);

}  // namespace shoal::crash
