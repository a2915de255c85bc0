// SPDX-License-Identifier: MIT
// clock.h: the two clocks. Leases, budgets and sleeps run on the monotonic one; TTL and ETA on the wall clock, as in
// Redis.
// Tests may shift the wall clock of their own process (`set_wall_clock_offset_ms`); nothing else fakes time.
#pragma once

#include <cstdint>

namespace shoal {

int64_t monotonic_ns() noexcept;
int64_t wall_clock_ms() noexcept;
void set_wall_clock_offset_ms(int64_t offset_ms) noexcept;

}  // namespace shoal
