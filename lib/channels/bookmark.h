// SPDX-License-Identifier: MIT
// bookmark.h: how far a subscriber has read, where whoever looks into the segment sees it (`shoal inspect NAME
// channels`).
//
// For people: nothing depends on a bookmark, and with more subscribers than kBookmarkCount some have none.
// One subscriber's at a time, guarded by his lock; copies write to the same one.
// Dies at any line: a bookmark of a dead context is free for whoever wants one.
#pragma once

#include "segment/segment.h"

namespace shoal::channels {

class Bookmark {
 public:
  // Takes one for a subscriber of this context to this channel, who reads message `next` next.
  void claim(Segment& segment, uint32_t context_id, uint64_t incarnation, uint64_t next) noexcept;
  void move(uint64_t next) noexcept {
    if (place_ != nullptr) place_->next.store(next, std::memory_order_relaxed);
  }
  // Unless another has it by now, for the context is dead.
  void give_back() noexcept;
  // It is a parent's, and stays his.
  void leave() noexcept { place_ = nullptr; }

 private:
  shm::Bookmark* place_ = nullptr;
  uint64_t owner_ = 0;  // what was written to it
};

// What is known of a channel's living subscribers.
struct Progress {
  uint64_t bookmarks = 0;
  uint64_t behind = 0;  // of them, those that have something to read
  uint64_t lag = 0;     // messages that the slowest has not read
};
Progress progress(const Segment& segment, uint64_t incarnation, uint64_t ring_next) noexcept;

}  // namespace shoal::channels
