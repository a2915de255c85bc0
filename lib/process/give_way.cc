// SPDX-License-Identifier: MIT
#include "process/give_way.h"

#include <sched.h>

#include "base/clock.h"

namespace shoal {

void give_way() noexcept {
  thread_local Offers offers;
  const int64_t start = monotonic_ns();
  if (!offers.due(start)) return;
  ::sched_yield();
  offers.made(start, monotonic_ns());
}

}  // namespace shoal
