// SPDX-License-Identifier: MIT
// allocator.cc: blocks of a shard. Part of Transaction, since every word it changes goes through the journal.
//
// A shard owns spans of pages; each is cut into blocks of one size class and stands in the shard's list of that class
// while it has room (free list or untouched end), or is one large block. A block whose page belongs to another shard
// (a value that was moved by its pointer) goes home if the lock of that shard is free at the commit. Else it goes to
// the freeing shard's foreign list of its class, is handed out from there again, and goes home with the next such
// block.
//
//   page.use: used | free_head -> block -> block ...  | bump .. end untouched
//
// Traps kept in mind: a block from a free list has its link in its payload, so that word is journalled before the block
// is handed out; a block freed in a transaction is not handed out before the commit, because frees are carried out
// there; pages are claimed outside the journal and become the shard's through it, so an undo can hand no page out
// twice.
#include "transaction/page_pool.h"
#include "transaction/size_class.h"
#include "transaction/transaction.h"

namespace shoal {

namespace {

constexpr uint64_t page_offset(uint32_t page) noexcept { return uint64_t{page} * kPageBytes; }

}  // namespace

std::byte* Transaction::allocate(uint64_t bytes) noexcept {
  if (__builtin_expect(bytes > kSmallBlockMax, 0)) return allocate_span(bytes);
  const uint32_t c = size_class(bytes);
  const shm::Shard& shard = segment_.shard(home_);
  if (const uint64_t foreign = shard.foreign_free[c]; __builtin_expect(foreign != 0, 0)) {
    auto* block = reinterpret_cast<uint64_t*>(segment_.control_base() + foreign);
    const uint64_t next = *block;
    hidden(*block) = next;  // the link lies in the payload: journalled before the block is written
    hidden(shard.foreign_free[c]) = next;
    hidden(shard.bytes_used) += kClassBytes[c];
    return (state_ & kJournalFull) != 0 ? nullptr : reinterpret_cast<std::byte*>(block);
  }
  uint32_t page = shard.class_pages[c];
  if (__builtin_expect(page == 0, 0) && (page = open_page(c)) == 0) return nullptr;
  std::byte* block = take_block(page, c);
  return (state_ & kJournalFull) != 0 ? nullptr : block;  // not all of the taking was recorded: nobody may write to it
}

std::byte* Transaction::take_block(uint32_t page, uint32_t c) noexcept {
  const shm::Page& record = segment_.page(page);
  shm::PageUse use = record.use;
  uint32_t index;
  std::byte* base = segment_.control_base() + page_offset(page);
  if (use.free_head != 0) {
    index = use.free_head - 1u;
    std::byte* block = base + uint64_t{index} * kClassBytes[c];
    std::memcpy(&use.free_head, block, sizeof use.free_head);
    edit_hidden(block, 8);
  } else {
    index = use.bump++;
  }
  ++use.used;
  hidden(record.use) = use;
  const shm::Shard& shard = segment_.shard(home_);
  hidden(shard.bytes_used) += kClassBytes[c];
  if (use.free_head == 0 && use.bump == class_blocks(c)) unlink_page(page, c);
  return base + uint64_t{index} * kClassBytes[c];
}

uint32_t Transaction::open_page(uint32_t c) noexcept {
  const uint32_t page = claim_span(segment_, self_, class_pages(c), shm::PageKind::kClaimed);
  if (page == 0) {
    state_ |= kMemoryFull;
    bytes_wanted_ = class_pages(c) * kPageBytes;
    return 0;
  }
  state_ |= kClaimed;
  shm::Page& record = segment_.control_page(page);
  record.use.size_class = static_cast<uint8_t>(c);  // still ours alone
  hidden(record.owner).store(shm::page_owner(shm::PageKind::kOwned, home_), std::memory_order_release);
  link_page(page, c);
  return page;
}

std::byte* Transaction::allocate_span(uint64_t bytes) noexcept {
  const auto pages = static_cast<uint32_t>((bytes + kPageBytes - 1) / kPageBytes);
  const uint32_t page = bytes > kBlockMax ? 0 : claim_span(segment_, self_, pages, shm::PageKind::kClaimed);
  if (page == 0) {
    state_ |= kMemoryFull;
    bytes_wanted_ = bytes;
    return nullptr;
  }
  state_ |= kClaimed;
  const shm::Page& record = segment_.page(page);
  hidden(record.owner).store(shm::page_owner(shm::PageKind::kOwned, home_), std::memory_order_release);
  hidden(segment_.shard(home_).bytes_used) += pages * kPageBytes;
  return (state_ & kJournalFull) != 0 ? nullptr : segment_.control_base() + page_offset(page);
}

uint64_t Transaction::capacity(uint64_t block) const noexcept {
  const shm::PageUse& use = segment_.page(span_of(segment_, block)).use;
  return use.size_class == shm::kSpanClass ? use.span * kPageBytes : kClassBytes[use.size_class];
}

void Transaction::carry_out_frees() noexcept {
  journal_.for_each_free([this](uint64_t block) { free_now(block); });
}

void Transaction::free_now(uint64_t block) noexcept {
  const uint32_t page = span_of(segment_, block);
  const shm::Page& record = segment_.page(page);
  shm::PageUse use = record.use;
  const shm::Shard& shard = segment_.shard(home_);
  const uint64_t bytes = use.size_class == shm::kSpanClass ? use.span * kPageBytes : kClassBytes[use.size_class];
  hidden(shard.bytes_used) -= bytes;
  if (use.size_class == shm::kSpanClass) {
    give_up_span(page);
    return;
  }
  const uint32_t c = use.size_class;
  const auto owner = static_cast<uint32_t>(record.owner.load(std::memory_order_relaxed));
  if (owner == home_) return free_at_home(block, page, owner);
  if (hold_too(owner)) {
    free_at_home(block, page, owner);
    constexpr uint32_t kMore = 2;  // so that the list shrinks also if only every other block finds its lock free
    bring_home(c, kMore);
    return;
  }
  *reinterpret_cast<uint64_t*>(edit_hidden(segment_.control_base() + block, 8)) = shard.foreign_free[c];
  hidden(shard.foreign_free[c]) = block;
}

// Never waits, so that the order of locks does not matter: held, free at this moment, or not to be had.
bool Transaction::hold_too(uint32_t index) noexcept {
  if (holds(index)) return true;
  shm::Shard& shard = segment_.control_shard(index);
  if (!lock_if_free(shard)) return false;
  locked_ |= uint64_t{1} << index;
  alone_ = nullptr;
  if ((state_ & kVisible) != 0) {  // as of all that are locked: they become even together
    sequence::make_odd(shard);
    std::atomic_thread_fence(std::memory_order_release);
  }
  return true;
}

// The first of the home shard's list, at most so many, until one finds no lock. How many.
uint32_t Transaction::bring_home(uint32_t c, uint32_t most) noexcept {
  const uint64_t& list = segment_.shard(home_).foreign_free[c];
  uint32_t brought = 0;
  for (; brought < most && list != 0 && !failed(); ++brought) {
    const uint64_t block = list;
    const uint32_t page = span_of(segment_, block);
    const auto owner = static_cast<uint32_t>(segment_.page(page).owner.load(std::memory_order_relaxed));
    if (!hold_too(owner)) break;
    hidden(list) = *segment_.pointer<uint64_t>(block);
    free_at_home(block, page, owner);
  }
  return brought;
}

uint32_t Transaction::bring_foreign_home(uint32_t shard, uint32_t most) noexcept {
  home_ = shard;
  uint32_t brought = 0;
  for (uint32_t c = 0; c < kClassBytes.size() && brought < most; ++c) brought += bring_home(c, most - brought);
  return brought;
}

void Transaction::free_at_home(uint64_t block, uint32_t page, uint32_t owner) noexcept {
  const shm::Page& record = segment_.page(page);
  shm::PageUse use = record.use;
  const uint32_t c = use.size_class;
  const bool was_full = use.free_head == 0 && use.bump == class_blocks(c);
  const uint16_t next = use.free_head;
  std::memcpy(edit_hidden(segment_.control_base() + block, 8), &next, sizeof next);
  use.free_head = static_cast<uint16_t>((block - page_offset(page)) / kClassBytes[c] + 1);
  --use.used;
  hidden(record.use) = use;
  const uint32_t saved_home = home_;
  home_ = owner;  // the page's lists are its owner's
  if (was_full) link_page(page, c);
  if (use.used == 0 && (record.next != 0 || record.previous != 0)) {
    unlink_page(page, c);
    give_up_span(page);
  }
  home_ = saved_home;
}

void Transaction::link_page(uint32_t page, uint32_t c) noexcept {
  const shm::Shard& shard = segment_.shard(home_);
  const uint32_t head = shard.class_pages[c];
  const shm::Page& record = segment_.page(page);
  hidden(record.next) = head;
  hidden(record.previous) = 0;
  if (head != 0) hidden(segment_.page(head).previous) = page;
  hidden(shard.class_pages[c]) = page;
}

void Transaction::unlink_page(uint32_t page, uint32_t c) noexcept {
  const shm::Page& record = segment_.page(page);
  const uint32_t next = record.next, previous = record.previous;
  if (next != 0) hidden(segment_.page(next).previous) = previous;
  if (previous != 0) {
    hidden(segment_.page(previous).next) = next;
  } else {
    hidden(segment_.shard(home_).class_pages[c]) = next;
  }
  hidden(record.next) = 0;
  hidden(record.previous) = 0;
}

// The span becomes a claim of ours with the commit, and free after it.
void Transaction::give_up_span(uint32_t page) noexcept {
  const uint32_t extent = page / kPagesPerExtent;
  if (self_.claim_high == 0) self_.claim_low = extent;
  self_.claim_low = std::min(self_.claim_low, extent);
  self_.claim_high = std::max(self_.claim_high, extent + 1);
  const shm::Page& record = segment_.page(page);
  hidden(record.owner).store(shm::page_owner(shm::PageKind::kClaimed, id_), std::memory_order_relaxed);
  hidden(record.next) = (state_ & kGivenUp) != 0 ? given_up_ : 0;
  given_up_ = page;
  state_ |= kGivenUp;
}

void Transaction::release_given_up() noexcept {
  for (uint32_t page = given_up_; page != 0;) {
    const uint32_t next = segment_.page(page).next;
    release_span(segment_, page);
    page = next;
  }
}

}  // namespace shoal
