// SPDX-License-Identifier: MIT
#include "transaction/page_pool.h"

#include <algorithm>

namespace shoal {

namespace {

using shm::PageKind;

void widen_window(shm::Context& self, uint32_t extent) noexcept {
  if (self.claim_high == 0) self.claim_low = extent;
  self.claim_low = std::min(self.claim_low, extent);
  self.claim_high = std::max(self.claim_high, extent + 1);
  std::atomic_signal_fence(std::memory_order_seq_cst);  // the window is wide before a page is ours
}

// Claims [first, first + pages) or nothing.
bool claim_at(Segment& segment, uint32_t first, uint32_t pages, uint64_t owner) noexcept {
  shm::Page& head = segment.control_page(first);
  uint64_t expected = 0;
  if (!head.owner.compare_exchange_strong(expected, owner, std::memory_order_acq_rel)) return false;
  head.use = {0, 0, 0, shm::kSpanClass, static_cast<uint8_t>(pages)};
  head.next = head.previous = 0;
  const uint64_t tail = shm::page_owner(PageKind::kTail, first);
  for (uint32_t page = first + 1; page < first + pages; ++page) {
    expected = 0;
    if (!segment.control_page(page).owner.compare_exchange_strong(expected, tail, std::memory_order_acq_rel)) {
      release_span(segment, first);
      return false;
    }
  }
  return true;
}

// The first page of `pages` free ones among [from, end) of an extent, claimed; 0 if there are none.
uint32_t claim_in_extent(Segment& segment, shm::Context& self, uint32_t extent, uint32_t from, uint32_t end,
                         uint32_t pages, uint64_t owner) noexcept {
  const uint32_t base = extent * kPagesPerExtent;
  uint32_t run = 0;
  for (uint32_t page = from; page < end; ++page) {
    run = segment.page(base + page).owner.load(std::memory_order_relaxed) == 0 ? run + 1 : 0;
    if (run < pages) continue;
    widen_window(self, extent);
    const uint32_t first = base + page + 1 - pages;
    if (claim_at(segment, first, pages, owner)) return first;
    run = 0;
  }
  return 0;
}

}  // namespace

uint32_t claim_span(Segment& segment, shm::Context& self, uint32_t pages, PageKind kind) noexcept {
  const uint64_t owner = shm::page_owner(kind, self.id.load(std::memory_order_relaxed));
  const uint32_t low = static_cast<uint32_t>(segment.extents_offset() / kExtentBytes);
  const uint32_t count = static_cast<uint32_t>(segment.committed() / kExtentBytes) - low;
  shm::Header& header = segment.control_header();
  const uint32_t hint = header.search_hint.load(std::memory_order_relaxed) - low;
  constexpr uint32_t kBegin = shm::kExtentHeadPages, kReserveEnd = kBegin + kReservedPages;
  for (bool trust_hints : {true, false}) {
    for (uint32_t step = 0; step < count; ++step) {
      const uint32_t extent = low + (hint + step) % count;
      shm::Extent& head = segment.control_extent(extent);
      if (trust_hints && head.maybe_free.load(std::memory_order_relaxed) == 0) continue;
      if (pages == 1) head.maybe_free.store(0, std::memory_order_relaxed);
      const uint32_t begin = extent == low ? kReserveEnd : kBegin;
      if (const uint32_t first = claim_in_extent(segment, self, extent, begin, kPagesPerExtent, pages, owner);
          first != 0) {
        head.maybe_free.store(1, std::memory_order_relaxed);
        if (pages == 1) header.search_hint.store(extent, std::memory_order_relaxed);
        return first;
      }
    }
  }
  const bool may_have_reserve = kind == PageKind::kJournal && pages == kFirstChunkPages;
  return may_have_reserve ? claim_in_extent(segment, self, low, kBegin, kReserveEnd, pages, owner) : 0;
}

void release_span(Segment& segment, uint32_t first) noexcept {
  shm::Page& head = segment.control_page(first);
  const uint64_t tail = shm::page_owner(PageKind::kTail, first);
  const uint32_t extent_end =
      (first / kPagesPerExtent + 1) * kPagesPerExtent;  // a span not yet set is of an older life
  for (uint32_t page = std::min(first + head.use.span, extent_end); page-- > first + 1;) {
    uint64_t expected = tail;  // a page that is not our tail belongs to somebody else by now
    segment.control_page(page).owner.compare_exchange_strong(expected, 0, std::memory_order_acq_rel);
  }
  head.owner.store(0, std::memory_order_release);
  segment.control_extent(first / kPagesPerExtent).maybe_free.store(1, std::memory_order_relaxed);
}

void release_claims(Segment& segment, const shm::Context& context, uint32_t id, PageKind kind) noexcept {
  const uint64_t owner = shm::page_owner(kind, id);
  for (uint32_t extent = context.claim_low; extent < context.claim_high; ++extent) {
    for (uint32_t page = shm::kExtentHeadPages; page < kPagesPerExtent; ++page) {
      const uint32_t number = extent * kPagesPerExtent + page;
      if (segment.page(number).owner.load(std::memory_order_acquire) == owner) release_span(segment, number);
    }
  }
}

}  // namespace shoal
