// SPDX-License-Identifier: MIT
// page_pool.h: spans of pages, shared by all: FREE -> CLAIMED or JOURNAL by CAS, and back. Nothing here is journalled.
//
// Any thread with a published context, with or without locks. Before it touches a page a context widens its claim
// window
// (claim_low, claim_high), so that its recovery knows where to look. Dies at any line: the first page names the
// context, and recovery releases every span of that name; tails say which first page they belong to and are freed with
// it.
//
// The first pages of the first extent (kReservedPages) are given to journals only, one by one, when there is no other
// page: who comes into a full segment can remove something, and give back what the dead held; and who removes a lot at
// once has them until his commit.
#pragma once

#include <cstdint>

#include "segment/segment.h"

namespace shoal {

// Claims `pages` pages that follow each other in one extent; returns the number of the first page, 0 if none that may
// be had is physical and free. `use` of the first page is reset with its span set; everything else in the span is as it
// was left.
uint32_t claim_span(Segment& segment, shm::Context& self, uint32_t pages, shm::PageKind kind) noexcept;

// Frees a span whose first page is CLAIMED or JOURNAL by us or by a dead context that we recover.
void release_span(Segment& segment, uint32_t first) noexcept;

// Releases every span of `kind` that the context with this id holds.
void release_claims(Segment& segment, const shm::Context& context, uint32_t id, shm::PageKind kind) noexcept;

// First page of the span that the block lies in.
inline uint32_t span_of(const Segment& segment, uint64_t block) noexcept {
  const auto page = static_cast<uint32_t>(block / kPageBytes);
  const uint64_t owner = segment.page(page).owner.load(std::memory_order_relaxed);
  return shm::page_kind(owner) == shm::PageKind::kTail ? static_cast<uint32_t>(owner) : page;
}

}  // namespace shoal
