// SPDX-License-Identifier: MIT
#include "channels/bookmark.h"

#include <algorithm>

#include "process/context.h"

namespace shoal::channels {

namespace {

constexpr uint32_t kTriesMax = 64;

constexpr uint64_t owner_word(uint32_t context_id, uint64_t incarnation) noexcept {
  return uint64_t{context_id} << 32 | static_cast<uint32_t>(incarnation ^ incarnation >> 32);
}
constexpr uint32_t owner_context(uint64_t owner) noexcept { return static_cast<uint32_t>(owner >> 32); }

bool living(const Segment& segment, uint64_t owner) noexcept {
  const uint32_t id = owner_context(owner);
  return owner != 0 && shm::context_index(id) < segment.context_count() && !dead(segment, id);
}

}  // namespace

void Bookmark::claim(Segment& segment, uint32_t context_id, uint64_t incarnation, uint64_t next) noexcept {
  give_back();
  owner_ = owner_word(context_id, incarnation);
  const uint64_t start = (reinterpret_cast<uintptr_t>(this) ^ owner_) * 0x9e3779b97f4a7c15u >> 32;
  for (uint32_t i = 0; i < kTriesMax; ++i) {
    shm::Bookmark& place = segment.control_bookmark((start + i) % shm::kBookmarkCount);
    uint64_t owner = place.owner.load(std::memory_order_relaxed);
    if (living(segment, owner) || !place.owner.compare_exchange_strong(owner, owner_)) continue;
    place_ = &place;
    return move(next);
  }
}

void Bookmark::give_back() noexcept {
  if (place_ != nullptr) place_->owner.compare_exchange_strong(owner_, 0);
  place_ = nullptr;
}

Progress progress(const Segment& segment, uint64_t incarnation, uint64_t ring_next) noexcept {
  Progress result;
  for (const shm::Bookmark& place : segment.bookmarks()) {
    const uint64_t owner = place.owner.load(std::memory_order_acquire);
    if (owner != owner_word(owner_context(owner), incarnation) || !living(segment, owner)) continue;
    const uint64_t next = place.next.load(std::memory_order_relaxed), lag = ring_next - std::min(next, ring_next);
    ++result.bookmarks;
    result.behind += lag > 0 ? 1 : 0;
    result.lag = std::max(result.lag, lag);
  }
  return result;
}

}  // namespace shoal::channels
