// SPDX-License-Identifier: MIT
// segment.h: this process's mapping of one segment: create, attach, check, grow.
//
// Thread-safe. One mapping of max_size, sparse, never moved and never shrunk, so offsets and addresses stay good for
// the life of the object. Reachable memory is const from here on; Transaction::edit() is the only way to change it. The
// `control` accessors hand out the atomic words that are not journalled (locks, ids, claims) and belong to process/ and
// transaction/ alone.
//
// Dies at any line: a half-made segment has state kBuilding; the next opener, who holds the creation lock, removes it.
// A grower that dies after fallocate and before the CAS of `committed` leaves physical pages that the next grower
// publishes.
#pragma once

#include <algorithm>
#include <boost/interprocess/mapped_region.hpp>
#include <boost/interprocess/shared_memory_object.hpp>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/status.h"
#include "segment/layout.h"
#include "segment/life_file.h"
#include "segment/name.h"

namespace shoal {

struct SegmentOptions {  // shape of a new segment; ignored when attaching to an existing one
  uint64_t max_size = kDefaultMaxSizeBytes;
  uint32_t shard_count = kDefaultShardCount;  // a power of two
  uint32_t context_count = kDefaultContextCount;
  uint32_t slot_count = kDefaultSlotCount;
  uint32_t mode = kDefaultMode;
  uint64_t first_commit = kFirstCommitBytes;
};

enum class OpenMode { kAttach, kAttachOrCreate };

class Segment {
 public:
  // Errors: kNotFound, kPermission (owner or mode), kMismatch (foreign file, other layout), kFull (/dev/shm too small),
  // kRemoved (processes still live in an unlinked predecessor), kInvalidArgument (options).
  static Result<std::unique_ptr<Segment>> open(const SegmentName& name, OpenMode mode,
                                               const SegmentOptions& options = {});

  // A segment in private memory for a test that copies and compares it byte by byte. `bytes` of zeroed, page-aligned
  // memory.
  static Result<std::unique_ptr<Segment>> format_memory(std::byte* memory, const SegmentOptions& options);
  // A view of memory that was copied from a formatted segment.
  static std::unique_ptr<Segment> view_memory(std::byte* memory);

  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  const SegmentName& name() const noexcept { return *name_; }  // not of a segment in memory
  FileIdentity life_file() const noexcept { return recorded_life_file(header()); }
  bool in_memory() const noexcept { return name_ == nullptr; }  // made by format_memory or view_memory
  const shm::Header& header() const noexcept { return *reinterpret_cast<const shm::Header*>(base_); }
  // Not what the header says now: what it said when it was validated.
  uint32_t slot_count() const noexcept { return slot_count_; }
  uint32_t context_count() const noexcept { return context_count_; }
  uint32_t shard_count() const noexcept { return shard_count_; }
  const shm::Shard& shard(uint32_t index) const noexcept { return shards_[index]; }
  const shm::Context& context(uint32_t index) const noexcept { return contexts_[index]; }
  const shm::Slot& slot(uint32_t index) const noexcept { return slots_[index]; }
  std::span<const shm::Bookmark> bookmarks() const noexcept {
    return {pointer<shm::Bookmark>(sizeof(shm::Header)), shm::kBookmarkCount};
  }
  const shm::Page& page(uint32_t number) const noexcept { return const_cast<Segment*>(this)->control_page(number); }
  uint32_t shard_of(uint64_t hash) const noexcept { return static_cast<uint32_t>(hash >> 32 >> shard_shift_); }

  const std::byte* base() const noexcept { return base_; }
  // All contexts and slots that were ever in use lie below.
  uint32_t context_high() const noexcept {
    return std::min(header().context_high.load(std::memory_order_acquire), context_count_);
  }
  uint32_t slot_high() const noexcept {
    return std::min(header().slot_high.load(std::memory_order_acquire), slot_count_);
  }
  // Where the physical extents end, and how far they may grow: whole extents, at least one, and within the mapping,
  // whatever the header says.
  uint64_t committed() const noexcept { return bounded(header().committed.load(std::memory_order_acquire)); }
  uint64_t max_committed() const noexcept { return bounded(header().max_size); }
  uint64_t extents_offset() const noexcept { return extents_offset_; }

