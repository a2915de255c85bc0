// SPDX-License-Identifier: MIT
// sequence.h: what tells a shard's readers without a lock that something changed. For the holder of the shard's lock.
//
// The sequence: odd while somebody changes what they may look at, and another even number afterwards. The epoch, for
// who copies longer than the sequence stands still (pieces of a large value, a ring): raised before a channel or its
// ring is freed, and before anything is undone, since a version or an offset that an undo put back says nothing of the
// bytes that were seen meanwhile.
// Dies at any line: recovery makes the sequence even again, onwards; neither ever goes back.
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

inline void raise_epoch(shm::Shard& shard) noexcept {
  std::atomic_thread_fence(std::memory_order_release);  // who sees it sees an odd sequence, if there is one
  shard.reader_epoch = shard.reader_epoch.load() + 1;
  std::atomic_thread_fence(std::memory_order_release);
}

}  // namespace shoal::sequence
