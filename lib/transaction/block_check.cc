// SPDX-License-Identifier: MIT
#include "transaction/block_check.h"

#include <cstring>

#include "process/context.h"
#include "transaction/size_class.h"

namespace shoal {

namespace {

using shm::PageKind;

constexpr uint64_t page_offset(uint32_t page) noexcept { return uint64_t{page} * kPageBytes; }

template <typename T>
T* zeroed(uint64_t count) noexcept {
  void* memory = std::calloc(count, sizeof(T));
  SHOAL_ASSERT(memory != nullptr);
  return static_cast<T*>(memory);
}

bool has_room(const shm::PageUse& use) noexcept {
  return use.free_head != 0 || use.bump < class_blocks(use.size_class);
}

}  // namespace

BlockCheck::BlockCheck(const Segment& segment) noexcept
    : segment_(segment),
      first_page_(static_cast<uint32_t>(segment.extents_offset() / kPageBytes)),
      end_page_(static_cast<uint32_t>(segment.committed() / kPageBytes)),
      states_(zeroed<State>(uint64_t{end_page_ - first_page_} * kPerPage)),
      listed_(zeroed<uint8_t>(end_page_)),
      bytes_by_class_(kClassBytes.size() + 1) {
  read_pages();
  for (uint32_t shard = 0; shard < segment.shard_count(); ++shard) {
    read_class_lists(shard);
    for (uint32_t c = 0; c < kClassBytes.size(); ++c) read_foreign_list(shard, c);
  }
  read_journals();
  for (uint32_t page = first_page_; page < end_page_; ++page) {
    const shm::Page& record = segment_.page(page);
    if (!physical(page) || listed_[page] != 0) continue;
    const PageKind kind = shm::page_kind(record.owner.load(std::memory_order_relaxed));
    if (kind == PageKind::kOwned && record.use.size_class < kClassBytes.size() && has_room(record.use)) {
      found("a span with room stands in no list of its shard", page);
    }
  }
}

void BlockCheck::found(const char* what, uint64_t where, uint64_t number) noexcept {
  if (findings_.size() < kFindingsMax) findings_.push_back({what, where, number});
}

bool BlockCheck::physical(uint64_t page) const noexcept {
  return page >= first_page_ && page < end_page_ && page % kPagesPerExtent >= shm::kExtentHeadPages;
}

bool BlockCheck::published(uint32_t id) const noexcept {
  const uint32_t index = shm::context_index(id);
  return id != 0 && index < segment_.context_count() &&
         segment_.context(index).id.load(std::memory_order_acquire) == id;
}

// The head of a claim whose holder died: its recoverer may have come as far as any of its tails.
bool BlockCheck::half_released(uint32_t first) const noexcept {
  if (!physical(first)) return false;
  const uint64_t owner = segment_.page(first).owner.load(std::memory_order_acquire);
  const PageKind kind = shm::page_kind(owner);
  const auto id = static_cast<uint32_t>(owner);
  return (kind == PageKind::kClaimed || kind == PageKind::kJournal) && published(id) && dead(segment_, id);
}

// ---- Pages ----------------------------------------------------------------------------------------------------------

void BlockCheck::read_pages() noexcept {
  for (uint32_t base = first_page_; base < end_page_; base += kPagesPerExtent) {
    for (uint32_t page = base + shm::kExtentHeadPages; page < base + kPagesPerExtent;) {
      page += read_page(page, base + kPagesPerExtent);
    }
  }
}

uint32_t BlockCheck::read_page(uint32_t page, uint32_t extent_end) noexcept {
  const shm::Page& record = segment_.page(page);
  const uint64_t owner = record.owner.load(std::memory_order_acquire);
  const PageKind kind = shm::page_kind(owner);
  if (owner == 0) {
    ++pages_free_;
    return 1;
  }
  if (kind == PageKind::kTail) {
    if (!half_released(static_cast<uint32_t>(owner)))
      found("a page is the tail of a span that does not reach it", page, static_cast<uint32_t>(owner));
    return 1;
  }
  if (kind != PageKind::kClaimed && kind != PageKind::kJournal && kind != PageKind::kOwned) {
    found("a page has an owner of no kind", page, owner);
    return 1;
  }
  const auto holder = static_cast<uint32_t>(owner);
  const uint32_t span = record.use.span;
  if (kind == PageKind::kOwned) {
    if (holder >= segment_.shard_count()) found("a page belongs to a shard that does not exist", page, holder);
  } else if (!published(holder)) {
    found("a page is claimed by a context that is gone", page, holder);
  } else if (kind == PageKind::kClaimed && !dead(segment_, holder)) {
    found("a page is claimed by a living context that is in no transaction", page, holder);
  }
  const bool still_taken = half_released(page);
  if (span == 0 || page + span > extent_end) {
    if (!still_taken) found("a span has no length, or reaches behind its extent", page, span);
    return 1;
  }
  for (uint32_t tail = page + 1; tail < page + span; ++tail) {
    if (segment_.page(tail).owner.load(std::memory_order_acquire) == shm::page_owner(PageKind::kTail, page)) continue;
    if (!still_taken) found("a span lacks one of its pages", page, tail);
    if (still_taken) return 1;
  }
  if (kind == PageKind::kJournal) pages_journal_ += span;
  if (kind != PageKind::kOwned) return span;
  pages_owned_ += span;
  read_blocks(page);
  return span;
}

// The blocks of an owned span: untouched, in its free list, or handed out.
void BlockCheck::read_blocks(uint32_t page) noexcept {
  const shm::PageUse use = segment_.page(page).use;
  if (use.size_class == shm::kSpanClass) {
    state(page, 0) = State::kUsed;
    return;
  }
  if (use.size_class >= kClassBytes.size() || use.span != class_pages(use.size_class)) {
    found("a span is of no size class", page, use.size_class);
    return;
  }
  const uint32_t count = class_blocks(use.size_class);
  if (use.bump > count) {
    found("more blocks were taken from a span than it has", page, use.bump);
    return;
  }
  for (uint32_t index = 0; index < count; ++index)
    state(page, index) = index < use.bump ? State::kUsed : State::kUntouched;
  uint32_t free_blocks = 0;
  for (uint16_t next = use.free_head; next != 0;) {
    const uint32_t index = next - 1u;
    if (index >= use.bump) {
      found("a free list leads out of its span", page, index);
      break;
    }
    if (state(page, index) == State::kFree) {
      found("a free list is a ring", page, index);
      break;
    }
    state(page, index) = State::kFree;
    ++free_blocks;
    std::memcpy(&next, segment_.base() + page_offset(page) + uint64_t{index} * kClassBytes[use.size_class],
                sizeof next);
  }
  if (use.used + free_blocks != use.bump) found("a span's count of blocks in use is wrong", page, use.used);
}

// ---- Lists ----------------------------------------------------------------------------------------------------------

void BlockCheck::read_class_lists(uint32_t index) noexcept {
  const shm::Shard& shard = segment_.shard(index);
  for (uint32_t c = 0; c < shm::kClassCount; ++c) {
    uint32_t before = 0;
    for (uint32_t page = shard.class_pages[c]; page != 0;) {
      if (!physical(page)) {
        found("a list of spans leads nowhere", index, page);
        break;
      }
      const shm::Page& record = segment_.page(page);
      const bool ours = record.owner.load(std::memory_order_acquire) == shm::page_owner(PageKind::kOwned, index);
      if (!ours || c >= kClassBytes.size() || record.use.size_class != c) {
        found("a list of spans holds a span of another shard or class", index, page);
        break;
      }
      if (listed_[page] != 0) {
        found("a span stands in two lists, or a list is a ring", index, page);
        break;
      }
      listed_[page] = 1;
      if (record.previous != before) found("a list of spans has a wrong link back", page, record.previous);
      if (!has_room(record.use)) found("a full span stands in the list of those with room", page);
      before = page;
      page = record.next;
    }
  }
}

void BlockCheck::read_foreign_list(uint32_t index, uint32_t c) noexcept {
  for (uint64_t offset = segment_.shard(index).foreign_free[c]; offset != 0;) {
    const Place place = place_of(offset, true);
    if (place.bytes != kClassBytes[c] || segment_.page(place.page).use.size_class != c) {
      found("a list of foreign blocks holds something else", index, offset);
      return;
    }
    if (static_cast<uint32_t>(segment_.page(place.page).owner.load(std::memory_order_acquire)) == index) {
      found("a shard's own block stands in its list of foreign ones", index, offset);
    }
    State& block = state(place.page, place.index);
    if (block != State::kUsed) {
      found("a block of a foreign list is free elsewhere, or the list is a ring", index, offset);
      return;
    }
    block = State::kForeignFree;
    offset = *segment_.pointer<uint64_t>(offset);
  }
}

// Journal chunks: each chunk of a living context hangs in its chain.
void BlockCheck::read_journals() noexcept {
  const uint32_t high = segment_.context_high();
  for (uint32_t index = 0; index < high; ++index) {
    const shm::Context& context = segment_.context(index);
    const uint32_t id = context.id.load(std::memory_order_acquire);
    uint64_t before = 0, words = 0;
    for (uint64_t chunk = context.first_chunk; chunk != 0;) {
      const uint64_t page = chunk / kPageBytes;
      const bool ours = chunk % kPageBytes == 0 && physical(page) &&
                        segment_.page(static_cast<uint32_t>(page)).owner.load(std::memory_order_acquire) ==
                            shm::page_owner(PageKind::kJournal, id);
      if (!ours || listed_[page] != 0) {
        found("a context's journal leads to a page that is not its own", index, chunk);
        break;
      }
      listed_[page] = 1;
      const auto& header = *segment_.pointer<shm::ChunkHeader>(chunk);
      const uint64_t capacity = (segment_.page(static_cast<uint32_t>(page)).use.span * kPageBytes - sizeof header) / 8;
      if (header.previous != before || header.first_word != words || header.words != capacity) {
        found("a journal chunk's head is wrong", index, chunk);
        break;
      }
      before = chunk;
      words += header.words;
      chunk = header.next;
    }
    if (context.journal_words > words) found("a journal counts more words than it has", index, context.journal_words);
  }
  for (uint32_t page = first_page_; page < end_page_; ++page) {
    if (!physical(page) || listed_[page] != 0) continue;
    const uint64_t owner = segment_.page(page).owner.load(std::memory_order_acquire);
    const auto id = static_cast<uint32_t>(owner);
    if (shm::page_kind(owner) != PageKind::kJournal || !published(id) || dead(segment_, id)) continue;
    found("a journal chunk hangs in no journal", page, id);
  }
}

// ---- Blocks ---------------------------------------------------------------------------------------------------------

BlockCheck::Place BlockCheck::place_of(uint64_t offset, bool beginning) const noexcept {
  uint64_t page = offset / kPageBytes;
  if (!physical(page)) return {};
  const uint64_t owner = segment_.page(static_cast<uint32_t>(page)).owner.load(std::memory_order_relaxed);
  if (shm::page_kind(owner) == PageKind::kTail) page = static_cast<uint32_t>(owner);
  if (!physical(page)) return {};
  const auto first = static_cast<uint32_t>(page);
  const shm::Page& record = segment_.page(first);
  if (shm::page_kind(record.owner.load(std::memory_order_relaxed)) != PageKind::kOwned || offset < page_offset(first))
    return {};
  if (state(first, 0) == State::kNone) return {};  // a span that made no sense
  const uint64_t within = offset - page_offset(first);
  const uint64_t bytes =
      record.use.size_class == shm::kSpanClass ? record.use.span * kPageBytes : kClassBytes[record.use.size_class];
  const uint64_t count = record.use.size_class == shm::kSpanClass ? 1 : class_blocks(record.use.size_class);
  if (within / bytes >= count || (beginning && within % bytes != 0)) return {};
  return {first, static_cast<uint32_t>(within / bytes), bytes};
}

bool BlockCheck::visit(uint64_t offset) noexcept {
  const Place place = place_of(offset, true);
  if (place.bytes == 0) {
    found("something points at what is no block", offset);
    return false;
  }
  State& block = state(place.page, place.index);
  if (block == State::kReached) {
    found("a block is reached twice", offset);
  } else if (block != State::kUsed) {
    found("a free block is reached", offset);
  } else {
    block = State::kReached;
    ++blocks_reached_;
    bytes_reached_ += place.bytes;
    const uint32_t c = segment_.page(place.page).use.size_class;
    bytes_by_class_[c < kClassBytes.size() ? c : kClassBytes.size()] += place.bytes;
    return true;
  }
  return false;
}

uint64_t BlockCheck::capacity(uint64_t offset) const noexcept { return place_of(offset, true).bytes; }

bool BlockCheck::inside_block(uint64_t offset, uint64_t bytes) const noexcept {
  const Place place = place_of(offset, false);
  if (place.bytes == 0) return false;
  const uint64_t begin = page_offset(place.page) + place.index * place.bytes;
  return bytes <= begin + place.bytes - offset && state(place.page, place.index) >= State::kUsed;
}

void BlockCheck::finish() noexcept {
  for (uint32_t page = first_page_; page < end_page_; ++page) {
    if (!physical(page) || state(page, 0) == State::kNone) continue;
    const shm::PageUse& use = segment_.page(page).use;
    const uint32_t count = use.size_class == shm::kSpanClass ? 1 : class_blocks(use.size_class);
    for (uint32_t index = 0; index < count; ++index) {
      if (state(page, index) != State::kUsed) continue;
      const uint64_t bytes = use.size_class == shm::kSpanClass ? 0 : kClassBytes[use.size_class];
      found("a block is lost: handed out, and reached from nowhere", page_offset(page) + index * bytes, bytes);
    }
  }
}

}  // namespace shoal
