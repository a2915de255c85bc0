// SPDX-License-Identifier: MIT
// sequence.h: the sequence of a shard, which tells its readers without a lock: odd while somebody changes what they may
// look at, and another even number afterwards. For the holder of the shard's lock.
// Dies at any line: recovery makes it even again, onwards.
#pragma once

#include <atomic>
#include <cstdint>

#include "segment/layout.h"

namespace shoal::sequence {

// What it is, or will be, while this holder changes something.
inline uint64_t odd(const shm::Shard& shard) noexcept { return shard.sequence.load(std::memory_order_relaxed) | 1; }

// Before the first change; std::atomic_thread_fence(release) must follow.
inline void make_odd(shm::Shard& shard) noexcept { shard.sequence.store(odd(shard), std::memory_order_relaxed); }

// After the last one.
inline void make_even(shm::Shard& shard) noexcept {
  shard.sequence.store(shard.sequence.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

}  // namespace shoal::sequence
