// SPDX-License-Identifier: MIT
// What another thread brings about: looked for again and again, until a watchdog gives up.
#pragma once

#include <sched.h>

#include "base/clock.h"

namespace shoal {

template <typename Condition>
bool eventually(Condition&& condition) {
  constexpr int64_t kWatchdogNs = 60'000'000'000;
  for (const int64_t end = monotonic_ns() + kWatchdogNs; !condition();) {
    if (monotonic_ns() > end) return false;
    ::sched_yield();
  }
  return true;
}

}  // namespace shoal
