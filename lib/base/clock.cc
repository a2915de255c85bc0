// SPDX-License-Identifier: MIT
#include "base/clock.h"

#include <ctime>

#include <atomic>

namespace shoal {

namespace {
std::atomic<int64_t> wall_offset_ms{0};

int64_t read_ns(clockid_t clock) noexcept {
  timespec now{};
  ::clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}
}  // namespace

int64_t monotonic_ns() noexcept { return read_ns(CLOCK_MONOTONIC); }

int64_t wall_clock_ms() noexcept {
  return read_ns(CLOCK_REALTIME) / 1'000'000 + wall_offset_ms.load(std::memory_order_relaxed);
}

void set_wall_clock_offset_ms(int64_t offset_ms) noexcept {
  wall_offset_ms.store(offset_ms, std::memory_order_relaxed);
}

}  // namespace shoal