  // The record at `offset`. For offsets read under the lock that guards them.
  template <typename T>
  const T& at(Offset<T> offset) const noexcept {
    return *reinterpret_cast<const T*>(base_ + offset.value);
  }
  template <typename T>
  const T* pointer(uint64_t offset) const noexcept {
    return reinterpret_cast<const T*>(base_ + offset);
  }
  uint64_t offset_of(const void* address) const noexcept {
    return static_cast<uint64_t>(static_cast<const std::byte*>(address) - base_);
  }
  // True if [offset, offset + bytes) lies in the physical extents: the only question a reader without a lock may trust.
  bool contains(uint64_t offset, uint64_t bytes) const noexcept {
    const uint64_t end = committed();
    return offset >= extents_offset_ && offset < end && bytes <= end - offset;
  }

  // Makes at least `bytes` more physical. No lock may be held. kFull names the fix.
  Status grow(uint64_t bytes) noexcept;
  // The file was unlinked or replaced since we mapped it (a system call).
  bool removed() const noexcept;
  // Removes the segment's file. Those who map it go on in the unlinked memory until they notice.
  static Status remove(const SegmentName& name);

  // Words that are not journalled. For process/ and transaction/ only.
  shm::Header& control_header() noexcept { return *reinterpret_cast<shm::Header*>(base_); }
  shm::Shard& control_shard(uint32_t index) noexcept { return shards_[index]; }
  shm::Context& control_context(uint32_t index) noexcept { return contexts_[index]; }
  shm::Slot& control_slot(uint32_t index) noexcept { return slots_[index]; }
  shm::Bookmark& control_bookmark(uint32_t index) noexcept { return const_cast<shm::Bookmark&>(bookmarks()[index]); }
  shm::Page& control_page(uint32_t number) noexcept {
    auto& extent = *reinterpret_cast<shm::Extent*>(base_ + uint64_t{number / kPagesPerExtent} * kExtentBytes);
    return extent.pages[number % kPagesPerExtent];
  }
  shm::Extent& control_extent(uint32_t index) noexcept {
    return *reinterpret_cast<shm::Extent*>(base_ + uint64_t{index} * kExtentBytes);
  }
  std::byte* control_base() noexcept { return base_; }

 private:
  Segment() = default;
  Status map(uint64_t size);
  void bind() noexcept;  // sets the cached pointers from the header
  Status validate() const noexcept;
  Status agree_on_life_file(FileIdentity own);  // under the creation lock
  Status make_physical(uint64_t from, uint64_t to, uint64_t& reached) const noexcept;
  void format(const SegmentOptions& options) noexcept;  // writes the header into zeroed memory

  uint64_t bounded(uint64_t end) const noexcept {
    return std::clamp(end & ~(kExtentBytes - 1), extents_offset_ + kExtentBytes, mapped_bytes_);
  }

  std::unique_ptr<SegmentName> name_;
  boost::interprocess::shared_memory_object object_;  // only while it is opened
  boost::interprocess::mapped_region region_;
  std::byte* base_ = nullptr;
  shm::Shard* shards_ = nullptr;
  shm::Context* contexts_ = nullptr;
  shm::Slot* slots_ = nullptr;
  uint64_t extents_offset_ = 0;
  uint64_t mapped_bytes_ = 0;
  uint32_t slot_count_ = 0, context_count_ = 0, shard_count_ = 0;
  uint32_t shard_shift_ = 32;  // of the upper 32 bits of the hash
  uint64_t inode_ = 0;
};

}  // namespace shoal
