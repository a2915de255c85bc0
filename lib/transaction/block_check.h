// SPDX-License-Identifier: MIT
// block_check.h: is every page somebody's, and each block free or reached exactly once? The lower half of check.
//
//   BlockCheck blocks(segment);      reads the page table, each page's free list, the lists of classes and foreign
//         blocks
//   blocks.visit(offset)             for every block that a structure reaches: true = a block, reached for the first
//         time
//   blocks.finish()                  what was handed out and never visited is lost
//   blocks.findings()
//
// The caller holds the locks of all shards, or nobody else is at work. Damage is what it is for: every offset is looked
// up before it is followed, every list has a bound, so it neither faults nor loops. It reads only; nothing is left
// behind by a death.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "segment/segment.h"

namespace shoal {

struct Finding {
  const char* what;     // a static sentence
  uint64_t where = 0;   // offset, page, shard or index that it speaks of
  uint64_t number = 0;  // what was found there
};

class BlockCheck {
 public:
  static constexpr size_t kFindingsMax = 1000;  // then it stops to note: the first ones say enough

  explicit BlockCheck(const Segment& segment) noexcept;

  const Segment& segment() const noexcept { return segment_; }
  // A structure owns the block that begins at `offset`. False: it is none, it is free, or something else has it
  // already.
  bool visit(uint64_t offset) noexcept;
  // Whether [offset, offset + bytes) lies in one block that is handed out, whoever reaches it.
  bool inside_block(uint64_t offset, uint64_t bytes) const noexcept;
  // What the block at `offset` can hold; 0 if no block begins there.
  uint64_t capacity(uint64_t offset) const noexcept;
  // Notes what was handed out and not visited.
  void finish() noexcept;

  void found(const char* what, uint64_t where = 0, uint64_t number = 0) noexcept;
  const std::vector<Finding>& findings() const noexcept { return findings_; }
  uint64_t blocks_reached() const noexcept { return blocks_reached_; }
  uint64_t bytes_reached() const noexcept { return bytes_reached_; }
  uint64_t pages_free() const noexcept { return pages_free_; }
  uint64_t pages_owned() const noexcept { return pages_owned_; }
  uint64_t pages_journal() const noexcept { return pages_journal_; }
  // Bytes reached in blocks of each size class, then in whole spans.
  const std::vector<uint64_t>& bytes_by_class() const noexcept { return bytes_by_class_; }

 private:
  enum class State : uint8_t { kNone, kUntouched, kFree, kForeignFree, kUsed, kReached };
  struct Place {  // of a block
    uint32_t page = 0, index = 0;
    uint64_t bytes = 0;  // 0 = no block begins there
  };
  struct Release {
    void operator()(void* memory) const noexcept { std::free(memory); }
  };

  State& state(uint32_t page, uint32_t index) const noexcept {
    return states_[uint64_t{page - first_page_} * kPerPage + index];
  }
  Place place_of(uint64_t offset, bool beginning) const noexcept;
  bool physical(uint64_t page) const noexcept;
  bool published(uint32_t id) const noexcept;
  bool half_released(uint32_t first) const noexcept;
  void read_pages() noexcept;
  uint32_t read_page(uint32_t page, uint32_t extent_end) noexcept;  // how many pages it says something about
  void read_blocks(uint32_t page) noexcept;
  void read_class_lists(uint32_t shard) noexcept;
  void read_foreign_list(uint32_t shard, uint32_t size_class) noexcept;
  void read_journals() noexcept;

  static constexpr uint32_t kPerPage = 256;  // blocks of 16 bytes

  const Segment& segment_;
  uint32_t first_page_, end_page_;
  std::unique_ptr<State[], Release> states_;
  std::unique_ptr<uint8_t[], Release> listed_;  // pages that stand in a class list, or in a journal
  std::vector<Finding> findings_;
  std::vector<uint64_t> bytes_by_class_;
  uint64_t blocks_reached_ = 0, bytes_reached_ = 0;
  uint64_t pages_free_ = 0, pages_owned_ = 0, pages_journal_ = 0;
};

}  // namespace shoal
