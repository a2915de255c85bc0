// SPDX-License-Identifier: MIT
// histogram.h: how long something took, in 16 steps a power of two: percentiles within 6 %. It may lie in shared
// memory.
// Written by one thread; a death in the midst of add() loses one count.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace shoal::tool::chaos {

class Histogram {
 public:
  void add(uint64_t ns) noexcept {
    bump(buckets_[bucket_of(ns)]);
    if (ns > longest_.load(std::memory_order_relaxed)) longest_.store(ns, std::memory_order_relaxed);
  }
  void add(const Histogram& other) noexcept {
    for (uint32_t i = 0; i < kBuckets; ++i) bump(buckets_[i], other.buckets_[i].load(std::memory_order_relaxed));
    longest_.store(std::max(longest(), other.longest()), std::memory_order_relaxed);
  }
  uint64_t count() const noexcept {
    uint64_t sum = 0;
    for (const auto& bucket : buckets_) sum += bucket.load(std::memory_order_relaxed);
    return sum;
  }
  // The upper end of the step in which this share of all lies; 0 of nothing.
  uint64_t percentile(double share) const noexcept {
    const auto wanted = static_cast<uint64_t>(share * static_cast<double>(count()));
    uint64_t sum = 0;
    for (uint32_t i = 0; i < kBuckets; ++i) {
      sum += buckets_[i].load(std::memory_order_relaxed);
      if (sum > wanted) return std::min(upper_end(i), longest());
    }
    return longest();
  }
  uint64_t longest() const noexcept { return longest_.load(std::memory_order_relaxed); }

 private:
  static constexpr uint32_t kSteps = 16, kBuckets = 36 * kSteps;  // up to 2^39 ns, nine minutes

  static uint32_t bucket_of(uint64_t ns) noexcept {
    if (ns < kSteps) return static_cast<uint32_t>(ns);
    const auto shift = static_cast<uint32_t>(63 - __builtin_clzll(ns)) - 4;
    return std::min<uint32_t>((shift + 1) * kSteps + static_cast<uint32_t>((ns >> shift) % kSteps), kBuckets - 1);
  }
  static uint64_t upper_end(uint32_t bucket) noexcept {
    if (bucket < kSteps) return bucket;
    return (uint64_t{kSteps} + bucket % kSteps + 1) << (bucket / kSteps - 1);
  }
  static void bump(std::atomic<uint32_t>& bucket, uint32_t by = 1) noexcept {
    bucket.store(bucket.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }

  std::atomic<uint32_t> buckets_[kBuckets]{};
  std::atomic<uint64_t> longest_{0};
};

}  // namespace shoal::tool::chaos
